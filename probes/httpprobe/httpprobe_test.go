package httpprobe_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/httpprobe"
	"github.com/gengfu/gengfu/probes/probetest"
	"github.com/gengfu/gengfu/probes/wording"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is a name that the tests' name server knows.
const host = "hall.example.test"

// secrets are what the tests' agent knows.
var secrets = map[string]string{"TOKEN": "tok-5ecret/42", "PASSWORD": "pa55word"}

type option func(context.Context, *probes.Env) context.Context

// probe runs one definition against real servers, which host names.
func probe(t *testing.T, definition string, options ...option) (probes.Result, *probetest.Recorder) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	env, rec := probetest.Env(t, map[string]netip.Addr{host: probetest.Loopback, "sso.example.test": probetest.Loopback}, secrets)
	for _, o := range options {
		ctx = o(ctx, &env)
	}
	r, err := probetest.Decode(t, httpprobe.Kind, definition).Probe(ctx, env)
	require.NoError(t, err)
	probetest.Readable(t, r)
	return r, rec
}

// sentence is the first finding's in Chinese.
func sentence(r probes.Result) string {
	if len(r.Findings) == 0 {
		return ""
	}
	return wording.Finding(wording.ZH, r.Findings[0])
}

// within ends the run after d.
func within(t *testing.T, d time.Duration) option {
	return func(ctx context.Context, _ *probes.Env) context.Context {
		ctx, cancel := context.WithTimeout(ctx, d)
		t.Cleanup(cancel)
		return ctx
	}
}

// serve starts a site and returns its address under host.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return "http://" + host + ":" + port(t, s)
}

func port(t *testing.T, s *httptest.Server) string {
	t.Helper()
	_, p, err := net.SplitHostPort(s.Listener.Addr().String())
	require.NoError(t, err)
	return p
}

// send answers every request alike.
func send(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

const (
	utf8HTML  = "text/html; charset=utf-8"
	plainJSON = "application/json"
)

// hall is a healthy page, long enough for a portal.
var hall = "<!doctype html><html><head><title>公共服务平台</title><script>系统维护中</script></head><body><h1>公共服务平台</h1>" +
	strings.Repeat("<a href=#>社会保险个人权益记录查询</a><a href=#>失业登记</a><p>职称评审申报</p>", 80) + "<li>系统升级公告</li></body></html>"

func gbk(s string) string {
	out, err := simplifiedchinese.GB18030.NewEncoder().String(s)
	if err != nil {
		panic(err)
	}
	return out
}

func TestHealthyPage(t *testing.T) {
	url := serve(t, send(200, utf8HTML, hall))
	r, rec := probe(t, fmt.Sprintf(`
request: %s/grbs/?a=1
expect: ["status == 200", "title == '公共服务平台'", "text contains '失业登记'", "latency < 1h", "redirects == 0", "ip == '127.0.0.1'", "charset == 'utf-8'"]
warn: ["dns + connect + ttfb < 1h", "body_bytes > 1000", "header('content-type') startsWith 'text/html'"]
`, url))
	require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
	require.Empty(t, r.Findings)
	require.Empty(t, r.Evidence)
	require.Len(t, r.Checks, 10)
	require.Equal(t, 200, r.Status)
	require.Equal(t, url+"/grbs/?a=1", r.URL)
	require.Equal(t, "127.0.0.1", r.IP)
	require.Equal(t, "公共服务平台", r.Title)
	require.Equal(t, 1, r.Steps)
	require.Equal(t, 1, r.Passed)
	require.InDelta(t, len(hall), r.Measures["body_bytes"], 0)
	require.Equal(t, []string{"request", "request/dns", "request/connect", "request/request", "request/first_byte", "request/body"}, rec.Names())
	require.Equal(t, "GET", rec.Spans()[0].Attrs["http.request.method"])
	require.Equal(t, 200, rec.Spans()[0].Attrs["http.response.status_code"])
	require.Equal(t, url+"/grbs/?a=1", rec.Spans()[0].Attrs["url.full"])
	require.Equal(t, "127.0.0.1", rec.Spans()[0].Attrs["network.peer.address"])
}

func TestPhasesAddUp(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(200 * time.Millisecond)
		_, _ = w.Write([]byte("first"))
		_ = http.NewResponseController(w).Flush()
		time.Sleep(200 * time.Millisecond)
		_, _ = w.Write([]byte("last"))
	})
	r, rec := probe(t, "request: "+url)
	ts := r.Timings
	// Under load the end of the request is noted some time after it was out.
	require.GreaterOrEqual(t, ts.FirstByte, 100*time.Millisecond)
	require.GreaterOrEqual(t, ts.Body, 100*time.Millisecond)
	require.Positive(t, ts.DNS)
	require.Positive(t, ts.Connect)
	require.Zero(t, ts.TLS)
	require.LessOrEqual(t, ts.DNS+ts.Connect+ts.TLS+ts.FirstByte+ts.Body, ts.Total)
	// The spans tile the request: each begins where or after the last one ended.
	last := time.Time{}
	for _, s := range rec.Spans()[1:] {
		require.False(t, s.Start.Before(last), "%s begins inside its predecessor", s.Name)
		require.False(t, s.End.Before(s.Start), s.Name)
		last = s.End
	}
}

