package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gengfu/gengfu/coordinator/incident"
)

// IncidentFilter selects incidents; zero fields select all.
type IncidentFilter struct {
	Service  string
	OpenOnly bool
	From, To time.Time // incidents that touch this stretch
	Limit    int       // 0 means 200
	Before   string    // cursor: incidents older than this id
}

const incidentColumns = `SELECT doc, acked, acked_by FROM incidents`

// Incidents lists incidents, newest first.
func (s *Store) Incidents(ctx context.Context, f IncidentFilter) ([]incident.Incident, error) {
	var (
		where = []string{"TRUE"}
		args  []any
	)
	add := func(cond string, v ...any) {
		where, args = append(where, cond), append(args, v...)
	}
	if f.Service != "" {
		add("service = ?", f.Service)
	}
	if f.OpenOnly {
		add("resolved = 0")
	}
	if !f.From.IsZero() {
		add("(resolved = 0 OR resolved > ?)", nanos(f.From))
	}
	if !f.To.IsZero() {
		add("began < ?", nanos(f.To))
	}
	if f.Before != "" {
		add("seq < (SELECT seq FROM incidents WHERE id = ?)", f.Before)
	}
	if f.Limit <= 0 {
		f.Limit = 200
	}
	list, err := query(ctx, s.read, scanIncident, incidentColumns+` WHERE `+strings.Join(where, " AND ")+` ORDER BY seq DESC LIMIT ?`, append(args, f.Limit)...)
	return list, s.explain("reading incidents", err)
}

// Incident returns one incident, or ErrNotFound.
func (s *Store) Incident(ctx context.Context, id string) (incident.Incident, error) {
	i, err := one(query(ctx, s.read, scanIncident, incidentColumns+` WHERE id = ?`, id))
	return i, s.explain("reading incident "+id, err)
}

func scanIncident(rows *sql.Rows) (incident.Incident, error) {
	var (
		i     incident.Incident
		doc   string
		acked int64
		by    string
	)
	if err := rows.Scan(&doc, &acked, &by); err != nil {
		return i, err
	}
	err := decode(doc, &i)
	i.Acked, i.AckedBy = instant(acked), by
	return i, err
}

// Notes returns what was written about an incident, oldest first.
func (s *Store) Notes(ctx context.Context, id string) ([]incident.Note, error) {
	list, err := query(ctx, s.read, func(rows *sql.Rows) (incident.Note, error) {
		var (
			n  incident.Note
			at int64
		)
		err := rows.Scan(&at, &n.By, &n.Kind, &n.Text)
		n.At = instant(at)
		return n, err
	}, `SELECT at, by, kind, text FROM notes WHERE incident = ? ORDER BY seq`, id)
	return list, s.explain("reading notes of "+id, err)
}

// AddNote writes a note about an incident; ErrNotFound without the incident.
func (s *Store) AddNote(ctx context.Context, id string, n incident.Note) error {
	return s.inTx(ctx, "writing a note about "+id, func(tx *sql.Tx) error {
		if err := mustExist(ctx, tx, id); err != nil {
			return err
		}
		return addNote(ctx, tx, id, n)
	})
}

func addNote(ctx context.Context, tx *sql.Tx, id string, n incident.Note) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO notes (incident, at, by, kind, text) VALUES (?, ?, ?, ?, ?)`, id, nanos(n.At), n.By, n.Kind, n.Text)
	if err != nil {
		return fmt.Errorf("inserting a note: %w", err)
	}
	return nil
}

func mustExist(ctx context.Context, tx *sql.Tx, id string) error {
	var have int
	err := tx.QueryRowContext(ctx, `SELECT 1 FROM incidents WHERE id = ?`, id).Scan(&have)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// Ack notes that a person took an incident over. The first one counts: a later
// Ack is no error and changes nothing. ErrNotFound without the incident.
func (s *Store) Ack(ctx context.Context, id, by string, at time.Time) error {
	return s.inTx(ctx, "acknowledging "+id, func(tx *sql.Tx) error {
		if err := mustExist(ctx, tx, id); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `UPDATE incidents SET acked = ?, acked_by = ? WHERE id = ? AND acked = 0`, nanos(at), by, id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return addNote(ctx, tx, id, incident.Note{At: at, By: by, Kind: "ack"})
	})
}
