package semconv

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/gengfu/gengfu/probes"
)

// decoder reads attributes and keeps the first thing that was wrong.
type decoder struct {
	attrs map[string]*commonpb.AnyValue
	err   error
}

func (d *decoder) fail(key, format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%s: "+format, append([]any{probes.Excerpt(key)}, args...)...)
	}
}

// need reads an identifier that every run has.
func (d *decoder) need(key string) string {
	s := d.text(key, maxID)
	if s == "" {
		d.fail(key, "missing")
	}
	return s
}

func (d *decoder) text(key string, limit int) string {
	v, ok := d.attrs[key]
	if !ok {
		return ""
	}
	s, ok := v.GetValue().(*commonpb.AnyValue_StringValue)
	if !ok {
		d.fail(key, "want a string")
		return ""
	}
	if len(s.StringValue) > limit {
		d.fail(key, "want at most %d bytes, got %d", limit, len(s.StringValue))
		return ""
	}
	return s.StringValue
}

func (d *decoder) number(key string, low, high int64) int64 {
	v, ok := d.attrs[key]
	if !ok {
		return 0
	}
	n, ok := v.GetValue().(*commonpb.AnyValue_IntValue)
	if !ok {
		d.fail(key, "want an integer")
		return 0
	}
	if n.IntValue < low || n.IntValue > high {
		d.fail(key, "want %d to %d, got %d", low, high, n.IntValue)
		return 0
	}
	return n.IntValue
}

// duration reads a count of units that is not negative.
func (d *decoder) duration(key string, unit time.Duration) time.Duration {
	return time.Duration(d.number(key, 0, math.MaxInt64/int64(unit))) * unit
}

// time reads RFC 3339; absent is the zero time.
func (d *decoder) time(key string) time.Time {
	s := d.text(key, maxID)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		d.fail(key, "want a time as RFC 3339, got %q", probes.Excerpt(s))
		return time.Time{}
	}
	return t.UTC()
}

func (d *decoder) labels(keys []string) map[string]string {
	if len(keys) > maxLabels {
		d.fail(prefixLabel+"*", "want at most %d, got %d", maxLabels, len(keys))
		return nil
	}
	var labels map[string]string
	for _, key := range keys {
		if labels == nil {
			labels = map[string]string{}
		}
		if !d.short(key, prefixLabel) {
			return nil
		}
		labels[key[len(prefixLabel):]] = d.text(key, maxLabel)
	}
	return labels
}

func (d *decoder) measures(keys []string) map[string]float64 {
	if len(keys) > maxMeasures {
		d.fail(prefixMeasure+"*", "want at most %d, got %d", maxMeasures, len(keys))
		return nil
	}
	var measures map[string]float64
	for _, key := range keys {
		if measures == nil {
			measures = map[string]float64{}
		}
		if !d.short(key, prefixMeasure) {
			return nil
		}
		v, ok := d.attrs[key].GetValue().(*commonpb.AnyValue_DoubleValue)
		if !ok || math.IsNaN(v.DoubleValue) || math.IsInf(v.DoubleValue, 0) {
			d.fail(key, "want a finite number")
			return nil
		}
		measures[key[len(prefixMeasure):]] = v.DoubleValue
	}
	return measures
}

func (d *decoder) short(key, prefix string) bool {
	if len(key)-len(prefix) > maxID {
		d.fail(prefix+"*", "want a name of at most %d bytes, got %d", maxID, len(key)-len(prefix))
		return false
	}
	return true
}

func (d *decoder) findings() []probes.Finding {
	var findings []probes.Finding
	for f := range items[findingJSON](d, keyFindings, maxFindings) {
		// A phrase that only a newer agent knows is kept: Want and Got still tell.
		d.within(keyFindings, string(f.Phrase), f.Step, f.Want, f.Got)
		findings = append(findings, probes.Finding(f))
	}
	return findings
}

func (d *decoder) checks() []probes.Check {
	var checks []probes.Check
	for c := range items[checkJSON](d, keyChecks, maxChecks) {
		d.within(keyChecks, c.Expr, c.Saw)
		checks = append(checks, probes.Check(c))
	}
	return checks
}

func (d *decoder) parts() []probes.Part {
	var parts []probes.Part
	for p := range items[partJSON](d, keyParts, maxParts) {
		d.within(keyParts, p.Name, p.IP)
		if p.Took < 0 || p.Status < 0 {
			d.fail(keyParts, "want a time and a status that are not negative, got %d and %d", p.Took, p.Status)
		}
		parts = append(parts, probes.Part(p))
	}
	return parts
}

func (d *decoder) evidence() []probes.Evidence {
	var evidence []probes.Evidence
	for e := range items[evidenceJSON](d, keyEvidence, maxEvidence) {
		d.within(keyEvidence, e.Kind, e.MIME)
		if !isSHA256(e.SHA256) {
			d.fail(keyEvidence, "want a SHA-256 of 64 hex digits, got %q", probes.Excerpt(e.SHA256))
		}
		if e.Size < 0 {
			d.fail(keyEvidence, "want a size, got %d", e.Size)
		}
		evidence = append(evidence, probes.Evidence{Kind: e.Kind, MIME: e.MIME, SHA256: e.SHA256, Size: e.Size})
	}
	return evidence
}

func (d *decoder) within(key string, texts ...string) {
	for _, s := range texts {
		if len(s) > maxPart {
			d.fail(key, "want texts of at most %d bytes, got %d", maxPart, len(s))
		}
	}
}

// items yields the JSON objects of a list of strings. A key it does not know is
// passed over: a newer agent may say more.
func items[T any](d *decoder, key string, limit int) func(yield func(T) bool) {
	return func(yield func(T) bool) {
		v, ok := d.attrs[key]
		if !ok {
			return
		}
		list, ok := v.GetValue().(*commonpb.AnyValue_ArrayValue)
		if !ok {
			d.fail(key, "want a list of strings")
			return
		}
		values := list.ArrayValue.GetValues()
		if len(values) > limit {
			d.fail(key, "want at most %d entries, got %d", limit, len(values))
			return
		}
		for i, value := range values {
			s, ok := value.GetValue().(*commonpb.AnyValue_StringValue)
			if !ok || len(s.StringValue) > maxItem {
				d.fail(key, "entry %d: want a string of at most %d bytes", i, maxItem)
				return
			}
			var t T
			if err := json.Unmarshal([]byte(s.StringValue), &t); err != nil {
				d.fail(key, "entry %d: %w", i, err)
				return
			}
			if !yield(t) {
				return
			}
		}
	}
}
