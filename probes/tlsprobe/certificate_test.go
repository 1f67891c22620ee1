package tlsprobe_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
)

func TestGoodSite(t *testing.T) {
	root := newRoot(t, "根证书")
	ca := root.intermediate(t, "中间证书", dates(day.AddDate(-1, 0, 0), day.AddDate(0, 0, 40)))
	port := serveTLS(t, sends(ca.site(t).with(ca)))
	l := at(t, day, port, `
expect:
  - tls.version == '1.3'
  - tls.version >= '1.2'
  - tls.alpn == 'http/1.1'
  - tls.cipher contains 'AES'
  - tls.curve != ''
  - tls.client_cert == false
  - cert.days_left == 90
  - cert.issuer == 'CN=中间证书'
  - cert.subject contains 'www.rsj.test'
  - cert.names == ['www.rsj.test']
  - cert.key == 'ECDSA' and cert.bits == 256
  - cert.signature == 'ECDSA-SHA256'
  - cert.name_ok and not cert.self_signed
  - len(cert.sha256) == 64
  - chain.trusted and chain.complete and not chain.repaired
  - chain.length == 2
  - chain.days_left == 40
  - chain.root == '根证书'
  - ocsp.status == 'none'
  - ip == '127.0.0.1'
  - latency >= handshake
warn: [cert.days_left > 30, latency < 30s]
`, trusting(root.pool()))
	require.Equal(t, probes.Up, l.Verdict, "%v", l.says())
	require.Empty(t, l.Findings)
	require.Equal(t, 1, l.Passed)
	require.Equal(t, "https://"+host+":"+port, l.URL)
	require.Equal(t, "127.0.0.1", l.IP)
	require.Equal(t, day.AddDate(0, 0, 90), l.TLSUntil)
	require.Equal(t, map[string]float64{"cert_days_left": 90, "chain_days_left": 40}, l.Measures)
	require.Equal(t, []string{"handshake", "handshake/dns", "handshake/connect", "handshake/tls"}, l.rec.Names())
	require.Positive(t, l.Timings.TLS)
	require.LessOrEqual(t, l.Timings.DNS+l.Timings.Connect+l.Timings.TLS, l.Timings.Total)
	attrs := l.span(t, "handshake/tls").Attrs
	require.Equal(t, "1.3", attrs["tls.protocol.version"])
	require.Equal(t, "http/1.1", attrs["tls.next_protocol"])
	require.Equal(t, true, attrs["tls.established"])
	require.Equal(t, "2027-02-23T04:00:00Z", attrs["tls.server.not_after"])
	require.Len(t, attrs["gengfu.tls.chain"], 2)
	require.Equal(t, host, l.span(t, "handshake").Attrs["tls.client.server_name"])
}

func TestWhatIsWrongWithACertificate(t *testing.T) {
	root, stranger := newRoot(t, "根证书"), newRoot(t, "自建根证书")
	ca := root.intermediate(t, "中间证书")
	late := root.intermediate(t, "过期中间", dates(day.AddDate(-3, 0, 0), day.AddDate(0, 0, -2)))
	early := root.intermediate(t, "未生效中间", dates(day.AddDate(0, 0, 3), day.AddDate(1, 0, 0)))
	strange := stranger.intermediate(t, "自建中间")
	leafless := root.intermediate(t, "限用中间", func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"other.test"}, true
	})
	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	past, soon := dates(day.AddDate(-1, 0, 0), day.AddDate(0, 0, -1)), dates(day.AddDate(0, 0, 1), day.AddDate(1, 0, 0))
	for _, tt := range []struct {
		name    string
		cert    tls.Certificate
		verdict probes.Verdict
		says    []string
	}{
		{"expired", ca.site(t, past).with(ca), probes.Down, []string{"www.rsj.test 的证书已于 2026-11-24 12:00 过期"}},
		{"not yet valid", ca.site(t, soon).with(ca), probes.Down, []string{"www.rsj.test 的证书要到 2026-11-26 12:00 才生效"}},
		{"expired intermediate", late.site(t, dates(day.AddDate(0, 0, -1), day.AddDate(0, 0, 9))).with(late), probes.Down, []string{"上级证书「过期中间」已于 2026-11-23 12:00 过期"}},
		{"early intermediate", early.site(t).with(early), probes.Down, []string{"上级证书「未生效中间」要到 2026-11-28 12:00 才生效"}},
		{"other names", ca.site(t, names("a.rsj.test", "*.b.test")).with(ca), probes.Down, []string{"www.rsj.test 的证书是发给别的名称的（a.rsj.test, *.b.test）"}},
		{"an address for a name", ca.site(t, addresses("10.1.2.3", "::1")).with(ca), probes.Down, []string{"www.rsj.test 的证书是发给别的名称的（10.1.2.3, ::1）"}},
		{"no names", ca.site(t, noNames).with(ca), probes.Down, []string{"www.rsj.test 的证书没有列出适用的域名（只有旧式名称 www.rsj.test），浏览器不接受"}},
		{"self-signed", selfSigned(t).with(), probes.Down, []string{"www.rsj.test 的证书是自签名的，没有机构担保"}},
		{"unknown root, sent", strange.site(t).with(strange, stranger), probes.Down, []string{"www.rsj.test 的证书不受信任（自建根证书）"}},
		{"unknown root directly above, sent", stranger.site(t).with(stranger), probes.Down, []string{"www.rsj.test 的证书不受信任（自建根证书）"}},
		{"missing intermediate without AIA", ca.site(t).with(), probes.Down, []string{"证书链不完整：缺少签发者证书「中间证书」，服务器没有发送，信任的根证书中也没有"}},
		{"missing top of a chain", strange.site(t).with(strange), probes.Down, []string{"证书链不完整：缺少签发者证书「自建根证书」，服务器没有发送，信任的根证书中也没有"}},
		{"not allowed to the issuer", leafless.site(t).with(leafless), probes.Down, []string{`www.rsj.test 的证书无效（x509: a root or intermediate certificate is not authorized to sign for this name: DNS name "www.rsj.test" is not permitted by any constraint）`}},
		{"several at once", strange.site(t, past, names("a.test")).with(strange, stranger), probes.Down, []string{
			"www.rsj.test 的证书已于 2026-11-24 12:00 过期", "www.rsj.test 的证书是发给别的名称的（a.test）", "www.rsj.test 的证书不受信任（自建根证书）",
		}},
		{"order does not matter", ca.site(t).with(root, strange, ca), probes.Up, nil},
		{"small RSA key", ca.siteOf(t, rsaKey(t, 1024)).with(ca), probes.Degraded, []string{"证书「www.rsj.test」的密钥太弱（RSA 1024）"}},
		{"good RSA key", ca.siteOf(t, rsaKey(t, 2048)).with(ca), probes.Up, nil},
		{"small curve", ca.siteOf(t, small).with(ca), probes.Degraded, []string{"证书「www.rsj.test」的密钥太弱（ECDSA 224）"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := sends(tt.cert)
			if tt.name == "small curve" {
				config.MaxVersion = tls.VersionTLS12 // 1.3 has no signatures by it
			}
			l := at(t, day, serveTLS(t, config), "warn: ['cert.days_left < 1000']", trusting(root.pool()))
			require.Equal(t, tt.says, l.says())
			require.Equal(t, tt.verdict, l.Verdict)
			if tt.verdict != probes.Up {
				require.Equal(t, probes.ClassTLS, l.Class)
			}
			require.False(t, l.TLSUntil.IsZero())
			require.True(t, l.Checks[0].OK, "what is wrong takes nothing from the values: %+v", l.Checks)
			require.Len(t, l.rec.Names(), 4)
		})
	}
}

