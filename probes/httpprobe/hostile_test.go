package httpprobe_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/gengfu/gengfu/probes"
)

// peer answers every connection with serve, which sees the request's head go by.
func peer(t *testing.T, serve func(conn net.Conn)) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		open  []net.Conn
	)
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			group.Go(func() {
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 64<<10))
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		group.Wait()
	})
	return "http://" + l.Addr().String()
}

// forever writes s until the other side has had enough.
func forever(head, s string) func(net.Conn) {
	return func(conn net.Conn) {
		s := strings.Repeat(s, 1+4096/len(s))
		if _, err := io.WriteString(conn, head); err != nil {
			return
		}
		for {
			if _, err := io.WriteString(conn, s); err != nil {
				return
			}
		}
	}
}

// drip writes s, and one byte now and then.
func drip(s string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = io.WriteString(conn, s)
		for {
			if _, err := io.WriteString(conn, "x"); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func once(s string) func(net.Conn) {
	return func(conn net.Conn) { _, _ = io.WriteString(conn, s) }
}

func TestHostilePeers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	const jsonHead = ok + "Content-Type: application/json\r\n\r\n"
	for _, tt := range []struct {
		name   string
		serve  func(net.Conn)
		rest   string
		within time.Duration
		class  probes.Class // empty for up
		phrase probes.Phrase
	}{
		{name: "status line without end", serve: forever("HTTP/1.1 200 ", "x"), class: probes.ClassContent, phrase: probes.PhraseHeadLong},
		{name: "first line of anything without end", serve: forever("", "x"), class: probes.ClassContent, phrase: probes.PhraseHeadLong},
		{name: "header without end", serve: forever(ok+"X: ", "x"), class: probes.ClassContent, phrase: probes.PhraseHeadLong},
		{name: "headers without end", serve: forever(ok, "X: y\r\n"), class: probes.ClassContent, phrase: probes.PhraseHeadLong},
		{name: "cookies without end", serve: forever(ok, "Set-Cookie: a=b\r\n"), class: probes.ClassContent, phrase: probes.PhraseHeadLong},
		{name: "folded header without end", serve: forever(ok+"X: y\r\n", " z\r\n"), class: probes.ClassContent, phrase: probes.PhraseHeadLong},
		{name: "interim replies without end", serve: forever("", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"), class: probes.ClassContent, phrase: probes.PhraseNotHTTP},
		{name: "blank lines without end", serve: forever("", "\r\n"), class: probes.ClassContent},
		{name: "dripping head", serve: drip(ok + "X: "), within: 700 * time.Millisecond, class: probes.ClassTimeout, phrase: probes.PhraseReplyTimeout},
		{name: "dripping body", serve: drip(ok + "\r\n"), within: 700 * time.Millisecond, class: probes.ClassTimeout, phrase: probes.PhraseBodyTimeout},
		{name: "dripping chunks", serve: drip(ok + "Transfer-Encoding: chunked\r\n\r\nfffffff\r\n"), within: 700 * time.Millisecond, class: probes.ClassTimeout, phrase: probes.PhraseBodyTimeout},
		{name: "body without end", serve: forever(ok+"\r\n", "body ")},
		{name: "chunks without end", serve: forever(ok+"Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n")},
		{name: "chunk extensions without end", serve: forever(ok+"Transfer-Encoding: chunked\r\n\r\n5;", "x=y;"), class: probes.ClassReset},
		{name: "trailers without end", serve: forever(ok+"Transfer-Encoding: chunked\r\n\r\n0\r\n", "X: y\r\n"), class: probes.ClassReset},
		{name: "two lengths", serve: once(ok + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), class: probes.ClassContent, phrase: probes.PhraseNotHTTP},
		{name: "the same length twice", serve: once(ok + "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd")},
		{name: "negative length", serve: once(ok + "Content-Length: -1\r\n\r\nabcd"), class: probes.ClassContent, phrase: probes.PhraseNotHTTP},
		{name: "length beyond all", serve: once(ok + "Content-Length: 99999999999999999999\r\n\r\nabcd"), class: probes.ClassContent, phrase: probes.PhraseNotHTTP},
		{name: "huge length", serve: once(ok + "Content-Length: 9223372036854775807\r\n\r\nabcd"), class: probes.ClassReset, phrase: probes.PhraseCut},
		{name: "length too great by one", serve: once(ok + "Content-Length: 5\r\n\r\nabcd"), class: probes.ClassReset, phrase: probes.PhraseCut},
		{name: "length too small", serve: once(ok + "Content-Length: 2\r\n\r\nabcd")},
		{name: "length and chunks", serve: once(ok + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n")},
		{name: "unknown transfer encoding", serve: once(ok + "Transfer-Encoding: gzip\r\n\r\nabcd"), class: probes.ClassContent, phrase: probes.PhraseNotHTTP},
		{name: "chunk of no size", serve: once(ok + "Transfer-Encoding: chunked\r\n\r\n\r\nabcd"), class: probes.ClassReset},
		{name: "chunk of a size beyond all", serve: once(ok + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabcd"), class: probes.ClassReset},
		{name: "chunk longer than it says", serve: once(ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n"), class: probes.ClassReset},
		{name: "zero bytes in a header", serve: once(ok + "X: a\x00b\r\n\r\nabcd"), class: probes.ClassContent, phrase: probes.PhraseNotHTTP},
		{name: "zero bytes in the body", serve: once(ok + "Content-Type: text/html\r\n\r\n<title>a\x00b</title>\x00\x00x")},
		{name: "status beyond all", serve: once("HTTP/1.1 99999 x\r\n\r\n"), class: probes.ClassContent, phrase: probes.PhraseNotHTTP},
		{name: "version beyond all", serve: once("HTTP/9.9 200 OK\r\n\r\n"), class: ""},
		{name: "header without a name", serve: once(ok + ": x\r\n\r\n"), class: probes.ClassContent, phrase: probes.PhraseNotHTTP},
		{name: "only line feeds", serve: once("HTTP/1.1 200 OK\nContent-Length: 4\n\nabcd")},
		{name: "switched protocols", serve: once("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nabcd")},
		{name: "mixed charsets", serve: once(ok + "Content-Type: text/html; charset=utf-8\r\n\r\n公共服务" + gbk("社会保险个人权益记录查询") + "平台"), class: probes.ClassEncoding},
		{name: "a charset that nobody knows", serve: once(ok + "Content-Type: text/html; charset=\"x\\\x01\"\r\n\r\n公共服务平台"), class: probes.ClassContent, phrase: probes.PhraseNotHTTP},
		{name: "long JSON", serve: once(jsonHead + `{"code":"0","list":[` + strings.Repeat(`{"id":1,"name":"社会保险"},`, 300_000) + `{"id":2}]}`), rest: "max_body: 16000000\nbusiness: {}\nexpect: [\"json.list[300000].id == 2\"]\nschema: {properties: {list: {items: {required: [id]}}}}"},
		{name: "JSON beyond the bound", serve: once(jsonHead + `{"code":"0","list":[` + strings.Repeat(`{"id":1},`, 300_000) + `{}]}`), rest: "business: {}", class: probes.ClassContent, phrase: probes.PhraseJSONLong},
		{name: "deep JSON", serve: once(jsonHead + strings.Repeat("[", 9000) + strings.Repeat("]", 9000)), rest: "expect: [\"json.code == '0'\"]\nschema: {items: {$ref: '#'}, type: array}", class: probes.ClassBusinessCode},
		{name: "deeper JSON", serve: once(jsonHead + strings.Repeat(`{"a":`, 300_000)), rest: "business: {}", class: probes.ClassContent, phrase: probes.PhraseJSONBroken},
		{name: "deep HTML", serve: once(ok + "Content-Type: text/html\r\n\r\n" + strings.Repeat("<div><b>", 100_000) + "x")},
		{name: "attributes without end", serve: once(ok + "Content-Type: text/html\r\n\r\n<p " + strings.Repeat("a=b ", 400_000))},
		{name: "redirect with an address without end", serve: once("HTTP/1.1 302 Found\r\nLocation: /" + strings.Repeat("a", 30_000) + "\r\n\r\n"), class: probes.ClassRedirect, phrase: probes.PhraseRedirectLoop},
		{name: "redirect and a body without end", serve: forever("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", "body "), class: probes.ClassRedirect, phrase: probes.PhraseRedirectLoop},
		{name: "redirect with control characters", serve: once("HTTP/1.1 302 Found\r\nLocation: http://a.test/\x7f\x01\r\n\r\n"), class: probes.ClassContent, phrase: probes.PhraseNotHTTP},
		{name: "many cookies and redirects", serve: once("HTTP/1.1 302 Found\r\nLocation: /x\r\n" + strings.Repeat("Set-Cookie: a=b\r\n", 10_000) + "\r\n"), class: probes.ClassRedirect, phrase: probes.PhraseRedirectLoop},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var options []option
			if tt.within > 0 {
				options = append(options, within(t, tt.within))
			}
			start := time.Now()
			r, rec := probe(t, "request: "+peer(t, tt.serve)+"/\n"+tt.rest, options...)
			require.Less(t, time.Since(start), 25*time.Second, "it is an end of our own making")
			require.Equal(t, tt.class, r.Class, "%+v", r.Findings)
			if tt.class == "" {
				require.Equal(t, probes.Up, r.Verdict)
				return
			}
			require.Equal(t, probes.Down, r.Verdict)
			if tt.phrase != "" {
				require.Equal(t, tt.phrase, r.Findings[0].Phrase, "%+v", r.Findings)
			}
			require.NotEmpty(t, rec.Spans())
		})
	}
}

// A flow's values come from replies that are hostile, too.
func TestHostileValues(t *testing.T) {
	for name, body := range map[string]string{
		"deep":   strings.Repeat("<div>", 200_000) + "<input name=t value=1>",
		"wide":   strings.Repeat("<p>x</p>", 200_000) + "<input name=t value=1>",
		"broken": "<input name=t value='" + strings.Repeat("1", 2_000_000),
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, send(200, utf8HTML, body))
			r, _ := probe(t, fmt.Sprintf("steps: [{request: %[1]q, save: {v: {css: 'input[name=t]'}}}, {request: '%[1]s/?v=${v}'}]", url))
			require.Equal(t, probes.PhraseNotFound, r.Findings[0].Phrase, "%+v", r.Findings)
		})
	}
}

// frames speaks HTTP/2 by hand over TLS.
func frames(t *testing.T, serve func(f *http2.Framer, encode func(pairs ...string) []byte)) (string, option) {
	t.Helper()
	ca := newAuthority(t)
	cert := ca.issue(t, host, time.Now().Add(20*time.Hour))
	url := peerTLS(t, cert, func(conn net.Conn) {
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		f := http2.NewFramer(conn, conn)
		_ = f.WriteSettings()
		var b strings.Builder
		encoder := hpack.NewEncoder(&b)
		encode := func(pairs ...string) []byte {
			b.Reset()
			for i := 0; i < len(pairs); i += 2 {
				_ = encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
			}
			return []byte(b.String())
		}
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			if _, ok := frame.(*http2.HeadersFrame); ok {
				break
			}
		}
		go func() { _, _ = io.Copy(io.Discard, conn) }() // ends with the connection
		serve(f, encode)
	})
	return url, trusting(ca.pool())
}

func peerTLS(t *testing.T, cert tls.Certificate, serve func(net.Conn)) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
	require.NoError(t, err)
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		group.Wait()
	})
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return "https://" + host + ":" + port
}

