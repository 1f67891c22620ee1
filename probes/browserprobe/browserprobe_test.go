package browserprobe

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"image/jpeg"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/chrome"
	"github.com/gengfu/gengfu/probes/probetest"
	"github.com/gengfu/gengfu/probes/wording"
)

// patience is how long a test waits for what should come at once.
const patience = 60 * time.Second

var browser *chrome.Pool // one browser process for the package's tests

func TestMain(m *testing.M) { os.Exit(testAll(m)) }

func testAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gengfu-browserprobe-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	log := slog.New(slog.DiscardHandler)
	if browser, err = chrome.New(chrome.Options{Dir: dir, MaxPages: 2, Logger: log}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- browser.Run(ctx) }()
	for deadline := time.Now().Add(patience); browser.Stats().Version == "" && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	code := m.Run()
	cancel()
	if err := <-done; err != nil {
		fmt.Fprintln(os.Stderr, "closing the browser:", err)
		code = 1
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "profile-*")); len(left) > 0 {
		fmt.Fprintln(os.Stderr, "profiles left:", left)
		code = 1
	}
	if s := browser.Stats(); s.Pages != 0 || s.Restarts != 0 {
		fmt.Fprintf(os.Stderr, "the browser's record: %+v\n", s)
		code = 1
	}
	envs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, e := range envs {
		if data, err := os.ReadFile(e); err == nil && bytes.Contains(data, []byte("HOME="+dir)) {
			fmt.Fprintln(os.Stderr, "process left:", e)
			code = 1
		}
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

func TestConform(t *testing.T) {
	probetest.Conform(t, probetest.Conformance{
		Kind:     Kind,
		Settings: func(addr string) string { return "steps: [{open: 'http://" + addr + "/'}]" },
		SecretSettings: func(addr string) string {
			return "steps: [{open: 'http://" + addr + "/${secret:CONFORM}?q=${secret:CONFORM}'}, {see: '${secret:CONFORM}'}]"
		},
		Adjust:   func(env *probes.Env) { env.Browser = browser },
		Deadline: 5 * time.Second, // making a page takes a moment of it
	})
}

// probe runs source once against the real browser.
func probe(t *testing.T, source string, secrets map[string]string) (probes.Result, *probetest.Recorder) {
	t.Helper()
	env, rec := probetest.Env(t, nil, secrets)
	env.Browser = browser
	env.UserAgentSuffix = "gengfu-test"
	env.Traceparent = func(context.Context) string { return "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" }
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	res, err := probetest.Decode(t, Kind, source).Probe(ctx, env)
	require.NoError(t, err)
	probetest.Readable(t, res)
	return res, rec
}

// sentences are those of a result in Chinese.
func sentences(res probes.Result) []string {
	var out []string
	for _, f := range res.Findings {
		out = append(out, wording.Finding(wording.ZH, f))
	}
	return out
}

// page serves html at every path.
func page(t *testing.T, html string) string {
	t.Helper()
	return site(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, html) })
}