// selfSigned is a certificate that vouches for itself.
func selfSigned(t testing.TB) entity {
	t.Helper()
	return newRoot(t, host, func(c *x509.Certificate) {
		c.DNSNames, c.IsCA, c.KeyUsage = []string{host}, false, x509.KeyUsageDigitalSignature
		c.NotAfter = day.AddDate(0, 1, 0)
	})
}

// TestWeakSignatures looks at certificates made elsewhere: the standard library
// makes none by SHA-1.
func TestWeakSignatures(t *testing.T) {
	root := newRoot(t, "根证书")
	ca := root.intermediate(t, "中间证书", func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA256 })
	site := ca.site(t)
	old := bySHA1(t, site, ca)
	l := at(t, day, serveTLS(t, sends(old.with(ca))), "", trusting(root.pool()))
	require.Equal(t, []string{"证书「www.rsj.test」的签名算法已不安全（ECDSA-SHA1），浏览器不接受"}, l.says())
	require.Equal(t, probes.Down, l.Verdict)

	above := bySHA1(t, ca, root)
	l = at(t, day, serveTLS(t, sends(site.with(above))), "", trusting(root.pool()))
	require.Equal(t, []string{"证书「中间证书」的签名算法已不安全（ECDSA-SHA1），浏览器不接受"}, l.says())
}

func TestTimeIsTheAgents(t *testing.T) {
	root := newRoot(t, "根证书")
	port := serveTLS(t, sends(root.site(t).with()))
	for _, tt := range []struct {
		when    time.Time
		verdict probes.Verdict
		class   probes.Class
	}{
		{day.AddDate(0, 0, -11), probes.Down, probes.ClassTLS},
		{day, probes.Up, probes.ClassNone},
		{day.AddDate(0, 0, 61), probes.Degraded, probes.ClassTLS},
		{day.AddDate(0, 0, 90), probes.Degraded, probes.ClassTLS},
		{day.AddDate(0, 0, 90).Add(time.Second), probes.Down, probes.ClassTLS},
	} {
		l := at(t, tt.when, port, "warn: ['cert.days_left > 30', 'chain.days_left > 30']", trusting(root.pool()))
		require.Equal(t, tt.verdict, l.Verdict, "%s: %v", tt.when, l.says())
		require.Equal(t, tt.class, l.Class)
	}
}

func TestIgnoredChecks(t *testing.T) {
	root, stranger := newRoot(t, "根证书"), newRoot(t, "自建根证书")
	port := serveTLS(t, sends(stranger.siteOf(t, rsaKey(t, 1024), names("a.test")).with(stranger)))
	l := at(t, day, port, "ignore: [untrusted, name]", trusting(root.pool()))
	require.Equal(t, []probes.Phrase{probes.PhraseCertWeakKey}, l.phrases())
	require.Equal(t, probes.Degraded, l.Verdict)
	l = at(t, day, port, "ignore: [untrusted, name, weak_key]\nexpect: ['not chain.trusted', 'not cert.name_ok', 'cert.bits == 1024']", trusting(root.pool()))
	require.Equal(t, probes.Up, l.Verdict, "%v", l.says())
}
