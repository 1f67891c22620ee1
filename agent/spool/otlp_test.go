package spool

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gengfu/gengfu/probes"
)

// coordinator is a small OTLP receiver on real sockets.
type coordinator struct {
	collectorpb.UnimplementedTraceServiceServer
	server *grpc.Server
	web    *httptest.Server
	target Target

	mu       sync.Mutex
	answer   error // to Export
	partial  string
	status   int // to PUT; 0 is 204
	header   http.Header
	names    []string // of spans that came
	metadata []metadata.MD
	puts     []*http.Request
	bodies   []string
}

func listen(t *testing.T, addr string) *coordinator {
	t.Helper()
	c := &coordinator{}
	c.web = httptest.NewServer(http.HandlerFunc(c.put))
	c.serve(t, addr)
	return c
}

// listenTLS is a coordinator that encrypts both its doors with one certificate.
func listenTLS(t *testing.T) (c *coordinator, roots *x509.CertPool) {
	t.Helper()
	c = &coordinator{}
	c.web = httptest.NewUnstartedServer(http.HandlerFunc(c.put))
	c.web.Config.ErrorLog = log.New(io.Discard, "", 0) // of strangers' handshakes
	c.web.StartTLS()
	roots = x509.NewCertPool()
	roots.AddCert(c.web.Certificate())
	c.serve(t, "127.0.0.1:0", grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: c.web.TLS.Certificates})))
	return c, roots
}

func (c *coordinator) serve(t *testing.T, addr string, options ...grpc.ServerOption) {
	t.Helper()
	listener, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	c.server = grpc.NewServer(options...)
	collectorpb.RegisterTraceServiceServer(c.server, c)
	var wg sync.WaitGroup
	wg.Go(func() { _ = c.server.Serve(listener) })
	t.Cleanup(func() { c.web.Close(); c.server.Stop(); wg.Wait() })
	c.target = Target{OTLP: listener.Addr().String(), HTTP: c.web.URL}
}

func (c *coordinator) Export(ctx context.Context, req *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	md, _ := metadata.FromIncomingContext(ctx)
	c.metadata = append(c.metadata, md)
	if c.answer != nil {
		return nil, c.answer
	}
	for _, r := range req.ResourceSpans {
		c.names = append(c.names, r.ScopeSpans[0].Spans[0].Name)
	}
	resp := &collectorpb.ExportTraceServiceResponse{}
	if c.partial != "" {
		resp.PartialSuccess = &collectorpb.ExportTracePartialSuccess{RejectedSpans: 3, ErrorMessage: c.partial}
	}
	return resp, nil
}

func (c *coordinator) put(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.puts, c.bodies = append(c.puts, r), append(c.bodies, string(body))
	for k, v := range c.header {
		w.Header()[k] = v
	}
	if c.status == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Error(w, "because", c.status)
}

func otlp(t *testing.T, name string) []byte {
	t.Helper()
	b, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{
		ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{{Name: name}}}},
	}}})
	require.NoError(t, err)
	return b
}

func sender(t *testing.T, log io.Writer, targets func() []Target) *OTLP {
	t.Helper()
	s := NewOTLP(OTLPOptions{Targets: targets, Token: "the token", Logger: slog.New(slog.NewTextHandler(log, nil))})
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// nobody is an address that refuses connections.
func nobody(t *testing.T) Target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	return Target{OTLP: addr, HTTP: "http://" + addr}
}

func TestOTLPSendsABatchInOrder(t *testing.T) {
	c := listen(t, "127.0.0.1:0")
	s := sender(t, io.Discard, func() []Target { return []Target{c.target} })
	require.NoError(t, s.SendTraces(t.Context(), [][]byte{otlp(t, "a"), otlp(t, "b"), otlp(t, "c")}))
	require.Equal(t, []string{"a", "b", "c"}, c.names)
	require.Equal(t, []string{"Bearer the token"}, c.metadata[0].Get("authorization"))

	require.NoError(t, s.SendEvidence(t.Context(), picture("p")))
	require.Equal(t, http.MethodPut, c.puts[0].Method)
	require.Equal(t, "/api/v1/evidence/"+picture("p").SHA256, c.puts[0].URL.Path)
	require.Equal(t, "image/jpeg", c.puts[0].Header.Get("Content-Type"))
	require.Equal(t, "Bearer the token", c.puts[0].Header.Get("Authorization"))
	require.Equal(t, []string{"p"}, c.bodies)
}

