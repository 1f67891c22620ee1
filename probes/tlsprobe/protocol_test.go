package tlsprobe_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/probetest"
)

// between is a server of these versions, with these suites up to 1.2.
func between(cert tls.Certificate, low, high uint16, suites ...uint16) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: low, MaxVersion: high, CipherSuites: suites}
}

func TestVersionsAndSuites(t *testing.T) {
	root := newRoot(t, "根证书")
	ec, rsa := root.site(t).with(), root.siteOf(t, rsaKey(t, 2048)).with()
	const (
		modern = tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
		plain  = tls.TLS_RSA_WITH_AES_128_GCM_SHA256 // no forward secrecy
		des    = tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA
		cbc    = tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA
	)
	for _, tt := range []struct {
		name    string
		config  *tls.Config
		keys    string
		verdict probes.Verdict
		says    []string
	}{
		{"today's", between(ec, tls.VersionTLS12, tls.VersionTLS13), "scan: true\nexpect: ['tls.versions == [\"1.2\", \"1.3\"]']", probes.Up, nil},
		{"1.3 alone", between(ec, tls.VersionTLS13, tls.VersionTLS13), "scan: true\nmin_version: '1.3'\nexpect: ['tls.versions == [\"1.3\"]']", probes.Up, nil},
		{"1.2 alone", between(rsa, tls.VersionTLS12, tls.VersionTLS12, modern), "scan: true\nexpect: [\"tls.version == '1.2'\", \"tls.cipher == 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'\"]", probes.Up, nil},
		{"1.2 where 1.3 is wanted", between(rsa, tls.VersionTLS12, tls.VersionTLS12, modern), "min_version: 1.3", probes.Down, []string{"TLS 1.3 以上才算安全，服务器只支持 TLS 1.2"}},
		{"1.0 alone", between(rsa, tls.VersionTLS10, tls.VersionTLS10, cbc), "expect: [\"tls.version == '1.0'\"]", probes.Down, []string{"TLS 1.2 以上才算安全，服务器只支持 TLS 1.0"}},
		{"1.0 alone, and scanned", between(rsa, tls.VersionTLS10, tls.VersionTLS10, cbc), "scan: true", probes.Down, []string{"TLS 1.2 以上才算安全，服务器只支持 TLS 1.0"}},
		{"1.1 that will do", between(rsa, tls.VersionTLS11, tls.VersionTLS11, cbc), "min_version: 1.1", probes.Up, nil},
		{"old versions beside new ones", between(rsa, tls.VersionTLS10, tls.VersionTLS13, modern, cbc), "scan: true\nexpect: ['len(tls.versions) == 4']", probes.Degraded, []string{"服务器仍接受已淘汰的加密协议 TLS 1.0, TLS 1.1（应为 TLS 1.2 以上）"}},
		{"old versions that will do", between(rsa, tls.VersionTLS10, tls.VersionTLS13, modern, cbc), "scan: true\nmin_version: 1.0", probes.Up, nil},
		{"old versions ignored", between(rsa, tls.VersionTLS10, tls.VersionTLS13, modern, cbc), "scan: true\nignore: [old_versions]", probes.Up, nil},
		{"old versions unseen without a scan", between(rsa, tls.VersionTLS10, tls.VersionTLS13, modern, cbc), "", probes.Up, nil},
		{"weak suite spoken", between(rsa, tls.VersionTLS12, tls.VersionTLS12, plain), "scan: true", probes.Degraded, []string{"加密套件不够安全（TLS_RSA_WITH_AES_128_GCM_SHA256）"}},
		{"weak suite ignored", between(rsa, tls.VersionTLS12, tls.VersionTLS12, plain), "ignore: [weak_cipher]", probes.Up, nil},
		{"broken suite beside good ones", between(rsa, tls.VersionTLS12, tls.VersionTLS12, modern, des), "scan: true", probes.Degraded, []string{"服务器仍接受不安全的加密套件（TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA）"}},
		{"broken suite alone", between(rsa, tls.VersionTLS12, tls.VersionTLS12, des), "scan: true", probes.Degraded, []string{"加密套件不够安全（TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA）"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			count := 0
			port := listen(t, func(conn net.Conn) {
				mu.Lock()
				count++
				mu.Unlock()
				greetTLS(conn, tt.config)
			})
			l := at(t, day, port, tt.keys, trusting(root.pool()))
			require.Equal(t, tt.says, l.says())
			require.Equal(t, tt.verdict, l.Verdict)
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(tt.keys, "scan") {
				require.Equal(t, 5, count, "one for each other version, one for broken suites")
				require.Contains(t, l.rec.Names(), "versions")
			} else {
				require.Equal(t, 1, count)
			}
		})
	}
}

