// Package app builds, runs and stops an agent's rooms, and holds what the
// subcommands do. It is the only place where the agent's rooms know each other.
package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gengfu/gengfu/agent/catalog"
	"github.com/gengfu/gengfu/agent/confirm"
	"github.com/gengfu/gengfu/agent/doubt"
	"github.com/gengfu/gengfu/agent/ownership"
	"github.com/gengfu/gengfu/agent/runner"
	"github.com/gengfu/gengfu/agent/schedule"
	"github.com/gengfu/gengfu/agent/spool"
	"github.com/gengfu/gengfu/agent/telemetry"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/chrome"
	"github.com/gengfu/gengfu/probes/cluster"
	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/kinds"
	"github.com/gengfu/gengfu/probes/settings"
)

// App is a built agent.
type App struct {
	cfg     Config
	version string
	log     *slog.Logger

	cluster  *cluster.Cluster
	keeper   *catalog.Keeper
	newest   *definition.Newest
	spool    *spool.Spool
	sender   *spool.OTLP
	runner   *runner.Runner
	schedule *schedule.Scheduler
	confirm  *confirm.Confirmer
	doubt    *doubt.Doubt
	browser  *chrome.Pool // nil without the capability
	labels   map[string]string

	runs context.Context // ends when a stop has waited long enough for runs in flight
}

// New checks the configuration and builds the rooms, in one straight line. What
// it opened is closed again when a later room fails.
func New(cfg Config, version string, log *slog.Logger) (_ *App, err error) {
	key, mapped, err := cfg.ready()
	if err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, version: version, log: log, labels: cfg.labels(), newest: definition.NewNewest()}
	secrets := settings.NewSecrets(Prefix, cfg.SecretsDir)
	roots, err := rootsOf(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data folder (set AGENT_DATA_DIR to a folder this user may write): %w", err)
	}
	if a.spool, err = spool.Open(spool.Options{
		Dir: filepath.Join(cfg.DataDir, "spool"), MaxBytes: cfg.SpoolMaxBytes, Logger: log.With("room", "spool"),
	}); err != nil {
		return nil, fmt.Errorf("opening the spool: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.spool.Close())
		}
	}()
	if a.browser, err = openBrowser(cfg, mapped.ChromiumRules(), log); err != nil {
		return nil, err
	}
	var capabilities []string
	if a.browser != nil {
		capabilities = append(capabilities, string(probes.CapabilityBrowser))
	}
	echo := echoes(log)
	if echo != nil {
		capabilities = append(capabilities, string(probes.CapabilityICMP))
	}
	if a.cluster, err = cluster.New(cluster.Options{
		Name: cfg.Name, Bind: cfg.GossipBind, Advertise: cfg.GossipAdvertise, Join: cfg.Join, Key: key,
		Label: cfg.ClusterLabel, Profile: cfg.GossipProfile, Logger: log.With("room", "cluster"),
		Meta: cluster.Meta{Role: "agent", Labels: a.labels, Capabilities: capabilities, Weight: cfg.Weight, Version: version},
	}); err != nil {
		return nil, fmt.Errorf("joining the fleet's gossip: %w", err)
	}
	a.cluster.AddState("catalog", a.newest)
	token := cluster.Token(key)
	if a.keeper, err = catalog.New(catalog.Options{
		Dir: filepath.Join(cfg.DataDir, "catalog"), Newest: a.newest, Kinds: kinds.All(), Token: token,
		HTTP: coordinatorClient(roots), Coordinators: a.coordinators,
		OnChange: a.catalogChanged, Logger: log.With("room", "catalog"),
	}); err != nil {
		return nil, fmt.Errorf("opening the catalog: %w", err)
	}
	a.sender = spool.NewOTLP(spool.OTLPOptions{Targets: a.targets, Token: token, Roots: roots, Logger: log.With("room", "spool")})
	tel := telemetry.New(telemetry.Options{
		Agent: cfg.Name, Vantage: cfg.Site, Labels: a.labels, Version: version, Sink: a.spool.Append,
	})
	dial := Dialer(mapped.Resolver())
	a.doubt = doubt.New(doubt.Options{Targets: cfg.Check, Dial: dial.DialContext, Logger: log.With("room", "doubt")})
	ro := runner.Options{
		Agent: cfg.Name, Vantage: cfg.Site, Labels: a.labels,
		Begin: func(ctx context.Context, r probes.Run) (context.Context, runner.Trace) { return tel.Begin(ctx, r) },
		Keep:  a.spool.PutEvidence, Secret: secrets.Value, Secrets: secrets.Values,
		Dial: dial.DialContext, Resolver: mapped.Resolver(), Roots: roots, UserAgentSuffix: cfg.UserAgent,
		MaxConcurrent: cfg.MaxRuns, MaxBrowsers: cfg.MaxBrowsers, Unwell: a.doubt.Unwell, Logger: log.With("room", "runner"),
	}
	ro.Echo = echo
	if a.browser != nil {
		ro.Browser = a.browser // a nil pointer in an interface would not be nil
	}
	if a.runner, err = runner.New(ro); err != nil {
		return nil, fmt.Errorf("building the runner: %w", err)
	}
	if a.confirm, err = confirm.New(confirm.Options{
		Self: cfg.Name, Rank: a.rank, Probe: a.probe, Send: a.send, RunNow: a.runConfirm, Digest: a.digest,
		Workers: cfg.MaxRuns, Browsers: cfg.MaxBrowsers, Logger: log.With("room", "confirm"),
	}); err != nil {
		return nil, fmt.Errorf("building the confirmation: %w", err)
	}
	a.cluster.Handle(confirm.Message, a.confirm.Handle)
	if a.schedule, err = schedule.New(schedule.Options{Owned: a.owned, Run: a.runDue, Now: time.Now, Logger: log.With("room", "schedule")}); err != nil {
		return nil, fmt.Errorf("building the schedule: %w", err)
	}
	return a, nil
}