func site(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

const healthy = `<!doctype html><meta name=viewport content="width=device-width"><title>社保个人权益记录查询</title>
	<h1>个人权益记录</h1><p>欢迎使用社会保险网上服务平台，请输入查询条件。</p>`

func opened(url string, more ...string) string {
	return "step_timeout: 4s\nsteps:\n  - open: " + url + "\n" + strings.Join(more, "\n")
}

func TestUp(t *testing.T) {
	var head http.Header
	url := site(t, func(w http.ResponseWriter, r *http.Request) {
		head = r.Header.Clone()
		_, _ = io.WriteString(w, healthy)
	})
	res, rec := probe(t, "device: wechat-android\n"+opened(url+"/q", `  - see: 个人权益记录
  - not_see: 系统维护
expect: ["status == 200", "script_errors == 0", "lcp < 1m", "fcp < 1m", "latency < 1m", "title contains '权益'", "text contains '社会保险'", "url endsWith '/q'", "ip == '127.0.0.1'", "requests == 1", "bytes > 100", "cls < 0.1", "charset == 'UTF-8'"]
warn: ["ttfb < 1m", "load < 1m"]`), nil)
	require.Equal(t, probes.Up, res.Verdict, "%+v", res)
	require.Empty(t, res.Findings)
	require.Empty(t, res.Evidence)
	require.Equal(t, 200, res.Status)
	require.Equal(t, "社保个人权益记录查询", res.Title)
	require.Equal(t, url+"/q", res.URL)
	require.Equal(t, "127.0.0.1", res.IP)
	require.Equal(t, 3, res.Steps)
	require.Equal(t, 3, res.Passed)
	require.Len(t, res.Checks, 15)
	require.Positive(t, res.Timings.Total)
	require.Positive(t, res.Timings.FirstByte)
	require.Positive(t, res.Measures["lcp_ms"])
	require.Contains(t, head.Get("User-Agent"), "MicroMessenger")
	require.True(t, strings.HasSuffix(head.Get("User-Agent"), " gengfu-test"))
	require.Equal(t, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", head.Get("traceparent"))
	require.Equal(t, "com.tencent.mm", head.Get("X-Requested-With"))
	require.Contains(t, head.Get("Sec-Ch-Ua"), "Android WebView")
	names := rec.Names()
	for _, want := range []string{"open " + url + "/q/first_byte", "open " + url + "/q/connect", "see 个人权益记录"} {
		require.True(t, containsSuffix(names, want), "%s in %v", want, names)
	}
	require.True(t, containsSuffix(names, "resource"), "%v", names)
}

func containsSuffix(names []string, part string) bool {
	for _, n := range names {
		if strings.HasSuffix(n, part) {
			return true
		}
	}
	return false
}

func TestFaults(t *testing.T) {
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(healthy)
	require.NoError(t, err)
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		steps   string
		verdict probes.Verdict
		class   probes.Class
		second  probes.Class // of the second finding, when it matters
		says    string       // the first finding's sentence, as a regular expression
	}{
		{"500", answer(500, "<p>Internal error, stack trace follows"), "  - see: 个人权益记录", probes.Down, probes.ClassStatus, "", `^步骤「打开 http://\S+/」：返回 HTTP 500 Internal Server Error$`},
		{"502 without a page", answer(502, ""), "", probes.Down, probes.ClassStatus, "", `^步骤「打开 http://\S+/」：返回 HTTP 502 Bad Gateway$`},
		{"login instead", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				http.Redirect(w, r, "/sso/login?service=x", http.StatusFound)
				return
			}
			_, _ = io.WriteString(w, "<title>统一身份认证</title><p>账号 密码 <button>登录</button>")
		}, "", probes.Down, probes.ClassRedirect, "", `^跳到了登录页，没有看到要看的页面：《统一身份认证》账号 密码 登录$`},
		{"404 that is wanted", answer(404, healthy), "expect: ['status == 404']", probes.Up, "", "", ``},
		{"soft 404", answer(200, "<title>404</title><p>您访问的页面不存在或已删除"), "  - see: 个人权益记录", probes.Down, probes.ClassSoft404, probes.ClassStep, `^页面不存在（却返回 200）：《404》您访问的页面不存在或已删除$`},
		{"soft 404, nothing to see", answer(200, "<title>404</title><p>您访问的页面不存在或已删除"), "", probes.Down, probes.ClassSoft404, "", ``},
		{"maintenance", answer(200, "<title>系统维护中</title><h1>系统维护中</h1><p>为给您提供更好的服务，系统正在升级维护，请稍后再试"), "  - see: 个人权益记录", probes.Down, probes.ClassMaintenancePage, probes.ClassStep, `^页面显示系统维护：《系统维护中》为给您提供更好的服务，系统正在升级维护，请稍后再试$`},
		{"own notice", answer(200, "<title>公告</title><h1>夜间割接</h1>"), "pages: [{name: 割接公告, class: maintenance_page, text: [夜间割接]}]", probes.Down, probes.ClassMaintenancePage, "", `^页面符合规则「割接公告」：《公告》夜间割接$`},
		{"news of maintenance", answer(200, healthy+"<p>公告：本周六晚系统升级公告</p>"), "  - see: 个人权益记录", probes.Up, "", "", ``},
		{"wechat only", answer(200, "<title>提示</title><p>请在微信客户端打开链接"), "  - see: 个人权益记录", probes.Unknown, probes.ClassWechatOnly, probes.ClassStep, `^只能在微信客户端中打开：《提示》请在微信客户端打开链接$`},
		{"GBK that says so", bytesAs("text/html; charset=gbk", gbk), "  - see: 个人权益记录", probes.Up, "", "", ``},
		{"GBK that says UTF-8", bytesAs("text/html; charset=utf-8", gbk), "  - see: 个人权益记录", probes.Down, probes.ClassEncoding, probes.ClassStep, `^页面是乱码：按 UTF-8 读取，\d+/\d+ 个字符不可读$`},
		{"GBK that says UTF-8, nothing to see", bytesAs("text/html; charset=utf-8", gbk), "", probes.Down, probes.ClassEncoding, "", ``},
		{"blank by script error", answer(200, "<title>服务</title><div id=app></div><script>undefinedThing.render()</script>"), "  - see: 个人权益记录", probes.Down, probes.ClassScriptError, probes.ClassStep, `^页面空白：脚本出错 ReferenceError: undefinedThing is not defined \(http://\S+/:1\)$`},
		{"blank by script error, nothing to see", answer(200, "<title>服务</title><div id=app></div><script>undefinedThing.render()</script>"), "", probes.Down, probes.ClassScriptError, "", ``},
		{"never came alive by script error", answer(200, "<div id=app>加载中…</div><script>undefinedThing.render()</script>"), "  - see: 个人权益记录", probes.Down, probes.ClassScriptError, probes.ClassStep, ``},
		{"blank", answer(200, "<title>服务</title><div id=app></div>"), "", probes.Down, probes.ClassBlankPage, "", `^页面空白，什么都没有显示$`},
		{"script error on a working page", answer(200, healthy+"<script>undefinedThing.render()</script>"), "  - see: 个人权益记录", probes.Degraded, probes.ClassScriptError, "", `^页面脚本出错：ReferenceError: undefinedThing is not defined`},
		{"script error and an expectation", answer(200, healthy+"<script>undefinedThing.render()</script>"), "expect: ['script_errors == 0']", probes.Down, probes.ClassScriptError, "", `^页面脚本出错：要求 script_errors == 0，实际 script_errors = 1$`},
		{"another status than expected", answer(404, healthy), "expect: ['status == 200']", probes.Down, probes.ClassStatus, "", `^返回 HTTP 404 Not Found（要求 status == 200）$`},
		{"missing text", answer(200, healthy), "  - see: 缴费明细", probes.Down, probes.ClassStep, "", `^页面上没有「缴费明细」，当前页面：《社保个人权益记录查询》`},
		{"unwanted text", answer(200, healthy), "  - not_see: 个人权益记录", probes.Down, probes.ClassStep, "", `^页面上不应有「个人权益记录」，当前页面：《社保个人权益记录查询》`},
		{"missing script", only("/", healthy+"<script src=/app.js></script>"), "  - see: 个人权益记录", probes.Degraded, probes.ClassResource, "", `^页面资源加载失败：http://\S+/app.js（500 Internal Server Error）$`},
		{"third party missing", only("/", healthy+"<script src=http://cdn.invalid/app.js></script>"), "  - see: 个人权益记录", probes.Up, "", "", ``},
		{"interface without an end", hanging("/api", healthy+"<p id=o></p><script>fetch('/api').then(r => { o.textContent = '缴费明细' })</script>"), "  - see: 缴费明细", probes.Down, probes.ClassTimeout, probes.ClassStep, `^步骤「看到 缴费明细」：请求 http://\S+/api 等了 [\d.]+秒没有应答$`},
		{"interface broken", only("/", healthy+"<script>fetch('/api')</script>"), "  - see: 缴费明细", probes.Down, probes.ClassStep, "", ``},
		{"alert storm", answer(200, healthy+"<script>for (;;) alert('再试一次')</script>"), "", probes.Down, probes.ClassStep, "", `^步骤「打开 http://\S+/」：页面不停地弹出对话框：alert: 再试一次$`},
		{"some alerts", answer(200, healthy+"<script>alert('公告'); alert('再公告')</script>"), "  - see: 个人权益记录", probes.Up, "", "", ``},
		{"expectation", answer(200, healthy), "expect: [\"title == '别的'\"]", probes.Down, probes.ClassContent, "", `^内容不符合预期：要求 title == '别的'，实际 title = "社保个人权益记录查询"$`},
		{"too slow", answer(200, healthy), "expect: ['load < 1us']", probes.Down, probes.ClassLatency, "", ``},
		{"slow", answer(200, healthy), "warn: ['latency < 1us']", probes.Degraded, probes.ClassLatency, "", ``},
		{"firewall", answer(405, "<title>405</title><p>很抱歉，由于您访问的URL有可能对网站造成安全威胁，您的访问被阻断。traceid: 76b20f"), "  - see: 个人权益记录", probes.Unknown, probes.ClassBlocked, "", `^被防火墙拦截（HTTP 405）：《405》很抱歉，由于您访问的URL有可能对网站造成安全威胁，您的访问被阻断。traceid: 76b20f$`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, _ := probe(t, opened(site(t, tt.handler)+"/", tt.steps), nil)
			require.Equal(t, tt.verdict, res.Verdict, "%+v", res)
			require.Equal(t, tt.class, res.Class, "%+v", res)
			if tt.verdict == probes.Up {
				require.Empty(t, res.Findings)
				return
			}
			require.Equal(t, tt.class, res.Findings[0].Class)
			require.Regexp(t, tt.says, sentences(res)[0])
			if tt.second != "" {
				require.Greater(t, len(res.Findings), 1)
				require.Equal(t, tt.second, res.Findings[1].Class, "%+v", res.Findings)
			}
			require.Len(t, res.Evidence, 1)
			_, err := jpeg.Decode(bytes.NewReader(res.Evidence[0].Data))
			require.NoError(t, err)
		})
	}
}

