package schedule_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/agent/schedule"
	"github.com/gengfu/gengfu/probes"
)

// bench is a scheduler in a bubble of virtual time, with what it emitted.
type bench struct {
	s      *schedule.Scheduler
	cancel context.CancelFunc
	done   chan error

	mu     sync.Mutex
	owned  []schedule.Owned
	began  []begun
	takes  time.Duration // how long a run lasts
	offset time.Duration // of the wall clock
}

type begun struct {
	schedule.Due
	at time.Time
}

func (b *bench) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Now().Add(b.offset)
}

func start(t *testing.T, owned ...schedule.Owned) *bench {
	t.Helper()
	b := &bench{owned: owned, done: make(chan error, 1), takes: time.Second}
	var err error
	b.s, err = schedule.New(schedule.Options{
		Owned: func() []schedule.Owned {
			b.mu.Lock()
			defer b.mu.Unlock()
			return slices.Clone(b.owned)
		},
		Run: func(ctx context.Context, d schedule.Due) {
			at := b.now()
			b.mu.Lock()
			b.began = append(b.began, begun{d, at})
			takes := b.takes
			b.mu.Unlock()
			select {
			case <-time.After(takes):
			case <-ctx.Done():
				panic("a run was cut off by the end of the schedule")
			}
		},
		Now:    b.now,
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	b.cancel = cancel
	go func() { b.done <- b.s.Run(ctx) }()
	return b
}

func (b *bench) stop(t *testing.T) {
	t.Helper()
	b.cancel()
	require.NoError(t, <-b.done)
}

func (b *bench) own(owned ...schedule.Owned) {
	b.mu.Lock()
	b.owned = owned
	b.mu.Unlock()
	b.s.Refresh()
	synctest.Wait()
}

func (b *bench) runs() []begun {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.began)
}

func (b *bench) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func owned(name string, every, timeout time.Duration) schedule.Owned {
	return schedule.Owned{
		Probe:   probes.Probe{Key: probes.Key{Service: "service", Probe: name}, Every: every, Timeout: timeout},
		Channel: probes.ChannelPortal, Revision: "abc",
	}
}

func noSlotTwice(t *testing.T, runs []begun) {
	t.Helper()
	seen := map[string]bool{}
	for _, r := range runs {
		id := r.Probe.Key.String() + r.Slot.String()
		require.False(t, seen[id], "slot %v of %v was run twice", r.Slot, r.Probe.Key)
		seen[id] = true
		require.Equal(t, probes.SlotAt(r.Probe.Key, r.Probe.Every, r.Slot), r.Slot)
	}
}

func TestRunsStartExactlyAtTheirSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, owned("a", 30*time.Second, 5*time.Second), owned("b", 5*time.Minute, time.Minute), owned("c", 7*time.Second, time.Second))
		time.Sleep(24 * time.Hour)
		b.stop(t)
		counts := map[string]int{}
		for _, r := range b.runs() {
			if r.Trigger == probes.TriggerSlot {
				require.Zero(t, r.at.Sub(r.Slot), "no drift")
			}
			require.Equal(t, "abc", r.Revision)
			counts[r.Probe.Key.Probe]++
		}
		noSlotTwice(t, b.runs())
		require.InDelta(t, 24*120, counts["a"], 1)
		require.InDelta(t, 24*12, counts["b"], 1)
		require.InDelta(t, 24*3600/7, counts["c"], 2)
		require.Zero(t, b.s.Stats().Missed)
		require.Zero(t, b.s.Stats().Skipped)
		require.Equal(t, 3, b.s.Stats().Owned)
	})
}

func TestEverythingIsCaughtUpWithinSecondsOfTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []schedule.Owned
		for i := range 200 {
			all = append(all, owned(fmt.Sprint(i), time.Hour, time.Second))
		}
		from := time.Now()
		b := start(t, all...)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		runs := b.runs()
		require.GreaterOrEqual(t, len(runs), 200)
		instants := map[time.Duration]bool{}
		for _, r := range runs {
			if r.Trigger == probes.TriggerCatchUp {
				require.False(t, r.Slot.After(from))
			}
			instants[r.at.Sub(from).Truncate(100*time.Millisecond)] = true
		}
		require.Greater(t, len(instants), 20, "catch-ups are spread, no stampede")
		b.stop(t)
	})
}

func TestASlotIsCaughtUpHoweverLittleOfItIsLeft(t *testing.T) {
	o := owned("late", time.Minute, 20*time.Second)
	key := o.Probe.Key
	for _, into := range []time.Duration{time.Second, 39 * time.Second, 41 * time.Second, 59*time.Second + 900*time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			b := start(t)
			b.set(func() { b.takes = 15 * time.Second })
			slot := probes.NextSlot(key, time.Minute, time.Now())
			time.Sleep(time.Until(slot.Add(into)))
			came := time.Now()
			b.own(o)
			time.Sleep(2 * time.Minute)
			b.stop(t)
			runs := b.runs()
			noSlotTwice(t, runs)
			require.GreaterOrEqual(t, len(runs), 3)
			require.Equal(t, probes.TriggerCatchUp, runs[0].Trigger)
			require.Equal(t, slot, runs[0].Slot)
			require.LessOrEqual(t, runs[0].at.Sub(came), 3*time.Second, "a dead agent's probe runs elsewhere within seconds")
			require.True(t, runs[0].at.Before(slot.Add(time.Minute)), "a run begins inside its slot")
			require.Equal(t, slot.Add(time.Minute), runs[1].Slot, "the catch-up, still in flight, must not cost the next slot")
			require.Zero(t, runs[1].at.Sub(runs[1].Slot))
			stats := b.s.Stats()
			require.Zero(t, stats.Missed, "what others owned we did not miss")
			require.Zero(t, stats.Skipped)
		})
	}
}

