package confirm

import (
	"context"
	"slices"
	"sync"
	"time"
)

// lane is a bounded queue that gives the newest slot first and loses the oldest:
// when there is more to do than can be done, a slot that still runs is worth more
// than one that is nearly over. It is safe for concurrent use.
type lane[T any] struct {
	size  int
	ready chan struct{} // holds never more tokens than there are things waiting

	mu      sync.Mutex // protects waiting
	waiting []place[T] // oldest slot first
}

type place[T any] struct {
	slot  time.Time
	thing T
}

func newLane[T any](size int) *lane[T] {
	return &lane[T]{size: size, ready: make(chan struct{}, size)}
}

// put adds thing and returns what had to go for it: that with the oldest slot,
// which may be thing itself.
func (l *lane[T]) put(slot time.Time, thing T) (lost T, full bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := len(l.waiting)
	for at > 0 && l.waiting[at-1].slot.After(slot) {
		at--
	}
	l.waiting = slices.Insert(l.waiting, at, place[T]{slot, thing})
	if len(l.waiting) > l.size {
		lost = l.waiting[0].thing
		l.waiting = slices.Delete(l.waiting, 0, 1)
		return lost, true // it leaves its token to thing
	}
	l.ready <- struct{}{} // has room: there are at most size tokens
	return lost, false
}

// take waits for something and returns that with the newest slot. It is false
// when ctx ended.
func (l *lane[T]) take(ctx context.Context) (thing T, ok bool) {
	select {
	case <-ctx.Done():
		return thing, false
	case <-l.ready:
	}
	if ctx.Err() != nil {
		return thing, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	last := len(l.waiting) - 1
	thing = l.waiting[last].thing
	l.waiting = slices.Delete(l.waiting, last, last+1)
	return thing, true
}