func answer(status int, html string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, html)
	}
}

func bytesAs(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	}
}

// only serves html at one path and 500 elsewhere.
func only(path, html string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, html)
	}
}

// hanging never answers at one path.
func hanging(path, html string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == path {
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, html)
	}
}

func TestNetworkFaults(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		res, _ := probe(t, opened("http://"+l.Addr().String()+"/x", "  - see: 文字"), nil)
		require.Equal(t, probes.ClassConnect, res.Class, "%+v", res)
		require.Equal(t, "http://"+l.Addr().String()+"/x", res.URL)
		require.Zero(t, res.Passed)
		require.Equal(t, []string{"127.0.0.1 拒绝连接"}, sentences(res))
	})
	t.Run("expired certificate", func(t *testing.T) {
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.TLS = &tls.Config{Certificates: []tls.Certificate{expired(t)}}
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		s.StartTLS()
		defer s.Close()
		res, _ := probe(t, opened(s.URL), nil)
		require.Equal(t, probes.ClassTLS, res.Class, "%+v", res)
		require.Equal(t, probes.Down, res.Verdict)
	})
	t.Run("hang", func(t *testing.T) {
		url := site(t, hanging("/", ""))
		env, _ := probetest.Env(t, nil, nil)
		env.Browser = browser
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		res, err := probetest.Decode(t, Kind, opened(url+"/", "  - see: 文字")).Probe(ctx, env)
		require.NoError(t, err)
		require.NoError(t, ctx.Err(), "the result is there before the deadline")
		require.Equal(t, probes.Down, res.Verdict)
		require.Equal(t, probes.ClassTimeout, res.Class)
		require.Positive(t, res.Timings.Total)
	})
}

