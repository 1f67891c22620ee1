package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// scheduleOptions are the flags of bench schedule.
type scheduleOptions struct {
	probes  int
	seconds float64
	tls     bool
	noop    bool
	out     io.Writer
}

func scheduling(ctx context.Context, args []string) error {
	o := scheduleOptions{out: os.Stdout}
	f := flag.NewFlagSet("bench schedule", flag.ContinueOnError)
	f.IntVar(&o.probes, "probes", 5000, "probes on the one agent")
	f.Float64Var(&o.seconds, "seconds", 60, "how long slots are counted")
	f.BoolVar(&o.tls, "tls", false, "probe over TLS")
	f.BoolVar(&o.noop, "noop", false, "runs do nothing: the schedule alone")
	if err := f.Parse(args); err != nil {
		return err
	}
	s, err := measureSchedule(ctx, o)
	if err != nil {
		return err
	}
	return s.check()
}

// scheduled is what bench schedule found.
type scheduled struct {
	lateness
	memory
	cpu  time.Duration // in the window and a little more
	took time.Duration
}

func measureSchedule(ctx context.Context, o scheduleOptions) (_ *scheduled, err error) {
	dir, err := os.MkdirTemp("", "gengfu-bench-*")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	a := &arena{dir: dir}
	defer func() { err = errors.Join(err, a.close()) }()
	ca := filepath.Join(dir, "ca.pem")
	_, r, err := a.start(ctx, "target", otherCore, order{CA: ca})
	if err != nil {
		return nil, err
	}
	first := order{N: o.probes, Plain: r.Addr["http"], Secure: r.Addr["https"], TLS: o.tls, CA: ca, Dir: filepath.Join(dir, "spool")}
	if o.noop {
		first.Path = "noop"
	}
	// The target's core is not to be a coordinator's, too: what comes is forgotten.
	ingest, r, err := a.start(ctx, "ingest", otherCore, order{})
	if err != nil {
		return nil, err
	}
	first.OTLP = r.Addr["otlp"]
	agent, _, err := a.start(ctx, "schedule", proberCore, first)
	if err != nil {
		return nil, err
	}
	s := &scheduled{}
	from := time.Now()
	if s.cpu, err = charge(agent.cmd.Process.Pid, func() error {
		r, err = agent.ask(order{Do: "run", Seconds: o.seconds})
		return err
	}); err != nil {
		return nil, err
	}
	s.took, s.lateness = time.Since(from), *r.Times
	kept, err := ingest.ask(order{Do: "count"})
	if err != nil {
		return nil, err
	}
	if r, err = agent.ask(order{Do: "memory"}); err != nil {
		return nil, err
	}
	s.memory = *r.Memory
	s.print(o, kept.Count)
	return s, nil
}

func (s *scheduled) print(o scheduleOptions, stored int) {
	mib := func(n int64) float64 { return float64(n) / (1 << 20) }
	what := "HTTP probes"
	switch {
	case o.noop:
		what = "probes that do nothing"
	case o.tls:
		what = "HTTPS probes"
	}
	word := func(met bool) string {
		if met {
			return "met"
		}
		return "missed"
	}
	fmt.Fprintf(o.out, "%d %s, every 1 s to 60 s in equal parts, on one agent with one core, for %.0f s after catching up\n%s\n\n", o.probes, what, o.seconds, machine())
	fmt.Fprintf(o.out, "slots due %d, run %d (%.0f a second); missed %d, skipped %d, starved %d, target not up %d\n%d more missed, skipped or starved while catching up; %d runs acknowledged in all\n",
		s.Due, s.Ran, float64(s.Ran)/o.seconds, s.Missed, s.Skipped, s.Starved, s.Failed, s.Early, stored)
	fmt.Fprintf(o.out, "%-28s %10s %10s %10s %10s\n", "lateness, ms", "p50", "p90", "p99", "max")
	for _, row := range []struct {
		name string
		list []time.Duration
	}{{"slot to the schedule's call", s.Emitted}, {"slot to the probe's start", s.Started}} {
		fmt.Fprintf(o.out, "%-28s", row.name)
		for _, d := range row.list {
			fmt.Fprintf(o.out, " %10.2f", micros(d)/1000)
		}
		fmt.Fprintln(o.out)
	}
	fmt.Fprintf(o.out, "start lateness p99 under 50 ms: %s\n", word(s.Started[2] < 50*time.Millisecond))
	fmt.Fprintf(o.out, "CPU %.2f s in %.1f s: %.1f %% of a core, %.0f µs a run\n", s.cpu.Seconds(), s.took.Seconds(), 100*s.cpu.Seconds()/s.took.Seconds(),
		micros(s.cpu)/max(1, float64(s.Ran)*s.took.Seconds()/o.seconds))
	per := func(n int64) float64 { return mib(n) * 1000 / float64(o.probes) }
	fmt.Fprintf(o.out, "memory a thousand probes: heap %.2f MiB, resident %.2f MiB; under 10 MiB: %s\n",
		per(s.Heap), per(s.Resident), word(per(max(s.Heap, s.Resident)) < 10))
}