func TestVerdicts(t *testing.T) {
	for _, tt := range []struct {
		name    string
		reply   http.HandlerFunc
		rest    string // of the definition
		verdict probes.Verdict
		class   probes.Class
		says    string // part of the first finding's sentence
	}{
		{"error status", send(500, utf8HTML, "<h1>Whitelabel Error Page</h1>"), ``, probes.Down, probes.ClassStatus, "返回 HTTP 500 Internal Server Error"},
		{"error status that is expected", send(404, utf8HTML, "gone"), `expect: ["status == 404"]`, probes.Up, "", ""},
		{"another status than expected", send(204, utf8HTML, ""), `expect: ["status == 200"]`, probes.Down, probes.ClassStatus, "返回 HTTP 204 No Content（要求 status == 200）"},
		{"a warning on status does not excuse it", send(500, utf8HTML, "x"), `warn: ["status == 500"]`, probes.Down, probes.ClassStatus, "返回 HTTP 500 Internal Server Error"},
		{"a status and more", send(204, utf8HTML, ""), `expect: ["status == 200 || title == 'x'"]`, probes.Down, probes.ClassStatus, `返回错误状态码：要求 status == 200 || title == 'x'，实际 status = 204, title = ""`},
		{"a warning about the status", send(204, utf8HTML, ""), `warn: ["status == 200"]`, probes.Degraded, probes.ClassStatus, "返回 HTTP 204 No Content（要求 status == 200）"},
		{"other text", send(200, utf8HTML, hall), `expect: ["text contains '缴费明细'"]`, probes.Down, probes.ClassContent, "text = "},
		{"text in a script only", send(200, utf8HTML, hall), `expect: ["text contains '系统维护中'"]`, probes.Down, probes.ClassContent, "text = "},
		{"too slow", send(200, utf8HTML, hall), `expect: ["latency < 1ns"]`, probes.Down, probes.ClassLatency, "latency = "},
		{"rather slow", send(200, utf8HTML, hall), `warn: ["latency < 1ns"]`, probes.Degraded, probes.ClassLatency, "latency = "},
		{"mixed with time is about content", send(200, utf8HTML, hall), `expect: ["latency < 1ns && text != ''"]`, probes.Down, probes.ClassContent, ""},
		{"status before content", send(500, utf8HTML, "x"), `expect: ["text contains 'y'"]`, probes.Down, probes.ClassStatus, "返回 HTTP 500 Internal Server Error"},

		{"soft 404", send(200, utf8HTML, "<title>404</title>您访问的页面不存在"), ``, probes.Down, probes.ClassSoft404, "页面不存在（却返回 200）：《404》您访问的页面不存在"},
		{"soft 404 in GBK", send(200, "text/html; charset=gbk", gbk("<title>404</title>您访问的页面不存在")), ``, probes.Down, probes.ClassSoft404, "页面不存在（却返回 200）：《404》您访问的页面不存在"},
		{"soft 404 with its rule off", send(200, utf8HTML, "<title>404</title>您访问的页面不存在"), `rules: [soft_404]`, probes.Up, "", ""},
		{"soft 404 with all rules off", send(200, utf8HTML, "<title>404</title>您访问的页面不存在"), `rules: off`, probes.Up, "", ""},
		{"soft 404 words in JSON", send(200, plainJSON, `{"msg":"您访问的页面不存在"}`), ``, probes.Up, "", ""},
		{"maintenance", send(200, utf8HTML, "<title>公共服务平台</title><h1>系统维护中</h1>请稍后再试"), `expect: ["status == 200"]`, probes.Down, probes.ClassMaintenancePage, "页面显示系统维护：《公共服务平台》系统维护中 请稍后再试"},
		{"own notice", send(200, utf8HTML, "<title>公告</title><h1>夜间割接</h1>"), `pages: [{name: 割接公告, class: maintenance_page, text: [夜间割接]}]`, probes.Down, probes.ClassMaintenancePage, "页面符合规则「割接公告」：《公告》夜间割接"},
		{"maintenance before content", send(200, utf8HTML, "<h1>系统维护中</h1>"), `expect: ["text contains '缴费明细'"]`, probes.Down, probes.ClassMaintenancePage, "页面显示系统维护：系统维护中"},
		{"maintenance in a hidden part", send(200, utf8HTML, "<title>养老金测算</title>年龄<div style='display: none'><div>系统维护中</div>请稍后</div>"), ``, probes.Up, "", ""},
		{"firewall 405", send(405, utf8HTML, "<title>405</title>您的访问被阻断，请求ID是 7b2a"), `expect: ["status == 200"]`, probes.Unknown, probes.ClassBlocked, "被防火墙拦截（HTTP 405）：《405》您的访问被阻断，请求ID是 7b2a"},
		{"script challenge", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Set-Cookie", "__jsluid_h=1")
			send(521, utf8HTML, "<script>document.cookie='__jsl_clearance=1'</script>")(w, nil)
		}, ``, probes.Unknown, probes.ClassChallenge, "防火墙要求先通过脚本校验（HTTP 521）"},
		{"WeChat only", send(200, utf8HTML, "<title>抱歉，出错了</title>请在微信客户端打开链接"), ``, probes.Unknown, probes.ClassWechatOnly, "只能在微信客户端中打开：《抱歉，出错了》请在微信客户端打开链接"},

		{"business code", send(200, plainJSON, `{"code":1001,"msg":"系统繁忙"}`), `business: {}`, probes.Down, probes.ClassBusinessCode, "接口返回 code = 1001: 系统繁忙（正常为 0, 0000, 200, success）"},
		{"business code by name", send(200, plainJSON, `{"head":{"rtnCode":"E1","rtnMsg":"无权限"}}`), `business: {path: head.rtnCode, ok: ["0"]}`, probes.Down, probes.ClassBusinessCode, "接口返回 head.rtnCode = E1: 无权限（正常为 0）"},
		{"no business code", send(200, plainJSON, `{"data":1}`), `business: {}`, probes.Down, probes.ClassBusinessCode, "接口应答中没有业务码 code"},
		{"business success as a number", send(200, plainJSON, `{"code":0}`), `business: {}`, probes.Up, "", ""},
		{"business success as text", send(200, plainJSON, `{"code":"0000"}`), `business: {}`, probes.Up, "", ""},
		{"business success as a truth", send(200, plainJSON, `{"success":true}`), `business: {path: success, ok: [true]}`, probes.Up, "", ""},
		{"status before business", send(502, plainJSON, `{"code":9}`), `business: {}`, probes.Down, probes.ClassStatus, "返回 HTTP 502 Bad Gateway"},
		{"JSON with a byte-order mark", send(200, plainJSON, "\xef\xbb\xbf{\"code\":0}"), `business: {}`, probes.Up, "", ""},
		{"JSON in GBK", send(200, "application/json; charset=gbk", gbk(`{"code":0,"msg":"成功"}`)), `{business: {}, expect: ["json.msg == '成功'"]}`, probes.Up, "", ""},
		{"JSON under a server's usual label", send(200, "application/json;charset=ISO-8859-1", `{"code":0,"msg":"成功"}`), `{business: {}, expect: ["json.msg == '成功'"]}`, probes.Up, "", ""},
		{"login page in place of JSON", send(200, utf8HTML, "<title>统一身份认证</title>账号 密码"), `business: {}`, probes.Down, probes.ClassContent, "应返回 JSON，返回的却是网页《统一身份认证》"},
		{"login page in place of expected JSON", send(200, utf8HTML, "<title>统一身份认证</title>账号 密码"), `expect: ["json.code == '0'"]`, probes.Down, probes.ClassContent, "应返回 JSON，返回的却是网页《统一身份认证》"},
		{"broken JSON", send(200, plainJSON, `{"code":0`), `business: {}`, probes.Down, probes.ClassContent, "应返回 JSON，返回的却是：{\"code\":0"},
		{"empty JSON", send(200, plainJSON, ``), `business: {}`, probes.Down, probes.ClassContent, "应返回 JSON，应答却是空的"},
		{"JSON value", send(200, plainJSON, `{"code":"1","n":2}`), `expect: ["json.code == '0'"]`, probes.Down, probes.ClassBusinessCode, `json.code = "1"`},
		{"JSON number", send(200, plainJSON, `{"n":12345678901234567,"f":1.5}`), `expect: ["json.n == 12345678901234567", "json.f > 1"]`, probes.Up, "", ""},

		{"GBK", send(200, "text/html; charset=gbk", gbk(hall)), `expect: ["text contains '失业登记'", "charset == 'gb18030'"]`, probes.Up, "", ""},
		{"GBK declared in the page", send(200, "text/html", gbk(`<meta charset="gb2312">`+hall)), `expect: ["text contains '失业登记'"]`, probes.Up, "", ""},
		{"GBK undeclared", send(200, "text/html", gbk(hall)), `expect: ["text contains '失业登记'"]`, probes.Up, "", ""},
		{"names that GBK lacks", send(200, "text/html; charset=gbk", gbk("<title>𠮷林</title>"+hall)), `expect: ["title startsWith '𠮷'"]`, probes.Up, "", ""},
		{"GBK labelled utf-8", send(200, utf8HTML, gbk(hall)), `expect: ["text contains '失业登记'"]`, probes.Down, probes.ClassEncoding, "编码不符：声明为 utf-8，实际不是，可能是 gb18030"},
		{"UTF-8 labelled gbk", send(200, "text/html; charset=gbk", hall), ``, probes.Down, probes.ClassEncoding, "编码不符：声明为 gbk，实际不是，可能是 utf-8"},
		{"override of the label", send(200, utf8HTML, gbk(hall)), `charset: gbk`, probes.Up, "", ""},
		{"compression nobody asked for", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "compress")
			send(200, utf8HTML, "xx")(w, nil)
		}, ``, probes.Down, probes.ClassEncoding, "应答使用了不支持的压缩方式 compress"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := probe(t, with(t, serve(t, tt.reply), tt.rest))
			require.Equal(t, tt.verdict, r.Verdict, "%+v", r.Findings)
			require.Equal(t, tt.class, r.Class, "%+v", r.Findings)
			if tt.class == "" {
				require.Empty(t, r.Findings)
				require.Equal(t, 1, r.Passed)
				return
			}
			require.Contains(t, sentence(r), tt.says)
			require.Equal(t, tt.class, r.Findings[0].Class)
			if tt.verdict != probes.Degraded {
				require.Zero(t, r.Passed)
			}
		})
	}
}

