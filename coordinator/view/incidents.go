package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/probes"
)

// Incidents lists incidents, newest first; ErrCursor where f.Before is none.
func (b *Builder) Incidents(ctx context.Context, f IncidentFilter) ([]incident.Incident, error) {
	if f.Before != "" {
		// Nothing is older than what never was; an empty page would say that there
		// is no more.
		if _, err := b.Store.Incident(ctx, f.Before); errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("incident %q: %w", f.Before, ErrCursor)
		} else if err != nil {
			return nil, fmt.Errorf("reading incident %s: %w", f.Before, err)
		}
	}
	list, err := b.Store.Incidents(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("reading incidents: %w", err)
	}
	return list, nil
}

// Incident answers an incident's page.
func (b *Builder) Incident(ctx context.Context, id string) (Incident, error) {
	i, err := b.Store.Incident(ctx, id)
	if err != nil {
		return Incident{}, fmt.Errorf("reading incident %s: %w", id, err)
	}
	out := Incident{Incident: i, Now: b.Now()}
	for _, s := range b.services() {
		if s.ID == i.Service {
			out.Owner, out.Runbook = s.Owner, s.Runbook
		}
	}
	if out.Notes, err = b.Store.Notes(ctx, id); err != nil {
		return Incident{}, fmt.Errorf("reading notes of %s: %w", id, err)
	}
	if out.Deliveries, err = b.Store.Deliveries(ctx, id, 100); err != nil {
		return Incident{}, fmt.Errorf("reading deliveries of %s: %w", id, err)
	}
	out.Clocks = clocks(i, out.Notes, out.Now)
	for _, key := range i.Probes {
		for _, at := range edges(i) {
			runs, err := b.Store.Runs(ctx, key, at.From, at.To, maxAround)
			if err != nil {
				return Incident{}, fmt.Errorf("reading runs of %s: %w", key, err)
			}
			for _, r := range runs {
				out.Runs = append(out.Runs, runRow(r))
			}
		}
	}
	slices.SortFunc(out.Runs, func(x, y RunRow) int {
		return cmp.Or(y.Started.Compare(x.Started), cmp.Compare(y.TraceID, x.TraceID))
	})
	out.Runs = around(out.Runs, i)
	return out, nil
}

// maxAround bounds the runs of one probe that are read at an incident's beginning
// or end: ten minutes of a 10 s probe seen from six vantages.
const maxAround = 400

// edges are the stretches around an incident's beginning and end.
func edges(i incident.Incident) []availability.Span {
	const near = 5 * time.Minute
	first := availability.Span{From: i.Began.Add(-near), To: i.Began.Add(near)}
	if i.Open() {
		return []availability.Span{first}
	}
	last := availability.Span{From: i.Resolved.Add(-near), To: i.Resolved.Add(2 * time.Minute)}
	if !last.From.After(first.To) {
		return []availability.Span{{From: first.From, To: last.To}}
	}
	return []availability.Span{first, last}
}

// around keeps the runs that tell the story: the last before the failure and the
// first of it, and those before and after the recovery. Runs come newest first.
func around(runs []RunRow, i incident.Incident) []RunRow {
	const keep, before = 24, 2
	if len(runs) <= keep {
		return runs
	}
	// since is the index of the oldest run that started at t or later.
	since := func(t time.Time) int {
		if n := slices.IndexFunc(runs, func(r RunRow) bool { return r.Started.Before(t) }); n >= 0 {
			return n - 1
		}
		return len(runs) - 1
	}
	began, ended := since(i.Began), since(i.Resolved)
	after := keep/2 - before
	if i.Open() {
		after = keep - before
	}
	var out []RunRow
	for k, r := range runs { // the greater k, the older the run
		first := k > began-after && k <= began+before
		last := k > ended-before && k <= ended+after
		if first || last && !i.Open() {
			out = append(out, r)
		}
	}
	return out
}

// The contract's limits: solved within 2 hours, answered with a first diagnosis
// within 8, reported within 24 hours of recovery. They run in natural hours.
const (
	resolveWithin = 2 * time.Hour
	respondWithin = 8 * time.Hour
	reportWithin  = 24 * time.Hour
)

// clocks lists the contract's time limits of an incident.
func clocks(i incident.Incident, notes []incident.Note, now time.Time) []Clock {
	var responded time.Time
	for _, n := range notes {
		if n.Kind == "note" && (responded.IsZero() || n.At.Before(responded)) {
			responded = n.At
		}
	}
	list := []Clock{
		{Name: "resolve_2h", Due: i.Opened.Add(resolveWithin), Done: i.Resolved},
		{Name: "respond_8h", Due: i.Opened.Add(respondWithin), Done: responded},
	}
	if !i.Open() && !i.Withdrawn { // nobody is asked for a report on what nobody measures
		list = append(list, Clock{Name: "report_24h", Due: i.Resolved.Add(reportWithin)})
	}
	for k, c := range list {
		list[k].Late = cmp.Or(c.Done, now).After(c.Due)
	}
	return list
}

// Alerts lists the newest deliveries.
func (b *Builder) Alerts(ctx context.Context) ([]alert.Delivery, error) {
	list, err := b.Store.Deliveries(ctx, "", 200)
	if err != nil {
		return nil, fmt.Errorf("reading deliveries: %w", err)
	}
	return list, nil
}

// AlertsBefore lists deliveries, newest first; only those older than the one with
// this id when it is not 0. At most limit.
func (b *Builder) AlertsBefore(ctx context.Context, id int64, limit int) ([]alert.Delivery, error) {
	list, err := b.Store.DeliveriesBefore(ctx, id, limit)
	if err != nil {
		return nil, fmt.Errorf("reading deliveries: %w", err)
	}
	return list, nil
}

// Services lists the rows of the overview, ordered by id.
func (b *Builder) Services(ctx context.Context) ([]ServiceRow, error) {
	o, err := b.Overview(ctx)
	if err != nil {
		return nil, err
	}
	var rows []ServiceRow
	for _, g := range o.Channels {
		rows = append(rows, g.Services...)
	}
	slices.SortFunc(rows, func(x, y ServiceRow) int { return cmp.Compare(x.ID, y.ID) })
	return rows, nil
}

// Live reports whether any probe of the catalog has a fresh verdict.
func (b *Builder) Live(ctx context.Context) (bool, error) {
	rows, err := b.Services(ctx)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(rows, func(r ServiceRow) bool { return r.State.Verdict != probes.Unknown }), nil
}