func rootsOf(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading AGENT_CA_FILE: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("reading the host's trusted roots: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("AGENT_CA_FILE %s holds no certificate in PEM form", file)
	}
	return pool, nil
}

// coordinatorClient fetches catalogs: from the coordinator itself, and from
// nowhere it might point to.
func coordinatorClient(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute,
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// openBrowser makes the pool, or none: a missing Chromium takes the capability
// away, so that browser probes go to agents that have one, and says how to mend it.
func openBrowser(cfg Config, rules string, log *slog.Logger) (*chrome.Pool, error) {
	if cfg.Browser == "off" {
		return nil, nil
	}
	want := cfg.Browser
	if want == "auto" {
		want = ""
	}
	exec, err := chrome.Find(want)
	if err != nil {
		if want != "" {
			return nil, fmt.Errorf("AGENT_BROWSER: %w", err)
		}
		log.Warn("this agent runs no browser probes", "err", err)
		return nil, nil
	}
	pool, err := chrome.New(chrome.Options{
		Exec: exec, Dir: filepath.Join(cfg.DataDir, "browser"), MaxPages: cfg.MaxBrowsers, HostRules: rules, Logger: log.With("room", "chrome"),
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the browser: %w", err)
	}
	return pool, nil
}

// Run serves until ctx ends, then stops in order: no new slots, runs finish, the
// spool is flushed, the fleet is left.
func (a *App) Run(ctx context.Context) error {
	// Runs in flight go on after a stop was asked for, but not beyond its bound.
	runs, cutRuns := context.WithCancel(context.WithoutCancel(ctx))
	defer cutRuns()
	a.runs = runs
	defer context.AfterFunc(ctx, func() {
		wait, done := context.WithTimeout(runs, a.cfg.StopWithin)
		defer done()
		<-wait.Done()
		cutRuns()
	})()
	// The rooms that outlive the schedule have a context of their own, ended below.
	rest, stopRest := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRest()
	group, rest := errgroup.WithContext(rest)
	group.Go(func() error { return a.cluster.Run(rest) })
	group.Go(func() error { return a.keeper.Run(rest) })
	group.Go(func() error { return a.doubt.Run(rest) })
	group.Go(func() error { return a.spool.Run(rest, a.sender) })
	group.Go(func() error { return a.confirm.Run(rest) })
	group.Go(func() error { return a.follow(rest) })
	group.Go(func() error { return a.watchVoices(rest) })
	// The browser is warm before the first run needs it, and outlives the last.
	browsing, stopBrowsing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBrowsing()
	browser := make(chan error, 1)
	if a.browser != nil {
		go func() { browser <- a.browser.Run(browsing) }()
	} else {
		browser <- nil
	}

	working, stopWorking := context.WithCancel(ctx)
	defer stopWorking()
	unhook := context.AfterFunc(rest, stopWorking) // a room that failed stops the rest
	defer unhook()
	err := a.schedule.Run(working)

	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.cfg.StopWithin)
	defer cancel()
	a.flush(closing)
	stopRest()
	err = errors.Join(err, group.Wait())
	stopBrowsing()
	err = errors.Join(err, <-browser)
	err = errors.Join(err, a.sender.Close(), a.spool.Close())
	a.log.Info("stopped")
	return err
}

// flushWithin bounds how long a stop waits for the last runs to be delivered.
const flushWithin = 3 * time.Second

// flush gives the last runs a chance to be delivered. What is not, stays on disk.
func (a *App) flush(ctx context.Context) {
	if len(a.targets()) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushWithin)
	defer cancel()
	a.spool.Kick()
	if err := a.spool.Flush(ctx); err != nil {
		a.log.Warn("stopping before everything was delivered; the rest is sent after the next start", "err", err)
	}
}

