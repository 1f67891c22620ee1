package catalog_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gengfu/gengfu/agent/catalog"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// none is a kind that takes no settings and sees nothing.
type none struct{}

func (none) Probe(context.Context, probes.Env) (probes.Result, error) { return probes.Result{}, nil }

var kinds = []probes.Kind{{Name: "none", Doc: "for tests", Decode: func(s probes.Settings) (probes.Prober, error) {
	return none{}, s.Into(&struct{}{})
}}}

// revision packs one service as revision seq.
func revision(t *testing.T, seq uint64, service string) (definition.Announcement, []byte) {
	t.Helper()
	commit := fmt.Sprintf("%040d", seq)
	file := "id: " + service + "\nname: 演示\nchannel: portal\nprobes:\n  - {id: p, kind: none, every: 30s}\n"
	body, digest, err := definition.Pack(definition.Revision{Seq: seq, Commit: commit},
		[]definition.File{{Path: "services/demo.yaml", Data: []byte(file)}})
	require.NoError(t, err)
	return definition.Announcement{Seq: seq, Commit: commit, Digest: digest}, body
}

// coordinator serves bodies by their digest and remembers what it was asked.
type coordinator struct {
	*httptest.Server
	mu     sync.Mutex // protects bodies and asked
	bodies map[string][]byte
	asked  []string
}

