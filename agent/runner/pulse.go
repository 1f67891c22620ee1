package runner

import (
	"sync"
	"time"
)

// A process that stood still (stopped by a signal, frozen with its container,
// starved of CPU) measures its own sleep as the service's. The monotonic clock
// goes on meanwhile, so a timer that beats while runs go on shows it: between
// two beats lies more than there should.
const (
	beatEvery = 50 * time.Millisecond
	// maxGaps bounds what is remembered: more stand-stills than a run's timeout
	// has room for.
	maxGaps = 128
)

// gap is a stretch without a beat.
type gap struct {
	end    time.Time
	lasted time.Duration // beyond what lies between two beats
}

// pulse notes when this process stood still while it had something to do. It
// owns no goroutine: its timer is armed while there is a run.
type pulse struct {
	mu      sync.Mutex // protects what follows
	running int
	last    time.Time // the last beat, while running > 0
	timer   *time.Timer
	gaps    []gap // in order of their ends, the newest maxGaps
}

// begin starts to watch for a run and returns when that was.
func (p *pulse) begin() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.running++; p.running > 1 {
		p.beat(now) // what was before is not this run's
		return now
	}
	p.last = now
	if p.timer == nil {
		p.timer = time.AfterFunc(beatEvery, p.tick)
	} else {
		p.timer.Reset(beatEvery)
	}
	return now
}

// end returns the longest that the process stood still since begin.
func (p *pulse) end(begun time.Time) (longest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A process that wakes up may end its run before its timer.
	p.beat(time.Now())
	if p.running--; p.running == 0 {
		p.timer.Stop()
	}
	for i := len(p.gaps) - 1; i >= 0 && p.gaps[i].end.After(begun); i-- {
		longest = max(longest, p.gaps[i].lasted)
	}
	return longest
}

func (p *pulse) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == 0 {
		return
	}
	p.beat(time.Now())
	p.timer.Reset(beatEvery)
}

// beat notes a gap if there was one. The caller holds mu.
func (p *pulse) beat(now time.Time) {
	if lasted := now.Sub(p.last) - beatEvery; lasted > beatEvery {
		if len(p.gaps) == maxGaps {
			p.gaps = append(p.gaps[:0], p.gaps[1:]...)
		}
		p.gaps = append(p.gaps, gap{now, lasted})
	}
	p.last = now
}
