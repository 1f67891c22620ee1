package schedule

import (
	"container/heap"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// entry is one owned probe with the run that comes next.
type entry struct {
	owned   Owned
	slot    time.Time
	trigger probes.Trigger
	at      time.Time // when it is to start
	index   int       // in the queue; -1 outside
}

// queue is a heap of entries, the earliest first.
type queue []*entry

func (q *queue) put(e *entry) { heap.Push(q, e) }

func (q *queue) remove(e *entry) {
	if e.index >= 0 {
		heap.Remove(q, e.index)
	}
}

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	if c := q[i].at.Compare(q[j].at); c != 0 {
		return c < 0
	}
	return q[i].owned.Probe.Key.Compare(q[j].owned.Probe.Key) < 0
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push is for container/heap alone.
func (q *queue) Push(x any) {
	e := x.(*entry)
	e.index = len(*q)
	*q = append(*q, e)
}

// Pop is for container/heap alone.
func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	e.index = -1
	return e
}
