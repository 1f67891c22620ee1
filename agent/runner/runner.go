// Package runner performs one run of a probe: a place to run in, the deadline,
// survival of panics, what the prober may touch, redaction, evidence and the end
// of the trace. Whatever a prober does, the run ends with an honest result.
package runner

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// Trace is one run's trace while it is written.
type Trace interface {
	probes.Recorder
	ID() string // 32 hex digits
	Traceparent(ctx context.Context) string
	// End closes the trace with run.Result; when it returns nil the trace is safe.
	End(ctx context.Context, run probes.Run) error
}

// Options configure a Runner. Agent, Vantage and Begin are required.
type Options struct {
	Agent   string            // the agent's name in the cluster
	Vantage string            // under which its view counts
	Labels  map[string]string // of the agent

	// Begin opens a run's trace.
	Begin func(ctx context.Context, run probes.Run) (context.Context, Trace)
	// Keep stores evidence. Without it evidence stays in the result, with its data.
	Keep func(ctx context.Context, e probes.Evidence) error
	// Secret returns a secret's value. Without it there are none.
	Secret func(name string) (string, error)
	// Secrets returns further values to hide wherever they show up.
	Secrets func() []string
	// Unwell names the reference targets of which none answers now, so that this
	// agent's own eyes are not to be trusted, or "".
	Unwell func() string

	Browser probes.Browser // nil without the capability
	// Echo opens sockets for ICMP echoes; nil without the capability.
	Echo            func(ctx context.Context, family string) (net.PacketConn, error)
	Dial            func(ctx context.Context, network, addr string) (net.Conn, error)
	Resolver        *net.Resolver  // default net.DefaultResolver
	Roots           *x509.CertPool // trusted certificates; nil means the host's
	UserAgentSuffix string         //

	MaxConcurrent int           // runs without a browser at the same time; default 16
	MaxBrowsers   int           // runs with a browser at the same time; default 2
	Grace         time.Duration // for a prober past its deadline; default 2 s
	Stall         time.Duration // a process that stands still for so long has not seen a run; default 500 ms

	Now    func() time.Time // default time.Now
	Logger *slog.Logger     // default slog.Default
}

// Stats count since New.
type Stats struct {
	Runs            uint64 // runs that ended with a result
	Panics          uint64 // probers that panicked
	Leaked          uint64 // probers that ignored their deadline
	Starved         uint64 // runs that found no free place within their slot
	TooLate         uint64 // confirming runs that did not take place: no free place in time
	Stalled         uint64 // runs during which this process stood still
	EvidenceDropped uint64 // pieces of evidence that could not be kept
}

// Runner performs runs. It is safe for concurrent use.
type Runner struct {
	o        Options
	pulse    pulse
	plain    chan struct{} // places, held until a prober has really ended
	browsers chan struct{}

	last atomic.Pointer[mask]

	runs, panics, leaked, starved, late, stalls, dropped atomic.Uint64
}

// ErrTooLate says that a confirming run did not take place.
var ErrTooLate = errors.New("too late to begin")

var (
	errRunTimeout = errors.New("the probe's timeout is over")
	errSlotOver   = errors.New("the slot is over")
)

// keepFor bounds keeping one piece of evidence and ending a trace. Both go on
// when the agent is told to stop: a run that has a result is worth keeping.
const keepFor = 15 * time.Second

