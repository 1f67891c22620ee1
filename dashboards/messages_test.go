package dashboards

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/wording"
)

var verbs = regexp.MustCompile(`%[a-z]`)

func TestEveryTextIsThereInBothLanguages(t *testing.T) {
	for key, m := range messages {
		require.NotEmpty(t, m.zh, key)
		require.NotEmpty(t, m.en, key)
		require.Equal(t, verbs.FindAllString(m.zh, -1), verbs.FindAllString(m.en, -1), key)
	}
}

func TestEveryTextThatIsAskedForExistsAndNoneIsLeftOver(t *testing.T) {
	used := map[string]bool{}
	prefixes := map[string]bool{}
	note := func(source, pattern string, into map[string]bool) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(source, -1) {
			into[m[1]] = true
		}
	}
	pages, err := fs.Glob(files, "*.html")
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	for _, name := range pages {
		data, err := fs.ReadFile(files, name)
		require.NoError(t, err)
		note(string(data), `\.T "([^"]+)"`, used)
		note(string(data), `\.Word "([^"]+)"`, prefixes)
	}
	sources, err := fs.Glob(os.DirFS("."), "*.go")
	require.NoError(t, err)
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") || name == "messages.go" {
			continue
		}
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		note(string(data), `\.t\("([^"]+)"`, used)
		note(string(data), `(?:text|took)\("([^"]+)"`, used)
		note(string(data), `s\.say\(w, r, [\w.]+, "([^"]+)"`, used)
		note(string(data), `s\.say\(w, r, [\w.]+, "[^"]+", "([^"]+)"`, used)
		note(string(data), `\.word\("([^"]+)"`, prefixes)
	}
	// Ago builds its keys from two parts.
	prefixes["ago."], prefixes["in."] = true, true
	for key := range used {
		require.Contains(t, messages, key)
	}
	for key := range messages {
		if used[key] {
			continue
		}
		found := false
		for prefix := range prefixes {
			found = found || strings.HasPrefix(key, prefix)
		}
		require.True(t, found, "text %q is used nowhere", key)
	}
}

// TestClosedListsHaveTheirWords reads the lists from the sources that declare
// them, so that an id added there is missed here.
func TestClosedListsHaveTheirWords(t *testing.T) {
	known := map[string]bool{}
	for key := range messages {
		known[key] = true
	}
	for _, list := range []struct{ prefix, file, typ string }{
		{"reason.", "../coordinator/availability/availability.go", "Reason"},
		{"grade.", "../coordinator/incident/incident.go", "Grade"},
		{"note.", "../coordinator/incident/machine.go", "EffectKind"},
		{"life.", "../probes/service.go", "Life"},
		{"delivery.", "../coordinator/alert/alert.go", "State"},
		{"event.", "../coordinator/alert/alert.go", "Event"},
	} {
		for _, id := range constants(t, list.file, list.typ) {
			if id != string(incident.Updated) { // changes an incident and leaves no note
				require.True(t, known[list.prefix+id], "%s of %s has no words", id, list.file)
			}
		}
	}
	for _, key := range []string{"clock.resolve_2h", "clock.respond_8h", "clock.report_24h", "note.ack", "note.note", "note.alert"} {
		require.True(t, known[key], key)
	}
}

// constants returns the texts of a file's constants of one type.
func constants(t *testing.T, file, typ string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	var out []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := v.Type.(*ast.Ident); !ok || name.Name != typ {
			return true
		}
		for _, x := range v.Values {
			text, err := strconv.Unquote(x.(*ast.BasicLit).Value)
			require.NoError(t, err)
			out = append(out, text)
		}
		return true
	})
	require.NotEmpty(t, out, "%s declares no constants of type %s", file, typ)
	return out
}

