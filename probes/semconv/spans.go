package semconv

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/gengfu/gengfu/probes"
)

// Spans reads an OTLP TracesData message with one run for its waterfall: the
// root first, then depth first by start. Spans whose parent is missing follow
// at the end. The run's own lists are left out of the root's attributes: the
// Run says them better, and the worst finding is the root's own.
func Spans(otlp []byte) ([]probes.Span, error) {
	var data tracepb.TracesData
	if err := proto.Unmarshal(otlp, &data); err != nil {
		return nil, fmt.Errorf("reading a trace: %w", err)
	}
	t := tree{children: map[string][]probes.Span{}, done: map[string]bool{}}
	for _, r := range data.GetResourceSpans() {
		for _, s := range r.GetScopeSpans() {
			for _, span := range s.GetSpans() {
				t.add(span)
			}
		}
	}
	return t.walk(), nil
}

type tree struct {
	all      []probes.Span
	children map[string][]probes.Span // by parent; "" is the root
	done     map[string]bool
	out      []probes.Span
}

func (t *tree) add(span *tracepb.Span) {
	s := probes.Span{
		ID:    hex.EncodeToString(span.GetSpanId()),
		Name:  span.GetName(),
		Start: time.Unix(0, int64(span.GetStartTimeUnixNano())).UTC(),
		Attrs: map[string]string{},
	}
	if end, start := span.GetEndTimeUnixNano(), span.GetStartTimeUnixNano(); end > start {
		s.Took = time.Duration(end - start)
	}
	if hasParent(span) {
		s.Parent = hex.EncodeToString(span.GetParentSpanId())
	}
	if span.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR {
		s.Error = span.GetStatus().GetMessage()
	}
	for _, kv := range span.GetAttributes() {
		switch kv.GetKey() {
		case keyFindings:
			s.Finding = firstFinding(kv.GetValue())
			continue
		case keyChecks, keyEvidence, keyParts:
			continue
		case keyPhrase:
			s.Finding.Phrase = probes.Phrase(kv.GetValue().GetStringValue())
			continue
		case keyWant:
			s.Finding.Want = kv.GetValue().GetStringValue()
			continue
		case keyGot:
			s.Finding.Got = kv.GetValue().GetStringValue()
			continue
		case keyClass:
			if c := probes.Class(kv.GetValue().GetStringValue()); c.Known() {
				s.Class = c
				continue
			}
		}
		s.Attrs[kv.GetKey()] = readable(kv.GetValue(), 0)
	}
	if s.Finding != (probes.Finding{}) && s.Finding.Class == probes.ClassNone {
		s.Finding.Class = s.Class
	}
	t.all = append(t.all, s)
	t.children[s.Parent] = append(t.children[s.Parent], s)
}

// firstFinding is the first of a run's findings; zero when it cannot be read.
func firstFinding(list *commonpb.AnyValue) probes.Finding {
	var f findingJSON
	if values := list.GetArrayValue().GetValues(); len(values) > 0 {
		if err := json.Unmarshal([]byte(values[0].GetStringValue()), &f); err != nil {
			return probes.Finding{}
		}
	}
	return probes.Finding(f)
}

func (t *tree) walk() []probes.Span {
	t.descend("")
	// What hangs on a missing parent or in a circle is shown all the same, the
	// tops of cut-off branches before what only a circle holds.
	have := map[string]bool{}
	for _, s := range t.all {
		have[s.ID] = true
	}
	slices.SortStableFunc(t.all, byStart)
	for _, s := range t.all {
		if !have[s.Parent] {
			t.visit(s)
		}
	}
	for _, s := range t.all {
		t.visit(s)
	}
	return t.out
}

func (t *tree) visit(s probes.Span) {
	if t.done[s.ID] {
		return
	}
	t.done[s.ID] = true
	t.out = append(t.out, s)
	t.descend(s.ID)
}

func (t *tree) descend(parent string) {
	children := t.children[parent]
	slices.SortStableFunc(children, byStart)
	for _, s := range children {
		t.visit(s)
	}
}

func byStart(a, b probes.Span) int {
	return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(b.Took, a.Took))
}

// maxDepth bounds how deep a nested attribute is read.
const maxDepth = 8

func readable(v *commonpb.AnyValue, depth int) string {
	if depth > maxDepth {
		return "…"
	}
	switch x := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return x.StringValue
	case *commonpb.AnyValue_BoolValue:
		return strconv.FormatBool(x.BoolValue)
	case *commonpb.AnyValue_IntValue:
		return strconv.FormatInt(x.IntValue, 10)
	case *commonpb.AnyValue_DoubleValue:
		return strconv.FormatFloat(x.DoubleValue, 'g', -1, 64)
	case *commonpb.AnyValue_BytesValue:
		return hex.EncodeToString(x.BytesValue)
	case *commonpb.AnyValue_ArrayValue:
		var parts []string
		for _, e := range x.ArrayValue.GetValues() {
			parts = append(parts, readable(e, depth+1))
		}
		return strings.Join(parts, ", ")
	case *commonpb.AnyValue_KvlistValue:
		var parts []string
		for _, kv := range x.KvlistValue.GetValues() {
			parts = append(parts, kv.GetKey()+"="+readable(kv.GetValue(), depth+1))
		}
		return strings.Join(parts, ", ")
	}
	return ""
}
