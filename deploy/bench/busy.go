package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/gengfu/gengfu/agent/schedule"
	"github.com/gengfu/gengfu/probes"
)

// intervals are the mix, each as often as the others.
var intervals = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute}

// settle is how long catching up takes at the start, and a little more. What fell
// due until then is not counted.
const settle = 5 * time.Second

// maxRuns is AGENT_MAX_RUNS as it is by default.
const maxRuns = 64

// busy is an agent's schedule over very many probes.
type busy struct {
	first order
	stack *stack // nil when runs do nothing
	owned []schedule.Owned
	empty memory // before the definitions were read
}

// memory is what this process takes, in bytes.
type memory struct {
	Heap     int64 `json:"heap"`     // in use after a collection
	Resident int64 `json:"resident"` // in the kernel's account, what is free given back
}

func measureMemory() memory {
	runtime.GC()
	debug.FreeOSMemory() // collects once more, for what finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return memory{int64(m.HeapAlloc), resident()}
}

// lateness is how the slots of a window went.
type lateness struct {
	Due int `json:"due"` // slots in the window, by arithmetic
	Ran int `json:"ran"` // of them
	// Since the window began, slots of before it that ended in it included.
	Missed  int `json:"missed"`  // as the schedule counts
	Skipped int `json:"skipped"` // likewise
	Starved int `json:"starved"` // runs without a place in their slot
	Failed  int `json:"failed"`  // runs of the window that did not find the target up
	// While catching up.
	Early int `json:"early"` // slots missed, skipped and starved

	// From a slot's start to the schedule's call, and to the probe's own start.
	Emitted []time.Duration `json:"emitted"` // p50, p90, p99, max
	Started []time.Duration `json:"started"`
}

// newBusy needs of first: N probes, Plain, CA, OTLP, Dir; Path "noop" for runs that
// do nothing.
func newBusy(ctx context.Context, first order) (part, reply, error) {
	b := &busy{first: first}
	if first.Path != "noop" {
		var err error
		if b.stack, err = newStack(ctx, first, maxRuns); err != nil {
			return nil, reply{}, err
		}
	}
	b.empty = measureMemory()
	address := first.Plain
	if first.TLS {
		address = first.Secure
	}
	c, err := definitions(first.N, func(int) string { return plainProbe(address, "") })
	if err != nil {
		return nil, reply{}, err
	}
	for i, p := range c.Probes() {
		p.Every = intervals[i%len(intervals)] // shorter than definitions may say
		p.Timeout = min(p.Timeout, p.Every)
		b.owned = append(b.owned, schedule.Owned{Probe: p, Channel: probes.ChannelPortal, Revision: c.Revision.Commit})
	}
	return b, reply{}, nil
}

// watch collects what runs say.
type watch struct {
	mu               sync.Mutex
	from, to         time.Time
	emitted, started []time.Duration
	failed           int
}

func (b *busy) answer(ctx context.Context, o order) (reply, error) {
	if o.Do == "memory" {
		m := measureMemory()
		return reply{Memory: &memory{m.Heap - b.empty.Heap, m.Resident - b.empty.Resident}, Count: runtime.NumGoroutine()}, nil
	}
	w := &watch{from: time.Now().Add(settle)}
	w.to = w.from.Add(time.Duration(o.Seconds * float64(time.Second)))
	s, err := schedule.New(schedule.Options{
		Owned: func() []schedule.Owned { return b.owned }, Logger: quiet(),
		Run: func(ctx context.Context, d schedule.Due) { b.run(ctx, d, w) },
	})
	if err != nil {
		return reply{}, err
	}
	running, stop := context.WithDeadline(ctx, w.to.Add(time.Second))
	defer stop()
	early := make(chan lateness, 1)
	time.AfterFunc(time.Until(w.from), func() { early <- b.troubles(s) })
	if err := s.Run(running); err != nil {
		return reply{}, err
	}
	t, before := b.troubles(s), <-early
	t.Missed, t.Skipped, t.Starved = t.Missed-before.Missed, t.Skipped-before.Skipped, t.Starved-before.Starved
	t.Early = before.Missed + before.Skipped + before.Starved
	t.Ran, t.Failed = len(w.emitted), w.failed
	for _, o := range b.owned {
		for at := probes.NextSlot(o.Probe.Key, o.Probe.Every, w.from.Add(-1)); at.Before(w.to); at = at.Add(o.Probe.Every) {
			t.Due++
		}
	}
	t.Emitted, t.Started = percentiles(w.emitted), percentiles(w.started)
	if b.stack != nil {
		if err := b.stack.flush(ctx); err != nil {
			return reply{}, err
		}
	}
	return reply{Times: &t, Count: len(w.emitted)}, nil
}

// troubles is what went wrong until now.
func (b *busy) troubles(s *schedule.Scheduler) lateness {
	t := lateness{Missed: int(s.Stats().Missed), Skipped: int(s.Stats().Skipped)}
	if b.stack != nil {
		t.Starved = int(b.stack.runner.Stats().Starved)
	}
	return t
}

func (b *busy) run(ctx context.Context, d schedule.Due, w *watch) {
	now := time.Now()
	late, begun := now.Sub(d.Slot), now.Sub(d.Slot)
	ok := true
	if b.stack != nil {
		run, err := b.stack.runner.Run(ctx, d.Owned.Probe, d.Owned.Channel, d.Owned.Revision, d.Slot, d.Trigger)
		ok = err == nil && run.Result.Verdict == probes.Up
		begun = run.Late
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !d.Slot.Before(w.from) && d.Slot.Before(w.to) {
		if !ok {
			w.failed++
		}
		w.emitted, w.started = append(w.emitted, late), append(w.started, begun)
	}
}

func percentiles(list []time.Duration) []time.Duration {
	if len(list) == 0 {
		return make([]time.Duration, 4)
	}
	slices.Sort(list)
	at := func(p float64) time.Duration { return list[min(len(list)-1, int(p*float64(len(list))))] }
	return []time.Duration{at(0.5), at(0.9), at(0.99), list[len(list)-1]}
}

func (b *busy) close() error {
	if b.stack == nil {
		return nil
	}
	return b.stack.close()
}

// check says what is wrong beyond being slow.
func (t *lateness) check() error {
	switch {
	case t.Ran != t.Due:
		return fmt.Errorf("of %d slots %d ran", t.Due, t.Ran)
	case t.Failed > 0:
		return fmt.Errorf("%d runs did not find the target up", t.Failed)
	}
	return nil
}
