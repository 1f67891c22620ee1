package reach_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
	"github.com/gengfu/gengfu/probes/probetest"
	"github.com/gengfu/gengfu/probes/reach"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dialer answers by network and address.
func dialer(answers map[string]error) func(context.Context, string, string) (net.Conn, error) {
	return func(_ context.Context, network, addr string) (net.Conn, error) {
		if err, ok := answers[network+" "+addr]; ok && err != nil {
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", err)}
		}
		ours, theirs := net.Pipe()
		theirs.Close()
		return ours, nil
	}
}

func TestConnectTriesEveryAddress(t *testing.T) {
	env, rec := probetest.Env(t, nil, nil)
	env.Resolver = probetest.Addresses(t, "two.test", "10.0.0.1", "10.0.0.2")
	env.Dial = dialer(map[string]error{"tcp 10.0.0.1:80": syscall.ECONNREFUSED})
	l := reach.Line{Env: env}
	conn, err := l.Connect(t.Context(), "two.test", "80", reach.Any)
	require.NoError(t, err)
	conn.Close()
	require.Equal(t, "10.0.0.2", l.IP.String())
	require.Equal(t, []string{"dns", "connect", "connect"}, rec.Names())
	require.Equal(t, probes.ClassConnect, rec.Spans()[1].Class)

	env.Dial = dialer(map[string]error{"tcp 10.0.0.1:80": syscall.ECONNREFUSED, "tcp 10.0.0.2:80": syscall.EHOSTUNREACH})
	l = reach.Line{Env: env}
	_, err = l.Connect(t.Context(), "two.test", "80", reach.Any)
	var f *probes.Failure
	require.ErrorAs(t, err, &f)
	require.Equal(t, probes.PhraseRefused, f.Phrase, "the first address is the site's choice")
}

// TestAgentWithoutIPv6 tells a host without a route from a network that is broken.
func TestAgentWithoutIPv6(t *testing.T) {
	env, rec := probetest.Env(t, nil, nil)
	env.Resolver = probetest.Addresses(t, "both.test", "2001:db8::1", "10.0.0.1")
	six := map[string]error{"tcp [2001:db8::1]:80": syscall.ENETUNREACH, "udp [2001:db8::1]:9": syscall.ENETUNREACH, "tcp 10.0.0.1:80": syscall.ECONNREFUSED}
	env.Dial = dialer(six)
	l := reach.Line{Env: env}
	_, err := l.Connect(t.Context(), "both.test", "80", reach.V6)
	var trouble *probes.Trouble
	require.ErrorAs(t, err, &trouble)
	require.Equal(t, probes.PhraseNoIPv6, trouble.Phrase)
	require.Equal(t, probes.ClassAgent, rec.Spans()[1].Class)

	// Where another address says something about the service, that counts.
	_, err = l.Connect(t.Context(), "both.test", "80", reach.Any)
	var f *probes.Failure
	require.ErrorAs(t, err, &f)
	require.Equal(t, probes.PhraseRefused, f.Phrase)

	// The host has a way, and the network beyond has none.
	delete(six, "udp [2001:db8::1]:9")
	_, err = l.Connect(t.Context(), "both.test", "80", reach.V6)
	require.ErrorAs(t, err, &f)
	require.Equal(t, probes.PhraseUnreachable, f.Phrase)

	// IPv4 without a route is never mistaken for that.
	require.False(t, l.Cut(t.Context(), netip.MustParseAddr("10.0.0.1"), syscall.ENETUNREACH))
}

func TestNoAddressOfAFamily(t *testing.T) {
	env, _ := probetest.Env(t, map[string]netip.Addr{"four.test": probetest.Loopback}, nil)
	l := reach.Line{Env: env}
	_, err := l.Addresses(t.Context(), "four.test", reach.V6)
	require.Equal(t, &probes.Failure{Class: probes.ClassDNS, Phrase: probes.PhraseNoAddress, Want: "four.test", Got: "IPv6"}, err)
	addrs, err := l.Addresses(t.Context(), "::ffff:10.0.0.1", reach.Any)
	require.NoError(t, err)
	require.Equal(t, "10.0.0.1", addrs[0].String())
}

