package dnsprobe_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/dnsprobe"
	"github.com/gengfu/gengfu/probes/probetest"
)

const patience = 30 * time.Second

// zone is what the test's name servers know.
var zone = []string{
	"www.example.test. 300 IN CNAME Node.example.test.",
	"node.example.test. 60 IN A 10.0.0.2",
	"node.example.test. 90 IN A 10.0.0.1",
	"node.example.test. 90 IN AAAA 2001:db8::1",
	"example.test. 600 IN MX 10 mail.example.test.",
	"example.test. 600 IN NS ns1.example.test.",
	"example.test. 600 IN TXT \"v=spf1 \" \"-all\"",
	"example.test. 600 IN SOA ns1.example.test. admin.example.test. 7 3600 600 86400 60",
	"example.test. 600 IN CAA 0 issue \"ca.example.test\"",
	"_sip._tcp.example.test. 600 IN SRV 1 2 5060 sip.example.test.",
	"1.0.0.10.in-addr.arpa. 600 IN PTR node.example.test.",
	"a.loop.test. 60 IN CNAME b.loop.test.",
	"b.loop.test. 60 IN CNAME a.loop.test.",
	"stray.example.test. 60 IN CNAME node.example.test.",
}

// honest answers from the zone, following aliases as a resolver does.
func honest(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	name := strings.ToLower(q.Question[0].Name)
	switch {
	case strings.HasPrefix(name, "servfail."):
		m.Rcode = dns.RcodeServerFailure
	case strings.HasPrefix(name, "refused."):
		m.Rcode = dns.RcodeRefused
	case strings.HasPrefix(name, "notimp."):
		m.Rcode = dns.RcodeNotImplemented
	case strings.HasPrefix(name, "old.") && q.IsEdns0() != nil:
		m.Rcode, m.Question = dns.RcodeFormatError, nil
	case strings.HasPrefix(name, "long.") && w.RemoteAddr().Network() == "udp":
		m.Truncated = true
	case strings.HasPrefix(name, "long."), strings.HasPrefix(name, "old."):
		for i := range 300 {
			m.Answer = append(m.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 5},
				A:   net.IPv4(10, 1, byte(i>>8), byte(i)),
			})
		}
		m.Truncated = w.RemoteAddr().Network() == "udp" && strings.HasPrefix(name, "long.")
	default:
		known := false
		for range 4 {
			next := ""
			for _, line := range zone {
				rr, err := dns.NewRR(line)
				if err != nil {
					panic(err)
				}
				if !strings.EqualFold(rr.Header().Name, name) {
					continue
				}
				known = true
				if c, ok := rr.(*dns.CNAME); ok && q.Question[0].Qtype != dns.TypeCNAME {
					next = strings.ToLower(c.Target)
					m.Answer = append(m.Answer, rr)
				} else if rr.Header().Rrtype == q.Question[0].Qtype {
					m.Answer = append(m.Answer, rr)
				}
			}
			if name = next; name == "" {
				break
			}
		}
		if !known {
			m.Rcode = dns.RcodeNameError
		}
		m.Authoritative = true
		m.AuthenticatedData = q.AuthenticatedData
	}
	_ = w.WriteMsg(m)
}

// serve runs a server for UDP and TCP on one port until the test ends.
func serve(t *testing.T, h dns.HandlerFunc) string {
	t.Helper()
	var conn net.PacketConn
	var l net.Listener
	for range 50 { // a port free for one may be taken for the other
		var err error
		conn, err = new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
		require.NoError(t, err)
		if l, err = new(net.ListenConfig).Listen(t.Context(), "tcp", conn.LocalAddr().String()); err == nil {
			break
		}
		conn.Close()
	}
	require.NotNil(t, l)
	start(t, &dns.Server{PacketConn: conn, Handler: h})
	start(t, &dns.Server{Listener: l, Handler: h})
	return conn.LocalAddr().String()
}

