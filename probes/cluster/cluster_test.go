package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestMain waits for memberlist's goroutines, which its Shutdown does not.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		err := goleak.Find()
		for end := time.Now().Add(30 * time.Second); err != nil && time.Now().Before(end); {
			err = goleak.Find()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

var testKey = []byte("0123456789abcdef")

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func logTo(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func options(name string, seeds ...string) Options {
	return Options{
		Name: name, Bind: "127.0.0.1:0", Join: seeds, Key: testKey, Profile: "local",
		Meta: Meta{Role: "agent", Labels: map[string]string{"site": name}}, RejoinEvery: time.Second,
		Logger: slog.New(slog.DiscardHandler),
	}
}

// running is a cluster with its Run.
type running struct {
	*Cluster
	stop func() // ends Run as a signal would, and waits
}

func run(t *testing.T, c *Cluster) running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	var once sync.Once
	r := running{c, func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				require.NoError(t, err)
			case <-time.After(30 * time.Second):
				t.Error("Run did not end")
			}
		})
	}}
	t.Cleanup(r.stop)
	return r
}

func join(t *testing.T, o Options) running {
	t.Helper()
	c, err := New(o)
	require.NoError(t, err)
	return run(t, c)
}

func names(c *Cluster) []string {
	var names []string
	for _, m := range c.Members() {
		names = append(names, m.Name)
	}
	return names
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 30*time.Second, 20*time.Millisecond, what)
}

func sees(t *testing.T, c *Cluster, want ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s sees %v", c.o.Name, want), func() bool { return slices.Equal(names(c), want) })
}

func TestThreeMembersMeetAndPart(t *testing.T) {
	a := join(t, options("a"))
	b := join(t, options("b", a.Addr()))
	c := join(t, options("c", a.Addr()))
	for _, x := range []running{a, b, c} {
		sees(t, x.Cluster, "a", "b", "c")
	}
	members := b.Members()
	require.Equal(t, Member{Name: "a", Addr: a.Addr(), Meta: Meta{Role: "agent", Labels: map[string]string{"site": "a"}}}, members[0])
	require.True(t, members[1].Self)
	require.Equal(t, b.Addr(), members[1].Addr)

	c.stop() // says good-bye
	sees(t, a.Cluster, "a", "b")
	sees(t, b.Cluster, "a", "b")
	require.ErrorIs(t, c.Send(t.Context(), "a", "k", nil), ErrStopped)
	require.ErrorIs(t, c.SetMeta(func(*Meta) {}), ErrStopped)
	require.ErrorIs(t, c.Run(t.Context()), ErrStopped)
	c.Broadcast("nothing")
	require.NoError(t, c.Close())
}

func TestAKilledMemberIsMissed(t *testing.T) {
	a := join(t, options("a"))
	b := join(t, options("b", a.Addr()))
	c := join(t, options("c", a.Addr()))
	sees(t, a.Cluster, "a", "b", "c")
	sees(t, b.Cluster, "a", "b", "c")
	drain(a.Changed())
	kill(t, c)
	sees(t, a.Cluster, "a", "b")
	sees(t, b.Cluster, "a", "b")
	select {
	case <-a.Changed():
	case <-time.After(30 * time.Second):
		t.Fatal("nobody was told")
	}
}

// kill ends a member as kill -9 would: all of it, without a good-bye.
func kill(t *testing.T, r running) {
	t.Helper()
	r.mu.Lock()
	r.stopped = true // Run says no good-bye
	r.mu.Unlock()
	r.stop()
	require.NoError(t, r.list.Shutdown())
}

func drain(c <-chan struct{}) {
	for {
		select {
		case <-c:
		default:
			return
		}
	}
}

func TestMetaSpreads(t *testing.T) {
	a := join(t, options("a"))
	b := join(t, options("b", a.Addr()))
	sees(t, a.Cluster, "a", "b")
	sees(t, b.Cluster, "a", "b")
	for i := range 5 {
		drain(a.Changed())
		commit := fmt.Sprint("commit", i)
		require.NoError(t, b.SetMeta(func(m *Meta) {
			m.Commit = commit
			m.Labels["isp"] = "移动"
		}))
		require.Equal(t, commit, b.Members()[1].Meta.Commit)
		eventually(t, "meta", func() bool { return a.Members()[1].Meta.Commit == commit })
		require.Equal(t, map[string]string{"site": "b", "isp": "移动"}, a.Members()[1].Meta.Labels)
	}
	err := b.SetMeta(func(m *Meta) { m.Labels["long"] = strings.Repeat("x", 600) })
	require.ErrorContains(t, err, "labels")
	require.Equal(t, "commit4", b.Members()[1].Meta.Commit)
}

