package wsprobe_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/probetest"
	"github.com/gengfu/gengfu/probes/wsprobe"
)

const patience = 30 * time.Second

// chat greets, answers ping with pong, echoes everything else and closes with
// the code it is told.
func chat(w http.ResponseWriter, req *http.Request) {
	if req.Header.Get("Origin") == "https://evil.test" {
		http.Error(w, "not you", http.StatusForbidden)
		return
	}
	w.Header().Set("X-Seen", req.Header.Get("X-Token")+" "+req.Header.Get("Origin"))
	ws, err := websocket.Accept(w, req, &websocket.AcceptOptions{Subprotocols: []string{"chat.v2"}, InsecureSkipVerify: true})
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ctx := req.Context()
	_ = ws.Write(ctx, websocket.MessageText, []byte(`{"type":"hello","n":1}`))
	for {
		kind, data, err := ws.Read(ctx)
		if err != nil {
			return
		}
		switch text := string(data); {
		case text == "ping":
			_ = ws.Write(ctx, kind, []byte("noise"))
			_ = ws.Write(ctx, kind, []byte("pong"))
		case text == "bye":
			_ = ws.Close(websocket.StatusPolicyViolation, "enough")
			return
		case text == "mute":
		case text == "long":
			_ = ws.Write(ctx, kind, make([]byte, 100_000))
		case text == "chatter":
			for ws.Write(ctx, kind, []byte("x")) == nil {
			}
			return
		default:
			_ = ws.Write(ctx, kind, data)
		}
	}
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return "ws" + strings.TrimPrefix(s.URL, "http")
}

// raw takes the handshake and hands the connection to talk.
func raw(t *testing.T, talk func(net.Conn, *bufio.Reader)) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, req *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		sum := sha1.Sum([]byte(req.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			base64.StdEncoding.EncodeToString(sum[:]))
		talk(conn, rw.Reader)
	})
}

func run(t *testing.T, env probes.Env, timeout time.Duration, source string) probes.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	r, err := probetest.Decode(t, wsprobe.Kind, source).Probe(ctx, env)
	require.NoError(t, err)
	probetest.Readable(t, r)
	return r
}

func TestDialogue(t *testing.T) {
	env, rec := probetest.Env(t, map[string]netip.Addr{"ws.test": probetest.Loopback}, map[string]string{"TOKEN": `se"cret-42`})
	env.Traceparent = func(context.Context) string { return "00-1-2-01" }
	address := serve(t, chat)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(address, "ws://"))
	r := run(t, env, patience, `
url: ws://ws.test:`+port+`/socket?k=${secret:TOKEN}
ip: 4
headers: {X-Token: "${secret:TOKEN}"}
origin: https://www.example.test
protocols: [chat.v1, chat.v2]
dialogue:
- until: {json: {type: hello, n: 1}}
- send: ping
  until: pong
- send: {json: {token: "${secret:TOKEN}"}}
  until: {json: {token: 'se"cret-42'}}
- send: {hex: "00 ff 10"}
  until: {hex: "ff10"}
- send: {json: {code: 0, list: [1, 2.5]}}
  until: {json: {list: [1, 2.5]}}
close_code: 1000
expect:
- status == 101
- protocol == 'chat.v2'
- header('X-Seen') contains 'https://www.example.test'
- json.code == 0
- messages == 6
- close_code == 1000
- upgrade < 1h
- dns > 0ns
`)
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)
	require.Equal(t, 7, r.Steps)
	require.Equal(t, 7, r.Passed)
	require.Equal(t, 101, r.Status)
	require.Equal(t, "ws://ws.test:"+port+"/socket?k=${secret:TOKEN}", r.URL)
	require.NotContains(t, rec.Text()+fmt.Sprint(r), `cret-42`)
	require.Equal(t, r.Timings.Total, r.Timings.DNS+r.Timings.Connect+r.Timings.Request+r.Timings.FirstByte)
	require.Equal(t, []string{"connect", "connect/dns", "connect/connect", "connect/request", "connect/first_byte", "exchange 1", "exchange 1/first_byte"}, rec.Names()[:7])
	require.Equal(t, "close", rec.Names()[len(rec.Names())-1])
}