func start(t *testing.T, s *dns.Server) {
	t.Helper()
	var group sync.WaitGroup
	ready := make(chan struct{})
	s.NotifyStartedFunc = func() { close(ready) }
	group.Go(func() { _ = s.ActivateAndServe() })
	<-ready
	t.Cleanup(func() {
		_ = s.Shutdown()
		group.Wait()
	})
}

// datagrams answers every datagram with what reply makes of it.
func datagrams(t *testing.T, reply func(query []byte) [][]byte) string {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	var group sync.WaitGroup
	group.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, b := range reply(buf[:n]) {
				_, _ = conn.WriteTo(b, from)
			}
		}
	})
	t.Cleanup(func() {
		conn.Close()
		group.Wait()
	})
	return conn.LocalAddr().String()
}

// answered is a right answer to a query, after change.
func answered(query []byte, change func(*dns.Msg)) []byte {
	q, m := new(dns.Msg), new(dns.Msg)
	if err := q.Unpack(query); err != nil {
		return nil
	}
	m.SetReply(q)
	m.Answer = []dns.RR{&dns.A{
		Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(10, 0, 0, 1),
	}}
	change(m)
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func run(t *testing.T, env probes.Env, timeout time.Duration, source string) probes.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	r, err := probetest.Decode(t, dnsprobe.Kind, source).Probe(ctx, env)
	require.NoError(t, err)
	probetest.Readable(t, r)
	return r
}

func TestTypes(t *testing.T) {
	server := serve(t, honest)
	for _, tt := range []struct{ query, kind, answers string }{
		{"www.example.test", "A", "['10.0.0.1', '10.0.0.2']"},
		{"NODE.Example.test.", "AAAA", "['2001:DB8:0::1']"},
		{"www.example.test", "CNAME", "[NODE.example.test.]"},
		{"example.test", "MX", "['10 mail.example.test']"},
		{"example.test", "NS", "[ns1.example.test]"},
		{"example.test", "TXT", "['v=spf1 -all']"},
		{"example.test", "SOA", "['ns1.example.test admin.example.test 7 3600 600 86400 60']"},
		{"example.test", "CAA", "['0 issue \"ca.example.test\"']"},
		{"_sip._tcp.example.test", "SRV", "['1 2 5060 sip.example.test.']"},
		{"10.0.0.1", "PTR", "[node.example.test]"},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			env, rec := probetest.Env(t, nil, nil)
			r := run(t, env, patience, fmt.Sprintf("{query: '%s', type: %s, servers: ['%s'], answers: %s, expect: ['authoritative', 'authenticated', 'not truncated', 'ttl > 50', 'count > 0']}",
				tt.query, tt.kind, server, tt.answers))
			require.Equal(t, probes.Up, r.Verdict, "%+v", r)
			require.Equal(t, []string{"query " + server, "query " + server + "/first_byte"}, rec.Names())
			require.Equal(t, "127.0.0.1", r.IP)
			require.Equal(t, r.Timings.FirstByte, r.Timings.Total)
			require.Equal(t, "udp", rec.Spans()[0].Attrs["network.transport"])
		})
	}
}

func TestAliasesAndTimes(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	r := run(t, env, patience, "{query: www.example.test, servers: ['"+serve(t, honest)+"'], expect: ['ttl == 60', \"aliases == ['node.example.test']\"]}")
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)
	require.Equal(t, 60.0, r.Measures["ttl_s"])
}

