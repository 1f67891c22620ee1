package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// Store is what the read side asks of the store. Lists are bounded by limit;
// a missing item is ErrNotFound.
type Store interface {
	LatestSlots(ctx context.Context) (map[probes.Key]availability.Slot, error)
	Slots(ctx context.Context, key probes.Key, from, to time.Time) ([]availability.Slot, error)
	Slot(ctx context.Context, key probes.Key, start time.Time) (availability.Slot, error)
	// Verdicts is Slots without votes, for long stretches.
	Verdicts(ctx context.Context, key probes.Key, from, to time.Time) ([]availability.Slot, error)
	Due(ctx context.Context, from, to time.Time) ([]availability.Due, error)
	Runs(ctx context.Context, key probes.Key, from, to time.Time, limit int) ([]probes.Run, error)
	// RunsBefore goes on in the list of Runs after the run that started then and
	// has this trace id.
	RunsBefore(ctx context.Context, key probes.Key, from, started time.Time, traceID string, limit int) ([]probes.Run, error)
	Run(ctx context.Context, traceID string) (probes.Trace, error)
	LastGood(ctx context.Context, key probes.Key, before time.Time) (probes.Run, error)
	AgentRuns(ctx context.Context, since time.Time) ([]AgentRuns, error)
	Incidents(ctx context.Context, f IncidentFilter) ([]incident.Incident, error)
	Incident(ctx context.Context, id string) (incident.Incident, error)
	Notes(ctx context.Context, id string) ([]incident.Note, error)
	Deliveries(ctx context.Context, incidentID string, limit int) ([]alert.Delivery, error)
	// DeliveriesBefore lists deliveries older than the one with this id, 0 means all.
	DeliveriesBefore(ctx context.Context, id int64, limit int) ([]alert.Delivery, error)
	Refusal(ctx context.Context) (*Refusal, error)
}

// IncidentFilter selects incidents; zero fields select all.
type IncidentFilter struct {
	Service  string
	OpenOnly bool
	From, To time.Time // incidents that touch this stretch
	Limit    int       // 0 means 200
	Before   string    // cursor: incidents older than this id
}

// AgentRuns sums up one agent's runs.
type AgentRuns struct {
	Agent, Vantage string
	Labels         map[string]string
	Last           time.Time
	Runs, Unknown  int
}

// Member is a live agent, as gossip shows it.
type Member struct {
	Name, Address string
	Labels        map[string]string
	Capabilities  []string
	Commit        string // of its catalog, may be shortened
	Version       string
}

// Git is how the definitions' repository is followed.
type Git struct {
	Source  string
	Checked time.Time
	Error   string
}

// Options say where a Builder looks.
type Options struct {
	Store   Store
	Catalog func() *definition.Catalog // nil before the first
	Git     func() Git
	Agents  func() []Member
	// SpansOf decodes the stored OTLP bytes of one trace.
	SpansOf func(otlp []byte) ([]probes.Span, error)
	Now     func() time.Time
	// Health tells what is wrong with the coordinator itself; nil tells nothing.
	Health func() []Warning
}

// Builder answers what pages and API ask. It is safe for concurrent use.
type Builder struct {
	Options

	mu    sync.Mutex
	bars  map[barKey]cachedBar // finished bars, so that a page costs what it shows
	dues  cachedDues
	finds map[string]probes.Finding // by trace id; a stored run never changes
}

type barKey struct {
	service  string
	from, to int64
}

type cachedBar struct {
	bar   Bar
	raw   availability.Figure
	until time.Time // late data may still change a finished bar: look again then
}

type cachedDues struct {
	since, at time.Time
	list      []availability.Due
}

// New makes a Builder.
func New(o Options) *Builder {
	return &Builder{Options: o, bars: map[barKey]cachedBar{}, finds: map[string]probes.Finding{}}
}

// barLife is how long a finished bar is believed before it is computed again;
// data that late re-opens slots, and a bar must follow within this time.
const barLife = 2 * time.Minute