func TestTimesAsPeopleSayThem(t *testing.T) {
	at := time.Date(2026, 11, 25, 2, 42, 17, 0, time.UTC)
	p := &page{Lang: wording.ZH, Now: at}
	for d, want := range map[time.Duration]string{
		0: "刚刚", 42 * time.Second: "42秒前", 3*time.Minute + 59*time.Second: "3分钟前", 5 * time.Hour: "5小时前", 50 * time.Hour: "2天前", -90 * time.Second: "1分钟后",
	} {
		require.Equal(t, want, p.Ago(at.Add(-d)).Text)
	}
	require.Equal(t, "2026-11-25 10:42:17", p.Ago(at).Exact)
	require.Equal(t, "10:42:17", p.At(at).Text)
	// 16:30 UTC is already the next day in Shanghai.
	require.Equal(t, "11-24 23:59", p.At(time.Date(2026, 11, 24, 15, 59, 0, 0, time.UTC)).Text)
	require.Equal(t, "00:00:00", p.At(time.Date(2026, 11, 24, 16, 0, 0, 0, time.UTC)).Text)
	require.Equal(t, none, p.Ago(time.Time{}).Text)
	require.Equal(t, "已超时 2分", p.Until(at.Add(-2*time.Minute)).Text)
	require.Equal(t, "剩余 1小时23分", p.Until(at.Add(83*time.Minute)).Text)
}

func TestOnlyWebAddressesBecomeLinks(t *testing.T) {
	p := &page{}
	for _, u := range []string{"javascript:alert(1)", "data:text/html,x", "//evil.example", "ftp://x.example/", "http:", "https:///x", " https://x.example", "\x00https://x.example", "HtTpX://x", ""} {
		require.Empty(t, p.Web(u), u)
	}
	require.Equal(t, "https://www.rsj.example/a?b=c", p.Web("https://www.rsj.example/a?b=c"))
	for _, link := range []string{"//evil.example", `/\evil.example`, "javascript:x", ""} {
		href, _ := p.linkOf(link)
		require.Empty(t, href, link)
	}
}

func TestAFigureNeverLooksBetterThanItWas(t *testing.T) {
	p := &page{Lang: wording.ZH}
	share := 0.99995
	require.Equal(t, "99.99%", p.Pct(&share))
	require.Equal(t, "无数据", p.Pct(nil))
}

func TestAChartLeavesGapsWhereNobodyLooked(t *testing.T) {
	at := time.Date(2026, 11, 25, 2, 0, 0, 0, time.UTC)
	p := &page{Lang: wording.ZH, Now: at}
	s := view.Series{Vantage: "a"}
	for k := range 360 {
		when := at.Add(-6*time.Hour + time.Duration(k)*time.Minute)
		if k >= 100 && k < 160 {
			continue
		}
		v := probes.Up
		if k == 200 {
			v = probes.Down // says nothing of speed
		}
		ms := 100.0
		if v == probes.Down {
			ms = 90_000
		}
		s.Points = append(s.Points, view.Point{At: when, MS: ms, Verdict: v, TraceID: "t"})
	}
	c := p.chartOf([]view.Series{s}, time.Minute)
	require.Len(t, c.Lines, 1)
	require.Equal(t, 2, strings.Count(c.Lines[0].Middle, "M"), "one stretch before the gap, one after")
	require.Len(t, c.Marks, 1)
	require.Equal(t, "100 ms", c.Y[len(c.Y)-1].Text, "a failure must not stretch the axis")
	require.True(t, p.chartOf(nil, time.Minute).Empty)
}

func TestAWaterfallStaysInsideItsTrackAndFoldsLongOnes(t *testing.T) {
	p := &page{Lang: wording.ZH}
	at := time.Date(2026, 11, 25, 2, 0, 0, 0, time.UTC)
	spans := []probes.Span{{ID: "1", Name: "root", Start: at, Took: time.Second}}
	parent := "1"
	for k := range 200 {
		id := string(rune('a'+k%26)) + string(rune('0'+k/26))
		spans = append(spans, probes.Span{ID: id, Parent: parent, Name: "dns", Start: at.Add(time.Duration(k) * 6 * time.Millisecond), Took: time.Duration(k) * time.Microsecond})
		if k < 20 {
			parent = id
		}
	}
	w := p.waterfallOf(spans)
	require.Len(t, w.Rows, foldAfter)
	require.Len(t, w.More, len(spans)-foldAfter)
	for _, r := range append(w.Rows, w.More...) {
		require.GreaterOrEqual(t, r.X, 0.0)
		require.LessOrEqual(t, r.X+r.W, trackW+1e-6)
		require.LessOrEqual(t, r.Depth, maxDepth)
	}
	require.Equal(t, "域名解析", w.Rows[1].Name)
	require.Empty(t, p.waterfallOf(nil).Rows)
}

