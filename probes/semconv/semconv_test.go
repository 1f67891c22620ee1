package semconv_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/semconv"
)

var now = time.Date(2026, 11, 25, 4, 0, 0, 0, time.UTC)

// sample is a run with every field set.
func sample() probes.Run {
	key := probes.Key{Service: "shebao-quanyi", Probe: "page"}
	slot := probes.SlotAt(key, 5*time.Minute, now.Add(-time.Minute))
	return probes.Run{
		Key: key, Slot: slot, Every: 5 * time.Minute, Channel: probes.ChannelWechat, Kind: "browser",
		Agent: "agent-a", Vantage: "site-a", Labels: map[string]string{"site": "site-a", "isp": "telecom"},
		Revision: "0123456789abcdef0123456789abcdef01234567", Trigger: probes.TriggerSlot,
		Started: slot.Add(3 * time.Millisecond), Took: 1234567 * time.Microsecond, Late: 3 * time.Millisecond,
		TraceID: "000102030405060708090a0b0c0d0e0f",
		Result: probes.Result{
			Verdict: probes.Down, Class: probes.ClassMaintenancePage,
			Findings: []probes.Finding{{Class: probes.ClassStep, Step: "see 个人权益记录", Phrase: probes.PhraseTextMissing, Want: "个人权益记录", Got: "《系统维护中》"}},
			Checks:   []probes.Check{{Expr: `json.code == "0" && a < b`, Warn: true, OK: true, Saw: "status = 500"}, {Expr: "lcp < 4s"}},
			Timings:  probes.Timings{DNS: 1, Connect: 2, TLS: 3, Request: 6, FirstByte: 4, Body: 5, Total: 15},
			Status:   200, URL: "https://h5.rsj.example.test/shebao/quanyi", IP: "192.0.2.7",
			TLSUntil: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Steps: 5, Passed: 1, Title: "系统维护中",
			Measures: map[string]float64{"lcp_ms": 812.5, "bytes": 123456},
			Parts:    []probes.Part{{Name: "二号", Verdict: probes.Down, Class: probes.ClassStatus, IP: "192.0.2.8", Status: 502, Took: 15}, {Name: "一号", Verdict: probes.Up}},
			Evidence: []probes.Evidence{{Kind: "screenshot", MIME: "image/jpeg", SHA256: digest("x"), Size: 1}},
		},
	}
}

func digest(s string) string {
	d := sha256.Sum256([]byte(s))
	return hex.EncodeToString(d[:])
}

// span makes a span of run's trace; the root when parent is 0.
func span(run probes.Run, id, parent byte, attrs []attribute.KeyValue) *tracepb.Span {
	traceID, err := hex.DecodeString(run.TraceID)
	if err != nil {
		panic(err)
	}
	s := &tracepb.Span{
		TraceId: traceID, SpanId: []byte{0, 0, 0, 0, 0, 0, 0, id}, Name: semconv.RootName(run.Key),
		StartTimeUnixNano: uint64(now.UnixNano()), EndTimeUnixNano: uint64(now.Add(run.Took).UnixNano()),
	}
	if parent != 0 {
		s.ParentSpanId = []byte{0, 0, 0, 0, 0, 0, 0, parent}
		s.Name = "child"
	}
	for _, kv := range attrs {
		s.Attributes = append(s.Attributes, &commonpb.KeyValue{Key: string(kv.Key), Value: value(kv.Value)})
	}
	return s
}

func value(v attribute.Value) *commonpb.AnyValue {
	switch v.Type() {
	case attribute.STRING:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: v.AsString()}}
	case attribute.INT64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: v.AsInt64()}}
	case attribute.FLOAT64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: v.AsFloat64()}}
	case attribute.STRINGSLICE:
		list := &commonpb.ArrayValue{}
		for _, s := range v.AsStringSlice() {
			list.Values = append(list.Values, value(attribute.StringValue(s)))
		}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: list}}
	}
	panic("unexpected attribute type " + v.Type().String())
}

