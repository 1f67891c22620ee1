package httpprobe_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/httpprobe"
	"github.com/gengfu/gengfu/probes/probetest"
)

// nodeAt starts a business node that says who it is and what it was asked for.
func nodeAt(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestNodes(t *testing.T) {
	var mu sync.Mutex
	hosts := map[string]int{}
	good := func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		hosts[r.Host]++
		mu.Unlock()
		send(200, utf8HTML, hall)(w, r)
	}
	bad := send(502, utf8HTML, "bad gateway")
	waf := send(405, utf8HTML, "<title>405</title>您的访问被阻断，请求ID是 7b2a")
	slow := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(50 * time.Millisecond)
		good(w, r)
	}
	for _, tt := range []struct {
		name    string
		nodes   []http.HandlerFunc
		verdict probes.Verdict
		class   probes.Class
		failed  float64
		says    []string
	}{
		{"all work", []http.HandlerFunc{good, good, slow}, probes.Up, "", 0, nil},
		{"one fails", []http.HandlerFunc{good, bad, slow}, probes.Degraded, probes.ClassStatus, 1, []string{"步骤「节点 n1」：返回 HTTP 502 Bad Gateway"}},
		{"two fail", []http.HandlerFunc{bad, good, bad}, probes.Degraded, probes.ClassStatus, 2, []string{"步骤「节点 n0」：返回 HTTP 502 Bad Gateway", "步骤「节点 n2」：返回 HTTP 502 Bad Gateway"}},
		{"all fail", []http.HandlerFunc{bad, bad}, probes.Down, probes.ClassStatus, 2, []string{"步骤「节点 n0」", "步骤「节点 n1」"}},
		{"one is shut by a firewall", []http.HandlerFunc{waf, good}, probes.Degraded, probes.ClassBlocked, 1, []string{"步骤「节点 n0」：被防火墙拦截"}},
		{"none can be looked at", []http.HandlerFunc{waf, waf}, probes.Unknown, probes.ClassBlocked, 2, nil},
		{"all that can be looked at fail", []http.HandlerFunc{waf, bad}, probes.Down, probes.ClassStatus, 2, []string{"步骤「节点 n1」", "步骤「节点 n0」：被防火墙拦截"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var nodes []string
			for i, h := range tt.nodes {
				nodes = append(nodes, fmt.Sprintf(`{name: n%d, address: "%s"}`, i, nodeAt(t, h)))
			}
			clear(hosts)
			r, rec := probe(t, fmt.Sprintf("request: http://balanced.example.test/a\nnodes: [%s]\nexpect: ['status == 200']", strings.Join(nodes, ", ")))
			require.Equal(t, tt.verdict, r.Verdict, "%+v", r.Findings)
			require.Equal(t, tt.class, r.Class)
			require.InDelta(t, tt.failed, r.Measures["failed_parts"], 0)
			require.Len(t, r.Findings, max(len(tt.says), len(r.Findings)))
			for i, want := range tt.says {
				require.Contains(t, sentenceAt(r, i), want)
			}
			require.Len(t, r.Checks, len(tt.nodes))
			require.Len(t, r.Parts, len(tt.nodes))
			require.Equal(t, len(tt.nodes), r.Steps)
			require.Equal(t, len(tt.nodes)-int(tt.failed), r.Passed)
			spans := 0
			for _, s := range rec.Spans() {
				if name, ok := strings.CutPrefix(s.Name, "node "); ok {
					spans++
					require.Equal(t, "127.0.0.1", s.Attrs["network.peer.address"])
					part := r.Parts[slices.IndexFunc(r.Parts, func(p probes.Part) bool { return p.Name == name })]
					require.Equal(t, part.Verdict == probes.Down || part.Verdict == probes.Unknown, s.Err != nil, name)
					require.Equal(t, part.Verdict.String(), s.Attrs["gengfu.node.verdict"])
					require.Equal(t, s.Attrs["http.response.status_code"], part.Status)
					require.Equal(t, "127.0.0.1", part.IP)
					require.Positive(t, part.Took)
					require.Positive(t, r.Measures[name+".latency_ms"])
				}
			}
			require.Equal(t, len(tt.nodes), spans)
			for h := range hosts {
				require.Equal(t, "balanced.example.test", h, "the Host is the service's")
			}
			if tt.name == "all work" {
				require.GreaterOrEqual(t, r.Timings.Total, 50*time.Millisecond, "the whole is as slow as its slowest node")
			}
			if tt.name == "one fails" {
				require.Equal(t, 200, r.Status, "the head of a degraded result is a node that works")
				require.Equal(t, "n1: status = 502", r.Checks[1].Saw)
				require.NotEmpty(t, r.Evidence)
			}
			require.Equal(t, r.Timings.Total, r.Timings.DNS+r.Timings.Connect+r.Timings.TLS+r.Timings.Request+r.Timings.FirstByte+r.Timings.Body)
		})
	}
}

