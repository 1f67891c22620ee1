package httpprobe_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/httpprobe"
	"github.com/gengfu/gengfu/probes/probetest"
)

// authority issues the tests' certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a authority) issue(t *testing.T, name string, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serveTLS starts a site with a certificate and returns its address under host.
func serveTLS(t *testing.T, cert tls.Certificate, h2 bool, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	s.EnableHTTP2 = h2
	s.Config.ErrorLog = quiet(t)
	s.StartTLS()
	t.Cleanup(s.Close)
	return "https://" + host + ":" + port(t, s)
}

func trusting(pool *x509.CertPool) option {
	return func(ctx context.Context, env *probes.Env) context.Context {
		env.Roots = pool
		return ctx
	}
}

func TestCertificates(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	soon := time.Now().Add(20 * time.Hour).UTC().Truncate(time.Second)
	past := time.Now().Add(-3 * time.Hour).UTC().Truncate(time.Second)
	for _, tt := range []struct {
		name  string
		cert  tls.Certificate
		until time.Time
		class probes.Class
		says  string // part of the finding's sentence
	}{
		{"good", ca.issue(t, host, soon), soon, "", ""},
		{"expired", ca.issue(t, host, past), past, probes.ClassTLS, host + " 的证书已于 " + past.In(time.FixedZone("", 8*3600)).Format("2006-01-02 15:04") + " 过期"},
		{"not trusted", stranger.issue(t, host, soon), soon, probes.ClassTLS, host + " 的证书无法验证：签发者不受信任（CN=test authority），也没有发送中间证书"},
		{"another host", ca.issue(t, "other.example.test", soon), soon, probes.ClassTLS, host + " 的证书是发给别的名称的（other.example.test）"},
	} {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, http2 %t", tt.name, h2), func(t *testing.T) {
				reached := false
				url := serveTLS(t, tt.cert, h2, func(w http.ResponseWriter, r *http.Request) {
					reached = true
					send(200, utf8HTML, hall)(w, r)
				})
				r, rec := probe(t, fmt.Sprintf("request: %s\nexpect: ['cert.days_left > 0']\nwarn: ['tls < 1h']", url), trusting(ca.pool()))
				require.Equal(t, tt.class, r.Class, "%+v", r.Findings)
				require.Equal(t, tt.until, r.TLSUntil.UTC(), "the date is known although the certificate is not trusted")
				require.Equal(t, tt.class == "", reached, "nothing is sent to a peer that is not trusted")
				require.Positive(t, r.Timings.TLS)
				require.LessOrEqual(t, r.Timings.DNS+r.Timings.Connect+r.Timings.TLS+r.Timings.FirstByte+r.Timings.Body, r.Timings.Total)
				span := rec.Spans()[3]
				require.Equal(t, "tls", span.Name)
				require.Equal(t, tt.class, span.Class)
				require.Equal(t, "1.3", span.Attrs["tls.protocol.version"])
				if tt.class != "" {
					require.Equal(t, probes.Down, r.Verdict)
					require.Equal(t, tt.says, sentence(r))
					require.Zero(t, r.Status)
					return
				}
				require.Equal(t, map[bool]string{false: "1.1", true: "2.0"}[h2], rec.Spans()[0].Attrs["network.protocol.version"])
			})
		}
	}
}

func TestExpiringCertificateIsAWarning(t *testing.T) {
	ca := newAuthority(t)
	url := serveTLS(t, ca.issue(t, host, time.Now().Add(20*time.Hour)), false, send(200, utf8HTML, hall))
	r, _ := probe(t, "request: "+url+"\nwarn: ['cert.days_left > 14']", trusting(ca.pool()))
	require.Equal(t, probes.Degraded, r.Verdict)
	require.Equal(t, probes.ClassTLS, r.Class)
}

func TestAuthorityFile(t *testing.T) {
	ca := newAuthority(t)
	url := serveTLS(t, ca.issue(t, host, time.Now().Add(20*time.Hour)), false, send(200, utf8HTML, hall))
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, ca.pem, 0o600))
	r, _ := probe(t, fmt.Sprintf("request: %s\nca_file: %s", url, file), trusting(newAuthority(t).pool()))
	require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)

	env, _ := probetest.Env(t, nil, nil)
	for _, text := range []string{"", "nonsense"} {
		bad := filepath.Join(t.TempDir(), "bad.pem")
		if text != "" {
			require.NoError(t, os.WriteFile(bad, []byte(text), 0o600))
		}
		_, err := probetest.Decode(t, httpprobe.Kind, fmt.Sprintf("request: %s\nca_file: %s", url, bad)).Probe(t.Context(), env)
		require.ErrorContains(t, err, "ca_file")
	}
}

func TestHandshakeFailures(t *testing.T) {
	ca := newAuthority(t)
	t.Run("plain HTTP behind https", func(t *testing.T) {
		url := serve(t, send(200, utf8HTML, hall))
		r, _ := probe(t, "request: "+strings.Replace(url, "http:", "https:", 1), trusting(ca.pool()))
		require.Equal(t, probes.ClassTLS, r.Class, "%+v", r.Findings)
		require.Equal(t, host+" 的端口上不是 HTTPS", sentence(r))
	})
	t.Run("alert from the server", func(t *testing.T) {
		cert := ca.issue(t, host, time.Now().Add(20*time.Hour))
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}})
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if conn, err := l.Accept(); err == nil {
				_ = conn.(*tls.Conn).HandshakeContext(t.Context())
				conn.Close()
			}
		}()
		_, p, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		r, _ := probe(t, "request: https://"+host+":"+p, trusting(ca.pool()))
		l.Close()
		<-done
		require.Equal(t, probes.ClassTLS, r.Class, "%+v", r.Findings)
		require.Equal(t, "与 "+host+" 加密握手失败（remote error: tls: handshake failure）", sentence(r))
	})
	t.Run("silence", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		_, p, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		r, _ := probe(t, "request: https://"+host+":"+p, trusting(ca.pool()), within(t, 300*time.Millisecond))
		require.Equal(t, probes.ClassTimeout, r.Class, "%+v", r.Findings)
		require.Regexp(t, `^与 `+host+` 加密握手超时（[\d.]+毫?秒）$`, sentence(r))
	})
}

func TestDowngradeIsAFailure(t *testing.T) {
	ca := newAuthority(t)
	plain := serve(t, send(200, utf8HTML, hall))
	url := serveTLS(t, ca.issue(t, host, time.Now().Add(20*time.Hour)), false, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain, http.StatusFound)
	})
	r, _ := probe(t, "request: "+url, trusting(ca.pool()))
	require.Equal(t, probes.ClassRedirect, r.Class)
	require.Equal(t, "从 HTTPS 跳转到了不加密的 "+plain, sentence(r))
	require.False(t, r.TLSUntil.IsZero())
}