func batch(spans ...*tracepb.Span) *tracepb.ResourceSpans { return batchOf("h", spans...) }

func batchOf(host string, spans ...*tracepb.Span) *tracepb.ResourceSpans {
	return &tracepb.ResourceSpans{
		Resource:   &resourcepb.Resource{Attributes: []*commonpb.KeyValue{{Key: "host.name", Value: value(attribute.StringValue(host))}}},
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: &commonpb.InstrumentationScope{Name: "test"}, Spans: spans}},
	}
}

func root(run probes.Run) *tracepb.Span { return span(run, 1, 0, semconv.RootAttributes(run)) }

func TestASampleRunSurvives(t *testing.T) {
	run := sample()
	traces, rejected := semconv.Decode([]*tracepb.ResourceSpans{batch(span(run, 2, 1, nil), root(run))}, now)
	require.Empty(t, rejected)
	require.Len(t, traces, 1)
	require.Equal(t, run, traces[0].Run)

	spans, err := semconv.Spans(traces[0].OTLP)
	require.NoError(t, err)
	require.Len(t, spans, 2)
	require.Equal(t, "probe shebao-quanyi/page", spans[0].Name)
	require.Empty(t, spans[0].Parent)
	require.Equal(t, probes.ClassMaintenancePage, spans[0].Class)
	require.Equal(t, "200", spans[0].Attrs["http.response.status_code"])
	require.Equal(t, "812.5", spans[0].Attrs["gengfu.measure.lcp_ms"])
	require.NotContains(t, spans[0].Attrs, "gengfu.findings")
	require.Equal(t, spans[0].ID, spans[1].Parent)
}

func TestASpanSaysWhatWentWrongAsData(t *testing.T) {
	run := sample()
	f := &probes.Failure{Class: probes.ClassConnect, Phrase: probes.PhraseRefused, Want: "10.0.0.1:443", Got: strings.Repeat("长", 2000)}
	failed := span(run, 2, 1, append(semconv.FailureAttributes(f), attribute.String("error.type", "connect"), attribute.String("k", "v")))
	traces, rejected := semconv.Decode([]*tracepb.ResourceSpans{batch(root(run), failed)}, now)
	require.Empty(t, rejected)
	spans, err := semconv.Spans(traces[0].OTLP)
	require.NoError(t, err)
	require.Equal(t, run.Result.Findings[0], spans[0].Finding, "the root's is the run's worst")
	got := spans[1].Finding
	require.Equal(t, probes.Finding{Class: f.Class, Phrase: f.Phrase, Want: f.Want, Got: got.Got}, got)
	require.True(t, got.Got != "" && len(got.Got) <= 1024 && strings.HasPrefix(f.Got, got.Got))
	require.Equal(t, map[string]string{"k": "v"}, spans[1].Attrs)

	// What no agent of ours wrote is not trusted to be well formed.
	strange := span(run, 2, 1, []attribute.KeyValue{attribute.StringSlice("gengfu.findings", []string{"{"}), attribute.Int("gengfu.phrase", 1)})
	data, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{batch(strange)}})
	require.NoError(t, err)
	spans, err = semconv.Spans(data)
	require.NoError(t, err)
	require.Zero(t, spans[0].Finding)
}

// A field that is added to a run must be carried, so sample must set it.
func TestTheSampleSetsEveryField(t *testing.T) {
	var walk func(name string, v reflect.Value)
	walk = func(name string, v reflect.Value) {
		if name == "Run.Result.Evidence.Data" { // travels apart
			return
		}
		require.False(t, v.IsZero(), "%s: set it in sample, and carry it", name)
		switch {
		case v.Kind() == reflect.Slice:
			walk(name, v.Index(0))
		case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
			for i := range v.NumField() {
				walk(name+"."+v.Type().Field(i).Name, v.Field(i))
			}
		}
	}
	walk("Run", reflect.ValueOf(sample()))
}

