package httpprobe_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
)

// portal is a site with a login: a form with a token, a session cookie, a list
// and an entry of it.
func portal(t *testing.T) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		session, _ := r.Cookie("JSESSIONID")
		switch r.URL.Path {
		case "/login":
			http.SetCookie(w, &http.Cookie{Name: "JSESSIONID", Value: "s-4711-abcdef", Path: "/", HttpOnly: true})
			send(200, utf8HTML, `<title>登录</title><form><input type=hidden name=_csrf value="c5rf-98765"><meta name=v content=m1></form><p id=tip>请 <b>登录</b></p>`)(w, r)
		case "/do-login":
			if session == nil || r.PostFormValue("_csrf") != "c5rf-98765" || r.PostFormValue("password") != secrets["PASSWORD"] {
				send(200, plainJSON, `{"code":"401","msg":"登录失败"}`)(w, r)
				return
			}
			w.Header().Set("X-Ticket", "t1cket-31337")
			send(200, plainJSON, `{"code":"0","data":{"token":"tok3n-abc/+=","list":[{"id":7},{"id":4294967299123}]}}`)(w, r)
		case "/api/item":
			if r.Header.Get("Authorization") != "Bearer tok3n-abc/+=" || r.Header.Get("X-Ticket") != "t1cket-31337" {
				send(401, plainJSON, `{"code":"401"}`)(w, r)
				return
			}
			body, _ := io.ReadAll(r.Body)
			send(200, plainJSON, fmt.Sprintf(`{"code":"0","id":%q,"sent":%s}`, r.URL.Query().Get("id"), body))(w, r)
		default:
			send(404, utf8HTML, "gone")(w, r)
		}
	})
}

const portalSteps = `
steps:
  - name: 登录页
    request: %[1]s/login
    save: {csrf: {css: "input[name=_csrf]"}, version: {css: "meta[name=v]", attr: content, show: true}, sid: {cookie: JSESSIONID}, tip: {regexp: "<p id=(\\w+)>", show: true}}
    expect: ["status == 200", "text contains '登录'"]
  - name: 登录
    request: {url: "%[1]s/do-login", form: {_csrf: "${csrf}", password: "${secret:PASSWORD}"}}
    business: {ok: ["0"]}
    save: {token: json.data.token, id: {json: "$.data.list[?@.id > 10].id", show: true}, ticket: {header: X-Ticket}}
  - name: 查询
    request:
      method: POST
      url: "%[1]s/api/item?id=${id}&x=a"
      bearer: "${token}"
      headers: {X-Ticket: "${ticket}"}
      json: {deep: [{ticket: "${ticket}", version: "v${version}-${tip}"}]}
    expect: ["json.id == saved.id", "json.sent.deep[0].version == 'vm1-tip'"]
expect: ["json.code == '0'", "latency > 0ms", "protocol == 'HTTP/1.1'"]
warn: ["latency < 1h"]
`

func TestFlow(t *testing.T) {
	url := portal(t)
	r, rec := probe(t, fmt.Sprintf(portalSteps, url))
	require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
	require.Equal(t, 3, r.Steps)
	require.Equal(t, 3, r.Passed)
	require.Len(t, r.Checks, 8)
	require.Equal(t, 200, r.Status)
	require.Equal(t, url+"/api/item?id=4294967299123&x=a", r.URL)
	names := rec.Names()
	require.Equal(t, []string{"step 登录页", "step 登录页/request", "request/dns", "request/connect", "request/request", "request/first_byte", "request/body", "step 登录"}, names[:8])
	require.Len(t, names, 21)

	all, err := json.Marshal(r)
	require.NoError(t, err)
	text := string(all) + rec.Text()
	for _, v := range []string{"c5rf-98765", "s-4711-abcdef", "tok3n-abc", "t1cket-31337", secrets["PASSWORD"]} {
		require.NotContains(t, text, v, "what a step saved is not shown")
	}
}

func TestFlowStopsAtTheStepThatFails(t *testing.T) {
	url := portal(t)
	for _, tt := range []struct {
		name, from, to string
		passed         int
		class          probes.Class
		says           string
	}{
		{"wrong password", "${secret:PASSWORD}", "${secret:TOKEN}", 1, probes.ClassBusinessCode, "步骤「登录」：接口返回 code = 401: 登录失败（正常为 0）"},
		{"nothing to save in JSON", "json.data.token", "json.data.ticket", 1, probes.ClassContent, `步骤「登录」：应答中没有找到 token (json data.ticket)，实际是：{"code":"0","data":{"token":"`},
		{"nothing to save in a page", "input[name=_csrf]", "input[name=csrf]", 0, probes.ClassContent, "步骤「登录页」：应答中没有找到 csrf (css input[name=csrf])，实际是：《登录》请 登录"},
		{"no such header", "header: X-Ticket}", "header: X-Nothing}", 1, probes.ClassContent, "步骤「登录」：应答中没有找到 ticket (header X-Nothing)，实际是：Content-Length, Content-Type, Date, X-Ticket"},
		{"no such cookie", "cookie: JSESSIONID", "cookie: SID", 0, probes.ClassContent, "步骤「登录页」：应答中没有找到 sid (cookie SID)，实际是：JSESSIONID"},
		{"nothing matched", `<p id=(\\w+)>`, `<p class=(\\w+)>`, 0, probes.ClassContent, `步骤「登录页」：应答中没有找到 tip (regexp <p class=(\w+)>)`},
		{"an expectation of a step", "text contains '登录'", "text contains '注册'", 0, probes.ClassContent, "步骤「登录页」：内容不符合预期"},
		{"a status", "/api/item?id=${id}&x=a", "/api/nothing?id=${id}", 2, probes.ClassStatus, "步骤「查询」：返回 HTTP 404 Not Found"},
		{"an expectation of the whole", "latency > 0ms", "latency > 1h", 3, probes.ClassLatency, "响应缓慢：要求 latency > 1h"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			definition := fmt.Sprintf(portalSteps, url)
			require.Contains(t, definition, tt.from)
			r, rec := probe(t, strings.Replace(definition, tt.from, tt.to, 1))
			require.Equal(t, probes.Down, r.Verdict, "%+v", r.Findings)
			require.Equal(t, tt.class, r.Class)
			require.Contains(t, sentence(r), tt.says)
			require.Equal(t, tt.passed, r.Passed)
			require.Equal(t, 3, r.Steps)
			if tt.passed < 3 {
				var last string
				for _, s := range rec.Spans() {
					if strings.HasPrefix(s.Name, "step ") {
						last = s.Name
						require.Equal(t, s.Name == r.Findings[0].Step, s.Err != nil, s.Name)
					}
				}
				require.Equal(t, r.Findings[0].Step, last, "nothing follows a step that failed")
			}
		})
	}
}

