package confirm

import (
	"context"
	"slices"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// skew is how far ahead of our clock another agent's may be.
const skew = 5 * time.Second

// Handle takes one request from another agent. It does not block.
func (c *Confirmer) Handle(from string, payload []byte) {
	r, err := decode(payload)
	if err != nil {
		c.refuse(from, err.Error())
		return
	}
	p, ok := c.o.Probe(r.key)
	now := c.o.Now()
	switch {
	case !ok:
		c.refuse(from, "a probe that our catalog lacks: "+r.key.String())
		return
	case !isSlot(p, r.slot):
		c.refuse(from, "no slot of "+r.key.String()+" by our catalog")
		return
	case now.Sub(r.slot) < -skew:
		c.refuse(from, "a slot to come of "+r.key.String())
		return
	case !now.Before(r.slot.Add(p.Every)):
		c.count(&c.stats.Late)
		c.o.Logger.Debug("request for a slot that is over", "from", from, "probe", r.key, "slot", r.slot)
		return
	}
	if own := c.o.Digest(); r.digest != own {
		c.o.Logger.Debug("request by another catalog", "from", from, "probe", r.key, "theirs", r.digest, "ours", own)
	}
	requests := c.plain
	if slices.Contains(p.Needs, probes.CapabilityBrowser) {
		requests = c.browsing
	}
	r.came = now

	c.mu.Lock()
	defer c.mu.Unlock()
	if last, ok := c.seen[r.key]; ok && !last.Before(r.slot) && last.Sub(now) <= skew {
		c.stats.Repeats++
		return
	}
	c.saw(r.key, r.slot)
	if lost, full := requests.put(r.slot, r); full {
		c.stats.Dropped++
		c.forget(lost)
	}
}

func (c *Confirmer) refuse(from, why string) {
	c.count(&c.stats.Refused)
	c.o.Logger.Debug("request refused", "from", from, "why", why)
}

// isSlot reports whether a slot of p, as it is defined now, starts at slot.
func isSlot(p probes.Probe, slot time.Time) bool {
	return p.Every > 0 && probes.SlotAt(p.Key, p.Every, slot).Equal(slot)
}

// saw remembers the newest slot of a probe. The caller holds the mutex.
func (c *Confirmer) saw(key probes.Key, slot time.Time) {
	if slot.After(c.seen[key]) {
		c.seen[key] = slot
	}
	// Probes come and go with catalogs; a slot of a day ago matters to nobody.
	if len(c.seen) > 10_000 {
		for k, at := range c.seen {
			if slot.Sub(at) > 24*time.Hour {
				delete(c.seen, k)
			}
		}
	}
}

// forget lets others ask again for what was not run. The caller holds the mutex.
func (c *Confirmer) forget(r request) {
	if c.seen[r.key].Equal(r.slot) {
		delete(c.seen, r.key)
	}
}

// answerAll performs the runs that others asked for.
func (c *Confirmer) answerAll(ctx context.Context, requests *lane[request]) {
	for {
		r, ok := requests.take(ctx)
		if !ok {
			return
		}
		ran := c.answer(ctx, r)
		c.mu.Lock()
		if ran {
			c.stats.Ran++
		} else {
			c.stats.Late++
			c.forget(r)
		}
		c.mu.Unlock()
	}
}

// answer runs r while its slot lasts and somebody may still wait for it: a voice
// that begins in the next slot would speak of another time than the one it is
// counted for.
func (c *Confirmer) answer(ctx context.Context, r request) (ran bool) {
	p, ok := c.o.Probe(r.key)
	if !ok || !isSlot(p, r.slot) {
		return false // the catalog changed meanwhile
	}
	now, over := c.o.Now(), r.slot.Add(p.Every)
	if !now.Before(over) || now.Sub(r.came) > p.Timeout {
		return false
	}
	by := r.came.Add(2 * p.Timeout)
	if over.Before(by) {
		by = over
	}
	return c.o.RunNow(context.WithoutCancel(ctx), r.key, r.slot, by)
}
