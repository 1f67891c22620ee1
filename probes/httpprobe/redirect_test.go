package httpprobe_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
)

func TestRedirectsAreSteps(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			http.Redirect(w, r, "/login?to=1", http.StatusFound)
		case "/login":
			http.SetCookie(w, &http.Cookie{Name: "sid", Value: "1", Path: "/"})
			http.Redirect(w, r, "/home", http.StatusSeeOther)
		default:
			if _, err := r.Cookie("sid"); err != nil {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			send(200, utf8HTML, hall)(w, r)
		}
	})
	r, rec := probe(t, fmt.Sprintf("request: %s/\nexpect: ['redirects == 2', \"url endsWith '/home'\"]", url))
	require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
	require.Equal(t, url+"/home", r.URL)
	require.InDelta(t, 2, r.Measures["redirects"], 0)
	names := rec.Names()
	require.Contains(t, names, "redirect 1/connect", "every hop has a connection of its own")
	require.Contains(t, names, "redirect 2/body")
	require.NotContains(t, names, "request/body")
}

// TestALoginThatNobodyAskedFor is the wrong place, unless the definition says so.
func TestALoginThatNobodyAskedFor(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cx" {
			http.Redirect(w, r, "/sso/login?service=cx", http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<title>统一身份认证</title>账号 密码 登录")
	})
	for settings, want := range map[string]probes.Verdict{
		"request: %s/cx":                 probes.Down,
		"request: %s/cx\nrules: [login]": probes.Up,
		"request: %s/cx\nexpect: [\"url contains '/sso/login'\"]":             probes.Up,
		"request: %s/cx\nexpect: [\"text contains '登录'\"]":                    probes.Up,
		"request: %s/sso/login":                                               probes.Up,
		"steps: [{name: a, request: %[1]s/cx}, {name: b, request: %[1]s/cx}]": probes.Up,
	} {
		r, _ := probe(t, fmt.Sprintf(settings, url))
		require.Equal(t, want, r.Verdict, "%s: %v", settings, r.Findings)
		if want == probes.Down {
			require.Equal(t, probes.ClassRedirect, r.Class)
			require.Equal(t, probes.PhraseLogin, r.Findings[0].Phrase)
		}
	}
}

func TestRedirectFailures(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/loop":
			http.Redirect(w, r, "/loop2", http.StatusFound)
		case path == "/loop2":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case strings.HasPrefix(path, "/deep"):
			http.Redirect(w, r, path+"r", http.StatusFound)
		case path == "/app":
			w.Header().Set("Location", "weixin://dl/business")
			w.WriteHeader(http.StatusFound)
		case path == "/bad":
			w.Header().Set("Location", "http://[::1")
			w.WriteHeader(http.StatusFound)
		case path == "/once":
			// A session cookie set on the way back to the same page is no loop.
			if _, err := r.Cookie("s"); err == nil {
				send(200, utf8HTML, hall)(w, r)
				return
			}
			http.SetCookie(w, &http.Cookie{Name: "s", Value: "1"})
			http.Redirect(w, r, "/once", http.StatusFound)
		case path == "/gone":
			http.Redirect(w, r, "http://nowhere.example.test/", http.StatusFound)
		case path == "/nothing":
			w.WriteHeader(http.StatusFound)
		}
	})
	for _, tt := range []struct {
		path, rest string
		class      probes.Class
		step, says string
	}{
		{"/loop", "", probes.ClassRedirect, "redirect 1", "步骤「第 1 次跳转」：跳转成环，又回到 /loop"},
		{"/deep", "", probes.ClassRedirect, "redirect 10", "步骤「第 10 次跳转」：跳转超过 10 次，下一处是 /deeprrrrrrrrrrr"},
		{"/deep", "follow: 3", probes.ClassRedirect, "redirect 3", "步骤「第 3 次跳转」：跳转超过 3 次，下一处是 /deeprrrr"},
		{"/app", "", probes.ClassRedirect, "request", "跳转地址无效：weixin://dl/business"},
		{"/bad", "", probes.ClassRedirect, "request", "跳转地址无效：http://[::1"},
		{"/gone", "", probes.ClassDNS, "redirect 1", "步骤「第 1 次跳转」：域名 nowhere.example.test 不存在"},
		{"/once", "", "", "", ""},
		{"/nothing", "", "", "", ""},
		{"/loop", "follow: false", "", "", ""},
		{"/once", "follow: true", "", "", ""},
	} {
		t.Run(tt.path+tt.rest, func(t *testing.T) {
			r, _ := probe(t, fmt.Sprintf("request: {url: %q, %s}", url+tt.path, tt.rest))
			require.Equal(t, tt.class, r.Class, "%+v", r.Findings)
			if tt.class != "" {
				require.Equal(t, probes.Down, r.Verdict)
				require.Equal(t, tt.step, r.Findings[0].Step)
				require.Equal(t, tt.says, sentence(r))
			}
		})
	}
}

func TestMethodsOverRedirects(t *testing.T) {
	for status, want := range map[int]string{
		http.StatusFound:             "GET  ",
		http.StatusMovedPermanently:  "GET  ",
		http.StatusSeeOther:          "GET  ",
		http.StatusTemporaryRedirect: "POST text/plain; charset=utf-8 hello",
		http.StatusPermanentRedirect: "POST text/plain; charset=utf-8 hello",
	} {
		var got string
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				http.Redirect(w, r, "/next", status)
				return
			}
			b := make([]byte, 100)
			n, _ := r.Body.Read(b)
			got = r.Method + " " + r.Header.Get("Content-Type") + " " + string(b[:n])
		})
		r, _ := probe(t, fmt.Sprintf("request: {url: %q, body: hello}", url+"/"))
		require.Equal(t, probes.Up, r.Verdict)
		require.Equal(t, want, got, "status %d", status)
	}
}

func TestCredentialsStayAtTheirOrigin(t *testing.T) {
	var got http.Header
	other := strings.Replace(serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header }), host, "sso.example.test", 1)
	status := http.StatusFound
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, status) })
	r, _ := probe(t, fmt.Sprintf(`
request:
  url: %s
  basic: {user: u, password: "${secret:PASSWORD}"}
  headers: {X-Token: "${secret:TOKEN}", Cookie: a=b, X-Area: "110000"}
`, url))
	require.Equal(t, probes.Up, r.Verdict)
	require.Empty(t, got.Get("Authorization"))
	require.Empty(t, got.Get("X-Token"))
	require.Empty(t, got.Get("Cookie"))
	require.Equal(t, "110000", got.Get("X-Area"))

	status, got = http.StatusTemporaryRedirect, nil
	r, _ = probe(t, fmt.Sprintf(`{request: {url: %q, json: {token: "${secret:TOKEN}"}}}`, url))
	require.Equal(t, probes.ClassRedirect, r.Class)
	require.Equal(t, "跳转会把请求中的密钥带到别处，未跟随："+other, sentence(r))
	require.Nil(t, got)
}
