package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gengfu/gengfu/agent/app"
	"github.com/gengfu/gengfu/agent/hosts"
	"github.com/gengfu/gengfu/agent/runner"
	"github.com/gengfu/gengfu/agent/spool"
	"github.com/gengfu/gengfu/agent/telemetry"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/kinds"
	"github.com/gengfu/gengfu/probes/settings"
)

// stack is an agent's rooms from the runner to the coordinator's door, joined
// as agent/app joins them. Gossip and the catalog are left out: they cost the
// same however much is probed.
type stack struct {
	runner *runner.Runner
	spool  *spool.Spool
	otlp   *spool.OTLP
	stop   context.CancelFunc
	wg     sync.WaitGroup

	ballast []byte // as the agent's program holds it
}

// newStack needs of o: Dir, OTLP, CA. Roots are read from CA.
func newStack(ctx context.Context, o order, concurrent int) (*stack, error) {
	roots, err := rootsIn(o.CA)
	if err != nil {
		return nil, err
	}
	mapped, err := hosts.Parse(nil)
	if err != nil {
		return nil, fmt.Errorf("making the resolver: %w", err)
	}
	log := quiet()
	labels := map[string]string{"site": "bench-site", "isp": "telecom", "network": "internet"}
	s := &stack{ballast: app.Ballast()}
	if s.spool, err = spool.Open(spool.Options{Dir: o.Dir, MaxBytes: 1 << 30, Logger: log}); err != nil {
		return nil, fmt.Errorf("opening the spool: %w", err)
	}
	target := spool.Target{OTLP: o.OTLP, HTTP: "http://" + o.OTLP}
	s.otlp = spool.NewOTLP(spool.OTLPOptions{Targets: func() []spool.Target { return []spool.Target{target} }, Token: token, Logger: log})
	tel := telemetry.New(telemetry.Options{Agent: "bench", Vantage: "bench-site", Labels: labels, Version: "bench", Sink: s.spool.Append})
	secrets := settings.NewSecrets("AGENT_", "")
	dial := app.Dialer(mapped.Resolver())
	s.runner, err = runner.New(runner.Options{
		Agent: "bench", Vantage: "bench-site", Labels: labels,
		Begin: func(ctx context.Context, r probes.Run) (context.Context, runner.Trace) { return tel.Begin(ctx, r) },
		// Excerpts of bad replies would be a second delivery beside the traces;
		// the receiver here takes traces alone.
		Keep:   func(context.Context, probes.Evidence) error { return nil },
		Secret: secrets.Value, Secrets: secrets.Values, Unwell: func() string { return "" },
		Dial: dial.DialContext, Resolver: mapped.Resolver(), Roots: roots, UserAgentSuffix: "GengfuProbe/1",
		MaxConcurrent: concurrent, Logger: log,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making the runner: %w", err), s.spool.Close())
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.wg.Go(func() { _ = s.spool.Run(run, s.otlp) })
	return s, nil
}

// flush waits until everything is acknowledged.
func (s *stack) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	return s.spool.Flush(ctx)
}

func (s *stack) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := s.runner.Close(ctx)
	s.stop()
	s.wg.Wait()
	return errors.Join(err, s.otlp.Close(), s.spool.Close())
}

// definitions compiles services of at most a hundred probes each. The text of
// probe i is written by f, without its id.
func definitions(n int, f func(i int) string) (*definition.Catalog, error) {
	var files []definition.File
	for i := 0; i < n; i += 100 {
		var b strings.Builder
		fmt.Fprintf(&b, "id: bench-%d\nname: 量测 %d\nchannel: portal\nprobes:\n", i/100, i/100)
		for j := i; j < min(i+100, n); j++ {
			fmt.Fprintf(&b, "  - id: p%d\n%s", j, indented(f(j)))
		}
		files = append(files, definition.File{Path: fmt.Sprintf("services/bench-%d.yaml", i/100), Data: []byte(b.String())})
	}
	c, err := definition.Compile(definition.Revision{Seq: 1, Commit: strings.Repeat("ab", 20)}, files, kinds.All())
	if err != nil {
		return nil, fmt.Errorf("compiling the definitions: %w", err)
	}
	return c, nil
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(text) + "\n") {
		b.WriteString("    " + line)
	}
	return b.String()
}

// plainProbe is the definition that cost and schedule measure: a page, its
// status and a bound on its time.
func plainProbe(address, every string) string {
	return fmt.Sprintf("kind: http\nevery: %s\ntimeout: 5s\nrequest: %s\nexpect: [\"status == 200\", \"latency < 5s\"]\n", cmp.Or(every, "10s"), address)
}
