// Package app builds, runs and stops a coordinator's rooms. It is the only place
// where they know each other.
package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/api"
	"github.com/gengfu/gengfu/coordinator/catalog"
	"github.com/gengfu/gengfu/coordinator/evaluate"
	"github.com/gengfu/gengfu/coordinator/ingest"
	"github.com/gengfu/gengfu/coordinator/store"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/dashboards"
	"github.com/gengfu/gengfu/probes/cluster"
	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/kinds"
	"github.com/gengfu/gengfu/probes/semconv"
	"github.com/gengfu/gengfu/probes/settings"
)

// App is a built coordinator.
type App struct {
	cfg Config
	log *slog.Logger

	store    *store.Store
	newest   *definition.Newest
	catalog  *catalog.Catalog
	cluster  *cluster.Cluster
	ingest   *ingest.Ingest
	evaluate *evaluate.Evaluator
	alerts   *alert.Worker
	hub      *api.Hub
	view     *view.Builder
	records  *records
	metrics  *metrics

	http, otlpHTTP *http.Server
	grpc           *grpc.Server
	onHTTP, onOTLP net.Listener
	onGRPC         net.Listener
	closers        []func() error
}

// New checks the configuration, opens the store and the listeners, and wires the
// rooms, in one straight line. What it opened is closed again when it fails.
func New(ctx context.Context, cfg Config, version string, log *slog.Logger) (_ *App, err error) {
	key, err := cfg.ready()
	if err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, log: log, newest: definition.NewNewest(), hub: api.NewHub()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	if a.store, err = store.Open(ctx, store.Options{Dir: cfg.DataDir, Logger: log.With("room", "store")}); err != nil {
		if errors.Is(err, store.ErrLocked) {
			return nil, fmt.Errorf("opening the store: %w; a second coordinator needs a COORDINATOR_DATA_DIR of its own", err)
		}
		return nil, fmt.Errorf("opening the store (COORDINATOR_DATA_DIR): %w", err)
	}
	a.closers = append(a.closers, a.store.Close)
	certificate, err := a.listen()
	if err != nil {
		return nil, err
	}
	secrets := settings.NewSecrets(Prefix, cfg.SecretsDir)
	if a.cluster, err = cluster.New(cluster.Options{
		Name: cfg.Name, Bind: cfg.GossipBind, Advertise: cfg.GossipAdvertise, Join: cfg.Join, Key: key,
		Label: cfg.ClusterLabel, Profile: cfg.GossipProfile, Logger: log.With("room", "cluster"),
		Meta: cluster.Meta{Role: "coordinator", HTTP: a.advertisedHTTP(), OTLP: a.advertisedOTLP(), Version: version},
	}); err != nil {
		return nil, fmt.Errorf("joining the fleet's gossip: %w", err)
	}
	a.closers = append(a.closers, a.cluster.Close)
	a.cluster.AddState("catalog", a.newest)
	if a.catalog, err = catalog.New(catalog.Options{
		URL: cfg.GitURL, Branch: cfg.GitBranch, Folder: cfg.GitFolder, SSHKey: cfg.GitSSHKey, KnownHosts: cfg.GitKnownHosts,
		Token: cfg.GitToken, Dir: filepath.Join(cfg.DataDir, "definitions"), Poll: cfg.GitPoll, Kinds: kinds.All(),
		Store: a.store, OnAccept: a.accepted, Now: time.Now, Logger: log.With("room", "catalog"),
		Heard: a.newest.Current,
	}); err != nil {
		return nil, fmt.Errorf("preparing the definitions: %w", err)
	}
	current := a.catalog.Current
	a.evaluate = evaluate.New(evaluate.Options{
		Store: evaluate.Over[*store.Tx](a.store), Catalog: current, Link: a.publicURL(), Now: time.Now, Logger: log.With("room", "evaluate"),
		Publish: a.evaluated,
	})
	a.alerts = alert.NewWorker(alert.Options{
		Store: a.store, Secret: secrets.Value, Now: time.Now, Logger: log.With("room", "alert"),
		Routes: func() []definition.Route {
			if c := current(); c != nil {
				return c.Routes
			}
			return nil
		},
	})
	token := cluster.Token(key)
	if a.ingest, err = ingest.New(ingest.Options{
		Store: a.store, Definitions: a.catalog, Token: token, Now: time.Now, Logger: log.With("room", "ingest"), OnStored: a.evaluate.Kick,
	}); err != nil {
		return nil, fmt.Errorf("preparing to receive traces: %w", err)
	}
	a.view = view.New(view.Options{
		Store: viewStore{a.store}, Catalog: current, SpansOf: semconv.Spans, Now: time.Now, Agents: a.agents, Health: a.health,
		Git: func() view.Git {
			s := a.catalog.State()
			return view.Git{Source: s.Source, Checked: s.Checked, Error: s.Error}
		},
	})
	a.records = &records{store: a.store, catalog: current, cfg: cfg, base: a.publicURL(), now: time.Now}
	a.metrics = newMetrics(a)
	if err := a.serveOn(token, certificate); err != nil {
		return nil, err
	}
	return a, nil
}

