package chrome

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/probetest"
	"github.com/gengfu/gengfu/probes/wording"
)

// patience is how long a test waits for what should come at once, on a machine
// that has other things to do.
const patience = 60 * time.Second

var (
	shared   *Pool // one browser process for the package's tests
	profiles string
	trusted  tls.Certificate // the shared browser takes it whoever signed it
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gengfu-chrome-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	profiles = dir
	var pin string
	trusted, pin = certificate(time.Now().Add(40*24*time.Hour + time.Minute))
	shared, err = New(Options{
		Dir: dir, MaxPages: 2, Logger: quiet(), ExtraFlags: []string{"--ignore-certificate-errors-spki-list=" + pin},
		HostRules: "MAP *.rsj.example 127.0.0.1",
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, check := range []func() error{
		func() error { return shared.Close(ctx) },
		func() error { return nothingLeft(dir) },
		func() error { return goleak.Find() },
	} {
		if err := check(); err != nil {
			fmt.Fprintln(os.Stderr, "after the tests:", err)
			code = 1
		}
	}
	return code
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// nothingLeft fails when a profile or a process outlived its pool.
func nothingLeft(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "*", profilePrefix+"*"))
	if err != nil {
		return err
	}
	direct, err := filepath.Glob(filepath.Join(dir, profilePrefix+"*"))
	if err != nil {
		return err
	}
	if left = append(left, direct...); len(left) > 0 {
		return fmt.Errorf("profiles left: %v", left)
	}
	pids, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return err
	}
	for _, p := range pids {
		if env, err := os.ReadFile(p); err == nil && bytes.Contains(env, []byte("HOME="+dir)) {
			return fmt.Errorf("process left: %s", p)
		}
	}
	return nil
}

// certificate makes a self-signed certificate for 127.0.0.1 that ends at until,
// and its public key's pin.
func certificate(until time.Time) (tls.Certificate, string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: until.Add(-90 * 24 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.ParseIP("127.0.0.1")}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(spki)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, base64.StdEncoding.EncodeToString(sum[:])
}

var phone = probes.Device{
	Name: "phone", UserAgent: "Mozilla/5.0 (Linux; Android 14; wv) MicroMessenger/8.0.49 test", Platform: "Linux aarch64",
	Width: 360, Height: 640, Scale: 2, Mobile: true, Touch: true, Language: "zh-CN", TimeZone: "Asia/Shanghai",
	ClientHints: []probes.Brand{{Name: "Android WebView", Version: "122"}, {Name: "Chromium", Version: "122"}},
	Headers:     map[string]string{"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
}

var desk = probes.Device{Name: "desk", UserAgent: "Mozilla/5.0 (Windows NT 10.0) test", Width: 1024, Height: 700, Scale: 1, Language: "zh-CN"}

// serve starts a site that answers with html.
func serve(t *testing.T, html string) *httptest.Server {
	t.Helper()
	return site(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, html)
	})
}

func site(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func open(t *testing.T, p *Pool, d probes.Device) probes.Page {
	t.Helper()
	pg, err := p.Open(within(t, patience), d)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pg.Close()) })
	return pg
}

func visit(t *testing.T, pg probes.Page, url string) probes.Observation {
	t.Helper()
	o, err := pg.Do(within(t, patience), probes.Action{Op: probes.OpOpen, Value: url})
	require.NoError(t, err)
	return o
}

func do(t *testing.T, pg probes.Page, a probes.Action) probes.Observation {
	t.Helper()
	if a.Timeout == 0 {
		a.Timeout = patience
	}
	o, err := pg.Do(t.Context(), a)
	require.NoError(t, err)
	return o
}

// failure requires err to be about the page, and of class.
func failure(t *testing.T, err error, class probes.Class) *probes.Failure {
	t.Helper()
	var f *probes.Failure
	require.ErrorAs(t, err, &f)
	require.Equal(t, class, f.Class, f.Error())
	probetest.Readable(t, probes.Result{Findings: []probes.Finding{f.Finding("")}})
	return f
}