func TestFailures(t *testing.T) {
	for _, tt := range []struct {
		name, rest string
		class      probes.Class
		phrase     probes.Phrase
		want, got  string
	}{
		{"turned away", "origin: https://evil.test", probes.ClassStatus, probes.PhraseStatus, "101", "403 Forbidden"},
		{"another status than expected", "{url: U, origin: 'https://evil.test', expect: ['status == 101']}", probes.ClassStatus, probes.PhraseCheck, "status == 101", "status = 403"},
		{"no subprotocol", "protocols: [other]", probes.ClassContent, probes.PhraseProtocol, "other", "-"},
		{"other messages", "dialogue: [{send: ping, until: never, within: 300ms}]", probes.ClassContent, probes.PhraseNotFound, "never", "pong"},
		{"silence", "dialogue: [{until: hello}, {send: mute, until: pong, within: 300ms}]", probes.ClassTimeout, probes.PhraseReplyTimeout, "", ""},
		{"closed early", "dialogue: [{send: bye, until: pong}]", probes.ClassReset, probes.PhraseSocketClosed, "", "1008 enough"},
		{"closed with another code", "dialogue: [{send: bye, until: {close: 1000}}]", probes.ClassContent, probes.PhraseSocketCode, "1000", "1008 enough"},
		{"closed by us with another code", "close_code: 1001", probes.ClassContent, probes.PhraseSocketCode, "1001", "1000"},
		{"a long message", "max_message: 50000\ndialogue: [{send: long, until: x}]", probes.ClassContent, probes.PhraseMessageLong, "", "50000"},
		{"chatter over a long time", "dialogue: [{send: chatter, until: never, within: 25s}]\nexpect: ['messages <= 1001']", probes.ClassContent, probes.PhraseNotFound, "never", "x"},
		{"chatter", "dialogue: [{send: chatter, until: never}]", probes.ClassContent, probes.PhraseNotFound, "never", "x"},
		{"a slow handshake", "expect: ['upgrade < 1ns']", probes.ClassLatency, probes.PhraseCheck, "upgrade < 1ns", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env, _ := probetest.Env(t, nil, nil)
			address := serve(t, chat)
			source := "url: " + address + "\n" + tt.rest
			if strings.HasPrefix(tt.rest, "{") {
				source = strings.Replace(tt.rest, "U,", "'"+address+"',", 1)
			}
			r := run(t, env, patience, source)
			require.Equal(t, probes.Down, r.Verdict, "%+v", r)
			require.Equal(t, tt.class, r.Class, "%+v", r.Findings)
			require.Len(t, r.Findings, 1)
			f := r.Findings[0]
			require.Equal(t, tt.phrase, f.Phrase)
			if tt.want == "" {
				tt.want = strings.TrimPrefix(address, "ws://")
			}
			require.Equal(t, tt.want, f.Want)
			if tt.got != "" {
				require.Equal(t, tt.got, f.Got)
			}
		})
	}
}

// TestLongMessage: one within the bound is read whole.
func TestLongMessage(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	r := run(t, env, patience, "url: "+serve(t, chat)+"\nmax_message: 200000\ndialogue: [{send: long, until: {hex: '000000'}}]\nexpect: ['bytes > 100000']")
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)
}

func TestFarewellThatWasWaitedFor(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	r := run(t, env, patience, "url: "+serve(t, chat)+"\ndialogue: [{send: bye, until: {close: 1008}}]\nexpect: ['close_code == 1008']")
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)
}

// TestStatusThatIsExpected: a socket that turns strangers away does what it should.
func TestStatusThatIsExpected(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	r := run(t, env, patience, "url: "+serve(t, chat)+"\norigin: https://evil.test\nexpect: ['status == 403']")
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)
}