func TestMessages(t *testing.T) {
	a := join(t, options("a"))
	b := join(t, options("b", a.Addr()))
	type got struct{ from, payload string }
	received := make(chan got, 10)
	b.Handle("greet", func(from string, payload []byte) { received <- got{from, string(payload)} })
	b.Handle("panic", func(string, []byte) { panic("ouch") })
	sees(t, a.Cluster, "a", "b")
	big := strings.Repeat("系", maxPayload/3)
	for _, payload := range []string{"", "hello", big} {
		require.NoError(t, a.Send(t.Context(), "b", "panic", nil))
		require.NoError(t, a.Send(t.Context(), "b", "greet", []byte(payload)))
		select {
		case g := <-received:
			require.Equal(t, got{"a", payload}, g)
		case <-time.After(30 * time.Second):
			t.Fatal("no message")
		}
	}
	require.NoError(t, b.Send(t.Context(), "b", "greet", []byte("self")))
	require.Equal(t, got{"b", "self"}, <-received)
	require.NoError(t, a.Send(t.Context(), "b", "nobody", nil))
	eventually(t, "refused", func() bool { return b.Stats().Refused == 1 })
	require.ErrorIs(t, a.Send(t.Context(), "x", "greet", nil), ErrNoMember)
	require.ErrorContains(t, a.Send(t.Context(), "b", "greet", make([]byte, maxPayload+1)), "at most")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if err := a.Send(ended, "b", "greet", nil); err != nil {
		require.ErrorContains(t, err, "enough")
	}
}

func TestAFloodIsDroppedAndCounted(t *testing.T) {
	a := join(t, options("a"))
	hold := make(chan struct{})
	a.Handle("slow", func(string, []byte) { <-hold })
	for range 2 * messageQueue {
		require.NoError(t, a.Send(t.Context(), "a", "slow", nil))
	}
	close(hold)
	require.Positive(t, a.Stats().Dropped)
	require.LessOrEqual(t, a.Stats().Dropped, uint64(messageQueue))
}

// grow is a State: a set that only grows.
type grow struct {
	mu  sync.Mutex
	set map[string]bool
}

func (g *grow) add(item string) *grow {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.set == nil {
		g.set = map[string]bool{}
	}
	g.set[item] = true
	return g
}

func (g *grow) has(items ...string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, i := range items {
		if !g.set[i] {
			return false
		}
	}
	return true
}

func (g *grow) Snapshot() ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return json.Marshal(g.set)
}

func (g *grow) Merge(b []byte) error {
	var other map[string]bool
	if err := json.Unmarshal(b, &other); err != nil {
		return err
	}
	for item := range other {
		g.add(item)
	}
	return nil
}

func TestStatesAgree(t *testing.T) {
	var sets []*grow
	var all []running
	for i, name := range []string{"a", "b", "c"} {
		o := options(name)
		if i > 0 {
			o.Join = []string{all[0].Addr()}
		}
		c, err := New(o)
		require.NoError(t, err)
		g := (&grow{}).add(name)
		c.AddState("set", g)
		sets = append(sets, g)
		all = append(all, run(t, c))
	}
	agree := func(items ...string) {
		t.Helper()
		for i, g := range sets {
			eventually(t, fmt.Sprintf("%s has %v", all[i].o.Name, items), func() bool { return g.has(items...) })
		}
	}
	agree("a", "b", "c") // by exchange
	sets[1].add("soon")
	all[1].Broadcast("set")
	agree("soon") // by gossip
	huge := strings.Repeat("x", 20*maxGossip)
	sets[2].add(huge)
	all[2].Broadcast("set")
	agree(huge) // over TCP
	for _, r := range all {
		require.Positive(t, r.Stats().Merged)
		require.Zero(t, r.Stats().Dropped)
	}
}