func TestNoSlotIsRunTwiceWhenOwnershipFlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := owned("flap", 10*time.Second, time.Second)
		b := start(t, o)
		for i := range 500 {
			time.Sleep(time.Duration(137+i) * time.Millisecond)
			b.own()
			time.Sleep(53 * time.Millisecond)
			b.own(o)
		}
		b.stop(t)
		noSlotTwice(t, b.runs())
		require.Greater(t, len(b.runs()), 15)
	})
}

func TestARunInFlightSkipsTheNextSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, owned("slow", 10*time.Second, time.Second), owned("other", 10*time.Second, time.Second))
		b.set(func() { b.takes = 15 * time.Second })
		time.Sleep(10 * time.Minute)
		b.stop(t)
		noSlotTwice(t, b.runs())
		stats := b.s.Stats()
		require.InDelta(t, 60, stats.Skipped, 6, "every other slot of both")
		require.InDelta(t, 60, stats.Started, 6)
		require.Zero(t, stats.Missed)
		require.Zero(t, stats.InFlight)
	})
}

func TestMissedSlotsAreCountedAndNotReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := owned("paused", 10*time.Second, 2*time.Second)
		b := start(t, o)
		time.Sleep(time.Minute)
		slot := probes.NextSlot(o.Probe.Key, 10*time.Second, time.Now())
		time.Sleep(time.Until(slot.Add(3 * time.Second)))
		before := len(b.runs())
		b.set(func() { b.offset = 10 * time.Minute }) // as after a suspended laptop
		time.Sleep(2 * time.Second)
		after := b.runs()[before:]
		require.Len(t, after, 1, "only the slot that runs now")
		require.Equal(t, slot.Add(10*time.Minute), after[0].Slot)
		require.Equal(t, probes.TriggerSlot, after[0].Trigger)
		require.EqualValues(t, 59, b.s.Stats().Missed)
		time.Sleep(time.Minute)
		noSlotTwice(t, b.runs())
		require.EqualValues(t, 59, b.s.Stats().Missed)
		b.stop(t)
	})
}

func TestASlotThatIsNearlyOverIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := owned("paused", 10*time.Second, 2*time.Second)
		b := start(t, o)
		slot := probes.NextSlot(o.Probe.Key, 10*time.Second, time.Now())
		time.Sleep(time.Until(slot.Add(5 * time.Second)))
		before := len(b.runs())
		b.set(func() { b.offset = 14 * time.Second }) // 9 s into the slot after the next
		time.Sleep(500 * time.Millisecond)
		require.Len(t, b.runs(), before)
		time.Sleep(2 * time.Second)
		require.Len(t, b.runs(), before+1)
		require.EqualValues(t, 1, b.s.Stats().Missed)
		b.stop(t)
	})
}

func TestAClockSetBackDoesNotStopTheSchedule(t *testing.T) {
	for _, back := range []time.Duration{4 * time.Second, 25 * time.Second, 6 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, owned("back", 10*time.Second, time.Second))
			time.Sleep(time.Hour)
			before := len(b.runs())
			b.set(func() { b.offset = -back })
			time.Sleep(time.Minute)
			after := b.runs()[before:]
			require.InDelta(t, 6, len(after), 1, "back by %v", back)
			for _, r := range after {
				require.Zero(t, r.at.Sub(r.Slot))
			}
			if back < 10*time.Second {
				noSlotTwice(t, b.runs())
			}
			b.stop(t)
		})
	}
}

func TestRefreshTakesUpNewDefinitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := owned("changing", time.Minute, time.Second)
		b := start(t, o)
		time.Sleep(2 * time.Minute)
		o.Revision = "def"
		b.own(o)
		time.Sleep(time.Minute)
		runs := b.runs()
		require.Equal(t, "def", runs[len(runs)-1].Revision)
		noSlotTwice(t, runs)

		o.Probe.Every = 10 * time.Second
		b.own(o)
		time.Sleep(time.Minute)
		require.InDelta(t, 6, len(b.runs())-len(runs), 1)

		b.own()
		before := len(b.runs())
		time.Sleep(10 * time.Minute)
		require.Len(t, b.runs(), before)
		require.Zero(t, b.s.Stats().Owned)
		b.stop(t)
	})
}

func TestStoppingWaitsForRunsAndBeginsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, owned("long", 10*time.Second, 9*time.Second))
		b.set(func() { b.takes = 9 * time.Second })
		time.Sleep(time.Minute)
		for b.s.Stats().InFlight == 0 {
			time.Sleep(100 * time.Millisecond)
		}
		started := b.s.Stats().Started
		from := time.Now()
		b.stop(t)
		require.Positive(t, time.Since(from), "waited")
		require.Zero(t, b.s.Stats().InFlight)
		require.Equal(t, started, b.s.Stats().Started)
	})
}

func TestNewWantsItsFunctions(t *testing.T) {
	_, err := schedule.New(schedule.Options{})
	require.ErrorContains(t, err, "want Owned and Run")
}