func TestALPN(t *testing.T) {
	root := newRoot(t, "根证书")
	config := sends(root.site(t).with())
	config.NextProtos = []string{"h2", "http/1.1"}
	port := serveTLS(t, config)
	for keys, want := range map[string]string{"": "h2", "alpn: [http/1.1]": "http/1.1", "alpn: []": ""} {
		l := at(t, day, port, keys+"\nexpect: [\"tls.alpn == '"+want+"'\"]", trusting(root.pool()))
		require.Equal(t, probes.Up, l.Verdict, "%s: %v", keys, l.says())
	}
	l := at(t, day, port, "alpn: [imap]", trusting(root.pool()))
	require.Equal(t, []probes.Phrase{probes.PhraseTLSFailed}, l.phrases())
	require.Contains(t, l.says()[0], "no application protocol")
}

// TestNameAndAddress holds that one node behind a name is looked at by itself.
func TestNameAndAddress(t *testing.T) {
	root := newRoot(t, "根证书")
	var (
		mu    sync.Mutex
		asked []string
	)
	config := &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, h.ServerName)
		c := root.site(t, names("node.rsj.test")).with()
		return &c, nil
	}}
	port := serveTLS(t, config)
	for keys, name := range map[string]string{
		"target: nowhere.rsj.test\nconnect: 127.0.0.1:" + port + "\nsni: node.rsj.test":                        "node.rsj.test",
		"target: https://node.rsj.test:" + port + "/path\nconnect: 127.0.0.1":                                  "node.rsj.test",
		"target: node.rsj.test:" + port + "\nconnect: '::ffff:127.0.0.1'":                                      "node.rsj.test",
		"target: 127.0.0.1:" + port + "\nsni: NODE.rsj.test":                                                   "node.rsj.test",
		"target: node.rsj.test:1\nconnect: '[::ffff:127.0.0.1]:" + port + "'\nexpect: [\"ip == '127.0.0.1'\"]": "node.rsj.test",
	} {
		env, rec := probetest.Env(t, nil, nil)
		env.Roots = root.pool()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		r, err := decodeAt(t, keys).Probe(ctx, env)
		cancel()
		require.NoError(t, err)
		require.Equal(t, probes.Up, r.Verdict, "%s: %+v", keys, r.Findings)
		require.NotContains(t, rec.Names(), "handshake/dns")
		require.Equal(t, name, asked[len(asked)-1])
	}
}

func TestAddressAsName(t *testing.T) {
	root := newRoot(t, "根证书")
	port := serveTLS(t, sends(root.site(t, addresses("127.0.0.1")).with()))
	env, _ := probetest.Env(t, nil, nil)
	env.Roots = root.pool()
	r, err := decodeAt(t, "target: 127.0.0.1:"+port).Probe(t.Context(), env)
	require.NoError(t, err)
	require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
}