func TestExplain(t *testing.T) {
	over, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	called, off := context.WithCancel(t.Context())
	off()
	known := &probes.Failure{Class: probes.ClassStatus}
	trouble := &probes.Trouble{Phrase: probes.PhraseNoPing, Err: errors.New("x")}
	odd := errors.New("something else")
	for _, tt := range []struct {
		ctx    context.Context
		phase  string
		err    error
		class  probes.Class
		phrase probes.Phrase
	}{
		{t.Context(), "dns", &net.DNSError{IsTimeout: true}, probes.ClassDNS, probes.PhraseDNSTimeout},
		{t.Context(), "dns", &net.DNSError{IsNotFound: true, Name: "h"}, probes.ClassDNS, probes.PhraseNoSuchHost},
		{t.Context(), "dns", odd, probes.ClassDNS, ""},
		{t.Context(), "connect", odd, probes.ClassConnect, ""},
		{t.Context(), "connect", os.ErrDeadlineExceeded, probes.ClassTimeout, probes.PhraseConnectTimeout},
		{over, "connect", net.ErrClosed, probes.ClassTimeout, probes.PhraseConnectTimeout},
		{t.Context(), "tls", odd, probes.ClassTLS, probes.PhraseTLSFailed},
		{over, "tls", odd, probes.ClassTimeout, probes.PhraseTLSTimeout},
		{t.Context(), "first_byte", syscall.ECONNRESET, probes.ClassReset, probes.PhraseReset},
		{t.Context(), "first_byte", syscall.ECONNREFUSED, probes.ClassConnect, probes.PhraseRefused},
		{t.Context(), "first_byte", odd, probes.ClassReset, ""},
		{t.Context(), "body", os.ErrDeadlineExceeded, probes.ClassTimeout, probes.PhraseBodyTimeout},
		{t.Context(), "body", known, probes.ClassStatus, ""},
	} {
		err := reach.Explain(tt.ctx, tt.phase, "peer", time.Second, tt.err)
		var f *probes.Failure
		require.ErrorAs(t, err, &f)
		require.Equal(t, tt.class, f.Class, "%s: %v", tt.phase, tt.err)
		require.Equal(t, tt.class, reach.ClassOf(err))
		if tt.phrase != "" {
			require.Equal(t, tt.phrase, f.Phrase, "%s: %v", tt.phase, tt.err)
		}
	}
	require.NoError(t, reach.Explain(called, "tls", "peer", 0, nil))
	require.Equal(t, reach.ErrStopped, reach.Explain(called, "tls", "peer", 0, odd))
	require.Equal(t, error(trouble), reach.Explain(called, "tls", "peer", 0, trouble))
	require.Equal(t, probes.ClassAgent, reach.ClassOf(trouble))
	require.Equal(t, probes.ClassAgent, reach.ClassOf(reach.ErrStopped))
}

func TestHurryEndsAConnection(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	defer ours.Close()
	ctx, cancel := context.WithCancel(t.Context())
	stop := reach.Hurry(ctx, ours)
	cancel()
	_, err := ours.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.False(t, stop())
}

func TestTargets(t *testing.T) {
	for in, want := range map[string][2]string{
		"a.test:80": {"a.test", "80"}, "A.Test.:80": {"a.test", "80"}, "[::1]:80": {"::1", "80"}, "http://a.test/x": {"a.test", "80"},
		"https://a.test:8443": {"a.test", "8443"}, "wss://a.test": {"a.test", "443"}, "中文.test:1": {"xn--fiq228c.test", "1"},
		"_x.test:9": {"_x.test", "9"},
	} {
		c := reach.Checker{Settings: probetest.Settings("")}
		host, port := c.Target("target", in, "")
		require.NoError(t, c.Err(), in)
		require.Equal(t, want, [2]string{host, port}, in)
	}
	c := reach.Checker{Settings: probetest.Settings("")}
	host, port := c.Target("target", "::1", "53")
	require.NoError(t, c.Err())
	require.Equal(t, "::1 53", host+" "+port)
	for in, want := range map[string]string{
		"": "got nothing", "a.test": "no port", "a.test:x": "want a port", "a.test:70000": "want a port", "a..test:80": "want a host",
		"ftp://a.test": "no port", "http://": "want a host", "a:b:c": "want a host", "a/b:80": "want a host", strings.Repeat("a", 300) + ":1": "want a host",
	} {
		c := reach.Checker{Settings: probetest.Settings("")}
		c.Target("target", in, "")
		require.ErrorContains(t, c.Err(), want, in)
	}
}

func TestWeigh(t *testing.T) {
	fields := []expect.Field{{Name: "latency", Zero: time.Duration(0)}, {Name: "cert", Zero: map[string]any{"days_left": 0.0}}, {Name: "text", Zero: ""}}
	c := reach.Checker{Settings: probetest.Settings("")}
	expected := c.Expressions("expect", []string{"text == 'b'", "latency < 1s"}, fields)
	warned := c.Expressions("warn", []string{"cert.days_left > 30"}, fields)
	require.NoError(t, c.Err())
	values := map[string]any{"latency": 2 * time.Second, "cert": map[string]any{"days_left": 3.0}, "text": "a"}

	res := probes.Result{Verdict: probes.Up}
	reach.Weigh(&res, expected, warned, values, probes.ClassContent, false)
	require.Equal(t, probes.Down, res.Verdict)
	var classes []probes.Class
	for _, f := range res.Findings {
		classes = append(classes, f.Class)
	}
	require.Equal(t, []probes.Class{probes.ClassContent, probes.ClassLatency, probes.ClassTLS}, classes)
	require.Len(t, res.Checks, 3)

	res = probes.Result{Verdict: probes.Up}
	reach.Weigh(&res, expected, warned, values, probes.ClassContent, true)
	require.Equal(t, probes.Up, res.Verdict, "they explain and do not count")
	require.Len(t, res.Checks, 3)
}

func TestEvidence(t *testing.T) {
	require.Nil(t, reach.Evidence(""))
	require.Nil(t, reach.Evidence("a\x00b"))
	e := reach.Evidence(strings.Repeat("好", 3000) + "11010119900307000X")
	require.LessOrEqual(t, len(e[0].Data), 4<<10+3)
	require.Equal(t, "11***0X", string(reach.Evidence("11010119900307000X")[0].Data))
}
