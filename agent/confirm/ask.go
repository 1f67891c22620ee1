package confirm

import (
	"context"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// sendTimeout bounds one request; the next peer is asked when it fails.
const sendTimeout = 3 * time.Second

// askers is how many questions are asked at the same time, so that a peer that
// hangs does not hold up all of them.
const askers = 8

// question is what others are to be asked about.
type question struct {
	key    probes.Key
	slot   time.Time
	over   time.Time // the slot's end
	peers  []Peer    // of other vantages, best first, one each
	wanted int       // of them
}

// Ended tells how one of this agent's own runs ended. It does not block.
func (c *Confirmer) Ended(run probes.Run) {
	c.mu.Lock()
	c.saw(run.Key, run.Slot)
	failing := c.failing[run.Key]
	c.mu.Unlock()
	if run.Trigger != probes.TriggerSlot && run.Trigger != probes.TriggerCatchUp {
		return // confirming runs ask nobody, or one failure would ask the whole fleet
	}
	switch run.Result.Verdict {
	case probes.Up, probes.Degraded:
		if failing {
			c.inquire(run.Key, run.Slot, false)
		}
	case probes.Down:
		c.inquire(run.Key, run.Slot, true)
	case probes.Unknown: // says nothing about the service
	}
}

// inquire decides whom to ask about a slot that failed here, or that works here
// after one that failed. A failure wants one vantage more than the quorum, at
// every slot: so a fault near us is told from an outage, and one peer that sees
// it work does not undo what the others see. The end of a failure wants the
// quorum, once.
func (c *Confirmer) inquire(key probes.Key, slot time.Time, failed bool) {
	p, ok := c.o.Probe(key)
	if !ok || p.Every <= 0 {
		return
	}
	now := c.o.Now()
	if !now.Before(slot.Add(p.Every)) {
		// The run ended with its slot or began late in it: what it saw is asked
		// about for the slot that others can still run.
		slot = probes.SlotAt(key, p.Every, now)
	}
	quorum := max(1, p.Quorum)
	peers, owning := others(c.o.Self, c.o.Rank(key), p.From.Count)
	wanted := quorum - owning
	if failed {
		wanted++
	}
	wanted = min(wanted, len(peers))

	c.mu.Lock()
	defer c.mu.Unlock()
	if failed {
		c.failing[key] = true
	}
	switch {
	case wanted <= 0:
		if owning < quorum {
			c.stats.Alone++
		}
	case !c.mayAsk(wanted, now):
		c.stats.Capped++
		return // and still failing here: its end will be asked about in the next slot
	default:
		q := question{key: key, slot: slot, over: slot.Add(p.Every), peers: peers, wanted: wanted}
		if _, full := c.questions.put(slot, q); full {
			c.stats.Dropped++
		}
	}
	if !failed {
		delete(c.failing, key)
	}
}

// others lists, best first, one peer of each vantage that no owner stands at, and
// counts the owners' vantages.
func others(self string, ranked []Peer, count int) (peers []Peer, owning int) {
	voices := map[string]bool{}
	for i, p := range ranked {
		// Our own voice has been heard, also when we own the probe no longer.
		if i < max(1, count) || p.Name == self {
			voices[p.Vantage] = true
		}
	}
	owning = max(1, len(voices))
	for _, p := range ranked {
		if !voices[p.Vantage] {
			voices[p.Vantage] = true
			peers = append(peers, p)
		}
	}
	return peers, owning
}

// mayAsk takes n requests from this minute's allowance. The caller holds the mutex.
func (c *Confirmer) mayAsk(n int, now time.Time) bool {
	if since := now.Sub(c.window); since >= time.Minute || since < 0 {
		c.window, c.sent = now, 0
	}
	if c.sent+n > c.o.PerMinute {
		return false
	}
	c.sent += n
	return true
}

func (c *Confirmer) askAll(ctx context.Context) {
	for {
		q, ok := c.questions.take(ctx)
		if !ok {
			return
		}
		c.askPeers(ctx, q)
	}
}

// askPeers asks until enough were reached, nobody is left or the slot is over.
func (c *Confirmer) askPeers(ctx context.Context, q question) {
	payload := request{key: q.key, slot: q.slot, digest: c.o.Digest()}.encode()
	reached := 0
	for _, p := range q.peers {
		if reached == q.wanted || ctx.Err() != nil {
			break
		}
		if !c.o.Now().Before(q.over) {
			c.count(&c.stats.Late)
			return
		}
		sctx, cancel := context.WithTimeout(ctx, sendTimeout)
		err := c.o.Send(sctx, p.Name, payload)
		cancel()
		if err != nil {
			c.o.Logger.Debug("peer could not be asked", "probe", q.key, "peer", p.Name, "err", err)
			continue
		}
		reached++
		c.count(&c.stats.Asked)
	}
	if reached < q.wanted {
		c.count(&c.stats.Unheard)
	}
}