func expired(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "old"}, IPAddresses: []net.IP{net.ParseIP("127.0.0.1")},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

const form = `<!doctype html><meta name=viewport content="width=device-width"><title>查询</title>
	<label for=idno>身份证号码：</label><input id=idno><select id=year><option value=a>2023年<option value=b>2024年</select>
	<button onclick="go()">查 询</button><div id=out></div>
	<script>function go() { fetch('/api?id=' + encodeURIComponent(idno.value) + '&year=' + year.value).then(r => r.text()).then(s => { out.innerHTML = s }) }</script>`

func TestJourneyWithASecret(t *testing.T) {
	const secret = "11010119900307721X"
	var asked string
	url := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api" {
			asked = r.URL.RawQuery
			fmt.Fprintf(w, "<p>您好 %s</p><h2>缴费明细</h2>", r.URL.Query().Get("id"))
			return
		}
		_, _ = io.WriteString(w, form)
	})
	for _, device := range []string{"desktop", "wechat-ios"} {
		t.Run(device, func(t *testing.T) {
			asked = ""
			source := "device: " + device + "\n" + opened(url+"/?t=${secret:TEST_ID}", `  - fill: {"label=身份证号码": "${secret:TEST_ID}"}
  - select: {"#year": 2024年}
  - tap: text=查询
  - see: 缴费明细
  - see: 没有这样的字
warn: ["url contains 'never'"]`)
			res, rec := probe(t, source, map[string]string{"TEST_ID": secret})
			require.Equal(t, "id="+secret+"&year=b", asked)
			require.Equal(t, probes.ClassStep, res.Class, "%+v", res)
			require.Equal(t, 5, res.Passed)
			require.Equal(t, 6, res.Steps)
			require.Equal(t, "see 没有这样的字", res.Findings[0].Step)
			require.Equal(t, probes.PhraseTextMissing, res.Findings[0].Phrase)
			require.Contains(t, res.Findings[0].Got, "缴费明细", "what was there instead")
			require.NotEmpty(t, res.Evidence)
			all, err := json.Marshal(res)
			require.NoError(t, err)
			require.NotContains(t, string(all)+rec.Text(), secret)
			require.Contains(t, rec.Text(), "fill label=身份证号码")
		})
	}
}

