package spool

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"golang.org/x/time/rate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/gengfu/gengfu/probes"
)

// Target is one live coordinator.
type Target struct {
	OTLP string // host:port of OTLP/gRPC
	HTTP string // base address, "http://host:port"
}

// OTLPOptions say where coordinators are and who speaks to them.
type OTLPOptions struct {
	Targets func() []Target // the live coordinators, best first
	Token   string          // the bearer token of agents
	// Roots are the certificates trusted when a coordinator's HTTP address is
	// https: then its OTLP is encrypted and verified too. Nil means the host's.
	Roots   *x509.CertPool
	Timeout time.Duration // of one attempt at one coordinator; 0 is 10 s
	Logger  *slog.Logger  // nil is silent
}

// OTLP sends traces by OTLP/gRPC and evidence by HTTP PUT to whichever
// coordinator answers, starting with the one that did last. It is a Sender,
// safe for concurrent use.
type OTLP struct {
	o       OTLPOptions
	tls     *tls.Config // of coordinators that encrypt; cloned for each use
	http    *http.Client
	partial rate.Sometimes // a coordinator may refuse spans in every batch
	refused atomic.Int64

	mu    sync.Mutex // guards what follows
	conns map[Target]*grpc.ClientConn
	last  Target // that answered
}

var _ Sender = (*OTLP)(nil)

