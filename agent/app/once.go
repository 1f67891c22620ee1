package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gengfu/gengfu/agent/hosts"
	"github.com/gengfu/gengfu/agent/runner"
	"github.com/gengfu/gengfu/agent/telemetry"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/semconv"
	"github.com/gengfu/gengfu/probes/settings"
	"github.com/gengfu/gengfu/probes/wording"
)

// Once says which probe to run now, and how to print it.
type Once struct {
	Dir, ID  string
	JSON     bool
	Lang     wording.Lang
	Version  string
	Out, Err io.Writer
}

// exit codes of "agent probe".
var exits = map[probes.Verdict]int{probes.Up: 0, probes.Down: 1, probes.Degraded: 3, probes.Unknown: 4}

// ProbeOnce runs one probe, or all of a service, now, and prints verdict and
// waterfall. It returns the exit code of the worst.
func ProbeOnce(ctx context.Context, o Once) int {
	c, err := load(o.Dir)
	var mistakes definition.Mistakes
	if errors.As(err, &mistakes) {
		fmt.Fprintln(o.Err, mistakes.Error())
		return 2
	}
	if err != nil {
		fmt.Fprintln(o.Err, "agent probe:", err)
		return 2
	}
	list, err := pick(c, o.ID)
	if err != nil {
		fmt.Fprintln(o.Err, "agent probe:", err)
		return 2
	}
	worst := 0
	for _, p := range list {
		run, spans, err := runOnce(ctx, o, c, p)
		if err != nil {
			fmt.Fprintln(o.Err, "agent probe:", err)
			return 4
		}
		if err := printRun(o, run, spans); err != nil {
			fmt.Fprintln(o.Err, "agent probe:", err)
			return 4
		}
		// Down outranks unknown, which outranks degraded.
		order := []int{0, 3, 4, 1}
		if slices.Index(order, exits[run.Result.Verdict]) > slices.Index(order, worst) {
			worst = exits[run.Result.Verdict]
		}
	}
	return worst
}

func pick(c *definition.Catalog, id string) ([]probes.Probe, error) {
	if key, err := probes.ParseKey(id); err == nil {
		if p, ok := c.Probe(key); ok {
			return []probes.Probe{p}, nil
		}
		return nil, fmt.Errorf("no probe %q in these definitions; agent check prints what they hold", id)
	}
	s, ok := c.Service(id)
	if !ok {
		return nil, fmt.Errorf("no service %q in these definitions; want SERVICE/PROBE or SERVICE", id)
	}
	return s.Probes, nil
}

func runOnce(ctx context.Context, o Once, c *definition.Catalog, p probes.Probe) (probes.Run, []probes.Span, error) {
	cfg := Config{Name: "local", Site: "local", Browser: "auto"}
	if v := os.Getenv(Prefix + "HOSTS"); v != "" {
		cfg.Hosts = strings.Split(v, ",")
	}
	mapped, err := hosts.Parse(cfg.Hosts)
	if err != nil {
		return probes.Run{}, nil, fmt.Errorf("AGENT_HOSTS: %w", err)
	}
	roots, err := rootsOf(os.Getenv(Prefix + "CA_FILE"))
	if err != nil {
		return probes.Run{}, nil, err
	}
	cfg.DataDir, err = os.MkdirTemp("", "gengfu-probe-*")
	if err != nil {
		return probes.Run{}, nil, fmt.Errorf("making a folder for the browser: %w", err)
	}
	defer os.RemoveAll(cfg.DataDir)
	log := slog.New(slog.NewTextHandler(o.Err, &slog.HandlerOptions{Level: slog.LevelError}))
	var otlp []byte
	tel := telemetry.New(telemetry.Options{
		Agent: cfg.Name, Vantage: cfg.Site, Labels: map[string]string{"site": cfg.Site}, Version: o.Version,
		Sink: func(_ context.Context, b []byte) error { otlp = b; return nil },
	})
	secrets := settings.NewSecrets(Prefix, os.Getenv(Prefix+"SECRETS_DIR"))
	dial := &net.Dialer{Timeout: 30 * time.Second, Resolver: mapped.Resolver()}
	ro := runner.Options{
		Agent: cfg.Name, Vantage: cfg.Site, Labels: map[string]string{"site": cfg.Site},
		Begin:  func(ctx context.Context, r probes.Run) (context.Context, runner.Trace) { return tel.Begin(ctx, r) },
		Keep:   func(context.Context, probes.Evidence) error { return nil },
		Secret: secrets.Value, Secrets: secrets.Values, Dial: dial.DialContext, Resolver: mapped.Resolver(), Roots: roots,
		MaxConcurrent: 1, MaxBrowsers: 1, Logger: log,
	}
	if slices.Contains(p.Needs, probes.CapabilityBrowser) {
		cfg.MaxBrowsers = 1
		pool, err := openBrowser(cfg, mapped.ChromiumRules(), log)
		if err != nil {
			return probes.Run{}, nil, err
		}
		if pool != nil {
			defer func() {
				closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
				defer cancel()
				if err := pool.Close(closing); err != nil {
					fmt.Fprintln(o.Err, "agent probe: closing the browser:", err)
				}
			}()
			ro.Browser = pool
		}
	}
	r, err := runner.New(ro)
	if err != nil {
		return probes.Run{}, nil, fmt.Errorf("building the runner: %w", err)
	}
	s, _ := c.Service(p.Key.Service)
	slot := probes.SlotAt(p.Key, p.Every, time.Now())
	run, err := r.Run(ctx, p, s.Channel, c.Revision.Commit, slot, probes.TriggerManual)
	if err != nil {
		return probes.Run{}, nil, fmt.Errorf("running %s: %w", p.Key, err)
	}
	spans, err := semconv.Spans(otlp)
	if err != nil {
		return probes.Run{}, nil, fmt.Errorf("reading the trace of %s: %w", p.Key, err)
	}
	return run, spans, nil
}