func TestPeoplesNumbersAreMasked(t *testing.T) {
	const mobile, id = "13812345678", "11010119900307721X"
	res, rec := probe(t, opened(page(t, "<title>"+mobile+"</title><p>您好 "+id+" "+mobile+"</p>"), "  - see: 没有这样的字", `expect: ["title == 'x'"]`), nil)
	require.Equal(t, probes.ClassStep, res.Class)
	all, err := json.Marshal(res)
	require.NoError(t, err)
	for _, number := range []string{mobile, id} {
		require.NotContains(t, string(all), number)
		require.NotContains(t, rec.Text(), number)
	}
	require.Contains(t, string(all), "13***78")
}

func TestMissingSecretIsTheAgentsFault(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	env.Browser = browser
	_, err := probetest.Decode(t, Kind, opened("http://127.0.0.1:8009/", `  - fill: {"#a": "${secret:NOPE}"}`)).Probe(t.Context(), env)
	require.ErrorContains(t, err, "NOPE")
}

func TestNoBrowser(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	_, err := probetest.Decode(t, Kind, opened("http://127.0.0.1:8009/")).Probe(t.Context(), env)
	require.ErrorContains(t, err, "apt-get install chromium-headless-shell")
	var trouble *probes.Trouble
	require.ErrorAs(t, err, &trouble)
	probetest.Readable(t, trouble.Result("run"))
	require.Equal(t, []string{"探针上没有浏览器，安装：apt-get install chromium-headless-shell fonts-noto-cjk"}, sentences(trouble.Result("run")))
}

func TestBadSelectorIsNotTheSitesFault(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	env.Browser = browser
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := probetest.Decode(t, Kind, opened(page(t, healthy), `  - tap: "#a[["`)).Probe(ctx, env)
	require.ErrorContains(t, err, "not a valid selector")
}

func TestWechatOnlyForWechat(t *testing.T) {
	res, _ := probe(t, "device: wechat-ios\n"+opened(page(t, "<title>提示</title><p>请在微信客户端打开链接")), nil)
	require.Equal(t, probes.Down, res.Verdict, "a client of WeChat was turned away")
	require.Equal(t, probes.ClassWechatOnly, res.Class)
}

func TestLateRenderingIsNotBlank(t *testing.T) {
	url := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api" {
			select {
			case <-time.After(3 * time.Second): // longer than the page is given to settle
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(w, "个人权益记录")
			return
		}
		_, _ = io.WriteString(w, `<title>x</title><div id=app></div><script>fetch('/api').then(r => r.text()).then(s => { app.textContent = s })</script>`)
	})
	res, _ := probe(t, opened(url), nil)
	require.Equal(t, probes.Up, res.Verdict, "%+v", res)
}

func TestResourceSpansAreBounded(t *testing.T) {
	url := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, healthy)
		for i := range 80 {
			fmt.Fprintf(w, "<img src=/%d.png>", i)
		}
	})
	res, rec := probe(t, opened(url+"/"), nil)
	require.Equal(t, probes.Degraded, res.Verdict)
	require.Len(t, res.Findings, maxNamed)
	n := 0
	for _, s := range rec.Spans() {
		if s.Name == "resource" {
			n++
			require.Equal(t, probes.ClassResource, s.Class, "the failed ones first")
		}
	}
	require.Equal(t, maxResources, n)
}
