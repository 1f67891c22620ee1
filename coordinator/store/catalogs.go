package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// AcceptCatalog stores a revision and brings the ledger of what was due up to
// it, in one transaction. A probe whose demands did not change keeps its open
// row; one that changed or vanished is closed at rev.Accepted. In due, a zero
// Span.From means rev.Accepted and a zero Span.To means open.
func (s *Store) AcceptCatalog(ctx context.Context, rev definition.Revision, body []byte, due []availability.Due) error {
	text, err := encode(rev)
	if err != nil {
		return err
	}
	if body == nil {
		body = []byte{}
	}
	return s.inTx(ctx, "storing the catalog of "+rev.Commit, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO catalog_bodies (digest, body) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING`, rev.Digest, body); err != nil {
			return fmt.Errorf("inserting the body: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO catalogs (seq, digest, accepted, revision) VALUES (?, ?, ?, ?)`,
			int64(rev.Seq), rev.Digest, nanos(rev.Accepted), text); err != nil {
			return fmt.Errorf("inserting revision %d: %w", rev.Seq, err)
		}
		open, err := queryDue(ctx, tx, `until = ?`, int64(still))
		if err != nil {
			return err
		}
		return turnLedger(ctx, tx, rev.Accepted, open, due)
	})
}

// turnLedger replaces the open rows by due, at the instant at.
func turnLedger(ctx context.Context, tx *sql.Tx, at time.Time, open, due []availability.Due) error {
	wanted := map[probes.Key]availability.Due{}
	for _, d := range due {
		wanted[d.Key] = d
	}
	for _, old := range open {
		if d, ok := wanted[old.Key]; ok && d.Span.To.IsZero() && d.Every == old.Every && d.Timeout == old.Timeout && d.Rule == old.Rule {
			delete(wanted, old.Key)
			continue
		}
		// A row that would end before it began never spoke for any time.
		query := `UPDATE due SET until = ? WHERE probe = ? AND since = ?`
		args := []any{nanos(at), old.Key.String(), nanos(old.Span.From)}
		if !old.Span.From.Before(at) {
			query, args = `DELETE FROM due WHERE probe = ? AND since = ?`, args[1:]
		}
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return fmt.Errorf("closing what was due of %s: %w", old.Key, err)
		}
	}
	for _, d := range wanted {
		if d.Span.From.IsZero() {
			d.Span.From = at
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO due (probe, since, until, every, timeout, voices, quorum, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			d.Key.String(), nanos(d.Span.From), untilNanos(d.Span.To), int64(d.Every), int64(d.Timeout), d.Rule.Count, d.Rule.Quorum, d.Revision)
		if err != nil {
			return fmt.Errorf("opening what is due of %s: %w", d.Key, err)
		}
	}
	return nil
}

// LatestCatalog returns the newest accepted revision and its body, or ErrNotFound.
func (s *Store) LatestCatalog(ctx context.Context) (definition.Revision, []byte, error) {
	var (
		rev  definition.Revision
		text string
		body []byte
	)
	err := s.read.QueryRowContext(ctx, `SELECT c.revision, b.body FROM catalogs c JOIN catalog_bodies b USING (digest) ORDER BY c.seq DESC LIMIT 1`).Scan(&text, &body)
	if err == nil {
		err = decode(text, &rev)
	}
	if err != nil {
		return definition.Revision{}, nil, s.explain("reading the newest catalog", err)
	}
	return rev, body, nil
}

// CatalogBody returns the body with this digest, or ErrNotFound.
func (s *Store) CatalogBody(ctx context.Context, digest string) ([]byte, error) {
	var body []byte
	if err := s.read.QueryRowContext(ctx, `SELECT body FROM catalog_bodies WHERE digest = ?`, digest).Scan(&body); err != nil {
		return nil, s.explain("reading catalog "+digest, err)
	}
	return body, nil
}

// CatalogsOf returns the bodies of the accepted revisions of a commit, none when
// it never was accepted.
func (s *Store) CatalogsOf(ctx context.Context, commit string) ([][]byte, error) {
	list, err := query(ctx, s.read, func(rows *sql.Rows) (body []byte, err error) {
		err = rows.Scan(&body)
		return body, err
	}, `SELECT body FROM catalog_bodies WHERE digest IN (SELECT digest FROM catalogs WHERE revision ->> 'commit' = ?)`, commit)
	return list, s.explain("reading the catalogs of "+commit, err)
}

// EverDue reports whether a probe was due at any time.
func (s *Store) EverDue(ctx context.Context, key probes.Key) (due bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM due WHERE probe = ?)`, key.String()).Scan(&due)
	return due, s.explain("reading whether "+key.String()+" was due", err)
}

// Refusal is a commit that was not accepted.
type Refusal struct {
	Commit   string
	Author   string
	Subject  string
	At       time.Time
	Mistakes []string
}

// RefuseCatalog notes that a commit was refused, and why. Refusing a commit
// again replaces what was noted.
func (s *Store) RefuseCatalog(ctx context.Context, commit, author, subject string, at time.Time, mistakes []string) error {
	text, err := encode(mistakes)
	if err != nil {
		return err
	}
	_, err = s.write.ExecContext(ctx, `INSERT INTO refusals ("commit", author, subject, at, mistakes) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT ("commit") DO UPDATE SET author = excluded.author, subject = excluded.subject, at = excluded.at, mistakes = excluded.mistakes`,
		commit, author, subject, nanos(at), text)
	return s.explain("noting the refusal of "+commit, err)
}

// LatestRefusal returns the newest refusal if it is newer than the catalog in
// use, else ErrNotFound.
func (s *Store) LatestRefusal(ctx context.Context) (Refusal, error) {
	var (
		r    Refusal
		at   int64
		text string
	)
	err := s.read.QueryRowContext(ctx, `SELECT "commit", author, subject, at, mistakes FROM refusals
		WHERE at > COALESCE((SELECT accepted FROM catalogs ORDER BY seq DESC LIMIT 1), 0) ORDER BY at DESC, seq DESC LIMIT 1`).
		Scan(&r.Commit, &r.Author, &r.Subject, &at, &text)
	if err == nil {
		err = decode(text, &r.Mistakes)
	}
	if err != nil {
		return Refusal{}, s.explain("reading the newest refusal", err)
	}
	r.At = instant(at)
	return r, nil
}

// Due returns what was due at any time in [from, to), by probe and time. A row
// that is still open has a zero Span.To.
func (s *Store) Due(ctx context.Context, from, to time.Time) ([]availability.Due, error) {
	list, err := queryDue(ctx, s.read, `until > ? AND since < ?`, nanos(from), nanos(to))
	return list, s.explain("reading what was due", err)
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func queryDue(ctx context.Context, q querier, where string, args ...any) ([]availability.Due, error) {
	return query(ctx, q, func(rows *sql.Rows) (availability.Due, error) {
		var (
			d                             availability.Due
			key                           string
			since, until, every, deadline int64
		)
		err := rows.Scan(&key, &since, &until, &every, &deadline, &d.Rule.Count, &d.Rule.Quorum, &d.Revision)
		if err != nil {
			return d, err
		}
		d.Span = availability.Span{From: instant(since), To: untilInstant(until)}
		d.Every, d.Timeout = time.Duration(every), time.Duration(deadline)
		d.Key, err = probes.ParseKey(key)
		return d, err
	}, `SELECT probe, since, until, every, timeout, voices, quorum, revision FROM due WHERE `+where+` ORDER BY probe, since`, args...)
}

// query collects rows.
func query[T any](ctx context.Context, q querier, scan func(*sql.Rows) (T, error), text string, args ...any) (_ []T, err error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
