package semconv

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/gengfu/gengfu/probes"
)

// Ahead is how far into the future a run may be dated: clocks differ a little.
const Ahead = 10 * time.Minute

// Rejected is a trace that holds no run, or one that cannot be true.
type Rejected struct {
	TraceID string // hex, as it came
	Spans   int
	Reason  string
}

// Decode finds the runs in rs, whatever else is in there and however the spans
// of one trace are spread over it, in the order in which they first appear. A
// span that came twice counts once. now bounds the dates.
func Decode(rs []*tracepb.ResourceSpans, now time.Time) (traces []probes.Trace, rejected []Rejected) {
	for _, g := range gather(rs) {
		trace, err := g.trace(now)
		if err != nil {
			rejected = append(rejected, Rejected{TraceID: hex.EncodeToString(g.id), Spans: g.came, Reason: err.Error()})
			continue
		}
		traces = append(traces, trace)
	}
	return traces, rejected
}

// group is the spans of one trace.
type group struct {
	id    []byte
	came  int // spans, repetitions included
	seen  map[string]bool
	root  *tracepb.Span
	parts []*tracepb.ResourceSpans
	fault error // the first

	resource *tracepb.ResourceSpans // what parts' last entry was taken from
	scope    *tracepb.ScopeSpans
}

func gather(rs []*tracepb.ResourceSpans) []*group {
	var groups []*group
	byID := map[string]*group{}
	for _, r := range rs {
		for _, s := range r.GetScopeSpans() {
			for _, span := range s.GetSpans() {
				id := string(span.GetTraceId())
				g := byID[id]
				if g == nil {
					g = &group{id: span.GetTraceId(), seen: map[string]bool{}}
					byID[id] = g
					groups = append(groups, g)
				}
				g.add(r, s, span)
			}
		}
	}
	return groups
}

func (g *group) add(r *tracepb.ResourceSpans, s *tracepb.ScopeSpans, span *tracepb.Span) {
	g.came++
	if g.fault != nil {
		return
	}
	if n := len(span.GetSpanId()); n != 8 {
		g.fault = fmt.Errorf("span id: want 8 bytes, got %d", n)
		return
	}
	if n := len(span.GetParentSpanId()); n != 0 && n != 8 {
		g.fault = fmt.Errorf("parent span id: want 8 bytes, got %d", n)
		return
	}
	if g.seen[string(span.GetSpanId())] {
		return
	}
	if len(g.seen) == maxSpans {
		g.fault = fmt.Errorf("spans: want at most %d in a run", maxSpans)
		return
	}
	g.seen[string(span.GetSpanId())] = true
	if marked(span) {
		switch {
		case g.root != nil:
			g.fault = fmt.Errorf("two spans carry %s, want the root alone", keyVerdict)
			return
		case hasParent(span):
			g.fault = fmt.Errorf("the span with %s has a parent, want a root", keyVerdict)
			return
		}
		g.root = span
	}
	if g.resource != r {
		g.resource, g.scope = r, nil
		g.parts = append(g.parts, &tracepb.ResourceSpans{Resource: r.GetResource(), SchemaUrl: r.GetSchemaUrl()})
	}
	part := g.parts[len(g.parts)-1]
	if g.scope != s {
		g.scope = s
		part.ScopeSpans = append(part.ScopeSpans, &tracepb.ScopeSpans{Scope: s.GetScope(), SchemaUrl: s.GetSchemaUrl()})
	}
	last := part.ScopeSpans[len(part.ScopeSpans)-1]
	last.Spans = append(last.Spans, span)
}

func marked(span *tracepb.Span) bool {
	for _, kv := range span.GetAttributes() {
		if kv.GetKey() == keyVerdict {
			return true
		}
	}
	return false
}

var noParent = make([]byte, 8)

func hasParent(span *tracepb.Span) bool {
	return len(span.GetParentSpanId()) > 0 && !bytes.Equal(span.GetParentSpanId(), noParent)
}

func (g *group) trace(now time.Time) (probes.Trace, error) {
	switch {
	case len(g.id) != 16:
		return probes.Trace{}, fmt.Errorf("trace id: want 16 bytes, got %d", len(g.id))
	case bytes.Equal(g.id, make([]byte, 16)):
		return probes.Trace{}, fmt.Errorf("trace id: want one that is not all zeros")
	case g.fault != nil:
		return probes.Trace{}, g.fault
	case g.root == nil:
		return probes.Trace{}, fmt.Errorf("no root span with %s: not a run, or not whole", keyVerdict)
	}
	run, err := decodeRun(g.root)
	if err != nil {
		return probes.Trace{}, err
	}
	run.TraceID = hex.EncodeToString(g.id)
	if err := check(run, now); err != nil {
		return probes.Trace{}, err
	}
	otlp, err := proto.MarshalOptions{Deterministic: true}.Marshal(&tracepb.TracesData{ResourceSpans: g.parts})
	if err != nil {
		return probes.Trace{}, fmt.Errorf("encoding the trace: %w", err)
	}
	if len(otlp) > maxTrace {
		return probes.Trace{}, fmt.Errorf("trace: want at most %d bytes, got %d", maxTrace, len(otlp))
	}
	return probes.Trace{Run: run, OTLP: otlp}, nil
}