func TestFailures(t *testing.T) {
	server := serve(t, honest)
	for _, tt := range []struct {
		query, rest string
		class       probes.Class
		phrase      probes.Phrase
		want, got   string
	}{
		{"nowhere.test", "", probes.ClassDNS, probes.PhraseDNSNoName, "nowhere.test", server},
		{"servfail.test", "", probes.ClassDNS, probes.PhraseDNSServFail, "servfail.test/A", server},
		{"refused.test", "", probes.ClassDNS, probes.PhraseDNSRefused, "refused.test/A", server},
		{"notimp.test", "", probes.ClassDNS, probes.PhraseDNSCode, "notimp.test/A", server + " NOTIMP"},
		{"example.test", "", probes.ClassDNS, probes.PhraseDNSNoRecord, "example.test/A", server},
		{"a.loop.test", "", probes.ClassDNS, probes.PhraseDNSNoRecord, "a.loop.test/A", server},
		{"www.example.test", ", answers: ['10.0.0.1']", probes.ClassDNS, probes.PhraseDNSExact, "10.0.0.1", "10.0.0.1, 10.0.0.2"},
		{"www.example.test", ", answers: {contains: ['10.0.0.1', '10.0.0.9']}", probes.ClassDNS, probes.PhraseDNSMissing, "10.0.0.9", "10.0.0.1, 10.0.0.2"},
		{"www.example.test", ", answers: {one_of: ['10.0.0.1'], within: [192.0.2.0/24]}", probes.ClassDNS, probes.PhraseDNSOutside, "10.0.0.1, 192.0.2.0/24", "10.0.0.2"},
		{"www.example.test", ", expect: ['ttl > 100']", probes.ClassDNS, probes.PhraseCheck, "ttl > 100", "ttl = 60"},
		{"www.example.test", ", expect: ['latency < 1ns']", probes.ClassLatency, probes.PhraseCheck, "latency < 1ns", ""},
	} {
		t.Run(tt.query+tt.rest, func(t *testing.T) {
			env, _ := probetest.Env(t, nil, nil)
			r := run(t, env, patience, "{query: "+tt.query+", servers: ['"+server+"']"+tt.rest+"}")
			require.Equal(t, probes.Down, r.Verdict)
			require.Equal(t, tt.class, r.Class)
			require.Len(t, r.Findings, 1)
			f := r.Findings[0]
			require.Equal(t, tt.phrase, f.Phrase)
			require.Equal(t, tt.want, f.Want)
			require.Equal(t, "query "+server, f.Step)
			if tt.got != "" {
				require.Equal(t, tt.got, f.Got)
			}
		})
	}
}

func TestAnswersThatWillDo(t *testing.T) {
	server := serve(t, honest)
	for _, rest := range []string{
		", answers: {within: [10.0.0.0/8]}", ", answers: {one_of: ['10.0.0.1', '10.0.0.2', '10.0.0.3']}",
		", answers: {contains: ['10.0.0.1'], within: [10.0.0.0/30]}", ", answers: {one_of: ['10.0.0.1'], within: [10.0.0.2/32]}",
	} {
		env, _ := probetest.Env(t, nil, nil)
		r := run(t, env, patience, "{query: www.example.test, servers: ['"+server+"']"+rest+"}")
		require.Equal(t, probes.Up, r.Verdict, "%s: %+v", rest, r)
	}
	// Nothing is not among what will do, however it was asked for.
	env, _ := probetest.Env(t, nil, nil)
	r := run(t, env, patience, "{query: example.test, servers: ['"+server+"'], answers: {within: [10.0.0.0/8]}, expect: ['count == 0']}")
	require.Equal(t, probes.PhraseDNSOutside, r.Findings[0].Phrase)
	// A name that should not be there.
	r = run(t, env, patience, "{query: nowhere.test, servers: ['"+server+"'], expect: [\"rcode == 'NXDOMAIN'\"]}")
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)
	r = run(t, env, patience, "{query: www.example.test, servers: ['"+server+"'], expect: [\"rcode == 'NXDOMAIN'\"]}")
	require.Equal(t, probes.ClassDNS, r.Class)
}

func TestTruncationLeadsToTCP(t *testing.T) {
	env, rec := probetest.Env(t, nil, nil)
	server := serve(t, honest)
	r := run(t, env, patience, "{query: long.test, servers: ['"+server+"'], expect: ['truncated', 'count == 300', 'len(answers) == 100']}")
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)
	require.Equal(t, []string{"first_byte", "connect", "request", "first_byte"}, below(rec))
	require.Equal(t, "tcp", rec.Spans()[0].Attrs["network.transport"])
}

func below(rec *probetest.Recorder) []string {
	var out []string
	for _, s := range rec.Spans() {
		if s.Parent != "" {
			out = append(out, s.Name)
		}
	}
	return out
}