func sentenceAt(r probes.Result, i int) string {
	if i >= len(r.Findings) {
		return ""
	}
	return sentence(probes.Result{Findings: r.Findings[i:]})
}

func TestNodesOverTLSKeepTheName(t *testing.T) {
	ca := newAuthority(t)
	url := serveTLS(t, ca.issue(t, "balanced.example.test", time.Now().Add(20*time.Hour)), true, send(200, utf8HTML, hall))
	address := strings.Replace(strings.TrimPrefix(url, "https://"), host, "127.0.0.1", 1)
	// Redirects to the same origin stay at the node; nobody resolves its name.
	r, rec := probe(t, fmt.Sprintf("request: https://balanced.example.test/\nnodes: [%q]\nexpect: [\"protocol == 'HTTP/2.0'\"]", address), trusting(ca.pool()))
	require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
	require.NotContains(t, rec.Names(), "request/dns")
	require.Contains(t, r.Measures, address+".latency_ms")
}

func TestNodesFollowRedirectsAtTheNode(t *testing.T) {
	address := nodeAt(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "http://balanced.example.test/home", http.StatusFound)
			return
		}
		send(200, utf8HTML, hall)(w, r)
	})
	r, _ := probe(t, fmt.Sprintf("request: http://balanced.example.test/\nnodes: [%q]\nexpect: [\"redirects == 1\"]", address))
	require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
}

func TestManyNodesAreAllAskedAlthoughSomeHang(t *testing.T) {
	good, mute := nodeAt(t, send(200, utf8HTML, hall)), nodeAt(t, hang)
	var nodes []string
	for i := range 10 {
		address := good
		if i < 4 {
			address = mute
		}
		nodes = append(nodes, fmt.Sprintf(`{name: n%d, address: "%s"}`, i, address))
	}
	r, _ := probe(t, fmt.Sprintf("request: http://balanced.example.test/\nnodes: [%s]", strings.Join(nodes, ", ")), within(t, 15*time.Second))
	require.Equal(t, probes.Degraded, r.Verdict, "%+v", r.Findings)
	require.Equal(t, probes.ClassTimeout, r.Class)
	require.InDelta(t, 4, r.Measures["failed_parts"], 0)
}

func TestAPanicInALaneIsTheRuns(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	env.Dial = func(context.Context, string, string) (net.Conn, error) { panic("boom") }
	p := probetest.Decode(t, httpprobe.Kind, "request: http://a.test/\nnodes: [127.0.0.1, 127.0.0.2]")
	require.PanicsWithValue(t, "boom", func() { _, _ = p.Probe(t.Context(), env) })
}

// dual serves both families on one port, as far as the machine has them.
func dual(t *testing.T, four, six http.HandlerFunc) string {
	t.Helper()
	var lc net.ListenConfig
	for range 20 {
		l4, err := lc.Listen(t.Context(), "tcp4", "127.0.0.1:0")
		require.NoError(t, err)
		_, port, err := net.SplitHostPort(l4.Addr().String())
		require.NoError(t, err)
		l6, err := lc.Listen(t.Context(), "tcp6", "[::1]:"+port)
		if err != nil {
			l4.Close()
			if strings.Contains(err.Error(), "in use") {
				continue
			}
			t.Skip("no IPv6 here:", err)
		}
		for l, h := range map[net.Listener]http.HandlerFunc{l4: four, l6: six} {
			s := httptest.NewUnstartedServer(h)
			s.Listener.Close()
			s.Listener = l
			s.Start()
			t.Cleanup(s.Close)
		}
		return "http://dual.example.test:" + port
	}
	t.Fatal("no port is free for both families")
	return ""
}

func names(t *testing.T, name string, addrs ...string) option {
	return func(ctx context.Context, env *probes.Env) context.Context {
		env.Resolver = probetest.Addresses(t, name, addrs...)
		return ctx
	}
}