func TestAWrongKeyIsRefusedWithOneClearWarning(t *testing.T) {
	var seedLog, log syncBuffer
	o := options("a")
	o.Logger = logTo(&seedLog)
	a := join(t, o)
	o = options("b", a.Addr())
	o.Key, o.RejoinEvery = []byte("another-key-16-b"), 50*time.Millisecond
	o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b := join(t, o)
	// It goes on trying, and does not go on warning.
	eventually(t, "several tries", func() bool { return strings.Count(log.String(), "failed to join "+a.Addr()+": no installed keys") > 4 })
	require.Equal(t, 1, strings.Count(log.String(), "a seed did not accept us"))
	require.Contains(t, log.String(), "check that the cluster key and label are the same")
	require.Contains(t, log.String(), "seed="+a.Addr())
	require.Equal(t, 1, strings.Count(seedLog.String(), "without our cluster key"))
	require.Equal(t, []string{"a"}, names(a.Cluster))
	require.Equal(t, []string{"b"}, names(b.Cluster))
	require.NotContains(t, log.String()+seedLog.String(), "another-key")
}

func TestAnotherLabelIsRefused(t *testing.T) {
	var log syncBuffer
	a := join(t, options("a"))
	o := options("b", a.Addr())
	o.Label, o.Logger = "another-fleet", logTo(&log)
	join(t, o)
	eventually(t, "a warning", func() bool { return strings.Contains(log.String(), "a seed did not accept us") })
	require.Equal(t, []string{"a"}, names(a.Cluster))
}

func TestASeedThatComesLaterIsJoined(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	var log syncBuffer
	o := options("a", addr)
	o.Logger = logTo(&log)
	a := join(t, o)
	eventually(t, "a failed try", func() bool { return strings.Contains(log.String(), "no seed answers yet") })
	o = options("b")
	o.Bind = addr
	b := join(t, o)
	sees(t, a.Cluster, "a", "b")

	// The same member comes back on its port, after a good-bye.
	b.stop()
	sees(t, a.Cluster, "a")
	again := join(t, o)
	sees(t, a.Cluster, "a", "b")
	sees(t, again.Cluster, "a", "b")
}

// wire parts members from each other: what it forbids does not get through.
type wire struct {
	memberlist.NodeAwareTransport
	mu  sync.Mutex
	cut map[string]bool
}

func (w *wire) set(addrs ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = map[string]bool{}
	for _, a := range addrs {
		w.cut[a] = true
	}
}

func (w *wire) isCut(addr string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut[addr]
}

func (w *wire) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if w.isCut(a.Addr) {
		return time.Now(), nil // lost, as packets are
	}
	return w.NodeAwareTransport.WriteToAddress(b, a)
}

func (w *wire) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if w.isCut(a.Addr) {
		return nil, errors.New("no route to host")
	}
	return w.NodeAwareTransport.DialAddressTimeout(a, timeout)
}

func TestAHealedPartitionMerges(t *testing.T) {
	wires := map[string]*wire{}
	var all []running
	for _, name := range []string{"a", "b", "c"} {
		o := options(name)
		if len(all) > 0 {
			o.Join = []string{all[0].Addr()}
		}
		c, err := newCluster(o, func(t memberlist.NodeAwareTransport) memberlist.NodeAwareTransport {
			wires[name] = &wire{NodeAwareTransport: t}
			return wires[name]
		})
		require.NoError(t, err)
		all = append(all, run(t, c))
	}
	a, b, c := all[0], all[1], all[2]
	sees(t, a.Cluster, "a", "b", "c")
	sees(t, c.Cluster, "a", "b", "c")
	wires["c"].set(a.Addr(), b.Addr())
	wires["a"].set(c.Addr())
	wires["b"].set(c.Addr())
	sees(t, c.Cluster, "c")
	sees(t, a.Cluster, "a", "b")
	sees(t, b.Cluster, "a", "b")
	for _, w := range wires {
		w.set()
	}
	for _, x := range all {
		sees(t, x.Cluster, "a", "b", "c")
	}
}

