package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/gengfu/gengfu/agent/telemetry"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/semconv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink keeps what it is handed.
type sink struct {
	mu   sync.Mutex
	got  [][]byte
	fail error
}

func (s *sink) keep(_ context.Context, otlp []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, otlp)
	return s.fail
}

func open(s *sink) *telemetry.Telemetry {
	return telemetry.New(telemetry.Options{
		Agent: "agent-a", Vantage: "site-a", Labels: map[string]string{"isp": "telecom"}, Version: "v1", Sink: s.keep,
	})
}

func start() probes.Run {
	key := probes.Key{Service: "shebao", Probe: "page"}
	started := time.Now().UTC().Round(0)
	slot := probes.SlotAt(key, time.Minute, started)
	return probes.Run{
		Key: key, Slot: slot, Every: time.Minute, Channel: probes.ChannelPortal, Kind: "http",
		Agent: "agent-a", Vantage: "site-a", Labels: map[string]string{"isp": "telecom"},
		Revision: "abc", Trigger: probes.TriggerSlot, Started: started, Late: started.Sub(slot),
	}
}

func decode(t *testing.T, otlp []byte) (probes.Run, []probes.Span, *tracepb.TracesData) {
	t.Helper()
	data := &tracepb.TracesData{}
	require.NoError(t, proto.Unmarshal(otlp, data))
	traces, rejected := semconv.Decode(data.ResourceSpans, time.Now())
	require.Empty(t, rejected)
	require.Len(t, traces, 1)
	spans, err := semconv.Spans(traces[0].OTLP)
	require.NoError(t, err)
	return traces[0].Run, spans, data
}

func TestARunIsOneTrace(t *testing.T) {
	var s sink
	run := start()
	ctx, tr := open(&s).Begin(t.Context(), run)

	boom := &probes.Failure{Class: probes.ClassSoft404, Phrase: probes.PhraseSoft404, Got: "《404》"}
	require.Equal(t, boom, tr.Step(ctx, "request", func(ctx context.Context) error {
		tr.Phase(ctx, probes.Phase{Name: "dns", Start: run.Started, End: run.Started.Add(5 * time.Millisecond), Attrs: []probes.Attr{
			{Key: "server.address", Value: "x.test"},
			{Key: "n", Value: 3},
			{Key: "n64", Value: int64(4)},
			{Key: "f", Value: 1.5},
			{Key: "b", Value: true},
			{Key: "list", Value: []string{"a", "b"}},
			{Key: "took", Value: time.Second},
			{Key: "gengfu.verdict", Value: "up"}, // the mark of a root span would make two runs of one
		}})
		tr.Phase(ctx, probes.Phase{Name: "connect", Start: run.Started.Add(5 * time.Millisecond), End: run.Started.Add(9 * time.Millisecond), Err: &net.OpError{Op: "dial", Err: errors.New("refused")}})
		tr.Annotate(ctx, probes.Attr{Key: "http.request.method", Value: "GET"}, probes.Attr{Key: "gengfu.verdict", Value: "up"})
		require.Equal(t, "00-"+tr.ID()+"-", tr.Traceparent(ctx)[:36])
		return boom
	}))
	require.NotEmpty(t, tr.Traceparent(ctx))
	// What belongs to the run is not a kind's to set.
	tr.Annotate(ctx, probes.Attr{Key: "gengfu.title", Value: "x"}, probes.Attr{Key: "http.response.status_code", Value: "x"}, probes.Attr{Key: "server.port", Value: 443})

	run.Took = 20 * time.Millisecond
	run.TraceID = tr.ID()
	run.Result.Fail(boom.Finding("request"))
	require.NoError(t, tr.End(t.Context(), run))
	require.Len(t, s.got, 1)

	got, spans, data := decode(t, s.got[0])
	require.Equal(t, run, got)
	require.Len(t, data.ResourceSpans, 1)
	resource := map[string]string{}
	for _, kv := range data.ResourceSpans[0].Resource.Attributes {
		resource[kv.Key] = kv.Value.GetStringValue()
	}
	require.Equal(t, map[string]string{
		"service.name": "gengfu-agent", "service.instance.id": "agent-a", "service.version": "v1",
		"gengfu.vantage": "site-a", "gengfu.label.isp": "telecom",
	}, resource)

	byName := map[string]probes.Span{}
	for _, sp := range spans {
		byName[sp.Name] = sp
	}
	root, request, dns, connect := byName["probe shebao/page"], byName["request"], byName["dns"], byName["connect"]
	require.Equal(t, probes.ClassSoft404, root.Class)
	require.Equal(t, "request: soft_404: got 《404》", root.Error)
	require.Equal(t, boom.Finding("request"), root.Finding)
	require.Equal(t, run.Started, root.Start)
	require.Equal(t, run.Took, root.Took)
	require.Equal(t, "443", root.Attrs["server.port"])
	require.NotContains(t, root.Attrs, "gengfu.title")
	require.Equal(t, root.ID, request.Parent)
	require.Equal(t, probes.ClassSoft404, request.Class)
	require.Equal(t, boom.Finding(""), request.Finding)
	require.Equal(t, map[string]string{"http.request.method": "GET"}, request.Attrs, "the finding is no attribute to be read beside it")
	require.Equal(t, request.ID, dns.Parent)
	require.Equal(t, 5*time.Millisecond, dns.Took)
	require.Empty(t, dns.Error)
	require.Equal(t, map[string]string{"server.address": "x.test", "n": "3", "n64": "4", "f": "1.5", "b": "true", "list": "a, b", "took": "1s"}, dns.Attrs)
	require.Equal(t, probes.ClassConnect, connect.Class)
	require.Contains(t, connect.Error, "refused")
	require.Zero(t, connect.Finding, "an error is no more than its text")
}

