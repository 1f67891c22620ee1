package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// Ingest stores runs with their traces and marks their slots to be judged, in
// one transaction: when it returns without an error, everything is on disk. A
// trace already stored is skipped; fresh counts the others.
func (s *Store) Ingest(ctx context.Context, traces []probes.Trace) (fresh int, err error) {
	// Encoding happens before the transaction: the writer is shared.
	rows := make([]traceRow, len(traces))
	for i, t := range traces {
		if rows[i], err = newTraceRow(t); err != nil {
			return 0, err
		}
	}
	received := time.Now().UnixNano()
	err = s.inTx(ctx, "storing results", func(tx *sql.Tx) error {
		fresh = 0
		for _, r := range rows {
			added, err := r.insert(ctx, tx, received)
			if err != nil {
				return err
			}
			if added {
				fresh++
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return fresh, nil
}

type traceRow struct {
	run       probes.Run
	blob      []byte
	otlp      []byte
	labels    string
	isUnknown int
}

func newTraceRow(t probes.Trace) (traceRow, error) {
	r := t.Run
	if len(r.TraceID) != 32 || r.Key.Service == "" || r.Key.Probe == "" || r.Slot.IsZero() || r.Every <= 0 {
		return traceRow{}, fmt.Errorf("storing results: %w: a run needs a trace id of 32 hex digits, a probe, a slot and its length; got trace %q, probe %q, slot %v, every %v",
			ErrInvalid, r.TraceID, r.Key, r.Slot, r.Every)
	}
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	row := traceRow{run: r}
	if r.Result.Verdict == probes.Unknown {
		row.isUnknown = 1
	}
	var err error
	if row.blob, err = packRun(r); err != nil {
		return traceRow{}, err
	}
	if row.otlp, err = pack(t.OTLP); err != nil {
		return traceRow{}, err
	}
	row.labels, err = encode(r.Labels)
	return row, err
}

func (r traceRow) insert(ctx context.Context, tx *sql.Tx, received int64) (added bool, err error) {
	run, key := r.run, r.run.Key.String()
	res, err := tx.ExecContext(ctx, `INSERT INTO traces (trace_id, received, run, otlp) VALUES (?, ?, ?, ?) ON CONFLICT (trace_id) DO NOTHING`,
		run.TraceID, received, r.blob, r.otlp)
	if err != nil {
		return false, fmt.Errorf("inserting trace %s: %w", run.TraceID, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	started := nanos(run.Started)
	_, err = tx.ExecContext(ctx, `INSERT INTO results (probe, slot, trace_id, every, agent, vantage, isp, verdict, class, cause, started, took)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		key, nanos(run.Slot), run.TraceID, int64(run.Every), run.Agent, run.Vantage, run.Labels["isp"],
		run.Result.Verdict.String(), string(run.Result.Class), string(run.Trigger), started, int64(run.Took))
	if err != nil {
		return false, fmt.Errorf("inserting the result of trace %s: %w", run.TraceID, err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO agents (agent, vantage, labels, last) VALUES (?, ?, ?, ?)
		ON CONFLICT (agent) DO UPDATE SET vantage = excluded.vantage, labels = excluded.labels, last = excluded.last WHERE excluded.last > last`,
		run.Agent, run.Vantage, r.labels, started)
	if err != nil {
		return false, fmt.Errorf("noting agent %s: %w", run.Agent, err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO agent_minutes (agent, minute, runs, unknown) VALUES (?, ?, 1, ?)
		ON CONFLICT (agent, minute) DO UPDATE SET runs = runs + 1, unknown = unknown + excluded.unknown`,
		run.Agent, minute(run.Started), r.isUnknown)
	if err != nil {
		return false, fmt.Errorf("counting a run of agent %s: %w", run.Agent, err)
	}
	if run.Trigger == probes.TriggerManual {
		return true, nil // never counts, so nothing is to be judged
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO dirty_slots (probe, start, at) VALUES (?, ?, 0) ON CONFLICT (probe, start) DO UPDATE SET at = 0`, key, nanos(run.Slot))
	if err != nil {
		return false, fmt.Errorf("marking a slot of %s: %w", key, err)
	}
	return true, nil
}

func minute(t time.Time) int64 { return t.Unix() / 60 }

// PutEvidence stores a picture or text under its SHA-256. Storing it again
// changes nothing.
func (s *Store) PutEvidence(ctx context.Context, e probes.Evidence) error {
	sum := sha256.Sum256(e.Data)
	if got := hex.EncodeToString(sum[:]); got != e.SHA256 {
		return fmt.Errorf("storing evidence: %w: its SHA-256 is %s, want %q", ErrInvalid, got, e.SHA256)
	}
	data := e.Data
	if data == nil {
		data = []byte{}
	}
	_, err := s.write.ExecContext(ctx, `INSERT INTO evidence (sha256, kind, mime, at, data) VALUES (?, ?, ?, ?, ?) ON CONFLICT (sha256) DO NOTHING`,
		e.SHA256, e.Kind, e.MIME, time.Now().UnixNano(), data)
	return s.explain("storing evidence", err)
}

// Evidence returns what is stored under a SHA-256, or ErrNotFound.
func (s *Store) Evidence(ctx context.Context, sha256 string) (probes.Evidence, error) {
	e := probes.Evidence{SHA256: sha256}
	err := s.read.QueryRowContext(ctx, `SELECT kind, mime, data FROM evidence WHERE sha256 = ?`, sha256).Scan(&e.Kind, &e.MIME, &e.Data)
	if err != nil {
		return probes.Evidence{}, s.explain("reading evidence "+sha256, err)
	}
	e.Size = len(e.Data)
	return e, nil
}
