package confirm_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/agent/confirm"
	"github.com/gengfu/gengfu/probes"
)

// asked runs what a0 of a fleet of one is asked for, and notes each run.
type asked struct {
	*confirm.Confirmer
	stop func()

	mu   sync.Mutex
	ran  []string // the probes in the order in which they began
	by   map[string]time.Time
	free chan struct{} // a run ends with each; nil for at once
}

func newAsked(t *testing.T, every, timeout time.Duration, change func(*confirm.Options)) *asked {
	a := &asked{by: map[string]time.Time{}}
	o := confirm.Options{
		Self: "a0",
		Probe: func(k probes.Key) (probes.Probe, bool) {
			p := probes.Probe{Key: k, Every: every, Timeout: timeout, Quorum: 2, From: probes.Placement{Count: 1}}
			if k.Service == "browser" {
				p.Needs = []probes.Capability{probes.CapabilityBrowser}
			}
			return p, true
		},
		Rank: func(probes.Key) []confirm.Peer { return nil },
		Send: func(context.Context, string, []byte) error { return nil },
		RunNow: func(_ context.Context, k probes.Key, _, by time.Time) bool {
			a.mu.Lock()
			a.ran = append(a.ran, k.String())
			a.by[k.String()] = by
			a.mu.Unlock()
			if a.free != nil {
				<-a.free
			}
			return true
		},
		Logger: slog.New(slog.DiscardHandler),
	}
	change(&o)
	c, err := confirm.New(o)
	require.NoError(t, err)
	a.Confirmer = c
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { require.NoError(t, c.Run(ctx)) })
	a.stop = func() { cancel(); wg.Wait() }
	return a
}

// take asks for the slot that runs now, and returns its start.
func (a *asked) take(k probes.Key, every time.Duration) time.Time {
	slot := probes.SlotAt(k, every, time.Now())
	a.Handle("a9", request(slot, func(m map[string]string) { m["probe"] = fmt.Sprintf("%q", k.String()) }))
	return slot
}

func (a *asked) began() []string {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	ran := a.ran
	a.ran = nil
	return ran
}

// fresh finds n probes whose slots have just begun, the newest last.
func fresh(n int, every time.Duration) (keys []probes.Key) {
	at := time.Now()
	for i := 0; len(keys) < n; i++ {
		k := probes.Key{Service: "fresh", Probe: fmt.Sprint(i)}
		if slot := probes.SlotAt(k, every, time.Now()); at.Sub(slot) < every/4 {
			keys = append(keys, k)
		}
	}
	for i := range keys {
		for j := range keys[:i] {
			if probes.SlotAt(keys[i], every, at).Before(probes.SlotAt(keys[j], every, at)) {
				keys[i], keys[j] = keys[j], keys[i]
			}
		}
	}
	return keys
}

const every = 30 * time.Second

func TestTheNewestSlotIsRunFirstAndTheOldestIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked(t, every, 10*time.Second, func(o *confirm.Options) { o.Workers, o.Queue = 1, 3 })
		a.free = make(chan struct{})
		keys := fresh(6, every)
		a.take(keys[0], every)
		require.Equal(t, []string{keys[0].String()}, a.began(), "it takes the only place")
		for _, i := range []int{3, 1, 5, 2, 4} {
			a.take(keys[i], every)
		}
		require.Empty(t, a.began())
		require.EqualValues(t, 2, a.Stats().Dropped)
		for _, i := range []int{5, 4, 3} {
			a.free <- struct{}{}
			require.Equal(t, []string{keys[i].String()}, a.began())
		}
		a.take(keys[5], every)
		require.EqualValues(t, 1, a.Stats().Repeats)
		a.take(keys[2], every) // was lost, so somebody may ask again
		a.free <- struct{}{}
		require.Equal(t, []string{keys[2].String()}, a.began())
		close(a.free)
		a.stop()
		require.EqualValues(t, 5, a.Stats().Ran)
	})
}

