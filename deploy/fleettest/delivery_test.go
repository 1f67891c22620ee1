package fleettest_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/gengfu/gengfu/agent/spool"
	"github.com/gengfu/gengfu/agent/telemetry"
	"github.com/gengfu/gengfu/coordinator/ingest"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/semconv"
)

const token = "token of this fleet"

// ledger is a coordinator's store in memory. It lives on while coordinators
// come and go, as a database does.
type ledger struct {
	mu       sync.Mutex
	runs     map[string]probes.Run
	spans    map[string]int
	evidence map[string]probes.Evidence
	came     int // runs delivered, repetitions included
	fail     error
}

func newLedger() *ledger {
	return &ledger{runs: map[string]probes.Run{}, spans: map[string]int{}, evidence: map[string]probes.Evidence{}}
}

func (l *ledger) Ingest(_ context.Context, traces []probes.Trace) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return 0, l.fail
	}
	fresh := 0
	for _, tr := range traces {
		l.came++
		if _, have := l.runs[tr.Run.TraceID]; have {
			continue
		}
		spans, err := semconv.Spans(tr.OTLP)
		if err != nil {
			return 0, err
		}
		fresh++
		l.runs[tr.Run.TraceID], l.spans[tr.Run.TraceID] = tr.Run, len(spans)
	}
	return fresh, nil
}

func (l *ledger) PutEvidence(_ context.Context, e probes.Evidence) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return l.fail
	}
	l.evidence[e.SHA256] = e
	return nil
}

func (l *ledger) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// coordinator is the receiving half of one, on real sockets.
type coordinator struct {
	*ingest.Ingest
	target spool.Target
	stop   func()
}

func start(t *testing.T, l *ledger, otlpAddr, httpAddr string) *coordinator {
	t.Helper()
	in, err := ingest.New(ingest.Options{Store: l, Token: token, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	listen := func(addr string) net.Listener {
		var lis net.Listener
		require.Eventually(t, func() bool {
			lis, err = net.Listen("tcp", addr)
			return err == nil
		}, 30*time.Second, 10*time.Millisecond)
		return lis
	}
	server := grpc.NewServer(in.ServerOptions()...)
	in.Register(server)
	lis := listen(otlpAddr)
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(lis) })
	mux := http.NewServeMux()
	mux.Handle("PUT /api/v1/evidence/{sha256}", in.Evidence())
	web := httptest.NewUnstartedServer(mux)
	require.NoError(t, web.Listener.Close())
	web.Listener = listen(httpAddr)
	web.Start()
	c := &coordinator{Ingest: in, target: spool.Target{OTLP: lis.Addr().String(), HTTP: web.URL}}
	c.stop = sync.OnceFunc(func() { server.Stop(); wg.Wait(); web.CloseClientConnections(); web.Close() })
	t.Cleanup(c.stop)
	return c
}

const anywhere = "127.0.0.1:0"

// sending is a spool that delivers, as an agent has one.
type sending struct {
	*spool.Spool
	otlp *spool.OTLP
	stop func()
}

func send(dir, token string, log *slog.Logger, targets ...spool.Target) (*sending, error) {
	s, err := spool.Open(spool.Options{Dir: dir, MaxBytes: 64 << 20, Logger: log})
	if err != nil {
		return nil, err
	}
	out := spool.NewOTLP(spool.OTLPOptions{Targets: func() []spool.Target { return targets }, Token: token, Logger: log})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Run(ctx, out) })
	return &sending{Spool: s, otlp: out, stop: sync.OnceFunc(func() { cancel(); wg.Wait(); _ = out.Close(); _ = s.Close() })}, nil
}

func mustSend(t *testing.T, dir, token string, targets ...spool.Target) *sending {
	t.Helper()
	s, err := send(dir, token, slog.New(slog.DiscardHandler), targets...)
	require.NoError(t, err)
	t.Cleanup(s.stop)
	return s
}

