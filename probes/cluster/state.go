package cluster

import (
	"bytes"
	"context"
	"fmt"
	"runtime/debug"

	"github.com/hashicorp/memberlist"
)

// A State is a small value that every member ends up agreeing on. Both methods
// are quick and do not block.
type State interface {
	// Snapshot encodes the state: the same state gives the same bytes.
	Snapshot() ([]byte, error)
	// Merge takes in what another member had. It is commutative and idempotent,
	// and refuses bytes that it cannot read.
	Merge([]byte) error
}

// maxGossip is the largest state frame that is gossiped in UDP packets, which it
// shares with memberlist's own messages. Larger ones go over TCP.
const maxGossip = 700

// AddState makes s known under name, the same on every member. It is called
// before Run, with constant names.
func (c *Cluster) AddState(name string, s State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.states[name] = s
}

// Broadcast tells the others soon about the state of that name, best effort.
// Whoever misses it gets it with the next full exchange.
func (c *Cluster) Broadcast(name string) {
	c.mu.Lock()
	s, ok := c.states[name]
	stopped := c.stopped
	c.mu.Unlock()
	if !ok || stopped {
		return
	}
	data, err := c.snapshot(name, s)
	if err != nil {
		c.log.Warn("state cannot be told to the others", "state", name, "err", err)
		return
	}
	frame := encodeStates(stateFrame{name, data})
	if len(frame) <= maxGossip {
		c.gossip.QueueBroadcast(broadcast{name, frame})
		return
	}
	c.mu.Lock()
	c.large[name] = true
	c.mu.Unlock()
	select {
	case c.sendLarge <- struct{}{}:
	default:
	}
}

func (c *Cluster) snapshot(name string, s State) ([]byte, error) {
	data, err := s.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("taking a snapshot of state %s: %w", name, err)
	}
	if len(data) > maxState {
		return nil, fmt.Errorf("taking a snapshot of state %s: %d bytes, want at most %d", name, len(data), maxState)
	}
	return data, nil
}

// allStates is what a full exchange carries.
func (c *Cluster) allStates() []byte {
	c.mu.Lock()
	states := make(map[string]State, len(c.states))
	for name, s := range c.states {
		states[name] = s
	}
	c.mu.Unlock()
	frames := make([]stateFrame, 0, len(states))
	for name, s := range states {
		data, err := c.snapshot(name, s)
		if err != nil {
			c.log.Warn("state cannot be told to the others", "state", name, "err", err)
			continue
		}
		frames = append(frames, stateFrame{name, data})
	}
	return encodeStates(frames...)
}

// mergeStates merges what came in, one after the other.
func (c *Cluster) mergeStates(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-c.merges:
			c.merge(f)
		}
	}
}

func (c *Cluster) merge(f stateFrame) {
	c.mu.Lock()
	s, ok := c.states[f.name]
	c.mu.Unlock()
	if !ok { // a newer or older program's
		c.refused.Add(1)
		return
	}
	defer c.survive("state", f.name)
	before, err := s.Snapshot()
	if err != nil {
		before = nil
	}
	if err := s.Merge(f.data); err != nil {
		c.refused.Add(1)
		c.log.Debug("state from another member refused", "state", f.name, "err", err)
		return
	}
	c.merged.Add(1)
	// What was news to us is passed on, or else only the members that the first
	// one happened to pick would hear of it soon.
	if after, err := s.Snapshot(); err == nil && !bytes.Equal(before, after) {
		c.Broadcast(f.name)
	}
}

// sendLargeStates sends to every member, over TCP, the states that do not fit
// into a packet. Several broadcasts of one state that wait become one.
func (c *Cluster) sendLargeStates(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.sendLarge:
		}
		for name, s := range c.takeLarge() {
			data, err := c.snapshot(name, s)
			if err != nil {
				continue
			}
			frame := encodeStates(stateFrame{name, data})
			for _, m := range c.Members() {
				if m.Self {
					continue
				}
				if err := c.send(ctx, m.Name, frame); err != nil {
					c.log.Debug("state did not reach a member", "state", name, "member", m.Name, "err", err)
				}
			}
		}
	}
}

func (c *Cluster) takeLarge() map[string]State {
	c.mu.Lock()
	defer c.mu.Unlock()
	states := map[string]State{}
	for name := range c.large {
		states[name] = c.states[name]
	}
	clear(c.large)
	return states
}

// survive keeps a panic in somebody's handler from ending the process.
func (c *Cluster) survive(what, name string) {
	if v := recover(); v != nil {
		c.log.Error("handling gossip panicked", what, name, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	}
}

// broadcast is a state frame waiting to be gossiped; a newer one of the same
// name replaces it.
type broadcast struct {
	name  string
	frame []byte
}

func (b broadcast) Invalidates(other memberlist.Broadcast) bool {
	o, ok := other.(broadcast)
	return ok && o.name == b.name
}
func (b broadcast) Name() string    { return b.name }
func (b broadcast) Message() []byte { return b.frame }
func (b broadcast) Finished()       {}
