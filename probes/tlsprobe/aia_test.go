package tlsprobe_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
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
	"github.com/gengfu/gengfu/probes/probetest"
)

// library serves what AIA addresses lead to; "{}" in a path's key is its own address.
type library struct {
	url   string
	mu    sync.Mutex
	asked []string
	pages map[string]http.HandlerFunc
}

func newLibrary(t *testing.T) *library {
	t.Helper()
	l := &library{pages: map[string]http.HandlerFunc{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.asked = append(l.asked, r.URL.Path)
		page := l.pages[r.URL.Path]
		l.mu.Unlock()
		if page == nil {
			http.NotFound(w, r)
			return
		}
		page(w, r)
	}))
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	require.NoError(t, err)
	l.url = "http://aia.rsj.test:" + port
	return l
}

func (l *library) serve(path string, body []byte) {
	l.page(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
}

func (l *library) page(path string, h http.HandlerFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pages[path] = h
}

func (l *library) paths() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{}, l.asked...)
}

// certsOnly wraps certificates into a CMS message, as .p7c files are.
func certsOnly(t testing.TB, list ...entity) []byte {
	t.Helper()
	var raw []byte
	for _, e := range list {
		raw = append(raw, e.cert.Raw...)
	}
	set := asn1.RawValue{Tag: asn1.TagSet, IsCompound: true}
	data, err := asn1.Marshal(struct {
		Version      int
		Algorithms   asn1.RawValue
		Encapsulated struct{ Type asn1.ObjectIdentifier }
		Certificates asn1.RawValue
		Signers      asn1.RawValue
	}{
		1, set,
		struct{ Type asn1.ObjectIdentifier }{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}},
		asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: raw},
		set,
	})
	require.NoError(t, err)
	message, err := asn1.Marshal(struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}{
		asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2},
		asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: data},
	})
	require.NoError(t, err)
	return message
}

func TestChainRepairedByAIA(t *testing.T) {
	root, stranger := newRoot(t, "根证书"), newRoot(t, "别的根")
	lib := newLibrary(t)
	upper := root.intermediate(t, "上级中间")
	lower := upper.intermediate(t, "下级中间", issuerAt(lib.url+"/upper"))
	lib.serve("/upper", upper.cert.Raw)
	lib.serve("/lower", lower.cert.Raw)
	lib.serve("/lower.pem", lower.pem())
	lib.serve("/lower.p7c", certsOnly(t, stranger, lower))
	lib.page("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/lower", http.StatusFound) })
	for _, tt := range []struct {
		name string
		urls []string
		from string
	}{
		{"DER", []string{lib.url + "/lower"}, "/lower"},
		{"PEM", []string{lib.url + "/lower.pem"}, "/lower.pem"},
		{"CMS", []string{lib.url + "/lower.p7c"}, "/lower.p7c"},
		{"redirect", []string{lib.url + "/moved"}, "/moved"},
		{"second address", []string{"ldap://aia.rsj.test/x", lib.url + "/lower"}, "/lower"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := at(t, day, serveTLS(t, sends(lower.site(t, issuerAt(tt.urls...)).with())), `
expect: [chain.trusted, not chain.complete, chain.repaired, "chain.missing == '下级中间'", "chain.root == '根证书'", chain.length == 1]`, trusting(root.pool()))
			require.Equal(t, probes.Degraded, l.Verdict, "%v", l.says())
			require.Equal(t, []string{"证书链不完整，靠 AIA 补齐：服务器没有发送中间证书「下级中间」（补自 " + lib.url + tt.from + "），部分客户端会打不开"}, l.says()[:1])
			require.Equal(t, []probes.Phrase{probes.PhraseChainAIA}, l.phrases())
			require.Equal(t, probes.ClassTLS, l.Class)
			require.Equal(t, true, l.span(t, "aia").Attrs["gengfu.tls.chain.repaired"])
		})
	}

	t.Run("it may be ignored", func(t *testing.T) {
		l := at(t, day, serveTLS(t, sends(lower.site(t, issuerAt(lib.url+"/lower")).with())), "ignore: [chain_aia]", trusting(root.pool()))
		require.Equal(t, probes.Up, l.Verdict, "%v", l.says())
	})
	t.Run("a complete chain asks nobody", func(t *testing.T) {
		before := len(lib.paths())
		l := at(t, day, serveTLS(t, sends(lower.site(t, issuerAt(lib.url+"/lower")).with(lower, upper))), "", trusting(root.pool()))
		require.Equal(t, probes.Up, l.Verdict, "%v", l.says())
		require.Len(t, lib.paths(), before)
	})
	t.Run("an expired one is repaired and said to be expired", func(t *testing.T) {
		site := lower.site(t, issuerAt(lib.url+"/lower"), dates(day.AddDate(-1, 0, 0), day.AddDate(0, 0, -1)))
		l := at(t, day, serveTLS(t, sends(site.with())), "", trusting(root.pool()))
		require.Equal(t, []probes.Phrase{probes.PhraseCertExpired, probes.PhraseChainAIA}, l.phrases())
		require.Equal(t, probes.Down, l.Verdict)
	})
}

