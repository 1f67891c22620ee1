package tlsprobe_test

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
)

// inline writes certificates as the key roots, among those of the agent.
func inline(list ...smEntity) string {
	var pems []string
	for _, e := range list {
		pems = append(pems, e.pem())
	}
	return roots(pems...)
}

func roots(pems ...string) string {
	out := "roots:\n  - system\n"
	for _, p := range pems {
		out += "  - |\n"
		for line := range strings.Lines(p) {
			out += "    " + line
		}
	}
	return out
}

func TestTLCPBesideTLS(t *testing.T) {
	root, smRoot := newRoot(t, "根证书"), newSMRoot(t, "国密根证书")
	ca := smRoot.intermediate(t, "国密中间证书")
	sign, crypt := ca.pair(t)
	crypt2 := ca.site(t, x509.KeyUsageKeyEncipherment, expiring(20))
	for _, suite := range []struct {
		id   uint16
		name string
	}{{0xe053, "ECC_SM4_GCM_SM3"}, {0xe013, "ECC_SM4_CBC_SM3"}, {0xe051, "ECDHE_SM4_GCM_SM3"}, {0xe011, "ECDHE_SM4_CBC_SM3"}} {
		t.Run(suite.name, func(t *testing.T) {
			s := (&smServer{version: 0x0101, suite: suite.id, config: sends(root.site(t).with()), chunk: 500, extensions: suite.id == 0xe053}).certificates(sign, crypt, ca)
			l := at(t, day, s.serve(t), inline(smRoot)+`tlcp: expected
expect:
  - tlcp.present and tlcp.dual and tlcp.trusted
  - tlcp.version == '0x0101'
  - tlcp.cipher == '`+suite.name+`'
  - tlcp.certs == 3
  - tlcp.days_left == 200
  - tlcp.issuer == 'CN=国密中间证书'
  - tlcp.names == ['www.rsj.test']
  - tls.version == '1.3'
  - chain.trusted
`, trusting(root.pool()))
			require.Equal(t, probes.Up, l.Verdict, "%v", l.says())
			require.Equal(t, []string{"handshake", "handshake/dns", "handshake/connect", "handshake/tls", "tlcp", "tlcp/connect", "tlcp/tls"}, l.rec.Names())
			attrs := l.span(t, "tlcp/tls").Attrs
			require.Equal(t, "tlcp", attrs["tls.protocol.name"])
			require.Equal(t, "0x0101", attrs["tls.protocol.version"])
			require.Equal(t, suite.name, attrs["tls.cipher"])
			require.Equal(t, "digitalSignature, contentCommitment", attrs["gengfu.tlcp.sign.usage"])
			require.Equal(t, "keyEncipherment, dataEncipherment, keyAgreement", attrs["gengfu.tlcp.encrypt.usage"])
			require.Equal(t, "SM2 256", attrs["gengfu.tlcp.sign.key"])
			require.Equal(t, host, l.span(t, "tlcp").Attrs["server.address"])
			require.Equal(t, []smHello{{0x0101, 0x0101, []uint16{0xe053, 0xe013, 0xe051, 0xe011}, host, true}}, s.greetings())
			require.LessOrEqual(t, l.Timings.DNS+l.Timings.Connect+l.Timings.TLS, l.Timings.Total)
			require.Less(t, l.Timings.Total, l.rec.Spans()[len(l.rec.Spans())-1].End.Sub(l.rec.Spans()[0].Start), "nobody waits for the second handshake")
		})
	}
	t.Run("the first to expire", func(t *testing.T) {
		s := (&smServer{version: 0x0101, suite: 0xe053, config: sends(root.site(t).with())}).certificates(sign, crypt2)
		l := at(t, day, s.serve(t), "warn: [tlcp.days_left > 30, tlcp.sign_days_left > 30, tlcp.encrypt_days_left > 10]", trusting(root.pool()))
		require.Equal(t, probes.Degraded, l.Verdict)
		require.Equal(t, []bool{false, true, true}, []bool{l.Checks[0].OK, l.Checks[1].OK, l.Checks[2].OK}, "%+v", l.Checks)
	})
}

