package store

import (
	"context"
	"database/sql"
	"time"
)

// Fill is what a person wrote into one cell of a document.
type Fill struct {
	Kind, Day, Row, Field string // which document, day (2026-11-25), row and field
	Value, By             string
	At                    time.Time
}

// FillCell writes a cell. Earlier values stay stored; an empty value clears the cell.
func (s *Store) FillCell(ctx context.Context, f Fill) error {
	_, err := s.write.ExecContext(ctx, `INSERT INTO fills (kind, day, line, field, value, by, at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		f.Kind, f.Day, f.Row, f.Field, f.Value, f.By, nanos(f.At))
	return s.explain("writing a cell of "+f.Kind+" "+f.Day, err)
}

// Filled returns the newest value of every cell of a document, by row and field.
func (s *Store) Filled(ctx context.Context, kind, day string) ([]Fill, error) {
	list, err := query(ctx, s.read, func(rows *sql.Rows) (Fill, error) {
		var (
			f  Fill
			at int64
		)
		err := rows.Scan(&f.Kind, &f.Day, &f.Row, &f.Field, &f.Value, &f.By, &at)
		f.At = instant(at)
		return f, err
	}, `SELECT kind, day, line, field, value, by, at FROM fills
		WHERE seq IN (SELECT MAX(seq) FROM fills WHERE kind = ? AND day = ? GROUP BY line, field) ORDER BY line, field`, kind, day)
	return list, s.explain("reading what was filled in "+kind+" "+day, err)
}
