package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/probes"
)

// Service answers a service's page.
func (b *Builder) Service(ctx context.Context, id string) (Service, error) {
	now := b.Now()
	list := b.services()
	at := slices.IndexFunc(list, func(s probes.Service) bool { return s.ID == id })
	if at < 0 {
		return Service{}, fmt.Errorf("service %q: %w", id, ErrNotFound)
	}
	s := list[at]
	latest, err := b.Store.LatestSlots(ctx)
	if err != nil {
		return Service{}, fmt.Errorf("reading the newest slots: %w", err)
	}
	incidents, err := b.Store.Incidents(ctx, IncidentFilter{Service: id, Limit: 20})
	if err != nil {
		return Service{}, fmt.Errorf("reading incidents of %s: %w", id, err)
	}
	open := slices.DeleteFunc(slices.Clone(incidents), func(i incident.Incident) bool { return !i.Open() })
	row, err := b.row(ctx, s, latest, open, now)
	if err != nil {
		return Service{}, err
	}
	out := Service{
		Now: now, Row: row, Menu: s.Menu, Runbook: s.Runbook, Source: s.Source, Target: s.Target, Incidents: incidents,
	}
	if c := b.Catalog(); c != nil {
		for _, m := range c.Calendar.Maintenance {
			if (len(m.Services) == 0 || slices.Contains(m.Services, id)) && m.To.After(now) {
				out.Windows = append(out.Windows, Window{From: m.From, To: m.To, Reason: m.Reason})
			}
		}
	}
	today, _ := calendar.Day(now)
	for k := 89; k >= 0; k-- {
		from := today.AddDate(0, 0, -k)
		bar, err := b.bar(ctx, id, from, from.AddDate(0, 0, 1), now)
		if err != nil {
			return Service{}, err
		}
		out.Days = append(out.Days, bar.bar)
	}
	quarter := now.Truncate(15 * time.Minute)
	for k := 95; k >= 0; k-- {
		from := quarter.Add(-time.Duration(k) * 15 * time.Minute)
		bar, err := b.bar(ctx, id, from, from.Add(15*time.Minute), now)
		if err != nil {
			return Service{}, err
		}
		out.Hours = append(out.Hours, bar.bar)
	}
	for days, into := range map[int]*Figure{1: &out.Day, 7: &out.Week, 30: &out.Month} {
		f, intervals, err := b.figure(ctx, id, today.AddDate(0, 0, 1-days), now)
		if err != nil {
			return Service{}, err
		}
		*into = toFigure(f)
		if days == 1 && out.Row.State.Since.IsZero() && len(intervals) > 0 && !out.Row.State.Stale {
			out.Row.State.Since = sinceWhen(intervals, out.Row.State.Verdict)
		}
	}
	for _, p := range s.Probes {
		pv, err := b.probe(ctx, p, latest, now)
		if err != nil {
			return Service{}, err
		}
		out.Probes = append(out.Probes, pv)
	}
	return out, nil
}

// sinceWhen is the start of the newest unbroken stretch of v; zero when the
// newest stretch is another verdict's.
func sinceWhen(intervals []availability.Interval, v probes.Verdict) time.Time {
	var since time.Time
	for _, i := range slices.Backward(intervals) {
		if i.Verdict == v {
			since = i.Span.From
		} else if !since.IsZero() {
			break
		}
	}
	return since
}

// latencyWindow is how far back a service page's latency charts reach.
const latencyWindow = 6 * time.Hour

// maxPoints bounds the runs behind one probe's chart: six hours of a 10 s probe
// seen from two vantages.
const maxPoints = 4400

func (b *Builder) probe(ctx context.Context, p probes.Probe, latest map[probes.Key]availability.Slot, now time.Time) (ProbeView, error) {
	slot, judged := latest[p.Key]
	st, err := b.probeState(ctx, slot, judged, now)
	if err != nil {
		return ProbeView{}, err
	}
	pv := ProbeView{
		Key: p.Key, Name: p.Name, Kind: p.Kind, Every: p.Every, Timeout: p.Timeout,
		Quorum: p.Quorum, Count: p.From.Count, State: st,
	}
	for _, v := range slot.Votes {
		if v.Trigger != probes.TriggerConfirm && !st.Stale {
			pv.Owners = append(pv.Owners, v.Agent)
		}
	}
	runs, err := b.Store.Runs(ctx, p.Key, now.Add(-latencyWindow), now.Add(time.Minute), maxPoints)
	if err != nil {
		return ProbeView{}, fmt.Errorf("reading runs of %s: %w", p.Key, err)
	}
	for i, r := range runs {
		if i == 20 {
			break
		}
		pv.Runs = append(pv.Runs, runRow(r))
	}
	pv.Latency = series(runs)
	return pv, nil
}