func TestWhatIsWrongWithTLCP(t *testing.T) {
	root, smRoot, stranger := newRoot(t, "根证书"), newSMRoot(t, "国密根证书"), newSMRoot(t, "自建国密根")
	standard := sends(root.site(t).with())
	sign, crypt := smRoot.pair(t)
	late, lateCrypt := smRoot.pair(t, expiring(-1))
	early, earlyCrypt := smRoot.pair(t, func(c *x509.Certificate) { c.NotBefore = day.AddDate(0, 0, 2) })
	other, otherCrypt := smRoot.pair(t, names("a.rsj.test"))
	old, oldCrypt := smRoot.pair(t, noNames)
	strange, strangeCrypt := stranger.pair(t)
	for _, tt := range []struct {
		name    string
		wish    string
		certs   []smEntity
		verdict probes.Verdict
		says    []string
	}{
		{"expected", "expected", []smEntity{sign, crypt}, probes.Up, nil},
		{"any", "any", []smEntity{sign, crypt}, probes.Up, nil},
		{"absent wanted", "absent", []smEntity{sign, crypt}, probes.Down, []string{"www.rsj.test 支持国密协议 TLCP（ECC_SM4_GCM_SM3），与要求不符"}},
		{"signing certificate expired", "expected", []smEntity{late, crypt}, probes.Down, []string{"www.rsj.test 的国密签名证书已于 2026-11-24 13:00 过期"}},
		{"encryption certificate expired", "expected", []smEntity{sign, lateCrypt}, probes.Down, []string{"www.rsj.test 的国密加密证书已于 2026-11-24 13:00 过期"}},
		{"expired where it is only looked at", "any", []smEntity{late, lateCrypt}, probes.Degraded, []string{"www.rsj.test 的国密签名证书已于 2026-11-24 13:00 过期", "www.rsj.test 的国密加密证书已于 2026-11-24 13:00 过期"}},
		{"not yet valid", "expected", []smEntity{early, earlyCrypt}, probes.Down, []string{"www.rsj.test 的国密签名证书要到 2026-11-27 12:00 才生效", "www.rsj.test 的国密加密证书要到 2026-11-27 12:00 才生效"}},
		{"other names", "expected", []smEntity{other, otherCrypt}, probes.Down, []string{"www.rsj.test 的国密证书是发给别的名称的（a.rsj.test）"}},
		{"a common name alone will do", "expected", []smEntity{old, oldCrypt}, probes.Up, nil},
		{"one certificate", "expected", []smEntity{sign}, probes.Down, []string{"www.rsj.test 的国密证书不成对：应有签名、加密两张，只有「www.rsj.test」"}},
		{"one certificate and its issuer", "expected", []smEntity{sign, smRoot}, probes.Down, []string{"www.rsj.test 的国密证书不成对：应有签名、加密两张，只有「www.rsj.test」"}},
		{"the wrong way round", "expected", []smEntity{crypt, sign}, probes.Degraded, []string{
			"国密签名证书「www.rsj.test」不能用于签名（用途：keyEncipherment, dataEncipherment, keyAgreement）",
			"国密加密证书「www.rsj.test」不能用于加密（用途：digitalSignature, contentCommitment）",
		}},
		{"not trusted", "expected", []smEntity{strange, strangeCrypt, stranger}, probes.Down, []string{"www.rsj.test 的国密证书不受信任（自建国密根）"}},
		{"encryption certificate not trusted", "expected", []smEntity{sign, strangeCrypt}, probes.Down, []string{"www.rsj.test 的国密证书不受信任（国密根证书）"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := (&smServer{version: 0x0101, suite: 0xe053, config: standard}).certificates(tt.certs...)
			l := at(t, day, s.serve(t), inline(smRoot)+"tlcp: "+tt.wish, trusting(root.pool()))
			require.Equal(t, tt.says, l.says())
			require.Equal(t, tt.verdict, l.Verdict)
			for _, f := range l.Findings {
				require.Equal(t, "tlcp", f.Step)
				require.Equal(t, probes.ClassTLS, f.Class)
			}
		})
	}
	t.Run("without a root there is nothing to tell trust by", func(t *testing.T) {
		s := (&smServer{version: 0x0101, suite: 0xe053, config: standard}).certificates(strange, strangeCrypt)
		l := at(t, day, s.serve(t), "tlcp: expected\nwarn: [tlcp.trusted]", trusting(root.pool()))
		require.Equal(t, []probes.Phrase{probes.PhraseCheck}, l.phrases())
		require.Equal(t, "tlcp.trusted = nil", l.Checks[0].Saw)
	})
	t.Run("ignored", func(t *testing.T) {
		s := (&smServer{version: 0x0101, suite: 0xe053, config: standard}).certificates(other, otherCrypt)
		l := at(t, day, s.serve(t), "tlcp: expected\nignore: [name]", trusting(root.pool()))
		require.Equal(t, probes.Up, l.Verdict, "%v", l.says())
	})
	t.Run("junk for a certificate", func(t *testing.T) {
		s := &smServer{version: 0x0101, suite: 0xe053, config: standard, certs: [][]byte{[]byte("junk"), {0x30, 0}}}
		l := at(t, day, s.serve(t), "tlcp: expected\nexpect: [tlcp.present, tlcp.certs == 2]", trusting(root.pool()))
		require.Len(t, l.says(), 1)
		require.Regexp(t, "^www.rsj.test 的国密证书无法读取（.+）$", l.says()[0])
	})
}