func TestOTLPTurnsToTheNextCoordinator(t *testing.T) {
	c, dead := listen(t, "127.0.0.1:0"), nobody(t)
	s := sender(t, io.Discard, func() []Target { return []Target{dead, c.target} })
	for range 3 {
		require.NoError(t, s.SendTraces(t.Context(), [][]byte{otlp(t, "a")}))
		require.NoError(t, s.SendEvidence(t.Context(), picture("p")))
	}
	require.Equal(t, c.target, s.targets()[0], "the one that answered is asked first")
	require.Equal(t, []string{"a", "a", "a"}, c.names)

	c.mu.Lock()
	c.answer = status.Error(codes.Unavailable, "not now")
	c.mu.Unlock()
	other := listen(t, "127.0.0.1:0")
	s2 := sender(t, io.Discard, func() []Target { return []Target{c.target, other.target} })
	require.NoError(t, s2.SendTraces(t.Context(), [][]byte{otlp(t, "b")}))
	require.Equal(t, []string{"b"}, other.names)
}

func TestOTLPEncryptsTowardsACoordinatorThatDoes(t *testing.T) {
	c, roots := listenTLS(t)
	send := func(roots *x509.CertPool) (_ *OTLP, traces, evidence error) {
		s := NewOTLP(OTLPOptions{Targets: func() []Target { return []Target{c.target} }, Token: "the token", Roots: roots, Timeout: 5 * time.Second})
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s, s.SendTraces(t.Context(), [][]byte{otlp(t, "a")}),
			s.SendEvidence(t.Context(), probes.Evidence{MIME: "text/plain", SHA256: "ab", Data: []byte("x")})
	}
	_, traces, evidence := send(roots)
	require.NoError(t, traces)
	require.NoError(t, evidence)
	require.Equal(t, []string{"a"}, c.names)
	require.Equal(t, []string{"x"}, c.bodies)

	_, traces, evidence = send(x509.NewCertPool())
	require.ErrorContains(t, traces, "certificate", "a stranger's certificate gets neither traces nor the token")
	require.ErrorContains(t, evidence, "certificate")
	require.Len(t, c.names, 1)
	require.Len(t, c.puts, 1)
}

func TestOTLPForgetsWhoIsGone(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	var live []Target
	s := sender(t, io.Discard, func() []Target { return live })
	require.ErrorIs(t, s.SendTraces(t.Context(), [][]byte{otlp(t, "x")}), ErrNoTarget)
	require.ErrorIs(t, s.SendEvidence(t.Context(), picture("p")), ErrNoTarget)
	live = []Target{a.target}
	require.NoError(t, s.SendTraces(t.Context(), [][]byte{otlp(t, "x")}))
	live = []Target{b.target}
	require.NoError(t, s.SendTraces(t.Context(), [][]byte{otlp(t, "x")}))
	require.Len(t, s.conns, 1)
}

func TestOTLPReconnects(t *testing.T) {
	c := listen(t, "127.0.0.1:0")
	s := sender(t, io.Discard, func() []Target { return []Target{c.target} })
	require.NoError(t, s.SendTraces(t.Context(), [][]byte{otlp(t, "before")}))
	c.server.Stop()
	require.Error(t, s.SendTraces(t.Context(), [][]byte{otlp(t, "lost")}))
	again := listen(t, c.target.OTLP)
	require.Eventually(t, func() bool {
		return s.SendTraces(t.Context(), [][]byte{otlp(t, "after")}) == nil
	}, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, []string{"after"}, again.names)
}