// probe makes one run's trace and hands it to the spool; it returns the run as
// the coordinator must come to know it.
func probe(ctx context.Context, s *spool.Spool, n int) (probes.Run, error) {
	tel := telemetry.New(telemetry.Options{Agent: "agent-a", Vantage: "site-a", Sink: s.Append})
	key := probes.Key{Service: "shebao", Probe: "page"}
	started := time.Now().UTC().Add(-time.Duration(n) * time.Second).Round(0)
	slot := probes.SlotAt(key, time.Minute, started)
	run := probes.Run{
		Key: key, Slot: slot, Every: time.Minute, Channel: probes.ChannelWechat, Kind: "http", Agent: "agent-a", Vantage: "site-a",
		Revision: "abc", Trigger: probes.TriggerSlot, Started: started, Late: started.Sub(slot), Took: time.Millisecond,
		Result: probes.Judge("request", "a reply", &probes.Failure{Class: probes.ClassStatus, Want: "200", Got: fmt.Sprint("500, run ", n)}),
	}
	ctx, tr := tel.Begin(ctx, run)
	run.TraceID = tr.ID()
	_ = tr.Step(ctx, "request", func(ctx context.Context) error {
		tr.Phase(ctx, probes.Phase{Name: "dns", Start: started, End: started.Add(time.Microsecond)})
		return nil
	})
	return run, tr.End(ctx, run)
}

func mustProbe(t *testing.T, s *spool.Spool, n int) probes.Run {
	t.Helper()
	run, err := probe(t.Context(), s, n)
	require.NoError(t, err)
	return run
}

func picture(n int) probes.Evidence {
	data := fmt.Appendf(nil, "\xff\xd8\xff picture %d", n)
	sum := sha256.Sum256(data)
	return probes.Evidence{Kind: "screenshot", MIME: "image/jpeg", SHA256: hex.EncodeToString(sum[:]), Size: len(data), Data: data}
}

func flush(t *testing.T, s *sending) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, s.Flush(ctx))
}

func TestARunArrivesAsItWas(t *testing.T) {
	defer goleak.VerifyNone(t)
	l := newLedger()
	c := start(t, l, anywhere, anywhere)
	s := mustSend(t, t.TempDir(), token, c.target)
	run := mustProbe(t, s.Spool, 1)
	require.NoError(t, s.PutEvidence(t.Context(), picture(1)))
	flush(t, s)
	require.Equal(t, map[string]probes.Run{run.TraceID: run}, l.runs)
	require.Equal(t, 3, l.spans[run.TraceID])
	require.Equal(t, picture(1), l.evidence[picture(1).SHA256])
	s.stop()
	c.stop()
}

// Coordinators vanish and return, and the store fails in between: every run
// arrives, and none counts twice.
func TestCoordinatorsComeAndGo(t *testing.T) {
	defer goleak.VerifyNone(t)
	l := newLedger()
	c := start(t, l, anywhere, anywhere)
	s := mustSend(t, t.TempDir(), token, c.target)
	want := map[string]probes.Run{}
	add := func(n int) {
		for range n {
			run := mustProbe(t, s.Spool, len(want))
			want[run.TraceID] = run
		}
	}
	add(20)
	flush(t, s)
	c.stop()
	add(20)
	require.NoError(t, s.PutEvidence(t.Context(), picture(2)))
	require.Equal(t, 20, s.Stats().Pending)

	l.set(func() { l.fail = fmt.Errorf("disk full") })
	web := strings.TrimPrefix(c.target.HTTP, "http://")
	c = start(t, l, c.target.OTLP, web)
	s.Kick()
	add(20)
	require.Equal(t, 40, s.Stats().Pending, "nothing is let go before it is stored")
	l.set(func() { l.fail = nil })
	s.Kick()
	flush(t, s)
	require.Equal(t, want, l.runs)
	require.Len(t, l.evidence, 1)
	require.EqualValues(t, 40, c.Stats().Runs)
	s.stop()
	c.stop()
}