// TestTLCPAlone looks at an endpoint that speaks nothing else.
func TestTLCPAlone(t *testing.T) {
	smRoot := newSMRoot(t, "国密根证书")
	sign, crypt := smRoot.pair(t)
	s := (&smServer{version: 0x0101, suite: 0xe053}).certificates(sign, crypt)
	port := s.serve(t)

	l := at(t, day, port, inline(smRoot)+"tlcp: only\nexpect: [tlcp.trusted, tlcp.days_left == 200, latency >= handshake, handshake > 0ns]")
	require.Equal(t, probes.Up, l.Verdict, "%v", l.says())
	require.Equal(t, []string{"tlcp", "tlcp/dns", "tlcp/connect", "tlcp/tls"}, l.rec.Names())
	require.Equal(t, day.AddDate(0, 0, 200), l.TLSUntil)
	require.Equal(t, map[string]float64{"tlcp_days_left": 200}, l.Measures)
	require.Positive(t, l.Timings.TLS)
	require.LessOrEqual(t, l.Timings.DNS+l.Timings.Connect+l.Timings.TLS, l.Timings.Total)

	for _, keys := range []string{"", "tlcp: any", "tlcp: expected", "tlcp: absent"} {
		l = at(t, day, port, keys)
		require.Equal(t, probes.Down, l.Verdict, keys)
		require.Equal(t, "www.rsj.test 只支持国密协议 TLCP（ECC_SM4_GCM_SM3），普通浏览器打不开", l.says()[0], keys)
		require.Equal(t, probes.ClassTLS, l.Class)
	}
}

func TestServersWithoutExtensions(t *testing.T) {
	smRoot := newSMRoot(t, "国密根证书")
	sign, crypt := smRoot.pair(t)
	s := (&smServer{version: 0x0101, suite: 0xe013, noName: true}).certificates(sign, crypt)
	l := at(t, day, s.serve(t), inline(smRoot)+"tlcp: only")
	require.Equal(t, probes.Up, l.Verdict, "%v", l.says())
	g := s.greetings()
	require.Len(t, g, 2)
	require.True(t, g[0].extended)
	require.False(t, g[1].extended)
}

