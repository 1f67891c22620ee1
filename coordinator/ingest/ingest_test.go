package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/otel/attribute"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/gengfu/gengfu/coordinator/ingest"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/semconv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a Store that keeps everything in memory.
type memory struct {
	mu       sync.Mutex
	runs     map[string]probes.Run
	evidence map[string]probes.Evidence
	fail     error
	block    chan struct{} // Ingest waits until it is closed; nil does not wait
	waiting  int
}

func (m *memory) Ingest(_ context.Context, traces []probes.Trace) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.block != nil {
		block := m.block
		m.waiting++
		m.mu.Unlock()
		<-block
		m.mu.Lock()
	}
	if m.fail != nil {
		return 0, m.fail
	}
	fresh := 0
	for _, tr := range traces {
		if _, have := m.runs[tr.Run.TraceID]; !have {
			fresh++
		}
		m.runs[tr.Run.TraceID] = tr.Run
	}
	return fresh, nil
}

func (m *memory) PutEvidence(_ context.Context, e probes.Evidence) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.evidence[e.SHA256] = e
	return nil
}

func (m *memory) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

const token = "a token"

// house is an Ingest behind real sockets.
type house struct {
	*ingest.Ingest
	store  *memory
	stored int
	url    string
	client collectorpb.TraceServiceClient
}

func serve(t *testing.T, concurrent int, judge ...ingest.Definitions) *house {
	t.Helper()
	h := &house{store: &memory{runs: map[string]probes.Run{}, evidence: map[string]probes.Evidence{}}}
	var mu sync.Mutex
	var err error
	var definitions ingest.Definitions
	if len(judge) > 0 {
		definitions = judge[0]
	}
	h.Ingest, err = ingest.New(ingest.Options{
		Store: h.store, Definitions: definitions, Token: token, Logger: slog.New(slog.DiscardHandler), MaxConcurrent: concurrent,
		OnStored: func() { mu.Lock(); defer mu.Unlock(); h.stored++ },
	})
	require.NoError(t, err)

	mux := http.NewServeMux()
	mux.Handle("POST /v1/traces", h.Traces())
	mux.Handle("PUT /api/v1/evidence/{sha256}", h.Evidence())
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	h.url = web.URL

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer(h.ServerOptions()...)
	h.Register(server)
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(listener) })
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()); server.Stop(); wg.Wait() })
	h.client = collectorpb.NewTraceServiceClient(conn)
	return h
}

func authorized(t *testing.T) context.Context {
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
}

func run(n int) probes.Run {
	key := probes.Key{Service: "shebao", Probe: "page"}
	started := time.Now().UTC().Add(-time.Minute).Round(0)
	slot := probes.SlotAt(key, time.Minute, started)
	return probes.Run{
		Key: key, Slot: slot, Every: time.Minute, Channel: probes.ChannelPortal, Kind: "http", Agent: "agent-a", Vantage: "site-a",
		Trigger: probes.TriggerSlot, Started: started, Took: time.Second, Late: started.Sub(slot),
		TraceID: fmt.Sprintf("%032x", n+1), Result: probes.Result{Verdict: probes.Up, Title: "人社局"},
	}
}

func request(runs ...probes.Run) *collectorpb.ExportTraceServiceRequest {
	req := &collectorpb.ExportTraceServiceRequest{}
	for _, r := range runs {
		id, _ := hex.DecodeString(r.TraceID)
		span := &tracepb.Span{TraceId: id, SpanId: []byte("12345678"), Name: semconv.RootName(r.Key), StartTimeUnixNano: 1, EndTimeUnixNano: 2}
		for _, kv := range semconv.RootAttributes(r) {
			v := &commonpb.AnyValue{}
			switch kv.Value.Type() {
			case attribute.STRING:
				v.Value = &commonpb.AnyValue_StringValue{StringValue: kv.Value.AsString()}
			case attribute.INT64:
				v.Value = &commonpb.AnyValue_IntValue{IntValue: kv.Value.AsInt64()}
			default:
				panic("unexpected attribute type")
			}
			span.Attributes = append(span.Attributes, &commonpb.KeyValue{Key: string(kv.Key), Value: v})
		}
		req.ResourceSpans = append(req.ResourceSpans, &tracepb.ResourceSpans{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{span}}}})
	}
	return req
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	require.NoError(t, err)
	return b
}