func TestPeersThatBreakTheProtocol(t *testing.T) {
	hang := func(conn net.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) }
	frame := func(first byte, length uint64) []byte {
		return binary.BigEndian.AppendUint64([]byte{first, 127}, length)
	}
	for _, tt := range []struct {
		name   string
		talk   func(net.Conn, *bufio.Reader)
		class  probes.Class
		phrase probes.Phrase
	}{
		{"a giant frame", func(c net.Conn, br *bufio.Reader) {
			_, _ = c.Write(frame(0x81, 1<<40))
			chunk := make([]byte, 64<<10)
			for {
				if _, err := c.Write(chunk); err != nil {
					return
				}
			}
		}, probes.ClassContent, probes.PhraseMessageLong},
		{"a length that is none", func(c net.Conn, br *bufio.Reader) { _, _ = c.Write(frame(0x81, 1<<63)); hang(c, br) }, probes.ClassContent, probes.PhraseNotWebSocket},
		{"reserved bits", func(c net.Conn, br *bufio.Reader) { _, _ = c.Write([]byte{0xf1, 0}); hang(c, br) }, probes.ClassContent, probes.PhraseNotWebSocket},
		{"an unknown opcode", func(c net.Conn, br *bufio.Reader) { _, _ = c.Write([]byte{0x8b, 0}); hang(c, br) }, probes.ClassContent, probes.PhraseNotWebSocket},
		{"an end without a farewell", func(c net.Conn, _ *bufio.Reader) {}, probes.ClassReset, ""},
		{"a frame that is cut", func(c net.Conn, _ *bufio.Reader) { _, _ = c.Write([]byte{0x81, 100, 'a'}) }, probes.ClassReset, ""},
		{"a drip", func(c net.Conn, _ *bufio.Reader) {
			_, _ = c.Write(frame(0x81, 60_000))
			for {
				if _, err := c.Write([]byte{'a'}); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}, probes.ClassTimeout, probes.PhraseReplyTimeout},
		{"pings without end", func(c net.Conn, br *bufio.Reader) {
			done := make(chan struct{})
			go func() { // it ends with the connection, which the peer closes
				defer close(done)
				hang(c, br)
			}()
			for {
				if _, err := c.Write([]byte{0x89, 0}); err != nil {
					break
				}
			}
			c.Close()
			<-done
		}, probes.ClassTimeout, probes.PhraseReplyTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env, _ := probetest.Env(t, nil, nil)
			r := run(t, env, 2*time.Second, "url: "+raw(t, tt.talk)+"\ndialogue: [{until: hello}]")
			require.Equal(t, probes.Down, r.Verdict)
			require.Equal(t, tt.class, r.Class, "%+v", r.Findings)
			if tt.phrase != "" {
				require.Equal(t, tt.phrase, r.Findings[0].Phrase, "%+v", r.Findings)
			}
		})
	}
}

func TestHandshakesThatAreNone(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	wrongKey := serve(t, func(w http.ResponseWriter, req *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n")
	})
	r := run(t, env, patience, "url: "+wrongKey)
	require.Equal(t, probes.PhraseNotWebSocket, r.Findings[0].Phrase)
	require.Equal(t, probes.ClassContent, r.Class)

	redirect := serve(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, "http://127.0.0.1:1/", http.StatusFound)
	})
	r = run(t, env, patience, "url: "+redirect)
	require.Equal(t, probes.ClassStatus, r.Class)
	require.Equal(t, "302 Found", r.Findings[0].Got)

	bomb := serve(t, func(w http.ResponseWriter, req *http.Request) { w.Header().Set("X-Bomb", strings.Repeat("x", 1<<20)) })
	r = run(t, env, patience, "url: "+bomb)
	require.Equal(t, probes.PhraseNotWebSocket, r.Findings[0].Phrase)
}

