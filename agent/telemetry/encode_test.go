package telemetry

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/gengfu/gengfu/probes"
)

// sdkSays is what the SDK's own exporter makes of spans.
func sdkSays(t require.TestingT, spans []sdktrace.ReadOnlySpan) *tracepb.TracesData {
	var c capture
	require.NoError(t, otlptrace.NewUnstarted(&c).ExportSpans(context.Background(), spans))
	return &tracepb.TracesData{ResourceSpans: c.spans}
}

func decoded(t require.TestingT, otlp []byte) *tracepb.TracesData {
	data := &tracepb.TracesData{}
	require.NoError(t, proto.Unmarshal(otlp, data))
	return data
}

var about = sdkresource.NewWithAttributes("https://schema.example/1", attribute.String("service.name", "x"), attribute.Int("n", -4))

func drawValue(t *rapid.T) attribute.Value {
	switch rapid.IntRange(0, 4).Draw(t, "type") {
	case 0:
		return attribute.BoolValue(rapid.Bool().Draw(t, "bool"))
	case 1:
		return attribute.Int64Value(rapid.Int64().Draw(t, "int"))
	case 2:
		return attribute.Float64Value(rapid.SampledFrom([]float64{0, -1.5, math.Inf(1), 1e300}).Draw(t, "float"))
	case 3:
		return attribute.StringSliceValue(rapid.SliceOfN(rapid.String(), 0, 4).Draw(t, "list"))
	}
	return attribute.StringValue(rapid.String().Draw(t, "text"))
}

func drawSpan(t *rapid.T) sdktrace.ReadOnlySpan {
	id := func(name string) (id trace.SpanID) {
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, name))
		return id
	}
	stub := tracetest.SpanStub{
		Name:        rapid.String().Draw(t, "name"),
		SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2, 3}, SpanID: id("id"), TraceFlags: trace.TraceFlags(rapid.Byte().Draw(t, "flags"))}),
		Parent: trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: trace.TraceID{1, 2, 3}, SpanID: id("parent"), Remote: rapid.Bool().Draw(t, "remote"),
		}),
		SpanKind:             rapid.SampledFrom([]trace.SpanKind{trace.SpanKindInternal, trace.SpanKindClient}).Draw(t, "kind"),
		StartTime:            time.Unix(0, rapid.Int64Range(-5, math.MaxInt64).Draw(t, "start")),
		EndTime:              time.Unix(0, rapid.Int64Range(0, math.MaxInt64).Draw(t, "end")),
		Status:               sdktrace.Status{Code: rapid.SampledFrom([]codes.Code{codes.Unset, codes.Ok, codes.Error}).Draw(t, "code"), Description: rapid.String().Draw(t, "description")},
		DroppedAttributes:    rapid.IntRange(0, 300).Draw(t, "dropped"),
		Resource:             about,
		InstrumentationScope: instrumentation.Scope{Name: scope},
	}
	for range rapid.IntRange(0, 6).Draw(t, "attributes") {
		stub.Attributes = append(stub.Attributes, attribute.KeyValue{Key: attribute.Key(rapid.String().Draw(t, "key")), Value: drawValue(t)})
	}
	return stub.Snapshot()
}

// Whatever spans hold, our bytes say what the SDK's exporter would.
func TestTheWireSaysWhatTheSDKWould(t *testing.T) {
	e := newEncoder(about)
	rapid.Check(t, func(t *rapid.T) {
		var spans []sdktrace.ReadOnlySpan
		for range rapid.IntRange(1, 5).Draw(t, "spans") {
			spans = append(spans, drawSpan(t))
		}
		otlp := e.quick(spans)
		require.NotNil(t, otlp)
		want, got := sdkSays(t, spans), decoded(t, otlp)
		require.True(t, proto.Equal(want, got), "want %v\ngot  %v", want, got)
	})
}