func TestStandardNames(t *testing.T) {
	got := map[string]string{}
	for _, kv := range semconv.RootAttributes(sample()) {
		got[string(kv.Key)] = kv.Value.String()
	}
	for key, want := range map[string]string{
		"error.type": "maintenance_page", "http.response.status_code": "200",
		"url.full": "https://h5.rsj.example.test/shebao/quanyi", "network.peer.address": "192.0.2.7",
		"tls.server.not_after": "2027-01-01T00:00:00Z", "user_agent.synthetic.type": "test",
		"test.case.name": "shebao-quanyi/page", "test.case.result.status": "fail", "gengfu.verdict": "down",
	} {
		require.Equal(t, want, got[key], key)
	}
	require.Contains(t, got["gengfu.checks"], "&& a < b", "people read it in a span")
}

// odd draws strings people and hostile pages really send: any runes, line
// breaks, HTML, quotes, NUL, the line separator.
func odd(limit int) *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringN(0, limit/4, limit),
		rapid.SampledFrom([]string{"", "\x00", "\u2028", `"<&>'\`, "换\n行", "\ufeff", "🀄", strings.Repeat("长", limit/3)}),
	)
}

func genRun(t *rapid.T) probes.Run {
	id := rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,30}`)
	key := probes.Key{Service: id.Draw(t, "service"), Probe: id.Draw(t, "probe")}
	every := time.Duration(rapid.Int64Range(1, 40*24*3600*1000).Draw(t, "every")) * time.Millisecond
	at := now.Add(-time.Duration(rapid.Int64Range(0, int64(5*365*24*time.Hour)).Draw(t, "ago")))
	slot := probes.SlotAt(key, every, at)
	length := rapid.Custom(func(t *rapid.T) time.Duration { return time.Duration(rapid.Int64Min(0).Draw(t, "ns")) })
	class := rapid.SampledFrom(append(probes.Classes(), probes.ClassNone))
	phrase := rapid.SampledFrom(append(probes.Phrases(), "", "of_a_newer_agent"))
	run := probes.Run{
		Key: key, Slot: slot, Every: every,
		Channel: rapid.SampledFrom(probes.Channels()).Draw(t, "channel"),
		Kind:    id.Draw(t, "kind"), Agent: id.Draw(t, "agent"), Vantage: id.Draw(t, "vantage"),
		Labels:   rapid.MapOfN(odd(100), odd(256), 0, 8).Draw(t, "labels"),
		Revision: rapid.StringMatching(`([0-9a-f]{40})?`).Draw(t, "revision"),
		Trigger:  rapid.SampledFrom([]probes.Trigger{probes.TriggerSlot, probes.TriggerCatchUp, probes.TriggerConfirm, probes.TriggerManual}).Draw(t, "trigger"),
		Started:  at, Took: length.Draw(t, "took"), Late: time.Duration(rapid.Int64().Draw(t, "late")),
		TraceID: rapid.StringMatching(`[1-9a-f][0-9a-f]{31}`).Draw(t, "trace"),
		Result: probes.Result{
			Verdict: rapid.SampledFrom(probes.Verdicts()).Draw(t, "verdict"), Class: class.Draw(t, "class"),
			Timings: probes.Timings{
				DNS: length.Draw(t, "dns"), Connect: length.Draw(t, "connect"), TLS: length.Draw(t, "tls"),
				Request: length.Draw(t, "request"), FirstByte: length.Draw(t, "first byte"), Body: length.Draw(t, "body"), Total: length.Draw(t, "total"),
			},
			Status: rapid.IntRange(0, 999).Draw(t, "status"), URL: odd(2048).Draw(t, "url"), IP: odd(128).Draw(t, "ip"),
			Steps: rapid.IntRange(0, 99).Draw(t, "steps"), Passed: rapid.IntRange(0, 99).Draw(t, "passed"),
			Title:    odd(2048).Draw(t, "title"),
			Measures: rapid.MapOfN(odd(100), rapid.Float64(), 0, 8).Draw(t, "measures"),
			Findings: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) probes.Finding {
				return probes.Finding{Class: class.Draw(t, "class"), Step: odd(1024).Draw(t, "step"), Phrase: phrase.Draw(t, "phrase"), Want: odd(1024).Draw(t, "want"), Got: odd(300).Draw(t, "got")}
			}), 0, 4).Draw(t, "findings"),
			Checks: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) probes.Check {
				return probes.Check{Expr: odd(1024).Draw(t, "expr"), Warn: rapid.Bool().Draw(t, "warn"), OK: rapid.Bool().Draw(t, "ok"), Saw: odd(1024).Draw(t, "saw")}
			}), 0, 4).Draw(t, "checks"),
			Parts: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) probes.Part {
				return probes.Part{Name: odd(1024).Draw(t, "name"), Verdict: rapid.SampledFrom(probes.Verdicts()).Draw(t, "part"), Class: class.Draw(t, "class"), IP: odd(128).Draw(t, "ip"), Status: rapid.IntRange(0, 999).Draw(t, "status"), Took: length.Draw(t, "took")}
			}), 0, 4).Draw(t, "parts"),
			Evidence: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) probes.Evidence {
				return probes.Evidence{Kind: odd(100).Draw(t, "kind"), MIME: odd(100).Draw(t, "mime"), SHA256: digest(odd(9).Draw(t, "of")), Size: rapid.IntMin(0).Draw(t, "size")}
			}), 0, 3).Draw(t, "evidence"),
		},
	}
	if rapid.Bool().Draw(t, "tls until set") {
		run.Result.TLSUntil = time.Unix(rapid.Int64Range(0, 253402300799).Draw(t, "tls until"), 0).UTC()
	}
	return run
}

