// Package schedule emits the runs that this agent owns, each at its slot. Slots
// follow from the catalog alone (see probes.SlotAt), so nothing drifts and all
// agents agree; what was missed is counted and skipped, never replayed.
package schedule

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// Owned is a probe that this agent is to run.
type Owned struct {
	Probe    probes.Probe
	Channel  probes.Channel // of the probe's service
	Revision string         // Git commit of the definition
}

// Due is one run that is to take place now.
type Due struct {
	Owned
	Slot    time.Time      // start of the slot, UTC
	Trigger probes.Trigger // TriggerSlot or TriggerCatchUp
}

// Options configure a Scheduler. Owned and Run are required.
type Options struct {
	Owned func() []Owned                   // what this agent owns now; asked at the start and after Refresh
	Run   func(ctx context.Context, d Due) // performs a run and returns when it is over
	// CatchUpSpread is the time over which catch-ups are spread, at most a
	// quarter of a probe's interval. Default 3 s.
	CatchUpSpread time.Duration
	Now           func() time.Time // default time.Now
	Logger        *slog.Logger     // default slog.Default
}

// Stats count since New.
type Stats struct {
	Owned    int    // probes owned now
	InFlight int    // runs that have not ended
	Started  uint64 // runs handed out, catch-ups included
	CatchUps uint64 // of them, catch-ups
	Missed   uint64 // slots that passed while the process could not look, e.g. a pause
	Skipped  uint64 // slots skipped because the probe's last run had not ended
}

// maxSleep bounds a timer, so that a step of the wall clock is seen soon: timers
// run on the monotonic clock, slots on the wall's.
const maxSleep = time.Second

// Scheduler is the loop that emits due runs.
type Scheduler struct {
	o       Options
	refresh chan struct{}
	runs    sync.WaitGroup

	// The loop alone uses these.
	queue   queue
	entries map[probes.Key]*entry
	last    map[probes.Key]ran // the latest slot run, kept when ownership is lost
	looked  time.Time          // the wall clock when the loop last looked

	mu     sync.Mutex // protects the following
	flying map[flight]bool
	stats  Stats
}

// flight is a run in flight; a probe has at most one of each trigger.
type flight struct {
	key     probes.Key
	trigger probes.Trigger
}

// ran remembers the newest slot of a probe that was run, and its interval then.
type ran struct {
	slot  time.Time
	every time.Duration
}

// New makes a Scheduler.
func New(o Options) (*Scheduler, error) {
	if o.Owned == nil || o.Run == nil {
		return nil, errors.New("making the schedule: want Owned and Run")
	}
	if o.CatchUpSpread <= 0 {
		o.CatchUpSpread = 3 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Scheduler{
		o:       o,
		refresh: make(chan struct{}, 1),
		entries: map[probes.Key]*entry{},
		last:    map[probes.Key]ran{},
		flying:  map[flight]bool{},
	}, nil
}

// Refresh makes the loop ask again what is owned: after the catalog or the
// members changed. It does not block.
func (s *Scheduler) Refresh() {
	select {
	case s.refresh <- struct{}{}:
	default:
	}
}

// Stats returns the counters.
func (s *Scheduler) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.InFlight = len(s.flying)
	return stats
}

// Run emits due runs until ctx ends, then waits for those in flight, which go on
// to their own deadlines: a run that has begun is worth its result.
func (s *Scheduler) Run(ctx context.Context) error {
	defer s.runs.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	s.reconcile(s.o.Now())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.refresh:
			s.reconcile(s.o.Now())
		case <-timer.C:
		}
		if ctx.Err() != nil { // no new runs, also when the timer was as quick
			return nil
		}
		timer.Reset(s.emit(ctx, s.o.Now()))
	}
}

// reconcile takes over what is owned now.
func (s *Scheduler) reconcile(now time.Time) {
	owned := s.o.Owned()
	keep := make(map[probes.Key]bool, len(owned))
	for _, o := range owned {
		key := o.Probe.Key
		if o.Probe.Every <= 0 || keep[key] {
			continue
		}
		keep[key] = true
		if e, ok := s.entries[key]; ok && e.owned.Probe.Every == o.Probe.Every {
			e.owned = o
			continue
		}
		e := &entry{owned: o, index: -1}
		if old, ok := s.entries[key]; ok {
			s.queue.remove(old)
		}
		s.entries[key] = e
		s.first(e, now)
	}
	for key, e := range s.entries {
		if !keep[key] {
			s.queue.remove(e)
			delete(s.entries, key)
		}
	}
	for key, r := range s.last {
		if !keep[key] && now.Sub(r.slot) > 2*r.every {
			delete(s.last, key)
		}
	}
	s.mu.Lock()
	s.stats.Owned = len(s.entries)
	s.mu.Unlock()
}