func TestServerWantsACertificate(t *testing.T) {
	root := newRoot(t, "根证书")
	config := between(root.site(t).with(), tls.VersionTLS12, tls.VersionTLS12)
	config.ClientAuth = tls.RequireAnyClientCert
	port := serveTLS(t, config)
	l := at(t, day, port, "expect: [cert.days_left > 1000]", trusting(root.pool()))
	require.Equal(t, []string{"www.rsj.test 要求访问者出示客户端证书，握手没有完成"}, l.says())
	require.Equal(t, probes.Down, l.Verdict)
	require.Equal(t, probes.ClassTLS, l.Class)
	require.False(t, l.TLSUntil.IsZero(), "the certificate was seen all the same")

	l = at(t, day, port, "ignore: [client_cert]\nexpect: [tls.client_cert, cert.days_left == 90]", trusting(root.pool()))
	require.Equal(t, probes.Up, l.Verdict, "%v", l.says())
	l = at(t, day, port, "ignore: [client_cert]\nexpect: [cert.days_left > 100]", trusting(root.pool()))
	require.Equal(t, []probes.Phrase{probes.PhraseCheck}, l.phrases(), "what is ignored hides nothing else")
}

func TestOtherPeers(t *testing.T) {
	root := newRoot(t, "根证书")
	for _, tt := range []struct {
		name  string
		serve func(net.Conn)
		class probes.Class
		says  string
	}{
		{"plain HTTP", func(c net.Conn) {
			_, _ = c.Read(make([]byte, 1))
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
		}, probes.ClassTLS, "的端口上不是 HTTPS$"},
		{"SSH", func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n"); _, _ = c.Read(make([]byte, 1)) }, probes.ClassTLS, "的端口上不是 HTTPS$"},
		{"hangs up", func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }, probes.ClassReset, "没有应答就断开了连接$|重置了连接$"},
		{"refuses by an alert", func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)); _, _ = c.Write([]byte{21, 3, 3, 0, 2, 2, 40}) }, probes.ClassTLS, "加密握手失败（remote error: tls: handshake failure）$"},
		{"broken record", func(c net.Conn) { _, _ = c.Read(make([]byte, 4096)); _, _ = c.Write([]byte{22, 3, 3, 0xff, 0xff, 1}) }, probes.ClassTLS, "加密握手失败|不是 HTTPS"},
		{"endless handshake", func(c net.Conn) {
			record := append([]byte{22, 3, 3, 0x10, 0}, make([]byte, 0x1000)...)
			record[5], record[6], record[7], record[8] = 2, 0xff, 0xff, 0xff
			for {
				if _, err := c.Write(record); err != nil {
					return
				}
			}
		}, probes.ClassTLS, "加密握手失败"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := at(t, day, listen(t, tt.serve), "expect: [cert.days_left > 3]", trusting(root.pool()))
			require.Equal(t, probes.Down, l.Verdict)
			require.Equal(t, tt.class, l.Class, "%v", l.says())
			require.Len(t, l.says(), 1)
			require.Regexp(t, tt.says, l.says()[0])
			require.False(t, l.Checks[0].OK, "it explains, and does not count")
		})
	}
	t.Run("slow drip", func(t *testing.T) {
		port := listen(t, func(c net.Conn) {
			for {
				if _, err := c.Write([]byte{22}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l := within(ctx, t, day, port, "")
		require.Contains(t, []probes.Class{probes.ClassTimeout, probes.ClassTLS}, l.Class)
	})
}

func TestNextAddressIsTried(t *testing.T) {
	root := newRoot(t, "根证书")
	port := serveTLS(t, sends(root.site(t).with()))
	l := at(t, day, port, "", trusting(root.pool()), func(e *probes.Env) {
		e.Resolver = probetest.Addresses(t, host, "127.0.0.77", "127.0.0.1")
		dial := e.Dial
		e.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if a := netip.MustParseAddrPort(addr); a.Addr().String() == "127.0.0.77" {
				return nil, &net.OpError{Op: "dial", Net: network, Err: io.ErrUnexpectedEOF}
			}
			return dial(ctx, network, addr)
		}
	})
	require.Equal(t, probes.Up, l.Verdict, "%v", l.says())
	require.Equal(t, "127.0.0.1", l.IP)
}