// NewOTLP makes an OTLP sender. It connects when there is something to send.
func NewOTLP(o OTLPOptions) *OTLP {
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &OTLP{
		o:   o,
		tls: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
		// Coordinators are in the cluster: no proxy lies between, and none of
		// them sends an agent elsewhere with its token.
		http: &http.Client{
			Transport: &http.Transport{
				MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute,
				TLSClientConfig: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		partial: rate.Sometimes{First: 1, Interval: time.Minute},
		conns:   map[Target]*grpc.ClientConn{},
	}
}

// Close ends the connections.
func (s *OTLP) Close() error {
	s.http.CloseIdleConnections()
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for target, conn := range s.conns {
		errs = append(errs, conn.Close())
		delete(s.conns, target)
	}
	return errors.Join(errs...)
}

// SendTraces implements Sender.
func (s *OTLP) SendTraces(ctx context.Context, batch [][]byte) error {
	return s.each(ctx, func(ctx context.Context, t Target) error { return s.export(ctx, t, batch) })
}

// SendEvidence implements Sender.
func (s *OTLP) SendEvidence(ctx context.Context, e probes.Evidence) error {
	return s.each(ctx, func(ctx context.Context, t Target) error { return s.put(ctx, t, e) })
}

// each tries the live coordinators in turn until one answers for good.
func (s *OTLP) each(ctx context.Context, try func(context.Context, Target) error) error {
	targets := s.targets()
	if len(targets) == 0 {
		return ErrNoTarget
	}
	var errs []error
	for _, t := range targets {
		attempt, cancel := context.WithTimeout(ctx, s.o.Timeout)
		err := try(attempt, t)
		cancel()
		var permanent *PermanentError
		if err == nil || errors.As(err, &permanent) {
			s.mu.Lock()
			s.last = t
			s.mu.Unlock()
			return err
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// targets lists the live coordinators, the last that answered first, and lets go
// of connections to those that are gone.
func (s *OTLP) targets() []Target {
	targets := slices.Clone(s.o.Targets())
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(targets, s.last); i > 0 {
		targets = slices.Insert(slices.Delete(targets, i, i+1), 0, s.last)
	}
	for target, conn := range s.conns {
		if !slices.ContainsFunc(targets, func(t Target) bool { return t == target }) {
			_ = conn.Close() // it only fails when closed already
			delete(s.conns, target)
		}
	}
	return targets
}

// credentialsFor encrypts towards a coordinator whose HTTP address is https: one
// certificate serves both of its doors.
func (s *OTLP) credentialsFor(t Target) credentials.TransportCredentials {
	if strings.HasPrefix(t.HTTP, "https://") {
		return credentials.NewTLS(s.tls.Clone())
	}
	return insecure.NewCredentials()
}

func (s *OTLP) conn(t Target) (*grpc.ClientConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.conns[t]; c != nil {
		if c.GetState() == connectivity.TransientFailure {
			// The spool has waited already.
			c.ResetConnectBackoff()
		}
		return c, nil
	}
	c, err := grpc.NewClient("passthrough:///"+t.OTLP,
		grpc.WithTransportCredentials(s.credentialsFor(t)),
		grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(callOptions()...),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 2, Jitter: 0.2, MaxDelay: maxWait},
			MinConnectTimeout: s.o.Timeout,
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("connecting to coordinator %s: %w", t.OTLP, err)
	}
	s.conns[t] = c
	return c, nil
}

func (s *OTLP) export(ctx context.Context, t Target, batch messages) error {
	conn, err := s.conn(t)
	if err != nil {
		return err
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+s.o.Token)
	var resp collectorpb.ExportTraceServiceResponse
	err = conn.Invoke(ctx, collectorpb.TraceService_Export_FullMethodName, batch, &resp)
	if err != nil {
		// A server that cannot decode calls it its own failure, so find out
		// whose it is: what nobody can read must not be sent for ever.
		if bad := batch.check(); status.Code(err) == codes.Internal && bad != nil {
			return &PermanentError{Err: bad}
		}
		return exportError(t.OTLP, err)
	}
	if p := resp.GetPartialSuccess(); p.GetRejectedSpans() > 0 {
		all := s.refused.Add(p.GetRejectedSpans())
		s.partial.Do(func() {
			s.o.Logger.Warn("coordinator refused spans", "coordinator", t.OTLP, "spans", p.GetRejectedSpans(), "refused_in_all", all,
				"reason", probes.Excerpt(p.GetErrorMessage()))
		})
	}
	return nil
}

// Refused is how many spans coordinators took delivery of and would not keep.
func (s *OTLP) Refused() int64 { return s.refused.Load() }

func exportError(addr string, err error) error {
	st := status.Convert(err)
	wrapped := fmt.Errorf("sending traces to coordinator %s: %w", addr, err)
	switch st.Code() {
	case codes.InvalidArgument:
		return &PermanentError{Err: wrapped}
	case codes.Unauthenticated, codes.PermissionDenied:
		return fmt.Errorf("%w: %w", ErrUnauthorized, wrapped)
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return &RetryError{Err: wrapped, After: info.GetRetryDelay().AsDuration()}
		}
	}
	return wrapped
}

func (s *OTLP) put(ctx context.Context, t Target, e probes.Evidence) error {
	addr := strings.TrimSuffix(t.HTTP, "/") + "/api/v1/evidence/" + url.PathEscape(e.SHA256)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, addr, bytes.NewReader(e.Data))
	if err != nil {
		return fmt.Errorf("sending evidence to coordinator %s: %w", t.HTTP, err)
	}
	req.Header.Set("Content-Type", e.MIME)
	req.Header.Set("Authorization", "Bearer "+s.o.Token)
	resp, err := s.http.Do(req)
	if err != nil {
		return fmt.Errorf("sending evidence to a coordinator: %w", err) // it names the address
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if resp.StatusCode/100 == 2 {
		return nil
	}
	err = fmt.Errorf("sending evidence to %s: status %s: %s", addr, resp.Status, probes.Excerpt(string(text)))
	switch {
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: %w", ErrUnauthorized, err)
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable:
		if n, aerr := strconv.Atoi(resp.Header.Get("Retry-After")); aerr == nil && n >= 0 {
			return &RetryError{Err: err, After: time.Duration(n) * time.Second}
		}
		return err
	case resp.StatusCode/100 == 4:
		return &PermanentError{Err: err}
	}
	return err
}