func TestChainThatAIADoesNotRepair(t *testing.T) {
	root, stranger := newRoot(t, "根证书"), newRoot(t, "自建根证书")
	lib := newLibrary(t)
	good := root.intermediate(t, "中间证书")
	// The same name with another key: what comes is checked by its signature.
	forged := stranger.intermediate(t, "中间证书")
	strange := stranger.intermediate(t, "自建中间", issuerAt(lib.url+"/root"))
	lib.serve("/root", stranger.cert.Raw)
	lib.serve("/strange", strange.cert.Raw)
	lib.serve("/forged", forged.cert.Raw)
	lib.serve("/junk", []byte("<html>not here</html>"))
	lib.serve("/empty", nil)
	lib.serve("/large", append(good.pem(), make([]byte, 100_000)...))
	lib.page("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(bytes.Repeat([]byte{0x30}, 1<<16)); err != nil {
				return
			}
		}
	})
	lib.page("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	lib.page("/file", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
	})
	missing := func(url string) string {
		return "证书链不完整：缺少签发者证书「中间证书」，服务器没有发送，信任的根证书中也没有，从 " + url + " 也取不到"
	}
	for _, path := range []string{"/forged", "/junk", "/empty", "/large", "/endless", "/loop", "/file", "/404"} {
		t.Run(path[1:], func(t *testing.T) {
			l := at(t, day, serveTLS(t, sends(good.site(t, issuerAt(lib.url+path)).with())), "", trusting(root.pool()))
			require.Equal(t, probes.Down, l.Verdict)
			require.Equal(t, []string{missing(lib.url + path)}, l.says())
			require.Error(t, l.span(t, "aia/aia").Err)
		})
	}
	for _, url := range []string{"ftp://aia.rsj.test/x", "http://", "://", "http://nowhere.rsj.test/", "http://aia.rsj.test:1/"} {
		t.Run(url, func(t *testing.T) {
			l := at(t, day, serveTLS(t, sends(good.site(t, issuerAt(url)).with())), "", trusting(root.pool()))
			require.Equal(t, []string{missing(url)}, l.says())
		})
	}
	t.Run("up to a root that is not trusted", func(t *testing.T) {
		l := at(t, day, serveTLS(t, sends(strange.site(t, issuerAt(lib.url+"/strange")).with())), "expect: [not chain.complete]", trusting(root.pool()))
		require.Equal(t, []string{"www.rsj.test 的证书不受信任（自建根证书）"}, l.says())
	})
	t.Run("a chain without end", func(t *testing.T) {
		// Each certificate leads to the next one; the way is left after a few.
		key := newKey(t)
		var above entity
		ca := stranger
		for i := range 12 {
			path := "/deep/" + string(rune('a'+i))
			above, ca = ca, ca.intermediate(t, "第"+string(rune('a'+i))+"级", issuerAt(lib.url+path))
			lib.serve(path, above.cert.Raw)
		}
		lib.serve("/deep/top", ca.cert.Raw)
		before := len(lib.paths())
		l := at(t, day, serveTLS(t, sends(ca.siteOf(t, key, issuerAt(lib.url+"/deep/top")).with())), "", trusting(root.pool()))
		require.Equal(t, probes.Down, l.Verdict)
		require.Equal(t, []probes.Phrase{probes.PhraseChainMissing}, l.phrases())
		require.Len(t, lib.paths()[before:], 4)
	})
	t.Run("silence ends with the run", func(t *testing.T) {
		lib.page("/silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		port := serveTLS(t, sends(good.site(t, issuerAt(lib.url+"/silent")).with()))
		l := within(ctx, t, day, port, "", trusting(root.pool()))
		require.Equal(t, []string{missing(lib.url + "/silent")}, l.says())
	})
}

