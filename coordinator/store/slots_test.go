package store_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/store"
	"github.com/gengfu/gengfu/probes"
)

func update(t *testing.T, s *store.Store, fn func(*store.Tx) error) {
	t.Helper()
	require.NoError(t, s.Update(t.Context(), fn))
}

func judgedSlot(key probes.Key, from time.Time, v probes.Verdict) availability.Slot {
	return availability.Slot{
		Key: key, Start: from, Every: time.Minute, Rule: availability.Rule{Count: 2, Quorum: 2}, Verdict: v, Reason: availability.ReasonAgreed,
		Votes: []availability.Vote{{Vantage: "east", Agent: "a", ISP: "联通", Verdict: v, TraceID: "x", Started: from, Took: time.Second, Trigger: probes.TriggerSlot}},
	}
}

func TestSlots(t *testing.T) {
	s := open(t, t.TempDir())
	other := probes.Key{Service: "shebao", Probe: "api"}
	var slots []availability.Slot
	for n := range 5 {
		slots = append(slots, judgedSlot(key, start.Add(time.Duration(n)*time.Minute), probes.Up))
	}
	update(t, s, func(tx *store.Tx) error {
		for _, n := range []int{4, 0, 2, 1, 3} { // late data come in any order
			if err := tx.PutSlot(t.Context(), slots[n]); err != nil {
				return err
			}
		}
		return tx.PutSlot(t.Context(), judgedSlot(other, start, probes.Down))
	})
	latest, err := s.LatestSlots(t.Context())
	require.NoError(t, err)
	require.Equal(t, slots[4], latest[key], "not the one written last")
	slots[4].Verdict, slots[4].Class, slots[4].Votes = probes.Down, probes.ClassDNS, nil
	update(t, s, func(tx *store.Tx) error { return tx.PutSlot(t.Context(), slots[4]) })

	latest, err = s.LatestSlots(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[probes.Key]availability.Slot{key: slots[4], other: judgedSlot(other, start, probes.Down)}, latest)

	// A slot that began before the stretch and runs into it belongs to it.
	got, err := s.Slots(t.Context(), key, start.Add(90*time.Second), start.Add(3*time.Minute))
	require.NoError(t, err)
	require.Equal(t, slots[1:3], got)
	bare, err := s.Verdicts(t.Context(), key, start, start.Add(time.Hour))
	require.NoError(t, err)
	require.Len(t, bare, 5)
	require.Equal(t, probes.Down, bare[4].Verdict)
	require.Empty(t, bare[0].Votes)

	one, err := s.Slot(t.Context(), key, slots[2].Start)
	require.NoError(t, err)
	require.Equal(t, slots[2], one)
	_, err = s.Slot(t.Context(), key, start.Add(time.Second))
	require.ErrorIs(t, err, store.ErrNotFound)
}

// TestOnlyTheNewestEarlierSlotSpeaks holds what Slots and Verdicts answer about
// a stretch that begins inside slots of different lengths, and that they do not
// look further back than that.
func TestOnlyTheNewestEarlierSlotSpeaks(t *testing.T) {
	s := open(t, t.TempDir())
	put := func(minute int, every time.Duration) {
		update(t, s, func(tx *store.Tx) error {
			slot := judgedSlot(key, start.Add(time.Duration(minute)*time.Minute), probes.Up)
			slot.Every = every
			return tx.PutSlot(t.Context(), slot)
		})
	}
	put(-48*60, 72*time.Hour) // longer than a day
	minutes := func(from, to int) (out []int) {
		t.Helper()
		slots, err := s.Slots(t.Context(), key, start.Add(time.Duration(from)*time.Minute), start.Add(time.Duration(to)*time.Minute))
		require.NoError(t, err)
		bare, err := s.Verdicts(t.Context(), key, start.Add(time.Duration(from)*time.Minute), start.Add(time.Duration(to)*time.Minute))
		require.NoError(t, err)
		require.Len(t, bare, len(slots))
		for i, slot := range slots {
			out = append(out, int(slot.Start.Sub(start)/time.Minute))
			require.Equal(t, availability.Slot{Key: key, Start: slot.Start, Every: slot.Every, Verdict: slot.Verdict, Class: slot.Class}, bare[i])
		}
		return out
	}
	require.Equal(t, []int{-48 * 60}, minutes(0, 5), "it runs into the stretch")
	put(0, time.Hour)
	put(10, time.Minute)
	put(20, time.Minute)
	require.Equal(t, []int{0, 10}, minutes(5, 20))
	require.Equal(t, []int{10, 20}, minutes(10, 21), "from is included, to is not")
	require.Equal(t, []int{20}, minutes(15, 30), "the hour was cut short by a later slot, and that is over")
	require.Empty(t, minutes(21, 30))
	require.Empty(t, minutes(21, 21))
}