func TestDevice(t *testing.T) {
	var head http.Header
	s := site(t, func(w http.ResponseWriter, r *http.Request) {
		head = r.Header.Clone()
		_, _ = io.WriteString(w, `<meta name=viewport content="width=device-width"><title>设备</title><p id=out></p><script>
			out.textContent = [navigator.userAgent, navigator.platform, innerWidth, devicePixelRatio, navigator.language,
			Intl.DateTimeFormat().resolvedOptions().timeZone, navigator.maxTouchPoints, navigator.userAgentData?.brands.length].join('|')</script>`)
	})
	pg := open(t, shared, phone)
	o := visit(t, pg, s.URL)
	require.Equal(t, "设备", o.Title)
	require.Equal(t, 200, o.Status)
	require.Equal(t, "127.0.0.1", o.IP)
	o, err := pg.Observe(within(t, patience))
	require.NoError(t, err)
	require.Contains(t, o.Text, phone.UserAgent+"|Linux aarch64|360|2|zh-CN|Asia/Shanghai|5|")
	require.Equal(t, phone.UserAgent, head.Get("User-Agent"))
	require.Equal(t, phone.Headers["Traceparent"], head.Get("Traceparent"))
	require.Contains(t, head.Get("Accept-Language"), "zh-CN,zh")
	require.Greater(t, o.Measures["load_ms"], 0.0)
	require.Greater(t, o.Measures["fcp_ms"], 0.0)
	require.Greater(t, o.Measures["lcp_ms"], 0.0)
	require.Greater(t, o.Timings.Total, time.Duration(0))
	require.Greater(t, o.Timings.FirstByte, time.Duration(0))
	require.Contains(t, names(o.Phases), "first_byte")
	require.False(t, o.Blank)
	require.EqualValues(t, 1, o.Measures["requests"])
}

func names(ps []probes.Phase) (out []string) {
	for _, p := range ps {
		out = append(out, p.Name)
	}
	return out
}

