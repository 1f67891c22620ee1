package httpprobe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/andybalholm/cascadia"
	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/probetest"
)

// canned is a connection whose peer says certain bytes and leaves.
type canned struct {
	io.Reader
}

func (canned) Write(b []byte) (int, error)      { return len(b), nil }
func (canned) Close() error                     { return nil }
func (canned) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (canned) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (canned) SetDeadline(time.Time) error      { return nil }
func (canned) SetReadDeadline(time.Time) error  { return nil }
func (canned) SetWriteDeadline(time.Time) error { return nil }

const fuzzSecret = "s3cr3t-v4lue"

// says is an Env in which every peer says the same.
func says(reply []byte) probes.Env {
	return probes.Env{
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return canned{bytes.NewReader(reply)}, nil
		},
		Secret: func(string) (string, error) { return fuzzSecret, nil },
		Record: &probetest.Recorder{},
	}
}

func defined(t testing.TB, definition string) *prober {
	t.Helper()
	return probetest.Decode(t, Kind, definition).(*prober)
}

// healthy checks what holds of every result, whatever the peer said.
func healthy(t *testing.T, env probes.Env, r probes.Result, err error) {
	t.Helper()
	require.NoError(t, err, "what a peer says is no trouble of the agent's")
	require.True(t, r.Class.Known())
	require.Equal(t, r.Verdict == probes.Up, r.Class == probes.ClassNone, "%+v", r)
	require.Equal(t, r.Verdict == probes.Up, len(r.Findings) == 0, "%+v", r)
	require.LessOrEqual(t, len(r.Title), maxTitle)
	text := r.Title + r.URL + env.Record.(*probetest.Recorder).Text()
	for _, f := range r.Findings {
		require.True(t, f.Phrase.Known())
		require.LessOrEqual(t, len(f.Want), probes.ExcerptMax)
		require.LessOrEqual(t, len(f.Got), probes.ExcerptMax)
		text += f.Want + f.Got
	}
	for _, c := range r.Checks {
		require.LessOrEqual(t, len(c.Saw), probes.ExcerptMax)
		text += c.Saw
	}
	for _, e := range r.Evidence {
		require.LessOrEqual(t, len(e.Data), maxEvidence)
		require.True(t, utf8.Valid(e.Data))
		text += string(e.Data)
	}
	require.NotContains(t, text, fuzzSecret)
	ts := r.Timings
	require.Equal(t, ts.Total, ts.DNS+ts.Connect+ts.TLS+ts.Request+ts.FirstByte+ts.Body)
}

// replies are the seeds of all that reads a whole reply.
func replies(f *testing.F) {
	f.Helper()
	page := "<!doctype html><title>公共服务平台</title><body hidden><p>正文<input name=t value=1><script>x</script>"
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=gbk\r\n\r\n\xb9\xab\xb9\xb2<title>\xb7\xfe\xce\xf1</title>",
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"code\":\"0\",\"a\":\r\n2\r\n1}\r\n0\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: /next\r\nSet-Cookie: a=b; Path=/; Domain=a.test\r\nSet-Cookie: c=d\r\n\r\n",
		"HTTP/1.1 307 Moved\r\nLocation: http://[::1%25lo]:99999/\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 521 x\r\nSet-Cookie: __jsluid_h=1\r\nContent-Type: text/html\r\n\r\n<script>document.cookie</script>",
		"HTTP/1.0 405 Not Allowed\r\nServer: waf\r\nContent-Type: text/html\r\n\r\n<title>405</title>您的访问被阻断，请求ID是 1",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, br\r\n\r\n\x1f\x8b\x08\x00\x00",
		"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\nContent-Type: text/html\r\n\r\n" + page,
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx",
		"HTTP/1.1 200 OK\r\nX-A: \x00\r\n\r\n",
		"SSH-2.0-OpenSSH_9.2\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nrtn=" + fuzzSecret + page,
		"HTTP/2.0 101 Switching Protocols\r\n\r\n",
		"\x00", "",
	} {
		f.Add([]byte(s))
	}
}