func TestWhatWaitedTooLongIsNotRun(t *testing.T) {
	for _, c := range []struct {
		name           string
		every, timeout time.Duration
		into           time.Duration // into the slot when it is asked for
		wait           time.Duration // until a worker is free
		by             time.Duration // after the slot's start the run may begin at the latest; 0 when it is not run
	}{
		{"at once", every, 10 * time.Second, time.Second, 0, 21 * time.Second},
		{"at once, late in the slot", every, 10 * time.Second, 15 * time.Second, 0, every},
		{"as long as a run may take", every, 10 * time.Second, time.Second, 10 * time.Second, 21 * time.Second},
		{"longer than a run may take", every, 10 * time.Second, time.Second, 10*time.Second + 1, 0},
		{"until just before the slot's end", every, 20 * time.Second, 15 * time.Second, 15*time.Second - 1, every},
		{"until the slot's end", every, 20 * time.Second, 15 * time.Second, 15 * time.Second, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hog, k := probes.Key{Service: "hog", Probe: "x"}, probes.Key{Service: "late", Probe: "x"}
				a := newAsked(t, c.every, c.timeout, func(o *confirm.Options) { o.Workers = 1 })
				a.free = make(chan struct{})
				time.Sleep(time.Until(probes.NextSlot(k, c.every, time.Now()).Add(c.into)))
				if c.wait > 0 {
					a.take(hog, c.every)
					require.Len(t, a.began(), 1)
				}
				slot := a.take(k, c.every)
				time.Sleep(c.wait)
				close(a.free)
				ran := a.began()
				a.take(k, c.every)
				if c.by == 0 {
					require.Empty(t, ran)
					require.EqualValues(t, 1, a.Stats().Late)
					require.Zero(t, a.Stats().Repeats, "it may be asked for again")
				} else {
					require.Len(t, ran, 1)
					require.Equal(t, slot.Add(c.by), a.by[k.String()].UTC())
					require.Zero(t, a.Stats().Late)
				}
				a.stop()
			})
		})
	}
}

func TestARunThatFoundNoPlaceIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked(t, every, 10*time.Second, func(o *confirm.Options) {
			o.RunNow = func(context.Context, probes.Key, time.Time, time.Time) bool { return false }
		})
		a.take(key, every)
		synctest.Wait()
		require.EqualValues(t, 1, a.Stats().Late)
		require.Zero(t, a.Stats().Ran)
		a.stop()
	})
}

func TestAnIntervalThatChangesWhileARequestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var probe func(probes.Key) (probes.Probe, bool)
		now := every
		a := newAsked(t, every, 10*time.Second, func(o *confirm.Options) {
			o.Workers = 1
			probe = o.Probe
			o.Probe = func(k probes.Key) (probes.Probe, bool) {
				p, ok := probe(k)
				p.Every = now
				return p, ok
			}
		})
		a.free = make(chan struct{})
		keys := fresh(2, every)
		a.take(keys[0], every)
		synctest.Wait()
		a.take(keys[1], every)
		now = 47 * time.Second
		close(a.free)
		require.Equal(t, []string{keys[0].String()}, a.began(), "a slot that is none any more is not run")
		a.stop()
	})
}

func TestBrowsersDoNotHoldUpTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsked(t, every, 10*time.Second, func(o *confirm.Options) { o.Workers, o.Browsers, o.Queue = 2, 1, 4 })
		a.free = make(chan struct{})
		for i := range 8 {
			a.take(probes.Key{Service: "browser", Probe: fmt.Sprint(i)}, every)
			synctest.Wait()
		}
		require.Len(t, a.began(), 1)
		require.EqualValues(t, 3, a.Stats().Dropped)
		a.take(key, every)
		require.Equal(t, []string{key.String()}, a.began())
		close(a.free)
		a.stop()
	})
}

func TestWhatGoesUnconfirmedIsSaidOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		var mu sync.Mutex
		lines := func() []string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			defer out.Reset()
			return strings.FieldsFunc(out.String(), func(r rune) bool { return r == '\n' })
		}
		a := newAsked(t, every, 10*time.Second, func(o *confirm.Options) {
			o.Logger = slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
				mu.Lock()
				defer mu.Unlock()
				return out.Write(b)
			}), nil))
		})
		time.Sleep(10 * time.Minute)
		require.Empty(t, lines())
		for i := range 50 {
			run := ended(probes.SlotAt(numbered(i), every, time.Now()), probes.Down, probes.TriggerSlot)
			run.Key = numbered(i)
			a.Ended(run) // nobody to ask
		}
		a.Handle("a9", request(probes.SlotAt(key, every, time.Now()).Add(-every), nil))
		time.Sleep(61 * time.Second)
		said := lines()
		require.Len(t, said, 1)
		require.Contains(t, said[0], "level=WARN")
		require.Contains(t, said[0], "dropped=0 late=1 capped=0 alone=50 unheard=0")
		time.Sleep(10 * time.Minute)
		require.Empty(t, lines(), "nothing new, nothing said")
		a.Ended(ended(probes.SlotAt(key, every, time.Now()), probes.Down, probes.TriggerSlot))
		a.stop()
		require.Len(t, lines(), 1, "also when it stops before the minute is over")
	})
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }
