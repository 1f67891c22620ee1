package record

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/probes"
)

// Source is what a document's facts are read from.
type Source interface {
	// Due is what was due at some time of [from, to).
	Due(ctx context.Context, from, to time.Time) ([]availability.Due, error)
	// Slots are a probe's judged slots that speak for some time of [from, to).
	Slots(ctx context.Context, key probes.Key, from, to time.Time) ([]availability.Slot, error)
	// Verdicts are Slots without votes, for long stretches.
	Verdicts(ctx context.Context, key probes.Key, from, to time.Time) ([]availability.Slot, error)
	// Run is false when there is no such run, or no longer.
	Run(ctx context.Context, traceID string) (probes.Run, bool, error)
	// Incidents are those that touch [from, to), newest first.
	Incidents(ctx context.Context, from, to time.Time) ([]incident.Incident, error)
	// AlertsOf counts the alerts that were sent about an incident.
	AlertsOf(ctx context.Context, incidentID string) (int, error)
	// Filled is what people wrote into a document's cells.
	Filled(ctx context.Context, kind, day string) (map[CellID]string, error)
}

// Setting is what configuration and definitions say about a document.
type Setting struct {
	Now              time.Time
	Commit           string
	Client, Compiler string
	Rounds           []time.Duration
	Services         []probes.Service // of the catalog in use
	Windows          []Window
}

// Load reads the facts of a document's period. Which services were published
// then is what was due then, whatever the definitions say by now.
func Load(ctx context.Context, src Source, kind string, p Period, s Setting) (Facts, error) {
	f := Facts{
		Now: s.Now, Commit: s.Commit, Client: s.Client, Compiler: s.Compiler,
		Rounds: slices.Sorted(slices.Values(s.Rounds)), Alerts: map[string]int{},
	}
	for _, w := range s.Windows {
		if w.From.Before(p.To) && w.To.After(p.From) {
			f.Windows = append(f.Windows, w)
		}
	}
	var err error
	if f.Incidents, err = src.Incidents(ctx, p.From, p.To); err != nil {
		return Facts{}, fmt.Errorf("reading the incidents of %s: %w", p.Name, err)
	}
	for _, i := range f.Incidents {
		if f.Alerts[i.ID], err = src.AlertsOf(ctx, i.ID); err != nil {
			return Facts{}, fmt.Errorf("counting the alerts of %s: %w", i.ID, err)
		}
	}
	due, err := src.Due(ctx, p.From, p.To)
	if err != nil {
		return Facts{}, fmt.Errorf("reading what was due on %s: %w", p.Name, err)
	}
	l := loader{src: src, p: p, f: &f, until: p.To}
	if s.Now.Before(l.until) {
		l.until = s.Now
	}
	byService := map[string][]availability.Due{}
	for _, d := range due {
		byService[d.Key.Service] = append(byService[d.Key.Service], d)
	}
	for id, list := range byService {
		sf := ServiceFacts{Service: probes.Service{ID: id, Name: id}, Gone: true}
		if at := slices.IndexFunc(s.Services, func(v probes.Service) bool { return v.ID == id }); at >= 0 {
			sf.Service, sf.Gone = s.Services[at], false
		}
		if err := l.service(ctx, &sf, list); err != nil {
			return Facts{}, err
		}
		f.Services = append(f.Services, sf)
	}
	order := probes.Channels()
	place := func(s ServiceFacts) int {
		if at := slices.Index(order, s.Service.Channel); at >= 0 {
			return at
		}
		return len(order)
	}
	slices.SortFunc(f.Services, func(a, b ServiceFacts) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.Service.ID, b.Service.ID))
	})
	if f.Filled, err = src.Filled(ctx, kind, p.Name); err != nil {
		return Facts{}, fmt.Errorf("reading what was filled in on %s: %w", p.Name, err)
	}
	return f, nil
}

// loader reads service after service.
type loader struct {
	src   Source
	p     Period
	f     *Facts
	until time.Time // the end of the period, or now inside it
}

// dueProbe is one probe with all that was due of it in the period.
type dueProbe struct {
	key   probes.Key
	spans []availability.Span // as defined, open ends closed at the period's
	every time.Duration       // the longest
}

func (l *loader) service(ctx context.Context, sf *ServiceFacts, due []availability.Due) error {
	byKey := map[probes.Key]*dueProbe{}
	var list []*dueProbe
	for _, d := range due {
		q := byKey[d.Key]
		if q == nil {
			q = &dueProbe{key: d.Key}
			byKey[d.Key], list = q, append(list, q)
		}
		if d.Span.To.IsZero() || d.Span.To.After(l.p.To) {
			d.Span.To = l.p.To
		}
		q.spans, q.every = append(q.spans, d.Span), max(q.every, d.Every)
	}
	slices.SortFunc(list, func(a, b *dueProbe) int { return a.key.Compare(b.key) })

	sf.Rounds = make([]RoundFacts, len(l.f.Rounds))
	for i, r := range l.f.Rounds {
		sf.Rounds[i].At = l.p.From.Add(r)
		for _, q := range list {
			if err := l.round(ctx, sf, &sf.Rounds[i], q); err != nil {
				return err
			}
		}
	}
	if sf.Gone {
		l.remember(sf)
	}
	return l.figure(ctx, sf, list)
}

