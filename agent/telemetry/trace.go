package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/semconv"
)

// Bounds on one run. Phases leave steps some room: a page with a thousand
// pictures must not hide what the steps did.
const (
	maxSpans           = 300
	maxPhases          = 250
	maxChildAttributes = 64
	maxList            = 64
)

// Trace is the open trace of one run. It implements probes.Recorder and is safe
// for concurrent use. After End it records nothing more.
type Trace struct {
	owner   *Telemetry
	root    trace.Span
	id      trace.TraceID
	started time.Time

	// mu guards what follows. Spans end under it, so that none of them can end
	// between the moment a trace is whole and the moment it is handed on.
	mu      sync.Mutex
	ended   bool
	spans   int // made, the root not counted
	phases  int // of those
	dropped int
	running map[trace.SpanID]trace.Span
	done    []sdktrace.ReadOnlySpan
}

var _ probes.Recorder = (*Trace)(nil)

var errEnded = errors.New("ending a trace: it has ended already")

// ID is the trace id, 32 hex digits.
func (t *Trace) ID() string { return t.id.String() }

// Traceparent is the W3C trace context of the span in ctx, for requests.
func (t *Trace) Traceparent(ctx context.Context) string {
	sc := trace.SpanContextFromContext(t.within(ctx))
	return "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-" + sc.TraceFlags().String()
}

// within returns ctx with a span of this trace in it: its own or the root.
func (t *Trace) within(ctx context.Context) context.Context {
	if trace.SpanContextFromContext(ctx).TraceID() == t.id {
		return ctx
	}
	return trace.ContextWithSpan(ctx, t.root)
}

// Step implements probes.Recorder.
func (t *Trace) Step(ctx context.Context, name string, do func(ctx context.Context) error) error {
	ctx = t.within(ctx)
	inner, span := t.start(ctx, name, false)
	if span == nil {
		return do(ctx)
	}
	// A panic in do still closes the span; who recovers it says what it was.
	defer t.finish(span)
	err := do(inner)
	if err != nil {
		blame(span, className(err), err)
	}
	return err
}

// Phase implements probes.Recorder.
func (t *Trace) Phase(ctx context.Context, p probes.Phase) {
	if p.Start.IsZero() {
		p.Start = p.End
	}
	if p.Start.IsZero() {
		return
	}
	if p.End.Before(p.Start) {
		p.End = p.Start
	}
	_, span := t.start(t.within(ctx), p.Name, true, trace.WithTimestamp(p.Start), trace.WithAttributes(attributes(p.Attrs)...))
	if span == nil {
		return
	}
	switch {
	case p.Class != probes.ClassNone:
		blame(span, string(p.Class), p.Err)
	case p.Err != nil:
		blame(span, className(p.Err), p.Err)
	}
	t.finish(span, trace.WithTimestamp(p.End))
}

// blame marks span as failed: by its class, and by err in words and, where it is
// a Failure, as data.
func blame(span trace.Span, class string, err error) {
	span.SetAttributes(semconv.ClassKey.String(class))
	text := ""
	if err != nil {
		text = probes.Excerpt(err.Error())
	}
	span.SetStatus(codes.Error, text)
	var f *probes.Failure
	if errors.As(err, &f) {
		span.SetAttributes(semconv.FailureAttributes(f)...)
	}
}

// Annotate implements probes.Recorder. On the root span, names that the run
// itself uses are left to the run.
func (t *Trace) Annotate(ctx context.Context, attrs ...probes.Attr) {
	span := trace.SpanFromContext(t.within(ctx))
	if span.SpanContext().SpanID() == t.root.SpanContext().SpanID() {
		attrs = slices.DeleteFunc(slices.Clone(attrs), func(a probes.Attr) bool { return semconv.Reserved(a.Key) })
	}
	span.SetAttributes(attributes(attrs)...)
}

// start makes a child span, or nil when the run has ended or has too many.
func (t *Trace) start(ctx context.Context, name string, phase bool, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return ctx, nil
	}
	if t.spans == maxSpans || phase && t.phases == maxPhases {
		t.dropped++
		return ctx, nil
	}
	t.spans++
	if phase {
		t.phases++
	}
	ctx, span := t.owner.tracer.Start(ctx, semconv.Text(name), opts...)
	t.running[span.SpanContext().SpanID()] = span
	return ctx, span
}