// FuzzReply is a whole run against a peer that says anything, over and over
// where it redirects.
func FuzzReply(f *testing.F) {
	replies(f)
	plain := `{request: {url: "http://127.0.0.1/a?k=${secret:K}"}, max_body: 65536}`
	all := `{request: {url: "http://127.0.0.1/a?k=${secret:K}", method: POST, body: "${secret:K}"}, max_body: 65536, business: {},
		expect: ["status == 200", "json.a == 1", "text contains 'x'", "header('X-A') == ''", "cookie('a') == 'b'", "title == ''", "charset == ''", "body == ''", "protocol == ''", "url == ''"],
		schema: {type: object, required: [code], properties: {list: {uniqueItems: true}}}, content: {sha256: "` + strings.Repeat("0", 64) + `", ignore: ["[0-9]+"]}}`
	flow := `{steps: [{request: "http://127.0.0.1/a", save: {j: json.a, x: {css: "input, a[href]", attr: value}}}, {request: {url: "http://127.0.0.1/${j}?x=${x}", headers: {X: "${x}", Y: "${secret:K}"}, cookies: {c: "${j}"}}}], max_body: 65536}`
	probers := []*prober{defined(f, plain), defined(f, all), defined(f, flow)}
	f.Fuzz(func(t *testing.T, reply []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, p := range probers {
			env := says(reply)
			r, err := p.Probe(ctx, env)
			healthy(t, env, r, err)
		}
	})
}

// FuzzProxyReply is what a proxy says when it is asked to connect.
func FuzzProxyReply(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 407 Auth\r\n\r\n", "HTTP/1.0 502 Bad\r\nContent-Length: 5\r\n\r\nhello", "\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", "\x05\x02\x01\x01", "\x05\x00\x05\x04\x00\x03\x01a\x00\x00", "",
	} {
		f.Add([]byte(s))
	}
	var probers []*prober
	for _, scheme := range []string{"http", "socks5", "https"} {
		probers = append(probers, defined(f, `{request: "https://127.0.0.1/", proxy: {url: "`+scheme+`://127.0.0.1:3128", user: u, password: "${secret:K}"}}`))
	}
	f.Fuzz(func(t *testing.T, reply []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, p := range probers {
			env := says(reply)
			r, err := p.Probe(ctx, env)
			require.NotEqual(t, probes.Up, r.Verdict)
			if err != nil {
				require.NotContains(t, err.Error(), fuzzSecret)
			}
			require.NotContains(t, env.Record.(*probetest.Recorder).Text(), fuzzSecret)
		}
	})
}

func FuzzDecodeText(f *testing.F) {
	for _, s := range []string{"", "abc", "公共", "\xb9\xab\xb9\xb2", "\xef\xbb\xbfx", "\xff\xfea\x00", "\xfe\xff\x00a\x00", "\x81", "\xe5\x85", "<meta charset=gbk>\xb9\xab", "\x00\x00"} {
		for _, label := range []string{"", "utf-8", "gb2312", "big5", "iso-8859-1", "utf-16", "x-user-defined", "\x00"} {
			f.Add([]byte(s), label, false)
			f.Add([]byte(s), label, true)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, label string, cut bool) {
		d := decodeText(b, label, cut)
		require.True(t, utf8.ValidString(d.text))
		require.NotEmpty(t, d.charset)
		require.LessOrEqual(t, len(d.text), 3*len(b)+3)
		_ = declaredCharset(label, b, true)
	})
}

