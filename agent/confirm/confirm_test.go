package confirm_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/agent/confirm"
	"github.com/gengfu/gengfu/probes"
)

// fleet is a few confirmers on a network that loses and repeats messages.
type fleet struct {
	t     *testing.T
	peers []confirm.Peer
	probe probes.Probe

	mu        sync.Mutex
	members   map[string]*confirm.Confirmer
	ran       map[string][]time.Time // slots run on request, by agent
	sent      []string               // receivers
	by        []time.Time            // until when a run on request might begin
	gone      map[string]bool        // sending to them is an error
	lose, dup float64
	takes     time.Duration
	rng       *rand.Rand
}

var key = probes.Key{Service: "service", Probe: "probe"}

func newFleet(t *testing.T, count, quorum int, vantages ...string) *fleet {
	f := &fleet{
		t: t, members: map[string]*confirm.Confirmer{}, ran: map[string][]time.Time{}, gone: map[string]bool{},
		probe: probes.Probe{Key: key, Every: 30 * time.Second, Timeout: 10 * time.Second, Quorum: quorum, From: probes.Placement{Count: count}},
		takes: time.Second, rng: rand.New(rand.NewPCG(1, 2)),
	}
	for i, v := range vantages {
		f.peers = append(f.peers, confirm.Peer{Name: fmt.Sprintf("a%d", i), Vantage: v})
	}
	return f
}

// start makes every peer a running confirmer; stop ends them.
func (f *fleet) start(change func(*confirm.Options)) (stop func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	var wg sync.WaitGroup
	for _, p := range f.peers {
		o := confirm.Options{
			Self: p.Name,
			Probe: func(k probes.Key) (probes.Probe, bool) {
				return f.probe, k == key
			},
			Rank:   func(probes.Key) []confirm.Peer { return f.peers },
			Digest: func() string { return "digest" },
			Send: func(_ context.Context, member string, payload []byte) error {
				return f.send(p.Name, member, payload)
			},
			RunNow: func(_ context.Context, k probes.Key, slot, by time.Time) bool {
				f.mu.Lock()
				f.ran[p.Name] = append(f.ran[p.Name], slot)
				f.by = append(f.by, by)
				f.mu.Unlock()
				time.Sleep(f.takes)
				f.members[p.Name].Ended(probes.Run{Key: k, Slot: slot, Trigger: probes.TriggerConfirm, Result: probes.Result{Verdict: probes.Down}})
				return true
			},
			Logger: slog.New(slog.DiscardHandler),
		}
		if change != nil {
			change(&o)
		}
		c, err := confirm.New(o)
		require.NoError(f.t, err)
		f.members[p.Name] = c
		wg.Go(func() { require.NoError(f.t, c.Run(ctx)) })
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

func (f *fleet) send(from, to string, payload []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone[to] {
		return errors.New("no such member")
	}
	f.sent = append(f.sent, to)
	copies := 1
	if f.rng.Float64() < f.lose {
		copies = 0
	} else if f.rng.Float64() < f.dup {
		copies = 3
	}
	for range copies {
		f.members[to].Handle(from, slices.Clone(payload))
	}
	return nil
}

func (f *fleet) asked() []string {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	sent := f.sent
	f.sent = nil
	return sent
}

func ended(slot time.Time, v probes.Verdict, trig probes.Trigger) probes.Run {
	return probes.Run{Key: key, Slot: slot, Trigger: trig, Result: probes.Result{Verdict: v}}
}

// any knows every probe by any key.
func (f *fleet) any(k probes.Key) (probes.Probe, bool) {
	p := f.probe
	p.Key = k
	return p, true
}

// numbered is one of many probes.
func numbered(i int) probes.Key { return probes.Key{Service: "service", Probe: fmt.Sprint(i)} }

// failed is a failure of a numbered probe just now.
func (f *fleet) failed(i int) probes.Run {
	k := numbered(i)
	run := ended(probes.SlotAt(k, f.probe.Every, time.Now()), probes.Down, probes.TriggerSlot)
	run.Key = k
	return run
}

func (f *fleet) slot() time.Time { return probes.SlotAt(key, f.probe.Every, time.Now()) }

func TestWhoIsAsked(t *testing.T) {
	for _, c := range []struct {
		name          string
		count, quorum int
		vantages      []string // the first count are owners
		failing, end  []string // asked at every failing slot, and at the first that works
		alone         uint64
	}{
		{"alone owner, quorum of two", 1, 2, []string{"n", "s", "e", "w"}, []string{"a1", "a2"}, []string{"a1"}, 0},
		{"alone owner, quorum of one", 1, 1, []string{"n", "s", "e"}, []string{"a1"}, nil, 0},
		{"owners are the quorum", 2, 2, []string{"n", "s", "e", "w"}, []string{"a2"}, nil, 0},
		{"owners are the quorum and all there is", 2, 2, []string{"n", "s"}, nil, nil, 0},
		{"owners are more than the quorum", 3, 2, []string{"n", "s", "e", "w"}, nil, nil, 0},
		{"owners of one vantage are one voice", 2, 2, []string{"n", "n", "s", "e"}, []string{"a2", "a3"}, []string{"a2"}, 0},
		{"peers of the owner's vantage are no voice", 1, 2, []string{"n", "n", "n", "s"}, []string{"a3"}, []string{"a3"}, 0},
		{"peers of one vantage are one voice", 1, 2, []string{"n", "s", "s", "s"}, []string{"a1"}, []string{"a1"}, 0},
		{"fewer vantages than the quorum", 1, 3, []string{"n", "s"}, []string{"a1"}, []string{"a1"}, 0},
		{"nobody elsewhere", 1, 2, []string{"n", "n"}, nil, nil, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, c.count, c.quorum, c.vantages...)
				stop := f.start(nil)
				defer stop()
				a := f.members["a0"]
				for round := range uint64(2) {
					for range 4 {
						a.Ended(ended(f.slot(), probes.Down, probes.TriggerSlot))
						require.Equal(t, c.failing, f.asked())
						time.Sleep(f.probe.Every)
					}
					a.Ended(ended(f.slot(), probes.Unknown, probes.TriggerSlot))
					a.Ended(ended(f.slot(), probes.Down, probes.TriggerConfirm))
					a.Ended(ended(f.slot(), probes.Up, probes.TriggerConfirm))
					a.Ended(ended(f.slot(), probes.Up, probes.TriggerManual))
					a.Ended(ended(f.slot(), probes.Down, probes.TriggerManual))
					require.Empty(t, f.asked())
					works := []probes.Verdict{probes.Up, probes.Degraded}[round]
					a.Ended(ended(f.slot(), works, probes.TriggerCatchUp))
					require.Equal(t, c.end, f.asked(), "the end is confirmed")
					for range 2 {
						time.Sleep(f.probe.Every)
						a.Ended(ended(f.slot(), works, probes.TriggerSlot))
						require.Empty(t, f.asked(), "and then nobody is bothered")
					}
					require.Equal(t, c.alone*(round+1), a.Stats().Alone)
					time.Sleep(f.probe.Every)
				}
			})
		})
	}
}

func TestTheAskedRunTheSameSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, 2, "n", "s", "e", "w")
		stop := f.start(nil)
		defer stop()
		slot := f.slot()
		f.members["a0"].Ended(ended(slot, probes.Down, probes.TriggerSlot))
		synctest.Wait()
		require.Equal(t, map[string][]time.Time{"a1": {slot}, "a2": {slot}}, f.ran)
		time.Sleep(5 * time.Second)
		require.Len(t, f.asked(), 2, "confirming runs ask nobody")
		require.EqualValues(t, 2, f.members["a0"].Stats().Asked)
		require.EqualValues(t, 1, f.members["a1"].Stats().Ran)
	})
}

func TestOurOwnVantageIsNotAskedWhenWeOwnTheProbeNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, 2, "n", "s", "s", "e", "w")
		stop := f.start(nil)
		defer stop()
		f.members["a2"].Ended(ended(f.slot(), probes.Down, probes.TriggerSlot))
		require.Equal(t, []string{"a3"}, f.asked(), "the owner's vantage and ours speak, one more is wanted")
	})
}

func TestTheNextIsAskedInsteadOfOneWhoIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, 1, "n", "s", "e")
		f.gone["a1"] = true
		stop := f.start(nil)
		defer stop()
		f.members["a0"].Ended(ended(f.slot(), probes.Down, probes.TriggerSlot))
		require.Equal(t, []string{"a2"}, f.asked())
		require.Zero(t, f.members["a0"].Stats().Unheard)
		f.gone["a2"] = true
		time.Sleep(f.probe.Every)
		f.members["a0"].Ended(ended(f.slot(), probes.Down, probes.TriggerSlot))
		require.Empty(t, f.asked())
		require.EqualValues(t, 1, f.members["a0"].Stats().Unheard)
	})
}

