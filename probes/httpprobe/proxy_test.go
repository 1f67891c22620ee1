package httpprobe_test

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/httpprobe"
	"github.com/gengfu/gengfu/probes/probetest"
)

// middleman is an HTTP proxy that knows where names lead to.
type middleman struct {
	mu     sync.Mutex
	asked  []string // "METHOD target"
	needs  string   // the Proxy-Authorization it wants, if any
	refuse int      // the status with which it refuses, if any
}

func (m *middleman) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.asked = append(m.asked, r.Method+" "+r.RequestURI)
	m.mu.Unlock()
	switch {
	case m.needs != "" && r.Header.Get("Proxy-Authorization") != m.needs:
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	case m.refuse != 0:
		w.WriteHeader(m.refuse)
		return
	}
	target := r.Host
	if !strings.Contains(target, ":") {
		target += ":80"
	}
	_, port, _ := net.SplitHostPort(target)
	up, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer up.Close()
	down, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer down.Close()
	if r.Method == http.MethodConnect {
		_, _ = io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
		pump(down, up)
		return
	}
	r.Header.Del("Proxy-Authorization")
	r.Header.Set("Via", "middleman")
	r.RequestURI = ""
	_ = r.Write(up)
	_, _ = io.Copy(down, up)
}

// pump copies both ways until one side ends.
func pump(a, b net.Conn) {
	var group sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		group.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			way[0].Close()
			way[1].Close()
		})
	}
	group.Wait()
}

func (m *middleman) start(t *testing.T, cert *tls.Certificate) string {
	t.Helper()
	s := httptest.NewUnstartedServer(m)
	s.Config.ErrorLog = quiet(t)
	scheme := "http://"
	if cert != nil {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}}
		s.StartTLS()
		scheme = "https://"
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return scheme + "proxy.example.test:" + port(t, s)
}

func viaNames(t *testing.T) option {
	return names(t, "proxy.example.test", "127.0.0.1")
}

func TestHTTPProxy(t *testing.T) {
	ca := newAuthority(t)
	plain := serve(t, func(w http.ResponseWriter, r *http.Request) {
		send(200, "text/plain", r.Header.Get("Via")+r.Header.Get("Proxy-Authorization"))(w, r)
	})
	secure := serveTLS(t, ca.issue(t, host, time.Now().Add(20*time.Hour)), true, send(200, utf8HTML, hall))
	own := ca.issue(t, "proxy.example.test", time.Now().Add(20*time.Hour))
	for _, cert := range []*tls.Certificate{nil, &own} {
		m := &middleman{needs: "Basic dTpwYTU1d29yZA=="}
		address := m.start(t, cert)
		proxy := fmt.Sprintf("\nproxy: {url: %q, user: u, password: '${secret:PASSWORD}'}", address)
		r, rec := probe(t, "request: "+plain+"/a?b=c\nexpect: [\"body == 'middleman'\"]"+proxy, viaNames(t), trusting(ca.pool()))
		require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
		require.Equal(t, []string{"GET " + plain + "/a?b=c"}, m.asked)
		require.NotContains(t, rec.Text(), "dTpwYTU1")

		r, rec = probe(t, "request: "+secure+"\nexpect: [\"protocol == 'HTTP/2.0'\"]"+proxy, viaNames(t), trusting(ca.pool()))
		require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
		require.Equal(t, "CONNECT "+strings.TrimPrefix(secure, "https://"), m.asked[1])
		require.Contains(t, rec.Names(), "request/proxy")
		require.Equal(t, r.Timings.Total, r.Timings.DNS+r.Timings.Connect+r.Timings.TLS+r.Timings.Request+r.Timings.FirstByte+r.Timings.Body)
		require.False(t, r.TLSUntil.IsZero())

		m.refuse = http.StatusBadGateway
		r, _ = probe(t, "request: "+secure+proxy, viaNames(t), trusting(ca.pool()))
		require.Equal(t, probes.Down, r.Verdict)
		require.Equal(t, probes.ClassConnect, r.Class)
		require.Contains(t, sentence(r), "没有接通（502 Bad Gateway）")
	}
}