func (t *Trace) finish(span trace.Span, opts ...trace.SpanEndOption) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.running, span.SpanContext().SpanID())
	span.End(opts...)
}

// End closes the root span with what run says, and every span still open, and
// hands the whole trace to the sink before it returns. An error means that the
// trace was not kept.
func (t *Trace) End(ctx context.Context, run probes.Run) error {
	spans, err := t.close(run)
	if err != nil {
		return err
	}
	otlp, err := t.owner.wire.encode(ctx, spans)
	if err != nil {
		return err
	}
	if t.owner.sink == nil {
		return nil
	}
	if err := t.owner.sink(ctx, otlp); err != nil {
		return fmt.Errorf("keeping the trace of %s: %w", run.Key, err)
	}
	return nil
}

// close ends every span of the trace, the root last.
func (t *Trace) close(run probes.Run) ([]sdktrace.ReadOnlySpan, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil, errEnded
	}
	t.ended = true
	defer t.owner.open.take(t.id)

	if run.Started.IsZero() {
		run.Started = t.started
	}
	over := run.Started.Add(run.Took)
	if run.Took <= 0 {
		over = time.Now()
	}
	for _, span := range t.running {
		span.SetAttributes(attribute.Bool(semconv.KeyUnfinished, true))
		span.End(trace.WithTimestamp(over))
	}
	t.root.SetAttributes(semconv.RootAttributes(run)...)
	if t.dropped > 0 {
		t.root.SetAttributes(attribute.Int(semconv.KeyDropped, t.dropped))
	}
	switch run.Result.Verdict {
	case probes.Up:
		t.root.SetStatus(codes.Ok, "")
	case probes.Down, probes.Unknown:
		t.root.SetStatus(codes.Error, summary(run.Result))
	case probes.Degraded: // neither a success nor an error: the verdict says it
	}
	t.root.End(trace.WithTimestamp(over))
	return t.done, nil
}

// summary is the worst finding in one line.
func summary(r probes.Result) string {
	if len(r.Findings) == 0 {
		return string(r.Class)
	}
	f := r.Findings[0]
	text := (&probes.Failure{Class: f.Class, Phrase: f.Phrase, Want: f.Want, Got: f.Got}).Error()
	if f.Step != "" {
		text = f.Step + ": " + text
	}
	return probes.Excerpt(text)
}

// className is the failure class of a step's error. Classify sorts what it does
// not know under connect, which only an error of the network may be.
func className(err error) string {
	class := probes.Classify(err)
	var (
		failure *probes.Failure
		network net.Error
	)
	if class == probes.ClassConnect && !errors.As(err, &failure) && !errors.As(err, &network) {
		return semconv.ClassOther
	}
	return string(class)
}

// shrink brings data under the bound for one trace, the root span excepted.
func shrink(data *tracepb.TracesData) {
	var stripped int
	each(data, func(s *tracepb.Span) bool {
		if len(s.GetParentSpanId()) > 0 && len(s.GetAttributes()) > 0 {
			s.Attributes = nil
			stripped++
		}
		return true
	})
	cut := 0
	if proto.Size(data) > semconv.MaxTraceBytes {
		each(data, func(s *tracepb.Span) bool {
			if len(s.GetParentSpanId()) > 0 {
				cut++
				return false
			}
			return true
		})
	}
	each(data, func(s *tracepb.Span) bool {
		if len(s.GetParentSpanId()) > 0 {
			return true
		}
		s.DroppedAttributesCount += uint32(stripped)
		if cut == 0 {
			return true
		}
		for _, kv := range s.GetAttributes() {
			if kv.GetKey() == semconv.KeyDropped {
				kv.Value = integer(kv.GetValue().GetIntValue() + int64(cut))
				return true
			}
		}
		s.Attributes = append(s.Attributes, &commonpb.KeyValue{Key: semconv.KeyDropped, Value: integer(int64(cut))})
		return true
	})
}

// each walks the spans of data and keeps those for which keep holds.
func each(data *tracepb.TracesData, keep func(*tracepb.Span) bool) {
	for _, r := range data.GetResourceSpans() {
		for _, s := range r.GetScopeSpans() {
			s.Spans = slices.DeleteFunc(s.Spans, func(span *tracepb.Span) bool { return !keep(span) })
		}
	}
}

func integer(n int64) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: n}}
}