func TestASlotIsRunAtMostOnceUnderLossAndRepetition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, 3, "n", "s", "e", "w", "x")
		f.lose, f.dup = 0.3, 0.5
		stop := f.start(nil)
		const slots = 300
		for range slots {
			f.members["a0"].Ended(ended(f.slot(), probes.Down, probes.TriggerSlot))
			f.members["a4"].Ended(ended(f.slot(), probes.Down, probes.TriggerSlot)) // had another view of who owns it
			time.Sleep(f.probe.Every)
		}
		stop()
		total := 0
		for name, ran := range f.ran {
			total += len(ran)
			seen := map[time.Time]bool{}
			for _, slot := range ran {
				require.False(t, seen[slot], "%s ran %v twice", name, slot)
				seen[slot] = true
			}
		}
		require.Greater(t, total, slots, "a loss costs one voice of one slot, no more")
	})
}

func request(slot time.Time, change func(map[string]string)) []byte {
	fields := map[string]string{"v": "1", "probe": `"service/probe"`, "slot": fmt.Sprint(slot.UnixNano()), "future": `{"a":[1]}`}
	if change != nil {
		change(fields)
	}
	var parts []string
	for name, value := range fields {
		parts = append(parts, fmt.Sprintf("%q:%s", name, value))
	}
	return []byte("{" + strings.Join(parts, ",") + "}")
}

func TestWhatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, 2, "n")
		stop := f.start(nil)
		defer stop()
		c := f.members["a0"]
		time.Sleep(time.Until(probes.NextSlot(key, f.probe.Every, time.Now()).Add(8 * time.Second)))
		slot := f.slot()
		for name, payload := range map[string][]byte{
			"empty":           nil,
			"not JSON":        []byte("\x00\x01"),
			"another version": request(slot, func(m map[string]string) { m["v"] = "2" }),
			"no probe":        request(slot, func(m map[string]string) { delete(m, "probe") }),
			"bad probe":       request(slot, func(m map[string]string) { m["probe"] = `"service"` }),
			"unknown probe":   request(slot, func(m map[string]string) { m["probe"] = `"service/other"` }),
			"no slot":         request(slot, func(m map[string]string) { delete(m, "slot") }),
			"between slots":   request(slot.Add(time.Second), nil),
			"to come":         request(slot.Add(f.probe.Every), nil),
			"too long":        append(request(slot, nil), make([]byte, 5000)...),
		} {
			before := c.Stats().Refused
			c.Handle("a9", payload)
			require.Equal(t, before+1, c.Stats().Refused, name)
		}
		synctest.Wait()
		require.Empty(t, f.ran)
		// A slot that is over is not run: its voice would speak of another time.
		for i, back := range []time.Duration{2, 1} {
			c.Handle("a9", request(slot.Add(-back*f.probe.Every), nil))
			require.EqualValues(t, i+1, c.Stats().Late)
		}
		c.Handle("a9", request(slot, nil)) // fields of a later version do no harm
		synctest.Wait()
		require.Equal(t, map[string][]time.Time{"a0": {slot}}, f.ran)
		c.Handle("a9", request(slot, nil))
		require.EqualValues(t, 1, c.Stats().Repeats)
	})
}

func TestASlotThatWeRanOurselvesIsNotRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, 2, "n")
		stop := f.start(nil)
		defer stop()
		f.members["a0"].Ended(ended(f.slot(), probes.Up, probes.TriggerSlot))
		f.members["a0"].Handle("a9", request(f.slot(), nil))
		synctest.Wait()
		require.Empty(t, f.ran)
		require.EqualValues(t, 1, f.members["a0"].Stats().Repeats)
	})
}

func TestTheAllowanceOfAMinuteIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 1, 2, "n", "s", "e")
		stop := f.start(func(o *confirm.Options) {
			o.PerMinute = 4
			o.Probe = f.any
		})
		defer stop()
		for i := range 20 {
			f.members["a0"].Ended(f.failed(i))
		}
		require.Len(t, f.asked(), 4)
		require.EqualValues(t, 18, f.members["a0"].Stats().Capped)

		// What was not asked about is asked about in the next slot, its end as well.
		works := func(i int) probes.Run {
			run := f.failed(i)
			run.Result.Verdict = probes.Up
			return run
		}
		f.members["a0"].Ended(works(18))
		require.Empty(t, f.asked())
		time.Sleep(61 * time.Second)
		f.members["a0"].Ended(f.failed(19))
		f.members["a0"].Ended(works(18))
		require.Len(t, f.asked(), 3)
	})
}

func TestNewWantsItsFunctions(t *testing.T) {
	_, err := confirm.New(confirm.Options{Self: "a"})
	require.ErrorContains(t, err, "want Self, Probe, Rank")
}