// New makes a Runner.
func New(o Options) (*Runner, error) {
	var errs []error
	if o.Agent == "" || o.Vantage == "" {
		errs = append(errs, fmt.Errorf("want an agent's name and vantage, got %q and %q", o.Agent, o.Vantage))
	}
	if o.Begin == nil {
		errs = append(errs, errors.New("want Begin"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("making the runner: %w", err)
	}
	if o.Secret == nil {
		o.Secret = func(name string) (string, error) {
			return "", fmt.Errorf("secret %s: this agent has no secrets", name)
		}
	}
	if o.Secrets == nil {
		o.Secrets = func() []string { return nil }
	}
	if o.Unwell == nil {
		o.Unwell = func() string { return "" }
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.MaxConcurrent <= 0 {
		o.MaxConcurrent = 16
	}
	if o.MaxBrowsers <= 0 {
		o.MaxBrowsers = 2
	}
	if o.Grace <= 0 {
		o.Grace = 2 * time.Second
	}
	if o.Stall <= 0 {
		o.Stall = 500 * time.Millisecond
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Runner{
		o:        o,
		plain:    make(chan struct{}, o.MaxConcurrent),
		browsers: make(chan struct{}, o.MaxBrowsers),
	}, nil
}

// Run performs one run and returns it with its result. The error is not nil only
// when there is no trace of it: it could not be kept, or ctx ended before the
// run began, or it was a confirming one and too late (see Confirm).
func (r *Runner) Run(ctx context.Context, p probes.Probe, ch probes.Channel, rev string, slot time.Time, trig probes.Trigger) (probes.Run, error) {
	return r.run(ctx, p, ch, rev, slot, trig, slot.Add(p.Every))
}

// Confirm performs a slot that another agent asked about. When it cannot begin
// before by and before the slot's end it does not take place, and leaves no
// trace: ErrTooLate. It would speak about another time than the slot's, and
// nobody misses a voice that was only asked for.
func (r *Runner) Confirm(ctx context.Context, p probes.Probe, ch probes.Channel, rev string, slot, by time.Time) (probes.Run, error) {
	if over := slot.Add(p.Every); over.Before(by) {
		by = over
	}
	return r.run(ctx, p, ch, rev, slot, probes.TriggerConfirm, by)
}

func (r *Runner) run(ctx context.Context, p probes.Probe, ch probes.Channel, rev string, slot time.Time, trig probes.Trigger, by time.Time) (probes.Run, error) {
	run := probes.Run{
		Key: p.Key, Slot: slot.UTC(), Every: p.Every, Channel: ch, Kind: p.Kind,
		Agent: r.o.Agent, Vantage: r.o.Vantage, Labels: r.o.Labels,
		Revision: rev, Trigger: trig,
	}
	release, starved, err := r.place(ctx, p, trig, by)
	started := r.o.Now()
	if err == nil && trig == probes.TriggerConfirm && !started.Before(by) {
		release() // it came free just then, or the clock was set
		err = ErrTooLate
	}
	if err != nil {
		if errors.Is(err, ErrTooLate) {
			r.late.Add(1)
		}
		return run, fmt.Errorf("running %s: waiting for a free place: %w", p.Key, err)
	}
	run.Started, run.Late = started.UTC(), max(0, started.Sub(slot))

	before := r.o.Unwell()
	tctx, trace := r.o.Begin(ctx, run)
	run.TraceID = trace.ID()
	clean := newCleaner(r.mask(started))
	if starved != nil {
		r.starved.Add(1)
		run.Result = *starved
	} else {
		begun := r.pulse.begin()
		run.Result = r.probe(tctx, p, trace, clean, release)
		run.Took = max(0, r.o.Now().Sub(started))
		if stood := r.pulse.end(begun); r.stalled(run.Result, stood) {
			r.stalls.Add(1)
			run.Result = probes.Confess("self", probes.PhraseStalled, "", probes.Lasted(stood))
		}
	}
	run.Result = sane(clean.result(clipped(run.Result)))
	if silent := cmp.Or(before, r.o.Unwell()); silent != "" {
		run.Result = probes.Confess("self", probes.PhraseLineDown, "", clean.text(silent))
	}
	kctx := context.WithoutCancel(tctx)
	run.Result.Evidence = r.keep(kctx, run.Key, run.Result.Evidence)
	r.runs.Add(1)
	ectx, cancel := context.WithTimeout(kctx, keepFor)
	defer cancel()
	if err := trace.End(ectx, run); err != nil {
		return run, fmt.Errorf("running %s: keeping its trace: %w", p.Key, err)
	}
	return run, nil
}

// stalled reports whether a result is worth nothing because this process stood
// still for so long during the run: half as long is enough when the result says
// that something was slow.
func (r *Runner) stalled(res probes.Result, stood time.Duration) bool {
	if res.Class == probes.ClassLatency || res.Class == probes.ClassTimeout {
		stood *= 2
	}
	return stood >= r.o.Stall
}

// Stats returns the counters.
func (r *Runner) Stats() Stats {
	return Stats{
		Runs:            r.runs.Load(),
		Panics:          r.panics.Load(),
		Leaked:          r.leaked.Load(),
		Starved:         r.starved.Load(),
		TooLate:         r.late.Load(),
		Stalled:         r.stalls.Load(),
		EvidenceDropped: r.dropped.Load(),
	}
}

// Close waits until no prober is left, also of those that ignored their
// deadline, or until ctx ends. No run gets a place any more.
func (r *Runner) Close(ctx context.Context) error {
	for _, places := range []chan struct{}{r.plain, r.browsers} {
		for i := range cap(places) {
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				return fmt.Errorf("waiting for probers to end: %d of %d places are still taken: %w",
					cap(places)-i, cap(places), context.Cause(ctx))
			}
		}
	}
	return nil
}

// place waits for a place to run in until by, or for as long as it takes a run by
// hand. When there is none a confirming run is too late; another has its result
// already: this agent has too much to do.
func (r *Runner) place(ctx context.Context, p probes.Probe, trig probes.Trigger, by time.Time) (release func(), starved *probes.Result, err error) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	places, busy := r.plain, probes.PhraseBusy
	if slices.Contains(p.Needs, probes.CapabilityBrowser) {
		places, busy = r.browsers, probes.PhraseBusyBrowser
	}
	select { // most runs find one, and need no timer
	case places <- struct{}{}:
		return func() { <-places }, nil, nil
	default:
	}
	wctx := ctx
	if trig != probes.TriggerManual {
		left := by.Sub(r.o.Now())
		if trig != probes.TriggerConfirm {
			left = max(time.Second, left) // a moment also for what is caught up at the slot's very end
		}
		var cancel context.CancelFunc
		wctx, cancel = context.WithTimeoutCause(ctx, left, errSlotOver)
		defer cancel()
	}
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil, nil
	case <-wctx.Done():
	}
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	if trig == probes.TriggerConfirm {
		return nil, nil, ErrTooLate
	}
	result := probes.Confess("queue", busy, "", strconv.Itoa(cap(places)))
	return nil, &result, nil
}

type outcome struct {
	result probes.Result
	err    error
}

// probe lets the prober look. It returns at the latest a grace after the
// deadline; the place is released when the prober is really done.
func (r *Runner) probe(ctx context.Context, p probes.Probe, trace Trace, clean *cleaner, release func()) probes.Result {
	rctx, cancel := context.WithTimeoutCause(ctx, p.Timeout, errRunTimeout)
	defer cancel()
	rec := &recorder{to: trace, clean: clean}
	defer rec.close()
	env := probes.Env{
		Dial:     r.o.Dial,
		Resolver: r.o.Resolver,
		Secret: func(name string) (string, error) {
			value, err := r.o.Secret(name)
			if err != nil {
				return "", &probes.Trouble{Phrase: probes.PhraseNoSecret, Want: name, Err: err}
			}
			clean.hide(value)
			return value, nil
		},
		Record:          rec,
		Traceparent:     trace.Traceparent,
		Roots:           r.o.Roots,
		UserAgentSuffix: r.o.UserAgentSuffix,
	}
	if r.o.Browser != nil && slices.Contains(p.Needs, probes.CapabilityBrowser) {
		env.Browser = r.o.Browser
	}
	if slices.Contains(p.Needs, probes.CapabilityICMP) {
		env.Echo = r.o.Echo
	}

	done := make(chan outcome, 1)
	go func() { // Close waits for it by its place
		defer release()
		done <- r.survive(rctx, p, env, clean)
	}()
	select {
	case out := <-done:
		return judge(rctx, out)
	case <-rctx.Done():
	}
	grace := time.NewTimer(r.o.Grace)
	defer grace.Stop()
	select {
	case out := <-done:
		return judge(rctx, out)
	case <-grace.C:
	}
	r.leaked.Add(1)
	r.o.Logger.Error("a prober ignored its deadline", "probe", p.Key, "kind", p.Kind, "timeout", p.Timeout)
	return probes.Confess("run", probes.PhraseOverran, p.Kind, probes.Lasted(r.o.Grace))
}

// survive runs the prober and makes a panic the run's result, not the process's end.
func (r *Runner) survive(ctx context.Context, p probes.Probe, env probes.Env, clean *cleaner) (out outcome) {
	defer func() {
		if v := recover(); v != nil {
			r.panics.Add(1)
			text := clean.text(fmt.Sprint(v))
			r.o.Logger.Error("a prober panicked", "probe", p.Key, "kind", p.Kind, "panic", text, "stack", clean.text(string(debug.Stack())))
			out = outcome{result: probes.Confess("run", probes.PhrasePanicked, "", text)}
		}
	}()
	result, err := p.Prober.Probe(ctx, env)
	return outcome{result, err}
}

// judge turns a prober's say into a result.
func judge(ctx context.Context, out outcome) probes.Result {
	var trouble *probes.Trouble
	switch {
	case out.err == nil && out.result.Verdict == probes.Up:
		return out.result
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), errRunTimeout):
		// The agent is being stopped: what looks like an outage is our own doing.
		return probes.Confess("run", probes.PhraseStopped, "", context.Cause(ctx).Error())
	case errors.As(out.err, &trouble):
		return trouble.Result("run")
	case out.err != nil:
		return probes.Confess("run", probes.PhraseCouldNotLook, "", out.err.Error())
	}
	return out.result
}