func TestOldServerWithoutExtensions(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	r := run(t, env, patience, "{query: old.test, servers: ['tcp://"+serve(t, honest)+"']}")
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)
}

func TestOverTLS(t *testing.T) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	config := s.TLS.Clone()
	config.NextProtos = []string{"dot"}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	start(t, &dns.Server{Listener: l, Net: "tcp-tls", Handler: dns.HandlerFunc(honest)})
	env, rec := probetest.Env(t, nil, nil)
	source := "{query: www.example.test, servers: ['tls://" + l.Addr().String() + "#example.com'], expect: ['cert.days_left > 1', 'tls > 0ns']}"
	r := run(t, env, patience, source)
	require.Equal(t, probes.ClassTLS, r.Class)
	env.Roots = x509.NewCertPool()
	env.Roots.AddCert(s.Certificate())
	r = run(t, env, patience, source)
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)
	require.Subset(t, below(rec), []string{"connect", "tls", "request", "first_byte"})
	require.False(t, r.TLSUntil.IsZero())
	r = run(t, env, patience, strings.Replace(source, "example.com", "other.test", 1))
	require.Equal(t, probes.PhraseCertName, r.Findings[0].Phrase)
}

func TestSilence(t *testing.T) {
	addr := datagrams(t, func([]byte) [][]byte { return nil })
	env, rec := probetest.Env(t, nil, nil)
	r := run(t, env, 300*time.Millisecond, "{query: www.example.test, servers: ['"+addr+"']}")
	require.Equal(t, probes.ClassTimeout, r.Class)
	require.Equal(t, probes.PhraseReplyTimeout, r.Findings[0].Phrase)
	require.Equal(t, addr, r.Findings[0].Want)
	require.Equal(t, 3, rec.Spans()[1].Attrs["gengfu.dns.sends"], "what is lost is sent again")

	// Nothing listens there: the kernel says so.
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	conn.Close()
	r = run(t, env, patience, "{query: www.example.test, servers: ['"+conn.LocalAddr().String()+"']}")
	require.Equal(t, probes.ClassConnect, r.Class)
	require.Equal(t, probes.PhraseRefused, r.Findings[0].Phrase)
}

func TestLostDatagramIsSentAgain(t *testing.T) {
	n := 0
	addr := datagrams(t, func(q []byte) [][]byte {
		if n++; n == 1 {
			return nil
		}
		return [][]byte{answered(q, func(*dns.Msg) {})}
	})
	env, _ := probetest.Env(t, nil, nil)
	r := run(t, env, patience, "{query: www.example.test, servers: ['"+addr+"']}")
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)
	require.Equal(t, 1.0, r.Measures["resent"])
}

func TestForgeries(t *testing.T) {
	forge := map[string]func(*dns.Msg){
		"id":              func(m *dns.Msg) { m.Id++ },
		"question other.": func(m *dns.Msg) { m.Question[0].Name = "other." },
		"question type":   func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMX },
		"question -":      func(m *dns.Msg) { m.Question = nil },
		"opcode":          func(m *dns.Msg) { m.Response = false },
	}
	for name, change := range forge {
		t.Run(name, func(t *testing.T) {
			env, _ := probetest.Env(t, nil, nil)
			addr := datagrams(t, func(q []byte) [][]byte { return [][]byte{answered(q, change)} })
			r := run(t, env, 500*time.Millisecond, "{query: www.example.test, servers: ['"+addr+"']}")
			require.Equal(t, probes.ClassDNS, r.Class, "%+v", r.Findings)
			require.Equal(t, probes.PhraseDNSForged, r.Findings[0].Phrase)
			word, _, _ := strings.Cut(name, " ")
			require.Contains(t, r.Findings[0].Got, word)

			// One beside the right answer changes nothing.
			addr = datagrams(t, func(q []byte) [][]byte { return [][]byte{answered(q, change), answered(q, func(*dns.Msg) {})} })
			r = run(t, env, patience, "{query: www.example.test, servers: ['"+addr+"']}")
			require.Equal(t, probes.Up, r.Verdict, "%+v", r)
			require.Equal(t, 1.0, r.Measures["stray"])
		})
	}
}

