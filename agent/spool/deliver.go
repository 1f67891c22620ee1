package spool

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/gengfu/gengfu/probes"
)

// A Sender delivers to a coordinator. A nil error is an acknowledgement: what
// was sent may be deleted. A *PermanentError says that no coordinator will ever
// take it; after any other error it is sent again.
type Sender interface {
	// SendTraces delivers OTLP TracesData messages, oldest first.
	SendTraces(ctx context.Context, batch [][]byte) error
	SendEvidence(ctx context.Context, e probes.Evidence) error
}

// PermanentError says that sending the same again is of no use.
type PermanentError struct{ Err error }

// Error is the text of Err.
func (e *PermanentError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *PermanentError) Unwrap() error { return e.Err }

// RetryError says when a busy coordinator wants to hear again.
type RetryError struct {
	Err   error
	After time.Duration
}

// Error is the text of Err.
func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *RetryError) Unwrap() error { return e.Err }

var (
	// ErrNoTarget is a Sender's error when no coordinator is known.
	ErrNoTarget = errors.New("no coordinator is alive in the cluster")
	// ErrUnauthorized is a Sender's error when a coordinator refuses its token.
	ErrUnauthorized = errors.New("the coordinator refuses this agent's token: their cluster keys differ; give both the same key")
)

// Bounds of delivery.
const (
	batchCount = 512     // traces
	batchBytes = 1 << 20 // but at least one trace
	maxWait    = 15 * time.Second
	// gather is how long traces wait for company, while delivery works: a call
	// costs more than ten traces in it.
	gather = 20 * time.Millisecond
)

// Run delivers until ctx ends: traces and evidence apart, so that neither waits
// for the other. Whatever is not acknowledged by then stays on disk. It is an
// error to run twice at the same time.
func (s *Spool) Run(ctx context.Context, send Sender) error {
	if !s.running.CompareAndSwap(false, true) {
		return errors.New("spool: it is being delivered already")
	}
	defer s.running.Store(false)
	var loops sync.WaitGroup
	loops.Go(func() { s.runTraces(ctx, send) })
	loops.Go(func() { s.runEvidence(ctx, send) })
	loops.Wait()
	return nil
}

func (s *Spool) runTraces(ctx context.Context, send Sender) {
	p := s.pace("traces", s.traces.wrote, s.kickTrace)
	defer s.traces.expect(false)
	count := batchCount
	for ctx.Err() == nil {
		batch, start, end := s.traces.batch(count, batchBytes)
		if start == end {
			p.idle(ctx)
			p.gather(ctx)
			continue
		}
		var err error
		if len(batch) > 0 {
			err = send.SendTraces(ctx, batch)
		}
		var permanent *PermanentError
		switch {
		case err == nil:
			p.good()
			count = min(2*count, batchCount)
			s.traces.expect(true)
		case ctx.Err() != nil:
			return
		case errors.As(err, &permanent) && len(batch) > 1:
			// Some of them are good: find the bad one by halving.
			count = len(batch) / 2
			continue
		case errors.As(err, &permanent):
			s.setAside("otlp", batch[0], err)
			p.good()
		default:
			s.traces.expect(false)
			p.bad(ctx, err)
			continue
		}
		s.traces.ack(end, time.Now())
		s.left()
		if len(batch) < batchCount/2 {
			p.gather(ctx)
		}
	}
}

func (s *Spool) runEvidence(ctx context.Context, send Sender) {
	p := s.pace("evidence", s.newEvidence, s.kickEvid)
	for ctx.Err() == nil {
		e, ok := s.evidence.oldest()
		if !ok {
			s.left() // damaged ones may just have gone
			p.idle(ctx)
			continue
		}
		err := send.SendEvidence(ctx, e)
		var permanent *PermanentError
		switch {
		case err == nil:
			p.good()
		case ctx.Err() != nil:
			return
		case errors.As(err, &permanent):
			s.setAside("evidence", e.Data, err)
			p.good()
		default:
			p.bad(ctx, err)
			continue
		}
		s.evidence.remove(e.SHA256)
		s.left()
	}
}

func (s *Spool) setAside(kind string, data []byte, reason error) {
	s.log.Error("a coordinator will not take this, it was set aside", "kind", kind, "bytes", len(data), "reason", reason)
	if err := s.rejected.add(kind, data); err != nil {
		s.log.Error("it could not be kept for inspection", "kind", kind, "error", err)
	}
}

// pace decides how long a loop waits, and logs when its luck changes.
type pace struct {
	spool   *Spool
	what    string
	arrived <-chan struct{} // something new is on disk
	kick    <-chan struct{} // the coordinators changed
	wait    *backoff.ExponentialBackOff
	failing string // what was logged last; empty while all goes well
}

func (s *Spool) pace(what string, arrived, kick <-chan struct{}) *pace {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval = 200 * time.Millisecond
	wait.Multiplier = 2
	wait.MaxInterval = maxWait * 2 / 3 // half as much again by chance
	return &pace{spool: s, what: what, arrived: arrived, kick: kick, wait: wait}
}

func (p *pace) idle(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-p.arrived:
	case <-p.kick:
	}
}

// gather waits for more to deliver at once, unless there is trouble: then it has
// waited long enough.
func (p *pace) gather(ctx context.Context) {
	if p.failing != "" {
		return
	}
	timer := time.NewTimer(gather)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (p *pace) good() {
	p.wait.Reset()
	if p.failing == "" {
		return
	}
	p.failing = ""
	p.spool.log.Info("delivery goes on", "of", p.what)
}

// bad waits after a failure: new data does not shorten it, a change of the
// coordinators does.
func (p *pace) bad(ctx context.Context, err error) {
	d := p.wait.NextBackOff()
	reason := "failed"
	var retry *RetryError
	switch {
	case errors.Is(err, ErrUnauthorized):
		reason, d = "unauthorized", maxWait
	case errors.Is(err, ErrNoTarget):
		reason = "no target"
	case errors.As(err, &retry):
		d = min(max(d, retry.After), maxWait)
	}
	if p.failing != reason {
		p.failing = reason
		st := p.spool.Stats()
		p.spool.log.Warn("delivery failed, what is due waits on disk",
			"of", p.what, "error", err, "traces", st.Pending, "evidence", st.Evidence, "bytes", st.Bytes)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-p.kick:
		p.wait.Reset()
	case <-timer.C:
	}
}