func TestWhatTheWireCannotSayIsLeftToTheSDK(t *testing.T) {
	e := newEncoder(about)
	for name, change := range map[string]func(*tracetest.SpanStub){
		"an event":          func(s *tracetest.SpanStub) { s.Events = []sdktrace.Event{{Name: "e"}} },
		"a link":            func(s *tracetest.SpanStub) { s.Links = []sdktrace.Link{{}} },
		"dropped events":    func(s *tracetest.SpanStub) { s.DroppedEvents = 1 },
		"dropped links":     func(s *tracetest.SpanStub) { s.DroppedLinks = 1 },
		"a list of numbers": func(s *tracetest.SpanStub) { s.Attributes = []attribute.KeyValue{attribute.IntSlice("n", []int{1})} },
	} {
		stub := tracetest.SpanStub{Name: "x", Resource: about, InstrumentationScope: instrumentation.Scope{Name: scope}}
		change(&stub)
		spans := []sdktrace.ReadOnlySpan{stub.Snapshot()}
		require.Nil(t, e.quick(spans), name)
		otlp, err := e.encode(t.Context(), spans)
		require.NoError(t, err)
		require.True(t, proto.Equal(sdkSays(t, spans), decoded(t, otlp)), name)
	}
}

// A text that is not UTF-8 would be refused by whoever reads it, for ever.
func TestNoTextIsWrittenThatCannotBeRead(t *testing.T) {
	e := newEncoder(about)
	for name, change := range map[string]func(*tracetest.SpanStub){
		"name":   func(s *tracetest.SpanStub) { s.Name = "\xff" },
		"status": func(s *tracetest.SpanStub) { s.Status.Description = "\xff" },
		"key":    func(s *tracetest.SpanStub) { s.Attributes = []attribute.KeyValue{attribute.Int("\xff", 1)} },
		"value":  func(s *tracetest.SpanStub) { s.Attributes = []attribute.KeyValue{attribute.String("k", "\xff")} },
		"list": func(s *tracetest.SpanStub) {
			s.Attributes = []attribute.KeyValue{attribute.StringSlice("k", []string{"\xff"})}
		},
	} {
		stub := tracetest.SpanStub{Name: "x", Resource: about, InstrumentationScope: instrumentation.Scope{Name: scope}}
		change(&stub)
		_, err := e.encode(t.Context(), []sdktrace.ReadOnlySpan{stub.Snapshot()})
		require.ErrorContains(t, err, "UTF-8", name)
	}
}

func TestTracesShareNoBytes(t *testing.T) {
	e := newEncoder(about)
	one := []sdktrace.ReadOnlySpan{tracetest.SpanStub{Name: "one", Resource: about}.Snapshot()}
	two := []sdktrace.ReadOnlySpan{tracetest.SpanStub{Name: "two", Resource: about}.Snapshot()}
	first := e.quick(one)
	e.quick(two)
	require.Equal(t, "one", decoded(t, first).ResourceSpans[0].ScopeSpans[0].Spans[0].Name)
}

func BenchmarkTrace(b *testing.B) {
	tel := New(Options{Agent: "agent-a", Vantage: "site-a", Labels: map[string]string{"isp": "telecom"}, Sink: func(context.Context, []byte) error { return nil }})
	run := probes.Run{
		Key: probes.Key{Service: "shebao", Probe: "page"}, Every: time.Minute, Channel: probes.ChannelPortal, Kind: "http",
		Agent: "agent-a", Vantage: "site-a", Labels: map[string]string{"isp": "telecom"}, Revision: "abc", Trigger: probes.TriggerSlot,
		Result: probes.Result{
			Verdict: probes.Up, Status: 200, URL: "https://h5.example.test/shebao/quanyi", IP: "192.0.2.1", Title: "社保个人权益记录查询", Steps: 1, Passed: 1,
			Checks: []probes.Check{{Expr: "status == 200", OK: true, Saw: "status = 200"}}, Measures: map[string]float64{"body_bytes": 2000, "redirects": 0},
		},
	}
	b.ReportAllocs()
	for b.Loop() {
		run.Started = time.Now()
		ctx, tr := tel.Begin(context.Background(), run)
		_ = tr.Step(ctx, "request", func(ctx context.Context) error {
			tr.Annotate(ctx, probes.Attr{Key: "http.request.method", Value: "GET"}, probes.Attr{Key: "url.full", Value: run.Result.URL})
			for _, name := range []string{"connect", "request", "first_byte", "body"} {
				tr.Phase(ctx, probes.Phase{Name: name, Start: run.Started, End: run.Started.Add(time.Millisecond), Attrs: []probes.Attr{{Key: "network.peer.address", Value: "192.0.2.1"}}})
			}
			return nil
		})
		run.Took = time.Millisecond
		if err := tr.End(context.Background(), run); err != nil {
			b.Fatal(err)
		}
	}
}