// call sends an HTTP request with the right token unless header says otherwise.
func (h *house) call(t *testing.T, method, path string, body []byte, header map[string]string) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.url+path, bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header, got
}

var protobuf = map[string]string{"Content-Type": "application/x-protobuf"}

func TestGRPCStoresThenAcknowledges(t *testing.T) {
	h := serve(t, 0)
	a, b := run(1), run(2)
	resp, err := h.client.Export(authorized(t), request(a, b))
	require.NoError(t, err)
	require.Nil(t, resp.PartialSuccess)
	require.Equal(t, map[string]probes.Run{a.TraceID: a, b.TraceID: b}, h.store.runs)
	require.Equal(t, 1, h.stored)

	_, err = h.client.Export(authorized(t), request(a, run(3)))
	require.NoError(t, err)
	_, err = h.client.Export(authorized(t), request(a))
	require.NoError(t, err)
	require.Equal(t, 2, h.stored, "nothing new, nobody woken")
	require.Equal(t, ingest.Stats{Runs: 3, Duplicates: 2}, h.Stats())
}

func TestGRPCPartialSuccessSaysWhy(t *testing.T) {
	h := serve(t, 0)
	future, odd := run(1), run(2)
	future.Started = time.Now().Add(time.Hour)
	odd.Slot = odd.Slot.Add(time.Millisecond)
	good := run(3)
	resp, err := h.client.Export(authorized(t), request(future, good, odd))
	require.NoError(t, err)
	require.EqualValues(t, 2, resp.PartialSuccess.RejectedSpans)
	require.Contains(t, resp.PartialSuccess.ErrorMessage, future.TraceID+": gengfu.started")
	require.Contains(t, resp.PartialSuccess.ErrorMessage, "in the future")
	require.Contains(t, resp.PartialSuccess.ErrorMessage, "is not a slot")
	require.Len(t, h.store.runs, 1)

	var many []probes.Run
	for i := range 10 {
		r := run(10 + i)
		r.Slot = odd.Slot
		many = append(many, r)
	}
	resp, err = h.client.Export(authorized(t), request(many...))
	require.NoError(t, err)
	require.EqualValues(t, 10, resp.PartialSuccess.RejectedSpans)
	require.Contains(t, resp.PartialSuccess.ErrorMessage, "and 7 more traces")
}

func TestGRPCRefusals(t *testing.T) {
	h := serve(t, 0)
	for _, header := range []string{"", token, "Bearer", "Bearer ", "Bearer wrong", "Basic " + token, "Bearer " + token + " "} {
		_, err := h.client.Export(metadata.AppendToOutgoingContext(t.Context(), "authorization", header), request(run(1)))
		require.Equal(t, codes.Unauthenticated, status.Code(err), "%q", header)
		require.NotContains(t, err.Error(), token)
	}
	_, err := h.client.Export(t.Context(), request(run(1)))
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	require.EqualValues(t, 8, h.Stats().Unauthorized)

	large := run(1)
	req := request(large)
	req.ResourceSpans[0].ScopeSpans[0].Spans[0].Name = strings.Repeat("x", ingest.MaxMessage)
	_, err = h.client.Export(authorized(t), req)
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	_, err = h.client.Export(t.Context(), req)
	require.Equal(t, codes.Unauthenticated, status.Code(err), "a stranger's message is not even read")
	require.Empty(t, h.store.runs)

	h.store.set(func() { h.store.fail = errors.New("database is locked by somebody") })
	_, err = h.client.Export(authorized(t), request(run(1)))
	require.Equal(t, codes.Unavailable, status.Code(err), "the agent keeps its data")
	require.NotContains(t, err.Error(), "database")
	require.NotEmpty(t, retryInfo(err))
	require.Zero(t, h.stored)
}

