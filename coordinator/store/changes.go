package store

import (
	"sync"
	"time"
)

// changes remembers, by the hour in which slots begin, when judgements were last
// written: what was computed from them is good for as long as nothing was.
type changes struct {
	mu    sync.Mutex
	count uint64           // of writes since the store was opened
	hours map[int64]uint64 // Unix hour → the last write that concerned it
	floor uint64           // of the hours that were forgotten
}

// maxHours bounds what is remembered; beyond it every hour counts as changed. It
// is three years of hours.
const maxHours = 26_000

func unixHour(t time.Time) int64 {
	s := t.Unix()
	h := s / 3600
	if s%3600 < 0 {
		h--
	}
	return h
}

// note is called after the transaction that wrote: a reader that asked before
// holds the earlier number, and will see that it is not the newest.
func (c *changes) note(hours map[int64]struct{}) {
	if len(hours) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	if c.hours == nil {
		c.hours = map[int64]uint64{}
	}
	if len(c.hours)+len(hours) > maxHours {
		c.hours, c.floor = map[int64]uint64{}, c.count
	}
	for h := range hours {
		c.hours[h] = c.count
	}
}

// SlotsChanged is a number that grows when a slot that begins in [from, to) is
// judged, or judged anew; it may grow for a slot of the same hours outside. It
// counts since the store was opened, and must be asked before the slots are read.
func (s *Store) SlotsChanged(from, to time.Time) uint64 {
	c := &s.changes
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.floor
	for h, end := unixHour(from), unixHour(to.Add(-1)); h <= end; h++ {
		last = max(last, c.hours[h])
	}
	return last
}