func TestFlowKeepsWarnings(t *testing.T) {
	url := serve(t, send(200, plainJSON, `{"code":"0"}`))
	r, _ := probe(t, fmt.Sprintf(`
steps:
  - request: %[1]s/a
    warn: ["latency < 1ns"]
  - request: {url: "%[1]s/b", follow: false}
    expect: ["json.code == '0'"]
`, url))
	require.Equal(t, probes.Degraded, r.Verdict)
	require.Equal(t, probes.ClassLatency, r.Class)
	require.Equal(t, 2, r.Passed)
	require.Contains(t, sentence(r), "步骤「第 1 步」：响应缓慢")
}

func TestCookiesLiveForOneRun(t *testing.T) {
	var seen atomic.Int32
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("sid"); err == nil {
			seen.Add(1)
		}
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: "1"})
	})
	for range 2 {
		probe(t, fmt.Sprintf("steps: [{request: %q}, {request: %q}]", url, url))
	}
	require.EqualValues(t, 2, seen.Load(), "the second step of each run, and no more")
}

func TestAddressFromAReply(t *testing.T) {
	var got http.Header
	other := strings.Replace(serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		send(200, utf8HTML, "there "+r.RequestURI)(w, r)
	}), host, "sso.example.test", 1)
	to := ""
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		send(200, utf8HTML, `<a href="`+to+`">下一步</a>`)(w, r)
	})
	flow := func(rest string) string {
		return fmt.Sprintf("steps: [{request: %q, save: {next: {css: a, attr: href, show: true}}}, {request: {url: '${next}', %s}}]\nexpect: ['status == 200']", url+"/dir/", rest)
	}

	to = "page?a=1&amp;b=2#x"
	r, _ := probe(t, flow(""))
	require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
	require.Equal(t, url+"/dir/page?a=1&b=2", r.URL, "relative to where it stood")

	to = other + "/x"
	r, _ = probe(t, flow(""))
	require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
	require.Equal(t, other+"/x", r.URL)

	got = nil
	r, _ = probe(t, flow("bearer: '${secret:TOKEN}'"))
	require.Equal(t, probes.PhraseRedirectSecret, r.Findings[0].Phrase, "a page does not choose who is told a secret")
	require.Nil(t, got)

	to = "http://169.254.169.254/latest/"
	r, _ = probe(t, flow(""))
	require.Equal(t, probes.PhraseRedirectInside, r.Findings[0].Phrase)

	to = "javascript:void(0)"
	r, _ = probe(t, flow(""))
	require.Equal(t, probes.PhraseRedirectBad, r.Findings[0].Phrase)
	require.Contains(t, sentence(r), "步骤「第 2 步」：跳转地址无效：javascript:void(0)")
}

func TestSavedValueStaysInItsPlace(t *testing.T) {
	var uri string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		uri = r.RequestURI
		send(200, plainJSON, `{"evil":"a/../b?x=1&y=2#z","lines":"a\r\nX-Evil: 1","empty":"","long":"`+strings.Repeat("x", 5000)+`"}`)(w, r)
	})
	r, _ := probe(t, fmt.Sprintf("steps: [{request: %[1]q, save: {v: json.evil}}, {request: '%[1]s/p/${v}?q=${v}'}]", url))
	require.Equal(t, probes.Up, r.Verdict)
	require.Equal(t, "/p/a%2F..%2Fb%3Fx=1&y=2%23z?q=a%2F..%2Fb%3Fx%3D1%26y%3D2%23z", uri)
	for _, name := range []string{"lines", "empty", "long", "lost"} {
		r, _ := probe(t, fmt.Sprintf("steps: [{request: %[1]q, save: {v: json.%[2]s}}, {request: '%[1]s/?q=${v}'}]", url, name))
		require.Equal(t, probes.PhraseNotFound, r.Findings[0].Phrase, name)
	}
}

func TestFlowPhasesAddUp(t *testing.T) {
	url := portal(t)
	r, rec := probe(t, fmt.Sprintf(portalSteps, url))
	var spans time.Duration
	for _, s := range rec.Spans() {
		switch s.Name {
		case "dns", "connect", "request", "first_byte", "body":
			if s.Parent == "request" {
				spans += s.End.Sub(s.Start)
			}
		}
	}
	ts := r.Timings
	require.Equal(t, ts.DNS+ts.Connect+ts.TLS+ts.Request+ts.FirstByte+ts.Body, ts.Total)
	require.Equal(t, spans, ts.Total, "and so do the spans")
}
