package store

import (
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// What callers tell apart.
var (
	// ErrNotFound says that there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrLocked says that the directory belongs to another coordinator.
	ErrLocked = errors.New("data directory in use")
	// ErrDiskFull says that nothing was written; what was acknowledged is safe.
	ErrDiskFull = errors.New("the disk is full")
	// ErrReadOnly says that the database may not be written.
	ErrReadOnly = errors.New("the database is read-only")
	// ErrInvalid says that the caller's data cannot be stored, now or later.
	ErrInvalid = errors.New("invalid data")
)

// explain wraps a driver's error with what was being done and how to mend it.
func (s *Store) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s: %w", what, ErrNotFound)
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: %w", what, err)
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%s: %w: free space under %s, the coordinator goes on by itself: %w", what, ErrDiskFull, s.dir, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return fmt.Errorf("%s: %w: give this user the right to write under %s: %w", what, ErrReadOnly, s.dir, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%s: %s under %s is damaged: put a backup in its place: %w", what, File, s.dir, err)
	case sqlite3.SQLITE_CONSTRAINT:
		return fmt.Errorf("%s: %w: %w", what, ErrInvalid, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}