// follow tells the rooms when the fleet's members changed.
func (a *App) follow(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.cluster.Changed():
			a.schedule.Refresh()
			a.spool.Kick()
		}
	}
}

// catalogChanged is called by the keeper, the first time while New still builds.
func (a *App) catalogChanged(c *definition.Catalog) {
	commit := c.Revision.Commit
	if len(commit) > 12 {
		commit = commit[:12]
	}
	if err := a.cluster.SetMeta(func(m *cluster.Meta) { m.Commit = commit }); err != nil {
		a.log.Warn("could not announce the catalog's revision", "err", err)
	}
	a.newest.Set(definition.Announcement{Seq: c.Revision.Seq, Commit: c.Revision.Commit, Digest: c.Revision.Digest})
	if a.schedule != nil {
		a.schedule.Refresh()
	}
	a.warnOfSecrets(c)
}

// warnOfSecrets names the secrets that definitions use and this agent lacks.
func (a *App) warnOfSecrets(c *definition.Catalog) {
	secrets := settings.NewSecrets(Prefix, a.cfg.SecretsDir)
	lacking := map[string][]string{}
	for _, p := range c.Probes() {
		for _, name := range p.Secrets {
			if _, err := secrets.Value(name); err != nil {
				lacking[name] = append(lacking[name], p.Key.String())
			}
		}
	}
	for name, users := range lacking {
		slices.Sort(users)
		a.log.Warn("a secret is not set here: these probes are unknown from this agent", "secret", name,
			"set", Prefix+"SECRET_"+name, "probes", strings.Join(users, ", "))
	}
}

// coordinators lists the HTTP addresses of live coordinators.
func (a *App) coordinators() []string {
	var out []string
	for _, m := range a.cluster.Members() {
		if m.Meta.Role == "coordinator" && m.Meta.HTTP != "" {
			out = append(out, m.Meta.HTTP)
		}
	}
	return out
}

func (a *App) targets() []spool.Target {
	var out []spool.Target
	for _, m := range a.cluster.Members() {
		if m.Meta.Role == "coordinator" && m.Meta.OTLP != "" {
			out = append(out, spool.Target{OTLP: m.Meta.OTLP, HTTP: m.Meta.HTTP})
		}
	}
	return out
}

// members are the live agents, for ownership.
func (a *App) members() []ownership.Member {
	var out []ownership.Member
	for _, m := range a.cluster.Members() {
		if m.Meta.Role == "agent" {
			out = append(out, ownership.Member{Name: m.Name, Labels: m.Meta.Labels, Capabilities: m.Meta.Capabilities, Weight: m.Meta.Weight})
		}
	}
	return out
}

// digest names the catalog in use.
func (a *App) digest() string {
	if c := a.keeper.Current(); c != nil {
		return c.Revision.Digest
	}
	return ""
}

func (a *App) probe(key probes.Key) (probes.Probe, bool) {
	c := a.keeper.Current()
	if c == nil {
		return probes.Probe{}, false
	}
	return c.Probe(key)
}

// owned lists the probes that this agent runs now.
func (a *App) owned() []schedule.Owned {
	c := a.keeper.Current()
	if c == nil {
		return nil
	}
	members := a.members()
	var out []schedule.Owned
	for _, s := range c.Services {
		if s.Life == probes.LifeRetired {
			continue
		}
		for _, p := range s.Probes {
			if ownership.Owns(a.cfg.Name, p.From, ownership.Rank(p.Key, p.From, p.Needs, members)) {
				out = append(out, schedule.Owned{Probe: p, Channel: s.Channel, Revision: c.Revision.Commit})
			}
		}
	}
	return out
}

// runDue performs a due slot, and has its failure, or the end of one, confirmed.
func (a *App) runDue(_ context.Context, d schedule.Due) {
	run, err := a.runner.Run(a.runs, d.Owned.Probe, d.Owned.Channel, d.Owned.Revision, d.Slot, d.Trigger)
	if err != nil {
		a.log.Error("a run's trace could not be kept; its slot will lack this voice", "probe", d.Owned.Probe.Key.String(), "err", err)
	}
	a.confirm.Ended(run)
}
