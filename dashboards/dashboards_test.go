package dashboards_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/gengfu/gengfu/coordinator/record"
	"github.com/gengfu/gengfu/dashboards"
	"github.com/gengfu/gengfu/probes/wording"
)

func clock() time.Time { return now }

func handler(t *testing.T, f *fixture) http.Handler {
	t.Helper()
	h, err := dashboards.New(dashboards.Options{
		Source: f, Actions: f, Title: `示例局<script>alert(0)</script>`, Now: clock,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	require.NoError(t, err)
	return h
}

func get(t *testing.T, h http.Handler, path string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func post(h http.Handler, path string, form url.Values, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	for k, v := range header {
		r.Header[k] = v
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// paths are all pages over a fixture.
func paths(f *fixture) []string {
	list := []string{"/", "/?only=down", "/?only=up", "/incidents", "/incidents?open=1", "/incidents?service=shebao-quanyi", "/agents", "/records", "/definitions", "/definitions?polled=1", "/alerts"}
	// One service of each sort; the others differ by their names only.
	for _, id := range []string{"shebao-quanyi", "wx-yanglao", "wx-jineng", "node-1", "new", "bare"} {
		if _, ok := f.services[id]; ok {
			list = append(list, "/services/"+id)
		}
	}
	for id := range f.runs {
		list = append(list, "/runs/"+id)
	}
	for id := range f.details {
		list = append(list, "/incidents/"+id)
	}
	for id := range f.sheets {
		list = append(list, "/records/"+id, "/records/"+id+"?row=shebao-quanyi@09:00&field=handler")
	}
	return list
}

var fleets = map[string]func() *fixture{"rich": rich, "empty": empty, "hostile": hostile}

func TestEveryPageIsSoundHTMLInBothLanguages(t *testing.T) {
	for name, make := range fleets {
		t.Run(name, func(t *testing.T) {
			f := make()
			h := handler(t, f)
			for _, path := range paths(f) {
				for _, lang := range []string{"zh", "en"} {
					w := get(t, h, path, &http.Cookie{Name: "gengfu_lang", Value: lang})
					require.Equal(t, http.StatusOK, w.Code, "%s (%s): %s", path, lang, w.Body.String())
					checkPage(t, fmt.Sprintf("%s (%s)", path, lang), w.Body.Bytes(), lang)
				}
			}
		})
	}
}

var (
	chinese = regexp.MustCompile(`\p{Han}`)
	verb    = regexp.MustCompile(`%!|%[sdg]\b|<no value>|<nil>`)
)

// checkPage holds what is true of every page, whatever is on it.
func checkPage(t *testing.T, where string, body []byte, lang string) {
	t.Helper()
	doc, err := html.Parse(bytes.NewReader(body))
	require.NoError(t, err, where)
	lacks(t, string(body), "ZgotmplZ", where)
	require.Empty(t, verb.FindString(string(body)), where)
	ids := map[string]bool{}
	var scripts, mains, headings int
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode {
			switch n.Data {
			case "script":
				scripts++
				require.Nil(t, n.FirstChild, "%s: inline script", where)
				require.Regexp(t, `^/static/app\.[0-9a-f]{10}\.js$`, attrOf(n, "src"), where)
			case "style", "base", "iframe", "object", "embed":
				require.Fail(t, "element", "%s: <%s>", where, n.Data)
			case "main":
				mains++
			case "h1":
				headings++
			case "img":
				require.Regexp(t, `^/(static/logo\.[0-9a-f]{10}\.svg|api/v1/evidence/[0-9a-f]{64})$`, attrOf(n, "src"), where)
			case "form":
				require.Regexp(t, `^/[^/]`, attrOf(n, "action"), where)
			}
			for _, a := range n.Attr {
				require.NotEqual(t, "style", a.Key, "%s: inline style on <%s>", where, n.Data)
				require.False(t, strings.HasPrefix(strings.ToLower(a.Key), "on"), "%s: %s on <%s>", where, a.Key, n.Data)
				switch a.Key {
				case "id":
					require.False(t, ids[a.Val], "%s: id %q twice", where, a.Val)
					ids[a.Val] = true
				case "href":
					checkLink(t, where, n, a.Val)
				}
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(doc)
	require.Equal(t, 1, scripts, "%s: scripts", where)
	require.Equal(t, 1, mains, "%s: main", where)
	require.Equal(t, 1, headings, "%s: h1", where)
}

func checkLink(t *testing.T, where string, n *html.Node, href string) {
	t.Helper()
	switch {
	case strings.HasPrefix(href, "#"), strings.HasPrefix(href, "?"), strings.HasPrefix(href, "/") && !strings.HasPrefix(href, "//") && !strings.HasPrefix(href, `/\`):
	default:
		require.Regexp(t, `^https?://`, href, where)
		require.Contains(t, attrOf(n, "rel"), "noreferrer", where)
	}
}

func attrOf(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// holds and lacks are require.Contains and its opposite without the whole page
// in the message.
func holds(t *testing.T, page, want, where string) {
	t.Helper()
	require.True(t, strings.Contains(page, want), "%s lacks %q", where, want)
}

func lacks(t *testing.T, page, bad, where string) {
	t.Helper()
	require.False(t, strings.Contains(page, bad), "%s holds %q", where, bad)
}

// text is what a reader sees of a page.
func text(t *testing.T, body []byte) string {
	t.Helper()
	doc, err := html.Parse(bytes.NewReader(body))
	require.NoError(t, err)
	var b strings.Builder
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode && n.Data == "title" {
			return // of the tab, and tips of bars
		}
		if n.Type == html.TextNode {
			b.WriteString(n.Data + " ")
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(doc)
	return strings.Join(strings.Fields(b.String()), " ")
}

func TestEnglishPagesAreEnglish(t *testing.T) {
	f := empty()
	h := handler(t, f)
	for _, path := range []string{"/", "/incidents", "/agents", "/records", "/definitions", "/alerts"} {
		seen := text(t, get(t, h, path+"?lang=en").Body.Bytes())
		seen = strings.NewReplacer("中文", "", "示例局", "").Replace(seen)
		require.Empty(t, chinese.FindString(seen), "%s: %s", path, seen)
	}
}

func TestPagesSayWhatAnOperatorNeeds(t *testing.T) {
	f := rich()
	h := handler(t, f)
	bad := traceID("bad" + unicom)
	for path, want := range map[string][]string{
		"/": {
			"2 项服务异常", "社会保险个人权益记录查询", wording.Finding(wording.ZH, finding),
			"定义未采用。", "探针 agent-zw-01", "没有新的结果，最近一次结论在 17分钟前", "84.73%", "仅部分监测点异常", "1小时38分", "待确认", "张伟 已确认", "1 试运行", "3 /4",
		},
		"/services/shebao-quanyi": {
			"异常 · 页面显示系统维护", "多点结论一致", "联通机房", "移动机房", "今日", "84.73%", "覆盖率 100.00%", "低于目标 99.9%", "98.85%", "每 30秒一次，超时 30秒",
			"2 个探针执行，2 个监测点确认才算异常", "agent-dx-01、agent-lt-01", "P50 160 ms", "社保服务 › 个人权益", "services/portal/shebao-quanyi.yaml:1", "数据库例行维护", "2026-11-25 18:42–20:42", "GZ-20261121-0001",
		},
		"/runs/" + bad: {
			"异常 · 页面显示系统维护", "域名解析", "等待首字节", "412 ms", "页面上没有「缴费明细」，当前页面：《系统维护中》", `text contains "缴费明细"`, "上一次正常", "10.8.2.13", "系统维护中", "4/5", "剩余 23 天", "定时", "晚 120 ms 开始",
		},
		"/runs/" + traceID("good"+unicom): {"分别看到的", "一号", "二号", "10.8.2.13 · 200 · 1.46 s", "异常 · 连接失败"},
		"/incidents/GZ-20261125-0003": {
			"未恢复", "2 小时内排除故障", "剩余 23分", "按时完成", "发布回退中。", "确认并处理", "首次发现异常", "值班-企业微信", "503 Service Unavailable", "分机 8021",
		},
		"/incidents/GZ-20261121-0001": {"已恢复", "恢复后 24 小时内提交处理报告", "已超时 3天", "王敏 已确认"},
		"/incidents":                  {"未恢复 2", "已恢复 1", "重大故障", "17分"},
		"/agents":                     {"3 / 4 在线，分布在 3 个监测点", "失联", "非最新", "19872", "18分钟前", "isp=联通"},
		"/records":                    {"2026-11-25", "25 处待填", "已填全"},
		"/records/daily/2026-11-25":   {"服务发布日常监控记录", "JK-RB-20261125", "覆盖率 100.00%", "探针(正常/总数)", "〔待填〕", "未监控", "这一天没有应监测的服务"},
		"/definitions":                {"8f3b1c07d2e94ab6518f0c3d7e29a45b6c8d1f20", "最新提交未采用：4 处错误", "services/wechat/zhaopin.yaml:14:12", `want 10s or more, got "5"`, "读取仓库失败", "18 项服务，31 个拨测"},
		"/alerts":                     {"✕ 发送失败", "✓ 已发送", "– 已静默", "关键词不匹配", "下次 40秒后"},
	} {
		w := get(t, h, path)
		seen := text(t, w.Body.Bytes())
		for _, s := range want {
			holds(t, seen, s, path)
		}
	}
}

// TestAWithdrawnIncidentDoesNotLookRecovered: nobody saw the service work again.
func TestAWithdrawnIncidentDoesNotLookRecovered(t *testing.T) {
	f := rich()
	f.incidents[2].Withdrawn = true
	one := f.details["GZ-20261121-0001"]
	one.Incident.Withdrawn = true
	f.details["GZ-20261121-0001"] = one
	h := handler(t, f)
	for _, path := range []string{"/incidents", "/incidents/GZ-20261121-0001"} {
		seen := text(t, get(t, h, path).Body.Bytes())
		require.Contains(t, seen, "已结束监测，未见恢复", path)
		require.NotContains(t, seen, "恢复正常", path)
		require.NotContains(t, seen, "恢复于 2026", path)
	}
	require.Contains(t, text(t, get(t, h, "/incidents/GZ-20261121-0001").Body.Bytes()), "拨测已从定义中撤销")
}

func TestADayThatGoesOnIsNotComplete(t *testing.T) {
	f := rich()
	for k := range f.records {
		f.records[k].ToFill = 0
	}
	seen := text(t, get(t, handler(t, f), "/records").Body.Bytes())
	require.Equal(t, 1, strings.Count(seen, "当日未结束，暂无待填"))
	require.Equal(t, len(f.records)-1, strings.Count(seen, "已填全"))
}

func TestDraftsAreInNoCount(t *testing.T) {
	f := rich()
	row, ok := f.services["wx-jineng"]
	require.True(t, ok)
	h := handler(t, f)
	only := text(t, get(t, h, "/?only="+row.Row.State.Verdict.String()).Body.Bytes())
	require.NotContains(t, only, row.Row.Name, "a filter shows what its tile counts")

	f = empty()
	f.overview.Drafts = 2
	seen := text(t, get(t, handler(t, f), "/").Body.Bytes())
	require.Contains(t, seen, "还没有已发布的服务")
	require.Contains(t, seen, "2 项服务在试运行")
}

func TestEmptyStatesTeach(t *testing.T) {
	h := handler(t, empty())
	for path, want := range map[string]string{
		"/": "还没有拨测结果", "/agents": "AGENT_JOIN", "/incidents": "没有未恢复的故障", "/records": "有拨测结果的每一天", "/definitions": "agent check", "/alerts": "routes.yaml",
		"/services/new": "还没有拨测", "/services/bare": "请在它的定义文件里添加 probes", "/runs/" + traceID("x"): "没有留下过程记录",
	} {
		holds(t, text(t, get(t, h, path).Body.Bytes()), want, path)
	}
	// No data has no figure, and is never up.
	seen := text(t, get(t, h, "/services/new").Body.Bytes())
	holds(t, seen, "无数据", "page")
	lacks(t, seen, "100.00%", "page")
}

func TestSecurityHeadersAreOnEveryAnswer(t *testing.T) {
	h := handler(t, rich())
	for _, path := range []string{"/", "/nowhere", "/services/none", "/static/app.css", "/static/none"} {
		head := get(t, h, path).Header()
		require.Equal(t, "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'", head.Get("Content-Security-Policy"), path)
		require.Equal(t, "nosniff", head.Get("X-Content-Type-Options"), path)
		require.Equal(t, "same-origin", head.Get("Referrer-Policy"), path)
	}
}

func TestStaticFilesAreKeptByBrowsersAndChangeTheirName(t *testing.T) {
	h := handler(t, rich())
	body := get(t, h, "/").Body.String()
	for _, want := range []string{`/static/app\.[0-9a-f]{10}\.css`, `/static/app\.[0-9a-f]{10}\.js`, `/static/logo\.[0-9a-f]{10}\.svg`} {
		name := regexp.MustCompile(want).FindString(body)
		require.NotEmpty(t, name, want)
		w := get(t, h, name)
		require.Equal(t, http.StatusOK, w.Code)
		require.Contains(t, w.Header().Get("Cache-Control"), "immutable")
		lacks(t, w.Body.String(), "eval(", "page")
	}
	plain := get(t, h, "/static/app.css")
	require.Equal(t, "no-cache", plain.Header().Get("Cache-Control"))
	r := httptest.NewRequest(http.MethodGet, "/static/app.css", nil)
	r.Header.Set("If-None-Match", plain.Header().Get("ETag"))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusNotModified, w.Code)
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	h := handler(t, rich())
	for _, path := range []string{"/nowhere", "/services/none", "/runs/none", "/incidents/none", "/records/daily/2020-01-01", "/records/none/2026-11-25"} {
		w := get(t, h, path)
		require.Equal(t, http.StatusNotFound, w.Code, path)
		holds(t, w.Body.String(), "没有找到", path)
	}
	for _, path := range []string{"/records/daily/yesterday", "/records?day=2026-13-01"} {
		require.Equal(t, http.StatusBadRequest, get(t, h, path).Code, path)
	}
	w := get(t, h, "/records?day=2026-11-20")
	require.Equal(t, http.StatusSeeOther, w.Code)
	require.Equal(t, "/records/daily/2026-11-20", w.Header().Get("Location"))
}

func TestATroubleOfOursShowsNoInternals(t *testing.T) {
	f := rich()
	f.err = errors.New("opening /var/lib/gengfu/gengfu.db: disk I/O error, token=s3cr3t")
	h := handler(t, f)
	for _, path := range paths(f) {
		w := get(t, h, path)
		require.Equal(t, http.StatusInternalServerError, w.Code, path)
		lacks(t, w.Body.String(), "s3cr3t", path)
		holds(t, w.Body.String(), "暂时无法读取数据", path)
	}
}

func TestFormsActOnceAndRememberTheName(t *testing.T) {
	const id = "GZ-20261125-0003"
	for _, c := range []struct {
		path string
		form url.Values
		did  string
		to   string
	}{
		{"/incidents/" + id + "/ack", url.Values{"by": {"  王敏\n "}}, "ack|" + id + "|王敏", "/incidents/" + id},
		{"/incidents/" + id + "/notes", url.Values{"by": {"王敏"}, "text": {" 已回退\n正在观察 "}}, "note|" + id + "|王敏|已回退\n正在观察", "/incidents/" + id},
		{"/records/daily/2026-11-25/cells", url.Values{"by": {"王敏"}, "row": {"r1"}, "field": {"handler"}, "value": {"李强"}}, "fill|daily|2026-11-25|r1|handler|李强|王敏", "/records/daily/2026-11-25"},
		{"/records/daily/2026-11-25/cells", url.Values{"by": {"王敏"}, "row": {"r1"}, "field": {"handler"}, "value": {"李强"}, "next": {"r 2"}}, "fill|daily|2026-11-25|r1|handler|李强|王敏", "/records/daily/2026-11-25?field=handler&row=r+2"},
		{"/definitions/poll", nil, "poll", "/definitions?polled=1"},
	} {
		f := rich()
		h := handler(t, f)
		w := post(h, c.path, c.form, nil)
		require.Equal(t, http.StatusSeeOther, w.Code, c.path)
		require.Equal(t, c.to, w.Header().Get("Location"))
		require.Equal(t, []string{c.did}, f.did)
		if c.form == nil {
			continue
		}
		cookies := w.Result().Cookies()
		require.Len(t, cookies, 1)
		require.True(t, cookies[0].HttpOnly)
		page := get(t, h, "/incidents/"+id, cookies[0]).Body.String()
		holds(t, page, `name="by" value="王敏"`, "page")
	}
}

func TestFormsThatCannotActDoNothing(t *testing.T) {
	const id = "GZ-20261125-0003"
	named := url.Values{"by": {"王敏"}}
	for name, c := range map[string]struct {
		path   string
		form   url.Values
		header http.Header
		code   int
	}{
		"no name":                 {"/incidents/" + id + "/ack", url.Values{"by": {"  "}}, nil, http.StatusUnprocessableEntity},
		"no text":                 {"/incidents/" + id + "/notes", named, nil, http.StatusUnprocessableEntity},
		"no cell":                 {"/records/daily/2026-11-25/cells", named, nil, http.StatusUnprocessableEntity},
		"no day":                  {"/records/daily/today/cells", named, nil, http.StatusBadRequest},
		"too large":               {"/incidents/" + id + "/notes", url.Values{"by": {"x"}, "text": {strings.Repeat("x", 70<<10)}}, nil, http.StatusBadRequest},
		"from another site":       {"/incidents/" + id + "/ack", named, http.Header{"Sec-Fetch-Site": {"cross-site"}}, http.StatusForbidden},
		"another origin, no TLS":  {"/incidents/" + id + "/ack", named, http.Header{"Origin": {"http://evil.example"}}, http.StatusForbidden},
		"poll from another site":  {"/definitions/poll", nil, http.Header{"Sec-Fetch-Site": {"cross-site"}}, http.StatusForbidden},
		"a page that only shows":  {"/agents", named, nil, http.StatusMethodNotAllowed},
		"same origin, wrong path": {"/incidents/" + id, named, http.Header{"Sec-Fetch-Site": {"same-origin"}}, http.StatusMethodNotAllowed},
	} {
		f := rich()
		w := post(handler(t, f), c.path, c.form, c.header)
		require.Equal(t, c.code, w.Code, name)
		require.Empty(t, f.did, name)
	}
}

func TestTheLanguageIsRemembered(t *testing.T) {
	h := handler(t, rich())
	w := get(t, h, "/agents?lang=en")
	holds(t, w.Body.String(), `<html lang="en">`, "page")
	cookies := w.Result().Cookies()
	require.Len(t, cookies, 1)
	holds(t, text(t, get(t, h, "/", cookies[0]).Body.Bytes()), "2 services are down", "page")
	holds(t, get(t, h, "/?lang=xx", cookies[0]).Body.String(), `<html lang="en">`, "page")
	holds(t, get(t, h, "/").Body.String(), `<html lang="zh-CN">`, "page")
	// The switch keeps the rest of the address.
	holds(t, get(t, h, "/?only=down").Body.String(), `href="?lang=en&amp;only=down"`, "page")
}

func TestAFilterShowsOnlyItsVerdict(t *testing.T) {
	h := handler(t, rich())
	seen := text(t, get(t, h, "/?only=degraded").Body.Bytes())
	holds(t, seen, "养老金测算", "page")
	lacks(t, seen, "门户首页", "page")
}

func TestACellToFillOpensItsFormWithTheNext(t *testing.T) {
	h := handler(t, rich())
	body := get(t, h, "/records/daily/2026-11-25?row=menhu-shouye@09:00&field=reviewer").Body.String()
	holds(t, body, `action="/records/daily/2026-11-25/cells"`, "page")
	holds(t, body, `name="row" value="menhu-shouye@09:00"`, "page")
	holds(t, body, `name="next" value="geren-banshi@09:00"`, "page")
	holds(t, body, `name="value" value=""`, "page")
	lacks(t, get(t, h, "/records/daily/2026-11-25?row=none&field=reviewer").Body.String(), `id="filler"`, "page")
}

// Who watched the day is one name in ninety rows: it is written once.
func TestOneTextFillsAColumn(t *testing.T) {
	f := rich()
	h := handler(t, f)
	page := get(t, h, "/records/daily/2026-11-25").Body.String()
	sheet := f.sheets["daily/2026-11-25"]
	first, empty := "", map[string]bool{}
	for _, cells := range sheet.Tables[0].Rows {
		for _, c := range cells {
			if c.Text == record.ToFill && first == "" {
				first = c.Field
				holds(t, page, strings.ReplaceAll(url.Values{"row": {c.Row}, "field": {c.Field}}.Encode(), "&", "&amp;"), "the way to the first cell to fill")
			}
			if c.Text == record.ToFill && c.Field == "reviewer" {
				empty[c.Row] = true
			}
		}
	}
	require.Greater(t, len(empty), 3)
	open := get(t, h, "/records/daily/2026-11-25?row=menhu-shouye@09:00&field=reviewer").Body.String()
	holds(t, open, fmt.Sprintf("本列其余 %d 处〔待填〕", len(empty)-1), "page")

	form := url.Values{"row": {"menhu-shouye@09:00"}, "field": {"reviewer"}, "value": {"赵磊"}, "by": {"王敏"}, "all": {"1"}, "next": {"geren-banshi@09:00"}}
	w := post(h, "/records/daily/2026-11-25/cells", form, nil)
	require.Equal(t, "/records/daily/2026-11-25", w.Header().Get("Location"), "nothing is left to open")
	for row := range empty {
		require.Contains(t, f.did, "fill|daily|2026-11-25|"+row+"|reviewer|赵磊|王敏")
	}
	require.Len(t, f.did, len(empty), "each once, and what was written before is left alone")

	// An emptied cell is one cell.
	form.Set("value", " ")
	post(h, "/records/daily/2026-11-25/cells", form, nil)
	require.Len(t, f.did, len(empty)+1)
}

func TestNewWantsItsInterfaces(t *testing.T) {
	_, err := dashboards.New(dashboards.Options{})
	require.ErrorContains(t, err, "Source and Actions")
}