// decodeRun is the inverse of RootAttributes.
func decodeRun(root *tracepb.Span) (probes.Run, error) {
	d := decoder{attrs: map[string]*commonpb.AnyValue{}}
	var labels, measures []string
	for _, kv := range root.GetAttributes() {
		if _, twice := d.attrs[kv.GetKey()]; twice {
			d.fail(kv.GetKey(), "want it once, got it twice")
		}
		d.attrs[kv.GetKey()] = kv.GetValue()
		if strings.HasPrefix(kv.GetKey(), prefixLabel) {
			labels = append(labels, kv.GetKey())
		}
		if strings.HasPrefix(kv.GetKey(), prefixMeasure) {
			measures = append(measures, kv.GetKey())
		}
	}
	run := probes.Run{
		Key:      probes.Key{Service: d.need(keyService), Probe: d.need(keyProbe)},
		Slot:     d.time(keySlot),
		Every:    d.duration(keyEvery, time.Millisecond),
		Channel:  probes.Channel(d.need(keyChannel)),
		Kind:     d.need(keyKind),
		Agent:    d.need(keyAgent),
		Vantage:  d.need(keyVantage),
		Labels:   d.labels(labels),
		Revision: d.text(keyRevision, maxID),
		Trigger:  probes.Trigger(d.need(keyTrigger)),
		Started:  d.time(keyStarted),
		Took:     d.duration(keyTook, 1),
		Late:     time.Duration(d.number(keyLate, math.MinInt64, math.MaxInt64)),
		Result: probes.Result{
			Class: probes.Class(d.text(keyClass, maxID)),
			Timings: probes.Timings{
				DNS:       d.duration(keyDNS, 1),
				Connect:   d.duration(keyConnect, 1),
				TLS:       d.duration(keyTLS, 1),
				Request:   d.duration(keySend, 1),
				FirstByte: d.duration(keyFirstByte, 1),
				Body:      d.duration(keyBody, 1),
				Total:     d.duration(keyTotal, 1),
			},
			Status:   int(d.number(keyStatus, 0, 999)),
			URL:      d.text(keyURL, maxText),
			IP:       d.text(keyIP, maxID),
			TLSUntil: d.time(keyTLSUntil),
			Steps:    int(d.number(keySteps, 0, math.MaxInt32)),
			Passed:   int(d.number(keyPassed, 0, math.MaxInt32)),
			Title:    d.text(keyTitle, maxText),
			Measures: d.measures(measures),
			Findings: d.findings(),
			Checks:   d.checks(),
			Evidence: d.evidence(),
			Parts:    d.parts(),
		},
	}
	verdict, err := probes.ParseVerdict(d.need(keyVerdict))
	if err != nil {
		d.fail(keyVerdict, "%w", err)
	}
	run.Result.Verdict = verdict
	return run, d.err
}

// earliest bounds dates from below; before it slot arithmetic is not at home.
var earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// check refuses a run that no agent of ours could have made.
func check(run probes.Run, now time.Time) error {
	for _, id := range []struct{ key, value string }{
		{keyService, run.Key.Service},
		{keyProbe, run.Key.Probe},
		{keyKind, run.Kind},
		{keyAgent, run.Agent},
		{keyVantage, run.Vantage},
	} {
		if strings.ContainsFunc(id.value, unicode.IsControl) {
			return fmt.Errorf("%s: want no control characters, got %q", id.key, probes.Excerpt(id.value))
		}
	}
	if _, err := probes.ParseKey(run.Key.String()); err != nil {
		return err
	}
	if !run.Channel.Known() {
		return fmt.Errorf("%s: %q is not a channel", keyChannel, probes.Excerpt(string(run.Channel)))
	}
	switch run.Trigger {
	case probes.TriggerSlot, probes.TriggerCatchUp, probes.TriggerConfirm, probes.TriggerManual:
	default:
		return fmt.Errorf("%s: %q is not a trigger", keyTrigger, probes.Excerpt(string(run.Trigger)))
	}
	if err := knownClasses(run.Result); err != nil {
		return err
	}
	for _, t := range []struct {
		key string
		at  time.Time
	}{{keySlot, run.Slot}, {keyStarted, run.Started}} {
		if t.at.Before(earliest) {
			return fmt.Errorf("%s: want a time, got %s", t.key, t.at.Format(time.RFC3339))
		}
		if t.at.After(now.Add(Ahead)) {
			return fmt.Errorf("%s: %s is in the future; set the agent's clock", t.key, t.at.Format(time.RFC3339))
		}
	}
	if run.Every <= 0 {
		return fmt.Errorf("%s: want more than 0, got %d", keyEvery, run.Every.Milliseconds())
	}
	// A person's run belongs to no slot, so it may name any instant.
	if at := probes.SlotAt(run.Key, run.Every, run.Slot); run.Trigger != probes.TriggerManual && !at.Equal(run.Slot) {
		return fmt.Errorf("%s: %s is not a slot of %s every %s; the nearest is %s",
			keySlot, run.Slot.Format(time.RFC3339Nano), run.Key, run.Every, at.Format(time.RFC3339Nano))
	}
	return nil
}

func knownClasses(r probes.Result) error {
	if !r.Class.Known() {
		return fmt.Errorf("%s: %q is not a failure class", keyClass, probes.Excerpt(string(r.Class)))
	}
	for _, p := range r.Parts {
		if !p.Class.Known() {
			return fmt.Errorf("%s: %q is not a failure class", keyParts, probes.Excerpt(string(p.Class)))
		}
	}
	for _, f := range r.Findings {
		if !f.Class.Known() {
			return fmt.Errorf("%s: %q is not a failure class", keyFindings, probes.Excerpt(string(f.Class)))
		}
	}
	return nil
}
