package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/probes"
)

const (
	slotColumns = `s.probe, s.start, s.every, s.voices, s.quorum, s.verdict, s.class, s.reason`
	// A slot speaks until it ends or the next one begins, so of those that began
	// before the stretch only the newest can speak in it.
	touching = ` WHERE s.probe = ?1 AND s.start >= COALESCE((SELECT MAX(p.start) FROM slots p WHERE p.probe = ?1 AND p.start <= ?2), ?2)
		AND s.start < ?3 AND s.start + s.every > ?2 ORDER BY s.start`

	latestQuery = `SELECT ` + slotColumns + `, v.votes FROM latest_slots l
		JOIN slots s ON s.probe = l.probe AND s.start = l.start JOIN slot_votes v ON v.probe = l.probe AND v.start = l.start`
	slotsQuery    = `SELECT ` + slotColumns + `, v.votes FROM slots s JOIN slot_votes v USING (probe, start)` + touching
	verdictsQuery = `SELECT s.start, s.every, s.verdict, s.class FROM slots s` + touching
)

// LatestSlots returns the newest judged slot of every probe that ever had one.
func (s *Store) LatestSlots(ctx context.Context) (map[probes.Key]availability.Slot, error) {
	list, err := query(ctx, s.read, scanVotedSlot, latestQuery)
	if err != nil {
		return nil, s.explain("reading the newest slots", err)
	}
	out := make(map[probes.Key]availability.Slot, len(list))
	for _, slot := range list {
		out[slot.Key] = slot
	}
	return out, nil
}

// Slots returns the judged slots of a probe that speak for any time in
// [from, to), oldest first. Of two that overlap the later speaks from its start.
func (s *Store) Slots(ctx context.Context, key probes.Key, from, to time.Time) ([]availability.Slot, error) {
	list, err := query(ctx, s.read, scanVotedSlot, slotsQuery, touchingArgs(key, from, to)...)
	return list, s.explain("reading slots of "+key.String(), err)
}

// Verdicts is Slots without rules, reasons and votes, for long stretches.
func (s *Store) Verdicts(ctx context.Context, key probes.Key, from, to time.Time) ([]availability.Slot, error) {
	list, err := query(ctx, s.read, func(rows *sql.Rows) (availability.Slot, error) {
		var (
			slot         = availability.Slot{Key: key}
			verdict      string
			start, every int64
		)
		err := rows.Scan(&start, &every, &verdict, &slot.Class)
		if err == nil {
			slot.Start, slot.Every = instant(start), time.Duration(every)
			slot.Verdict, err = probes.ParseVerdict(verdict)
		}
		return slot, err
	}, verdictsQuery, touchingArgs(key, from, to)...)
	return list, s.explain("reading verdicts of "+key.String(), err)
}

func touchingArgs(key probes.Key, from, to time.Time) []any {
	return []any{key.String(), nanos(from), nanos(to)}
}

// Slot returns one judged slot, or ErrNotFound.
func (s *Store) Slot(ctx context.Context, key probes.Key, start time.Time) (availability.Slot, error) {
	what := fmt.Sprintf("reading slot %s of %s", start.UTC().Format(time.RFC3339), key)
	list, err := query(ctx, s.read, scanVotedSlot, `SELECT `+slotColumns+`, v.votes FROM slots s JOIN slot_votes v USING (probe, start)
		WHERE s.probe = ? AND s.start = ?`, key.String(), nanos(start))
	if err != nil {
		return availability.Slot{}, s.explain(what, err)
	}
	if len(list) == 0 {
		return availability.Slot{}, fmt.Errorf("%s: %w", what, ErrNotFound)
	}
	return list[0], nil
}

func scanVotedSlot(rows *sql.Rows) (availability.Slot, error) {
	var votes string
	slot, err := scanSlot(rows, &votes)
	if err == nil {
		err = decode(votes, &slot.Votes)
	}
	return slot, err
}

func scanSlot(rows *sql.Rows, more ...any) (availability.Slot, error) {
	var (
		slot         availability.Slot
		key, verdict string
		start, every int64
	)
	err := rows.Scan(append([]any{&key, &start, &every, &slot.Rule.Count, &slot.Rule.Quorum, &verdict, &slot.Class, &slot.Reason}, more...)...)
	if err != nil {
		return slot, err
	}
	slot.Start, slot.Every = instant(start), time.Duration(every)
	if slot.Key, err = probes.ParseKey(key); err != nil {
		return slot, err
	}
	slot.Verdict, err = probes.ParseVerdict(verdict)
	return slot, err
}