// TestPublicSiteLeadsNowhereInside holds that no certificate of a public site
// makes an agent ask an address inside.
func TestPublicSiteLeadsNowhereInside(t *testing.T) {
	root := newRoot(t, "根证书")
	ca := root.intermediate(t, "中间证书")
	lib := newLibrary(t)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(lib.url, "http://"))
	require.NoError(t, err)
	lib.serve("/ca", ca.cert.Raw)
	lib.page("/inside", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:"+port+"/ca", http.StatusFound)
	})
	const site, shelf = "203.0.113.10", "203.0.113.20"
	for _, tt := range []struct {
		url   string
		asked bool
	}{
		{"http://shelf.rsj.test:" + port + "/ca", true},
		{"http://" + shelf + ":" + port + "/ca", true},
		{"http://shelf.rsj.test:" + port + "/inside", false},
		{"http://127.0.0.1:" + port + "/ca", false},
		{"http://[::1]:" + port + "/ca", false},
		{"http://[::ffff:127.0.0.1]:" + port + "/ca", false},
		{"http://aia.rsj.test:" + port + "/ca", false},
		{"http://10.0.0.8/ca", false},
		{"http://169.254.169.254/latest/meta-data", false},
		{"http://100.100.100.200/latest/meta-data", false},
		{"http://[fd00::1]/ca", false},
	} {
		t.Run(tt.url, func(t *testing.T) {
			tlsPort := serveTLS(t, sends(ca.site(t, issuerAt(tt.url)).with()))
			var (
				mu    sync.Mutex
				dials []string
			)
			l := at(t, day, tlsPort, "", trusting(root.pool()), func(e *probes.Env) {
				e.Resolver = probetest.Resolver(t, map[string]netip.Addr{
					host: netip.MustParseAddr(site), "shelf.rsj.test": netip.MustParseAddr(shelf), "aia.rsj.test": probetest.Loopback,
				})
				dial := e.Dial
				e.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					h, p, _ := net.SplitHostPort(addr)
					mu.Lock()
					dials = append(dials, h)
					mu.Unlock()
					if h != site && h != shelf {
						return dial(ctx, network, addr)
					}
					return dial(ctx, network, net.JoinHostPort("127.0.0.1", p))
				}
			})
			if tt.asked {
				require.Equal(t, []probes.Phrase{probes.PhraseChainAIA}, l.phrases(), "%v", l.says())
			} else {
				require.Equal(t, []probes.Phrase{probes.PhraseChainMissing}, l.phrases(), "%v", l.says())
				require.Contains(t, l.span(t, "aia/aia").Attrs["gengfu.aia.error"], "further inside")
			}
			for _, d := range dials {
				require.Contains(t, []string{site, shelf}, d)
			}
		})
	}
}

func TestExpiredIntermediateIsNotMissing(t *testing.T) {
	root := newRoot(t, "根证书")
	lib := newLibrary(t)
	late := root.intermediate(t, "过期中间", dates(day.AddDate(-3, 0, 0), day.AddDate(0, 0, -2)), issuerAt(lib.url+"/root"))
	l := at(t, day, serveTLS(t, sends(late.site(t).with(late))), "expect: [chain.complete, not chain.trusted]", trusting(root.pool()))
	require.Equal(t, []probes.Phrase{probes.PhraseIssuerExpired}, l.phrases(), "%v", l.says())
	require.Empty(t, lib.paths())
}