func TestNavigationFailures(t *testing.T) {
	s := site(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hang":
			<-r.Context().Done()
		case "/half":
			_, _ = io.WriteString(w, "<p>half of it")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/reload":
			_, _ = io.WriteString(w, `<script>location.href = '/reload?' + Math.random()</script>`)
		case "/app":
			http.Redirect(w, r, "weixin://dl/business", http.StatusFound)
		case "/download":
			w.Header().Set("Content-Type", "application/zip")
			w.Header().Set("Content-Disposition", "attachment; filename=a.zip")
			_, _ = io.WriteString(w, "PK")
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/gone":
			_, _ = io.WriteString(w, `<script>location.href = 'http://127.0.0.1:8009/'</script>`)
		case "/cut":
			w.Header().Set("Content-Length", "100000")
			_, _ = io.WriteString(w, "<p>cut")
		case "/reset":
			c, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = c.(*net.TCPConn).SetLinger(0)
				_ = c.Close()
			}
		}
	})
	expired, _ := certificate(time.Now().Add(-time.Hour))
	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{Certificates: []tls.Certificate{expired}}
	old.Config.ErrorLog = slog.NewLogLogger(quiet().Handler(), slog.LevelError)
	old.StartTLS()
	t.Cleanup(old.Close)
	for _, tt := range []struct {
		name, url string
		class     probes.Class
		within    time.Duration
		says      string // the sentence, as a regular expression
	}{
		{"hang", s.URL + "/hang", probes.ClassTimeout, 3 * time.Second, `^[\d.]+秒内没有收到 127.0.0.1 的应答$`},
		{"never complete", s.URL + "/half", probes.ClassTimeout, 3 * time.Second, `^[\d.]+秒内没有收完 127.0.0.1 的应答$`},
		{"redirect loop", s.URL + "/loop", probes.ClassRedirect, 0, `^127.0.0.1 的跳转没有尽头$`},
		{"script reload loop", s.URL + "/reload", probes.ClassRedirect, 0, `^页面不停地跳转，停在 http://127.0.0.1:\d+/reload`},
		{"led to an app", s.URL + "/app", probes.ClassRedirect, 0, `^步骤「打开 http://127.0.0.1:\d+/app」：跳转到了 APP（weixin:），不是网页$`},
		{"download", s.URL + "/download", probes.ClassContent, 0, `^127.0.0.1 返回的是下载文件或空内容，不是网页$`},
		{"no content", s.URL + "/none", probes.ClassContent, 0, `^127.0.0.1 返回的是下载文件或空内容，不是网页$`},
		{"refused", "http://127.0.0.1:8009/", probes.ClassConnect, 0, `^127.0.0.1 拒绝连接$`},
		{"script leads to a refused address", s.URL + "/gone", probes.ClassConnect, 0, `^127.0.0.1 拒绝连接$`},
		{"no such name", "http://nowhere.invalid/", probes.ClassDNS, 0, `^域名 nowhere.invalid 解析失败（ERR_NAME_NOT_RESOLVED）$`},
		{"expired certificate", old.URL, probes.ClassTLS, 0, `^127.0.0.1 的证书`},
		{"reset", s.URL + "/reset", probes.ClassReset, 0, `^127.0.0.1 重置了连接$`},
		{"cut", s.URL + "/cut", probes.ClassReset, 0, `^127.0.0.1 的应答没有传完就断开了$`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pg := open(t, shared, desk)
			if tt.within == 0 {
				tt.within = patience
			}
			_, err := pg.Do(within(t, tt.within), probes.Action{Op: probes.OpOpen, Value: tt.url})
			f := failure(t, err, tt.class)
			require.Regexp(t, tt.says, wording.Finding(wording.ZH, f.Finding("open "+tt.url)))
		})
	}
	t.Run("an error status is a page", func(t *testing.T) {
		s := site(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		pg := open(t, shared, desk)
		o := visit(t, pg, s.URL)
		require.Equal(t, http.StatusBadGateway, o.Status)
	})
	t.Run("not http", func(t *testing.T) {
		pg := open(t, shared, desk)
		for _, u := range []string{"file:///etc/passwd", "chrome://version", "about:blank", "javascript:1", "http:///x"} {
			_, err := pg.Do(within(t, patience), probes.Action{Op: probes.OpOpen, Value: u})
			var f *probes.Failure
			require.Error(t, err)
			require.NotErrorAs(t, err, &f)
		}
	})
}

func TestTLSUntil(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "<p>ok") }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{trusted}}
	s.StartTLS()
	t.Cleanup(s.Close)
	o := visit(t, open(t, shared, desk), s.URL)
	require.WithinDuration(t, time.Now().Add(40*24*time.Hour), o.TLSUntil, time.Hour)
	require.Contains(t, names(o.Phases), "tls")
	require.Greater(t, o.Timings.TLS, time.Duration(0))
}