func TestStatusIsHonest(t *testing.T) {
	for verdict, want := range map[probes.Verdict]tracepb.Status_StatusCode{
		probes.Up: tracepb.Status_STATUS_CODE_OK, probes.Degraded: tracepb.Status_STATUS_CODE_UNSET,
		probes.Down: tracepb.Status_STATUS_CODE_ERROR, probes.Unknown: tracepb.Status_STATUS_CODE_ERROR,
	} {
		var s sink
		run := start()
		_, tr := open(&s).Begin(t.Context(), run)
		run.Result = probes.Result{Verdict: verdict}
		require.NoError(t, tr.End(t.Context(), run))
		_, _, data := decode(t, s.got[0])
		require.Equal(t, want, data.ResourceSpans[0].ScopeSpans[0].Spans[0].Status.Code, verdict)
	}
}

func TestAnErrorOfNoClass(t *testing.T) {
	var s sink
	run := start()
	ctx, tr := open(&s).Begin(t.Context(), run)
	_ = tr.Step(ctx, "odd", func(context.Context) error { return errors.New("bad \xff bytes\nand lines") })
	require.NoError(t, tr.End(t.Context(), run))
	_, spans, _ := decode(t, s.got[0])
	require.Equal(t, "_OTHER", spans[1].Attrs["error.type"])
	require.Equal(t, "bad \uFFFD bytes and lines", spans[1].Error)
}

func TestEndClosesWhatIsOpen(t *testing.T) {
	var s sink
	run := start()
	ctx, tr := open(&s).Begin(t.Context(), run)
	inside, release, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		_ = tr.Step(ctx, "stuck", func(ctx context.Context) error {
			close(inside)
			<-release
			tr.Phase(ctx, probes.Phase{Name: "too late", Start: time.Now(), End: time.Now()})
			return tr.Step(ctx, "too late", func(context.Context) error { return nil })
		})
	}()
	<-inside
	require.NoError(t, tr.End(t.Context(), run))
	close(release)
	<-over
	_, spans, _ := decode(t, s.got[0])
	require.Len(t, spans, 2)
	require.Equal(t, "stuck", spans[1].Name)
	require.Equal(t, "true", spans[1].Attrs["gengfu.unfinished"])
	require.Error(t, tr.End(t.Context(), run), "a trace ends once")
	require.Len(t, s.got, 1)
}