// TestTLCPIsNotThere holds peers of all kinds against a definition that wants TLCP.
func TestTLCPIsNotThere(t *testing.T) {
	root := newRoot(t, "根证书")
	sign, crypt := newSMRoot(t, "国密根证书").pair(t)
	ok := func() *smServer { return (&smServer{version: 0x0101, suite: 0xe053}).certificates(sign, crypt) }
	whole := ok().flight()
	tlsVersion, otherSuite, none := ok(), ok(), ok()
	tlsVersion.version, otherSuite.suite, none.certs = 0x0303, 0xe019, nil
	many, huge := ok(), ok()
	for range 20 {
		many.certificates(sign)
	}
	huge.certs = [][]byte{make([]byte, 70_000)}
	empties := strings.Repeat("\x16\x01\x01\x00\x00", 100)
	record := func(body string) string {
		return "\x16\x01\x01" + string([]byte{byte(len(body) >> 8), byte(len(body))}) + body
	}
	for _, tt := range []struct {
		name, reply, says string
	}{
		{"an alert of TLS", "\x15\x03\x01\x00\x02\x02\x46", "alert: protocol version"},
		{"an alert of TLCP", "\x15\x01\x01\x00\x02\x02\x28", "alert: handshake failure"},
		{"an alert of its own", "\x15\x01\x01\x00\x02\x02\xc8", "alert 200"},
		{"a broken alert", "\x15\x01\x01\x00\x03\x02\x28\x00", "a broken alert"},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", "48 54 54 50 2F"},
		{"a handshake of TLS", "\x16\x03\x03\x00\x04\x02\x00\x00\x00", "version 0x0303"},
		{"nothing", "", "EOF"},
		{"half a head", "\x16\x01", "unexpected EOF"},
		{"half a record", string(whole[:300]), "unexpected EOF"},
		{"a record without end", "\x16\x01\x01\xff\xff", "a record of 65535 bytes"},
		{"a message without end", record("\x02\xff\xff\xff"), "a message of 16777215 bytes"},
		{"empty records", empties, "empty records without end"},
		{"another message first", record("\x0e\x00\x00\x00"), "message 14 in place of ServerHello"},
		{"another message second", string(whole[:5]) + string(whole[5:5+4+2+32+1+32+3]) + "\x0e\x00\x00\x00" + strings.Repeat("\x00", 100_000), "message 14 in place of Certificate"},
		{"an empty ServerHello", record("\x02\x00\x00\x00"), "a broken ServerHello"},
		{"a version inside that is not TLCP's", string(tlsVersion.flight()), "version 0x0303"},
		{"a suite that was not offered", string(otherSuite.flight()), "a suite that was not offered: RSA_SM4_CBC_SM3"},
		{"no certificate", string(none.flight()), "no certificate"},
		{"very many certificates", string(many.flight()), "more than 16 certificates"},
		{"a huge certificate", string(chunked(huge)), "a certificate of 70000 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := listen(t, func(c net.Conn) {
				head := make([]byte, 5)
				if _, err := io.ReadFull(c, head); err != nil {
					return
				}
				if head[1] == 3 {
					greetTLS(&replay{c, head}, sends(root.site(t).with()))
					return
				}
				_, _ = io.CopyN(io.Discard, c, int64(head[3])<<8|int64(head[4]))
				_, _ = io.WriteString(c, tt.reply)
			})
			l := at(t, day, port, "tlcp: expected\nexpect: [not tlcp.present]", trusting(root.pool()))
			require.Equal(t, []string{"www.rsj.test 不支持国密协议 TLCP（" + tt.says + "）"}, l.says())
			require.Equal(t, probes.Down, l.Verdict)
			require.Equal(t, probes.ClassTLS, l.Class)
			require.True(t, l.Checks[0].OK)
			require.Error(t, l.span(t, "tlcp/tls").Err)

			for _, keys := range []string{"tlcp: absent", "tlcp: any", ""} {
				l = at(t, day, port, keys, trusting(root.pool()))
				require.Equal(t, probes.Up, l.Verdict, "%v", l.says())
				if keys != "" {
					require.NoError(t, l.span(t, "tlcp/tls").Err, "an answer like any other")
					require.Equal(t, tt.says, l.span(t, "tlcp/tls").Attrs["gengfu.tlcp.answer"])
				}
			}
		})
	}
}

// chunked is a flight in records of the usual size.
func chunked(s *smServer) []byte {
	s.chunk = 16 << 10
	return s.flight()
}