// round reads what one probe saw near one round.
func (l *loader) round(ctx context.Context, sf *ServiceFacts, r *RoundFacts, q *dueProbe) error {
	due := slices.ContainsFunc(q.spans, func(s availability.Span) bool { return !r.At.Before(s.From) && r.At.Before(s.To) })
	r.Due = r.Due || due
	r.Ended = !r.Due && (r.Ended || slices.ContainsFunc(q.spans, func(s availability.Span) bool { return !s.To.After(r.At) }))
	pf := ProbeFacts{Key: q.key}
	if at := slices.IndexFunc(sf.Service.Probes, func(p probes.Probe) bool { return p.Key == q.key }); at >= 0 {
		pf.Kind = sf.Service.Probes[at].Kind
	}
	if !r.At.After(l.f.Now) {
		reach := max(q.every, nearest)
		slots, err := l.src.Slots(ctx, q.key, r.At.Add(-reach), r.At.Add(reach+time.Nanosecond))
		if err != nil {
			return fmt.Errorf("reading the slots of %s: %w", q.key, err)
		}
		if pf.Slot = nearestSlot(slots, r.At); pf.Slot != nil {
			run, ok, err := l.src.Run(ctx, telling(*pf.Slot))
			if err != nil {
				return fmt.Errorf("reading the run of %s nearest to %s: %w", q.key, r.At.Format(time.RFC3339), err)
			}
			if ok {
				pf.Run, pf.Kind = &run, cmp.Or(run.Kind, pf.Kind)
			}
		}
	}
	if due || pf.Slot != nil {
		r.Probes = append(r.Probes, pf)
	}
	return nil
}

// remember finds name and channel of a service that is no longer defined.
func (l *loader) remember(sf *ServiceFacts) {
	for _, r := range sf.Rounds {
		for _, p := range r.Probes {
			if p.Run != nil {
				sf.Service.Channel = p.Run.Channel
			}
		}
	}
	for _, i := range l.f.Incidents {
		if i.Service == sf.Service.ID {
			sf.Service.Name, sf.Service.Channel = cmp.Or(i.Name, sf.Service.Name), i.Channel
		}
	}
}

// figure sums the day so far up.
func (l *loader) figure(ctx context.Context, sf *ServiceFacts, list []*dueProbe) error {
	span := availability.Span{From: l.p.From, To: l.until}
	var lines [][]availability.Interval
	var due []availability.Span
	for _, q := range list {
		slots, err := l.src.Verdicts(ctx, q.key, span.From, span.To)
		if err != nil {
			return fmt.Errorf("reading the verdicts of %s: %w", q.key, err)
		}
		lines = append(lines, availability.Within(availability.Timeline(slots, span), q.spans))
		for _, s := range q.spans {
			if s.From.Before(span.From) {
				s.From = span.From
			}
			if s.To.After(span.To) {
				s.To = span.To
			}
			due = append(due, s)
		}
	}
	var maintained []availability.Span
	for _, w := range l.f.Windows {
		if w.covers(sf.Service.ID) {
			maintained = append(maintained, availability.Span{From: w.From, To: w.To})
		}
	}
	intervals := availability.Combine(lines)
	sf.Figure = availability.Measure(intervals, due, maintained)
	for _, i := range intervals {
		if i.Verdict == probes.Unknown {
			sf.Unseen = append(sf.Unseen, outside(i.Span, availability.Union(maintained))...)
		}
	}
	return nil
}

// outside is what is left of a span without the holes, which are ordered.
func outside(s availability.Span, holes []availability.Span) []availability.Span {
	var out []availability.Span
	for _, h := range holes {
		if !h.From.Before(s.To) || !s.From.Before(h.To) {
			continue
		}
		if s.From.Before(h.From) {
			out = append(out, availability.Span{From: s.From, To: h.From})
		}
		s.From = h.To
	}
	if s.From.Before(s.To) {
		out = append(out, s)
	}
	return out
}

func (w Window) covers(service string) bool {
	return len(w.Services) == 0 || slices.Contains(w.Services, service)
}

// nearest is how far from a round a slot may stand and still speak for it, at
// least; a probe of a longer interval may stand one interval away. It bridges an
// agent's restart, not an outage of the watch: a service that nobody saw at nine
// was not 正常 at nine because it was so at half past eight.
const nearest = 10 * time.Minute

// near reports whether a slot of that interval at start speaks for a round.
func near(round, start time.Time, every time.Duration) bool {
	return start.Sub(round).Abs() <= max(every, nearest)
}

// nearestSlot is the slot that stands nearest to the round, one that knows
// something before one that does not; of two equally near the earlier. Nil when
// none is near enough.
func nearestSlot(slots []availability.Slot, round time.Time) *availability.Slot {
	var best *availability.Slot
	unknown := func(s *availability.Slot) int {
		if s.Verdict == probes.Unknown {
			return 1
		}
		return 0
	}
	for i := range slots {
		s := &slots[i]
		if !near(round, s.Start, s.Every) {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(unknown(s), unknown(best)), cmp.Compare(s.Start.Sub(round).Abs(), best.Start.Sub(round).Abs()), s.Start.Compare(best.Start)) < 0 {
			best = s
		}
	}
	return best
}

// telling is the trace of the run that shows best why a slot has its verdict:
// one that agrees with it, else the first.
func telling(s availability.Slot) string {
	for _, v := range s.Votes {
		if v.Verdict == s.Verdict || s.Verdict == probes.Degraded && v.Verdict == probes.Down {
			return v.TraceID
		}
	}
	if len(s.Votes) > 0 {
		return s.Votes[0].TraceID
	}
	return ""
}