func TestAResourceIsNamedByWhatItIs(t *testing.T) {
	p := &page{Lang: wording.ZH}
	for want, attrs := range map[string]map[string]string{
		"脚本 /static/app.js":      {"gengfu.resource.kind": "script", "url.full": "https://www.rsj.example/static/app.js?v=2", "gengfu.resource.own": "true"},
		"图片 cdn.example/pic.png": {"gengfu.resource.kind": "image", "url.full": "https://cdn.example/pic.png", "gengfu.resource.own": "false"},
		"beacon /x":              {"gengfu.resource.kind": "beacon", "url.full": "https://www.rsj.example/x"},
		"资源":                     {},
	} {
		require.Equal(t, want, p.spanName(probes.Span{Name: "resource", Attrs: attrs}, 1))
	}
	require.Equal(t, "整次拨测", p.spanName(probes.Span{Name: "probe wx-01/page"}, 0))
	require.Equal(t, "请求", p.spanName(probes.Span{Name: "request"}, 1), "the step")
	require.Equal(t, "发送请求", p.spanName(probes.Span{Name: "request"}, 2), "its phase")
	require.Equal(t, "点按 查询", p.spanName(probes.Span{Name: "tap text=查询"}, 1))
	require.Equal(t, "保存证据", p.spanName(probes.Span{Name: "evidence"}, 1))
}

func TestASpanSaysWhatWentWrongInWords(t *testing.T) {
	p, en := &page{Lang: wording.ZH}, &page{Lang: wording.EN}
	refused := probes.Span{Class: probes.ClassConnect, Error: "connect: refused: want 10.0.0.1:80", Finding: probes.Finding{Class: probes.ClassConnect, Phrase: probes.PhraseRefused, Want: "10.0.0.1:80"}}
	require.Equal(t, "10.0.0.1:80 拒绝连接", p.spanError(refused))
	require.Equal(t, "10.0.0.1:80 refused the connection", en.spanError(refused))
	require.Equal(t, "连接失败：odd", p.spanError(probes.Span{Class: probes.ClassConnect, Error: "odd"}))
	require.Equal(t, "connection failed: odd", en.spanError(probes.Span{Class: probes.ClassConnect, Error: "odd"}))
	require.Equal(t, "odd", p.spanError(probes.Span{Error: "odd"}))
	require.Equal(t, "访问超时", p.spanError(probes.Span{Class: probes.ClassTimeout}))
	require.Empty(t, p.spanError(probes.Span{}))
}

func TestAClockSaysWhereItStands(t *testing.T) {
	at := time.Date(2026, 11, 25, 2, 0, 0, 0, time.UTC)
	p := &page{Lang: wording.ZH, Now: at}
	i := incident.Incident{Opened: at.Add(-100 * time.Minute)}
	due := i.Opened.Add(2 * time.Hour)
	for name, c := range map[string]struct {
		clock   view.Clock
		opened  time.Time
		tone    string
		percent float64
	}{
		"running out": {view.Clock{Name: "resolve_2h", Due: due}, i.Opened, "warn", 100 * 100.0 / 120},
		"young":       {view.Clock{Name: "respond_8h", Due: i.Opened.Add(8 * time.Hour)}, i.Opened, "ok", 100 * 100.0 / 480},
		"in time":     {view.Clock{Name: "resolve_2h", Due: due, Done: i.Opened.Add(time.Hour)}, i.Opened, "done", 50},
		"too late":    {view.Clock{Name: "resolve_2h", Due: at.Add(-time.Minute), Late: true}, i.Opened, "bad", 100},
		"done late":   {view.Clock{Name: "resolve_2h", Due: at.Add(-time.Hour), Done: at, Late: true}, i.Opened, "bad", 100},
	} {
		got := p.timer(c.clock, incident.Incident{Opened: c.opened})
		require.Equal(t, c.tone, got.Tone, name)
		require.InDelta(t, c.percent, got.Percent, 0.01, name)
	}
	// The report's clock starts with the recovery.
	closed := incident.Incident{Opened: at.Add(-48 * time.Hour), Resolved: at.Add(-6 * time.Hour)}
	got := p.timer(view.Clock{Name: "report_24h", Due: closed.Resolved.Add(24 * time.Hour)}, closed)
	require.InDelta(t, 25, got.Percent, 0.01)
}
