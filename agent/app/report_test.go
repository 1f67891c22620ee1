package app

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/wording"
)

func TestColumnsCountChineseAsTwo(t *testing.T) {
	for s, want := range map[string]int{
		"": 0, "abc": 3, "社保": 4, "（１）": 6, "《a》": 5, "e\u0301": 1, "a\u200bb": 2, "—…": 2, "한글": 4,
	} {
		require.Equal(t, want, columns(s), "%q", s)
	}
	require.Equal(t, "社..", clip("社保查询", 5), "a letter is never cut in two")
	require.Equal(t, "社..  |", pad("社保查询", 5)+"  |"[1:])
	require.Equal(t, "ab   |", pad("ab", 5)+"|")
	require.Equal(t, 5, columns(pad("社保查询", 5)))
}

// TestOneLineKeepsTerminalsSafe: what a page says may hold what moves a cursor.
func TestOneLineKeepsTerminalsSafe(t *testing.T) {
	for s, want := range map[string]string{
		"a\tb\r\nc":          "a b  c",
		"\x1b[2J\x07x\u009b": "?[2J?x?",
		"\u202eabc\u200f":    "abc",
		"a\u2028b":           "a b",
		"bad\xff":            "bad?",
		"  社保　查询 ":           "社保 查询",
	} {
		require.Equal(t, want, oneLine(s), "%q", s)
	}
}

// spansOf is a run with a step, phases and resources, some of which failed.
func spansOf(resources int) []probes.Span {
	start := time.Date(2026, 11, 25, 1, 0, 0, 0, time.UTC)
	at := func(id, parent, name string, from, took int) probes.Span {
		return probes.Span{ID: id, Parent: parent, Name: name, Start: start.Add(time.Duration(from) * time.Millisecond), Took: time.Duration(took) * time.Millisecond}
	}
	failed := at("4", "2", "tls", 30, 70)
	failed.Class, failed.Finding = probes.ClassTLS, probes.Finding{Class: probes.ClassTLS, Phrase: probes.PhraseCertName, Want: "h5.example.test", Got: "other.example.test"}
	out := []probes.Span{
		at("1", "", "probe", 0, 100), at("2", "1", "open https://h5.example.test/", 10, 90), at("3", "2", "dns", 10, 20), failed,
	}
	out[0].Class = probes.ClassTLS
	for i := range resources {
		s := at(fmt.Sprint("r", i), "2", "resource", 50+i%40, 5)
		s.Attrs = map[string]string{"gengfu.resource.kind": "script", "url.full": fmt.Sprintf("https://cdn.example.test/脚本/%d.js?v=1", i), "gengfu.resource.own": "false"}
		out = append(out, s)
	}
	return out
}

func TestWaterfallKeepsItsColumns(t *testing.T) {
	for _, lang := range []wording.Lang{wording.ZH, wording.EN} {
		lines := strings.Split(strings.TrimSuffix(waterfall(lang, spansOf(3)), "\n"), "\n")
		bars, at := 0, 0
		for i, line := range lines {
			require.Regexp(t, `^[\p{Han}\x20-\x7e]*$`, strings.NewReplacer("：", "", "，", "", "「", "", "」", "", "（", "", "）", "").Replace(line), "no letter whose width depends on the font")
			before, bar, ok := strings.Cut(line, "|")
			if !ok {
				continue
			}
			require.Len(t, bar, barColumns+1, line)
			if bars++; bars == 1 {
				at = columns(before)
				require.Equal(t, at+barColumns+1, columns(lines[0]), "the scale ends where the bars end")
			}
			require.Equal(t, at, columns(before), "line %d: %s", i, line)
		}
		require.Equal(t, 7, bars)
	}
}

