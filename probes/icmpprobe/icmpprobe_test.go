package icmpprobe_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/icmpprobe"
	"github.com/gengfu/gengfu/probes/probetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

func run(t *testing.T, env probes.Env, source string) probes.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := probetest.Decode(t, icmpprobe.Kind, source).Probe(ctx, env)
	require.NoError(t, err)
	probetest.Readable(t, r)
	return r
}

// allowed skips a test, loudly, where the kernel forbids echoes.
func allowed(t *testing.T, family string) {
	t.Helper()
	conn, err := icmpprobe.Open(t.Context(), family)
	if err != nil {
		t.Skipf("NOT TESTED: this host allows no %s echoes: %v; to allow them: %s", family, err, icmpprobe.Allow)
	}
	conn.Close()
}

func TestLoopback(t *testing.T) {
	for family, addr := range map[string]string{"ip4": "127.0.0.1", "ip6": "::1"} {
		t.Run(family, func(t *testing.T) {
			allowed(t, family)
			env, rec := probetest.Env(t, map[string]netip.Addr{"host.test": netip.MustParseAddr(addr)}, nil)
			env.Echo = icmpprobe.Open
			r := run(t, env, `{target: 'http://host.test:80/x', count: 3, interval: 20ms, size: 100, warn_loss: 50, expect: ['loss == 0', 'received == 3', 'sent == 3', 'rtt.min <= rtt.avg', 'rtt.avg <= rtt.max', 'rtt.stddev <= rtt.max', 'dns > 0ns', "ip == '`+addr+`'"]}`)
			require.Equal(t, probes.Up, r.Verdict, "%+v", r)
			require.Equal(t, []string{"ping", "ping/dns", "ping/echo", "ping/echo", "ping/echo"}, rec.Names())
			require.Equal(t, r.Timings.Total, r.Timings.DNS+r.Timings.FirstByte)
			require.Positive(t, r.Measures["rtt_avg_ms"])
			require.Zero(t, r.Measures["duplicates"])
		})
	}
}

// TestSideBySide: runs at the same time, over raw sockets that all hear
// everything, take only what is theirs.
func TestSideBySide(t *testing.T) {
	allowed(t, "ip4")
	p := probetest.Decode(t, icmpprobe.Kind, "{target: 127.0.0.1, count: 5, interval: 10ms}")
	var group sync.WaitGroup
	results := make([]probes.Result, 8)
	for i := range results {
		env, _ := probetest.Env(t, nil, nil)
		env.Echo = icmpprobe.Open
		group.Go(func() { results[i], _ = p.Probe(t.Context(), env) })
	}
	group.Wait()
	for _, r := range results {
		require.Equal(t, probes.Up, r.Verdict, "%+v", r)
		require.Equal(t, 5.0, r.Measures["received"])
		require.Zero(t, r.Measures["duplicates"])
	}
}

// wire is a socket whose peer is a function: what it returns comes back.
type wire struct {
	mu       sync.Mutex
	local    net.Addr
	peer     func(n int, request []byte) [][]byte
	fail     error // of every write
	n        int
	in       [][]byte
	deadline time.Time
	wake     chan struct{}
	closed   bool
}

func newWire(peer func(int, []byte) [][]byte) *wire {
	return &wire{local: &net.IPAddr{IP: net.IPv4zero}, peer: peer, wake: make(chan struct{}, 1000)}
}

func (w *wire) open(context.Context, string) (net.PacketConn, error) { return w, nil }

func (w *wire) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		w.mu.Lock()
		deadline := w.deadline
		if len(w.in) > 0 {
			n := copy(b, w.in[0])
			w.in = w.in[1:]
			w.mu.Unlock()
			return n, &net.IPAddr{IP: net.IPv4(10, 0, 0, 1)}, nil
		}
		w.mu.Unlock()
		select {
		case <-w.wake:
		case <-time.After(time.Until(deadline)):
			return 0, nil, os.ErrDeadlineExceeded
		}
	}
}

func (w *wire) WriteTo(b []byte, _ net.Addr) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return 0, w.fail
	}
	w.in = append(w.in, w.peer(w.n, append([]byte{}, b...))...)
	w.n++
	w.wake <- struct{}{}
	return len(b), nil
}

func (w *wire) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	w.wake <- struct{}{}
	return nil
}

func (w *wire) Close() error                     { w.closed = true; return nil }
func (w *wire) LocalAddr() net.Addr              { return w.local }
func (w *wire) SetDeadline(t time.Time) error    { return w.SetReadDeadline(t) }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// reply answers a request after change.
func reply(request []byte, change func(*icmp.Message, *icmp.Echo)) []byte {
	m, err := icmp.ParseMessage(1, request)
	if err != nil {
		panic(err)
	}
	m.Type = ipv4.ICMPTypeEchoReply
	change(m, m.Body.(*icmp.Echo))
	b, err := m.Marshal(nil)
	if err != nil {
		panic(err)
	}
	return b
}

