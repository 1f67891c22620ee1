package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// shortTimeout is that of probes whose target hangs, so that a million of them
// do not take a week.
const shortTimeout = 150 * time.Millisecond

// soaked is the agent that is soaked.
type soaked struct {
	stack   *stack
	workers int // runs under way at one time
	probes  []probes.Probe
	faults  []fault // of the probe at the same place

	mu    sync.Mutex
	tally map[string]int // by fault and verdict or class
}

// newSoaked needs of first: Addrs of the faults, CA, OTLP, Dir, Workers.
func newSoaked(ctx context.Context, first order) (part, reply, error) {
	s := &soaked{tally: map[string]int{}, workers: max(1, first.Workers)}
	for _, name := range slices.Sorted(maps.Keys(first.Addrs)) {
		s.faults = append(s.faults, named(name))
	}
	c, err := definitions(len(s.faults), func(i int) string { return s.faults[i].definition(first.Addrs[s.faults[i].name]) })
	if err != nil {
		return nil, reply{}, err
	}
	for i, f := range s.faults {
		p, _ := c.Probe(probes.Key{Service: "bench-0", Probe: fmt.Sprintf("p%d", i)})
		if f.wait {
			p.Timeout = shortTimeout // shorter than definitions may say
		}
		s.probes = append(s.probes, p)
	}
	s.stack, err = newStack(ctx, first, s.workers)
	return s, reply{}, err
}

// answer performs n runs, and tells what the process holds when all is quiet again.
func (s *soaked) answer(ctx context.Context, o order) (reply, error) {
	o.Workers = s.workers
	err := loop(o, func(i int) error {
		i %= len(s.probes)
		p := s.probes[i]
		run, err := s.stack.runner.Run(ctx, p, probes.ChannelPortal, "abcdef", probes.SlotAt(p.Key, p.Every, time.Now()), probes.TriggerSlot)
		if err != nil {
			return err
		}
		s.note(s.faults[i], run.Result)
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	if err := s.stack.flush(ctx); err != nil {
		return reply{}, err
	}
	m := measureMemory()
	s.mu.Lock()
	defer s.mu.Unlock()
	return reply{Count: runtime.NumGoroutine(), Memory: &m, Descriptors: descriptors(), Tally: maps.Clone(s.tally)}, nil
}

func (s *soaked) note(f fault, r probes.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what := cmp.Or(string(r.Class), r.Verdict.String())
	if r.Class == probes.ClassAgent {
		what += " " + string(r.Findings[0].Phrase) // why this agent could not look
	}
	s.tally[f.name+": "+what]++
}

func (s *soaked) close() error { return s.stack.close() }