// bare makes empty lists nil, as a trace cannot tell the two apart.
func bare(run probes.Run) probes.Run {
	if len(run.Labels) == 0 {
		run.Labels = nil
	}
	r := &run.Result
	if len(r.Measures) == 0 {
		r.Measures = nil
	}
	if len(r.Findings) == 0 {
		r.Findings = nil
	}
	if len(r.Checks) == 0 {
		r.Checks = nil
	}
	if len(r.Evidence) == 0 {
		r.Evidence = nil
	}
	if len(r.Parts) == 0 {
		r.Parts = nil
	}
	return run
}

func TestEveryRunSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		run := bare(genRun(t))
		data, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{batch(root(run))}})
		require.NoError(t, err)
		var back tracepb.TracesData
		require.NoError(t, proto.Unmarshal(data, &back))
		traces, rejected := semconv.Decode(back.ResourceSpans, now)
		require.Empty(t, rejected)
		require.Equal(t, run, traces[0].Run)
	})
}

// What a broken kind could hand over must still reach the coordinator.
func TestWhatExceedsTheBoundsIsClippedNotRefused(t *testing.T) {
	run := sample()
	r := &run.Result
	r.URL = "https://x.test/" + strings.Repeat("长", 5000)
	r.Title = "bad \xff utf-8"
	r.Measures["nan"], r.Measures["inf"] = math.NaN(), math.Inf(1)
	r.Measures[strings.Repeat("m", 999)] = 1
	for range 1000 {
		r.Findings = append(r.Findings, probes.Finding{Class: probes.ClassStep, Phrase: probes.Phrase(strings.Repeat("p", 5000)), Got: strings.Repeat("\x01", 5000)})
		r.Checks = append(r.Checks, probes.Check{Expr: strings.Repeat("e", 5000)})
		r.Evidence = append(r.Evidence, probes.Evidence{SHA256: digest("y")})
	}
	r.Evidence[0].SHA256 = "../../etc/passwd"
	r.TLSUntil = time.Date(123456, 1, 1, 0, 0, 0, 0, time.UTC)

	traces, rejected := semconv.Decode([]*tracepb.ResourceSpans{batch(root(run))}, now)
	require.Empty(t, rejected)
	got := traces[0].Run.Result
	require.Equal(t, "bad \uFFFD utf-8", got.Title)
	require.Len(t, got.Findings, 50)
	require.Len(t, got.Checks, 100)
	require.Len(t, got.Evidence, 15, "the one without an address is left out")
	require.Len(t, got.Measures, 2)
	require.True(t, strings.HasPrefix(r.URL, got.URL))
	require.Zero(t, got.TLSUntil)

	spans, err := semconv.Spans(traces[0].OTLP)
	require.NoError(t, err)
	require.NotEmpty(t, spans[0].Attrs["gengfu.clipped"])
}