func TestTLCPThatIsSlow(t *testing.T) {
	sign, crypt := newSMRoot(t, "国密根证书").pair(t)
	flight := (&smServer{version: 0x0101, suite: 0xe053}).certificates(sign, crypt).flight()
	for name, serve := range map[string]func(net.Conn){
		"silence": func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"drip": func(c net.Conn) {
			for _, b := range flight[:100] {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
		},
		"endless records": func(c net.Conn) {
			for {
				if _, err := c.Write(append([]byte{22, 1, 1, 0, 1}, 2)); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			l := within(ctx, t, day, listen(t, serve), "tlcp: only")
			require.Equal(t, probes.Down, l.Verdict)
			if name != "endless records" {
				require.Equal(t, probes.ClassTimeout, l.Class)
				require.Regexp(t, `加密握手超时`, l.says()[0])
			}
		})
	}
	t.Run("a flood", func(t *testing.T) {
		flood := append([]byte{22, 1, 1, 0x40, 0}, make([]byte, 0x4000)...)
		copy(flood[5:], []byte{2, 3, 0xff, 0xff})
		port := listen(t, func(c net.Conn) {
			for {
				if _, err := c.Write(flood); err != nil {
					return
				}
			}
		})
		l := at(t, day, port, "tlcp: only")
		require.Equal(t, []string{"www.rsj.test 不支持国密协议 TLCP（more than 262144 bytes）"}, l.says())
	})
}

// TestOneStepLeavesTimeForTheNext holds that what hangs on the way does not make
// TLCP look absent.
func TestOneStepLeavesTimeForTheNext(t *testing.T) {
	root, smRoot := newRoot(t, "根证书"), newSMRoot(t, "国密根证书")
	sign, crypt := smRoot.pair(t)
	lib := newLibrary(t)
	lib.page("/silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	site := root.intermediate(t, "中间证书").site(t, issuerAt(lib.url+"/silent", lib.url+"/silent"))
	s := (&smServer{version: 0x0101, suite: 0xe053, config: sends(site.with())}).certificates(sign, crypt)
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
	defer cancel()
	l := within(ctx, t, day, s.serve(t), "tlcp: expected\nscan: true\nignore: [untrusted]\nexpect: [tlcp.dual]", trusting(root.pool()))
	require.NoError(t, ctx.Err(), "the machine is too slow for this test")
	require.Equal(t, probes.Up, l.Verdict, "%v", l.says())
	require.Equal(t, probes.ClassTLS, l.span(t, "aia/aia").Class)
}

// TestSecondConnectionIsRefused holds that a look on the side fails nobody.
func TestSecondConnectionIsRefused(t *testing.T) {
	root := newRoot(t, "根证书")
	port := serveTLS(t, sends(root.site(t).with()))
	for wish, verdict := range map[string]probes.Verdict{"any": probes.Up, "absent": probes.Up, "expected": probes.Down} {
		dials := 0
		l := at(t, day, port, "tlcp: "+wish+"\nscan: false\nwarn: [not tlcp.present or tlcp.dual]", trusting(root.pool()), func(e *probes.Env) {
			dial := e.Dial
			e.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if dials++; dials > 1 {
					return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
				}
				return dial(ctx, network, addr)
			}
		})
		require.Equal(t, verdict, l.Verdict, "%s: %v", wish, l.says())
		if verdict == probes.Down {
			require.Equal(t, probes.ClassConnect, l.Class)
			require.Equal(t, "步骤「国密握手」：127.0.0.1:"+port+" 拒绝连接", l.says()[0])
		}
	}
}

// TestIndependentServer reads what a server by another hand answered: gmtls of
// github.com/tjfoc/gmsm v1.4.1, with certificates that it made itself.
func TestIndependentServer(t *testing.T) {
	recorded, err := os.ReadFile("testdata/gmtls-flight.bin")
	require.NoError(t, err)
	root, err := os.ReadFile("testdata/gmtls-root.pem")
	require.NoError(t, err)
	port := listen(t, func(c net.Conn) {
		head := make([]byte, 5)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		_, _ = io.CopyN(io.Discard, c, int64(head[3])<<8|int64(head[4]))
		_, _ = c.Write(recorded)
		_, _ = io.Copy(io.Discard, c)
	})
	l := at(t, day, port, "tlcp: only\n"+roots(string(root))+"expect: [tlcp.dual, tlcp.trusted, \"tlcp.cipher == 'ECC_SM4_CBC_SM3'\", tlcp.certs == 2]")
	require.Equal(t, probes.Up, l.Verdict, "%v", l.says())
}