// series sorts runs, newest first, into one line a vantage, oldest first.
func series(runs []probes.Run) []Series {
	by := map[string]*Series{}
	for _, r := range slices.Backward(runs) {
		if r.Result.Verdict == probes.Unknown {
			continue // says nothing of the service's speed
		}
		s := by[r.Vantage]
		if s == nil {
			s = &Series{Vantage: r.Vantage}
			by[r.Vantage] = s
		}
		took := r.Result.Timings.Total
		if took == 0 {
			took = r.Took
		}
		s.Points = append(s.Points, Point{At: r.Started, MS: float64(took) / float64(time.Millisecond), Verdict: r.Result.Verdict, TraceID: r.TraceID})
	}
	out := make([]Series, 0, len(by))
	for _, s := range by {
		var good []float64
		for _, p := range s.Points {
			if p.Verdict != probes.Down {
				good = append(good, p.MS)
			}
		}
		slices.Sort(good)
		s.P50, s.P95 = quantile(good, 0.50), quantile(good, 0.95)
		out = append(out, *s)
	}
	slices.SortFunc(out, func(x, y Series) int { return cmp.Compare(x.Vantage, y.Vantage) })
	return out
}

// quantile is the nearest-rank quantile of sorted values; 0 for none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

func runRow(r probes.Run) RunRow {
	row := RunRow{
		TraceID: r.TraceID, Key: r.Key, Slot: r.Slot, Started: r.Started, Took: r.Took, Late: r.Late,
		Agent: r.Agent, Vantage: r.Vantage, Trigger: r.Trigger,
		Verdict: r.Result.Verdict, Class: r.Result.Class, Status: r.Result.Status,
	}
	if len(r.Result.Findings) > 0 {
		row.Finding = r.Result.Findings[0]
	}
	return row
}

// Place is a run's place in a list of runs, which goes from the newest start to
// the oldest and, of runs that started together, by trace id downwards. Of no
// two runs it is the same, so a list can be cut into pages there.
type Place struct {
	Started time.Time
	TraceID string
}

// Runs lists a probe's runs that started in [from, to), newest first; only those
// after a place when it is set. At most limit.
func (b *Builder) Runs(ctx context.Context, key probes.Key, from, to time.Time, after Place, limit int) ([]RunRow, error) {
	var runs []probes.Run
	var err error
	if after.TraceID != "" && after.Started.Before(to) {
		runs, err = b.Store.RunsBefore(ctx, key, from, after.Started, after.TraceID, limit)
	} else {
		runs, err = b.Store.Runs(ctx, key, from, to, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("reading runs of %s: %w", key, err)
	}
	rows := make([]RunRow, 0, len(runs))
	for _, r := range runs {
		rows = append(rows, runRow(r))
	}
	return rows, nil
}

// Run answers a run's page.
func (b *Builder) Run(ctx context.Context, traceID string) (Run, error) {
	t, err := b.Store.Run(ctx, traceID)
	if err != nil {
		return Run{}, fmt.Errorf("reading run %s: %w", traceID, err)
	}
	spans, err := b.SpansOf(t.OTLP)
	if err != nil {
		return Run{}, fmt.Errorf("decoding the trace of run %s: %w", traceID, err)
	}
	out := Run{Run: t.Run, Service: t.Run.Key.Service, Spans: spans}
	for _, s := range b.services() {
		if s.ID == t.Run.Key.Service {
			out.Service = s.Name
		}
	}
	if t.Run.Result.Verdict != probes.Up {
		good, err := b.Store.LastGood(ctx, t.Run.Key, t.Run.Started)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Run{}, fmt.Errorf("reading the last good run of %s: %w", t.Run.Key, err)
		}
		out.LastGood = good.TraceID
	}
	slot, err := b.Store.Slot(ctx, t.Run.Key, t.Run.Slot)
	switch {
	case err == nil:
		out.Slot = &slot
	case !errors.Is(err, ErrNotFound):
		return Run{}, fmt.Errorf("reading the slot of run %s: %w", traceID, err)
	}
	return out, nil
}

// Availability is a service's figure over [from, to), cut at now.
func (b *Builder) Availability(ctx context.Context, service string, from, to time.Time) (Figure, error) {
	if now := b.Now(); to.After(now) {
		to = now
	}
	if !to.After(from) {
		return Figure{}, nil
	}
	f, _, err := b.figure(ctx, service, from, to)
	if err != nil {
		return Figure{}, err
	}
	return toFigure(f), nil
}
