// Package doubt tells an agent that it is itself unwell: when none of its
// reference targets answers, what it sees is about its own line, not about the
// services it probes.
package doubt

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"time"
)

// Options say what is always reachable from here.
type Options struct {
	Targets []string // host:port; none means no self-doubt
	Every   time.Duration
	Dial    func(ctx context.Context, network, addr string) (net.Conn, error)
	Logger  *slog.Logger
}

// Doubt watches the reference targets.
type Doubt struct {
	o      Options
	silent atomic.Pointer[string] // all the targets, when none of them answers
}

// New makes a Doubt that so far trusts its host.
func New(o Options) *Doubt {
	if o.Every <= 0 {
		o.Every = 10 * time.Second
	}
	return &Doubt{o: o}
}

// Unwell returns the targets when none of them answers, so that this agent's
// view does not count now; "" when it does.
func (d *Doubt) Unwell() string {
	if s := d.silent.Load(); s != nil {
		return *s
	}
	return ""
}

// Run watches until ctx ends.
func (d *Doubt) Run(ctx context.Context) error {
	if len(d.o.Targets) == 0 {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(d.o.Every)
	defer tick.Stop()
	for {
		d.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look tries the targets in turn: one that answers is enough.
func (d *Doubt) look(ctx context.Context) {
	was := d.Unwell()
	now := strings.Join(d.o.Targets, ", ")
	for _, t := range d.o.Targets {
		dialing, cancel := context.WithTimeout(ctx, 3*time.Second)
		c, err := d.o.Dial(dialing, "tcp", t)
		cancel()
		if err == nil {
			c.Close()
			now = ""
			break
		}
	}
	if ctx.Err() != nil {
		return // stopping: the failed dials say nothing
	}
	d.silent.Store(&now)
	switch {
	case was == "" && now != "":
		d.o.Logger.Warn("doubting myself: no reference target answers, so runs are unknown", "targets", now)
	case was != "" && now == "":
		d.o.Logger.Info("a reference target answers again")
	}
}