func TestAKilledMemberComesBackElsewhere(t *testing.T) {
	var log syncBuffer
	o := options("a")
	o.Logger = logTo(&log)
	a := join(t, o)
	b := join(t, options("b", a.Addr()))
	sees(t, a.Cluster, "a", "b")
	kill(t, b)
	sees(t, a.Cluster, "a")
	again := join(t, options("b", a.Addr()))
	require.NotEqual(t, b.Addr(), again.Addr())
	// The rumour of its death may come back once before it has denied it.
	eventually(t, "the new address, for good", func() bool {
		for range 10 {
			if m := a.Members(); len(m) != 2 || m[1].Addr != again.Addr() {
				return false
			}
			time.Sleep(100 * time.Millisecond)
		}
		return true
	})
	require.NotContains(t, log.String(), "two members", "the dead one's name is free")
}

func TestNewsIsPassedOn(t *testing.T) {
	c, err := New(options("a"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	c.AddState("set", &grow{})
	c.merge(stateFrame{"set", []byte(`{"x":true}`)})
	require.Equal(t, 1, c.gossip.NumQueued())
	c.gossip.Reset()
	c.merge(stateFrame{"set", []byte(`{"x":true}`)})
	require.Zero(t, c.gossip.NumQueued(), "what we knew is not")
	c.merge(stateFrame{"set", []byte(`[`)})
	c.merge(stateFrame{"unknown", nil})
	require.EqualValues(t, 2, c.Stats().Refused)
	require.EqualValues(t, 2, c.Stats().Merged)
}

func TestTwoMembersOfOneName(t *testing.T) {
	var log syncBuffer
	o := options("a")
	o.Logger = logTo(&log)
	a := join(t, o)
	join(t, options("a", a.Addr()))
	eventually(t, "a warning", func() bool { return strings.Contains(log.String(), "two members use one name") })
	time.Sleep(2 * time.Second) // it is gossiped about without end
	require.Equal(t, 1, strings.Count(log.String(), "two members use one name"))
}

func TestOurselvesAreNoSeed(t *testing.T) {
	c, err := New(options("a"))
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(c.Addr())
	require.NoError(t, err)
	require.True(t, c.isSelf("localhost:"+port))
	require.True(t, c.isSelf("127.0.0.1:"+port))
	require.False(t, c.isSelf("127.0.0.2:"+port))
	require.False(t, c.isSelf("other.example:"+port))
	require.False(t, c.isSelf("127.0.0.1:1"))
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
}

func TestMistakesInOptions(t *testing.T) {
	taken := join(t, options("a"))
	for _, c := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"address in use", func(o *Options) { o.Bind = taken.Addr() }, taken.Addr() + " is taken"},
		{"no key", func(o *Options) { o.Key = nil }, "16, 24 or 32 bytes, got 0"},
		{"short key", func(o *Options) { o.Key = []byte("short") }, "got 5"},
		{"no name", func(o *Options) { o.Name = "" }, "member name"},
		{"unknown profile", func(o *Options) { o.Profile = "moon" }, `got "moon"`},
		{"seed without port", func(o *Options) { o.Join = []string{"host"} }, `want host:port, got "host"`},
		{"bind without port", func(o *Options) { o.Bind = "127.0.0.1" }, "want host:port"},
		{"port out of range", func(o *Options) { o.Bind = "127.0.0.1:99999" }, "want a port"},
		{"unknown advertise", func(o *Options) { o.Advertise = "no.such.host.invalid:1" }, "advertise address"},
		{"foreign bind", func(o *Options) { o.Bind = "192.0.2.1:0" }, "listening for gossip on 192.0.2.1:0"},
		{"huge meta", func(o *Options) { o.Meta.Version = strings.Repeat("v", 600) }, "the largest part is version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options("x")
			c.change(&o)
			_, err := New(o)
			require.ErrorContains(t, err, c.want)
		})
	}
	o := options("x")
	o.Bind = taken.Addr()
	_, err := New(o)
	require.ErrorIs(t, err, ErrInUse)
}

func TestTokenIsStableAndNotTheKey(t *testing.T) {
	require.Equal(t, "058b7cdc377859814586ef8f028d31911ca81df4de33de57b7da330fa7e311eb", Token(testKey))
	require.NotEqual(t, Token(testKey), Token([]byte("another")))
	require.Len(t, Token(testKey), 64)
}