// maxCached bounds each cache, in entries; beyond it the cache starts anew.
const maxCached = 50_000

// services returns the catalog's services, none before the first catalog.
func (b *Builder) services() []probes.Service {
	c := b.Catalog()
	if c == nil {
		return nil
	}
	return c.Services
}

// duesOf returns what was due for one service's probes in [from, to).
func (b *Builder) duesOf(ctx context.Context, service string, from, to time.Time) (map[probes.Key][]availability.Due, error) {
	now := b.Now()
	b.mu.Lock()
	c := b.dues
	b.mu.Unlock()
	if c.at.IsZero() || now.Sub(c.at) > 5*time.Second || from.Before(c.since) {
		// One read of the ledger serves a whole page: it has few rows, one a
		// probe and definition change.
		since := from
		if since.After(now.AddDate(0, 0, -92)) {
			since = now.AddDate(0, 0, -92)
		}
		list, err := b.Store.Due(ctx, since, now.Add(24*time.Hour))
		if err != nil {
			return nil, fmt.Errorf("reading what was due: %w", err)
		}
		c = cachedDues{since: since, at: now, list: list}
		b.mu.Lock()
		b.dues = c
		b.mu.Unlock()
	}
	out := map[probes.Key][]availability.Due{}
	for _, d := range c.list {
		if d.Key.Service == service && d.Span.From.Before(to) && (d.Span.To.IsZero() || d.Span.To.After(from)) {
			out[d.Key] = append(out[d.Key], d)
		}
	}
	return out, nil
}

// finding is the first finding of a stored run.
func (b *Builder) finding(ctx context.Context, traceID string) (probes.Finding, error) {
	b.mu.Lock()
	f, ok := b.finds[traceID]
	b.mu.Unlock()
	if ok || traceID == "" {
		return f, nil
	}
	t, err := b.Store.Run(ctx, traceID)
	if errors.Is(err, ErrNotFound) {
		return probes.Finding{}, nil
	}
	if err != nil {
		return probes.Finding{}, fmt.Errorf("reading run %s: %w", traceID, err)
	}
	if len(t.Run.Result.Findings) > 0 {
		f = t.Run.Result.Findings[0]
	}
	b.mu.Lock()
	if len(b.finds) > maxCached {
		clear(b.finds)
	}
	b.finds[traceID] = f
	b.mu.Unlock()
	return f, nil
}

// staleAfter is how long after a slot's end its verdict still speaks for now:
// the next slot's run, its delivery, and one missed slot.
func staleAfter(s availability.Slot) time.Duration { return s.Every + 45*time.Second }

// probeState is a probe's state now.
func (b *Builder) probeState(ctx context.Context, s availability.Slot, judged bool, now time.Time) (State, error) {
	if !judged {
		return State{}, nil
	}
	st := State{Verdict: s.Verdict, Class: s.Class, Reason: s.Reason, Slot: s.Start, Vantages: s.Votes}
	if now.After(s.End().Add(staleAfter(s))) {
		st.Verdict, st.Class, st.Stale = probes.Unknown, probes.ClassNone, true
		return st, nil
	}
	if worst, ok := worstVote(s.Votes); ok && s.Verdict != probes.Up {
		f, err := b.finding(ctx, worst.TraceID)
		if err != nil {
			return State{}, err
		}
		st.Finding = f
	}
	return st, nil
}

func worstVote(votes []availability.Vote) (availability.Vote, bool) {
	if len(votes) == 0 {
		return availability.Vote{}, false
	}
	rank := map[probes.Verdict]int{probes.Down: 3, probes.Degraded: 2, probes.Unknown: 1, probes.Up: 0}
	return slices.MaxFunc(votes, func(x, y availability.Vote) int { return cmp.Compare(rank[x.Verdict], rank[y.Verdict]) }), true
}