func TestFamilies(t *testing.T) {
	four, six := send(200, utf8HTML, "<title>四</title>ok"), send(200, utf8HTML, "<title>六</title>ok")
	url := dual(t, four, six)
	both := names(t, "dual.example.test", "127.0.0.1", "::1")
	for ip, want := range map[string]string{"4": "127.0.0.1", "'6'": "::1"} {
		r, _ := probe(t, "request: "+url+"\nip: "+ip, both)
		require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
		require.Equal(t, want, r.IP)
	}
	r, rec := probe(t, "request: "+url+"\nip: both", both)
	require.Equal(t, probes.Degraded, r.Verdict)
	require.Equal(t, `IPv4 与 IPv6 的应答不同：IPv4: title = "四"；IPv6: title = "六"`, sentence(r))
	require.Contains(t, rec.Names(), "ipv6/request")

	r, _ = probe(t, "request: "+dual(t, four, four)+"\nip: both", both)
	require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)

	r, _ = probe(t, "request: "+dual(t, four, send(503, utf8HTML, "x"))+"\nip: both", both)
	require.Equal(t, probes.Degraded, r.Verdict)
	require.Equal(t, "步骤「经 IPv6」：返回 HTTP 503 Service Unavailable", sentence(r))
	require.Len(t, r.Findings, 1)

	r, _ = probe(t, "request: "+url+"\nip: both", names(t, "dual.example.test", "127.0.0.1"))
	require.Equal(t, probes.Degraded, r.Verdict)
	require.Equal(t, "步骤「经 IPv6」：域名 dual.example.test 解析失败（AAAA）", sentence(r))

	r, _ = probe(t, "request: "+url+"\nip: 6", names(t, "dual.example.test", "127.0.0.1"))
	require.Equal(t, probes.Down, r.Verdict)
	require.Equal(t, probes.ClassDNS, r.Class)
}

func TestAnAgentWithoutIPv6SaysSo(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	env.Resolver = probetest.Addresses(t, "dual.example.test", "2001:db8::1")
	env.Dial = func(_ context.Context, network, _ string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}
	}
	for _, ip := range []string{"6", "both"} {
		_, err := probetest.Decode(t, httpprobe.Kind, "request: http://dual.example.test/\nip: "+ip).Probe(t.Context(), env)
		var trouble *probes.Trouble
		require.ErrorAs(t, err, &trouble)
		require.Equal(t, probes.PhraseNoIPv6, trouble.Phrase)
		probetest.Readable(t, trouble.Result("run"))
	}
}

func TestProtocols(t *testing.T) {
	ca := newAuthority(t)
	cert := ca.issue(t, host, time.Now().Add(20*time.Hour))
	said := func(w http.ResponseWriter, r *http.Request) { send(200, "text/plain", r.Proto)(w, r) }
	with2, with1 := serveTLS(t, cert, true, said), serveTLS(t, cert, false, said)
	plain := httptest.NewUnstartedServer(http.HandlerFunc(said))
	plain.Config.Protocols = &http.Protocols{}
	plain.Config.Protocols.SetHTTP1(true)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	t.Cleanup(plain.Close)
	clear := "http://" + host + ":" + port(t, plain)
	for _, tt := range []struct{ url, protocol, want string }{
		{with2, "auto", "HTTP/2.0"},
		{with2, "h2", "HTTP/2.0"},
		{with2, "http/1.1", "HTTP/1.1"},
		{with1, "auto", "HTTP/1.1"},
		{with1, "h2", ""},
		{clear, "auto", "HTTP/1.1"},
		{clear, "h2", "HTTP/2.0"},
	} {
		r, rec := probe(t, fmt.Sprintf("request: %s\nprotocol: %s\nexpect: [\"body == protocol\", \"protocol == '%s'\"]", tt.url, tt.protocol, tt.want), trusting(ca.pool()))
		if tt.want == "" {
			require.Equal(t, probes.ClassTLS, r.Class)
			require.Equal(t, "应使用 h2，实际使用 http/1.1", sentence(r))
			continue
		}
		require.Equal(t, probes.Up, r.Verdict, "%s %s: %+v", tt.url, tt.protocol, r.Findings)
		require.Equal(t, r.Timings.Total, r.Timings.DNS+r.Timings.Connect+r.Timings.TLS+r.Timings.Request+r.Timings.FirstByte+r.Timings.Body)
		require.Equal(t, strings.TrimPrefix(tt.want, "HTTP/"), rec.Spans()[0].Attrs["network.protocol.version"])
	}
}
