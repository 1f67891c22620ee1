package confirm

import (
	"context"
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
	if !ok {
		c.refuse(from, "a probe that our catalog lacks: "+r.key.String())
		return
	}
	now := c.o.Now()
	switch age := now.Sub(r.slot); {
	case p.Every <= 0 || !probes.SlotAt(r.key, p.Every, r.slot).Equal(r.slot):
		c.refuse(from, "no slot of "+r.key.String()+" by our catalog")
		return
	case age > p.Every+p.Timeout:
		c.refuse(from, "a stale slot of "+r.key.String())
		return
	case age < -skew:
		c.refuse(from, "a slot to come of "+r.key.String())
		return
	}

	if own := c.o.Digest(); r.digest != own {
		c.o.Logger.Debug("request by another catalog", "from", from, "probe", r.key, "theirs", r.digest, "ours", own)
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if last, ok := c.seen[r.key]; ok && !last.Before(r.slot) && last.Sub(now) <= skew {
		c.stats.Repeats++
		return
	}
	select {
	case c.requests <- r:
		c.saw(r.key, r.slot)
	default:
		c.stats.Dropped++ // and not seen: somebody may ask again
	}
}

func (c *Confirmer) refuse(from, why string) {
	c.count(&c.stats.Refused)
	c.o.Logger.Debug("request refused", "from", from, "why", why)
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

// answerAll performs the runs that others asked for.
func (c *Confirmer) answerAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-c.requests:
			if ctx.Err() != nil {
				return
			}
			c.o.RunNow(context.WithoutCancel(ctx), r.key, r.slot)
			c.count(&c.stats.Ran)
		}
	}
}
