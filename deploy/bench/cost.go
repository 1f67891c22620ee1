package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// costOptions are the flags of bench cost.
type costOptions struct {
	probes, rounds, workers int
	http2                   bool
	profile                 string
	exporter                string // its program; "" leaves it out
	only, scheme            string
	out                     io.Writer
}

func cost(ctx context.Context, args []string) error {
	o := costOptions{out: os.Stdout}
	f := flag.NewFlagSet("bench cost", flag.ContinueOnError)
	f.IntVar(&o.probes, "probes", 3000, "probes a round, of each prober and scheme")
	f.IntVar(&o.rounds, "rounds", 5, "counted rounds; one more warms up")
	f.IntVar(&o.workers, "workers", 8, "probes at one time, for all probers alike")
	f.BoolVar(&o.http2, "http2", false, "the target speaks HTTP/2 over TLS")
	f.StringVar(&o.exporter, "exporter", "prometheus-blackbox-exporter", "the blackbox exporter's program; empty leaves it out")
	f.StringVar(&o.only, "only", "", "measure this prober alone: bare, gengfu or blackbox")
	f.StringVar(&o.scheme, "scheme", "", "measure plain or tls alone")
	f.StringVar(&o.profile, "cpuprofile", "", "write gengfu's CPU profile here")
	if err := f.Parse(args); err != nil {
		return err
	}
	t, err := measureCost(ctx, o)
	if err != nil {
		return err
	}
	t.print(o)
	return nil
}

// The cores: the prober has one, everything that it speaks to another.
const (
	proberCore = 0
	otherCore  = 1
	anyCore    = -1
)

// table is CPU time per probe by prober and scheme, a figure a round.
type table map[string][]time.Duration

// contender is a prober: a process, and how to make it probe.
type contender struct {
	name string
	pid  int
	run  func(n int, tls bool) error
}

// arena is the processes of one measurement.
type arena struct {
	o       costOptions
	dir     string
	target  *child
	ingest  *child
	all     []contender
	closing []func() error
	stored  int // runs that the ingest has acknowledged so far
}

func measureCost(ctx context.Context, o costOptions) (_ table, err error) {
	if runtime.NumCPU() < 2 {
		return nil, errors.New("want two cores, one for the prober and one for its target, got one")
	}
	dir, err := os.MkdirTemp("", "gengfu-bench-*")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	a := &arena{o: o, dir: dir}
	defer func() { err = errors.Join(err, a.close()) }()
	if err := a.open(ctx); err != nil {
		return nil, err
	}
	t := table{}
	for round := range o.rounds + 1 {
		for _, tls := range []bool{false, true} {
			if o.scheme != "" && (o.scheme == "tls") != tls {
				continue
			}
			for i := range a.all {
				// Another one begins each round, so that what drifts hits all alike.
				c := a.all[(i+round)%len(a.all)]
				used, err := a.turn(c, tls)
				if err != nil {
					return nil, fmt.Errorf("measuring %s: %w", c.name, err)
				}
				if round > 0 {
					t[key(c.name, tls)] = append(t[key(c.name, tls)], used/time.Duration(o.probes))
				}
			}
		}
	}
	return t, nil
}

func key(name string, tls bool) string {
	if tls {
		return name + " tls"
	}
	return name + " plain"
}

// open starts everything.
func (a *arena) open(ctx context.Context) error {
	ca := filepath.Join(a.dir, "ca.pem")
	var r reply
	var err error
	if a.target, r, err = a.start(ctx, "target", otherCore, order{CA: ca, HTTP2: a.o.http2}); err != nil {
		return err
	}
	first := order{Plain: r.Addr["http"], Secure: r.Addr["https"], CA: ca, Workers: a.o.workers}
	if a.ingest, r, err = a.start(ctx, "ingest", otherCore, order{Dir: filepath.Join(a.dir, "store")}); err != nil {
		return err
	}
	first.OTLP = r.Addr["otlp"]
	if a.wants("bare") {
		c, _, err := a.start(ctx, "bare", proberCore, first)
		if err != nil {
			return err
		}
		a.add("bare", c)
	}
	if a.wants("gengfu") {
		o := first
		o.Dir, o.Path = filepath.Join(a.dir, "spool"), a.o.profile
		c, _, err := a.start(ctx, "gengfu", proberCore, o)
		if err != nil {
			return err
		}
		a.add("gengfu", c)
	}
	if a.o.exporter != "" && a.wants("blackbox") {
		return a.openBlackbox(ctx, first)
	}
	return nil
}

func (a *arena) wants(name string) bool { return a.o.only == "" || a.o.only == name }

func (a *arena) start(ctx context.Context, role string, core int, o order) (*child, reply, error) {
	c, r, err := start(ctx, role, core, o)
	if err == nil {
		a.closing = append(a.closing, c.stop)
	}
	return c, r, err
}

func (a *arena) add(name string, c *child) {
	a.all = append(a.all, contender{name, c.cmd.Process.Pid, func(n int, tls bool) error {
		_, err := c.ask(order{Do: "run", N: n, TLS: tls, Workers: a.o.workers})
		return err
	}})
}

