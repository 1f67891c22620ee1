// Package telemetry turns each run into one OpenTelemetry trace: a root span
// with the verdict and the whole result, and a child span for every step and
// phase. It uses the OpenTelemetry SDK with a provider of its own, so that
// traces of probes and traces of the agent itself can never mix.
package telemetry

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/semconv"
)

// Options say whose runs are traced and where traces go.
type Options struct {
	Agent   string            // the agent's name in the cluster
	Vantage string            // its site
	Labels  map[string]string // its labels
	Version string            // of the program; may be empty
	// Sink takes one finished trace as an OTLP TracesData message. It is called
	// once a run, by End. Nil drops traces.
	Sink func(ctx context.Context, otlp []byte) error
}

// Telemetry makes traces. It is safe for concurrent use and owns no goroutine.
type Telemetry struct {
	tracer trace.Tracer
	sink   func(ctx context.Context, otlp []byte) error
	wire   *encoder
	open   openTraces
}

// Bounds on one span. A root span holds a whole result; a JSON object in it may
// be 64 KiB, which the SDK must not cut.
const (
	maxAttributes = 512
	maxValue      = 64 << 10
	scope         = "github.com/gengfu/gengfu/agent"
)

// New makes a Telemetry. It reads neither the environment nor any global.
func New(o Options) *Telemetry {
	about := resource.NewWithAttributes(semconv.SchemaURL, semconv.ResourceAttributes(o.Agent, o.Vantage, o.Version, o.Labels)...)
	t := &Telemetry{sink: o.Sink, wire: newEncoder(about), open: openTraces{byID: map[trace.TraceID]*Trace{}}}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithResource(about),
		sdktrace.WithSampler(sdktrace.AlwaysSample()),
		sdktrace.WithRawSpanLimits(sdktrace.SpanLimits{
			AttributeCountLimit:       maxAttributes,
			AttributeValueLengthLimit: maxValue,
			AttributeValueDepthLimit:  4,
		}),
		sdktrace.WithSpanProcessor(&t.open),
	)
	t.tracer = provider.Tracer(scope)
	return t
}

// Begin opens the trace of run. The context it returns carries the root span.
// Whoever begins a trace ends it.
func (t *Telemetry) Begin(ctx context.Context, run probes.Run) (context.Context, *Trace) {
	started := run.Started
	if started.IsZero() {
		started = time.Now()
	}
	ctx, root := t.tracer.Start(ctx, semconv.RootName(run.Key), trace.WithNewRoot(), trace.WithTimestamp(started))
	tr := &Trace{owner: t, root: root, id: root.SpanContext().TraceID(), started: started, running: map[trace.SpanID]trace.Span{}}
	t.open.put(tr)
	return ctx, tr
}

// openTraces is the SDK's span processor: it hands every ended span to the
// trace that it belongs to.
type openTraces struct {
	mu   sync.Mutex
	byID map[trace.TraceID]*Trace
}

func (o *openTraces) put(t *Trace) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.byID[t.id] = t
}

func (o *openTraces) take(id trace.TraceID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.byID, id)
}

// OnStart implements sdktrace.SpanProcessor.
func (o *openTraces) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor.
func (o *openTraces) OnEnd(s sdktrace.ReadOnlySpan) {
	o.mu.Lock()
	t := o.byID[s.SpanContext().TraceID()]
	o.mu.Unlock()
	if t != nil {
		t.done = append(t.done, s) // its mutex is held by whoever ends a span
	}
}

// Shutdown implements sdktrace.SpanProcessor.
func (o *openTraces) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (o *openTraces) ForceFlush(context.Context) error { return nil }

func attributes(attrs []probes.Attr) []attribute.KeyValue {
	if len(attrs) > maxChildAttributes {
		attrs = attrs[:maxChildAttributes]
	}
	out := make([]attribute.KeyValue, 0, len(attrs))
	for _, a := range attrs {
		key := semconv.Text(a.Key)
		if semconv.RootOnly(key) {
			continue
		}
		switch v := a.Value.(type) {
		case string:
			out = append(out, attribute.String(key, semconv.Text(v)))
		case bool:
			out = append(out, attribute.Bool(key, v))
		case int:
			out = append(out, attribute.Int(key, v))
		case int64:
			out = append(out, attribute.Int64(key, v))
		case float64:
			out = append(out, attribute.Float64(key, v))
		case []string:
			list := make([]string, 0, min(len(v), maxList))
			for _, s := range v[:min(len(v), maxList)] {
				list = append(list, semconv.Text(s))
			}
			out = append(out, attribute.StringSlice(key, list))
		default:
			out = append(out, attribute.String(key, semconv.Text(fmt.Sprint(v))))
		}
	}
	return out
}
