package app

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/record"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// listed is how many days back the list of records reaches.
const listed = 31

// basis is all that the list's figures of one day follow from. While it is the
// same, so are they.
type basis struct {
	catalog *definition.Catalog // never changes: another revision is another one
	due     uint64              // hash of what was due on the listed days
	fills   uint64              // hash of what people wrote into the day's document
	slots   uint64              // store.SlotsChanged around the day's rounds
	passed  int                 // rounds of the day that have come
}

// counted are the figures of one day.
type counted struct {
	basis        basis
	rows, toFill int
}

// List lists the days for which a record can be composed, the newest first. A
// day is counted anew only when something changed from which its figures follow.
func (r *records) List(ctx context.Context) ([]view.Record, error) {
	now, c := r.now(), r.catalog()
	today, _ := calendar.Day(now)
	due, err := r.store.Due(ctx, today.AddDate(0, 0, 1-listed), now)
	if err != nil {
		return nil, fmt.Errorf("reading what was due: %w", err)
	}
	dueHash, err := hash(due)
	if err != nil {
		return nil, err
	}
	var out []view.Record
	shown := map[string]bool{}
	for k := range listed {
		from := today.AddDate(0, 0, -k)
		ofDay := slices.DeleteFunc(slices.Clone(due), func(d availability.Due) bool {
			return !d.Span.From.Before(from.AddDate(0, 0, 1)) || !d.Span.To.IsZero() && !d.Span.To.After(from)
		})
		if len(ofDay) == 0 {
			continue
		}
		row := view.Record{Kind: record.Daily.Kind, Day: from.Format("2006-01-02"), Title: record.Daily.Title}
		shown[row.Day] = true
		fills, err := r.store.Filled(ctx, row.Kind, row.Day)
		if err != nil {
			return nil, fmt.Errorf("reading what was filled in on %s: %w", row.Day, err)
		}
		for _, f := range fills {
			if f.At.After(row.Updated) {
				row.Updated = f.At
			}
		}
		// The basis is read before what is counted: should something change in
		// between, the figures are kept under a basis that is no longer.
		b := basis{catalog: c, due: dueHash, slots: r.slotsChanged(from, rounds(c), ofDay)}
		if b.fills, err = hash(fills); err != nil {
			return nil, err
		}
		for _, at := range rounds(c) {
			if !from.Add(at).After(now) {
				b.passed++
			}
		}
		n, err := r.count(ctx, row.Day, now, b)
		if err != nil {
			return nil, err
		}
		row.Rows, row.ToFill = n.rows, n.toFill
		out = append(out, row)
	}
	r.mu.Lock()
	maps.DeleteFunc(r.counts, func(day string, _ counted) bool { return !shown[day] })
	r.mu.Unlock()
	return out, nil
}

// slotsChanged is when a slot was last judged that may speak for a round of the
// day: it begins near the round, by its own interval or the longest due; that of
// an earlier definition may be as long as a day.
func (r *records) slotsChanged(day time.Time, rounds []time.Duration, due []availability.Due) uint64 {
	reach := 10 * time.Minute // as near as record lets a slot be at least
	for _, d := range due {
		reach = max(reach, d.Every)
	}
	first, last := slices.Min(rounds), slices.Max(rounds)
	return r.store.SlotsChanged(day.Add(first-reach-definition.MaxEvery), day.Add(last+reach+time.Nanosecond))
}

// count counts a day's rows and the cells that wait for people.
func (r *records) count(ctx context.Context, day string, now time.Time, b basis) (counted, error) {
	r.mu.Lock()
	n, ok := r.counts[day]
	r.mu.Unlock()
	if ok && n.basis == b {
		return n, nil
	}
	sheet, err := r.compose(ctx, verdictSource{recordSource{r.store}}, record.Daily.Kind, day, now, b.catalog)
	if err != nil {
		return counted{}, err
	}
	n = counted{basis: b}
	for _, t := range sheet.Tables {
		n.rows += len(t.Rows)
		for _, cells := range t.Rows {
			for _, c := range cells {
				if c.Field != "" && c.Text == record.ToFill {
					n.toFill++
				}
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[string]counted{}
	}
	r.counts[day] = n
	return n, nil
}

// hash tells lists apart that are not the same.
func hash[T any](list []T) (uint64, error) {
	h := fnv.New64a()
	if err := json.NewEncoder(h).Encode(list); err != nil {
		return 0, fmt.Errorf("hashing %T: %w", list, err)
	}
	return h.Sum64(), nil
}

// verdictSource is the store as far as it decides which rows a document has and
// which cells wait for people: what was due, the verdicts near the rounds, and
// what was filled in. Runs, incidents and the day's figures only fill cells.
type verdictSource struct{ recordSource }

func (s verdictSource) Slots(ctx context.Context, key probes.Key, from, to time.Time) ([]availability.Slot, error) {
	return s.store.Verdicts(ctx, key, from, to)
}

func (verdictSource) Verdicts(context.Context, probes.Key, time.Time, time.Time) ([]availability.Slot, error) {
	return nil, nil
}

func (verdictSource) Run(context.Context, string) (probes.Run, bool, error) {
	return probes.Run{}, false, nil
}

func (verdictSource) Incidents(context.Context, time.Time, time.Time) ([]incident.Incident, error) {
	return nil, nil
}

func (verdictSource) AlertsOf(context.Context, string) (int, error) { return 0, nil }
