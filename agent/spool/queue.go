package spool

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// file is what the queue needs of the segment it writes.
type file interface {
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

// queue is the traces on disk, oldest first. Every record has a sequence number
// that counts from 0 at opening; no number is given twice.
type queue struct {
	dir     string // of the segments
	ackPath string
	max     int64
	segSize int64
	log     *slog.Logger
	create  func(path string) (file, error)
	wrote   chan struct{} // holds one wake-up: there is something to deliver

	// syncMu is held while the active segment is synced or replaced. It is
	// taken before mu, never after.
	syncMu sync.Mutex

	mu      sync.Mutex // guards what follows
	segs    []*segment // oldest first
	active  file       // the last of segs while it takes records, else nil
	lastID  uint64
	next    uint64 // of the record to come
	synced  uint64 // records below are durable
	acked   uint64 // records below are delivered
	bytes   int64
	group   *commit // that the next record joins; nil begins a new one
	open    []*commit
	hopeful bool // delivery works, so an acknowledgement is likely sooner than a sync
	dropped uint64
	corrupt uint64
	lastAck time.Time
	noted   time.Time // when its position was written down
	behind  bool      // and it went on since
}

// commit is shared by appends whose records become safe together: by one sync, or
// because a coordinator acknowledged them first.
type commit struct {
	end   uint64        // the number after its last record
	ready chan struct{} // closed when they are safe or lost
	err   error         // of those lost, set before ready is closed
}

// patience is how long records wait for their acknowledgement, while delivery
// works, before they are synced all the same: what a coordinator has stored needs
// no sync here.
const patience = 200 * time.Millisecond

func createFile(path string) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// openQueue reads what an earlier process left. It never writes to its segments
// again: the first append begins a new one.
func openQueue(dir string, limit int64, log *slog.Logger) (*queue, error) {
	q := &queue{
		dir: filepath.Join(dir, "traces"), ackPath: filepath.Join(dir, "ack"),
		max: limit, segSize: min(max(limit/32, 16<<10), 8<<20),
		log: log, create: createFile, wrote: make(chan struct{}, 1),
	}
	ids, err := listSegments(q.dir)
	if err != nil {
		return nil, err
	}
	ackID, ackOff := readAck(q.ackPath)
	q.lastID = ackID
	for i, id := range ids {
		q.lastID = max(q.lastID, id)
		path := segmentPath(q.dir, id)
		if id < ackID {
			if err := os.Remove(path); err != nil {
				return nil, fmt.Errorf("removing a delivered spool segment: %w", err)
			}
			continue
		}
		s, corrupt, err := scan(path, id, i == len(ids)-1)
		if err != nil {
			return nil, err
		}
		if corrupt > 0 {
			log.Warn("spool segment is damaged, passing over records", "segment", path, "records", corrupt)
			q.corrupt += uint64(corrupt)
		}
		s.base = q.next
		q.segs = append(q.segs, s)
		q.bytes += s.size
		q.next = s.end()
		if id == ackID {
			for _, r := range s.recs {
				if r.off < ackOff {
					q.acked++
				}
			}
		}
	}
	q.synced = q.next
	q.collect()
	return q, nil
}

func listSegments(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing spool segments: %w", err)
	}
	var ids []uint64
	for _, e := range entries {
		if id, ok := segmentID(e.Name()); ok && e.Type().IsRegular() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// readAck says up to where delivery came. A missing or torn file says nothing:
// what is delivered again counts once.
func readAck(path string) (id uint64, off int64) {
	data, err := os.ReadFile(path)
	if err != nil || !strings.HasSuffix(string(data), "\n") {
		return 0, 0
	}
	if _, err := fmt.Sscanf(string(data), "%d %d\n", &id, &off); err != nil {
		return 0, 0
	}
	return id, off
}

// append writes one record and returns when it is safe: durable here, or
// acknowledged by a coordinator.
func (q *queue) append(payload []byte) error {
	if len(payload) > maxRecord {
		return fmt.Errorf("want at most %d bytes, got %d", maxRecord, len(payload))
	}
	need := int64(headerSize + len(payload))
	if need > q.max {
		return fmt.Errorf("want at most %d bytes in all, got a record of %d", q.max, need)
	}
	q.mu.Lock()
	for q.mustRoll(need) {
		q.mu.Unlock()
		if err := q.roll(need); err != nil {
			return err
		}
		q.mu.Lock()
	}
	q.makeRoom(need)
	g, first, err := q.write(payload)
	patient := q.hopeful
	q.mu.Unlock()
	if err != nil {
		return err
	}
	wake(q.wrote)
	if first {
		q.see(g, patient)
	}
	<-g.ready
	return g.err
}

// mustRoll reports whether a record of that size needs a new segment: it does
// not fit, or the only way to make room is to drop the active one.
func (q *queue) mustRoll(need int64) bool {
	if q.active == nil {
		return true
	}
	size := q.segs[len(q.segs)-1].size
	return size > 0 && (size+need > q.segSize || size+need > q.max)
}

// roll seals the active segment, durable, and begins the next.
func (q *queue) roll(need int64) error {
	q.syncMu.Lock()
	defer q.syncMu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.mustRoll(need) {
		return nil // another append did it
	}
	if q.active != nil {
		if err := q.active.Sync(); err != nil {
			q.lose(err)
			return fmt.Errorf("syncing a spool segment: %w", err)
		}
		q.synced = q.next
		q.settle(q.next, nil)
		q.seal()
	}
	q.makeRoom(need)
	q.lastID++ // also when it fails: no name is used twice
	path := segmentPath(q.dir, q.lastID)
	f, err := q.create(path)
	if err != nil {
		return fmt.Errorf("making a spool segment: %w", err)
	}
	if err := syncDir(q.dir); err != nil {
		return errors.Join(fmt.Errorf("making a spool segment: %w", err), f.Close(), os.Remove(path))
	}
	q.active = f
	q.segs = append(q.segs, &segment{id: q.lastID, path: path, base: q.next})
	return nil
}

// write adds a record. Whoever writes the first of a commit sees to it.
func (q *queue) write(payload []byte) (g *commit, first bool, err error) {
	s := q.segs[len(q.segs)-1]
	b := frame(s.id, s.size, payload)
	if _, err := q.active.WriteAt(b, s.size); err != nil {
		// A part may be there: take it back, so that the next record follows
		// the last whole one.
		if terr := q.active.Truncate(s.size); terr != nil {
			q.log.Error("spool segment is left with a torn end", "segment", s.path, "error", terr)
		}
		return nil, false, fmt.Errorf("writing to a spool segment: %w", err)
	}
	s.recs = append(s.recs, record{off: s.size, size: int64(len(b))})
	s.size += int64(len(b))
	q.bytes += int64(len(b))
	q.next++
	if q.group == nil {
		first = true
		q.group = &commit{ready: make(chan struct{})}
		q.open = append(q.open, q.group)
	}
	q.group.end = q.next
	return q.group, first, nil
}

// see makes g's records durable, with all others written until then, unless they
// are safe sooner.
func (q *queue) see(g *commit, patient bool) {
	if patient {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-g.ready:
			return
		case <-timer.C:
		}
	}
	q.syncMu.Lock()
	defer q.syncMu.Unlock()
	q.mu.Lock()
	select {
	case <-g.ready: // another sync did it
		q.mu.Unlock()
		return
	default:
	}
	q.group = nil
	f, upTo := q.active, q.next
	q.mu.Unlock()

	err := f.Sync()

	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil {
		q.lose(err)
		return
	}
	q.synced = upTo
	q.settle(upTo, nil)
}

// settle tells the appends of records below end how it went.
func (q *queue) settle(end uint64, err error) {
	for len(q.open) > 0 && q.open[0].end <= end {
		g := q.open[0]
		q.open = q.open[1:]
		if g == q.group {
			q.group = nil
		}
		g.err = err
		close(g.ready)
	}
}

// expect says whether delivery works.
func (q *queue) expect(acks bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hopeful = acks
}

// lose takes back the records that a failed sync leaves in doubt: after it the
// kernel may have thrown away what it could not write, so the segment takes no
// more and those who appended are told. Their numbers are not given again: a
// delivery under way may still acknowledge them.
func (q *queue) lose(err error) {
	s := q.segs[len(q.segs)-1]
	keep := q.synced - min(q.synced, s.base)
	gone := s.recs[keep:]
	if len(gone) > 0 {
		cut := gone[0].off
		q.bytes -= s.size - cut
		s.size, s.recs = cut, s.recs[:keep]
		if terr := q.active.Truncate(cut); terr != nil {
			q.log.Error("spool segment keeps records of a failed sync", "segment", s.path, "error", terr)
		}
	}
	q.synced = q.next
	q.settle(q.next, fmt.Errorf("syncing a spool segment: %w", err))
	q.seal()
}

func (q *queue) seal() {
	if q.active == nil {
		return
	}
	if err := q.active.Close(); err != nil {
		q.log.Error("closing a spool segment failed", "error", err)
	}
	q.active = nil
	q.collect()
}

// makeRoom drops the oldest segments until need more bytes fit. The active one
// stays: mustRoll seals it in time.
func (q *queue) makeRoom(need int64) {
	for q.bytes+need > q.max && len(q.segs) > 0 {
		s := q.segs[0]
		if len(q.segs) == 1 && q.active != nil {
			return
		}
		lost := 0
		if s.end() > q.acked {
			lost = int(s.end() - max(s.base, q.acked))
		}
		q.remove(s)
		if lost > 0 {
			q.acked = max(q.acked, s.end())
			q.dropped += uint64(lost)
			q.log.Warn("spool is full, the oldest traces were dropped", "traces", lost, "dropped_in_all", q.dropped, "limit", q.max)
		}
	}
}

// remove deletes the oldest segment.
func (q *queue) remove(s *segment) {
	if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		q.log.Error("removing a spool segment failed", "segment", s.path, "error", err)
	}
	q.bytes -= s.size
	q.segs = q.segs[1:]
}