// listen opens the three addresses, so that a taken one is known before anything runs.
func (a *App) listen() (*tls.Config, error) {
	for _, l := range []struct {
		name, addr string
		into       *net.Listener
	}{
		{"HTTP", a.cfg.HTTP, &a.onHTTP}, {"OTLP_GRPC", a.cfg.OTLPGRPC, &a.onGRPC}, {"OTLP_HTTP", a.cfg.OTLPHTTP, &a.onOTLP},
	} {
		on, err := net.Listen("tcp", l.addr)
		if err != nil {
			return nil, fmt.Errorf("listening for COORDINATOR_%s (set it to a free address of this host): %w", l.name, err)
		}
		*l.into = on
		a.closers = append(a.closers, func() error {
			if err := on.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil
		})
	}
	if a.cfg.TLSCert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(a.cfg.TLSCert, a.cfg.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("reading COORDINATOR_TLS_CERT and COORDINATOR_TLS_KEY: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

func (a *App) scheme() string {
	if a.cfg.TLSCert != "" {
		return "https"
	}
	return "http"
}

func (a *App) advertisedHTTP() string {
	if a.cfg.AdvertiseHTTP != "" {
		return a.cfg.AdvertiseHTTP
	}
	return a.scheme() + "://" + a.onHTTP.Addr().String()
}

func (a *App) advertisedOTLP() string {
	if a.cfg.AdvertiseOTLP != "" {
		return a.cfg.AdvertiseOTLP
	}
	return a.onGRPC.Addr().String()
}

func (a *App) publicURL() string {
	if a.cfg.PublicURL != "" {
		return a.cfg.PublicURL
	}
	return a.advertisedHTTP() // set when the bound address is none to go to
}

// serveOn builds the servers.
func (a *App) serveOn(token string, certificate *tls.Config) error {
	var options []grpc.ServerOption
	if certificate != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(certificate)))
	}
	a.grpc = grpc.NewServer(append(options, a.ingest.ServerOptions()...)...)
	a.ingest.Register(a.grpc)

	o := api.Options{
		Reader: reader{a.view, a.catalog.Current}, Records: a.records, Writer: writer{a.store, time.Now}, Events: a.hub,
		PollGit: a.catalog.Poke, GitToken: a.cfg.GitWebhookToken, Evidence: a.ingest.Evidence(), AgentToken: token,
		Now: time.Now, Logger: a.log.With("room", "api"),
	}
	pages, err := dashboards.New(dashboards.Options{
		Source: pageSource{reader{a.view, a.catalog.Current}, a.records}, Title: a.cfg.Title, Logger: a.log.With("room", "dashboards"),
		Actions: pageActions{writer{a.store, time.Now}, a.store, a.catalog.Poke, a.hub, time.Now},
	})
	if err != nil {
		return fmt.Errorf("preparing the pages: %w", err)
	}
	people := http.NewServeMux()
	api.Register(people, o)
	people.Handle("GET /metrics", a.metrics.handler())
	people.Handle("/", pages)
	mux := http.NewServeMux()
	api.RegisterMachines(mux, o)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.ready)
	mux.Handle("/", guard(a.cfg, people))
	a.http = a.server(mux, certificate)
	traces := http.NewServeMux()
	traces.Handle("POST /v1/traces", a.ingest.Traces())
	a.otlpHTTP = a.server(traces, certificate)
	return nil
}

