package semconv

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	otelconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/gengfu/gengfu/probes"
)

// The JSON forms of a run's lists.
type (
	findingJSON struct {
		Class  probes.Class  `json:"class,omitempty"`
		Step   string        `json:"step,omitempty"`
		Phrase probes.Phrase `json:"phrase,omitempty"`
		Want   string        `json:"want,omitempty"`
		Got    string        `json:"got,omitempty"`
	}
	checkJSON struct {
		Expr string `json:"expr"`
		Warn bool   `json:"warn,omitempty"`
		OK   bool   `json:"ok"`
		Saw  string `json:"saw,omitempty"`
	}
	partJSON struct {
		Name    string         `json:"name"`
		Verdict probes.Verdict `json:"verdict"`
		Class   probes.Class   `json:"class,omitempty"`
		IP      string         `json:"ip,omitempty"`
		Status  int            `json:"status,omitempty"`
		Took    time.Duration  `json:"took_ns"`
	}
	evidenceJSON struct {
		Kind   string `json:"kind"`
		MIME   string `json:"mime"`
		SHA256 string `json:"sha256"`
		Size   int    `json:"size"`
	}
)

// RootAttributes writes run as attributes of its root span. The trace id is the
// span's own. Text that is not UTF-8 is mended and what exceeds the bounds is
// clipped and counted.
func RootAttributes(run probes.Run) []attribute.KeyValue {
	r := run.Result
	e := encoder{attrs: make([]attribute.KeyValue, 0, 48)}
	e.text(keyService, run.Key.Service, maxID)
	e.text(keyProbe, run.Key.Probe, maxID)
	e.time(keySlot, run.Slot)
	e.number(keyEvery, run.Every.Milliseconds())
	e.text(keyChannel, string(run.Channel), maxID)
	e.text(keyKind, run.Kind, maxID)
	e.text(keyAgent, run.Agent, maxID)
	e.text(keyVantage, run.Vantage, maxID)
	e.text(keyRevision, run.Revision, maxID)
	e.text(keyTrigger, string(run.Trigger), maxID)
	e.time(keyStarted, run.Started)
	e.number(keyTook, int64(run.Took))
	e.number(keyLate, int64(run.Late))
	e.labels(run.Labels)

	e.text(keyVerdict, r.Verdict.String(), maxID)
	e.text(keyClass, string(r.Class), maxID)
	e.number(keyDNS, int64(r.Timings.DNS))
	e.number(keyConnect, int64(r.Timings.Connect))
	e.number(keyTLS, int64(r.Timings.TLS))
	e.number(keySend, int64(r.Timings.Request))
	e.number(keyFirstByte, int64(r.Timings.FirstByte))
	e.number(keyBody, int64(r.Timings.Body))
	e.number(keyTotal, int64(r.Timings.Total))
	e.number(keyStatus, int64(r.Status))
	e.text(keyURL, r.URL, maxText)
	e.text(keyIP, r.IP, maxID)
	e.time(keyTLSUntil, r.TLSUntil)
	e.number(keySteps, int64(r.Steps))
	e.number(keyPassed, int64(r.Passed))
	e.text(keyTitle, r.Title, maxText)
	e.measures(r.Measures)
	e.findings(r.Findings)
	e.checks(r.Checks)
	e.evidence(r.Evidence)
	e.parts(r.Parts)

	e.attrs = append(e.attrs, otelconv.UserAgentSyntheticTypeTest)
	e.text(keyCase, run.Key.String(), 2*maxID+1)
	switch r.Verdict {
	case probes.Up, probes.Degraded:
		e.attrs = append(e.attrs, otelconv.TestCaseResultStatusPass)
	case probes.Down:
		e.attrs = append(e.attrs, otelconv.TestCaseResultStatusFail)
	}
	e.number(keyClipped, int64(e.clipped))
	return e.attrs
}

// FailureAttributes writes what went wrong in a span, beside its class.
func FailureAttributes(f *probes.Failure) []attribute.KeyValue {
	var e encoder
	e.text(keyPhrase, string(f.Phrase), maxID)
	e.text(keyWant, f.Want, maxPart)
	e.text(keyGot, f.Got, maxPart)
	return e.attrs
}

// Text makes s fit for an attribute: valid UTF-8 of at most 2048 bytes.
func Text(s string) string {
	s, _ = clip(s, maxText)
	return s
}

// clip mends s and cuts it on a rune's edge; it reports whether it cut.
func clip(s string, limit int) (string, bool) {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= limit {
		return s, false
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit], true
}