func TestOTLPSortsErrors(t *testing.T) {
	c := listen(t, "127.0.0.1:0")
	s := sender(t, io.Discard, func() []Target { return []Target{c.target} })
	busy, err := status.New(codes.ResourceExhausted, "busy").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(3 * time.Second)})
	require.NoError(t, err)
	for _, tt := range []struct {
		answer    error
		permanent bool
		denied    bool
		after     time.Duration
	}{
		{answer: status.Error(codes.InvalidArgument, "bad"), permanent: true},
		{answer: status.Error(codes.Unauthenticated, "who"), denied: true},
		{answer: status.Error(codes.PermissionDenied, "no"), denied: true},
		{answer: status.Error(codes.Unavailable, "later")},
		{answer: status.Error(codes.Unimplemented, "what")},
		{answer: status.Error(codes.Internal, "oops")},
		{answer: busy.Err(), after: 3 * time.Second},
	} {
		c.mu.Lock()
		c.answer = tt.answer
		c.mu.Unlock()
		err := s.SendTraces(t.Context(), [][]byte{otlp(t, "x")})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "the token")
		requireKind(t, err, tt.permanent, tt.denied, tt.after)
	}
	requireKind(t, s.SendTraces(t.Context(), [][]byte{otlp(t, "x"), []byte("garbage")}), true, false, 0)

	for _, tt := range []struct {
		status    int
		permanent bool
		denied    bool
		after     time.Duration
	}{
		{status: 400, permanent: true},
		{status: 404, permanent: true},
		{status: 413, permanent: true},
		{status: 415, permanent: true},
		{status: 401, denied: true},
		{status: 403, denied: true},
		{status: 429, after: 4 * time.Second},
		{status: 503, after: 4 * time.Second},
		{status: 500},
		{status: 302},
	} {
		c.mu.Lock()
		c.status, c.header = tt.status, http.Header{"Retry-After": {"4"}, "Location": {"/elsewhere"}}
		c.mu.Unlock()
		err := s.SendEvidence(t.Context(), picture("p"))
		require.Error(t, err)
		requireKind(t, err, tt.permanent, tt.denied, tt.after)
		require.Contains(t, err.Error(), "because")
	}
	for _, r := range c.puts {
		require.NotEqual(t, "/elsewhere", r.URL.Path, "the token goes nowhere else")
	}
}

func requireKind(t *testing.T, err error, permanent, denied bool, after time.Duration) {
	t.Helper()
	var (
		p *PermanentError
		r *RetryError
	)
	require.Equal(t, permanent, errors.As(err, &p), err)
	require.Equal(t, denied, errors.Is(err, ErrUnauthorized), err)
	require.Equal(t, after > 0, errors.As(err, &r), err)
	if r != nil {
		require.Equal(t, after, r.After)
	}
}

func TestOTLPPartialSuccessIsDeliveredAndSaid(t *testing.T) {
	c := listen(t, "127.0.0.1:0")
	c.partial = "trace 1: too old"
	var logged bytes.Buffer
	s := sender(t, &logged, func() []Target { return []Target{c.target} })
	for range 3 {
		require.NoError(t, s.SendTraces(t.Context(), [][]byte{otlp(t, "x")}))
	}
	require.Equal(t, 1, bytes.Count(logged.Bytes(), []byte("coordinator refused spans")), "not once a batch")
	require.Contains(t, logged.String(), "trace 1: too old")
	require.EqualValues(t, 9, s.Refused())
}

func TestOTLPGivesUpOnASilentCoordinator(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, silent.Close()) }()
	c := listen(t, "127.0.0.1:0")
	quiet := Target{OTLP: silent.Addr().String(), HTTP: "http://" + silent.Addr().String()}
	s := NewOTLP(OTLPOptions{Targets: func() []Target { return []Target{quiet, c.target} }, Timeout: 100 * time.Millisecond})
	defer func() { require.NoError(t, s.Close()) }()
	require.Eventually(t, func() bool {
		return s.SendTraces(t.Context(), [][]byte{otlp(t, "a")}) == nil && s.SendEvidence(t.Context(), picture("p")) == nil
	}, 30*time.Second, time.Millisecond)
}
