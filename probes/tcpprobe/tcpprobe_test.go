package tcpprobe_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/probetest"
	"github.com/gengfu/gengfu/probes/tcpprobe"
)

// serve answers every connection with talk until the test ends.
func serve(t *testing.T, config *tls.Config, talk func(net.Conn)) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
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
			if config != nil {
				conn = tls.Server(conn, config)
			}
			group.Go(func() {
				defer conn.Close()
				talk(conn)
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
	return l.Addr().String()
}

// says writes and then waits for the peer to go.
func says(texts ...string) func(net.Conn) {
	return func(conn net.Conn) {
		for _, text := range texts {
			_, _ = io.WriteString(conn, text)
		}
		_, _ = io.Copy(io.Discard, conn)
	}
}

// mail is a very small mail server.
func mail(conn net.Conn) {
	fmt.Fprint(conn, "220 mail.example.test ready\r\n")
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "EHLO "):
			// In two pieces, as networks do.
			fmt.Fprint(conn, "250-mail.exa")
			fmt.Fprint(conn, "mple.test\r\n250 SIZE 1000\r\n")
		case line == "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		default:
			fmt.Fprintf(conn, "500 what is %s\r\n", line)
		}
	}
}

func run(t *testing.T, env probes.Env, timeout time.Duration, source string) probes.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	r, err := probetest.Decode(t, tcpprobe.Kind, source).Probe(ctx, env)
	require.NoError(t, err)
	probetest.Readable(t, r)
	return r
}

const patience = 30 * time.Second

func TestDialogue(t *testing.T) {
	env, rec := probetest.Env(t, map[string]netip.Addr{"mail.test": probetest.Loopback}, nil)
	_, port, err := net.SplitHostPort(serve(t, nil, mail))
	require.NoError(t, err)
	r := run(t, env, patience, `
target: mail.test:`+port+`
ip: 4
dialogue:
- until: "220 "
- send: "EHLO probe\r\n"
  until: {regexp: '(?m)^250 SIZE \d+\r$'}
- send: {hex: "51 55 49 54 0d0a"}
  until: {hex: "323231"}
expect:
- banner startsWith '220 mail.example.test'
- text startsWith '221 bye'
- hex startsWith '323231'
- bytes > 40
- ip == '127.0.0.1'
- latency < 1h
- dns > 0ns
`)
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)
	require.Equal(t, 4, r.Steps)
	require.Equal(t, 4, r.Passed)
	require.Equal(t, "127.0.0.1", r.IP)
	sum := r.Timings.DNS + r.Timings.Connect + r.Timings.TLS + r.Timings.Request + r.Timings.FirstByte + r.Timings.Body
	require.Equal(t, r.Timings.Total, sum)
	require.Positive(t, r.Timings.FirstByte)
	require.Equal(t, []string{
		"connect", "connect/dns", "connect/connect",
		"exchange 1", "exchange 1/first_byte", "exchange 1/body",
		"exchange 2", "exchange 2/request", "exchange 2/first_byte", "exchange 2/body",
		"exchange 3", "exchange 3/request", "exchange 3/first_byte", "exchange 3/body",
	}, rec.Names())
	require.Equal(t, "mail.test", rec.Spans()[0].Attrs["server.address"])
}

func TestConnectionAlone(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	r := run(t, env, patience, "target: "+serve(t, nil, says()))
	require.Equal(t, probes.Up, r.Verdict)
	require.Equal(t, 1, r.Passed)
}

func TestBannerIsReadWhenItIsSpokenOf(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	r := run(t, env, patience, "target: "+serve(t, nil, says("SSH-2.0-", "Test\r\n"))+"\nexpect: [\"banner contains 'SSH-2.0-Test'\"]\nwarn: [\"text contains 'new'\"]")
	require.Equal(t, probes.Degraded, r.Verdict, "%+v", r)
	require.Equal(t, probes.ClassContent, r.Class)
	// What was waited to be sure of the banner's end is nobody's latency.
	require.Less(t, r.Timings.Body, 10*time.Second)
}