func TestRunsAndLastGood(t *testing.T) {
	s := open(t, t.TempDir())
	_, err := s.LastGood(t.Context(), key, start)
	require.ErrorIs(t, err, store.ErrNotFound)
	for n, v := range []probes.Verdict{probes.Up, probes.Up, probes.Degraded, probes.Down, probes.Up} {
		ingest(t, s, trace(n+1, start.Add(time.Duration(n)*time.Minute), "east", v))
	}
	good, err := s.LastGood(t.Context(), key, start.Add(4*time.Minute))
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%032x", 2), good.TraceID)
	runs, err := s.Runs(t.Context(), key, start.Add(2*time.Minute), start.Add(4*time.Minute), 100)
	require.NoError(t, err)
	require.Len(t, runs, 2)
	require.Equal(t, fmt.Sprintf("%032x", 4), runs[0].TraceID)
}

// TestRunsAreReadPageByPage holds that pages neither repeat nor lose a run, also
// where several started at the same instant.
func TestRunsAreReadPageByPage(t *testing.T) {
	s := open(t, t.TempDir())
	for n, second := range []int{0, 1, 1, 1, 1, 2, 3, 3} {
		tr := trace(n+1, start, "east", probes.Up)
		tr.Run.Started = start.Add(time.Duration(second) * time.Second)
		ingest(t, s, tr)
	}
	whole, err := s.Runs(t.Context(), key, start, start.Add(time.Minute), 100)
	require.NoError(t, err)
	require.Len(t, whole, 8)
	for size := 1; size < 9; size++ {
		paged, err := s.Runs(t.Context(), key, start, start.Add(time.Minute), size)
		require.NoError(t, err)
		for more := paged; len(more) == size; {
			last := paged[len(paged)-1]
			more, err = s.RunsBefore(t.Context(), key, start, last.Started, last.TraceID, size)
			require.NoError(t, err)
			paged = append(paged, more...)
		}
		require.Equal(t, whole, paged, size)
	}
	none, err := s.RunsBefore(t.Context(), key, start.Add(2*time.Second), start.Add(2*time.Second), whole[2].TraceID, 10)
	require.NoError(t, err)
	require.Empty(t, none, "from bounds the list")
}

// TestReadersDoNotWaitForTheWriter holds what makes a page quick while a batch
// is stored, and that a reader never sees half of one.
func TestReadersDoNotWaitForTheWriter(t *testing.T) {
	s := open(t, t.TempDir())
	update(t, s, func(tx *store.Tx) error {
		if err := tx.PutSlot(t.Context(), judgedSlot(key, start, probes.Up)); err != nil {
			return err
		}
		latest, err := s.LatestSlots(t.Context())
		require.Empty(t, latest)
		return err
	})
	latest, err := s.LatestSlots(t.Context())
	require.NoError(t, err)
	require.Len(t, latest, 1)
}

func TestManyAtOnce(t *testing.T) {
	s := open(t, t.TempDir())
	const writers, batches = 4, 4
	var wg sync.WaitGroup
	fresh := make([]int, writers)
	for w := range writers {
		wg.Go(func() {
			for b := range batches {
				// Every batch is sent by two writers, as after a lost acknowledgement.
				n, err := s.Ingest(t.Context(), []probes.Trace{trace(1000+(w/2)*batches+b, start.Add(time.Duration(b)*time.Minute), "east", probes.Up)})
				if err == nil {
					_, err = s.LatestSlots(t.Context())
				}
				if err == nil {
					err = s.Update(t.Context(), func(tx *store.Tx) error {
						ids, err := tx.Touched(t.Context(), time.Now(), 1)
						if err == nil && len(ids) == 1 {
							err = tx.PutSlot(t.Context(), judgedSlot(ids[0].Key, ids[0].Start, probes.Up))
						}
						return err
					})
				}
				if err != nil {
					t.Error(err)
					return
				}
				fresh[w] += n
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range fresh {
		sum += n
	}
	require.Equal(t, writers/2*batches, sum)
	runs, err := s.AgentRuns(t.Context(), start)
	require.NoError(t, err)
	require.Equal(t, sum, runs[0].Runs)
}