func same(*icmp.Message, *icmp.Echo) {}

// unreachable complains of a request, as a router does.
func unreachable(request []byte) []byte {
	head := make([]byte, 20)
	head[0], head[9] = 0x45, 1
	m := icmp.Message{Type: ipv4.ICMPTypeDestinationUnreachable, Code: 1, Body: &icmp.DstUnreach{Data: append(head, request[:8]...)}}
	b, err := m.Marshal(nil)
	if err != nil {
		panic(err)
	}
	return b
}

func TestLoss(t *testing.T) {
	for _, tt := range []struct {
		name, rest string
		answered   int // of 5
		verdict    probes.Verdict
		class      probes.Class
		phrase     probes.Phrase
		got        string
	}{
		{"none", "", 5, probes.Up, "", "", ""},
		{"some, of which nobody spoke", "", 1, probes.Up, "", "", ""},
		{"all", "", 0, probes.Down, probes.ClassTimeout, probes.PhrasePingSilent, "5"},
		{"more than max_loss", "max_loss: 20", 3, probes.Down, probes.ClassTimeout, probes.PhrasePingLoss, "40% > 20%"},
		{"as much as max_loss", "max_loss: 40", 3, probes.Up, "", "", ""},
		{"more than warn_loss", "warn_loss: 0\nmax_loss: 50", 4, probes.Degraded, probes.ClassTimeout, probes.PhrasePingLoss, "20% > 0%"},
		{"more than an expectation", "expect: ['loss < 30']", 3, probes.Down, probes.ClassTimeout, probes.PhraseCheck, "loss = 40"},
		{"slow", "warn: ['latency < 1ns']", 5, probes.Degraded, probes.ClassLatency, probes.PhraseCheck, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env, rec := probetest.Env(t, nil, nil)
			w := newWire(func(n int, request []byte) [][]byte {
				if n < tt.answered {
					return [][]byte{reply(request, same)}
				}
				return nil
			})
			env.Echo = w.open
			r := run(t, env, "target: 10.0.0.1\ncount: 5\ninterval: 10ms\nwait: 50ms\n"+tt.rest)
			require.Equal(t, tt.verdict, r.Verdict, "%+v", r)
			require.Equal(t, tt.class, r.Class)
			require.Equal(t, float64(100-20*tt.answered), r.Measures["loss_percent"])
			if tt.phrase != "" {
				require.Len(t, r.Findings, 1)
				require.Equal(t, tt.phrase, r.Findings[0].Phrase)
			}
			if tt.got != "" {
				require.Equal(t, tt.got, r.Findings[0].Got)
			}
			require.True(t, w.closed)
			require.Len(t, rec.Spans(), 6)
		})
	}
}

func TestForeignMessagesAreNoReplies(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"another id":        func(b []byte) []byte { return reply(b, func(_ *icmp.Message, e *icmp.Echo) { e.ID++ }) },
		"another number":    func(b []byte) []byte { return reply(b, func(_ *icmp.Message, e *icmp.Echo) { e.Seq = 4000 }) },
		"another token":     func(b []byte) []byte { return reply(b, func(_ *icmp.Message, e *icmp.Echo) { e.Data[3]++ }) },
		"another length":    func(b []byte) []byte { return reply(b, func(_ *icmp.Message, e *icmp.Echo) { e.Data = e.Data[:20] }) },
		"no data":           func(b []byte) []byte { return reply(b, func(_ *icmp.Message, e *icmp.Echo) { e.Data = nil }) },
		"the request":       func(b []byte) []byte { return b },
		"nothing":           func([]byte) []byte { return nil },
		"noise":             func([]byte) []byte { return []byte{0, 0, 0, 0, 1} },
		"a short complaint": func([]byte) []byte { return []byte{3, 1, 0, 0, 0, 0, 0, 0, 0x45, 0} },
	} {
		t.Run(name, func(t *testing.T) {
			env, _ := probetest.Env(t, nil, nil)
			env.Echo = newWire(func(_ int, b []byte) [][]byte { return [][]byte{change(b)} }).open
			r := run(t, env, "{target: 10.0.0.1, count: 2, interval: 10ms, wait: 50ms}")
			require.Equal(t, probes.PhrasePingSilent, r.Findings[0].Phrase)
		})
	}
}