// TestSeveralWays holds that of two ways to a root the one that lasts longer counts.
func TestSeveralWays(t *testing.T) {
	short, long := newRoot(t, "短根"), newRoot(t, "长根")
	ca := short.intermediate(t, "中间证书", dates(day.AddDate(-1, 0, 0), day.AddDate(0, 0, 20)))
	template := authorityTemplate("中间证书")
	template.NotAfter = day.AddDate(0, 0, 60)
	crossed := sign(t, template, long.cert, ca.key, long.key)
	both := short.pool()
	both.AddCert(long.cert)
	for _, sent := range [][]entity{{ca, crossed}, {crossed, ca}} {
		port := serveTLS(t, sends(ca.site(t).with(sent...)))
		l := at(t, day, port, "expect: [chain.days_left == 60, \"chain.root == '长根'\", cert.days_left == 90]", trusting(both))
		require.Equal(t, probes.Up, l.Verdict, "%v", l.says())
		l = at(t, day.AddDate(0, 0, 30), port, "expect: [chain.days_left == 30]", trusting(both))
		require.Equal(t, probes.Up, l.Verdict, "%v", l.says())
		l = at(t, day, port, "expect: [chain.days_left == 20, \"chain.root == '短根'\"]", trusting(short.pool()))
		require.Equal(t, probes.Up, l.Verdict, "%v", l.says())
	}
}

// TestManyCertificates holds that a chain of very many is looked at in part.
func TestManyCertificates(t *testing.T) {
	root := newRoot(t, "根证书")
	ca := root.intermediate(t, "中间证书")
	cert := ca.site(t).with()
	for range 60 {
		cert.Certificate = append(cert.Certificate, newRoot(t, "别的").cert.Raw)
	}
	l := at(t, day, serveTLS(t, sends(cert)), "expect: [chain.length == 61]", trusting(root.pool()))
	require.Equal(t, []probes.Phrase{probes.PhraseChainMissing}, l.phrases())

	cert.Certificate = append(cert.Certificate, ca.cert.Raw)
	l = at(t, day, serveTLS(t, sends(cert)), "", trusting(root.pool()))
	require.Equal(t, []probes.Phrase{probes.PhraseChainMissing}, l.phrases(), "what comes after very many is not looked at")
}

// TestHostileCertificates holds that texts of certificates stay texts of bounded length.
func TestHostileCertificates(t *testing.T) {
	root := newRoot(t, "根证书")
	long := strings.Repeat("很长的名称", 2000)
	var many []string
	for range 500 {
		many = append(many, strings.Repeat("a", 60)+".rsj.test")
	}
	for name, c := range map[string]change{
		"NUL in a name":  names("www.rsj.test\x00.evil.test", "x\ny\x1b[31m.test"),
		"many names":     names(many...),
		"long subject":   func(c *x509.Certificate) { c.Subject.CommonName, c.DNSNames = long, nil },
		"long extension": func(c *x509.Certificate) { names("a.test")(c); extension([]int{1, 2, 3, 4}, make([]byte, 40_000))(c) },
		"broken features": func(c *x509.Certificate) {
			names("a.test")(c)
			extension([]int{1, 3, 6, 1, 5, 5, 7, 1, 24}, []byte("junk"))(c)
		},
		"long AIA": func(c *x509.Certificate) {
			names("a.test")(c)
			issuerAt("http://aia.rsj.test/" + strings.Repeat("x", 20_000))(c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := at(t, day, serveTLS(t, sends(root.site(t, c).with())), "expect: ['len(cert.names) <= 21', \"cert.subject != ''\"]", trusting(root.pool()))
			require.Equal(t, probes.Down, l.Verdict)
			require.NotContains(t, l.rec.Text(), "\x00")
			require.NotContains(t, l.rec.Text(), "\x1b")
			require.Less(t, len(l.rec.Text()), 20_000)
			for _, s := range l.says() {
				require.NotContains(t, s, "\x00")
				require.Less(t, len(s), 1000)
			}
			for _, c := range l.Checks {
				require.True(t, c.OK, "%+v", c)
			}
		})
	}
}

func TestServerThatSendsNothingOfUse(t *testing.T) {
	config := &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{[]byte("not a certificate")}, PrivateKey: newKey(t)}, nil
		},
	}
	l := at(t, day, serveTLS(t, config), "")
	require.Equal(t, probes.Down, l.Verdict)
	require.Equal(t, probes.ClassTLS, l.Class)
	require.Equal(t, []probes.Phrase{probes.PhraseTLSFailed}, l.phrases())
	require.Contains(t, l.says()[0], "failed to parse certificate")
}