func TestResourcesAndErrors(t *testing.T) {
	s := site(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("X-Test", "yes")
		_, _ = io.WriteString(w, `<script src="/missing.js"></script><img src="http://third.party.invalid/x.png"><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">
			<script>console.error('对不起', 7); console.log('fine'); setTimeout(() => { throw new Error('boom') }, 0); Promise.reject('no')</script><p>text`)
	})
	pg := open(t, shared, desk)
	visit(t, pg, s.URL+"/")
	var o probes.Observation
	require.Eventually(t, func() bool { // a name that does not resolve may take longer than the page is given to settle
		var err error
		o, err = pg.Observe(within(t, patience))
		return err == nil && !slices.ContainsFunc(o.Requests, func(q probes.Request) bool { return q.Pending })
	}, patience, 50*time.Millisecond)
	require.EqualValues(t, 2, o.Measures["script_errors"])
	require.Contains(t, fmt.Sprint(o.ScriptErrors), "boom")
	require.EqualValues(t, 2, o.Measures["console_errors"], "its own, and the refused script")
	require.Contains(t, fmt.Sprint(o.Console), "对不起 7")
	require.EqualValues(t, 2, o.Measures["failed_requests"])
	require.EqualValues(t, 3, o.Measures["requests"])
	require.Equal(t, "yes", o.Header["x-test"])
	require.Len(t, o.Requests, 3)
	byURL := map[string]probes.Request{}
	for _, r := range o.Requests {
		byURL[r.URL] = r
	}
	require.True(t, byURL[s.URL+"/missing.js"].Own)
	require.Equal(t, 404, byURL[s.URL+"/missing.js"].Status)
	require.Equal(t, "script", byURL[s.URL+"/missing.js"].Kind)
	third := byURL["http://third.party.invalid/x.png"]
	require.False(t, third.Own)
	require.Contains(t, third.Failed, "ERR_NAME_NOT_RESOLVED")
}

func TestBlank(t *testing.T) {
	for html, blank := range map[string]bool{
		`<div id=app></div><script>throw new Error('x')</script>`:          true,
		`<noscript>请启用脚本</noscript><div style="display:none">hidden</div>`: true,
		`<p>文字</p>`:                              false,
		`<canvas width=100 height=100></canvas>`: false,
		`<img src="/missing.png">`:               true,
		`<input placeholder="身份证号">`:             false,
		`<iframe srcdoc="<p>内页</p>"></iframe>`:   false,
		`<iframe srcdoc=""></iframe>`:            true,
		`<div id=h></div><script>h.attachShadow({mode:'open'}).innerHTML='<p>影</p>'</script>`: false,
	} {
		t.Run(html, func(t *testing.T) {
			s := site(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/" {
					http.NotFound(w, r)
					return
				}
				_, _ = io.WriteString(w, html)
			})
			pg := open(t, shared, desk)
			visit(t, pg, s.URL+"/")
			o, err := pg.Observe(within(t, patience))
			require.NoError(t, err)
			require.Equal(t, blank, o.Blank, o.Text)
		})
	}
}

func TestWechatBridge(t *testing.T) {
	s := serve(t, `<p id=out>waiting</p><script>
		document.addEventListener('WeixinJSBridgeReady', () => WeixinJSBridge.invoke('preVerifyJSAPI', {verifyAppId: 'wx1'}, r => { out.textContent = r.err_msg }))</script>`)
	d := phone
	d.Wechat = true
	pg := open(t, shared, d)
	visit(t, pg, s.URL)
	o := do(t, pg, probes.Action{Op: probes.OpSee, Value: "pre_verify_jsapi:ok"})
	require.Equal(t, []string{"preVerifyJSAPI"}, o.Bridge)

	plain := open(t, shared, phone)
	visit(t, plain, s.URL)
	do(t, plain, probes.Action{Op: probes.OpSee, Value: "waiting"})
}

func TestIsolationBetweenRuns(t *testing.T) {
	s := site(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := r.Cookie("seen")
		http.SetCookie(w, &http.Cookie{Name: "seen", Value: "1", Path: "/"})
		_, _ = fmt.Fprintf(w, `<p>cookie %v storage <span id=s></span></p><script>s.textContent = localStorage.x || 'none'; localStorage.x = 'some'</script>`, err == nil)
	})
	first := open(t, shared, desk)
	visit(t, first, s.URL)
	visit(t, first, s.URL)
	do(t, first, probes.Action{Op: probes.OpSee, Value: "cookie true storage some"})
	second := open(t, shared, desk) // while the first is still there
	visit(t, second, s.URL)
	do(t, second, probes.Action{Op: probes.OpSee, Value: "cookie false storage none"})
}

