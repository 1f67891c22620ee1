// Package confirm makes a failure a question to others: the agents next in rank,
// standing elsewhere, run the same slot at once, so that one bad line is told
// apart from an outage in seconds instead of intervals. The end of a failure is
// asked about likewise.
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
	Self  string                                                         // our name in the cluster
	Probe func(key probes.Key) (probes.Probe, bool)                      // in the catalog in use
	Rank  func(key probes.Key) []Peer                                    // all that may run it: the owners first, then who is asked
	Send  func(ctx context.Context, member string, payload []byte) error // a Message to one member
	// RunNow performs a confirming run and returns when it is over. It is false
	// when there was none, because it could not begin before by.
	RunNow func(ctx context.Context, key probes.Key, slot, by time.Time) (ran bool)
	Digest func() string // of the catalog in use; default empty

	// PerMinute bounds the requests sent in a minute. It is there to stop a
	// mistake of ours, not an outage of everything: that wants some 4 a minute of
	// every probe that we own with an interval of 30 s. Default 1200.
	PerMinute int
	Queue     int // failures, and requests of each sort, that may wait; default 512
	Workers   int // confirming runs without a browser at the same time; default 64
	Browsers  int // confirming runs with a browser at the same time; default 2

	Now    func() time.Time // default time.Now
	Logger *slog.Logger     // default slog.Default
}

// Stats count since New.
type Stats struct {
	Asked   uint64 // requests sent
	Unheard uint64 // failures about which too few peers could be asked
	Capped  uint64 // failures not asked about, because of PerMinute
	Alone   uint64 // failures with nobody elsewhere to ask, though the owners are no quorum
	Ran     uint64 // confirming runs for others
	Refused uint64 // requests for unknown probes or slots, and unreadable ones
	Repeats uint64 // requests for a slot that we ran already
	Dropped uint64 // failures and requests lost because a queue was full
	Late    uint64 // failures and requests whose slot was over, or that had waited too long
}

// Confirmer asks about our failures and answers the others' requests.
type Confirmer struct {
	o         Options
	questions *lane[question]
	plain     *lane[request]
	browsing  *lane[request] // apart, because they take long and have few places

	mu      sync.Mutex // protects the following
	failing map[probes.Key]bool
	seen    map[probes.Key]time.Time // the newest slot that we ran, or are about to
	window  time.Time                // start of the minute that sent counts for
	sent    int
	stats   Stats
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
		o.PerMinute = 1200
	}
	if o.Queue <= 0 {
		o.Queue = 512
	}
	if o.Workers <= 0 {
		o.Workers = 64
	}
	if o.Browsers <= 0 {
		o.Browsers = 2
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Confirmer{
		o:         o,
		questions: newLane[question](o.Queue),
		plain:     newLane[request](o.Queue),
		browsing:  newLane[request](o.Queue),
		failing:   map[probes.Key]bool{},
		seen:      map[probes.Key]time.Time{},
	}, nil
}

// Run asks and answers until ctx ends, then waits for the confirming runs in
// flight, which go on to their own deadlines.
func (c *Confirmer) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for range askers {
		wg.Go(func() { c.askAll(ctx) })
	}
	for range c.o.Workers {
		wg.Go(func() { c.answerAll(ctx, c.plain) })
	}
	for range c.o.Browsers {
		wg.Go(func() { c.answerAll(ctx, c.browsing) })
	}
	wg.Go(func() { c.report(ctx) })
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

// report says once a minute what went unconfirmed in it. A line a failure would
// itself drown what matters in a mass outage.
func (c *Confirmer) report(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	var before Stats
	for {
		select {
		case <-ctx.Done():
			c.complain(before)
			return
		case <-tick.C:
			before = c.complain(before)
		}
	}
}

// complain says what was lost since before, if anything, and returns the counters.
func (c *Confirmer) complain(before Stats) Stats {
	now := c.Stats()
	dropped, late, capped := now.Dropped-before.Dropped, now.Late-before.Late, now.Capped-before.Capped
	alone, unheard := now.Alone-before.Alone, now.Unheard-before.Unheard
	if dropped+late+capped+alone+unheard > 0 {
		c.o.Logger.Warn("failures went unconfirmed: too many at once, or too few agents elsewhere",
			"dropped", dropped, "late", late, "capped", capped, "alone", alone, "unheard", unheard)
	}
	return now
}
