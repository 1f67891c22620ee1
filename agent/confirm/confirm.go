// Package confirm makes a first failure a question to others: the agents next in
// rank, standing elsewhere, run the same slot at once, so that one bad line is
// told apart from an outage in seconds instead of intervals.
package confirm

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// Message is the kind of message that confirm speaks over gossip.
const Message = "confirm"

// Peer is an agent that may run a probe.
type Peer struct {
	Name    string
	Vantage string // agents of one vantage are one voice
}

// Options configure a Confirmer. Those without a default are required.
type Options struct {
	Self   string                                                         // our name in the cluster
	Probe  func(key probes.Key) (probes.Probe, bool)                      // in the catalog in use
	Rank   func(key probes.Key) []Peer                                    // all that may run it: the owners first, then who is asked
	Send   func(ctx context.Context, member string, payload []byte) error // a Message to one member
	RunNow func(ctx context.Context, key probes.Key, slot time.Time)      // performs a confirming run and returns when it is over
	Digest func() string                                                  // of the catalog in use; default empty

	PerMinute int              // requests sent a minute, at most; default 120
	Queue     int              // failures and requests that may wait; default 64 each
	Workers   int              // confirming runs at the same time; default 4
	Now       func() time.Time // default time.Now
	Logger    *slog.Logger     // default slog.Default
}

// Stats count since New.
type Stats struct {
	Asked   uint64 // requests sent
	Unheard uint64 // requests that reached nobody
	Capped  uint64 // failures not asked about, because of PerMinute
	Alone   uint64 // failures with nobody elsewhere to ask
	Ran     uint64 // confirming runs for others
	Refused uint64 // requests for unknown probes or slots, stale ones, and unreadable ones
	Repeats uint64 // requests for a slot that we ran already
	Dropped uint64 // failures and requests lost because a queue was full
}

// sendTimeout bounds one request; the next peer is asked when it fails.
const sendTimeout = 3 * time.Second

// Confirmer asks about our failures and answers the others' requests.
type Confirmer struct {
	o        Options
	ask      chan question
	requests chan request

	mu      sync.Mutex // protects the following
	failing map[probes.Key]failure
	seen    map[probes.Key]time.Time // the newest slot that we ran, or are about to
	window  time.Time                // start of the minute that sent counts for
	sent    int
	stats   Stats
}

// failure is the state of a probe that fails here; working ones have none.
type failure struct {
	asked bool // the first failure was asked about
}

// question is a failure to ask others about.
type question struct {
	key    probes.Key
	slot   time.Time
	peers  []Peer // of other vantages, best first, one each
	wanted int    // of them
}

// New makes a Confirmer.
func New(o Options) (*Confirmer, error) {
	if o.Self == "" || o.Probe == nil || o.Rank == nil || o.Send == nil || o.RunNow == nil {
		return nil, errors.New("making the confirmer: want Self, Probe, Rank, Send and RunNow")
	}
	if o.Digest == nil {
		o.Digest = func() string { return "" }
	}
	if o.PerMinute <= 0 {
		o.PerMinute = 120
	}
	if o.Queue <= 0 {
		o.Queue = 64
	}
	if o.Workers <= 0 {
		o.Workers = 4
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Confirmer{
		o:        o,
		ask:      make(chan question, o.Queue),
		requests: make(chan request, o.Queue),
		failing:  map[probes.Key]failure{},
		seen:     map[probes.Key]time.Time{},
	}, nil
}

// Run asks and answers until ctx ends, then waits for the confirming runs in
// flight, which go on to their own deadlines.
func (c *Confirmer) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { c.askAll(ctx) })
	for range c.o.Workers {
		wg.Go(func() { c.answerAll(ctx) })
	}
	wg.Wait()
	return nil
}

// Stats returns the counters.
func (c *Confirmer) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

func (c *Confirmer) count(n *uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

// Ended tells how one of this agent's own runs ended. It does not block.
func (c *Confirmer) Ended(run probes.Run) {
	c.mu.Lock()
	c.saw(run.Key, run.Slot)
	c.mu.Unlock()
	if run.Trigger != probes.TriggerSlot && run.Trigger != probes.TriggerCatchUp {
		return // confirming runs ask nobody, or one failure would ask the whole fleet
	}
	switch run.Result.Verdict {
	case probes.Up, probes.Degraded:
		c.mu.Lock()
		delete(c.failing, run.Key)
		c.mu.Unlock()
	case probes.Down:
		c.failed(run.Key, run.Slot)
	case probes.Unknown: // says nothing about the service
	}
}

// failed decides whom to ask about a failure. The first after a success is asked
// about with one voice more than the quorum needs, so that a fault near us can
// be told from an outage. Later ones are asked about only when the owners alone
// are too few vantages for the quorum.
func (c *Confirmer) failed(key probes.Key, slot time.Time) {
	p, ok := c.o.Probe(key)
	if !ok {
		return
	}
	peers, owning := others(c.o.Self, c.o.Rank(key), p.From.Count)
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.failing[key]
	wanted := max(1, p.Quorum) - owning
	if !f.asked {
		wanted++
	}
	if wanted <= 0 {
		c.failing[key] = failure{asked: true}
		return
	}
	if len(peers) == 0 {
		c.stats.Alone++
		c.failing[key] = f // somebody may have come by the next slot
		return
	}
	wanted = min(wanted, len(peers))
	if !c.mayAsk(wanted) {
		c.stats.Capped++
		c.failing[key] = f
		return
	}
	select {
	case c.ask <- question{key, slot, peers, wanted}:
		c.failing[key] = failure{asked: true}
	default:
		c.stats.Dropped++
		c.failing[key] = f
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
func (c *Confirmer) mayAsk(n int) bool {
	now := c.o.Now()
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
		select {
		case <-ctx.Done():
			return
		case q := <-c.ask:
			c.askPeers(ctx, q)
		}
	}
}

// askPeers asks until enough were reached or nobody is left.
func (c *Confirmer) askPeers(ctx context.Context, q question) {
	payload := request{key: q.key, slot: q.slot, digest: c.o.Digest()}.encode()
	reached := 0
	for _, p := range q.peers {
		if reached == q.wanted || ctx.Err() != nil {
			break
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
		c.o.Logger.Warn("too few peers could be asked about a failure", "probe", q.key, "asked", reached, "wanted", q.wanted)
	}
}