// readWithin bounds reading one request. Live pages and uploads of agents, once
// their token was checked, set bounds of their own.
const readWithin = time.Minute

func (a *App) server(h http.Handler, certificate *tls.Config) *http.Server {
	return &http.Server{
		Handler: h, TLSConfig: certificate, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: readWithin, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(a.log.With("room", "http").Handler(), slog.LevelDebug),
	}
}

// ready answers 200 when definitions are in use and the store answers.
func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	if a.catalog.Current() == nil {
		http.Error(w, "no definitions yet", http.StatusServiceUnavailable)
		return
	}
	if _, err := a.store.LatestSlots(r.Context()); err != nil {
		a.log.Error("the store does not answer", "err", err)
		http.Error(w, "the store does not answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// Run serves until ctx ends, then stops in order: no new requests, what came is
// judged, alerts in flight finish, the fleet is left, the store closes.
func (a *App) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, a.close()) }()
	rest, stopRest := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRest()
	group, rest := errgroup.WithContext(rest)
	for _, run := range []func(context.Context) error{a.cluster.Run, a.catalog.Run, a.evaluate.Run, a.alerts.Run, a.follow} {
		group.Go(func() error { return run(rest) })
	}
	group.Go(func() error { return quiet(serve(a.http, a.onHTTP)) })
	group.Go(func() error { return quiet(serve(a.otlpHTTP, a.onOTLP)) })
	group.Go(func() error { return a.grpc.Serve(a.onGRPC) })
	a.log.Info("serving", "dashboard", a.publicURL(), "otlp_grpc", a.onGRPC.Addr().String(), "otlp_http", a.onOTLP.Addr().String())

	select {
	case <-ctx.Done():
	case <-rest.Done(): // a room failed
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.cfg.StopWithin)
	defer cancel()
	a.hub.Close()
	err = errors.Join(a.http.Shutdown(closing), a.otlpHTTP.Shutdown(closing))
	stopGRPC(closing, a.grpc)
	a.evaluate.Kick()
	stopRest()
	if werr := group.Wait(); werr != nil && !errors.Is(werr, context.Canceled) {
		err = errors.Join(err, werr)
	}
	a.log.Info("stopped")
	return err
}

// stopGRPC lets calls finish until ctx ends, then cuts them; agents keep what
// was not acknowledged.
func stopGRPC(ctx context.Context, s *grpc.Server) {
	unhook := context.AfterFunc(ctx, s.Stop)
	defer unhook()
	s.GracefulStop()
}

func serve(s *http.Server, on net.Listener) error {
	if s.TLSConfig != nil {
		return s.ServeTLS(on, "", "")
	}
	return s.Serve(on)
}

func quiet(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// close lets go of what New opened, newest first.
func (a *App) close() error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i]())
	}
	a.closers = nil
	return errors.Join(errs...)
}

// accepted announces a catalog that came into use.
func (a *App) accepted(c *definition.Catalog) {
	a.newest.Set(definition.Announcement{Seq: c.Revision.Seq, Commit: c.Revision.Commit, Digest: c.Revision.Digest})
	a.cluster.Broadcast("catalog")
	a.hub.Publish(api.Event{Kind: "catalog", ID: c.Revision.Commit})
}

// evaluated passes on what changed.
func (a *App) evaluated(e evaluate.Event) {
	a.hub.Publish(api.Event{Kind: e.Kind, Service: e.Service, ID: e.ID})
	if e.Kind == "incident" {
		a.alerts.Kick()
	}
}

// follow tells the pages when the fleet's members changed.
func (a *App) follow(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.cluster.Changed():
			a.hub.Publish(api.Event{Kind: "agents"})
		}
	}
}

// agents lists the live agents.
func (a *App) agents() []view.Member {
	var out []view.Member
	for _, m := range a.cluster.Members() {
		if m.Meta.Role == "agent" {
			out = append(out, view.Member{
				Name: m.Name, Address: m.Addr, Labels: m.Meta.Labels, Capabilities: m.Meta.Capabilities,
				Commit: m.Meta.Commit, Version: m.Meta.Version,
			})
		}
	}
	return out
}