func newCoordinator(t *testing.T) *coordinator {
	t.Helper()
	c := &coordinator{bodies: map[string][]byte{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.asked = append(c.asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization"))
		body, ok := c.bodies[strings.TrimPrefix(r.URL.Path, "/api/v1/catalog/")]
		c.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(body) //nolint:errcheck // a test's client may be gone
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *coordinator) serve(digest string, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bodies[digest] = body
}

func (c *coordinator) requests() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string{}, c.asked...)
}

const maxBody = 1 << 20

// agent is a running Keeper with its surroundings.
type agent struct {
	*catalog.Keeper
	t      *testing.T
	newest *definition.Newest
	log    *lines
	used   chan string // commits that came into use
	stop   func()
}

// lines is a log that tests read.
type lines struct {
	mu sync.Mutex // protects b
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T, dir string, bases ...string) *agent {
	t.Helper()
	return startWith(t, dir, &http.Transport{}, bases...)
}

func startWith(t *testing.T, dir string, transport http.RoundTripper, bases ...string) *agent {
	t.Helper()
	a := &agent{t: t, newest: definition.NewNewest(), log: &lines{}, used: make(chan string, 16)}
	var err error
	a.Keeper, err = catalog.New(catalog.Options{
		Dir: dir, Newest: a.newest, Kinds: kinds, Token: "token", HTTP: &http.Client{Transport: transport},
		Coordinators: func() []string { return bases }, MaxBody: maxBody,
		OnChange: func(c *definition.Catalog) { a.used <- c.Revision.Commit },
		Logger:   slog.New(slog.NewTextHandler(a.log, nil)),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	var once sync.Once
	a.stop = func() {
		once.Do(func() {
			cancel()
			require.NoError(t, <-done)
			if tr, ok := transport.(*http.Transport); ok {
				tr.CloseIdleConnections()
			}
		})
	}
	t.Cleanup(a.stop)
	return a
}

// until waits for a condition.
func (a *agent) until(ok func() bool) {
	a.t.Helper()
	require.Eventually(a.t, ok, 30*time.Second, 5*time.Millisecond)
}

func (a *agent) seq() uint64 {
	if c := a.Current(); c != nil {
		return c.Revision.Seq
	}
	return 0
}

func TestFetchesWhatIsAnnounced(t *testing.T) {
	co, dir := newCoordinator(t), t.TempDir()
	first, body := revision(t, 1, "one")
	co.serve(first.Digest, body)
	a := start(t, dir, co.URL)
	require.Nil(t, a.Current())

	a.newest.Set(first)
	require.Equal(t, first.Commit, <-a.used)
	require.Equal(t, first.Digest, a.Current().Revision.Digest)
	_, ok := a.Current().Service("one")
	require.True(t, ok)
	require.Equal(t, []string{"GET /api/v1/catalog/" + first.Digest + " Bearer token"}, co.requests())

	second, body := revision(t, 2, "two")
	co.serve(second.Digest, body)
	a.newest.Set(second)
	require.Equal(t, second.Commit, <-a.used)
	require.Len(t, co.requests(), 2, "each is fetched once")
	a.stop()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing unfinished stays behind")
}

// TestRefusesOtherBytes: a body is what its digest says or nothing.
func TestRefusesOtherBytes(t *testing.T) {
	co := newCoordinator(t)
	first, body := revision(t, 1, "one")
	_, other := revision(t, 1, "two")
	co.serve(first.Digest, other)
	a := start(t, t.TempDir(), co.URL)
	a.newest.Set(first)
	a.until(func() bool {
		return strings.Contains(a.log.String(), "verifying the catalog: want SHA-256 "+first.Digest+", got ")
	})
	require.Nil(t, a.Current())

	co.serve(first.Digest, body)
	require.Equal(t, first.Commit, <-a.used, "it asks again")
}

func TestNeverGoesBack(t *testing.T) {
	co := newCoordinator(t)
	second, body := revision(t, 2, "two")
	co.serve(second.Digest, body)
	a := start(t, t.TempDir(), co.URL)
	a.newest.Set(second)
	require.Equal(t, second.Commit, <-a.used)

	first, body := revision(t, 1, "one")
	co.serve(first.Digest, body)
	a.newest.Set(first)
	require.Equal(t, second, a.newest.Current(), "gossip keeps the newer")

	// The old body under a greater number is the old body still.
	a.newest.Set(definition.Announcement{Seq: 3, Commit: first.Commit, Digest: first.Digest})
	a.until(func() bool { return strings.Contains(a.log.String(), "want revision 3 as announced, got revision 1") })
	require.Equal(t, uint64(2), a.seq())

	fourth, body := revision(t, 4, "one")
	co.serve(fourth.Digest, body)
	a.newest.Set(fourth)
	require.Equal(t, fourth.Commit, <-a.used, "what was can come again as something new")
}

func TestStartsFromDiskWithoutACoordinator(t *testing.T) {
	co, dir := newCoordinator(t), t.TempDir()
	first, body := revision(t, 7, "one")
	co.serve(first.Digest, body)
	a := start(t, dir, co.URL)
	a.newest.Set(first)
	require.Equal(t, first.Commit, <-a.used)
	a.stop()
	co.Close()
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".catalog-1"), []byte("cut"), 0o600))

	again := start(t, dir, co.URL)
	require.Equal(t, first.Commit, <-again.used)
	require.Equal(t, first.Digest, again.Current().Revision.Digest)
	require.NoFileExists(t, filepath.Join(dir, ".catalog-1"))
}

// TestWhatIsOnDiskOutranksOlderNews: a fleet that was away tells of the past.
func TestWhatIsOnDiskOutranksOlderNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		held, body := revision(t, 7, "held")
		require.NoError(t, os.WriteFile(filepath.Join(dir, "catalog.bundle"), append([]byte(held.Digest+"\n"), body...), 0o600))
		old, body := revision(t, 3, "old")
		var asked atomic.Int64
		a := startWith(t, dir, trip(func(*http.Request) (*http.Response, error) {
			asked.Add(1)
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body))}, nil
		}), "http://coordinator.test")
		a.newest.Set(old)
		time.Sleep(time.Minute)
		a.stop()
		require.Equal(t, uint64(7), a.seq())
		require.Zero(t, asked.Load())
	})
}

