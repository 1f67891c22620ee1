package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/store"
	"github.com/gengfu/gengfu/probes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	key   = probes.Key{Service: "shebao", Probe: "page"}
	start = time.Date(2026, 11, 25, 0, 0, 0, 123_000_000, time.UTC)
)

// open opens the store in dir and closes it with the test.
func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// trace makes the n-th run of a slot.
func trace(n int, slot time.Time, vantage string, v probes.Verdict) probes.Trace {
	return probes.Trace{OTLP: fmt.Appendf(nil, "otlp %d", n), Run: probes.Run{
		Key: key, Slot: slot, Every: time.Minute, Channel: probes.ChannelWechat, Kind: "http",
		Agent: "agent-" + vantage, Vantage: vantage, Labels: map[string]string{"site": vantage, "isp": "联通"},
		Revision: "c0ffee", Trigger: probes.TriggerSlot,
		Started: slot.Add(time.Duration(n) * time.Millisecond), Took: 300 * time.Millisecond,
		TraceID: fmt.Sprintf("%032x", n),
		Result:  probes.Result{Verdict: v, Measures: map[string]float64{"bytes": 12}},
	}}
}

func ingest(t *testing.T, s *store.Store, traces ...probes.Trace) int {
	t.Helper()
	fresh, err := s.Ingest(t.Context(), traces)
	require.NoError(t, err)
	return fresh
}

func touched(t *testing.T, s *store.Store) (ids []availability.SlotID) {
	t.Helper()
	require.NoError(t, s.Update(t.Context(), func(tx *store.Tx) error {
		var err error
		ids, err = tx.Touched(t.Context(), time.Now(), 100)
		return err
	}))
	return ids
}

func TestIngestIsKeptOverAReopen(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	a, b := trace(1, start, "east", probes.Up), trace(2, start, "west", probes.Down)
	require.Equal(t, 2, ingest(t, s, a, b))
	require.Equal(t, 0, ingest(t, s, b, a), "a batch delivered twice counts once")
	require.Equal(t, 1, ingest(t, s, a, trace(3, start.Add(time.Minute), "east", probes.Up), a))
	require.NoError(t, s.Close())

	s = open(t, dir)
	got, err := s.Run(t.Context(), b.Run.TraceID)
	require.NoError(t, err)
	require.Equal(t, b, got)
	runs, err := s.Runs(t.Context(), key, start, start.Add(time.Hour), 2)
	require.NoError(t, err)
	require.Len(t, runs, 2)
	require.Equal(t, fmt.Sprintf("%032x", 3), runs[0].TraceID, "newest first")
	require.Equal(t, b.Run, runs[1])
	require.Equal(t, []availability.SlotID{{Key: key, Start: start}, {Key: key, Start: start.Add(time.Minute)}}, touched(t, s),
		"what was acknowledged but not judged is judged after a restart")
	_, err = s.Run(t.Context(), fmt.Sprintf("%032x", 99))
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestIngestTakesOddNumbersAndRefusesNonsense(t *testing.T) {
	s := open(t, t.TempDir())
	odd := trace(1, start, "east", probes.Up)
	odd.Run.Result.Measures = map[string]float64{"lcp_ms": math.NaN(), "bytes": math.Inf(1), "n": 1}
	odd.Run.Result.TLSUntil = time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -8*3600))
	odd.OTLP = nil
	require.Equal(t, 1, ingest(t, s, odd))
	got, err := s.Run(t.Context(), odd.Run.TraceID)
	require.NoError(t, err)
	require.Equal(t, map[string]float64{"n": 1}, got.Run.Result.Measures)

	bad := trace(2, start, "east", probes.Up)
	bad.Run.TraceID = "short"
	fresh, err := s.Ingest(t.Context(), []probes.Trace{trace(3, start, "east", probes.Up), bad})
	require.ErrorIs(t, err, store.ErrInvalid)
	require.Zero(t, fresh)
	_, err = s.Run(t.Context(), fmt.Sprintf("%032x", 3))
	require.ErrorIs(t, err, store.ErrNotFound, "a batch is stored whole or not at all")
}

func TestEvidence(t *testing.T) {
	s := open(t, t.TempDir())
	data := []byte("a picture")
	sum := sha256.Sum256(data)
	e := probes.Evidence{Kind: "screenshot", MIME: "image/jpeg", SHA256: hex.EncodeToString(sum[:]), Size: len(data), Data: data}
	require.NoError(t, s.PutEvidence(t.Context(), e))
	require.NoError(t, s.PutEvidence(t.Context(), e))
	got, err := s.Evidence(t.Context(), e.SHA256)
	require.NoError(t, err)
	require.Equal(t, e, got)
	e.Data = []byte("another")
	require.ErrorIs(t, s.PutEvidence(t.Context(), e), store.ErrInvalid)
	_, err = s.Evidence(t.Context(), "ff")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestOneDirectoryOneCoordinator(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := store.Open(t.Context(), store.Options{Dir: dir})
	require.ErrorIs(t, err, store.ErrLocked)
	require.ErrorContains(t, err, fmt.Sprintf("another coordinator (process %d) already uses %s; stop it or give this one a directory of its own", os.Getpid(), dir))
	require.NoError(t, s.Close())
	open(t, dir)
}

func TestOpenSaysHowToMend(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := store.Open(t.Context(), store.Options{Dir: file})
	require.ErrorContains(t, err, "set another directory")

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, store.File), []byte("this is not a database, whatever its name may say"), 0o600))
	_, err = store.Open(t.Context(), store.Options{Dir: dir})
	require.ErrorContains(t, err, "put a backup in its place")
}

func TestAgentRuns(t *testing.T) {
	s := open(t, t.TempDir())
	ingest(t, s, trace(1, start, "east", probes.Up), trace(2, start.Add(time.Hour), "east", probes.Unknown), trace(3, start.Add(-time.Hour), "west", probes.Up),
		trace(4, start.Add(-2*time.Hour), "east", probes.Up)) // late, and before the stretch
	got, err := s.AgentRuns(t.Context(), start)
	require.NoError(t, err)
	require.Equal(t, []store.AgentRuns{{
		Agent: "agent-east", Vantage: "east", Labels: map[string]string{"site": "east", "isp": "联通"},
		Last: start.Add(time.Hour + 2*time.Millisecond), Runs: 2, Unknown: 1,
	}}, got)
}

func TestManualRunsAreKeptButNotJudged(t *testing.T) {
	s := open(t, t.TempDir())
	hand := trace(1, start, "east", probes.Down)
	hand.Run.Trigger = probes.TriggerManual
	ingest(t, s, hand)
	require.Empty(t, touched(t, s))
	ingest(t, s, trace(2, start, "west", probes.Up))
	require.NoError(t, s.Update(context.Background(), func(tx *store.Tx) error {
		votes, lengths, err := tx.Votes(t.Context(), availability.SlotID{Key: key, Start: start})
		require.NoError(t, err)
		require.Equal(t, []time.Duration{time.Minute}, lengths)
		require.Equal(t, []availability.Vote{{
			Vantage: "west", Agent: "agent-west", ISP: "联通", Verdict: probes.Up, TraceID: fmt.Sprintf("%032x", 2),
			Started: start.Add(2 * time.Millisecond), Took: 300 * time.Millisecond, Trigger: probes.TriggerSlot,
		}}, votes)
		return nil
	}))
}
