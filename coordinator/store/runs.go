package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/gengfu/gengfu/probes"
)

const (
	runsQuery = `SELECT t.run FROM results r JOIN traces t USING (trace_id)
		WHERE r.probe = ? AND r.started >= ? AND r.started < ? ORDER BY r.started DESC, r.trace_id DESC LIMIT ?`
	runsBeforeQuery = `SELECT t.run FROM results r JOIN traces t USING (trace_id)
		WHERE r.probe = ?1 AND r.started >= ?2 AND r.started <= ?3 AND (r.started < ?3 OR r.trace_id < ?4)
		ORDER BY r.started DESC, r.trace_id DESC LIMIT ?5`
	lastGoodQuery = `SELECT t.run FROM results r JOIN traces t USING (trace_id)
		WHERE r.probe = ? AND r.started < ? AND r.verdict = 'up' ORDER BY r.started DESC, r.trace_id DESC LIMIT 1`
	agentRunsQuery = `SELECT a.agent, a.vantage, a.labels, a.last, COALESCE(SUM(m.runs), 0), COALESCE(SUM(m.unknown), 0)
		FROM agents a LEFT JOIN agent_minutes m ON m.agent = a.agent AND m.minute >= ?
		WHERE a.last >= ? GROUP BY a.agent ORDER BY a.agent`
)

// Runs returns a probe's runs that started in [from, to), newest first, at
// most limit.
func (s *Store) Runs(ctx context.Context, key probes.Key, from, to time.Time, limit int) ([]probes.Run, error) {
	list, err := query(ctx, s.read, scanRun, runsQuery, key.String(), nanos(from), nanos(to), limit)
	return list, s.explain("reading runs of "+key.String(), err)
}

// RunsBefore returns the runs that follow in the list of Runs after the one
// that started then and has this trace id, down to from, at most limit.
func (s *Store) RunsBefore(ctx context.Context, key probes.Key, from, started time.Time, traceID string, limit int) ([]probes.Run, error) {
	list, err := query(ctx, s.read, scanRun, runsBeforeQuery, key.String(), nanos(from), nanos(started), traceID, limit)
	return list, s.explain("reading runs of "+key.String(), err)
}

// LastGood returns the newest run of a probe that was up and started before
// the given instant, or ErrNotFound.
func (s *Store) LastGood(ctx context.Context, key probes.Key, before time.Time) (probes.Run, error) {
	r, err := lastGood(ctx, s.read, key, before)
	return r, s.explain("reading the last good run of "+key.String(), err)
}

func lastGood(ctx context.Context, q querier, key probes.Key, before time.Time) (probes.Run, error) {
	return one(query(ctx, q, scanRun, lastGoodQuery, key.String(), nanos(before)))
}

// Run returns one run with its trace, or ErrNotFound.
func (s *Store) Run(ctx context.Context, traceID string) (probes.Trace, error) {
	var (
		t         probes.Trace
		run, otlp []byte
	)
	err := s.read.QueryRowContext(ctx, `SELECT run, otlp FROM traces WHERE trace_id = ?`, traceID).Scan(&run, &otlp)
	if err == nil {
		t.Run, err = unpackRun(run)
	}
	if err == nil {
		t.OTLP, err = unpack(otlp)
	}
	if err != nil {
		return probes.Trace{}, s.explain("reading run "+traceID, err)
	}
	return t, nil
}

func scanRun(rows *sql.Rows) (probes.Run, error) {
	var blob []byte
	if err := rows.Scan(&blob); err != nil {
		return probes.Run{}, err
	}
	return unpackRun(blob)
}

// one is the only element of a list, or ErrNotFound.
func one[T any](list []T, err error) (T, error) {
	var zero T
	if err != nil {
		return zero, err
	}
	if len(list) == 0 {
		return zero, ErrNotFound
	}
	return list[0], nil
}

// AgentRuns sums up one agent's runs.
type AgentRuns struct {
	Agent, Vantage string
	Labels         map[string]string
	Last           time.Time
	Runs, Unknown  int
}

// AgentRuns sums up the runs of every agent that ran something since then, by
// name. Counting begins with the minute that holds since.
func (s *Store) AgentRuns(ctx context.Context, since time.Time) ([]AgentRuns, error) {
	list, err := query(ctx, s.read, func(rows *sql.Rows) (AgentRuns, error) {
		var (
			a      AgentRuns
			labels string
			last   int64
		)
		if err := rows.Scan(&a.Agent, &a.Vantage, &labels, &last, &a.Runs, &a.Unknown); err != nil {
			return a, err
		}
		a.Last = instant(last)
		if err := decode(labels, &a.Labels); err != nil {
			return a, fmt.Errorf("labels of agent %s: %w", a.Agent, err)
		}
		return a, nil
	}, agentRunsQuery, minute(since), nanos(since))
	return list, s.explain("summing up the agents' runs", err)
}