// A server that lacks ServerOptions is guarded all the same.
func TestExportChecksTheTokenItself(t *testing.T) {
	h := serve(t, 0)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	h.Register(server)
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(listener) })
	defer wg.Wait()
	defer server.Stop()
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	_, err = collectorpb.NewTraceServiceClient(conn).Export(t.Context(), request(run(1)))
	require.Equal(t, codes.Unauthenticated, status.Code(err))
}

func retryInfo(err error) *errdetails.RetryInfo {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return info
		}
	}
	return nil
}

func TestTooManyAtOnceComeAgain(t *testing.T) {
	h := serve(t, 1)
	block := make(chan struct{})
	h.store.set(func() { h.store.block = block })
	first := make(chan int, 1)
	go func() {
		// Over HTTP, since one gRPC connection lets no second request through.
		req, _ := http.NewRequest(http.MethodPost, h.url+"/v1/traces", bytes.NewReader(marshal(t, request(run(1)))))
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/x-protobuf")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			first <- 0
			return
		}
		_ = resp.Body.Close()
		first <- resp.StatusCode
	}()
	require.Eventually(t, func() bool {
		h.store.mu.Lock()
		defer h.store.mu.Unlock()
		return h.store.waiting == 1
	}, 30*time.Second, time.Millisecond)

	_, err := h.client.Export(authorized(t), request(run(2)))
	require.Equal(t, codes.ResourceExhausted, status.Code(err))
	require.NotZero(t, retryInfo(err).GetRetryDelay().AsDuration())
	code, header, body := h.call(t, http.MethodPost, "/v1/traces", marshal(t, request(run(3))), protobuf)
	require.Equal(t, http.StatusTooManyRequests, code)
	require.NotEmpty(t, header.Get("Retry-After"))
	var st statuspb.Status
	require.NoError(t, proto.Unmarshal(body, &st))
	require.EqualValues(t, codes.ResourceExhausted, st.Code)

	close(block)
	require.Equal(t, http.StatusOK, <-first)
	require.EqualValues(t, 2, h.Stats().Busy)
	code, _, _ = h.call(t, http.MethodPost, "/v1/traces", marshal(t, request(run(3))), protobuf)
	require.Equal(t, http.StatusOK, code, "the place is free again")
	for range 2 {
		_, err = h.client.Export(authorized(t), request(run(4)))
		require.NoError(t, err, "and again after a request over gRPC")
	}
}

func compress(t *testing.T, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, err := z.Write(b)
	require.NoError(t, errors.Join(err, z.Close()))
	return buf.Bytes()
}

func TestHTTPTakesProtobufAndJSON(t *testing.T) {
	h := serve(t, 0)
	a, b, c := run(1), run(2), run(3)
	code, header, body := h.call(t, http.MethodPost, "/v1/traces", marshal(t, request(a)), protobuf)
	require.Equal(t, http.StatusOK, code, string(body))
	require.Equal(t, "application/x-protobuf", header.Get("Content-Type"))
	require.NoError(t, proto.Unmarshal(body, &collectorpb.ExportTraceServiceResponse{}))

	code, _, _ = h.call(t, http.MethodPost, "/v1/traces", compress(t, marshal(t, request(b))), map[string]string{
		"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip",
	})
	require.Equal(t, http.StatusOK, code)

	// As the Collector writes JSON: ids in hexadecimal.
	req := ptraceotlp.NewExportRequest()
	require.NoError(t, req.UnmarshalProto(marshal(t, request(c))))
	text, err := req.MarshalJSON()
	require.NoError(t, err)
	require.Contains(t, string(text), c.TraceID)
	code, header, body = h.call(t, http.MethodPost, "/v1/traces", text, map[string]string{"Content-Type": "application/json; charset=utf-8"})
	require.Equal(t, http.StatusOK, code, string(body))
	require.Equal(t, "application/json", header.Get("Content-Type"))
	require.JSONEq(t, "{}", string(body))
	require.Equal(t, map[string]probes.Run{a.TraceID: a, b.TraceID: b, c.TraceID: c}, h.store.runs)

	odd := run(4)
	odd.Slot = odd.Slot.Add(time.Millisecond)
	require.NoError(t, req.UnmarshalProto(marshal(t, request(odd))))
	text, err = req.MarshalJSON()
	require.NoError(t, err)
	code, _, body = h.call(t, http.MethodPost, "/v1/traces", text, map[string]string{"Content-Type": "application/json"})
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, string(body), `"rejectedSpans":"1"`)
}