func TestComplaints(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	env.Echo = newWire(func(_ int, b []byte) [][]byte { return [][]byte{unreachable(b)} }).open
	r := run(t, env, "{target: 10.0.0.9, count: 2, interval: 10ms, wait: 50ms}")
	require.Equal(t, probes.ClassConnect, r.Class)
	require.Equal(t, probes.PhraseUnreachable, r.Findings[0].Phrase)

	// A complaint about somebody else's request.
	env.Echo = newWire(func(_ int, b []byte) [][]byte {
		b[5]++ // in its id
		return [][]byte{unreachable(b)}
	}).open
	r = run(t, env, "{target: 10.0.0.9, count: 2, interval: 10ms, wait: 50ms}")
	require.Equal(t, probes.PhrasePingSilent, r.Findings[0].Phrase)

	// The host's own routes.
	w := newWire(nil)
	w.fail = &net.OpError{Op: "write", Err: os.NewSyscallError("sendto", syscall.ENETUNREACH)}
	env.Echo = w.open
	r = run(t, env, "{target: 10.0.0.9, count: 2, interval: 10ms, wait: 50ms}")
	require.Equal(t, probes.PhraseUnreachable, r.Findings[0].Phrase)
}

func TestDuplicatesCountOnce(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	env.Echo = newWire(func(_ int, b []byte) [][]byte { return [][]byte{reply(b, same), reply(b, same)} }).open
	r := run(t, env, "{target: 10.0.0.1, count: 3, interval: 10ms, wait: 50ms}")
	require.Equal(t, probes.Up, r.Verdict)
	require.Equal(t, 3.0, r.Measures["received"])
	require.GreaterOrEqual(t, r.Measures["duplicates"], 2.0)
}

// TestAgentsFault: what this host forbids says nothing about the service.
func TestAgentsFault(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	p := probetest.Decode(t, icmpprobe.Kind, "target: 10.0.0.1")
	_, err := p.Probe(t.Context(), env)
	var trouble *probes.Trouble
	require.ErrorAs(t, err, &trouble)
	require.Equal(t, probes.PhraseNoPing, trouble.Phrase)
	probetest.Readable(t, trouble.Result("run"))

	w := newWire(nil)
	w.fail = os.NewSyscallError("sendto", syscall.EPERM) // as a firewall on this host does
	env.Echo = w.open
	_, err = p.Probe(t.Context(), env)
	require.ErrorIs(t, err, os.ErrPermission)
	require.True(t, w.closed)
}

func TestUnknownName(t *testing.T) {
	env, rec := probetest.Env(t, nil, nil)
	r := run(t, env, "target: nowhere.test")
	require.Equal(t, probes.Down, r.Verdict)
	require.Equal(t, probes.ClassDNS, r.Class)
	require.Equal(t, []string{"ping", "ping/dns"}, rec.Names())
}

func TestCalledOff(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	env.Echo = newWire(func(int, []byte) [][]byte { cancel(); return nil }).open
	_, err := probetest.Decode(t, icmpprobe.Kind, "{target: 10.0.0.1, wait: 20s}").Probe(ctx, env)
	require.Error(t, err)
	require.False(t, errors.As(err, new(*probes.Failure)))
}

func TestDeadline(t *testing.T) {
	env, _ := probetest.Env(t, nil, nil)
	env.Echo = newWire(func(int, []byte) [][]byte { return nil }).open
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	r, err := probetest.Decode(t, icmpprobe.Kind, "{target: 10.0.0.1, wait: 28s}").Probe(ctx, env)
	require.NoError(t, err)
	require.Equal(t, probes.ClassTimeout, r.Class)
	require.Less(t, time.Since(start), 20*time.Second)
}

func TestMistakes(t *testing.T) {
	for source, want := range map[string]string{
		"target: ''":                                    "target: want a host",
		"target: a.test:80":                             "target: want a host such as www.example.test, without a port",
		"{target: 10.0.0.1, ip: 6}":                     "want the family of 10.0.0.1",
		"{target: a.test, more: 1}":                     "more",
		"{target: a.test, count: 21}":                   "count: want 1 to 20",
		"{target: a.test, count: -1}":                   "count: want 1 to 20",
		"{target: a.test, size: 4}":                     "size: want 12 to 1472",
		"{target: a.test, size: 9000}":                  "size: want 12 to 1472",
		"{target: a.test, interval: 1ms}":               "interval: want 10ms",
		"{target: a.test, wait: 40s}":                   "wait: want all requests",
		"{target: a.test, count: 20, interval: 2s}":     "lower count, interval or wait",
		"{target: a.test, max_loss: 100}":               "max_loss: want a percentage",
		"{target: a.test, warn_loss: -1}":               "warn_loss: want a percentage",
		"{target: a.test, max_loss: 10, warn_loss: 10}": "warn_loss: want less than max_loss",
		"{target: a.test, expect: ['rtt < 1s']}":        "expect[0]: ",
		"{target: a.test, expect: ['rtt.p99 < 1s']}":    "unknown field \"rtt.p99\"",
	} {
		_, err := icmpprobe.Kind.Decode(probetest.Settings(source))
		require.ErrorContains(t, err, want, source)
	}
}
