package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// gengfu runs probes as fast as they go, by the real rooms of an agent.
type gengfu struct {
	*stack
	plain, secure *definition.Catalog
	profile       *os.File
}

// distinct is how many probes the runs are spread over.
const distinct = 100

func newGengfu(ctx context.Context, o order) (part, reply, error) {
	g := &gengfu{}
	var err error
	if g.plain, err = definitions(distinct, func(int) string { return plainProbe(o.Plain, "") }); err != nil {
		return nil, reply{}, err
	}
	if g.secure, err = definitions(distinct, func(int) string { return plainProbe(o.Secure, "") }); err != nil {
		return nil, reply{}, err
	}
	if o.Path != "" {
		if g.profile, err = os.Create(o.Path); err != nil {
			return nil, reply{}, fmt.Errorf("making the profile's file: %w", err)
		}
		if err := pprof.StartCPUProfile(g.profile); err != nil {
			return nil, reply{}, fmt.Errorf("profiling: %w", err)
		}
	}
	g.stack, err = newStack(ctx, o, max(1, o.Workers))
	return g, reply{}, err
}

// answer performs n runs and returns when the last is acknowledged.
func (g *gengfu) answer(ctx context.Context, o order) (reply, error) {
	c := g.plain
	if o.TLS {
		c = g.secure
	}
	list := c.Probes()
	// As in an agent, so many probe at one time, and those that have looked and
	// wait for their trace to be safe stand beside them.
	o.Workers *= 8
	err := loop(o, func(i int) error {
		p := list[i%len(list)]
		run, err := g.runner.Run(ctx, p, probes.ChannelPortal, c.Revision.Commit, probes.SlotAt(p.Key, p.Every, time.Now()), probes.TriggerSlot)
		if err != nil {
			return err
		}
		if run.Result.Verdict != probes.Up {
			return fmt.Errorf("the target is %v: %+v", run.Result.Verdict, run.Result.Findings)
		}
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return reply{Count: o.N}, g.flush(ctx)
}

func (g *gengfu) close() error {
	if g.profile == nil {
		return g.stack.close()
	}
	pprof.StopCPUProfile()
	return errors.Join(g.profile.Close(), g.stack.close())
}