func TestSpreadTracesAreMerged(t *testing.T) {
	a, b := sample(), sample()
	b.TraceID = "ff0102030405060708090a0b0c0d0eff"
	rs := []*tracepb.ResourceSpans{
		batchOf("first", span(a, 3, 2, nil), span(b, 2, 1, nil)),
		batchOf("second", root(b), span(a, 2, 1, nil)),
		batchOf("third", root(a), root(a), span(b, 2, 1, nil)), // some came twice
	}
	traces, rejected := semconv.Decode(rs, now)
	require.Empty(t, rejected)
	require.Len(t, traces, 2)
	require.Equal(t, a, traces[0].Run)
	require.Equal(t, b, traces[1].Run)
	for i, want := range []int{3, 2} {
		spans, err := semconv.Spans(traces[i].OTLP)
		require.NoError(t, err)
		require.Len(t, spans, want)
		var data tracepb.TracesData
		require.NoError(t, proto.Unmarshal(traces[i].OTLP, &data))
		var hosts []string
		for _, r := range data.ResourceSpans {
			hosts = append(hosts, r.Resource.Attributes[0].Value.GetStringValue())
			require.Equal(t, "test", r.ScopeSpans[0].Scope.Name)
		}
		require.Equal(t, []string{"first", "second", "third"}[:want], hosts, "every span stays with its resource")
	}
}

