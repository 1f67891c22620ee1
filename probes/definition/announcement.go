package definition

import (
	"encoding/json"
	"fmt"
	"sync"
)

// Announcement is what gossip spreads about the definitions in use: enough to
// know that something newer exists and to verify it once fetched.
type Announcement struct {
	Seq    uint64 `json:"seq"`
	Commit string `json:"commit"`
	Digest string `json:"digest"`
}

// Newest keeps the newest announcement heard: a gossiped state. Merging is
// commutative and idempotent: the greater Seq wins, and of equal ones the
// greater digest, so that every member ends with the same.
type Newest struct {
	mu      sync.Mutex
	current Announcement
	changed chan struct{}
}

// NewNewest makes an empty Newest.
func NewNewest() *Newest { return &Newest{changed: make(chan struct{}, 1)} }

// Current returns the newest announcement heard; zero before any.
func (n *Newest) Current() Announcement {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.current
}

// Changed receives after the announcement changed; bursts are one signal.
func (n *Newest) Changed() <-chan struct{} { return n.changed }

// Set offers an announcement of our own.
func (n *Newest) Set(a Announcement) { n.offer(a) }

// Snapshot encodes the newest announcement for gossip.
func (n *Newest) Snapshot() ([]byte, error) {
	b, err := json.Marshal(n.Current())
	if err != nil {
		return nil, fmt.Errorf("encoding the announcement: %w", err)
	}
	return b, nil
}

// Merge takes a peer's announcement in.
func (n *Newest) Merge(b []byte) error {
	var a Announcement
	if err := json.Unmarshal(b, &a); err != nil {
		return fmt.Errorf("decoding an announcement: %w", err)
	}
	if a != (Announcement{}) && len(a.Digest) != 64 {
		return fmt.Errorf("announcement of %q: want a digest of 64 hex digits, got %d bytes", a.Commit, len(a.Digest))
	}
	n.offer(a)
	return nil
}

func (n *Newest) offer(a Announcement) {
	n.mu.Lock()
	newer := a.Seq > n.current.Seq || a.Seq == n.current.Seq && a.Digest > n.current.Digest
	if newer {
		n.current = a
	}
	n.mu.Unlock()
	if newer {
		select {
		case n.changed <- struct{}{}:
		default:
		}
	}
}