type encoder struct {
	attrs   []attribute.KeyValue
	clipped int
	buf     bytes.Buffer
	json    *json.Encoder // into buf; nil until something is written
}

func (e *encoder) clip(s string, limit int) string {
	s, cut := clip(s, limit)
	if cut {
		e.clipped++
	}
	return s
}

func (e *encoder) text(key, s string, limit int) {
	if s != "" {
		e.attrs = append(e.attrs, attribute.String(key, e.clip(s, limit)))
	}
}

func (e *encoder) number(key string, n int64) {
	if n != 0 {
		e.attrs = append(e.attrs, attribute.Int64(key, n))
	}
}

// time omits what RFC 3339 cannot say.
func (e *encoder) time(key string, t time.Time) {
	t = t.UTC()
	if t.IsZero() {
		return
	}
	if y := t.Year(); y < 0 || y > 9999 {
		e.clipped++
		return
	}
	e.attrs = append(e.attrs, attribute.String(key, t.Format(time.RFC3339Nano)))
}

func (e *encoder) labels(labels map[string]string) {
	for i, k := range slices.Sorted(maps.Keys(labels)) {
		name, cut := clip(k, maxID)
		if i >= maxLabels || cut {
			e.clipped++
			continue
		}
		e.attrs = append(e.attrs, attribute.String(prefixLabel+name, e.clip(labels[k], maxLabel)))
	}
}

// measures leaves out what is not a finite number: JSON has no word for it.
func (e *encoder) measures(measures map[string]float64) {
	n := 0
	for _, k := range slices.Sorted(maps.Keys(measures)) {
		v := measures[k]
		name, cut := clip(k, maxID)
		if n >= maxMeasures || cut || math.IsNaN(v) || math.IsInf(v, 0) {
			e.clipped++
			continue
		}
		n++
		e.attrs = append(e.attrs, attribute.Float64(prefixMeasure+name, v))
	}
}

func (e *encoder) findings(findings []probes.Finding) {
	var items []string
	for _, f := range bounded(e, findings, maxFindings) {
		items = append(items, e.item(findingJSON{
			Class: f.Class, Step: e.clip(f.Step, maxPart), Phrase: probes.Phrase(e.clip(string(f.Phrase), maxID)),
			Want: e.clip(f.Want, maxPart), Got: e.clip(f.Got, maxPart),
		}))
	}
	e.list(keyFindings, items)
}

func (e *encoder) checks(checks []probes.Check) {
	var items []string
	for _, c := range bounded(e, checks, maxChecks) {
		items = append(items, e.item(checkJSON{
			Expr: e.clip(c.Expr, maxPart), Warn: c.Warn, OK: c.OK, Saw: e.clip(c.Saw, maxPart),
		}))
	}
	e.list(keyChecks, items)
}

func (e *encoder) parts(parts []probes.Part) {
	var items []string
	for _, p := range bounded(e, parts, maxParts) {
		items = append(items, e.item(partJSON{
			Name: e.clip(p.Name, maxPart), Verdict: p.Verdict, Class: p.Class, IP: e.clip(p.IP, maxID), Status: p.Status, Took: p.Took,
		}))
	}
	e.list(keyParts, items)
}

// evidence leaves out what has no address: nothing could fetch it.
func (e *encoder) evidence(evidence []probes.Evidence) {
	var items []string
	for _, ev := range bounded(e, evidence, maxEvidence) {
		if !isSHA256(ev.SHA256) {
			e.clipped++
			continue
		}
		items = append(items, e.item(evidenceJSON{
			Kind: e.clip(ev.Kind, maxID), MIME: e.clip(ev.MIME, maxID), SHA256: ev.SHA256, Size: ev.Size,
		}))
	}
	e.list(keyEvidence, items)
}

func (e *encoder) list(key string, items []string) {
	if len(items) > 0 {
		e.attrs = append(e.attrs, attribute.StringSlice(key, items))
	}
}

func bounded[T any](e *encoder, list []T, limit int) []T {
	if len(list) <= limit {
		return list
	}
	e.clipped += len(list) - limit
	return list[:limit]
}

// item is v as JSON without HTML escapes, so that people can read it in a span.
func (e *encoder) item(v any) string {
	if e.json == nil {
		e.json = json.NewEncoder(&e.buf)
		e.json.SetEscapeHTML(false)
	}
	e.buf.Reset()
	if err := e.json.Encode(v); err != nil {
		// The forms hold strings, numbers and booleans only.
		panic(err)
	}
	return strings.TrimSuffix(e.buf.String(), "\n")
}

func isSHA256(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