// with adds further keys, in either form of YAML, to a request.
func with(t *testing.T, url, rest string) string {
	t.Helper()
	if inner, ok := strings.CutPrefix(rest, "{"); ok {
		return fmt.Sprintf("{request: %q, %s", url, inner)
	}
	return fmt.Sprintf("request: %q\n%s\n", url, rest)
}

func TestEveryExpectationIsEvaluated(t *testing.T) {
	url := serve(t, send(500, plainJSON, `{"code":"7"}`))
	r, _ := probe(t, fmt.Sprintf(`
request: %s
expect: ["status == 200", "json.code == '0'", "redirects == 0"]
warn: ["latency < 1ns"]
`, url))
	require.Equal(t, probes.ClassStatus, r.Class)
	require.Equal(t, []bool{false, false, true, false}, []bool{r.Checks[0].OK, r.Checks[1].OK, r.Checks[2].OK, r.Checks[3].OK})
	var classes []probes.Class
	for _, f := range r.Findings {
		classes = append(classes, f.Class)
	}
	require.Equal(t, []probes.Class{probes.ClassStatus, probes.ClassBusinessCode, probes.ClassLatency}, classes)
}

func TestWechatRefusedAlthoughItAskedAsWechat(t *testing.T) {
	url := serve(t, send(200, utf8HTML, "请在微信客户端打开链接"))
	r, _ := probe(t, fmt.Sprintf("request: {url: %q, headers: {User-Agent: 'Mozilla/5.0 MicroMessenger/8.0'}}", url))
	require.Equal(t, probes.Down, r.Verdict)
	require.Equal(t, probes.ClassWechatOnly, r.Class)
	require.Len(t, r.Evidence, 1)
}