func TestAPanicClosesItsSpan(t *testing.T) {
	var s sink
	run := start()
	ctx, tr := open(&s).Begin(t.Context(), run)
	require.Panics(t, func() { _ = tr.Step(ctx, "p", func(context.Context) error { panic("oops") }) })
	require.NoError(t, tr.End(t.Context(), run))
	_, spans, _ := decode(t, s.got[0])
	require.Len(t, spans, 2)
	require.NotContains(t, spans[1].Attrs, "gengfu.unfinished")
}

func TestSpansAreBoundedAndCounted(t *testing.T) {
	var s sink
	run := start()
	ctx, tr := open(&s).Begin(t.Context(), run)
	for i := range 400 {
		tr.Phase(ctx, probes.Phase{Name: "resource", Start: run.Started, End: run.Started.Add(time.Duration(i))})
	}
	for range 80 {
		require.NoError(t, tr.Step(ctx, "step", func(context.Context) error { return nil }))
	}
	require.NoError(t, tr.End(t.Context(), run))
	_, spans, _ := decode(t, s.got[0])
	require.Len(t, spans, 301)
	require.Equal(t, "180", spans[0].Attrs["gengfu.spans.dropped"])
}

func TestATooLargeTraceKeepsItsRun(t *testing.T) {
	var s sink
	run := start()
	ctx, tr := open(&s).Begin(t.Context(), run)
	var attrs []probes.Attr
	for i := range 100 {
		attrs = append(attrs, probes.Attr{Key: fmt.Sprint(i), Value: strings.Repeat("长", 9999)})
	}
	for range 200 {
		tr.Phase(ctx, probes.Phase{Name: "resource", Start: run.Started, End: run.Started, Attrs: attrs})
	}
	run.TraceID = tr.ID()
	run.Result.Verdict = probes.Up
	require.NoError(t, tr.End(t.Context(), run))
	require.Less(t, len(s.got[0]), semconv.MaxTraceBytes)
	got, spans, _ := decode(t, s.got[0])
	require.Equal(t, run, got)
	require.Len(t, spans, 201, "attributes go before spans do")
	require.Empty(t, spans[1].Attrs)
}

func TestConcurrentRunsAndSteps(t *testing.T) {
	var s sink
	tel := open(&s)
	var runs sync.WaitGroup
	for range 8 {
		runs.Go(func() {
			run := start()
			ctx, tr := tel.Begin(context.Background(), run)
			var steps sync.WaitGroup
			for range 20 {
				steps.Go(func() {
					_ = tr.Step(ctx, "step", func(ctx context.Context) error {
						tr.Phase(ctx, probes.Phase{Name: "phase", Start: run.Started, End: run.Started})
						tr.Annotate(ctx, probes.Attr{Key: "a", Value: "b"})
						_ = tr.Traceparent(context.Background())
						return nil
					})
				})
			}
			steps.Wait()
			if err := tr.End(context.Background(), run); err != nil {
				t.Error(err)
			}
		})
	}
	runs.Wait()
	require.Len(t, s.got, 8)
	for _, otlp := range s.got {
		_, spans, _ := decode(t, otlp)
		require.Len(t, spans, 41)
	}
}

func TestForeignContextsHangOnTheRoot(t *testing.T) {
	var s sink
	other := trace.NewTracerProvider()
	ctx, outer := other.Tracer("x").Start(t.Context(), "outer")
	run := start()
	_, tr := open(&s).Begin(ctx, run)
	require.NotEqual(t, outer.SpanContext().TraceID().String(), tr.ID(), "a run is a trace of its own")
	require.NoError(t, tr.Step(ctx, "step", func(context.Context) error { return nil }))
	require.NoError(t, tr.End(ctx, run))
	_, spans, _ := decode(t, s.got[0])
	require.Len(t, spans, 2)
	require.Equal(t, spans[0].ID, spans[1].Parent)
}

func TestTheSinksErrorComesBack(t *testing.T) {
	s := sink{fail: errors.New("disk full")}
	run := start()
	_, tr := open(&s).Begin(t.Context(), run)
	require.ErrorIs(t, tr.End(t.Context(), run), s.fail)

	_, tr = telemetry.New(telemetry.Options{Agent: "a", Vantage: "v"}).Begin(t.Context(), run)
	require.NoError(t, tr.End(t.Context(), run), "without a sink nothing is kept")
}