func TestFailures(t *testing.T) {
	for _, tt := range []struct {
		name   string
		talk   func(net.Conn)
		rest   string
		class  probes.Class
		phrase probes.Phrase
		want   string
		got    string
	}{
		{"other words", says("554 go away\r\n"), "- until: '220'\n  within: 200ms", probes.ClassContent, probes.PhraseNotFound, "220", "554 go away"},
		{"other words and an end", func(c net.Conn) { fmt.Fprint(c, "554 go away\r\n") }, "- until: '220'", probes.ClassContent, probes.PhraseNotFound, "220", "554 go away"},
		{"other bytes", says("\x00\x01\xff"), "- until: {hex: '0a0b'}\n  within: 200ms", probes.ClassContent, probes.PhraseNotFound, "0a0b", "0x0001ff"},
		{"silence", says(), "- until: '220'\n  within: 200ms", probes.ClassTimeout, probes.PhraseReplyTimeout, "", ""},
		{"anything, and nothing comes", says(), "- until: {any: true}\n  within: 200ms", probes.ClassTimeout, probes.PhraseReplyTimeout, "", ""},
		{"an end", func(net.Conn) {}, "- until: '220'", probes.ClassReset, probes.PhraseClosed, "", ""},
		{"a reset after a part", func(c net.Conn) {
			fmt.Fprint(c, "22")
			_, _ = c.Read(make([]byte, 1)) // the part has arrived by then
			_ = c.(*net.TCPConn).SetLinger(0)
		}, "- until: '22'\n- send: x\n  until: never", probes.ClassReset, probes.PhraseReset, "", ""},
		{"an endless banner", func(c net.Conn) {
			for {
				if _, err := c.Write(bytes.Repeat([]byte("A"), 64<<10)); err != nil {
					return
				}
			}
		}, "- until: '220'\nmax_read: 100000", probes.ClassContent, probes.PhraseReplyLong, "220", "100000"},
		{"a drip", func(c net.Conn) {
			for {
				if _, err := c.Write([]byte("a\n")); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}, "- until: {regexp: '(?m)^b+$'}\n  within: 400ms", probes.ClassContent, probes.PhraseNotFound, "(?m)^b+$", "a a a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env, rec := probetest.Env(t, nil, nil)
			addr := serve(t, nil, tt.talk)
			r := run(t, env, patience, "target: "+addr+"\ndialogue:\n"+tt.rest)
			require.Equal(t, probes.Down, r.Verdict)
			require.Len(t, r.Findings, 1)
			f := r.Findings[0]
			require.Equal(t, tt.class, r.Class, "%+v", f)
			require.Equal(t, tt.phrase, f.Phrase, "%+v", f)
			if tt.want == "" {
				tt.want = addr
			}
			require.Equal(t, tt.want, f.Want)
			require.True(t, strings.HasPrefix(f.Got, tt.got), "%+v", f)
			require.LessOrEqual(t, r.Measures["bytes"], 100000.0)
			last := rec.Spans()[len(rec.Spans())-1]
			require.Equal(t, tt.class, last.Class, "the span that failed says so: %+v", last)
		})
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	config := s.TLS.Clone()
	config.NextProtos = nil
	_, port, err := net.SplitHostPort(serve(t, config, mail))
	require.NoError(t, err)
	env, rec := probetest.Env(t, map[string]netip.Addr{"mail.test": probetest.Loopback}, nil)
	source := "target: mail.test:" + port + "\ntls: {sni: example.com}\ndialogue: [{until: '220 '}]\nexpect: ['cert.days_left > 1', 'tls > 0ns']"

	r := run(t, env, patience, source)
	require.Equal(t, probes.ClassTLS, r.Class)
	require.Equal(t, probes.PhraseCertChain, r.Findings[0].Phrase)
	require.False(t, r.TLSUntil.IsZero(), "an untrusted certificate is known all the same")

	env.Roots = x509.NewCertPool()
	env.Roots.AddCert(s.Certificate())
	r = run(t, env, patience, source)
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)
	require.Contains(t, rec.Names(), "connect/tls")

	r = run(t, env, patience, "target: mail.test:"+port+"\ntls: true")
	require.Equal(t, probes.PhraseCertName, r.Findings[0].Phrase)

	r = run(t, env, patience, "target: "+serve(t, nil, says("220 plain\r\n"))+"\ntls: true")
	require.Equal(t, probes.PhraseNotTLS, r.Findings[0].Phrase)

	// A peer that accepts and says nothing.
	r = run(t, env, 300*time.Millisecond, "target: "+serve(t, nil, says())+"\ntls: true")
	require.Equal(t, probes.ClassTimeout, r.Class)
	require.Equal(t, probes.PhraseTLSTimeout, r.Findings[0].Phrase)
}

// TestPeerThatDoesNotRead fills the peer's window: the run ends in time all the same.
func TestPeerThatDoesNotRead(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	stop := make(chan struct{})
	addr := serve(t, nil, func(net.Conn) { <-stop })
	t.Cleanup(func() { close(stop) }) // before the server waits
	var b strings.Builder
	fmt.Fprintf(&b, "target: %s\ndialogue:\n", addr)
	for range 19 {
		fmt.Fprintf(&b, "- send: %q\n", strings.Repeat("x", 64<<10))
	}
	b.WriteString("- until: ok\n")
	r := run(t, env, time.Second, b.String())
	require.Equal(t, probes.ClassTimeout, r.Class, "%+v", r)
}