// journal is a log that is read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func TestAnAgentOfAnotherFleetIsKeptOut(t *testing.T) {
	defer goleak.VerifyNone(t)
	l := newLedger()
	c := start(t, l, anywhere, anywhere)
	dir := t.TempDir()
	var logged journal
	s, err := send(dir, "another token", slog.New(slog.NewTextHandler(&logged, nil)), c.target)
	require.NoError(t, err)
	defer s.stop()
	mustProbe(t, s.Spool, 1)
	require.NoError(t, s.PutEvidence(t.Context(), picture(1)))
	require.Eventually(t, func() bool {
		return c.Stats().Unauthorized >= 2 && strings.Contains(logged.String(), "their cluster keys differ; give both the same key")
	}, 30*time.Second, time.Millisecond)
	s.stop()
	require.Empty(t, l.runs)
	require.Empty(t, l.evidence)

	right := mustSend(t, dir, token, c.target)
	flush(t, right)
	require.Len(t, l.runs, 1, "nothing was lost meanwhile")
	require.Len(t, l.evidence, 1)
	right.stop()
	c.stop()
}

const childDir, childTarget = "GENGFU_TEST_SPOOL_DIR", "GENGFU_TEST_SPOOL_TARGET"

// TestSpoolingChild is not a test: it is the agent that
// TestKillsLoseNothingAndCountOnce kills.
func TestSpoolingChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("run by TestKillsLoseNothingAndCountOnce")
	}
	target := strings.Fields(os.Getenv(childTarget))
	s, err := send(dir, token, slog.New(slog.DiscardHandler), spool.Target{OTLP: target[0], HTTP: target[1]})
	require.NoError(t, err)
	for n := 0; ; n++ {
		run, err := probe(context.Background(), s.Spool, n%50)
		require.NoError(t, err)
		e := picture(n)
		e.Data = append(e.Data, dir...)
		sum := sha256.Sum256(e.Data)
		e.SHA256 = hex.EncodeToString(sum[:])
		if n%10 == 0 {
			require.NoError(t, s.PutEvidence(context.Background(), e))
			fmt.Println("kept evidence", e.SHA256)
		}
		// From here on it must not be lost.
		fmt.Println("kept trace", run.TraceID)
	}
}

// An agent is killed again and again while it appends and delivers, with the
// coordinator away half of the time.
func TestKillsLoseNothingAndCountOnce(t *testing.T) {
	l := newLedger()
	c := start(t, l, anywhere, anywhere)
	dir := t.TempDir()
	traces, evidence := map[string]bool{}, map[string]bool{}
	for round := range 6 {
		if round%2 == 1 {
			c.stop()
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSpoolingChild$", "-test.v")
		cmd.Env = append(os.Environ(), childDir+"="+dir, childTarget+"="+c.target.OTLP+" "+c.target.HTTP)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); {
			if id, ok := strings.CutPrefix(lines.Text(), "kept trace "); ok && len(id) == 32 {
				traces[id] = true
				n++
			}
			if sum, ok := strings.CutPrefix(lines.Text(), "kept evidence "); ok && len(sum) == 64 {
				evidence[sum] = true
			}
			if n == 40+17*round {
				require.NoError(t, cmd.Process.Kill())
				n++
			}
		}
		require.Error(t, cmd.Wait(), "it was killed")
		require.GreaterOrEqual(t, len(traces), 40*(round+1), "round %d", round)
		if round%2 == 1 {
			c = start(t, l, c.target.OTLP, strings.TrimPrefix(c.target.HTTP, "http://"))
		}
	}
	s := mustSend(t, dir, token, c.target)
	flush(t, s)
	require.Zero(t, s.Stats().Dropped)
	require.Zero(t, s.Stats().Corrupt)
	for id := range traces {
		require.Contains(t, l.runs, id)
	}
	for sum := range evidence {
		require.Contains(t, l.evidence, sum)
	}
	require.GreaterOrEqual(t, l.came, len(l.runs))
	// At most the one trace being written at each kill was never reported.
	require.LessOrEqual(t, len(l.runs), len(traces)+6)
	t.Logf("%d runs, %d deliveries, %d files", len(l.runs), l.came, len(l.evidence))
}