// collect removes the sealed segments that are delivered whole.
func (q *queue) collect() {
	for len(q.segs) > 0 && q.segs[0].end() <= q.acked && (len(q.segs) > 1 || q.active == nil) {
		q.remove(q.segs[0])
	}
}

// batch reads the oldest undelivered records: at most count of them and about
// limit bytes, but at least one. End is the number after the last; it equals
// start when there is nothing to deliver. Damaged records are left out. Records
// need not be durable yet: an acknowledgement makes them as safe.
func (q *queue) batch(count int, limit int64) (payloads [][]byte, start, end uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	start, end = q.acked, q.acked
	q.group = nil // what is acknowledged together was committed together
	for _, s := range q.segs {
		if s.end() <= end {
			continue
		}
		end = max(end, s.base)
		recs := s.recs[end-s.base:]
		n, size := 0, int64(0) // from the first to the last, damage between them included
		for n < len(recs) {
			with := recs[n].off + recs[n].size - recs[0].off
			if len(payloads)+n > 0 && (len(payloads)+n == count || with > limit) {
				break
			}
			n, size = n+1, with
		}
		if n == 0 {
			break
		}
		got := q.read(s, end, recs[:n], size)
		payloads = append(payloads, got...)
		limit -= size
		end += uint64(n)
		if n < len(recs) {
			break
		}
	}
	return payloads, start, end
}