func TestHTTPRefusals(t *testing.T) {
	h := serve(t, 0)
	good := marshal(t, request(run(1)))
	bomb := compress(t, make([]byte, ingest.MaxMessage+1))
	require.Less(t, len(bomb), 1<<20)
	with := func(more map[string]string) map[string]string {
		m := map[string]string{"Content-Type": "application/x-protobuf"}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	for _, tt := range []struct {
		name   string
		body   []byte
		header map[string]string
		code   int
		text   string
	}{
		{"wrong token", good, with(map[string]string{"Authorization": "Bearer wrong"}), http.StatusUnauthorized, "bearer token"},
		{"no token", good, with(map[string]string{"Authorization": ""}), http.StatusUnauthorized, "cluster key"},
		{"no type", good, map[string]string{"Content-Type": ""}, http.StatusUnsupportedMediaType, "want Content-Type"},
		{"odd type", good, map[string]string{"Content-Type": "text/html"}, http.StatusUnsupportedMediaType, "want Content-Type"},
		{"odd encoding", good, with(map[string]string{"Content-Encoding": "br"}), http.StatusUnsupportedMediaType, "want Content-Encoding"},
		{"not gzip", good, with(map[string]string{"Content-Encoding": "gzip"}), http.StatusBadRequest, "reading the body"},
		{"cut gzip", compress(t, good)[:20], with(map[string]string{"Content-Encoding": "gzip"}), http.StatusBadRequest, "reading the body"},
		{"too large", make([]byte, ingest.MaxMessage+1), with(nil), http.StatusRequestEntityTooLarge, "want at most"},
		{"bomb", bomb, with(map[string]string{"Content-Encoding": "gzip"}), http.StatusRequestEntityTooLarge, "want at most"},
		{"garbage", []byte("garbage"), with(nil), http.StatusBadRequest, "reading OTLP"},
		{"garbage JSON", []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"zz"}]}]}]}`), map[string]string{"Content-Type": "application/json"}, http.StatusBadRequest, "reading OTLP"},
		{"cut JSON", []byte(`{"resourceSpans":[`), map[string]string{"Content-Type": "application/json"}, http.StatusBadRequest, "reading OTLP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, _, body := h.call(t, http.MethodPost, "/v1/traces", tt.body, tt.header)
			require.Equal(t, tt.code, code, string(body))
			require.Contains(t, string(body), tt.text)
		})
	}
	require.Empty(t, h.store.runs)

	h.store.set(func() { h.store.fail = errors.New("disk") })
	code, header, body := h.call(t, http.MethodPost, "/v1/traces", good, protobuf)
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.NotEmpty(t, header.Get("Retry-After"))
	require.Contains(t, string(body), "keep the data")
	require.NotContains(t, string(body), "disk")
}

func TestEvidence(t *testing.T) {
	h := serve(t, 0)
	data := []byte("\xff\xd8\xff picture")
	sum := sha256.Sum256(data)
	path := "/api/v1/evidence/" + hex.EncodeToString(sum[:])
	jpeg := map[string]string{"Content-Type": "image/jpeg"}
	for range 2 {
		code, _, body := h.call(t, http.MethodPut, path, data, jpeg)
		require.Equal(t, http.StatusNoContent, code, string(body))
	}
	require.Equal(t, map[string]probes.Evidence{path[len("/api/v1/evidence/"):]: {
		Kind: "screenshot", MIME: "image/jpeg", SHA256: hex.EncodeToString(sum[:]), Size: len(data), Data: data,
	}}, h.store.evidence)

	text := []byte("系统维护中")
	textSum := sha256.Sum256(text)
	for _, media := range []string{"text/plain", "text/plain; charset=utf-8"} {
		code, _, body := h.call(t, http.MethodPut, "/api/v1/evidence/"+hex.EncodeToString(textSum[:]), text, map[string]string{"Content-Type": media})
		require.Equal(t, http.StatusNoContent, code, string(body))
		kept := h.store.evidence[hex.EncodeToString(textSum[:])]
		require.Equal(t, "body", kept.Kind)
		require.Equal(t, "text/plain; charset=utf-8", kept.MIME)
	}

	large := make([]byte, ingest.MaxEvidence+1)
	largeSum := sha256.Sum256(large)
	for _, tt := range []struct {
		name, path string
		body       []byte
		header     map[string]string
		code       int
	}{
		{"wrong token", path, data, map[string]string{"Content-Type": "image/jpeg", "Authorization": "Bearer x"}, http.StatusUnauthorized},
		{"other content", path, []byte("other"), jpeg, http.StatusBadRequest},
		{"short address", "/api/v1/evidence/abc", data, jpeg, http.StatusBadRequest},
		{"upper case", "/api/v1/evidence/" + strings.ToUpper(path[len("/api/v1/evidence/"):]), data, jpeg, http.StatusBadRequest},
		{"a page", path, data, map[string]string{"Content-Type": "text/html"}, http.StatusUnsupportedMediaType},
		{"a drawing with scripts", path, data, map[string]string{"Content-Type": "image/svg+xml"}, http.StatusUnsupportedMediaType},
		{"no type", path, data, map[string]string{"Content-Type": ""}, http.StatusUnsupportedMediaType},
		{"too large", "/api/v1/evidence/" + hex.EncodeToString(largeSum[:]), large, jpeg, http.StatusRequestEntityTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, _, body := h.call(t, http.MethodPut, tt.path, tt.body, tt.header)
			require.Equal(t, tt.code, code, string(body))
		})
	}
	require.Len(t, h.store.evidence, 2)
	h.store.set(func() { h.store.fail = errors.New("disk") })
	code, header, _ := h.call(t, http.MethodPut, path, data, jpeg)
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.NotEmpty(t, header.Get("Retry-After"))
}

func TestNewNamesEveryMistake(t *testing.T) {
	_, err := ingest.New(ingest.Options{})
	require.ErrorContains(t, err, "want a store")
	require.ErrorContains(t, err, "want a token")
	require.ErrorContains(t, err, "want a logger")
}

// Whatever comes by HTTP, the server answers and stores only what is whole.
func FuzzHTTP(f *testing.F) {
	store := &memory{runs: map[string]probes.Run{}, evidence: map[string]probes.Evidence{}}
	i, err := ingest.New(ingest.Options{Store: store, Token: token, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(f, err)
	body, err := proto.Marshal(request(run(1)))
	require.NoError(f, err)
	req := ptraceotlp.NewExportRequest()
	require.NoError(f, req.UnmarshalProto(body))
	text, err := req.MarshalJSON()
	require.NoError(f, err)
	f.Add(body, false)
	f.Add(text, true)
	f.Fuzz(func(t *testing.T, body []byte, isJSON bool) {
		r := httptest.NewRequest(http.MethodPost, "/v1/traces", bytes.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", map[bool]string{false: "application/x-protobuf", true: "application/json"}[isJSON])
		w := httptest.NewRecorder()
		i.Traces().ServeHTTP(w, r)
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, w.Code)
		for _, run := range store.runs {
			require.NotEmpty(t, run.Key.Service)
		}
		clear(store.runs)
	})
}
