package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
)

var now = time.Date(2026, 11, 25, 4, 0, 0, 0, time.UTC)

// fake is a coordinator as a Sender. Both functions may be nil.
type fake struct {
	traces   func(batch []string) error
	evidence func(e probes.Evidence) error

	mu    sync.Mutex
	got   []string // acknowledged
	files []string
	tries []time.Time
}

func (f *fake) SendTraces(_ context.Context, batch [][]byte) error {
	var texts []string
	for _, b := range batch {
		texts = append(texts, string(b))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries = append(f.tries, time.Now())
	if f.traces != nil {
		if err := f.traces(texts); err != nil {
			return err
		}
	}
	f.got = append(f.got, texts...)
	return nil
}

func (f *fake) SendEvidence(_ context.Context, e probes.Evidence) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.evidence != nil {
		if err := f.evidence(e); err != nil {
			return err
		}
	}
	f.files = append(f.files, string(e.Data))
	return nil
}

// run delivers with f until the test ends.
func run(t *testing.T, s *Spool, f Sender) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, f) }()
	return func() {
		cancel()
		require.NoError(t, <-done)
	}
}

func TestDeliveryFreesTheDisk(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	want := fill(t, s, 0, 700) // more than one batch
	require.NoError(t, s.PutEvidence(t.Context(), picture("p")))
	var f fake
	stop := run(t, s, &f)
	require.NoError(t, s.Flush(t.Context()))
	want = append(want, fill(t, s, 700, 710)...) // while it is idle
	require.NoError(t, s.Flush(t.Context()))
	require.Error(t, s.Run(t.Context(), &f), "it runs already")
	stop()
	require.Equal(t, want, f.got)
	require.Equal(t, []string{"p"}, f.files)
	st := s.Stats()
	require.False(t, st.LastAck.IsZero())
	require.Zero(t, st.Pending+st.Evidence)
	s = reopen(t, s, 1<<20)
	require.Zero(t, s.Stats().Bytes)
	require.Empty(t, segments(t, s))
}

func TestAFailureIsTriedAgainAndTheWaitsGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), 1<<20)
		want := fill(t, s, 0, 3)
		down := errors.New("connection refused")
		f := &fake{traces: func([]string) error { return down }}
		stop := run(t, s, f)
		start := time.Now()
		for i := range 30 {
			time.Sleep(10 * time.Second)
			want = append(want, fill(t, s, 3+i, 4+i)...) // must not hurry it
		}
		synctest.Wait()
		f.mu.Lock()
		tries := f.tries
		down = nil
		f.mu.Unlock()
		require.Less(t, tries[1].Sub(start), time.Second)
		require.Greater(t, len(tries), 20)
		require.Less(t, len(tries), 80)
		for i := range tries[1:] {
			require.LessOrEqual(t, tries[i+1].Sub(tries[i]), maxWait)
		}
		time.Sleep(maxWait + time.Second)
		synctest.Wait()
		require.Equal(t, want, f.got)
		stop()
	})
}

func TestAKickEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), 1<<20)
		want := fill(t, s, 0, 3)
		require.NoError(t, s.PutEvidence(t.Context(), picture("p")))
		down := ErrNoTarget
		f := &fake{traces: func([]string) error { return down }, evidence: func(probes.Evidence) error { return down }}
		stop := run(t, s, f)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		f.mu.Lock()
		down = nil
		f.mu.Unlock()
		before := time.Now()
		s.Kick()
		synctest.Wait()
		require.Equal(t, before, time.Now())
		require.Equal(t, want, f.got)
		require.Equal(t, []string{"p"}, f.files)
		stop()
	})
}

func TestAWrongTokenIsSaidOnceAndTriedSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		s, err := Open(Options{Dir: t.TempDir(), MaxBytes: 1 << 20, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
		require.NoError(t, err)
		want := fill(t, s, 0, 1)
		refused := fmt.Errorf("%w: status 401", ErrUnauthorized)
		f := &fake{traces: func([]string) error { return refused }}
		stop := run(t, s, f)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		f.mu.Lock()
		require.LessOrEqual(t, len(f.tries), 41)
		refused = nil
		f.mu.Unlock()
		time.Sleep(maxWait)
		synctest.Wait()
		stop()
		require.Equal(t, want, f.got)
		require.Equal(t, 1, strings.Count(logged.String(), "their cluster keys differ; give both the same key"))
		require.Contains(t, logged.String(), "level=WARN")
		require.Contains(t, logged.String(), "delivery goes on")
		require.NoError(t, s.Close())
	})
}

func TestABusyCoordinatorIsGivenTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), 1<<20)
		fill(t, s, 0, 1)
		first := true
		f := &fake{traces: func([]string) error {
			if first {
				first = false
				return &RetryError{Err: errors.New("busy"), After: 7 * time.Second}
			}
			return nil
		}}
		stop := run(t, s, f)
		require.NoError(t, s.Flush(t.Context()))
		require.Equal(t, 7*time.Second, f.tries[1].Sub(f.tries[0]))
		stop()
	})
}

// One bad trace among many goes aside alone.
func TestPoisonIsSetAsideAlone(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	want := fill(t, s, 0, 100)
	require.NoError(t, s.Append(t.Context(), []byte("poison")))
	want = append(want, fill(t, s, 100, 200)...)
	require.NoError(t, s.PutEvidence(t.Context(), picture("bad picture")))
	require.NoError(t, s.PutEvidence(t.Context(), picture("good picture")))
	f := &fake{
		traces: func(batch []string) error {
			for _, b := range batch {
				if b == "poison" {
					return &PermanentError{Err: errors.New("invalid")}
				}
			}
			return nil
		},
		evidence: func(e probes.Evidence) error {
			if string(e.Data) == "bad picture" {
				return &PermanentError{Err: errors.New("invalid")}
			}
			return nil
		},
	}
	stop := run(t, s, f)
	require.NoError(t, s.Flush(t.Context()))
	stop()
	require.Equal(t, want, f.got)
	require.Equal(t, []string{"good picture"}, f.files)
	require.EqualValues(t, 2, s.Stats().Rejected)
	files, err := filepath.Glob(filepath.Join(s.dir, "rejected", "*.otlp"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	data, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.Equal(t, "poison", string(data))
}

func TestThePitIsBounded(t *testing.T) {
	p := &pit{dir: t.TempDir()}
	for i := range maxPitFiles + 10 {
		require.NoError(t, p.add("otlp", fmt.Append(nil, i)))
	}
	files, err := filepath.Glob(filepath.Join(p.dir, "*"))
	require.NoError(t, err)
	require.Len(t, files, maxPitFiles)
	data, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.Equal(t, "10", string(data), "the oldest went")
	for range 4 {
		require.NoError(t, p.add("otlp", make([]byte, maxPitBytes/2-100)))
	}
	files, err = filepath.Glob(filepath.Join(p.dir, "*"))
	require.NoError(t, err)
	require.Less(t, len(files), 10)
	require.EqualValues(t, maxPitFiles+14, p.count.Load())
}

func TestFlushGivesUpWithItsContext(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	fill(t, s, 0, 2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorContains(t, s.Flush(ctx), "2 traces and 0 files stay on disk")
}