func TestOpenWaitsForAFreePage(t *testing.T) {
	a, b := open(t, shared, desk), open(t, shared, desk)
	_ = b
	_, err := shared.Open(within(t, 300*time.Millisecond), desk)
	require.ErrorContains(t, err, "waiting for one of 2 pages")
	got := make(chan error, 1)
	ctx := within(t, patience)
	go func() {
		pg, err := shared.Open(ctx, desk)
		if err == nil {
			err = pg.Close()
		}
		got <- err
	}()
	require.NoError(t, a.Close())
	require.NoError(t, <-got)
	require.NoError(t, a.Close(), "twice is fine")
}

func pool(t *testing.T, o Options) *Pool {
	t.Helper()
	o.Logger = quiet()
	if o.Dir == "" {
		o.Dir = filepath.Join(profiles, t.Name())
	}
	p, err := New(o)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, p.Close(ctx))
		require.NoError(t, nothingLeft(o.Dir))
		_, err := p.Open(ctx, desk)
		require.ErrorIs(t, err, ErrClosed)
	})
	return p
}

func (p *Pool) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cur.session.Process().Pid
}

func TestKilledBetweenRuns(t *testing.T) {
	s := serve(t, "<p>still here</p>")
	p := pool(t, Options{})
	pg, err := p.Open(within(t, patience), desk)
	require.NoError(t, err)
	visit(t, pg, s.URL)
	require.NoError(t, pg.Close())
	require.NoError(t, syscall.Kill(p.pid(), syscall.SIGKILL))
	pg, err = p.Open(within(t, patience), desk)
	require.NoError(t, err)
	visit(t, pg, s.URL)
	do(t, pg, probes.Action{Op: probes.OpSee, Value: "still here"})
	require.NoError(t, pg.Close())
	require.Eventually(t, func() bool { return p.Stats().Restarts == 1 }, patience, 10*time.Millisecond)
	require.NotEmpty(t, p.Stats().Version)
	require.Equal(t, 2, p.Stats().Runs)
	require.Equal(t, 0, p.Stats().Pages)
}

func TestKilledDuringARunIsTheAgentsFault(t *testing.T) {
	s := serve(t, "<p>text</p>")
	p := pool(t, Options{})
	pg := open(t, p, desk)
	visit(t, pg, s.URL)
	pid := p.pid()
	go func() { _ = syscall.Kill(pid, syscall.SIGKILL) }()
	_, err := pg.Do(within(t, patience), probes.Action{Op: probes.OpSee, Value: "never there"})
	var f *probes.Failure
	require.Error(t, err)
	require.NotErrorAs(t, err, &f)
	_, err = pg.Screenshot(within(t, patience))
	require.Error(t, err)
}

func TestHungBrowserIsTheAgentsFault(t *testing.T) {
	s := serve(t, "<p>text</p>")
	p := pool(t, Options{})
	pg := open(t, p, desk)
	visit(t, pg, s.URL)
	require.NoError(t, syscall.Kill(p.pid(), syscall.SIGSTOP))
	_, err := pg.Do(within(t, time.Second), probes.Action{Op: probes.OpSee, Value: "never there"})
	var f *probes.Failure
	require.ErrorContains(t, err, "did not answer")
	require.NotErrorAs(t, err, &f)
	require.NoError(t, pg.Close())
	again := open(t, p, desk)
	visit(t, again, s.URL)
	require.Equal(t, 1, p.Stats().Restarts)
}

func TestBusyScriptIsThePagesFault(t *testing.T) {
	s := serve(t, `<p>text</p><script>setTimeout(() => { for (;;) {} }, 700)</script>`)
	pg := open(t, shared, desk)
	visit(t, pg, s.URL)
	_, err := pg.Do(within(t, 4*time.Second), probes.Action{Op: probes.OpSee, Value: "never there"})
	failure(t, err, probes.ClassStep)
	_, err = pg.Screenshot(within(t, time.Second))
	require.Error(t, err)
}

