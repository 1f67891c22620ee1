// Package store keeps what the coordinator must not lose: results, traces,
// evidence, slots, incidents, the outbox, catalogs and what people wrote. It is
// the only room that speaks SQL. The database is one SQLite file in WAL mode
// with one writer and a few readers; what a method acknowledged survives a
// power cut.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// File is the database's name in the data directory.
const File = "gengfu.db"

// readers is how many queries may read at once; WAL lets them run beside the writer.
const readers = 4

//go:embed migrations/*.sql
var migrations embed.FS

// Options say where the store lives.
type Options struct {
	Dir    string // created when missing; belongs to one coordinator at a time
	Logger *slog.Logger
}

// Store is the database. It is safe for concurrent use.
type Store struct {
	dir   string
	lock  *os.File
	write *sql.DB // one connection: SQLite has one writer, so waiting happens here and in order
	read  *sql.DB

	changes changes
}

// Open opens the database in o.Dir, creates or migrates it, and holds the
// directory until Close. A directory that another coordinator holds is
// ErrLocked.
func Open(ctx context.Context, o Options) (_ *Store, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("finding the data directory %q: %w", o.Dir, err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("creating the data directory: %w; give this user the right to write there or set another directory", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, lock: lock}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	path := filepath.Join(dir, File)
	if s.write, err = sql.Open("sqlite", dsn(path, "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "cache_size(-8000)")); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = sql.Open("sqlite", dsn(path, "query_only(1)", "cache_size(-4000)")); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	if err := s.migrate(ctx, o.Logger); err != nil {
		return nil, s.explain(fmt.Sprintf("preparing %s", path), err)
	}
	if err := s.release(ctx); err != nil {
		return nil, s.explain("releasing deliveries", err)
	}
	return s, nil
}

// dsn names the database with pragmas that every connection sets. Waiting for
// the lock is bounded; a transaction takes the write lock when it begins, so
// that none fails half-way for want of it.
func dsn(path string, pragmas ...string) string {
	q := url.Values{"_txlock": {"immediate"}, "_pragma": append([]string{"busy_timeout(10000)"}, pragmas...)}
	return (&url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}).String()
}

func (s *Store) migrate(ctx context.Context, logger *slog.Logger) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, s.write, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("reading the schema's version: %w", err)
	}
	if have > want {
		return fmt.Errorf("the schema is version %d and this program knows %d: run the newer program that wrote it", have, want)
	}
	done, err := p.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrating the schema from version %d to %d: %w", have, want, err)
	}
	if len(done) > 0 {
		logger.InfoContext(ctx, "schema migrated", "from", have, "to", want)
	}
	return nil
}

// Close ends the store and lets the directory go.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	errs = append(errs, s.lock.Close())
	return errors.Join(errs...)
}

// inTx runs fn in a write transaction. what says what is being done, for errors.
func (s *Store) inTx(ctx context.Context, what string, fn func(tx *sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return s.explain(what, err)
	}
	if err := fn(tx); err != nil {
		// The first error is the cause; a rollback can only fail because of it.
		_ = tx.Rollback()
		return s.explain(what, ended(ctx, err))
	}
	return s.explain(what, ended(ctx, tx.Commit()))
}

// ended names the cause of a transaction that was over before its time: when ctx
// ends, database/sql rolls back by itself, and whoever uses the transaction next
// may hear only that it is done.
func ended(ctx context.Context, err error) error {
	if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil {
		return errors.Join(ctx.Err(), err)
	}
	return err
}