func FuzzReadHTML(f *testing.F) {
	for _, s := range []string{"", "<title>a<b>c</title>x", "<p hidden>a<p>b</p></p>c", "<script><!--<script></script>", "<textarea></title>", "<svg><title>x", "<br/><img src=x>a  b", "<style>", strings.Repeat("<div>", 500), "<p style='display :none'>x", "\x00<\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, document string) {
		document = strings.ToValidUTF8(document, "\uFFFD")
		title, text := readHTML(document, true)
		require.LessOrEqual(t, len(title), maxTitle)
		require.LessOrEqual(t, len(text), maxText)
		require.True(t, utf8.ValidString(title))
		require.True(t, utf8.ValidString(text))
		if len(document) <= titleWithin {
			only, _ := readHTML(document, false)
			require.Equal(t, title, only, "the title is the same whoever asks")
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"code":"0","data":{"list":[{"id":1}]}}`, `[1,2.5,1e400,-0,12345678901234567890]`, `"\ud800"`, "null", `{"a":{"a":{"a":1}}}`, strings.Repeat("[", 20000), `{"code":1}{}`, "\ufeff {}", `{"` + fuzzSecret + `":"` + fuzzSecret + `"}`} {
		f.Add(s)
	}
	p := defined(f, `{steps: [{request: "http://127.0.0.1/", save: {a: "json.data.list[0].id", b: {json: "$..id"}, c: {json: "$.*[?@.id > 0]"}}}]}`)
	schema, err := compileSchema(map[string]any{"uniqueItems": true, "additionalProperties": map[string]any{"$ref": "#"}})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := p.open(says(nil), map[string]string{"K": fuzzSecret}, usualLane)
		require.NoError(t, err)
		v, err := s.decodeJSON(text)
		if err != nil {
			return
		}
		var res probes.Result
		follows(&res, schema, v)
		for _, from := range p.steps[0].save {
			if value, ok := from.find(s, &reply{}, page{json: v}); ok {
				require.NotContains(t, value, fuzzSecret)
			}
		}
		saidBy(v, "data.code")
		at(v, []string{"data", "list", "0"})
		_, err = json.Marshal(v)
		require.NoError(t, err)
	})
}

func FuzzElement(f *testing.F) {
	for _, s := range []string{"<input name=t value=1>", "<a href='x'>y</a>", "<table><a>", strings.Repeat("<b><p>", 300), "<template><a>", "<svg><a xlink:href=x>"} {
		f.Add(s)
	}
	sel, err := cascadia.ParseGroup(`input[name=t], a[href^="x"] > b, p:nth-child(2n+1) ~ a, div:has(a)`)
	require.NoError(f, err)
	f.Fuzz(func(_ *testing.T, document string) {
		element(document, sel, "")
		element(document, sel, "href")
	})
}

func FuzzInflate(f *testing.F) {
	for _, e := range []string{"gzip", "deflate", "raw", "br", "zstd"} {
		f.Add(deflated(f, e, []byte("hello hello hello")), e)
	}
	f.Add(deflated(f, "gzip", deflated(f, "br", []byte("hello"))), "br, gzip")
	f.Add(deflated(f, "gzip", make([]byte, 1<<16)), "gzip")
	f.Fuzz(func(t *testing.T, raw []byte, encoding string) {
		const limit = 1 << 14
		for _, cut := range []bool{false, true} {
			b, more, err := inflate(raw, []string{encoding}, limit, cut)
			if err == nil && len(b) > limit {
				// What is not compressed was bounded before.
				require.Equal(t, raw, b)
			}
			require.False(t, err != nil && more)
		}
	})
}

func FuzzLocation(f *testing.F) {
	for _, s := range []string{"/a", "//b.test/", "http://b.test:99999/", "?x", "#y", "http://[::1]", "https://xn--0zwm56d/", "http://政务.test/查?询=1", "weixin://x", "http://u:p@b.test/", "http://127.1/", "http://0x7f.1/", "http://a.test\x00/", "\\\\b.test", "http:/b", strings.Repeat("../", 1000)} {
		f.Add(s, 307)
		f.Add(s, 302)
	}
	p := defined(f, `{request: {url: "http://a.test/x/y", method: POST, body: b, headers: {Authorization: "${secret:K}", X: y}}}`)
	s, err := p.open(says(nil), map[string]string{"K": fuzzSecret}, usualLane)
	require.NoError(f, err)
	first, err := p.steps[0].plan.ask(s)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, location string, status int) {
		next, why := s.next(first, status, location)
		if why != "" {
			require.True(t, why.Known())
			return
		}
		require.Contains(t, []string{"http", "https"}, next.url.Scheme)
		require.NotEmpty(t, next.url.Hostname())
		require.True(t, next.led)
		again, err := url.Parse(next.address)
		require.NoError(t, err, "%q", next.address)
		require.Equal(t, next.url.Hostname(), again.Hostname())
		if origin(next.url) != "http://a.test" {
			require.Empty(t, next.get("Authorization"))
			require.Empty(t, next.body)
		}
		h := &hop{session: s, reply: &reply{of: p.steps[0]}, ask: next}
		head := string(h.write(t.Context(), nil, false))
		_, err = http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		require.NoError(t, err, "%q", head)
		require.Equal(t, 1, strings.Count(head, "\r\n\r\n"), "a redirect writes no head of its own: %q", head)
		if addr, err := netip.ParseAddr(next.url.Hostname()); err == nil {
			require.NotEmpty(t, regionOf(addr))
		}
	})
}

func FuzzCookies(f *testing.F) {
	for _, s := range []string{"a=b", "a=b; Path=/; Domain=test; Max-Age=-1", "a=\"b c\"; SameSite=x", "=", "a=b\x00c", "__Host-a=b; Secure", strings.Repeat("a", 5000) + "=b"} {
		f.Add(s)
	}
	p := defined(f, `{request: "http://a.test/"}`)
	f.Fuzz(func(t *testing.T, cookie string) {
		s, err := p.open(says(nil), nil, usualLane)
		require.NoError(t, err)
		a, err := p.steps[0].plan.ask(s)
		require.NoError(t, err)
		h := &hop{session: s, reply: &reply{of: p.steps[0]}, ask: a}
		h.took(t.Context(), &http.Response{StatusCode: 200, Header: http.Header{"Set-Cookie": {cookie, "z=" + cookie}}})
		head := string(h.write(t.Context(), nil, false))
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		require.NoError(t, err, "%q", head)
		require.Len(t, req.Header["Accept"], 1)
		require.Equal(t, 1, strings.Count(head, "\r\n\r\n"))
	})
}
