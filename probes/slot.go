package probes

import (
	"hash/fnv"
	"time"
)

// PhaseOf is a probe's fixed offset inside its interval. It follows from the key
// alone, so that every agent and every coordinator computes the same slots and
// the fleet's load is spread evenly.
func PhaseOf(key Key, every time.Duration) time.Duration {
	if every <= 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(key.String()))
	ms := uint64(every / time.Millisecond)
	if ms == 0 {
		return 0
	}
	return time.Duration(h.Sum64()%ms) * time.Millisecond
}

// SlotAt returns the start of the slot that holds t: the latest
// phase(key) + k·every that is not after t, in UTC.
func SlotAt(key Key, every time.Duration, t time.Time) time.Time {
	phase := PhaseOf(key, every)
	since := time.Duration(t.UnixNano()) - phase
	k := since / every
	if since%every < 0 {
		k--
	}
	return time.Unix(0, int64(phase+k*every)).UTC()
}

// NextSlot returns the start of the first slot strictly after t, in UTC.
func NextSlot(key Key, every time.Duration, t time.Time) time.Time {
	return SlotAt(key, every, t).Add(every)
}