func printRun(o Once, run probes.Run, spans []probes.Span) error {
	if o.JSON {
		enc := json.NewEncoder(o.Out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(struct {
			Run   probes.Run    `json:"run"`
			Spans []probes.Span `json:"spans"`
		}{run, spans}); err != nil {
			return fmt.Errorf("printing the run: %w", err)
		}
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  %s", run.Key, wording.Verdict(o.Lang, run.Result.Verdict), wording.Duration(o.Lang, run.Took))
	if run.Result.Status != 0 {
		fmt.Fprintf(&b, "  HTTP %d", run.Result.Status)
	}
	b.WriteByte('\n')
	for _, f := range run.Result.Findings {
		fmt.Fprintf(&b, "  ! %s\n", wording.Finding(o.Lang, f))
	}
	for _, c := range run.Result.Checks {
		mark := "✓"
		if !c.OK {
			mark = "✗"
		}
		fmt.Fprintf(&b, "  %s %s    %s\n", mark, c.Expr, c.Saw)
	}
	b.WriteString(waterfall(o.Lang, spans))
	if _, err := io.WriteString(o.Out, b.String()); err != nil {
		return fmt.Errorf("printing the run: %w", err)
	}
	return nil
}

// waterfall draws spans as a person may copy into a ticket: name, start within
// the run, length, and a bar of the whole.
func waterfall(l wording.Lang, spans []probes.Span) string {
	const width = 40
	if len(spans) == 0 {
		return ""
	}
	root := spans[0]
	depth := map[string]int{root.ID: 0}
	var b strings.Builder
	for _, s := range spans {
		d := 0
		if up, ok := depth[s.Parent]; ok && s.ID != root.ID {
			d = up + 1
		}
		depth[s.ID] = d
		name := strings.Repeat("  ", d) + spanName(l, s, d)
		from, long := 0, 0
		if root.Took > 0 {
			from = int(int64(width) * int64(s.Start.Sub(root.Start)) / int64(root.Took))
			long = int(int64(width) * int64(s.Took) / int64(root.Took))
		}
		from = min(max(from, 0), width-1)
		long = min(max(long, 1), width-from)
		mark := ""
		if what := cmp.Or(wording.Finding(l, s.Finding), s.Error); what != "" && s.ID != root.ID {
			mark = "  ! " + what // the root's stands above
		}
		fmt.Fprintf(&b, "  %s %8.1f ms %8.1f ms  |%s%s%s|%s\n", pad(name, 36),
			float64(s.Start.Sub(root.Start))/1e6, float64(s.Took)/1e6,
			strings.Repeat(" ", from), strings.Repeat("█", long), strings.Repeat(" ", width-from-long), mark)
	}
	return b.String()
}

// spanName names steps for people; phases go by their usual names. Below the
// root are steps, and a phase may be called like one.
func spanName(l wording.Lang, s probes.Span, depth int) string {
	if depth == 1 {
		return wording.Step(l, s.Name)
	}
	return s.Name
}

// pad fills or cuts s to n columns, where a Chinese character takes two.
func pad(s string, n int) string {
	width := 0
	for i, r := range s {
		w := 1
		if utf8.RuneLen(r) > 2 {
			w = 2
		}
		if width+w > n {
			return s[:i] + strings.Repeat(" ", n-width)
		}
		width += w
	}
	return s + strings.Repeat(" ", n-width)
}
