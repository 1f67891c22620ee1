package httpprobe_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/probetest"
)

// outside makes address look like one on the internet whose traffic ends at
// the tests' own servers, and counts what is dialled elsewhere.
func outside(address string, inside *atomic.Int32) option {
	return func(ctx context.Context, env *probes.Env) context.Context {
		dial := env.Dial
		env.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			h, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			if h == address {
				return dial(ctx, network, net.JoinHostPort("127.0.0.1", port))
			}
			inside.Add(1)
			return dial(ctx, network, addr)
		}
		return ctx
	}
}

func TestRedirectsStayOutside(t *testing.T) {
	const public = "203.0.113.9"
	var to atomic.Value
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, to.Load().(string), http.StatusFound)
			return
		}
		send(200, utf8HTML, hall)(w, r)
	})
	_, port, err := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	for _, tt := range []struct{ to, allow, refused string }{
		{"http://" + public + ":" + port + "/next", "", ""},
		{"/next", "", ""},
		{"http://127.0.0.1:" + port + "/next", "", "127.0.0.1 (loopback)"},
		{"http://127.1:" + port + "/next", "", "无法解析"}, // not an address here: a name that nobody knows
		{"http://[::1]:" + port + "/next", "", "::1 (loopback)"},
		{"http://[::ffff:127.0.0.1]:" + port + "/next", "", "127.0.0.1 (loopback)"},
		{"http://[64:ff9b::7f00:1]:" + port + "/next", "", "64:ff9b::7f00:1 (loopback)"},
		{"http://[2002:a00:1::]/next", "", "2002:a00:1:: (private)"},
		{"http://0.0.0.0:" + port + "/next", "", "0.0.0.0 (unspecified)"},
		{"http://[::]:" + port + "/next", "", ":: (unspecified)"},
		{"http://10.1.2.3/next", "", "10.1.2.3 (private)"},
		{"http://192.168.1.1/next", "", "192.168.1.1 (private)"},
		{"http://100.64.9.9/next", "", "100.64.9.9 (private)"},
		{"http://[fd12::1]/next", "", "fd12::1 (private)"},
		{"http://169.254.1.1/next", "", "169.254.1.1 (link-local)"},
		{"http://[fe80::1]/next", "", "fe80::1 (link-local)"},
		{"http://169.254.169.254/latest/meta-data/", "", "169.254.169.254 (metadata)"},
		{"http://100.100.100.200/latest/meta-data/", "", "100.100.100.200 (metadata)"},
		{"http://224.0.0.1/", "", "224.0.0.1 (reserved)"},
		{"http://inside.example.test:" + port + "/next", "", "127.0.0.1 (loopback)"},
		{"http://127.0.0.1:" + port + "/next", "127.0.0.0/8", ""},
		{"http://127.0.0.1:" + port + "/next", "127.0.0.1", ""},
		{"http://inside.example.test:" + port + "/next", "inside.example.test", ""},
		{"http://inside.example.test:" + port + "/next", ".example.test", ""},
		{"http://inside.example.test:" + port + "/next", "xample.test", "127.0.0.1 (loopback)"},
		{"http://10.1.2.3/next", "127.0.0.0/8", "10.1.2.3 (private)"},
	} {
		t.Run(tt.to+" "+tt.allow, func(t *testing.T) {
			to.Store(tt.to)
			var inside atomic.Int32
			names := func(ctx context.Context, env *probes.Env) context.Context {
				env.Resolver = probetest.Resolver(t, map[string]netip.Addr{host: netip.MustParseAddr(public), "inside.example.test": probetest.Loopback})
				return ctx
			}
			r, rec := probe(t, fmt.Sprintf("request: %s/\nallow: [%s]", url, tt.allow), names, outside(public, &inside))
			switch tt.refused {
			case "":
				require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
			case "无法解析":
				require.Equal(t, probes.ClassDNS, r.Class)
			default:
				require.Equal(t, probes.Down, r.Verdict)
				require.Equal(t, probes.ClassRedirect, r.Class)
				require.Equal(t, probes.PhraseRedirectInside, r.Findings[0].Phrase)
				require.Equal(t, "redirect 1", r.Findings[0].Step)
				require.Contains(t, sentence(r), "指向内部地址 "+tt.refused+"，未跟随")
				require.Zero(t, inside.Load(), "nothing inside is dialled")
				spans := rec.Spans()
				require.Equal(t, probes.ClassRedirect, spans[len(spans)-1].Class)
			}
		})
	}
}

// A name that answers with an address inside only when it is asked again is
// judged by what is dialled then.
func TestRedirectToANameThatMovesInside(t *testing.T) {
	const public = "203.0.113.9"
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/next", http.StatusFound) })
	var lookups, inside atomic.Int32
	before := probetest.Resolver(t, map[string]netip.Addr{host: netip.MustParseAddr(public)})
	after := probetest.Resolver(t, map[string]netip.Addr{host: probetest.Loopback})
	rebind := func(ctx context.Context, env *probes.Env) context.Context {
		env.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if lookups.Add(1) <= 2 { // A and AAAA of the first request
				return before.Dial(ctx, network, addr)
			}
			return after.Dial(ctx, network, addr)
		}}
		return ctx
	}
	r, _ := probe(t, "request: "+url+"/", rebind, outside(public, &inside))
	require.Equal(t, probes.ClassRedirect, r.Class, "%+v", r)
	require.Contains(t, sentence(r), "127.0.0.1 (loopback)")
	require.Zero(t, inside.Load())
}

func TestRedirectsInsideOneRegion(t *testing.T) {
	other := strings.Replace(serve(t, send(200, utf8HTML, hall)), host, "sso.example.test", 1)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusFound) })
	r, _ := probe(t, "request: "+url)
	require.Equal(t, probes.Up, r.Verdict, "an inside site may lead to its like: %+v", r.Findings)
	url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
	})
	r, _ = probe(t, "request: "+url)
	require.Equal(t, probes.PhraseRedirectInside, r.Findings[0].Phrase, "but never to a cloud's metadata")
}

func TestBodiesStayAtTheirOrigin(t *testing.T) {
	var got []string
	other := strings.Replace(serve(t, func(_ http.ResponseWriter, r *http.Request) { got = append(got, r.Method) }), host, "sso.example.test", 1)
	status := 0
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, status) })
	for _, status = range []int{http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		got = nil
		r, _ := probe(t, fmt.Sprintf("request: {url: %q, body: hello}", url))
		require.Equal(t, probes.ClassRedirect, r.Class)
		require.Equal(t, "跳转会把请求内容再发到别处，未跟随："+other, sentence(r))
		require.Empty(t, got)
		r, _ = probe(t, fmt.Sprintf("request: {url: %q, body: hello}\nallow: [sso.example.test]", url))
		require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
		require.Equal(t, []string{"POST"}, got)
	}
}
