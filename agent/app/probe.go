package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/wording"
)

const probeUsage = `DIR SERVICE/PROBE [flags]

Runs a probe of the definitions in DIR now, or all probes of a SERVICE, and prints
the verdict, what was checked and a waterfall. Settings and secrets come from the
same AGENT_… variables as when it serves; no fleet is joined.
Exit code: 0 up, 1 down, 3 degraded, 4 unknown, the worst of several; 2 wrong use.

`

// The exit codes of a verdict.
var exits = map[probes.Verdict]int{probes.Up: 0, probes.Down: 1, probes.Degraded: 3, probes.Unknown: 4}

// exitBlind is the code when this agent could not look.
const exitBlind = 4

// severity orders exit codes: down outranks unknown, which outranks degraded.
var severity = []int{0, 3, 4, 1}

// shortest is the least pause between runs by hand: a probe is not a load test.
const shortest = time.Second

// probing is one "agent probe".
type probing struct {
	lang   wording.Lang
	asJSON bool
	every  time.Duration
	count  int // 0 for ever
	out    io.Writer
	trace  io.Writer // takes OTLP; nil for none
}

// Probe runs "agent probe" and returns the exit code.
func Probe(ctx context.Context, version string, args []string, stdout, stderr io.Writer) int {
	p := &probing{out: stdout}
	c := newCommand("probe", probeUsage, stdout, stderr)
	lang := c.flags.String("lang", "zh", "`language` of the text: zh or en")
	traceFile := c.flags.String("trace", "", "write each run's trace to this `file` as OTLP in JSON, one a line; - for the standard output, the text goes to the standard error then")
	c.flags.BoolVar(&p.asJSON, "json", false, "print each run as JSON, as GET /api/v1/runs/{trace_id} does")
	c.flags.DurationVar(&p.every, "every", 0, "run again and again at this `interval`, until interrupted")
	c.flags.IntVar(&p.count, "count", 0, "how many `times`; by default once, or for ever with -every")
	words, code, ok := c.words(args)
	switch {
	case !ok:
		return code
	case len(words) != 2:
		return c.wrong("want a folder and a probe: agent probe DIR SERVICE/PROBE")
	case *lang != "zh" && *lang != "en":
		return c.wrong("-lang: want zh or en, got %q", *lang)
	case p.count < 0:
		return c.wrong("-count: want 1 or more, got %d", p.count)
	case p.every != 0 && p.every < shortest:
		return c.wrong("-every: want %s or more, got %s", shortest, p.every)
	case p.asJSON && *traceFile == "-":
		return c.wrong("-json and -trace - both want the standard output; give -trace a file")
	}
	p.lang = wording.ParseLang(*lang)
	if p.every == 0 {
		p.every, p.count = shortest, max(1, p.count)
	}
	cat, list, err := find(words[0], words[1])
	if err != nil {
		return c.failed(exitUsage, err)
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	a, err := openAlone(ctx, version, needsBrowser(list), log)
	if err != nil {
		return c.failed(exitUsage, err)
	}
	closeTrace, err := p.traceTo(*traceFile, stdout, stderr)
	if err != nil {
		return c.failed(exitUsage, errors.Join(err, a.close(ctx)))
	}
	code, err = p.run(ctx, a, cat, list)
	if err = errors.Join(err, a.close(ctx), closeTrace()); err != nil {
		return c.failed(worse(code, exitBlind), err)
	}
	return code
}

// find loads the definitions and picks the probes that id names.
func find(dir, id string) (*definition.Catalog, []probes.Probe, error) {
	c, err := load(dir)
	if err != nil {
		return nil, nil, err
	}
	if key, err := probes.ParseKey(id); err == nil {
		p, ok := c.Probe(key)
		if !ok {
			return nil, nil, fmt.Errorf("no probe %q in these definitions; agent check -json DIR lists what they hold", id)
		}
		return c, []probes.Probe{p}, nil
	}
	s, ok := c.Service(id)
	if !ok {
		return nil, nil, fmt.Errorf("no service %q in these definitions; want SERVICE/PROBE or SERVICE", id)
	}
	if len(s.Probes) == 0 {
		return nil, nil, fmt.Errorf("service %q has no probes", id)
	}
	return c, s.Probes, nil
}

// traceTo opens where traces go.
func (p *probing) traceTo(file string, stdout, stderr io.Writer) (closing func() error, err error) {
	switch file {
	case "":
		return func() error { return nil }, nil
	case "-":
		p.trace, p.out = stdout, stderr
		return func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, fmt.Errorf("creating the file of the traces: %w", err)
	}
	p.trace = f
	return func() error {
		if err := f.Close(); err != nil {
			return fmt.Errorf("closing the file of the traces: %w", err)
		}
		return nil
	}, nil
}

// run runs the probes one after the other, as often as was asked for.
func (p *probing) run(ctx context.Context, a *alone, c *definition.Catalog, list []probes.Probe) (code int, err error) {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	tally := map[probes.Verdict]int{}
	for done := 0; ; {
		for _, one := range list {
			run, spans, err := a.run(ctx, c, one)
			if err != nil {
				return worse(code, exitBlind), err
			}
			tally[run.Result.Verdict]++
			code = worse(code, exits[run.Result.Verdict])
			if err := p.print(c, one, run, spans, a.otlp); err != nil {
				return code, err
			}
		}
		if done++; done == p.count {
			break
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		if ctx.Err() != nil {
			break
		}
	}
	if total := tally[probes.Up] + tally[probes.Degraded] + tally[probes.Down] + tally[probes.Unknown]; total > 1 && !p.asJSON {
		err = p.write(summary(p.lang, total, tally))
	}
	return code, err
}

func worse(a, b int) int {
	if slices.Index(severity, b) > slices.Index(severity, a) {
		return b
	}
	return a
}

// seen is a run as -json prints it: what GET /api/v1/runs/{trace_id} returns of a
// run that was delivered, and the sentences. Lengths of time are nanoseconds.
type seen struct {
	Run     probes.Run    `json:"run"`
	Service string        `json:"service"` // the Chinese name
	Spans   []probes.Span `json:"spans"`   // the root first, then depth first by start
	Said    []string      `json:"said"`    // the findings as sentences, in the language of -lang
}

func (p *probing) print(c *definition.Catalog, one probes.Probe, run probes.Run, spans []probes.Span, otlp []byte) error {
	if p.trace != nil {
		if err := writeTrace(p.trace, otlp); err != nil {
			return err
		}
	}
	s, _ := c.Service(one.Key.Service)
	if !p.asJSON {
		return p.write(report(p.lang, s, one, run, spans))
	}
	v := seen{Run: run, Service: s.Name, Spans: spans, Said: []string{}}
	for _, f := range run.Result.Findings {
		v.Said = append(v.Said, wording.Finding(p.lang, f))
	}
	enc := json.NewEncoder(p.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("printing the run: %w", err)
	}
	return nil
}

func (p *probing) write(text string) error {
	if _, err := io.WriteString(p.out, text); err != nil {
		return fmt.Errorf("printing the run: %w", err)
	}
	return nil
}

// writeTrace writes one TracesData message as OTLP in JSON, on a line of its own.
func writeTrace(w io.Writer, otlp []byte) error {
	traces, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(otlp)
	if err != nil {
		return fmt.Errorf("reading the trace: %w", err)
	}
	b, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces)
	if err != nil {
		return fmt.Errorf("encoding the trace: %w", err)
	}
	if _, err := w.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("writing the trace: %w", err)
	}
	return nil
}
