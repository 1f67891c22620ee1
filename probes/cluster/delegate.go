package cluster

import (
	"slices"

	"github.com/hashicorp/memberlist"
)

// delegate is what memberlist calls from its packet and stream loops. None of
// its methods may block, and buffers are only lent.
type delegate struct{ c *Cluster }

func (d delegate) NodeMeta(int) []byte {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	return d.c.encoded
}

func (d delegate) NotifyMsg(b []byte) { d.c.take(b) }

func (d delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.c.gossip.GetBroadcasts(overhead, limit)
}

func (d delegate) LocalState(bool) []byte { return d.c.allStates() }

func (d delegate) MergeRemoteState(b []byte, _ bool) { d.c.take(b) }

// take sorts one frame into its queue.
func (c *Cluster) take(b []byte) {
	m, states, err := decodeFrame(b)
	if err != nil {
		c.refused.Add(1)
		c.log.Debug("gossip frame refused", "err", err)
		return
	}
	if m != nil {
		c.enqueue(*m)
	}
	for _, s := range states {
		select {
		case c.merges <- s:
		default: // comes again with the next exchange
			c.dropped.Add(1)
		}
	}
}

// events keeps our own list of members. memberlist calls it under its lock, so
// nothing here may call memberlist.
type events struct{ c *Cluster }

func (e events) NotifyJoin(n *memberlist.Node) {
	meta := e.put(n)
	if n.Name != e.c.o.Name {
		e.c.log.Info("member joined", "member", n.Name, "addr", n.Address(), "role", meta.Role)
	}
}

func (e events) NotifyUpdate(n *memberlist.Node) { e.put(n) }

func (e events) put(n *memberlist.Node) Meta {
	c := e.c
	meta, err := decodeMeta(n.Meta)
	if err != nil {
		c.log.Warn("member's metadata is unreadable", "member", n.Name, "err", err)
	}
	c.mu.Lock()
	c.members[n.Name] = node{
		member: Member{Name: n.Name, Addr: n.Address(), Meta: meta},
		addr:   slices.Clone(n.Addr),
		port:   n.Port,
	}
	c.mu.Unlock()
	c.notifyChanged()
	return meta
}

func (e events) NotifyLeave(n *memberlist.Node) {
	c := e.c
	c.mu.Lock()
	delete(c.members, n.Name)
	stopped := c.stopped
	c.mu.Unlock()
	if !stopped {
		c.log.Info("member gone", "member", n.Name, "left", n.State == memberlist.StateLeft)
	}
	c.notifyChanged()
}

// conflicts tells of two members with one name.
type conflicts struct{ c *Cluster }

func (d conflicts) NotifyConflict(existing, other *memberlist.Node) {
	c := d.c
	c.mu.Lock()
	_, alive := c.members[existing.Name]
	c.mu.Unlock()
	// A member that was killed comes back elsewhere: its name is free after
	// DeadNodeReclaimTime, and nothing is wrong meanwhile.
	if !alive || !c.bridge.due("conflict "+existing.Name) {
		return
	}
	c.log.Warn("two members use one name: give each its own", "member", existing.Name,
		"addr", existing.Address(), "other", other.Address())
}