func TestDamagedCacheIsSaidAndFetchedAnew(t *testing.T) {
	first, body := revision(t, 1, "one")
	whole := append([]byte(first.Digest+"\n"), body...)
	flipped := bytes.Replace(whole, []byte(`"seq":1`), []byte(`"seq":9`), 1)
	require.NotEqual(t, whole, flipped)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":                  {nil, "the file is damaged: it does not begin with the digest"},
		"cut":                    {whole[:len(whole)-40], "verifying the catalog: want SHA-256 " + first.Digest},
		"changed, still JSON":    {flipped, "verifying the catalog: want SHA-256 " + first.Digest},
		"without its digest":     {body, "the file is damaged: it does not begin with the digest"},
		"zeros, as after a loss": {make([]byte, 4096), "the file is damaged: it does not begin with the digest"},
		"too large":              {append(append([]byte{}, whole...), make([]byte, maxBody)...), "the file is damaged: want at most 1048641 bytes, got more"},
		"a digest alone":         {[]byte(first.Digest), "the file is damaged: it does not begin with the digest"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "catalog.bundle"), c.data, 0o600))
			co := newCoordinator(t)
			co.serve(first.Digest, body)
			a := start(t, dir, co.URL)
			require.Nil(t, a.Current())
			require.Contains(t, a.log.String(), "ignoring the cached catalog, waiting for a coordinator")
			require.Contains(t, a.log.String(), c.want)
			a.newest.Set(first)
			require.Equal(t, first.Commit, <-a.used)
			a.stop()
			mended, err := os.ReadFile(filepath.Join(dir, "catalog.bundle"))
			require.NoError(t, err)
			require.Equal(t, string(whole), string(mended))
		})
	}
}

func TestAnUnreadableCacheStopsTheStart(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "catalog.bundle"), 0o700))
	_, err := catalog.New(catalog.Options{Dir: dir, Newest: definition.NewNewest(), Logger: slog.New(slog.DiscardHandler)})
	require.ErrorContains(t, err, "reading the cached catalog "+dir)
}

// TestAnAgentThatCannotCacheStillRuns: its folder vanished under it.
func TestAnAgentThatCannotCacheStillRuns(t *testing.T) {
	co, dir := newCoordinator(t), filepath.Join(t.TempDir(), "catalog")
	first, body := revision(t, 1, "one")
	co.serve(first.Digest, body)
	a := start(t, dir, co.URL)
	require.NoError(t, os.RemoveAll(dir))
	a.newest.Set(first)
	require.Equal(t, first.Commit, <-a.used)
	a.until(func() bool { return strings.Contains(a.log.String(), "could not cache the catalog") })
}

// silent accepts connections and never answers.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return "http://" + l.Addr().String()
}

func TestOneOfSeveralCoordinatorsIsEnough(t *testing.T) {
	first, body := revision(t, 1, "one")
	_, other := revision(t, 1, "two")
	dead := httptest.NewServer(nil)
	dead.Close()
	lying, behind, good := newCoordinator(t), newCoordinator(t), newCoordinator(t)
	lying.serve(first.Digest, other)
	good.serve(first.Digest, body)
	for name, bases := range map[string][]string{
		"one refuses":        {dead.URL, good.URL},
		"one hangs":          {silent(t), good.URL},
		"one is behind":      {behind.URL, good.URL},
		"one lies":           {lying.URL, good.URL},
		"one is no address":  {"http://[", good.URL},
		"all but the middle": {silent(t), dead.URL, good.URL, behind.URL},
	} {
		t.Run(name, func(t *testing.T) {
			a := start(t, t.TempDir(), bases...)
			a.newest.Set(first)
			require.Equal(t, first.Commit, <-a.used)
			require.NotContains(t, a.log.String(), "could not take the new catalog")
		})
	}
}

func TestEveryCoordinatorsFaultIsSaid(t *testing.T) {
	first, _ := revision(t, 1, "one")
	dead := httptest.NewServer(nil)
	dead.Close()
	behind := newCoordinator(t)
	a := start(t, t.TempDir(), dead.URL, behind.URL)
	a.newest.Set(first)
	a.until(func() bool {
		return strings.Contains(a.log.String(), "could not take the new catalog, keeping the one in use")
	})
	require.Contains(t, a.log.String(), "connection refused")
	require.Contains(t, a.log.String(), "want HTTP 200, got 404 Not Found")

	alone := start(t, t.TempDir())
	alone.newest.Set(first)
	alone.until(func() bool {
		return strings.Contains(alone.log.String(), "no live coordinator announces an HTTP address")
	})
}