// TestFlood of datagrams that belong to no query ends before the deadline.
func TestFlood(t *testing.T) {
	addr := datagrams(t, func(q []byte) [][]byte {
		all := make([][]byte, 3000)
		for i := range all {
			all[i] = answered(q, func(m *dns.Msg) { m.Id++ })
		}
		return all
	})
	env, _ := probetest.Env(t, nil, nil)
	r := run(t, env, patience/2, "{query: www.example.test, servers: ['"+addr+"']}")
	require.Equal(t, probes.PhraseDNSForged, r.Findings[0].Phrase)
	require.LessOrEqual(t, r.Measures["stray"], 1001.0)
}

// TestCase: a datagram with other letters may be forged; over TCP it is not.
func TestCase(t *testing.T) {
	lower := func(w dns.ResponseWriter, q *dns.Msg) {
		q.Question[0].Name = strings.ToLower(q.Question[0].Name)
		honest(w, q)
	}
	const long = "node.example.test" // sixteen letters: all lower by chance once in 65536
	env, _ := probetest.Env(t, nil, nil)
	r := run(t, env, patience, "{query: "+long+", servers: ['"+serve(t, lower)+"']}")
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)

	forged := datagrams(t, func(q []byte) [][]byte {
		return [][]byte{answered(q, func(m *dns.Msg) { m.Question[0].Name = strings.ToLower(m.Question[0].Name) })}
	})
	r = run(t, env, patience, "{query: "+long+", servers: ['"+forged+"']}")
	require.Equal(t, probes.PhraseDNSForged, r.Findings[0].Phrase)
	require.Equal(t, "0x20", r.Findings[0].Got)
	r = run(t, env, patience, "{query: "+long+", servers: ['"+forged+"'], mixed_case: false}")
	require.Equal(t, probes.Up, r.Verdict)
}

func TestMalformed(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	addr := datagrams(t, func(q []byte) [][]byte {
		b := answered(q, func(*dns.Msg) {})
		return [][]byte{b[:len(b)-3]}
	})
	r := run(t, env, patience, "{query: www.example.test, servers: ['"+addr+"']}")
	require.Equal(t, probes.ClassDNS, r.Class)
	require.Equal(t, probes.PhraseDNSBroken, r.Findings[0].Phrase)

	// A stream that promises more than it sends.
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			var head [2]byte
			_, _ = io.ReadFull(conn, head[:])
			_, _ = io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint16(head[:])))
			_, _ = conn.Write([]byte{0xff, 0xff, 1, 2, 3})
			conn.Close()
		}
	})
	t.Cleanup(func() {
		l.Close()
		group.Wait()
	})
	r = run(t, env, patience, "{query: www.example.test, servers: ['tcp://"+l.Addr().String()+"']}")
	require.Equal(t, probes.ClassReset, r.Class)
	require.Equal(t, probes.PhraseCut, r.Findings[0].Phrase)
}

func TestSeveralServers(t *testing.T) {
	good, other := serve(t, honest), serve(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(6, 6, 6, 6)}}
		_ = w.WriteMsg(m)
	})
	second := serve(t, honest)
	env, rec := probetest.Env(t, nil, nil)
	servers := "servers: ['" + good + "', '" + other + "', '" + second + "']"

	r := run(t, env, patience, "{query: node.example.test, "+servers+"}")
	require.Equal(t, probes.Down, r.Verdict, "%+v", r)
	require.Equal(t, probes.ClassDNS, r.Class)
	require.Equal(t, probes.Finding{
		Class: probes.ClassDNS, Step: "query " + other, Phrase: probes.PhraseDNSDisagree,
		Want: good + " → 10.0.0.1, 10.0.0.2", Got: other + " → 6.6.6.6",
	}, r.Findings[0])
	require.ElementsMatch(t, []string{"query " + good, "query " + other, "query " + second}, steps(rec))
	for _, s := range []string{good, other, second} {
		require.Positive(t, r.Measures["ms "+s])
	}

	r = run(t, env, patience, "{query: node.example.test, servers_needed: 2, "+servers+"}")
	require.Equal(t, probes.Degraded, r.Verdict, "%+v", r)
	r = run(t, env, patience, "{query: node.example.test, compare: false, "+servers+"}")
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)

	// What is due is held against each; the checks show the one that fails.
	r = run(t, env, patience, "{query: node.example.test, answers: ['10.0.0.1', '10.0.0.2'], servers_needed: 2, "+servers+"}")
	require.Equal(t, probes.Degraded, r.Verdict)
	require.Equal(t, probes.PhraseDNSExact, r.Findings[0].Phrase)
	require.Equal(t, 2, r.Passed)
	r = run(t, env, patience, "{query: node.example.test, compare: false, expect: [\"'10.0.0.1' in answers\"], "+servers+"}")
	require.Equal(t, probes.Down, r.Verdict)
	require.Len(t, r.Checks, 1)
	require.False(t, r.Checks[0].OK)
	require.Contains(t, r.Checks[0].Saw, "6.6.6.6")
}

