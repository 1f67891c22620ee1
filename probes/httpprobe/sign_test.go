package httpprobe_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm3"
	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/httpprobe"
	"github.com/gengfu/gengfu/probes/probetest"
)

// The digest of "abc" is the example of GB/T 32905, appendix A.1.
func TestSM3(t *testing.T) {
	sum := sm3.Sum([]byte("abc"))
	require.Equal(t, "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0", hex.EncodeToString(sum[:]))
}

func TestSignedRequests(t *testing.T) {
	const key = "tok-5ecret/42"
	hmacOf := func(text string) []byte {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	hmacSM3 := func(text string) []byte {
		h := hmac.New(sm3.New, []byte(key))
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	plainSM3 := func(text string) []byte { s := sm3.Sum([]byte(text)); return s[:] }
	plainSHA := func(text string) []byte { s := sha256.Sum256([]byte(text)); return s[:] }
	for _, tt := range []struct {
		name, sign string
		// check makes the signature from what arrived.
		check func(r *http.Request, body string) string
		got   func(r *http.Request) string
	}{
		{
			"hmac-sha256", `{algorithm: hmac-sha256, key: "${secret:TOKEN}", template: "{method}\n{host}\n{path}\n{query}\n{timestamp}\n{nonce}\n{body}", headers: {X-Sign: "{signature}", X-Time: "{timestamp}", X-Nonce: "{nonce}"}}`,
			func(r *http.Request, body string) string {
				return hex.EncodeToString(hmacOf(strings.Join([]string{"POST", r.Host, "/%E6%9F%A5/a", "b=2&a=1", r.Header.Get("X-Time"), r.Header.Get("X-Nonce"), body}, "\n")))
			}, func(r *http.Request) string { return r.Header.Get("X-Sign") },
		},
		{
			"hmac-sm3", `{algorithm: hmac-sm3, key: "${secret:TOKEN}", encoding: base64, timestamp: ms, template: "{sorted_query}&t={timestamp}&b={body_sm3}", headers: {Authorization: "SM3 {timestamp}:{signature}"}}`,
			func(r *http.Request, body string) string {
				at, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "SM3 "), ":")
				require.Len(t, at, 13)
				return base64.StdEncoding.EncodeToString(hmacSM3("a=1&b=2&t=" + at + "&b=" + hex.EncodeToString(plainSM3(body))))
			}, func(r *http.Request) string {
				_, sign, _ := strings.Cut(r.Header.Get("Authorization"), ":")
				return sign
			},
		},
		{
			"sm3", `{algorithm: sm3, key: "${secret:TOKEN}", encoding: HEX, timestamp: compact, template: "app01{timestamp}{key}", query: {sign: "{signature}", ts: "{timestamp}"}}`,
			func(r *http.Request, _ string) string {
				at, err := time.ParseInLocation("20060102150405", r.URL.Query().Get("ts"), time.FixedZone("", 8*3600))
				require.NoError(t, err)
				require.WithinDuration(t, time.Now(), at, time.Hour)
				return strings.ToUpper(hex.EncodeToString(plainSM3("app01" + r.URL.Query().Get("ts") + key)))
			}, func(r *http.Request) string { return r.URL.Query().Get("sign") },
		},
		{
			"sha256", `{algorithm: sha256, template: "${secret:TOKEN}{body_sha256}{timestamp}", timestamp: rfc3339, headers: {X-Sign: "{signature}", X-Time: "{timestamp}"}}`,
			func(r *http.Request, body string) string {
				return hex.EncodeToString(plainSHA(key + hex.EncodeToString(plainSHA(body)) + r.Header.Get("X-Time")))
			}, func(r *http.Request) string { return r.Header.Get("X-Sign") },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen := ""
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				seen = tt.got(r)
				if seen == "" || seen != tt.check(r, string(b)) {
					send(401, plainJSON, `{"code":"sign"}`)(w, r)
					return
				}
				send(200, plainJSON, fmt.Sprintf(`{"code":"0","echo":%q}`, seen))(w, r)
			})
			r, rec := probe(t, fmt.Sprintf(`{request: {url: "%s/查/a?b=2&a=1", json: {名: "值 {nonce}"}, sign: %s}, business: {}, expect: ["json.echo == ''"]}`, url, tt.sign))
			require.Equal(t, 200, r.Status, "%+v", r.Findings)
			text := fmt.Sprintf("%+v", r) + rec.Text()
			require.NotContains(t, text, seen, "the signature is not shown")
			require.NotContains(t, text, "tok-5ecret")
		})
	}
}

func TestNoncesDiffer(t *testing.T) {
	var nonces []string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		nonces = append(nonces, r.Header.Get("X-Nonce"))
	})
	definition := fmt.Sprintf(`{request: {url: %q, sign: {algorithm: hmac-sm3, key: k, template: "{nonce}", headers: {X-Nonce: "{nonce}", X-Sign: "{signature}"}}}}`, url)
	p := probetest.Decode(t, httpprobe.Kind, definition)
	for range 2 {
		env, _ := probetest.Env(t, nil, nil)
		env.Resolver = probetest.Addresses(t, host, "127.0.0.1")
		_, err := p.Probe(t.Context(), env)
		require.NoError(t, err)
	}
	require.Len(t, nonces[0], 32)
	require.NotEqual(t, nonces[0], nonces[1])
}

func TestClientCertificate(t *testing.T) {
	ca := newAuthority(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		send(200, "text/plain", r.TLS.PeerCertificates[0].Subject.CommonName)(w, r)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, host, time.Now().Add(20*time.Hour))}, ClientAuth: tls.RequireAnyClientCert}
	s.Config.ErrorLog = quiet(t)
	s.StartTLS()
	t.Cleanup(s.Close)
	url := "https://" + host + ":" + port(t, s)

	own := ca.issue(t, "agent.example.test", time.Now().Add(20*time.Hour))
	der, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	require.NoError(t, err)
	secrets["CERT"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]}))
	secrets["KEY"] = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	t.Cleanup(func() { delete(secrets, "CERT"); delete(secrets, "KEY") })
	r, _ := probe(t, fmt.Sprintf("request: %s\nclient_cert: {cert: '${secret:CERT}', key: '${secret:KEY}'}\nexpect: [\"body == 'agent.example.test'\"]", url), trusting(ca.pool()))
	require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)

	r, _ = probe(t, "request: "+url, trusting(ca.pool()))
	require.Equal(t, probes.Down, r.Verdict, "without it nobody is let in")

	env, _ := probetest.Env(t, nil, secrets)
	_, err = probetest.Decode(t, httpprobe.Kind, fmt.Sprintf("request: %s\nclient_cert: {cert: '${secret:TOKEN}', key: '${secret:KEY}'}", url)).Probe(t.Context(), env)
	require.ErrorContains(t, err, "client_cert")
	require.NotContains(t, err.Error(), "5ecret")
}
