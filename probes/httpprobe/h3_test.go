package httpprobe_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
)

// serveQUIC starts a site over QUIC and returns its address under host.
func serveQUIC(t *testing.T, cert tls.Certificate, handler http.HandlerFunc) string {
	t.Helper()
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &http3.Server{Handler: handler, TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{cert}})}
	done := make(chan struct{})
	go func() { // ends with the server
		defer close(done)
		_ = s.Serve(conn)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		conn.Close()
		<-done
	})
	_, port, err := net.SplitHostPort(conn.LocalAddr().String())
	require.NoError(t, err)
	return "https://" + host + ":" + port
}

func TestHTTP3(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	until := time.Now().Add(20 * time.Hour)
	url := serveQUIC(t, ca.issue(t, host, until), func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/long" {
			b = []byte(strings.Repeat("x", 3<<20))
		}
		send(200, "text/plain", r.Proto+" "+r.Host+" "+string(b))(w, r)
	})
	r, rec := probe(t, fmt.Sprintf(`{request: {url: %q, body: hello}, protocol: h3, expect: ["body startsWith 'HTTP/3.0 %s'", "body endsWith ' hello'", "protocol == 'HTTP/3.0'", "cert.days_left > 0"]}`, url, host), trusting(ca.pool()))
	require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
	require.Equal(t, []string{"request", "request/dns", "request/connect", "request/tls", "request/request", "request/first_byte", "request/body"}, rec.Names())
	require.Equal(t, "3.0", rec.Spans()[0].Attrs["network.protocol.version"])
	require.Positive(t, r.Timings.TLS)
	require.Equal(t, r.Timings.Total, r.Timings.DNS+r.Timings.Connect+r.Timings.TLS+r.Timings.Request+r.Timings.FirstByte+r.Timings.Body)

	r, _ = probe(t, fmt.Sprintf("request: %s/long\nprotocol: h3", url), trusting(ca.pool()))
	require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
	require.InDelta(t, 1, r.Measures["body_cut"], 0)

	r, _ = probe(t, "request: "+url+"\nprotocol: h3", trusting(stranger.pool()))
	require.Equal(t, probes.ClassTLS, r.Class, "%+v", r.Findings)
	require.False(t, r.TLSUntil.IsZero(), "the certificate is known although it is not trusted")
}

func TestHTTP3Failures(t *testing.T) {
	var lc net.ListenConfig
	mute, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer mute.Close()
	r, _ := probe(t, "request: https://"+mute.LocalAddr().String()+"/\nprotocol: h3", within(t, time.Second))
	require.Equal(t, probes.Down, r.Verdict)
	require.Equal(t, probes.ClassTimeout, r.Class, "%+v", r.Findings)

	closed, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	closed.Close()
	r, _ = probe(t, "request: https://"+closed.LocalAddr().String()+"/\nprotocol: h3", within(t, 10*time.Second))
	require.Equal(t, probes.Down, r.Verdict)
	require.Equal(t, probes.ClassConnect, r.Class, "%+v", r.Findings)
}
