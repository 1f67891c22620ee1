package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/probes"
)

// Tx is one step of the evaluation: it reads touched slots and writes what
// follows from them, all or nothing. It is used only inside Update, by one goroutine.
type Tx struct {
	tx    *sql.Tx
	hours map[int64]struct{} // in which slots begin that it wrote
}

// Update runs fn in one write transaction, committed when fn returns nil.
func (s *Store) Update(ctx context.Context, fn func(*Tx) error) error {
	hours := map[int64]struct{}{}
	// Also after an error: a commit that failed may have come about all the same.
	defer func() { s.changes.note(hours) }()
	return s.inTx(ctx, "evaluating", func(tx *sql.Tx) error { return fn(&Tx{tx, hours}) })
}

// Pending reports whether slots wait to be judged by now.
func (s *Store) Pending(ctx context.Context, now time.Time) (bool, error) {
	var n int
	err := s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM dirty_slots WHERE at <= ?)`, nanos(now)).Scan(&n)
	return n == 1, s.explain("looking for touched slots", err)
}

const touchedQuery = `SELECT probe, start FROM dirty_slots WHERE at <= ? ORDER BY start, probe LIMIT ?`

// Touched returns slots to be judged by now, the oldest first, at most limit.
func (t *Tx) Touched(ctx context.Context, now time.Time, limit int) ([]availability.SlotID, error) {
	return query(ctx, t.tx, func(rows *sql.Rows) (availability.SlotID, error) {
		var (
			id    availability.SlotID
			key   string
			start int64
		)
		err := rows.Scan(&key, &start)
		if err == nil {
			id.Start = instant(start)
			id.Key, err = probes.ParseKey(key)
		}
		return id, err
	}, touchedQuery, nanos(now), limit)
}

// Judged takes a slot from the touched ones.
func (t *Tx) Judged(ctx context.Context, id availability.SlotID) error {
	_, err := t.tx.ExecContext(ctx, `DELETE FROM dirty_slots WHERE probe = ? AND start = ?`, id.Key.String(), nanos(id.Start))
	return err
}

// Again has a slot judged once more, at that time or with its next vote,
// whichever is first.
func (t *Tx) Again(ctx context.Context, id availability.SlotID, at time.Time) error {
	_, err := t.tx.ExecContext(ctx, `INSERT INTO dirty_slots (probe, start, at) VALUES (?, ?, ?) ON CONFLICT (probe, start) DO UPDATE SET at = min(at, excluded.at)`,
		id.Key.String(), nanos(id.Start), nanos(at))
	return err
}

// The plus keeps SQLite from walking all of a probe's runs by their start, to
// save itself sorting the few of one slot.
const votesQuery = `SELECT trace_id, every, agent, vantage, isp, verdict, class, cause, started, took FROM results
	WHERE probe = ? AND slot = ? AND cause <> 'manual' ORDER BY +started, trace_id`

// Votes returns what was said about a slot, runs by hand left out, with the
// slot's length as the runs had it, one for each vote.
func (t *Tx) Votes(ctx context.Context, id availability.SlotID) ([]availability.Vote, []time.Duration, error) {
	var lengths []time.Duration
	votes, err := query(ctx, t.tx, func(rows *sql.Rows) (availability.Vote, error) {
		var (
			v                    availability.Vote
			verdict              string
			every, started, took int64
		)
		err := rows.Scan(&v.TraceID, &every, &v.Agent, &v.Vantage, &v.ISP, &verdict, &v.Class, &v.Trigger, &started, &took)
		if err != nil {
			return v, err
		}
		lengths = append(lengths, time.Duration(every))
		v.Started, v.Took = instant(started), time.Duration(took)
		v.Verdict, err = probes.ParseVerdict(verdict)
		return v, err
	}, votesQuery, id.Key.String(), nanos(id.Start))
	return votes, lengths, err
}

// DueOf returns what was due of one probe at any time in [from, to).
func (t *Tx) DueOf(ctx context.Context, key probes.Key, from, to time.Time) ([]availability.Due, error) {
	return queryDue(ctx, t.tx, `probe = ? AND until > ? AND since < ?`, key.String(), nanos(from), nanos(to))
}

// PutSlot writes a judged slot in the place of an earlier judgement.
func (t *Tx) PutSlot(ctx context.Context, s availability.Slot) error {
	key, start := s.Key.String(), nanos(s.Start)
	votes, err := encode(s.Votes)
	if err != nil {
		return err
	}
	t.hours[unixHour(s.Start)] = struct{}{}
	_, err = t.tx.ExecContext(ctx, `INSERT OR REPLACE INTO slots (probe, start, every, voices, quorum, verdict, class, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		key, start, int64(s.Every), s.Rule.Count, s.Rule.Quorum, s.Verdict.String(), string(s.Class), string(s.Reason))
	if err != nil {
		return fmt.Errorf("writing slot %v of %s: %w", s.Start, key, err)
	}
	if _, err = t.tx.ExecContext(ctx, `INSERT OR REPLACE INTO slot_votes (probe, start, votes) VALUES (?, ?, ?)`, key, start, votes); err != nil {
		return fmt.Errorf("writing votes of slot %v of %s: %w", s.Start, key, err)
	}
	if s.Reason == availability.ReasonPending {
		return nil // the newest slot is the newest that says something
	}
	_, err = t.tx.ExecContext(ctx, `INSERT INTO latest_slots (probe, start) VALUES (?, ?)
		ON CONFLICT (probe) DO UPDATE SET start = excluded.start WHERE excluded.start > start`, key, start)
	return err
}