// read reads records of a segment that follow each other, size bytes in all, the
// first of them numbered seq.
func (q *queue) read(s *segment, seq uint64, recs []record, size int64) (payloads [][]byte) {
	b := make([]byte, size)
	f, err := os.Open(s.path)
	if err == nil {
		_, err = f.ReadAt(b, recs[0].off)
		_ = f.Close() // read only
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b = nil
	}
	for i, r := range recs {
		at := r.off - recs[0].off
		var payload []byte
		ok := false
		if at+r.size <= int64(len(b)) {
			payload, ok = unframe(s.id, r.off, b[at:at+r.size])
		}
		if !ok {
			q.damage(s, seq+uint64(i), err)
			continue
		}
		payloads = append(payloads, payload)
	}
	return payloads
}

// damage counts a record that cannot be read, once however often it is tried.
func (q *queue) damage(s *segment, seq uint64, err error) {
	r := &s.recs[seq-s.base]
	if r.damaged {
		return
	}
	r.damaged = true
	q.corrupt++
	q.log.Warn("spool record is damaged, passing over it", "segment", s.path, "offset", r.off, "error", err)
}

// ack marks the records below end delivered and frees their segments.
func (q *queue) ack(end uint64, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lastAck = now
	if end <= q.acked {
		return // dropped meanwhile
	}
	q.acked = end
	q.settle(end, nil)
	q.collect()
	q.behind = true
	if now.Sub(q.noted) >= noteEvery || now.Before(q.noted) {
		q.note(now)
	}
}

// noteEvery is how often it is written down how far delivery came, and at the end:
// an older position after a crash delivers a few traces again.
const noteEvery = time.Second

// note writes down how far delivery came. For the same reason it is not synced.
func (q *queue) note(now time.Time) {
	q.noted, q.behind = now, false
	id, off := q.position()
	if err := replaceFile(q.ackPath, fmt.Appendf(nil, "%d %d\n", id, off), false); err != nil {
		q.log.Debug("noting the spool's delivery failed", "error", err)
	}
}

// position is where the first undelivered record stands.
func (q *queue) position() (id uint64, off int64) {
	for _, s := range q.segs {
		if q.acked < s.end() {
			return s.id, s.recs[q.acked-min(q.acked, s.base)].off
		}
	}
	if q.active != nil {
		s := q.segs[len(q.segs)-1]
		return s.id, s.size
	}
	return q.lastID, math.MaxInt64
}

func (q *queue) stats(st *Stats) {
	q.mu.Lock()
	defer q.mu.Unlock()
	st.Segments = len(q.segs)
	st.Bytes += q.bytes
	for _, s := range q.segs {
		if from := max(s.base, q.acked); from < s.end() {
			st.Pending += int(s.end() - from)
		}
	}
	st.Dropped = q.dropped
	st.Corrupt += q.corrupt
	st.LastAck = q.lastAck
}

func (q *queue) close() error {
	q.syncMu.Lock()
	defer q.syncMu.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.behind {
		q.note(q.lastAck)
	}
	if q.active == nil {
		return nil
	}
	err := q.active.Sync()
	q.settle(q.next, err)
	q.seal()
	return err
}
