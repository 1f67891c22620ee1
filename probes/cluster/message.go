package cluster

import (
	"context"
	"fmt"

	"github.com/hashicorp/memberlist"
)

// Handle makes f the taker of messages of that kind. Messages are handed over
// one at a time, off memberlist's own goroutines; those that wait too long
// behind a slow taker are dropped and counted. The payload is the taker's.
func (c *Cluster) Handle(kind string, f func(from string, payload []byte)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handlers[kind] = f
}

// Send sends payload, at most 64 KiB, to one live member over TCP. When it
// returns nil the other's host has the message; whether it is handled is not known.
func (c *Cluster) Send(ctx context.Context, member, kind string, payload []byte) error {
	if len(payload) > maxPayload || kind == "" || len(kind) > maxName {
		return fmt.Errorf("sending %q to %s: want a kind and at most %d bytes, got %d", kind, member, maxPayload, len(payload))
	}
	m := message{kind: kind, from: c.o.Name, payload: payload}
	if member == c.o.Name {
		m.payload = append([]byte{}, payload...)
		c.enqueue(m)
		return nil
	}
	if err := c.send(ctx, member, m.encode()); err != nil {
		return fmt.Errorf("sending %q to %s: %w", kind, member, err)
	}
	return nil
}

// send hands a frame to memberlist, whose own call knows no context.
func (c *Cluster) send(ctx context.Context, member string, frame []byte) error {
	select {
	case c.sending <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.mu.Lock()
	n, ok := c.members[member]
	if c.stopped || !ok {
		stopped := c.stopped
		c.mu.Unlock()
		<-c.sending
		if stopped {
			return ErrStopped
		}
		return ErrNoMember
	}
	// Inside the lock: leave waits for senders only after it has set stopped.
	done := make(chan error, 1)
	c.senders.Go(func() {
		defer func() { <-c.sending }()
		done <- c.list.SendReliable(&memberlist.Node{Name: member, Addr: n.addr, Port: n.port}, frame)
	})
	c.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Cluster) enqueue(m message) {
	select {
	case c.messages <- m:
	default:
		c.dropped.Add(1)
	}
}

// deliver hands messages to their takers, one after the other.
func (c *Cluster) deliver(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-c.messages:
			c.mu.Lock()
			f := c.handlers[m.kind]
			c.mu.Unlock()
			if f == nil {
				c.refused.Add(1)
				c.log.Debug("message without a taker", "kind", m.kind, "from", m.from)
				continue
			}
			c.received.Add(1)
			c.call(f, m)
		}
	}
}

func (c *Cluster) call(f func(string, []byte), m message) {
	defer c.survive("kind", m.kind)
	f(m.from, m.payload)
}