func TestEvidenceIsTheBodyInUTF8(t *testing.T) {
	url := serve(t, send(500, "text/html; charset=gbk", gbk("<title>出错</title>缴费 110101199003078515 13800138000 "+strings.Repeat("明细", 20_000))))
	r, _ := probe(t, "request: "+url)
	require.Len(t, r.Evidence, 1)
	e := r.Evidence[0]
	require.Equal(t, "body", e.Kind)
	require.Equal(t, "text/plain; charset=utf-8", e.MIME)
	require.LessOrEqual(t, len(e.Data), 16<<10)
	require.Equal(t, len(e.Data), e.Size)
	require.Contains(t, string(e.Data), "缴费 11***15 13***00 明细", "people's numbers are masked")
}

func TestWhatIsSent(t *testing.T) {
	var got *http.Request
	var body string
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		b := make([]byte, 1000)
		n, _ := r.Body.Read(b)
		got, body = r, string(b[:n])
	})
	env := func(ctx context.Context, env *probes.Env) context.Context {
		env.UserAgentSuffix = "gengfu/1 (city)"
		env.Traceparent = func(context.Context) string { return "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" }
		return ctx
	}
	t.Run("plain", func(t *testing.T) {
		probe(t, "request: "+url+"/查询?名=值&a=b", env)
		require.Equal(t, "GET", got.Method)
		require.Equal(t, "/%E6%9F%A5%E8%AF%A2?%E5%90%8D=%E5%80%BC&a=b", got.RequestURI)
		require.Equal(t, "Mozilla/5.0 (compatible; Gengfu synthetic probe) gengfu/1 (city)", got.UserAgent())
		require.Equal(t, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", got.Header.Get("Traceparent"))
	})
	t.Run("json", func(t *testing.T) {
		probe(t, fmt.Sprintf(`{request: {url: "%s?k=${secret:TOKEN}", json: {area: "110000", n: 1, list: ["${secret:TOKEN}"]}, headers: {User-Agent: own, Host: node1.example.test}}}`, url), env)
		require.Equal(t, "POST", got.Method)
		require.Equal(t, "application/json; charset=utf-8", got.Header.Get("Content-Type"))
		require.JSONEq(t, `{"area":"110000","n":1,"list":["tok-5ecret/42"]}`, body)
		require.Equal(t, "tok-5ecret/42", got.URL.Query().Get("k"))
		require.Equal(t, "own", got.UserAgent())
		require.Equal(t, "node1.example.test", got.Host)
	})
	t.Run("form", func(t *testing.T) {
		probe(t, fmt.Sprintf(`{request: {url: %q, form: {name: 张三, token: "${secret:TOKEN}"}}}`, url))
		require.Equal(t, "application/x-www-form-urlencoded", got.Header.Get("Content-Type"))
		require.Equal(t, "name=%E5%BC%A0%E4%B8%89&token=tok-5ecret%2F42", body)
	})
	t.Run("body and basic", func(t *testing.T) {
		probe(t, fmt.Sprintf(`{request: {method: put, url: %q, body: "<a/>", headers: {Content-Type: text/xml}, basic: {user: u, password: "${secret:PASSWORD}"}}}`, url))
		require.Equal(t, "PUT", got.Method)
		require.Equal(t, "text/xml", got.Header.Get("Content-Type"))
		require.Equal(t, "<a/>", body)
		user, password, ok := got.BasicAuth()
		require.True(t, ok)
		require.Equal(t, "u/pa55word", user+"/"+password)
	})
	t.Run("multipart", func(t *testing.T) {
		probe(t, fmt.Sprintf(`{request: {url: %q, multipart: [{name: 名称, value: "a ${secret:TOKEN}"}, {name: f, file: '证"明.txt', value: 内容, type: text/plain}, {name: png, file: a.png, base64: iVBORw0K}]}}`, url))
		kind, params, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
		require.NoError(t, err)
		require.Equal(t, "multipart/form-data", kind)
		form, err := multipart.NewReader(strings.NewReader(body), params["boundary"]).ReadForm(1 << 20)
		require.NoError(t, err)
		require.Equal(t, map[string][]string{"名称": {"a tok-5ecret/42"}}, form.Value)
		require.Equal(t, "证%22明.txt", form.File["f"][0].Filename)
		require.Equal(t, "text/plain", form.File["f"][0].Header.Get("Content-Type"))
		require.EqualValues(t, 6, form.File["png"][0].Size)
		require.Equal(t, "application/octet-stream", form.File["png"][0].Header.Get("Content-Type"))
	})
	t.Run("raw with its type", func(t *testing.T) {
		probe(t, fmt.Sprintf(`{request: {url: %q, method: REPORT, body: "<a/>", type: text/xml; charset=gbk}}`, url))
		require.Equal(t, "REPORT", got.Method)
		require.Equal(t, "text/xml; charset=gbk", got.Header.Get("Content-Type"))
	})
	t.Run("cookies", func(t *testing.T) {
		probe(t, fmt.Sprintf(`{request: {url: %q, headers: {Cookie: c=d}, cookies: {sid: "${secret:PASSWORD}", a: b}}}`, url))
		require.ElementsMatch(t, []string{"c=d", "sid=pa55word", "a=b"}, strings.Split(got.Header.Get("Cookie"), "; "))
		probe(t, fmt.Sprintf(`{request: {url: %q, cookies: {sid: x}}}`, url))
		require.Equal(t, "sid=x", got.Header.Get("Cookie"))
	})
	t.Run("bearer", func(t *testing.T) {
		probe(t, fmt.Sprintf(`{request: {url: %q, bearer: "${secret:TOKEN}"}}`, url))
		require.Equal(t, "Bearer tok-5ecret/42", got.Header.Get("Authorization"))
	})
	t.Run("no body, but a length", func(t *testing.T) {
		probe(t, fmt.Sprintf(`{request: {url: %q, method: POST}}`, url))
		require.Equal(t, "0", got.Header.Get("Content-Length"))
	})
	t.Run("long body", func(t *testing.T) {
		text := strings.Repeat("长", 200_000)
		probe(t, fmt.Sprintf(`{request: {url: %q, body: %q}}`, url, text))
		require.EqualValues(t, len(text), got.ContentLength)
	})
	t.Run("head", func(t *testing.T) {
		r, _ := probe(t, fmt.Sprintf(`{request: {method: HEAD, url: %q}}`, url))
		require.Equal(t, probes.Up, r.Verdict)
		require.Equal(t, "HEAD", got.Method)
	})
}