// TestAnEndlessBodyIsCut: the bound holds whatever a coordinator sends.
func TestAnEndlessBodyIsCut(t *testing.T) {
	first, _ := revision(t, 1, "one")
	var sent atomic.Int64
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 64<<10)
		for r.Context().Err() == nil {
			n, err := w.Write(chunk)
			sent.Add(int64(n))
			if err != nil {
				break
			}
		}
	}))
	defer endless.Close()
	a := start(t, t.TempDir(), endless.URL)
	a.newest.Set(first)
	a.until(func() bool {
		return strings.Contains(a.log.String(), fmt.Sprintf("is larger than %d bytes", maxBody))
	})
	a.stop()
	require.Nil(t, a.Current())
	require.GreaterOrEqual(t, sent.Load(), int64(maxBody))
}

// TestAnOlderAgentSaysWhyItKeepsTheOld: the coordinator knows a kind that it does not.
func TestAnOlderAgentSaysWhyItKeepsTheOld(t *testing.T) {
	file := "id: a\nname: 演示\nchannel: portal\nprobes:\n  - {id: p, kind: newer, every: 30s}\n"
	body, digest, err := definition.Pack(definition.Revision{Seq: 2, Commit: "c2"}, []definition.File{{Path: "services/a.yaml", Data: []byte(file)}})
	require.NoError(t, err)
	co := newCoordinator(t)
	co.serve(digest, body)
	a := start(t, t.TempDir(), co.URL)
	a.newest.Set(definition.Announcement{Seq: 2, Commit: "c2", Digest: digest})
	a.until(func() bool { return strings.Contains(a.log.String(), "is this agent older than the coordinator?") })
	require.Contains(t, a.log.String(), "unknown kind")
	require.Nil(t, a.Current())
}

// trip answers requests without a socket.
type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestTriesAgainSoonAndThenSlower holds the pauses after failures, also when a
// long quiet time went before.
func TestTriesAgainSoonAndThenSlower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, body := revision(t, 1, "one")
		var good atomic.Bool
		var mu sync.Mutex // protects at
		var at []time.Duration
		var since time.Time
		transport := trip(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			at = append(at, time.Since(since))
			mu.Unlock()
			if !good.Load() {
				return nil, io.ErrUnexpectedEOF
			}
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body))}, nil
		})
		a := startWith(t, t.TempDir(), transport, "http://coordinator.test")
		time.Sleep(time.Hour + 7*time.Second) // not when it looks anyway
		since = time.Now()
		a.newest.Set(first)
		time.Sleep(45 * time.Second)
		synctest.Wait()
		var want []time.Duration
		for _, s := range []float64{0, 0.5, 1.5, 3.5, 7.5, 15.5, 30.5} {
			want = append(want, time.Duration(s*float64(time.Second)))
		}
		mu.Lock()
		require.Equal(t, want, at)
		mu.Unlock()
		good.Store(true)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		require.Equal(t, uint64(1), a.seq())
		time.Sleep(time.Hour)
		a.stop()
		require.Len(t, at, len(want)+1, "what is in use is not asked for again")
	})
}

// TestASilentCoordinatorDoesNotHoldUpTheNext without waiting for it.
func TestASilentCoordinatorDoesNotHoldUpTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, body := revision(t, 1, "one")
		left := make(chan struct{})
		transport := trip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "silent.test" {
				<-r.Context().Done()
				close(left)
				return nil, r.Context().Err()
			}
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body))}, nil
		})
		a := startWith(t, t.TempDir(), transport, "http://silent.test", "http://live.test")
		began := time.Now()
		a.newest.Set(first)
		<-a.used
		require.Equal(t, 2*time.Second, time.Since(began))
		<-left
		a.stop()
	})
}