func TestProxyTroubleIsTheAgents(t *testing.T) {
	m := &middleman{needs: "Basic something else"}
	wrong := m.start(t, nil)
	ca := newAuthority(t)
	secure := serveTLS(t, ca.issue(t, host, time.Now().Add(20*time.Hour)), true, send(200, utf8HTML, hall))
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := "http://" + l.Addr().String()
	l.Close()
	for _, address := range []string{wrong, closed, "http://nowhere.example.test:3128", "socks5://" + strings.TrimPrefix(closed, "http://"), "https://" + strings.TrimPrefix(wrong, "http://")} {
		env, rec := probetest.Env(t, map[string]netip.Addr{"proxy.example.test": probetest.Loopback}, secrets)
		r, err := probetest.Decode(t, httpprobe.Kind, fmt.Sprintf("request: %s\nproxy: {url: %q, user: u, password: '${secret:PASSWORD}'}", secure, address)).Probe(t.Context(), env)
		require.Equal(t, probes.Unknown, r.Verdict, address)
		var trouble *probes.Trouble
		require.ErrorAs(t, err, &trouble, address)
		require.Equal(t, probes.PhraseProxy, trouble.Phrase)
		probetest.Readable(t, trouble.Result("run"))
		all, err := json.Marshal(trouble.Result("run"))
		require.NoError(t, err)
		require.NotContains(t, string(all)+rec.Text(), secrets["PASSWORD"])
	}
}

func TestProxyIsNotAskedForTheInside(t *testing.T) {
	m := &middleman{}
	address := m.start(t, nil)
	for _, to := range []string{"http://127.0.0.1/", "http://localhost/", "http://169.254.169.254/", "http://[::1]/"} {
		url := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
		m.asked = nil
		r, _ := probe(t, fmt.Sprintf("request: %s\nproxy: %s", url, address), viaNames(t))
		require.Equal(t, probes.PhraseRedirectInside, r.Findings[0].Phrase, "%+v", r)
		require.Len(t, m.asked, 1)
	}
}

// socks is a SOCKS5 proxy (RFC 1928) that wants a user and a password.
func socks(t *testing.T, password string, code byte) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
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
				serveSOCKS(conn, password, code)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		group.Wait()
	})
	return l.Addr().String()
}

func serveSOCKS(conn net.Conn, password string, code byte) {
	r := bufio.NewReader(conn)
	take := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(r, b)
		return b
	}
	take(int(take(2)[1]))
	_, _ = conn.Write([]byte{5, 2})
	take(int(take(2)[1]))
	if string(take(int(take(1)[0]))) != password {
		_, _ = conn.Write([]byte{1, 1})
		return
	}
	_, _ = conn.Write([]byte{1, 0})
	head := take(4)
	switch head[3] {
	case 1:
		take(4)
	case 3:
		take(int(take(1)[0]))
	case 4:
		take(16)
	}
	port := binary.BigEndian.Uint16(take(2))
	_, _ = conn.Write([]byte{5, code, 0, 1, 0, 0, 0, 0, 0, 0})
	if code != 0 {
		return
	}
	up, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return
	}
	defer up.Close()
	pump(conn, up)
}

func TestSOCKSProxy(t *testing.T) {
	url := serve(t, send(200, utf8HTML, hall))
	definition := func(addr string) string {
		return fmt.Sprintf("request: %s\nproxy: {url: 'socks5://%s', user: u, password: '${secret:PASSWORD}'}\nexpect: ['status == 200']", url, addr)
	}
	r, _ := probe(t, definition(socks(t, secrets["PASSWORD"], 0)))
	require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
	r, _ = probe(t, definition(socks(t, secrets["PASSWORD"], 4)))
	require.Equal(t, probes.Down, r.Verdict)
	require.Equal(t, probes.ClassConnect, r.Class)
	require.Contains(t, sentence(r), "host unreachable")
	env, _ := probetest.Env(t, nil, secrets)
	_, err := probetest.Decode(t, httpprobe.Kind, definition(socks(t, "another", 0))).Probe(t.Context(), env)
	var trouble *probes.Trouble
	require.ErrorAs(t, err, &trouble)
	require.Equal(t, probes.PhraseProxy, trouble.Phrase)
}