// FirstFinding returns a stored run's first finding; false without one.
func (t *Tx) FirstFinding(ctx context.Context, traceID string) (probes.Finding, bool, error) {
	r, err := one(query(ctx, t.tx, scanRun, `SELECT run FROM traces WHERE trace_id = ?`, traceID))
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	if err != nil || len(r.Result.Findings) == 0 {
		return probes.Finding{}, false, err
	}
	return r.Result.Findings[0], true, nil
}

// LastGoodTrace returns the newest run that was up and started before; "" when
// there is none.
func (t *Tx) LastGoodTrace(ctx context.Context, key probes.Key, before time.Time) (string, error) {
	r, err := lastGood(ctx, t.tx, key, before)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	return r.TraceID, err
}

// State returns a service's incident machine; the zero state when it has none.
func (t *Tx) State(ctx context.Context, service string) (incident.ServiceState, error) {
	var (
		st   incident.ServiceState
		text string
	)
	err := t.tx.QueryRowContext(ctx, `SELECT state FROM service_state WHERE service = ?`, service).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return st, nil
	}
	if err == nil {
		err = decode(text, &st)
	}
	return st, err
}

const openQuery = `SELECT DISTINCT service FROM incidents INDEXED BY incidents_open WHERE resolved = 0 ORDER BY service`

// OpenServices lists the services that have an open incident, by id.
func (t *Tx) OpenServices(ctx context.Context) ([]string, error) {
	return query(ctx, t.tx, func(rows *sql.Rows) (string, error) {
		var id string
		err := rows.Scan(&id)
		return id, err
	}, openQuery)
}

// PutState writes a service's incident machine.
func (t *Tx) PutState(ctx context.Context, service string, st incident.ServiceState) error {
	text, err := encode(st)
	if err != nil {
		return err
	}
	_, err = t.tx.ExecContext(ctx, `INSERT OR REPLACE INTO service_state (service, state) VALUES (?, ?)`, service, text)
	return err
}

// CountIncidents says how many incidents opened on a day, such as "20261125".
func (t *Tx) CountIncidents(ctx context.Context, day string) (int, error) {
	var n int
	err := t.tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM incidents WHERE day = ?`, day).Scan(&n)
	return n, err
}

// PutIncident writes an incident that opened on day. What people said of it,
// Acked and AckedBy, is left as it stands.
func (t *Tx) PutIncident(ctx context.Context, day string, i incident.Incident) error {
	doc, err := encode(i)
	if err != nil {
		return err
	}
	_, err = t.tx.ExecContext(ctx, `INSERT INTO incidents (id, day, service, began, resolved, doc) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET began = excluded.began, resolved = excluded.resolved, doc = excluded.doc`,
		i.ID, day, i.Service, nanos(i.Began), nanos(i.Resolved), doc)
	if err != nil {
		return fmt.Errorf("writing incident %s: %w", i.ID, err)
	}
	return nil
}

// AddNote writes a note about an incident.
func (t *Tx) AddNote(ctx context.Context, id string, n incident.Note) error {
	return addNote(ctx, t.tx, id, n)
}

// Enqueue puts a delivery into the outbox, unless its key is there already.
func (t *Tx) Enqueue(ctx context.Context, d alert.Delivery) error { return enqueue(ctx, t.tx, d) }