func TestCrashedRenderer(t *testing.T) {
	s := serve(t, "<p>text</p>")
	pg := open(t, shared, desk)
	visit(t, pg, s.URL)
	_, err := pg.Do(within(t, patience), probes.Action{Op: probes.OpOpen, Value: s.URL})
	require.NoError(t, err)
	inner := pg.(*page)
	go func() { _ = inner.target.Call(inner.life, "Page.crash", nil, nil) }()
	_, err = pg.Do(within(t, patience), probes.Action{Op: probes.OpSee, Value: "never there"})
	require.ErrorIs(t, err, errCrashed)
}

func TestRecycle(t *testing.T) {
	s := serve(t, "<p>text</p>")
	p := pool(t, Options{RecycleAfter: 2, MaxPages: 3})
	held := open(t, p, desk) // 1st of the first process
	first := p.pid()
	for range 3 { // 2nd of the first, then two of the second
		pg, err := p.Open(within(t, patience), desk)
		require.NoError(t, err)
		visit(t, pg, s.URL)
		require.NoError(t, pg.Close())
	}
	require.NotEqual(t, first, p.pid())
	visit(t, held, s.URL) // a retired process serves its last page to the end
	require.Equal(t, 1, p.Stats().Recycled)
	require.Equal(t, 0, p.Stats().Restarts)
	require.NoError(t, held.Close())
	require.Eventually(t, func() bool { return len(processesOfGroup(first)) == 0 }, patience, 10*time.Millisecond)
}

// processesOfGroup lists the live members of a process group.
func processesOfGroup(group int) (pids []int) {
	if syscall.Kill(-group, 0) == nil {
		pids = append(pids, group)
	}
	return pids
}

