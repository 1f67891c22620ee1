package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// soakOptions are the flags of bench soak.
type soakOptions struct {
	runs    int
	samples int
	workers int // runs at one time
	out     io.Writer
}

func soak(ctx context.Context, args []string) error {
	o := soakOptions{out: os.Stdout}
	f := flag.NewFlagSet("bench soak", flag.ContinueOnError)
	f.IntVar(&o.runs, "runs", 1_000_000, "runs in all, of every kind of fault alike")
	f.IntVar(&o.workers, "workers", 128, "runs at one time")
	f.IntVar(&o.samples, "samples", 20, "how often is looked what the agent holds")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.samples < 4 {
		return errors.New("want at least four samples: one warms up, and growth is told by the others")
	}
	_, err := measureSoak(ctx, o)
	return err
}

// held is what the agent holds after so many runs, when all is quiet.
type held struct {
	runs int
	memory
	descriptors, goroutines int
}

// measureSoak soaks an agent and fails when it holds more in the end than it did
// when it was warm.
func measureSoak(ctx context.Context, o soakOptions) (tally map[string]int, err error) {
	dir, err := os.MkdirTemp("", "gengfu-soak-*")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	a := &arena{dir: dir}
	defer func() { err = errors.Join(err, a.close()) }()
	first := order{CA: filepath.Join(dir, "ca.pem"), Dir: filepath.Join(dir, "spool"), Workers: o.workers}
	_, r, err := a.start(ctx, "faults", anyCore, first)
	if err != nil {
		return nil, err
	}
	first.Addrs = r.Addr
	if _, r, err = a.start(ctx, "ingest", anyCore, order{}); err != nil {
		return nil, err
	}
	first.OTLP = r.Addr["otlp"]
	agent, _, err := a.start(ctx, "soaked", anyCore, first)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(o.out, "%d runs against %d kinds of faults, %d at one time\n%s\n\n%10s %10s %12s %13s %12s %11s\n",
		o.runs, len(first.Addrs), o.workers, machine(), "runs", "a second", "heap MiB", "resident MiB", "descriptors", "goroutines")
	var all []held
	for i := range o.samples {
		from, n := time.Now(), o.runs*(i+1)/o.samples-o.runs*i/o.samples
		if r, err = agent.ask(order{Do: "run", N: n}); err != nil {
			return nil, err
		}
		all = append(all, held{o.runs * (i + 1) / o.samples, *r.Memory, r.Descriptors, r.Count})
		h := all[len(all)-1]
		fmt.Fprintf(o.out, "%10d %10.0f %12.2f %13.2f %12d %11d\n", h.runs, float64(n)/time.Since(from).Seconds(),
			float64(h.Heap)/(1<<20), float64(h.Resident)/(1<<20), h.descriptors, h.goroutines)
	}
	fmt.Fprintln(o.out)
	for _, name := range slices.Sorted(maps.Keys(r.Tally)) {
		fmt.Fprintf(o.out, "%10d  %s\n", r.Tally[name], name)
	}
	return r.Tally, errors.Join(grown(all), unexpected(r.Tally))
}

// What may be held more in the end than when warm: a pool here, a page there.
const (
	slackHeap        = 1 << 20 // bytes
	slackResident    = 8 << 20
	slackDescriptors = 3
	slackGoroutines  = 3
)

// grown compares the last half of the samples with the first after warming up. The
// least of the half counts: one sample may fall on a bad moment, growth does not.
func grown(all []held) error {
	warm, late := all[max(1, len(all)/5)], all[len(all)/2:]
	var errs []error
	for _, c := range []struct {
		what  string
		of    func(held) int64
		slack int64
	}{
		{"heap", func(h held) int64 { return h.Heap }, slackHeap},
		{"resident memory", func(h held) int64 { return h.Resident }, slackResident},
		{"descriptors", func(h held) int64 { return int64(h.descriptors) }, slackDescriptors},
		{"goroutines", func(h held) int64 { return int64(h.goroutines) }, slackGoroutines},
	} {
		if raceEnabled && c.what == "resident memory" {
			continue // the detector's own memory grows with what it has seen
		}
		least := c.of(slices.MinFunc(late, func(a, b held) int { return int(c.of(a) - c.of(b)) }))
		if least > c.of(warm)+c.slack {
			errs = append(errs, fmt.Errorf("%s grew from %d after %d runs to at least %d later on", c.what, c.of(warm), warm.runs, least))
		}
	}
	return errors.Join(errs...)
}

// unexpected says which faults were taken for something else. On a busy machine a
// server that is good may still be too slow, and the agent find out that it was
// paused itself, or now and then that a probe ended long after its time.
func unexpected(tally map[string]int) error {
	total := map[string]int{}
	for name, n := range tally {
		fault, _, _ := strings.Cut(name, ": ")
		total[fault] += n
	}
	var errs []error
	for name, n := range tally {
		fault, verdict, _ := strings.Cut(name, ": ")
		verdict, why, _ := strings.Cut(verdict, " ")
		f := named(fault)
		switch {
		case why == string(probes.PhraseStalled), why == string(probes.PhraseOverran) && n <= 2+total[fault]/50:
		case verdict == string(probes.ClassAgent) && f.also != probes.ClassAgent:
			errs = append(errs, fmt.Errorf("%q was not seen at all %d times: %s", fault, n, why))
		case f.up && verdict != "up" && verdict != "timeout", !f.up && verdict == "up":
			errs = append(errs, fmt.Errorf("%q was taken for %q %d times", fault, verdict, n))
		case f.also != "" && verdict != string(f.also) && verdict != "timeout":
			errs = append(errs, fmt.Errorf("%q was taken for %q %d times, not for %q", fault, verdict, n, f.also))
		}
	}
	return errors.Join(errs...)
}