// first schedules a probe that we came to own: the slot that runs is caught up,
// however little of it is left, since whoever owned it may have died before its
// run. A slot that was run before we lost the probe for a while is found out when
// its turn comes.
func (s *Scheduler) first(e *entry, now time.Time) {
	p := e.owned.Probe
	slot := probes.SlotAt(p.Key, p.Every, now)
	left := slot.Add(p.Every).Sub(now)
	e.slot, e.trigger = slot, probes.TriggerCatchUp
	e.at = now.Add(spread(p.Key, min(s.o.CatchUpSpread, p.Every/4, left)))
	s.queue.put(e)
}

// next schedules the slot after slot.
func (s *Scheduler) next(e *entry, slot, now time.Time) {
	p := e.owned.Probe
	e.slot, e.trigger = slot.Add(p.Every), probes.TriggerSlot
	for s.ranAlready(p.Key, e.slot, now) {
		e.slot = e.slot.Add(p.Every)
	}
	e.at = e.slot
	s.queue.put(e)
}

// ranAlready reports whether slot, or one after it, was run. Slots far ahead of
// now were run while the clock was wrong; they bind nobody.
func (s *Scheduler) ranAlready(key probes.Key, slot, now time.Time) bool {
	r, ok := s.last[key]
	if ok && r.slot.Sub(now) > r.every {
		delete(s.last, key)
		return false
	}
	return ok && !r.slot.Before(slot)
}

// emit starts everything that is due and returns how long to sleep.
func (s *Scheduler) emit(ctx context.Context, now time.Time) time.Duration {
	s.noticeClockSetBack(now)
	var missed uint64
	for len(s.queue) > 0 && !s.queue[0].at.After(now) {
		e := s.queue[0]
		s.queue.remove(e)
		missed += s.handle(ctx, e, now)
	}
	if missed > 0 {
		s.mu.Lock()
		s.stats.Missed += missed
		s.mu.Unlock()
		s.o.Logger.Warn("slots were missed: this process was paused, starved, or its clock was set forward", "slots", missed)
	}
	if len(s.queue) == 0 {
		return maxSleep
	}
	return min(maxSleep, s.queue[0].at.Sub(now))
}

// handle runs e's slot, or counts it as missed, and schedules the next. It
// returns how many slots were missed.
func (s *Scheduler) handle(ctx context.Context, e *entry, now time.Time) (missed uint64) {
	p := e.owned.Probe
	slot := probes.SlotAt(p.Key, p.Every, now)
	if slot.After(e.slot) {
		missed = uint64(slot.Sub(e.slot) / p.Every)
		e.slot, e.trigger = slot, probes.TriggerSlot
	}
	late := now.Sub(e.slot)
	switch {
	case s.ranAlready(p.Key, e.slot, now):
	case e.trigger == probes.TriggerSlot && late > p.Every/2 && p.Every-late < p.Timeout:
		// So late that the run would eat into the next slot.
		missed++
	default:
		s.start(ctx, Due{Owned: e.owned, Slot: e.slot, Trigger: e.trigger})
	}
	s.next(e, slot, now)
	return missed
}

func (s *Scheduler) start(ctx context.Context, d Due) {
	// A catch-up may run into the next slot, which must not be skipped for it.
	key := flight{d.Probe.Key, d.Trigger}
	s.mu.Lock()
	if s.flying[key] {
		s.stats.Skipped++
		s.mu.Unlock()
		return
	}
	s.flying[key] = true
	s.stats.Started++
	if d.Trigger == probes.TriggerCatchUp {
		s.stats.CatchUps++
	}
	s.mu.Unlock()
	s.last[d.Probe.Key] = ran{slot: d.Slot, every: d.Probe.Every}
	s.runs.Go(func() {
		defer func() {
			s.mu.Lock()
			delete(s.flying, key)
			s.mu.Unlock()
		}()
		s.o.Run(context.WithoutCancel(ctx), d)
	})
}

// noticeClockSetBack schedules anew what lies further ahead than its interval:
// the wall clock was set back. Unless it goes back from one look to the next, which
// maxSleep keeps close together, nothing lies a second too far ahead, and so nobody
// has to walk the queue for each run.
func (s *Scheduler) noticeClockSetBack(now time.Time) {
	wall := now.Round(0) // without the monotonic reading, which goes on whatever is set
	back := wall.Before(s.looked)
	s.looked = wall
	if !back {
		return
	}
	var ahead []*entry
	for _, e := range s.queue {
		if e.at.Sub(now) > e.owned.Probe.Every {
			ahead = append(ahead, e)
		}
	}
	if len(ahead) == 0 {
		return
	}
	moved := 0
	for _, e := range ahead {
		was := e.at
		s.queue.remove(e)
		s.next(e, probes.SlotAt(e.owned.Probe.Key, e.owned.Probe.Every, now), now)
		if !e.at.Equal(was) {
			moved++
		}
	}
	if moved > 0 {
		s.o.Logger.Warn("the clock was set back: slots are computed anew", "probes", moved)
	}
}

// spread is a fixed share of width that follows from the key, so that catch-ups
// do not all start at once.
func spread(key probes.Key, width time.Duration) time.Duration {
	if width <= 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte("catch-up " + key.String()))
	return time.Duration(h.Sum64() % uint64(width))
}