func TestSweep(t *testing.T) {
	dir := filepath.Join(profiles, "sweep")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	neighbour, err := newProfile(dir)
	require.NoError(t, err)
	dead, err := newProfile(dir)
	require.NoError(t, err)
	require.NoError(t, dead.lock.Close()) // as the kernel does for a dead owner
	cmd := exec.Command("sleep", "600")   // a browser's child, by its HOME
	cmd.Env = []string{"HOME=" + dead.dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	p := pool(t, Options{Dir: dir})
	require.Equal(t, 1, p.Stats().Swept)
	require.Equal(t, 1, p.Stats().Killed)
	require.Error(t, cmd.Wait(), "it was killed")
	require.NoDirExists(t, dead.dir)
	require.DirExists(t, neighbour.dir)
	require.NoError(t, neighbour.remove())
}

func TestRunStartsAndStops(t *testing.T) {
	p := pool(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	require.Eventually(t, func() bool { return p.Stats().Version != "" }, patience, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	require.NoError(t, nothingLeft(p.opts.Dir))
}

func TestFind(t *testing.T) {
	path, err := Find("")
	require.NoError(t, err)
	require.True(t, filepath.IsAbs(path))
	_, err = Find("/no/such/browser")
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, "apt-get install chromium-headless-shell")
	t.Setenv("PATH", t.TempDir())
	_, err = Find("")
	require.ErrorIs(t, err, ErrNotFound)
}

func TestBrowserThatDoesNotStart(t *testing.T) {
	script := filepath.Join(t.TempDir(), "browser")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\necho no display >&2\nexit 3\n"), 0o700))
	p := pool(t, Options{Exec: script})
	_, err := p.Open(within(t, patience), desk)
	require.ErrorContains(t, err, "starting the browser")
	require.NoError(t, nothingLeft(p.opts.Dir))
}

func TestScreenshot(t *testing.T) {
	s := serve(t, `<meta name=viewport content="width=device-width"><body style="margin:0;background:#fff"><div style="height:100px;background:#f00"></div><p>text</p>`)
	pg := open(t, shared, phone)
	visit(t, pg, s.URL)
	img := picture(t, pg)
	require.Equal(t, image.Pt(720, 1280), img.Bounds().Size())
	r, g, _, _ := img.At(300, 100).RGBA()
	require.Greater(t, r>>8, uint32(200))
	require.Less(t, g>>8, uint32(60))
}

func picture(t *testing.T, pg probes.Page) image.Image {
	t.Helper()
	data, err := pg.Screenshot(within(t, patience))
	require.NoError(t, err)
	require.LessOrEqual(t, len(data), maxPicture)
	img, err := jpeg.Decode(bytes.NewReader(data))
	require.NoError(t, err)
	return img
}

func TestScreenshotCoversSecrets(t *testing.T) {
	const secret = "11010119900307721X"
	s := serve(t, `<meta name=viewport content="width=device-width"><body style="margin:0"><style>input,p,dialog{position:absolute;left:0;margin:0;padding:0;border:0;width:200px;height:40px;background:#fff;font:16px/40px sans-serif}</style>
		<input id=id style="top:0"><input id=pw type=password style="top:50px" value=hunter2><input id=name style="top:100px" value="张三">
		<p id=echo style="top:150px"></p><dialog id=d style="top:200px;max-width:none"><input type=password value=deep style="top:0"></dialog>
		<script>id.oninput = () => { echo.textContent = '您好 ' + id.value; d.showModal() }</script>`)
	pg := open(t, shared, phone)
	visit(t, pg, s.URL)
	do(t, pg, probes.Action{Op: probes.OpFill, Selector: "#id", Value: secret, Secret: true})
	img := picture(t, pg)
	grey := func(x, y int) bool { // the cover's colour, #555
		r, g, b, _ := img.At(x*2, y*2).RGBA()
		near := func(v uint32) bool { return v>>8 > 0x45 && v>>8 < 0x65 }
		return near(r) && near(g) && near(b)
	}
	require.True(t, grey(150, 20), "a filled secret")
	require.True(t, grey(150, 70), "a password field")
	require.False(t, grey(150, 120), "a plain field")
	require.True(t, grey(100, 170), "a secret in the text")
	require.True(t, grey(150, 220), "a password in a dialog above all")
	o := do(t, pg, probes.Action{Op: probes.OpRun, Value: "id.value.length + '/' + document.querySelectorAll('body ~ div').length"})
	require.Equal(t, `"18/0"`, o.Result, "the value stays and the cover is gone")
}

func TestDialogs(t *testing.T) {
	t.Run("some", func(t *testing.T) {
		s := serve(t, `<p id=out></p><script>alert('系统升级公告'); out.textContent = confirm('继续?') + '/' + prompt('名字')</script>`)
		pg := open(t, shared, desk)
		visit(t, pg, s.URL)
		o := do(t, pg, probes.Action{Op: probes.OpSee, Value: "false/null"})
		require.EqualValues(t, 3, o.Measures["dialogs"])
		require.Equal(t, "alert: 系统升级公告", o.Dialogs[0])
	})
	t.Run("storm", func(t *testing.T) {
		s := serve(t, `<p>text</p><script>for (;;) alert('again')</script>`)
		pg := open(t, shared, desk)
		_, err := pg.Do(within(t, patience), probes.Action{Op: probes.OpOpen, Value: s.URL})
		f := failure(t, err, probes.ClassStep)
		require.Contains(t, f.Got, "again")
		o, err := pg.Observe(within(t, patience))
		require.NoError(t, err, "the script was ended, so the page can be looked at")
		require.Contains(t, o.Text, "text")
	})
	t.Run("leaving", func(t *testing.T) {
		s := serve(t, `<button onclick="x=1">go</button><script>addEventListener('beforeunload', e => { e.preventDefault(); e.returnValue = '' })</script>`)
		pg := open(t, shared, desk)
		visit(t, pg, s.URL)
		do(t, pg, probes.Action{Op: probes.OpTap, Selector: "button"})
		visit(t, pg, s.URL+"/other")
	})
}
