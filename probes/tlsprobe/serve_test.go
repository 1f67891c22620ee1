package tlsprobe_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/probetest"
	"github.com/gengfu/gengfu/probes/tlsprobe"
	"github.com/gengfu/gengfu/probes/wording"
)

const patience = 30 * time.Second

// listen serves every connection until the test ends and returns the port.
func listen(t testing.TB, serve func(net.Conn)) string {
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
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

// serveTLS is a server of standard TLS.
func serveTLS(t testing.TB, config *tls.Config) string {
	t.Helper()
	return listen(t, func(conn net.Conn) { greetTLS(conn, config) })
}

func greetTLS(conn net.Conn, config *tls.Config) {
	server := tls.Server(conn, config)
	if server.HandshakeContext(context.Background()) == nil {
		_, _ = io.Copy(io.Discard, server)
		_ = server.Close()
	}
}

// sends is a configuration with one certificate, open to everything.
func sends(cert tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
}

// look is one run and what it recorded.
type look struct {
	probes.Result
	rec *probetest.Recorder
}

type option func(*probes.Env)

func trusting(roots *x509.CertPool) option { return func(e *probes.Env) { e.Roots = roots } }

// at probes host on a port, on that day.
func at(t testing.TB, when time.Time, port, keys string, options ...option) look {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return within(ctx, t, when, port, keys, options...)
}

func within(ctx context.Context, t testing.TB, when time.Time, port, keys string, options ...option) look {
	t.Helper()
	env, rec := probetest.Env(t, map[string]netip.Addr{host: probetest.Loopback, "aia.rsj.test": probetest.Loopback}, nil)
	env.Roots = x509.NewCertPool()
	for _, o := range options {
		o(&env)
	}
	p := probetest.Decode(t, tlsprobe.KindAt(when), "target: "+host+":"+port+"\n"+keys)
	r, err := p.Probe(ctx, env)
	require.NoError(t, err)
	probetest.Readable(t, r)
	return look{r, rec}
}

// says are the Chinese sentences of the findings.
func (l look) says() []string {
	var out []string
	for _, f := range l.Findings {
		out = append(out, wording.Finding(wording.ZH, f))
	}
	return out
}

func (l look) phrases() []probes.Phrase {
	var out []probes.Phrase
	for _, f := range l.Findings {
		out = append(out, f.Phrase)
	}
	return out
}

// span is the recorded span of a name.
func (l look) span(t testing.TB, name string) probetest.Span {
	t.Helper()
	for i, n := range l.rec.Names() {
		if n == name {
			return l.rec.Spans()[i]
		}
	}
	require.Fail(t, "no such span", "%s in %v", name, l.rec.Names())
	return probetest.Span{}
}

// decodeAt makes a prober that takes it to be that day.
func decodeAt(t testing.TB, keys string) probes.Prober {
	t.Helper()
	return probetest.Decode(t, tlsprobe.KindAt(day), keys)
}