// combine makes a service's state from its probes': any down is down, else any
// unknown is unknown, else any degraded is degraded (availability.Combine's rule).
func combine(states []State) State {
	weight := map[probes.Verdict]int{probes.Up: 0, probes.Degraded: 1, probes.Unknown: 2, probes.Down: 3}
	if len(states) == 0 {
		return State{}
	}
	return slices.MaxFunc(states, func(x, y State) int { return cmp.Compare(weight[x.Verdict], weight[y.Verdict]) })
}

func toFigure(f availability.Figure) Figure {
	out := Figure{
		DownSeconds: f.Down.Seconds(), Outages: f.Outages,
		Longest: f.Longest.Seconds(), Maintenance: f.Maintenance.Seconds(),
	}
	if a, ok := f.Availability(); ok {
		out.Availability = &a
	}
	if c, ok := f.Coverage(); ok {
		out.Coverage = &c
	}
	return out
}

// maintenance lists the windows that concern a service.
func maintenance(c *definition.Catalog, service string) []availability.Span {
	var spans []availability.Span
	if c == nil {
		return nil
	}
	for _, m := range c.Calendar.Maintenance {
		if len(m.Services) == 0 || slices.Contains(m.Services, service) {
			spans = append(spans, availability.Span{From: m.From, To: m.To})
		}
	}
	return spans
}

// figure computes a service's figure and its worst lasting verdict over [from, to).
func (b *Builder) figure(ctx context.Context, service string, from, to time.Time) (availability.Figure, []availability.Interval, error) {
	dues, err := b.duesOf(ctx, service, from, to)
	if err != nil {
		return availability.Figure{}, nil, err
	}
	span := availability.Span{From: from, To: to}
	var lines [][]availability.Interval
	var due []availability.Span
	for key, ds := range dues {
		slots, err := b.Store.Verdicts(ctx, key, from, to)
		if err != nil {
			return availability.Figure{}, nil, fmt.Errorf("reading slots of %s: %w", key, err)
		}
		var spans []availability.Span
		for _, d := range ds {
			spans = append(spans, clip(d.Span, span))
		}
		lines = append(lines, availability.Within(availability.Timeline(slots, span), spans))
		due = append(due, spans...)
	}
	intervals := availability.Combine(lines)
	return availability.Measure(intervals, availability.Union(due), maintenance(b.Catalog(), service)), intervals, nil
}

func clip(s, to availability.Span) availability.Span {
	if s.To.IsZero() || s.To.After(to.To) {
		s.To = to.To
	}
	if s.From.Before(to.From) {
		s.From = to.From
	}
	return s
}

// bar computes one piece of a status bar, from the cache when it is over.
func (b *Builder) bar(ctx context.Context, service string, from, to, now time.Time) (cachedBar, error) {
	end := to
	if end.After(now) {
		end = now
	}
	if !end.After(from) {
		return cachedBar{bar: Bar{From: from, To: to}}, nil
	}
	key := barKey{service, from.UnixNano(), to.UnixNano()}
	b.mu.Lock()
	c, ok := b.bars[key]
	b.mu.Unlock()
	if ok && now.Before(c.until) {
		return c, nil
	}
	f, intervals, err := b.figure(ctx, service, from, end)
	if err != nil {
		return cachedBar{}, err
	}
	made := cachedBar{raw: f, bar: Bar{From: from, To: to, Verdict: lasting(intervals), Figure: toFigure(f)}}
	made.until = now.Add(barLife)
	if to.After(now) {
		made.until = now.Add(2 * time.Second)
	}
	b.mu.Lock()
	if len(b.bars) > maxCached {
		clear(b.bars)
	}
	b.bars[key] = made
	b.mu.Unlock()
	return made, nil
}

// lasting is the verdict a bar shows: the worst that was seen at all. An outage
// of a minute must be visible in a bar of a day.
func lasting(intervals []availability.Interval) probes.Verdict {
	rank := map[probes.Verdict]int{probes.Unknown: 0, probes.Up: 1, probes.Degraded: 2, probes.Down: 3}
	worst := probes.Unknown
	for _, i := range intervals {
		if rank[i.Verdict] > rank[worst] {
			worst = i.Verdict
		}
	}
	return worst
}