func TestMissingSecretIsTheAgentsFault(t *testing.T) {
	env, rec := probetest.Env(t, nil, nil)
	for _, source := range []string{
		`request: {url: "http://hall.example.test/${secret:NOPE}"}`,
		`request: {url: "http://hall.example.test/", headers: {X: "${secret:NOPE}"}}`,
		`request: {url: "http://hall.example.test/", json: {a: ["${secret:NOPE}"]}}`,
		`request: {url: "http://hall.example.test/", form: {a: "${secret:NOPE}"}}`,
		`request: {url: "http://hall.example.test/", body: "${secret:NOPE}", method: POST}`,
		`request: {url: "http://hall.example.test/", basic: {user: u, password: "${secret:NOPE}"}}`,
	} {
		r, err := probetest.Decode(t, httpprobe.Kind, source).Probe(t.Context(), env)
		require.ErrorContains(t, err, "NOPE", source)
		require.Equal(t, probes.Unknown, r.Verdict)
	}
	require.Empty(t, rec.Spans())
}

func TestSecretIsNotShownInAnyForm(t *testing.T) {
	var url string
	url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, url+"/next?"+r.URL.RawQuery, http.StatusFound)
			return
		}
		quoted, _ := json.Marshal(r.URL.Query().Get("k"))
		send(200, plainJSON, fmt.Sprintf(`{"code":1,"msg":%s,"url":%q}`, quoted, r.RequestURI))(w, r)
	})
	r, rec := probe(t, fmt.Sprintf(`{request: "%s/?k=${secret:TOKEN}", business: {}, expect: ["url == ''", "json.msg == ''", "body == ''"]}`, url))
	require.Equal(t, probes.ClassBusinessCode, r.Class)
	all, err := json.Marshal(r)
	require.NoError(t, err)
	text := string(all) + rec.Text() + string(r.Evidence[0].Data)
	for _, form := range []string{"tok-5ecret/42", "tok-5ecret%2F42", "5ecret"} {
		require.NotContains(t, text, form)
	}
	require.Contains(t, r.URL, "k=***")
}

// A value is shown in part; the part must not end inside a secret.
func TestSecretIsNotShownInPart(t *testing.T) {
	const head = 115 // bytes; what is shown of a value ends a little later
	text := strings.Repeat("x", head) + secrets["TOKEN"]
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Echo", text)
		send(500, utf8HTML, "<title>"+text+"</title>"+text)(w, r)
	})
	r, _ := probe(t, fmt.Sprintf(`{request: "%s/?k=${secret:TOKEN}", expect: ["body == ''", "text == ''", "title == ''", "header('X-Echo') == ''"]}`, url))
	require.Len(t, r.Checks, 4)
	for _, c := range r.Checks {
		require.NotContains(t, c.Saw, "tok-", c.Expr)
	}
}

// quiet keeps a server's complaints about our own faults out of the output.
func quiet(t *testing.T) *log.Logger {
	t.Helper()
	return log.New(io.Discard, "", 0)
}