func steps(rec *probetest.Recorder) []string {
	var out []string
	for _, s := range rec.Spans() {
		if s.Parent == "" {
			out = append(out, s.Name)
		}
	}
	return out
}

// TestSystem asks as the agent's own resolver would, seen names included.
func TestSystem(t *testing.T) {
	env, _ := probetest.Env(t, map[string]netip.Addr{"www.example.test": netip.MustParseAddr("10.9.9.9")}, nil)
	r := run(t, env, patience, "{query: www.example.test, answers: ['10.9.9.9']}")
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)
	r = run(t, env, patience, "{query: nowhere.test}")
	require.Equal(t, probes.PhraseDNSNoName, r.Findings[0].Phrase)
}

func TestServerByName(t *testing.T) {
	_, port, _ := net.SplitHostPort(serve(t, honest))
	env, rec := probetest.Env(t, map[string]netip.Addr{"ns.test": probetest.Loopback}, nil)
	r := run(t, env, patience, "{query: www.example.test, servers: ['ns.test:"+port+"']}")
	require.Equal(t, probes.Up, r.Verdict, "%+v", r)
	require.Equal(t, []string{"dns", "first_byte"}, below(rec))
	require.Positive(t, r.Timings.DNS)
}

func TestMistakes(t *testing.T) {
	for source, want := range map[string]string{
		"query: ''":                                                               "query: want the name to look up",
		"query: 'a b'":                                                            "query: want a name such as",
		"query: 10.0.0.1":                                                         "write type: PTR",
		"{query: a.test, type: ANY}":                                              "type: want one of A, AAAA",
		"{query: a.test, more: 1}":                                                "more",
		"{query: a.test, servers: ['http://a.test']}":                             "servers[0]: want udp://, tcp:// or tls://",
		"{query: a.test, servers: ['10.0.0.1#a.test']}":                           "for tls:// alone",
		"{query: a.test, servers: ['10.0.0.1:99999']}":                            "want a port of 1 to 65535",
		"{query: a.test, servers: ['10.0.0.1', '10.0.0.1:53']}":                   "want each server once",
		"{query: a.test, servers_needed: 2}":                                      "servers_needed: want 1 to 1",
		"{query: a.test, answers: [a.test]}":                                      "answers.exact[0]: want an address that fits type A",
		"{query: a.test, answers: ['::1']}":                                       "fits type A",
		"{query: a.test, answers: {within: [10.0.0.0]}}":                          "answers.within[0]: want a network",
		"{query: a.test, answers: {within: ['::/0']}}":                            "fits type A",
		"{query: a.test, type: MX, answers: {within: [10.0.0.0/8]}}":              "want type A or AAAA",
		"{query: a.test, answers: {exact: ['10.0.0.1'], contains: ['10.0.0.1']}}": "want exact alone",
		"{query: a.test, expect: ['ttl > 1s']}":                                   "expect[0]: ",
	} {
		_, err := dnsprobe.Kind.Decode(probetest.Settings(source))
		require.ErrorContains(t, err, want, source)
	}
}