func TestWaterfallShowsWhereAndWhy(t *testing.T) {
	require.Equal(t, strings.Join([]string{
		"瀑布图                             开始ms    用时ms   0                                  100.0",
		"整次拨测                              0.0     100.0  |xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx|",
		"  打开 https://h5.example.test/      10.0      90.0  |    ====================================|",
		"    域名解析                         10.0      20.0  |    ========                            |",
		"    加密握手                         30.0      70.0  |            xxxxxxxxxxxxxxxxxxxxxxxxxxxx|",
	}, "\n")+"\n", strings.Join(strings.SplitAfter(waterfall(wording.ZH, spansOf(0)), "\n")[:5], ""))
	require.Contains(t, waterfall(wording.ZH, spansOf(0)), "\n      ! ")
	require.Contains(t, waterfall(wording.ZH, spansOf(0)), "h5.example.test")
	require.Contains(t, waterfall(wording.EN, spansOf(1)), "script cdn.example.test/脚本/0.js")
	require.Empty(t, waterfall(wording.ZH, nil))
}

// TestWaterfallIsBounded and leaves out nothing that failed.
func TestWaterfallIsBounded(t *testing.T) {
	spans := spansOf(500)
	spans[len(spans)-1].Error = "refused"
	text := waterfall(wording.ZH, spans)
	require.Contains(t, text, "/499.js")
	require.Contains(t, text, "! refused")
	require.Equal(t, maxBars+1, strings.Count(text, "|\n"))
	require.Contains(t, text, fmt.Sprintf("另有 %d 段未列出", len(spans)-maxBars-1))
	for _, s := range []probes.Span{{ID: "1", Took: -time.Second}, {ID: "1", Start: time.Now()}} {
		require.NotEmpty(t, waterfall(wording.ZH, []probes.Span{s, {ID: "2", Parent: "1", Took: time.Hour}}), "whatever times a trace holds")
	}
}

func TestReportOfAllThatThereIs(t *testing.T) {
	run := probes.Run{
		Key: probes.Key{Service: "wx-01", Probe: "page"}, Kind: "http", Agent: "a1", Vantage: "room-a", TraceID: strings.Repeat("ab", 16),
		Started: time.Date(2026, 11, 25, 1, 2, 3, 4e6, time.UTC), Took: 1234567 * time.Microsecond,
		Result: probes.Result{
			Verdict: probes.Down, Class: probes.ClassStatus, Status: 502, IP: "10.0.0.8", URL: "https://h5.example.test/", Title: "出错了",
			Steps: 3, Passed: 1, TLSUntil: time.Date(2026, 12, 5, 1, 2, 4, 0, time.UTC),
			Findings: []probes.Finding{{Class: probes.ClassStatus, Want: "200", Got: "502"}},
			Checks: []probes.Check{
				{Expr: "status == 200", Saw: "status = 502"}, {Expr: "text contains '缴费'", OK: true}, {Expr: "latency < 1s", Warn: true, Saw: "latency = 2s"},
			},
		},
	}
	text := report(wording.ZH, probes.Service{Name: "社保查询"}, probes.Probe{Name: "页面"}, run, spansOf(0))
	for _, want := range []string{
		"拨测  wx-01/page  社保查询 · 页面  (HTTP)\n", "判定  异常 · 返回错误状态码\n", "用时  1234.6 ms\n", "响应  HTTP 502  10.0.0.8，《出错了》\n",
		"证书  有效期至 2026-12-05，剩余 10 天\n", "步骤  通过 1/3\n", "时间  2026-11-25 09:02:03.004（北京时间），探针 a1，监测点 room-a\n",
		"\n问题\n  ! ", "\n检查\n  不符  status == 200         实际：status = 502\n  符合  text contains '缴费'\n  提醒  latency < 1s          实际：latency = 2s\n",
	} {
		require.Contains(t, text, want)
	}
	require.Contains(t, report(wording.EN, probes.Service{}, probes.Probe{}, run, nil), "cert     valid until 2026-12-05, 10 days left\n")
}

func TestTheWorstVerdictIsTheExitCode(t *testing.T) {
	require.Equal(t, 3, worse(0, 3))
	require.Equal(t, 4, worse(3, 4))
	require.Equal(t, 1, worse(4, 1))
	require.Equal(t, 1, worse(1, 4))
	require.Len(t, exits, len(probes.Verdicts()))
}
