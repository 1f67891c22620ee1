package hosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// upstream is a name server on loopback, UDP and TCP on one port.
type upstream struct {
	addr     string
	udp, tcp atomic.Int64 // questions
}

func newUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{}
	var packets net.PacketConn
	var stream net.Listener
	require.Eventually(t, func() bool { // a port that is free for both
		var err error
		if packets, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			return false
		}
		if stream, err = net.Listen("tcp", packets.LocalAddr().String()); err != nil {
			packets.Close()
			return false
		}
		return true
	}, 30*time.Second, time.Millisecond)
	u.addr = packets.LocalAddr().String()
	for _, s := range []*dns.Server{
		{PacketConn: packets, Handler: u.handler(&u.udp, true)},
		{Listener: stream, Handler: u.handler(&u.tcp, false)},
	} {
		started, ended := make(chan struct{}), make(chan error, 1)
		s.NotifyStartedFunc = func() { close(started) }
		go func() { ended <- s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			require.NoError(t, s.Shutdown())
			require.NoError(t, <-ended)
		})
	}
	return u
}

func (u *upstream) handler(count *atomic.Int64, small bool) dns.HandlerFunc {
	return func(w dns.ResponseWriter, q *dns.Msg) {
		count.Add(1)
		r := new(dns.Msg)
		r.SetReply(q)
		name := q.Question[0].Name
		switch {
		case strings.HasPrefix(name, "none."):
			r.Rcode = dns.RcodeNameError
		case strings.HasPrefix(name, "large.") && small:
			r.Truncated = true
		case q.Question[0].Qtype == dns.TypeA:
			r.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(192, 0, 2, 7)}}
		}
		_ = w.WriteMsg(r) // a client that left is no matter of ours
	}
}

// resolver is the map's, which believes that the host's name server is at addr.
func resolver(t *testing.T, addr string, rules ...string) *net.Resolver {
	t.Helper()
	m, err := Parse(rules)
	require.NoError(t, err)
	r := m.Resolver()
	dial := r.Dial
	require.NotNil(t, dial)
	r.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) { return dial(ctx, network, addr) }
	return r
}

func lookup(t *testing.T, r *net.Resolver, network, host string) ([]string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ips, err := r.LookupNetIP(ctx, network, host)
	var out []string
	for _, ip := range ips {
		out = append(out, ip.Unmap().String())
	}
	return out, err
}

func TestOtherNamesGoToTheHostsServers(t *testing.T) {
	u := newUpstream(t)
	r := resolver(t, u.addr, "*.a.test=127.0.2.1")
	got, err := lookup(t, r, "ip4", "elsewhere.test.")
	require.NoError(t, err)
	require.Equal(t, []string{"192.0.2.7"}, got)
	require.Equal(t, int64(1), u.udp.Load())

	got, err = lookup(t, r, "ip4", "x.a.test.")
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.2.1"}, got)
	require.Equal(t, int64(1), u.udp.Load(), "names of the map are not asked for")
}

func TestTruncatedAnswersAreAskedForOverTCP(t *testing.T) {
	u := newUpstream(t)
	got, err := lookup(t, resolver(t, u.addr, "a.test=127.0.2.1"), "ip4", "large.test.")
	require.NoError(t, err)
	require.Equal(t, []string{"192.0.2.7"}, got)
	require.Equal(t, int64(1), u.udp.Load())
	require.Equal(t, int64(1), u.tcp.Load())
}

// TestFailuresStayApart: a name that does not exist is not a server that is gone.
func TestFailuresStayApart(t *testing.T) {
	u := newUpstream(t)
	_, err := lookup(t, resolver(t, u.addr, "a.test=127.0.2.1"), "ip4", "none.test.")
	var dnsErr *net.DNSError
	require.ErrorAs(t, err, &dnsErr)
	require.True(t, dnsErr.IsNotFound)

	gone, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	_, err = lookup(t, resolver(t, gone.LocalAddr().String(), "a.test=127.0.2.1"), "ip4", "elsewhere.test.")
	require.ErrorAs(t, err, &dnsErr)
	require.False(t, dnsErr.IsNotFound)
	require.True(t, dnsErr.IsTemporary, "%v", err)
}