func TestHostileHTTP2(t *testing.T) {
	const id = 1
	for _, tt := range []struct {
		name   string
		serve  func(f *http2.Framer, encode func(...string) []byte)
		within time.Duration
		class  probes.Class
	}{
		{"headers without end", func(f *http2.Framer, encode func(...string) []byte) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: encode(":status", "200")})
			for f.WriteContinuation(id, false, encode("x", strings.Repeat("y", 8000))) == nil {
			}
		}, 0, probes.ClassReset},
		{"body without end", func(f *http2.Framer, encode func(...string) []byte) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: encode(":status", "200"), EndHeaders: true})
			for f.WriteData(id, false, make([]byte, 16000)) == nil {
			}
		}, 0, ""},
		{"a stream that is reset", func(f *http2.Framer, encode func(...string) []byte) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: encode(":status", "200"), EndHeaders: true})
			_ = f.WriteRSTStream(id, http2.ErrCodeInternal)
		}, 0, probes.ClassReset},
		{"an end before the reply", func(f *http2.Framer, _ func(...string) []byte) {
			_ = f.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte("go away"))
		}, 0, probes.ClassReset},
		{"pings and no reply", func(f *http2.Framer, _ func(...string) []byte) {
			for f.WritePing(false, [8]byte{}) == nil {
				time.Sleep(time.Millisecond)
			}
		}, 700 * time.Millisecond, probes.ClassTimeout},
		{"no status", func(f *http2.Framer, encode func(...string) []byte) {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: encode("x", "y"), EndHeaders: true, EndStream: true})
		}, 0, probes.ClassReset},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url, trust := frames(t, tt.serve)
			options := []option{trust}
			if tt.within > 0 {
				options = append(options, within(t, tt.within))
			}
			start := time.Now()
			r, _ := probe(t, "request: "+url, options...)
			require.Less(t, time.Since(start), 25*time.Second)
			require.Equal(t, tt.class, r.Class, "%+v", r.Findings)
			require.Equal(t, tt.class == "", r.Verdict == probes.Up)
		})
	}
}