// turn lets c probe and returns what it cost. The target and the ingest are asked
// whether every probe took place, over its own connection, and was stored.
func (a *arena) turn(c contender, tls bool) (time.Duration, error) {
	used, err := charge(c.pid, func() error { return c.run(a.o.probes, tls) })
	if err != nil {
		return 0, err
	}
	served, err := a.target.ask(order{Do: "count"})
	if err != nil {
		return 0, err
	}
	if served.Count != a.o.probes {
		return 0, fmt.Errorf("the target served %d requests, want %d", served.Count, a.o.probes)
	}
	if c.name == "gengfu" {
		kept, err := a.ingest.ask(order{Do: "count"})
		if err != nil {
			return 0, err
		}
		if kept.Count-a.stored != a.o.probes {
			return 0, fmt.Errorf("the ingest stored %d runs, want %d", kept.Count-a.stored, a.o.probes)
		}
		a.stored = kept.Count
	}
	return used, nil
}

func (a *arena) close() error {
	var errs []error
	for _, f := range slices.Backward(a.closing) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

const blackboxConfig = `modules:
  bench:
    prober: http
    timeout: 5s
    http:
      valid_status_codes: [200]
      preferred_ip_protocol: ip4
      tls_config:
        ca_file: %s
`

func (a *arena) openBlackbox(ctx context.Context, first order) error {
	program, err := exec.LookPath(a.o.exporter)
	if err != nil {
		return fmt.Errorf("finding the blackbox exporter (scripts/setup prometheus-blackbox-exporter): %w", err)
	}
	config := filepath.Join(a.dir, "blackbox.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, blackboxConfig, first.CA), 0o600); err != nil {
		return fmt.Errorf("writing the exporter's configuration: %w", err)
	}
	// It cannot say which port it got, so a free one is looked for.
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("finding a port for the exporter: %w", err)
	}
	addr := lis.Addr().String()
	lis.Close()
	cmd := pinned(ctx, proberCore, program, "--config.file="+config, "--web.listen-address="+addr, "--log.level=error")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the exporter: %w", err)
	}
	a.closing = append(a.closing, func() error {
		_ = cmd.Process.Signal(os.Interrupt) // it may be gone
		_ = cmd.Wait()                       // whatever it says of being interrupted
		return nil
	})
	if err := answers(ctx, "http://"+addr+"/-/healthy"); err != nil {
		return err
	}
	first.Path = "http://" + addr
	d, _, err := a.start(ctx, "driver", otherCore, first)
	if err != nil {
		return err
	}
	a.add("blackbox", d)
	a.all[len(a.all)-1].pid = cmd.Process.Pid // the exporter's, not the driver's
	return nil
}

// answers waits until an address does.
func answers(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return fmt.Errorf("asking the exporter: %w", err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the exporter does not answer: %w", errors.Join(ctx.Err(), err))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// goals are the most that gengfu may cost of another's CPU.
var goals = map[string]float64{
	"bare plain": 1.9, "bare tls": 1.25,
	"blackbox plain": 0.35, "blackbox tls": 0.65,
}

func (t table) print(o costOptions) {
	fmt.Fprintf(o.out, "CPU per probe with a fresh connection, traces made, spooled, delivered and acknowledged\n%s\n", machine())
	fmt.Fprintf(o.out, "exporter: %s\n", version(o.exporter))
	fmt.Fprintf(o.out, "%d probes a round, %d rounds, %d at one time, HTTP/2 %v; prober on core %d, target, ingest and driver on core %d\n\n",
		o.probes, o.rounds, o.workers, o.http2, proberCore, otherCore)
	fmt.Fprintf(o.out, "%-16s %9s %9s %9s   %s\n", "µs per probe", "median", "min", "max", "gengfu / this: median (min to max), goal")
	for _, tls := range []bool{false, true} {
		ours := t[key("gengfu", tls)]
		for _, name := range []string{"bare", "blackbox", "gengfu"} {
			all := t[key(name, tls)]
			if len(all) == 0 {
				continue
			}
			fmt.Fprintf(o.out, "%-16s %9.1f %9.1f %9.1f", key(name, tls), micros(median(all)), micros(slices.Min(all)), micros(slices.Max(all)))
			if name != "gengfu" && len(ours) == len(all) {
				var ratios []float64
				for i := range all {
					ratios = append(ratios, float64(ours[i])/float64(all[i]))
				}
				goal := goals[key(name, tls)]
				word := "met"
				if median(ratios) > goal {
					word = "missed"
				}
				fmt.Fprintf(o.out, "   %.2f (%.2f to %.2f), at most %.2f: %s", median(ratios), slices.Min(ratios), slices.Max(ratios), goal, word)
			}
			fmt.Fprintln(o.out)
		}
	}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func median[T int | time.Duration | float64](list []T) T {
	sorted := slices.Sorted(slices.Values(list))
	if len(sorted) == 0 {
		return 0
	}
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// version is what a program says of itself, in one line.
func version(program string) string {
	if program == "" {
		return "left out"
	}
	out, err := exec.Command(program, "--version").CombinedOutput() //nolint:noctx // it prints and ends
	if err != nil {
		return err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	for l := range strings.Lines(string(out)) {
		if strings.Contains(l, "go version") {
			line += "," + strings.Join(strings.Fields(l), " ")
		}
	}
	return line
}