func TestRefusals(t *testing.T) {
	set := func(key string, v *commonpb.AnyValue) func(*tracepb.Span) {
		return func(s *tracepb.Span) {
			for _, kv := range s.Attributes {
				if kv.Key == key {
					kv.Value = v
					return
				}
			}
			s.Attributes = append(s.Attributes, &commonpb.KeyValue{Key: key, Value: v})
		}
	}
	text := func(s string) *commonpb.AnyValue { return value(attribute.StringValue(s)) }
	number := func(n int64) *commonpb.AnyValue { return value(attribute.Int64Value(n)) }
	without := func(key string) func(*tracepb.Span) {
		return func(s *tracepb.Span) {
			var kept []*commonpb.KeyValue
			for _, kv := range s.Attributes {
				if kv.Key != key {
					kept = append(kept, kv)
				}
			}
			s.Attributes = kept
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*tracepb.Span)
		reason string
	}{
		{"no verdict", without("gengfu.verdict"), "no root span with gengfu.verdict"},
		{"unknown verdict", set("gengfu.verdict", text("fine")), `verdict: want up, degraded, down or unknown, got "fine"`},
		{"verdict of another type", set("gengfu.verdict", number(1)), "gengfu.verdict: want a string"},
		{"unknown class", set("error.type", text("oops")), `error.type: "oops" is not a failure class`},
		{"unknown class in a finding", set("gengfu.findings", value(attribute.StringSliceValue([]string{`{"class":"oops"}`}))), `"oops" is not a failure class`},
		{"finding that is no JSON", set("gengfu.findings", value(attribute.StringSliceValue([]string{`{`}))), "gengfu.findings: entry 0: unexpected end"},
		{"findings that are no list", set("gengfu.findings", text("x")), "want a list of strings"},
		{"no service", without("gengfu.service"), "gengfu.service: missing"},
		{"service with a slash", set("gengfu.service", text("a/b")), "want service/probe"},
		{"service with a control character", set("gengfu.service", text("a\nb")), "no control characters"},
		{"no agent", without("gengfu.agent"), "gengfu.agent: missing"},
		{"no vantage", without("gengfu.vantage"), "gengfu.vantage: missing"},
		{"no slot", without("gengfu.slot"), "gengfu.slot: want a time"},
		{"slot that is no time", set("gengfu.slot", text("noon")), `want a time as RFC 3339, got "noon"`},
		{"slot beside the grid", set("gengfu.slot", text(sample().Slot.Add(time.Millisecond).Format(time.RFC3339Nano))), "is not a slot of shebao-quanyi/page every 5m0s"},
		{"no interval", without("gengfu.every_ms"), "gengfu.every_ms: want more than 0"},
		{"negative interval", set("gengfu.every_ms", number(-5)), "gengfu.every_ms: want 0 to"},
		{"negative duration", set("gengfu.took_ns", number(-1)), "gengfu.took_ns: want 0 to"},
		{"started in the future", set("gengfu.started", text(now.Add(11*time.Minute).Format(time.RFC3339Nano))), "is in the future; set the agent's clock"},
		{"started in the past century", set("gengfu.started", text("1970-01-01T00:00:00Z")), "gengfu.started: want a time"},
		{"unknown channel", set("gengfu.channel", text("fax")), `"fax" is not a channel`},
		{"unknown trigger", set("gengfu.trigger", text("whim")), `"whim" is not a trigger`},
		{"status of another type", set("http.response.status_code", text("200")), "want an integer"},
		{"status out of range", set("http.response.status_code", number(1000)), "want 0 to 999, got 1000"},
		{"too long a title", set("gengfu.title", text(strings.Repeat("x", 2049))), "gengfu.title: want at most 2048 bytes, got 2049"},
		{"too long an id", set("gengfu.kind", text(strings.Repeat("x", 129))), "want at most 128 bytes"},
		{"a measure that is no number", set("gengfu.measure.x", value(attribute.Float64Value(math.NaN()))), "want a finite number"},
		{"evidence with a path", set("gengfu.evidence", value(attribute.StringSliceValue([]string{`{"sha256":"../x"}`}))), "want a SHA-256"},
		{"an attribute twice", func(s *tracepb.Span) {
			s.Attributes = append(s.Attributes, &commonpb.KeyValue{Key: "gengfu.title", Value: text("x")})
		}, "gengfu.title: want it once"},
		{"short trace id", func(s *tracepb.Span) { s.TraceId = s.TraceId[:8] }, "trace id: want 16 bytes, got 8"},
		{"no trace id", func(s *tracepb.Span) { s.TraceId = make([]byte, 16) }, "not all zeros"},
		{"short span id", func(s *tracepb.Span) { s.SpanId = nil }, "span id: want 8 bytes, got 0"},
		{"odd parent", func(s *tracepb.Span) { s.ParentSpanId = []byte{1} }, "parent span id: want 8 bytes, got 1"},
		{"root with a parent", func(s *tracepb.Span) { s.ParentSpanId = []byte("12345678") }, "has a parent"},
		{"not UTF-8", set("note", text("\xff")), "encoding the trace"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, other := root(sample()), sample()
			other.TraceID = "ff0102030405060708090a0b0c0d0eff"
			tt.change(s)
			traces, rejected := semconv.Decode([]*tracepb.ResourceSpans{batch(s, root(other))}, now)
			require.Len(t, rejected, 1)
			require.Contains(t, rejected[0].Reason, tt.reason)
			require.Equal(t, 1, rejected[0].Spans)
			require.Len(t, traces, 1, "its neighbour is taken")
			require.Equal(t, other, traces[0].Run)
		})
	}
}

