package spool

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// counted makes the spool count its syncs of segments.
func counted(s *Spool, failing func() error) *counter {
	syncs := &counter{}
	s.traces.create = func(path string) (file, error) {
		f, err := createFile(path)
		return &faulty{file: f, syncs: syncs, failing: failing}, err
	}
	return syncs
}

func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func TestWhatIsAcknowledgedAtOnceNeedsNoSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), 8<<20)
		syncs := counted(s, nil)
		fill(t, s, 0, 1) // nothing is known of coordinators: synced
		require.Equal(t, 1, syncs.count())
		f := &fake{}
		stop := run(t, s, f)
		time.Sleep(time.Second)
		from := time.Now()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { _ = s.Append(context.Background(), []byte("trace")) })
		}
		wg.Wait()
		require.LessOrEqual(t, time.Since(from), 2*gather)
		require.Equal(t, 1, syncs.count())
		require.Zero(t, s.Stats().Pending)
		require.Len(t, f.got, 101)
		require.Less(t, len(f.tries), 5, "delivered in company")
		stop()
	})
}

func TestWhatIsNotAcknowledgedSoonIsSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), 8<<20)
		syncs := counted(s, nil)
		answer := make(chan error, 1)
		f := &fake{traces: func([]string) error { return <-answer }}
		stop := run(t, s, f)
		fill(t, s, 0, 1)
		answer <- nil
		time.Sleep(time.Second)
		had := syncs.count()

		// The coordinator takes the trace and is silent: the run is not held up.
		from := time.Now()
		fill(t, s, 1, 2)
		require.Equal(t, patience, time.Since(from))
		require.Equal(t, had+1, syncs.count())
		require.Equal(t, 1, s.Stats().Pending)
		answer <- errors.New("gone")
		time.Sleep(gather)
		synctest.Wait()

		// It is gone: nothing waits for it.
		from = time.Now()
		fill(t, s, 2, 3)
		require.Zero(t, time.Since(from))
		require.Equal(t, had+2, syncs.count())
		answer <- nil
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Zero(t, s.Stats().Pending)
		stop()
	})
}

func TestAnAcknowledgementOfLostRecordsTakesNoOthersAlong(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	var broken error
	counted(s, func() error { return broken })
	fill(t, s, 0, 2)
	_, _, end := s.traces.batch(10, 1<<20)
	s.traces.ack(end, now)

	broken = syscall.EIO
	s.traces.mu.Lock()
	g, _, err := s.traces.write([]byte("doubtful"))
	s.traces.mu.Unlock()
	require.NoError(t, err)
	batch, _, end := s.traces.batch(10, 1<<20) // under way to a coordinator
	require.Len(t, batch, 1)
	s.traces.see(g, false)
	require.ErrorIs(t, g.err, syscall.EIO)

	broken = nil
	want := fill(t, s, 3, 6)
	s.traces.ack(end, now)
	require.Equal(t, want, pending(s))
	require.Equal(t, len(want), s.Stats().Pending)
	_, start, end := s.traces.batch(10, 1<<20)
	require.LessOrEqual(t, start, end)
	s.traces.ack(end, now)
	require.Zero(t, s.Stats().Pending)
	require.NoError(t, s.Close())
}

func TestClosingSettlesWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), 1<<20)
		s.traces.expect(true)
		done := make(chan error)
		go func() { done <- s.Append(context.Background(), []byte("last")) }()
		synctest.Wait()
		require.NoError(t, s.Close())
		require.NoError(t, <-done)
		again, err := Open(Options{Dir: s.dir, MaxBytes: 1 << 20, Logger: quiet()})
		require.NoError(t, err)
		require.Equal(t, []string{"last"}, pending(again))
		require.NoError(t, again.Close())
	})
}
