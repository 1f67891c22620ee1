package confirm_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/agent/confirm"
	"github.com/gengfu/gengfu/probes"
)

func TestAFailureKnownAfterItsSlotIsAskedAboutInTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, 2, "n", "s", "e")
		stop := f.start(nil)
		defer stop()
		slot := probes.NextSlot(key, f.probe.Every, time.Now())
		time.Sleep(time.Until(slot.Add(f.probe.Every)))
		f.members["a0"].Ended(ended(slot, probes.Down, probes.TriggerSlot))
		synctest.Wait()
		next := []time.Time{slot.Add(f.probe.Every)}
		require.Equal(t, map[string][]time.Time{"a1": next, "a2": next}, f.ran)
		f.members["a0"].Ended(ended(next[0], probes.Down, probes.TriggerSlot))
		synctest.Wait()
		require.Equal(t, map[string][]time.Time{"a1": next, "a2": next}, f.ran, "once")
	})
}

// TestAPeerThatHangsHoldsUpFewQuestions has one of three peers answer no request
// while all its probes fail: each question still reaches two others at once.
func TestAPeerThatHangsHoldsUpFewQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		reached := map[string]int{}
		var latest time.Duration
		begun := time.Now()
		f := newFleet(t, 1, 2, "n", "s", "e", "w")
		stop := f.start(func(o *confirm.Options) {
			o.Probe = f.any
			o.Send = func(ctx context.Context, member string, _ []byte) error {
				if member == "a1" {
					<-ctx.Done()
					return ctx.Err()
				}
				mu.Lock()
				defer mu.Unlock()
				reached[member]++
				latest = max(latest, time.Since(begun))
				return nil
			}
		})
		defer stop()
		for _, k := range fresh(55, f.probe.Every) {
			run := ended(probes.SlotAt(k, f.probe.Every, time.Now()), probes.Down, probes.TriggerSlot)
			run.Key = k
			f.members["a0"].Ended(run)
		}
		time.Sleep(5 * time.Minute)
		require.Zero(t, f.members["a0"].Stats().Late)
		require.Equal(t, map[string]int{"a2": 55, "a3": 55}, reached)
		require.LessOrEqual(t, latest, f.probe.Every*3/4)
	})
}

func TestQuestionsAreBoundedAndTheLateOnesAreNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var sent []string
		free := make(chan struct{})
		f := newFleet(t, 1, 1, "n", "s")
		stop := f.start(func(o *confirm.Options) {
			o.Queue = 4
			o.Probe = f.any
			o.Send = func(_ context.Context, _ string, payload []byte) error {
				mu.Lock()
				sent = append(sent, string(payload))
				mu.Unlock()
				<-free
				return nil
			}
		})
		a := f.members["a0"]
		for i := range 8 + 4 + 3 { // askers, the queue, and too many
			a.Ended(f.failed(i))
			synctest.Wait()
		}
		require.Len(t, sent, 8)
		require.EqualValues(t, 3, a.Stats().Dropped)
		time.Sleep(f.probe.Every)
		a.Ended(f.failed(99)) // makes the oldest of those that wait go
		close(free)
		synctest.Wait()
		require.EqualValues(t, 4, a.Stats().Dropped)
		require.EqualValues(t, 3, a.Stats().Late)
		require.Len(t, sent, 9)
		require.Contains(t, sent[8], fmt.Sprintf("%q", numbered(99)))
		stop()
	})
}