func TestFamiliesFollowTheRule(t *testing.T) {
	r := resolver(t, "127.0.0.1:1", "four.test=127.0.2.4", "six.test=2001:db8::6", "mapped.test=::ffff:127.0.2.5")
	for _, c := range []struct{ network, host, want string }{
		{"ip4", "four.test.", "[127.0.2.4]"},
		{"ip", "four.test.", "[127.0.2.4]"},
		{"ip6", "six.test.", "[2001:db8::6]"},
		{"ip", "six.test.", "[2001:db8::6]"},
		{"ip4", "mapped.test.", "[127.0.2.5]"},
	} {
		got, err := lookup(t, r, c.network, c.host)
		require.NoError(t, err, c.host)
		require.Equal(t, c.want, fmt.Sprint(got), c.host)
	}
	for network, host := range map[string]string{"ip6": "four.test.", "ip4": "six.test."} {
		_, err := lookup(t, r, network, host)
		var dnsErr *net.DNSError
		require.ErrorAs(t, err, &dnsErr, host)
		require.True(t, dnsErr.IsNotFound, "the name exists without an address of that family")
	}
}

// TestOtherTypesOfAMappedNameAreEmpty, as of a line in /etc/hosts: they are asked nobody.
func TestOtherTypesOfAMappedNameAreEmpty(t *testing.T) {
	u := newUpstream(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := resolver(t, u.addr, "a.test=127.0.2.1").LookupTXT(ctx, "a.test.")
	var dnsErr *net.DNSError
	require.ErrorAs(t, err, &dnsErr)
	require.Zero(t, u.udp.Load()+u.tcp.Load())
}

// TestALookupEndsWithItsContext although the server never answers; TestMain sees
// whether anything of it stays behind.
func TestALookupEndsWithItsContext(t *testing.T) {
	quiet, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer quiet.Close()
	r := resolver(t, quiet.LocalAddr().String(), "a.test=127.0.2.1")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := r.LookupNetIP(ctx, "ip4", "elsewhere.test.")
		done <- err
	}()
	_, _, err = quiet.ReadFrom(make([]byte, 512)) // the question is on its way
	require.NoError(t, err)
	cancel()
	select {
	case err := <-done:
		require.Error(t, err)
		require.True(t, errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "cancel"), "%v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("the lookup goes on")
	}
}

func TestGarbageInsteadOfAQuestionEndsTheConnection(t *testing.T) {
	m, err := Parse([]string{"a.test=127.0.2.1"})
	require.NoError(t, err)
	conn, err := m.Resolver().Dial(t.Context(), "udp", "127.0.0.1:1")
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = conn.Write([]byte{0, 3, 'x', 'y', 'z'})
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.ErrorContains(t, err, "EOF")
}

func TestWithoutRulesTheHostsResolverIsUsed(t *testing.T) {
	m, err := Parse(nil)
	require.NoError(t, err)
	require.Nil(t, m.Resolver().Dial)
	require.Empty(t, m.ChromiumRules())
}

func TestTheFirstRuleThatMatchesWins(t *testing.T) {
	m, err := Parse([]string{"*.a.test=127.0.2.1", "www.a.test=127.0.2.9", " B.test = ::1 ", "*.c.test=2001:db8::1"})
	require.NoError(t, err)
	got, ok := m.Lookup("www.a.test")
	require.True(t, ok)
	require.Equal(t, "127.0.2.1", got.String())
	got, ok = m.Lookup("b.TEST")
	require.True(t, ok)
	require.Equal(t, "::1", got.String())
	require.Equal(t, "MAP *.a.test 127.0.2.1,MAP www.a.test 127.0.2.9,MAP b.test [::1],MAP *.c.test [2001:db8::1]", m.ChromiumRules())
}

func TestParseRefusesWhatNoNameIs(t *testing.T) {
	for _, bad := range []string{"=127.0.0.1", "a.test=", "a*.test=127.0.0.1", "*=127.0.0.1", "*.=127.0.0.1", "a.test=fe80::1%eth0", "a b.test=127.0.0.1", "a.test,b.test=127.0.0.1"} {
		_, err := Parse([]string{bad})
		require.ErrorContains(t, err, "host rule: want NAME=ADDRESS or *.NAME=ADDRESS, got "+fmt.Sprintf("%q", bad))
	}
}
