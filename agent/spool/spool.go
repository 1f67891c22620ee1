// Package spool keeps traces and evidence on disk until a coordinator has
// acknowledged them, and delivers them. What Append accepted survives kill -9,
// a full disk and hours without a coordinator; it may be delivered twice, never
// lost, but for the oldest when the byte limit is reached, and those are counted.
//
// On disk: traces/ holds segments of checksummed records, ack says how far
// delivery came, evidence/ holds one file a picture or text, rejected/ a bounded
// number of what a coordinator would not take, and lock the owner's process id.
package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// Options say where a spool is and how large it may grow.
type Options struct {
	Dir      string // made when missing; one spool owns it
	MaxBytes int64  // on disk, at least MinBytes; a quarter is for evidence
	Logger   *slog.Logger
}

// MinBytes is the smallest limit of a spool.
const MinBytes = 64 << 10

func (o Options) validate() error {
	var errs []error
	if o.Dir == "" {
		errs = append(errs, errors.New("spool: want a directory, got none"))
	}
	if o.MaxBytes < MinBytes {
		errs = append(errs, fmt.Errorf("spool: want a limit of at least %d bytes, got %d", MinBytes, o.MaxBytes))
	}
	if o.Logger == nil {
		errs = append(errs, errors.New("spool: want a logger, got none"))
	}
	return errors.Join(errs...)
}

// Spool is an open spool. It is safe for concurrent use.
type Spool struct {
	dir      string
	log      *slog.Logger
	lock     *os.File
	traces   *queue
	evidence *box
	rejected *pit
	running  atomic.Bool

	newEvidence chan struct{} // each holds one wake-up
	kickTrace   chan struct{}
	kickEvid    chan struct{}

	changedMu sync.Mutex
	changed   chan struct{} // closed and replaced whenever something left
}

// Stats say what a spool holds and what became of the rest, since it was opened.
type Stats struct {
	Segments        int
	Bytes           int64     // of traces and evidence on disk
	Pending         int       // traces not acknowledged
	Evidence        int       // pictures and texts not acknowledged
	Dropped         uint64    // traces that gave way to newer ones
	EvidenceDropped uint64    // likewise
	Rejected        uint64    // traces and evidence set aside: no coordinator takes them
	Corrupt         uint64    // records found damaged and passed over
	LastAck         time.Time // zero before the first
}

// Open opens the spool in o.Dir and takes it over from a process that died.
// A directory that another process holds is an error.
func Open(o Options) (*Spool, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	for _, d := range []string{o.Dir, filepath.Join(o.Dir, "traces"), filepath.Join(o.Dir, "evidence"), filepath.Join(o.Dir, "rejected")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, explain(o.Dir, fmt.Errorf("making the spool's directory: %w", err))
		}
	}
	lock, err := takeLock(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Spool{
		dir: o.Dir, log: o.Logger, lock: lock,
		rejected:    &pit{dir: filepath.Join(o.Dir, "rejected")},
		newEvidence: make(chan struct{}, 1),
		kickTrace:   make(chan struct{}, 1), kickEvid: make(chan struct{}, 1),
		changed: make(chan struct{}),
	}
	s.traces, err = openQueue(o.Dir, o.MaxBytes/4*3, o.Logger)
	if err == nil {
		s.evidence, err = openBox(filepath.Join(o.Dir, "evidence"), o.MaxBytes/4, o.Logger)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if st := s.Stats(); st.Pending+st.Evidence > 0 || st.Corrupt > 0 {
		o.Logger.Info("spool taken over", "dir", o.Dir, "traces", st.Pending, "evidence", st.Evidence, "bytes", st.Bytes, "corrupt", st.Corrupt)
	}
	return s, nil
}

// Close lets go of the directory. What is not delivered stays. Run has returned
// before.
func (s *Spool) Close() error {
	var err error
	if s.traces != nil {
		err = s.traces.close()
	}
	return errors.Join(err, s.lock.Close())
}

// Append keeps one trace, an OTLP TracesData message. When it returns nil the
// trace is on disk, or a coordinator has acknowledged it already. An error says
// how to mend it; the spool goes on.
func (s *Spool) Append(ctx context.Context, otlp []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("spooling a trace: %w", err)
	}
	if err := s.traces.append(otlp); err != nil {
		return explain(s.dir, fmt.Errorf("spooling a trace: %w", err))
	}
	return nil
}

// PutEvidence keeps a picture or text beside the traces. It is on disk when
// PutEvidence returns nil. The same evidence twice is kept once.
func (s *Spool) PutEvidence(ctx context.Context, e probes.Evidence) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("spooling evidence: %w", err)
	}
	if err := s.evidence.put(e); err != nil {
		return explain(s.dir, fmt.Errorf("spooling evidence %s: %w", e.SHA256, err))
	}
	wake(s.newEvidence)
	return nil
}

// Stats says what the spool holds.
func (s *Spool) Stats() Stats {
	var st Stats
	s.traces.stats(&st)
	s.evidence.stats(&st)
	st.Rejected = s.rejected.count.Load()
	return st
}

// Kick ends a wait after a failure: a coordinator came or went.
func (s *Spool) Kick() {
	wake(s.kickTrace)
	wake(s.kickEvid)
}

// Flush waits until everything is delivered or ctx ends. Run must be running.
func (s *Spool) Flush(ctx context.Context) error {
	for {
		s.changedMu.Lock()
		changed := s.changed
		s.changedMu.Unlock()
		st := s.Stats()
		if st.Pending == 0 && st.Evidence == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("flushing the spool: %d traces and %d files stay on disk: %w", st.Pending, st.Evidence, ctx.Err())
		case <-changed:
		}
	}
}

func (s *Spool) left() {
	s.changedMu.Lock()
	defer s.changedMu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// explain adds to an error of the disk what mends it.
func explain(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk under %s is full; free space there or give the spool a smaller limit: %w", dir, err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s cannot be written; make it writable for this user: %w", dir, err)
	}
	return err
}

// takeLock makes this process the directory's owner until the file is closed.
func takeLock(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, explain(dir, fmt.Errorf("opening the spool's lock: %w", err))
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner := make([]byte, 20)
		n, _ := f.ReadAt(owner, 0)
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("spool %s is in use by process %s; give every agent a data directory of its own", dir, owner[:n])
		}
		return nil, fmt.Errorf("locking the spool %s: %w", dir, err)
	}
	// Only people read the process id, so a disk too full to hold it is no fault.
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "%d", os.Getpid())
	}
	return f, nil
}

// syncDir makes a change of names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// replaceFile puts data at path, whole or not at all, and durably when sync is set.
func replaceFile(path string, data []byte, sync bool) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && sync {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return err
	}
	if sync {
		return syncDir(filepath.Dir(path))
	}
	return nil
}