// TestPeerThatDoesNotClose costs the run a moment and nothing else.
func TestPeerThatDoesNotClose(t *testing.T) {
	mute := raw(t, func(_ net.Conn, br *bufio.Reader) { _, _ = io.Copy(io.Discard, br) })
	env, _ := probetest.Env(t, nil, nil)
	r := run(t, env, patience, "url: "+mute)
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)
	r = run(t, env, 500*time.Millisecond, "{url: '"+mute+"', close_code: 1000}")
	require.Equal(t, probes.ClassTimeout, r.Class, "%+v", r)
	require.Equal(t, probes.PhraseSocketCode, r.Findings[0].Phrase)
}

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(chat))
	defer s.Close()
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	env, rec := probetest.Env(t, map[string]netip.Addr{"example.com": probetest.Loopback}, nil)
	source := "url: wss://example.com:" + port + "/\ndialogue: [{until: hello}]\nexpect: ['cert.days_left > 1']"
	r := run(t, env, patience, source)
	require.Equal(t, probes.ClassTLS, r.Class)
	env.Roots = x509.NewCertPool()
	env.Roots.AddCert(s.Certificate())
	r = run(t, env, patience, source)
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)
	require.Contains(t, rec.Names(), "connect/tls")
	r = run(t, env, patience, "{url: 'wss://example.com:"+port+"', sni: other.test}")
	require.Equal(t, probes.PhraseCertName, r.Findings[0].Phrase)
}

func TestMistakes(t *testing.T) {
	for source, want := range map[string]string{
		"url: ''":                                                              "url: want the address to open",
		"url: http://a.test":                                                   "url: want an address such as wss://",
		"url: wss://u:p@a.test":                                                "want no user in the address",
		"url: wss://":                                                          "url: want",
		"{url: 'ws://10.0.0.1', ip: 6}":                                        "want the family of 10.0.0.1",
		"{url: 'ws://a.test', sni: b.test}":                                    "sni: want",
		"{url: 'ws://a.test', more: 1}":                                        "more",
		"{url: 'ws://a.test', origin: a.test}":                                 "origin: want a page's origin",
		"{url: 'ws://a.test', protocols: ['a b']}":                             "protocols[0]: want a subprotocol",
		"{url: 'ws://a.test', headers: {Sec-WebSocket-Key: x}}":                "every handshake sets for itself",
		"{url: 'ws://a.test', headers: {'a b': x}}":                            "want a header's name",
		"{url: 'ws://a.test', headers: {A: \"x\\ny\"}}":                        "want a value on one line",
		"{url: 'ws://a.test', max_message: -1}":                                "max_message: want",
		"{url: 'ws://a.test', close_code: 1006}":                               "close_code: want a code",
		"{url: 'ws://a.test', dialogue: [{}]}":                                 "dialogue[0]: want send, until or both",
		"{url: 'ws://a.test', dialogue: [{send: {any: true}}]}":                "dialogue[0].send: want a text",
		"{url: 'ws://a.test', dialogue: [{until: {hex: x}}]}":                  "in hexadecimal",
		"{url: 'ws://a.test', dialogue: [{until: {regexp: '['}}]}":             "want a regular expression",
		"{url: 'ws://a.test', dialogue: [{until: {close: 1}}]}":                "want a code",
		"{url: 'ws://a.test', dialogue: [{until: {close: 1000}}, {until: x}]}": "want close in the last exchange",
		"{url: 'ws://a.test', dialogue: [{until: x, within: 10m}]}":            "dialogue[0].within: want at most",
		"{url: 'ws://a.test', expect: [\"text == ''\"]}":                       "want a dialogue with until",
		"{url: 'ws://a.test', expect: ['cert.days_left > 1']}":                 "want a wss:// address",
		"{url: 'ws://a.test', warn: ['statu == 101']}":                         "warn[0]: ",
	} {
		_, err := wsprobe.Kind.Decode(probetest.Settings(source))
		require.ErrorContains(t, err, want, source)
	}
}