func TestTracesThatAreNotOneRun(t *testing.T) {
	run := sample()
	two := root(run)
	two.SpanId = []byte("87654321")
	_, rejected := semconv.Decode([]*tracepb.ResourceSpans{batch(root(run), two)}, now)
	require.Len(t, rejected, 1)
	require.Contains(t, rejected[0].Reason, "two spans carry gengfu.verdict")

	var many []*tracepb.Span
	for i := range 1001 {
		s := span(run, 0, 1, nil)
		s.SpanId = []byte{1, 1, 1, 1, 1, 1, byte(i >> 8), byte(i)}
		many = append(many, s)
	}
	_, rejected = semconv.Decode([]*tracepb.ResourceSpans{batch(root(run)), batch(many...)}, now)
	require.Len(t, rejected, 1)
	require.Contains(t, rejected[0].Reason, "want at most 1000")
	require.Equal(t, 1002, rejected[0].Spans)
}

func TestAManualRunNeedsNoSlot(t *testing.T) {
	run := sample()
	run.Trigger, run.Slot = probes.TriggerManual, run.Slot.Add(7*time.Millisecond)
	traces, rejected := semconv.Decode([]*tracepb.ResourceSpans{batch(root(run))}, now)
	require.Empty(t, rejected)
	require.Equal(t, run, traces[0].Run)
}

func TestSpansComeInTheWaterfallsOrder(t *testing.T) {
	run := sample()
	at := func(s *tracepb.Span, name string, ms int) *tracepb.Span {
		s.Name, s.StartTimeUnixNano = name, uint64(now.Add(time.Duration(ms)*time.Millisecond).UnixNano())
		return s
	}
	orphan := at(span(run, 8, 99, nil), "orphan", 1)
	circleA, circleB := at(span(run, 10, 11, nil), "circle a", 0), at(span(run, 11, 10, nil), "circle b", 1)
	failed := at(span(run, 4, 2, []attribute.KeyValue{attribute.String("error.type", "_OTHER")}), "failed", 20)
	failed.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: "坏了"}
	data, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{
		batch(orphan, at(span(run, 5, 3, nil), "c", 40), circleB, failed, circleA),
		batch(at(span(run, 3, 1, nil), "b", 30), at(span(run, 6, 2, nil), "a1", 15), at(span(run, 2, 1, nil), "a", 10), at(root(run), "root", 5)),
	}})
	require.NoError(t, err)
	spans, err := semconv.Spans(data)
	require.NoError(t, err)
	var names []string
	for _, s := range spans {
		names = append(names, s.Name)
	}
	require.Equal(t, []string{"root", "a", "a1", "failed", "b", "c", "orphan", "circle a", "circle b"}, names)
	require.Equal(t, "坏了", spans[3].Error)
	require.Empty(t, spans[3].Class, "outside the closed list")
	require.Equal(t, "_OTHER", spans[3].Attrs["error.type"])

	_, err = semconv.Spans([]byte("garbage"))
	require.Error(t, err)
}

func FuzzDecode(f *testing.F) {
	run := sample()
	for _, rs := range [][]*tracepb.ResourceSpans{
		{batch(root(run), span(run, 2, 1, nil))}, {batch(span(run, 2, 1, nil)), batch(root(run))}, {batch(root(run), root(run))},
	} {
		data, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: rs})
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, otlp []byte) {
		var data tracepb.TracesData
		if proto.Unmarshal(otlp, &data) != nil {
			return
		}
		traces, rejected := semconv.Decode(data.ResourceSpans, now)
		for _, r := range rejected {
			require.NotEmpty(t, r.Reason)
		}
		for _, tr := range traces {
			require.NotEmpty(t, tr.Run.Key.Service)
			require.False(t, tr.Run.Slot.After(now.Add(semconv.Ahead)))
			var one tracepb.TracesData
			require.NoError(t, proto.Unmarshal(tr.OTLP, &one))
			again, rejected := semconv.Decode(one.ResourceSpans, now)
			require.Empty(t, rejected, "what was taken once is taken again")
			require.Len(t, again, 1)
			require.Equal(t, tr, again[0])
			spans, err := semconv.Spans(tr.OTLP)
			require.NoError(t, err)
			require.NotEmpty(t, spans)
		}
	})
}
