package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/gengfu/gengfu/coordinator/alert"
)

const (
	deliveryColumns = `id, route, state, attempts, created, next_attempt, done, last_error, notification`
	// What happened later to an incident waits for what happened earlier: nobody
	// may read on one route that it is over, and then that it began.
	inTurn = ` NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.incident = d.incident AND e.id < d.id AND e.route = d.route AND e.state = 'pending')`

	claimQuery = `SELECT ` + deliveryColumns + ` FROM deliveries d WHERE state = 'pending' AND next_attempt <= ? AND` + inTurn + ` ORDER BY next_attempt, id LIMIT ?`
)

// Deliveries lists deliveries about one incident ("" means all), newest first,
// at most limit.
func (s *Store) Deliveries(ctx context.Context, incidentID string, limit int) ([]alert.Delivery, error) {
	where, args := "", []any{}
	if incidentID != "" {
		where, args = ` WHERE incident = ?`, append(args, incidentID)
	}
	list, err := query(ctx, s.read, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries`+where+` ORDER BY id DESC LIMIT ?`, append(args, limit)...)
	return list, s.explain("reading deliveries", err)
}

// DeliveriesBefore lists the deliveries older than the one with this id, 0
// means all, newest first, at most limit.
func (s *Store) DeliveriesBefore(ctx context.Context, id int64, limit int) ([]alert.Delivery, error) {
	list, err := query(ctx, s.read, scanDelivery, `SELECT `+deliveryColumns+` FROM deliveries WHERE ?1 = 0 OR id < ?1 ORDER BY id DESC LIMIT ?2`, id, limit)
	return list, s.explain("reading deliveries", err)
}

// Claim takes at most limit pending deliveries that are due at now, oldest
// first, of each incident and route only the oldest, counts an attempt for each and sets its next attempt to now plus
// lease: should Finish fail, they come up again then. Should this process die
// with them in hand, they come up as soon as the store is opened again.
func (s *Store) Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) (list []alert.Delivery, err error) {
	err = s.inTx(ctx, "claiming deliveries", func(tx *sql.Tx) error {
		list, err = query(ctx, tx, scanDelivery, claimQuery, nanos(now), limit)
		if err != nil {
			return err
		}
		for i := range list {
			list[i].Attempts++
			list[i].NextAttempt = now.Add(lease)
			if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET claimed = 1, attempts = ?, next_attempt = ? WHERE id = ?`,
				list[i].Attempts, nanos(list[i].NextAttempt), list[i].ID); err != nil {
				return fmt.Errorf("claiming delivery %d: %w", list[i].ID, err)
			}
		}
		return nil
	})
	return list, err
}

// Finish writes where a claimed delivery stands after an attempt: its State,
// Attempts, NextAttempt, Done and LastError.
func (s *Store) Finish(ctx context.Context, d alert.Delivery) error {
	_, err := s.write.ExecContext(ctx, `UPDATE deliveries SET claimed = 0, state = ?, attempts = ?, next_attempt = ?, done = ?, last_error = ? WHERE id = ?`,
		string(d.State), d.Attempts, nanos(d.NextAttempt), nanos(d.Done), d.LastError, d.ID)
	return s.explain(fmt.Sprintf("finishing delivery %d", d.ID), err)
}

// release makes what a dead process had in hand due at once: nobody else can
// hold it, since the directory is ours.
func (s *Store) release(ctx context.Context) error {
	_, err := s.write.ExecContext(ctx, `UPDATE deliveries SET claimed = 0, next_attempt = 1 WHERE claimed = 1 AND state = 'pending'`)
	return err
}

// NextAttempt is when the earliest pending delivery in its turn is due; zero when none is.
func (s *Store) NextAttempt(ctx context.Context) (time.Time, error) {
	var n sql.NullInt64
	err := s.read.QueryRowContext(ctx, `SELECT MIN(next_attempt) FROM deliveries d WHERE state = 'pending' AND`+inTurn).Scan(&n)
	return instant(n.Int64), s.explain("looking for pending deliveries", err)
}

// enqueue adds a delivery to the outbox. Its notification's key is unique, so
// that the same event is queued once however often it is worked out.
func enqueue(ctx context.Context, tx *sql.Tx, d alert.Delivery) error {
	text, err := encode(d.Notification)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO deliveries (key, incident, route, state, attempts, created, next_attempt, done, last_error, notification)
		VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING`,
		d.Notification.Key, d.Notification.Incident.ID, d.Route, string(d.State), nanos(d.Created), nanos(d.NextAttempt), nanos(d.Done), d.LastError, text)
	if err != nil {
		return fmt.Errorf("queueing delivery %s: %w", d.Notification.Key, err)
	}
	return nil
}

func scanDelivery(rows *sql.Rows) (alert.Delivery, error) {
	var (
		d                   alert.Delivery
		created, next, done int64
		text                string
	)
	err := rows.Scan(&d.ID, &d.Route, &d.State, &d.Attempts, &created, &next, &done, &d.LastError, &text)
	if err != nil {
		return d, err
	}
	d.Created, d.NextAttempt, d.Done = instant(created), instant(next), instant(done)
	return d, decode(text, &d.Notification)
}