// TestSecretsAreNeverCut: a peer echoes a secret where texts are shortened, and
// not even half of it is left.
func TestSecretsAreNeverCut(t *testing.T) {
	const secret = "zq7-XK!9-WJ4"
	echo := func(conn net.Conn) { _, _ = io.Copy(conn, conn) }
	for _, before := range []int{90, 105, 112, 116, 285, 292, 296} {
		for _, zero := range []string{"", "\\0"} { // as text, and in hexadecimal
			env, rec := probetest.Env(t, nil, map[string]string{"KEY": secret})
			r := run(t, env, patience, fmt.Sprintf("target: %s\ndialogue: [{send: \"%s%s${secret:KEY} end\", until: never, within: 200ms}]\nexpect: [\"text == 'x'\", \"hex == 'x'\"]",
				serve(t, nil, echo), zero, strings.Repeat("a", before)))
			require.Equal(t, probes.PhraseNotFound, r.Findings[0].Phrase)
			require.NotEmpty(t, r.Checks)
			all := fmt.Sprintf("%+v", r) + rec.Text()
			for _, e := range r.Evidence {
				all += string(e.Data)
			}
			require.NotContains(t, all, secret[:4])
			require.NotContains(t, all, hex.EncodeToString([]byte(secret[:4])))
		}
	}
}

func TestFamilies(t *testing.T) {
	addr := serve(t, nil, says())
	_, port, _ := net.SplitHostPort(addr)
	env, _ := probetest.Env(t, map[string]netip.Addr{"four.test": probetest.Loopback}, nil)
	r := run(t, env, patience, "ip: 6\ntarget: four.test:"+port)
	require.Equal(t, probes.ClassDNS, r.Class)
	require.Equal(t, probes.PhraseNoAddress, r.Findings[0].Phrase)
	require.Equal(t, "IPv6", r.Findings[0].Got)
}

func TestMistakes(t *testing.T) {
	for source, want := range map[string]string{
		"target: ''":                                                             "target: want where to connect to",
		"target: a.test":                                                         "no port",
		"target: a.test:0":                                                       "want a port of 1 to 65535",
		"target: 'a b:80'":                                                       "want a host such as",
		"{target: '10.0.0.1:80', ip: 6}":                                         "want the family of 10.0.0.1",
		"{target: 'a.test:80', ip: 5}":                                           "want 4 or 6",
		"{target: 'a.test:80', more: 1}":                                         "more",
		"{target: 'a.test:80', tls: {name: x}}":                                  "name",
		"{target: 'a.test:80', tls: {sni: 'a b'}}":                               "tls.sni: want a host's name",
		"{target: 'a.test:80', max_read: -1}":                                    "max_read",
		"{target: 'a.test:80', max_read: 99999999}":                              "max_read: want 1 to 1048576",
		"{target: 'a.test:80', dialogue: [{}]}":                                  "dialogue[0]: want send, until or both",
		"{target: 'a.test:80', dialogue: [{send: {regexp: x}}]}":                 "dialogue[0].send: want a text",
		"{target: 'a.test:80', dialogue: [{send: {hex: xyz}}]}":                  "in hexadecimal",
		"{target: 'a.test:80', dialogue: [{until: {hex: '0a', text: x}}]}":       "got 2 of them",
		"{target: 'a.test:80', dialogue: [{until: {regexp: '['}}]}":              "want a regular expression",
		"{target: 'a.test:80', dialogue: [{until: {regexp: 'a*'}}]}":             "match nothing at all",
		"{target: 'a.test:80', dialogue: [{until: '${secret:A}'}]}":              "without secrets",
		"{target: 'a.test:80', dialogue: [{until: x, within: 10m}]}":             "dialogue[0].within: want at most",
		"{target: 'a.test:80', dialogue: [{send: x}], expect: [\"text == ''\"]}": "want an entry with until",
		"{target: 'a.test:80', expect: ['cert.days_left > 1']}":                  "want tls: true",
		"{target: 'a.test:80', expect: ['status == 200']}":                       "expect[0]: column 1: unknown field \"status\"",
		"{target: 'a.test:80', warn: ['latency < 2']}":                           "warn[0]: ",
	} {
		_, err := tcpprobe.Kind.Decode(probetest.Settings(source))
		require.ErrorContains(t, err, want, source)
	}
}

func TestTargets(t *testing.T) {
	for _, good := range []string{"a.test:80", "https://www.a.test/path", "http://a.test:8000", "'[::1]:80'", "中文.test:1", "a_b.test:9"} {
		_, err := tcpprobe.Kind.Decode(probetest.Settings("target: " + good))
		require.NoError(t, err, good)
	}
}
