// Package ingest receives what agents deliver: traces by OTLP over gRPC and
// HTTP, evidence by HTTP. It finds the runs in the traces, stores them in one
// transaction and only then acknowledges. What can never be taken is refused for
// good, with a reason; trouble of our own makes the sender keep its data.
package ingest

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"golang.org/x/time/rate"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/semconv"
)

// Store keeps what was received.
type Store interface {
	// Ingest stores runs with their traces in one transaction and says how many
	// were new. It is idempotent by trace id.
	Ingest(ctx context.Context, traces []probes.Trace) (fresh int, err error)
	// PutEvidence stores a picture or text under its SHA-256, once.
	PutEvidence(ctx context.Context, e probes.Evidence) error
}

// Options are what an Ingest needs.
type Options struct {
	Store  Store
	Token  string // the bearer token of agents
	Logger *slog.Logger
	// OnStored is called after each commit with new runs, from the request's
	// goroutine: it must not block. Nil is never called.
	OnStored func()
	// MaxConcurrent bounds the requests in work; more are told to come again.
	// 0 is 16.
	MaxConcurrent int
	// Now is the time against which runs are dated; nil is time.Now.
	Now func() time.Time
}

// Bounds on what is received, in bytes. Compressed and plain size count apart.
const (
	MaxMessage  = 8 << 20
	MaxEvidence = 1 << 20
)

// retryAfter is when a sender that was told "too busy" or "trouble" comes again.
const retryAfter = 2 * time.Second

// Ingest receives traces and evidence. It owns no goroutine.
type Ingest struct {
	o       Options
	token   [sha256.Size]byte // of the token, so that comparing takes the same time for any guess
	slots   chan struct{}
	refusal rate.Sometimes // one misguided sender must not fill the log
	trouble rate.Sometimes

	runs, duplicates, rejected, evidence, busy, unauthorized atomic.Uint64
}

// Stats count since the start.
type Stats struct {
	Runs         uint64 // stored, new
	Duplicates   uint64 // delivered before
	Rejected     uint64 // traces that hold no run or an impossible one
	Evidence     uint64 // stored
	Busy         uint64 // requests told to come again
	Unauthorized uint64 // requests without the right token
}

// New makes an Ingest.
func New(o Options) (*Ingest, error) {
	var errs []error
	if o.Store == nil {
		errs = append(errs, errors.New("ingest: want a store, got none"))
	}
	if o.Token == "" {
		errs = append(errs, errors.New("ingest: want a token, got none: anybody could write results"))
	}
	if o.Logger == nil {
		errs = append(errs, errors.New("ingest: want a logger, got none"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if o.MaxConcurrent <= 0 {
		o.MaxConcurrent = 16
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Ingest{
		o: o, token: sha256.Sum256([]byte(o.Token)), slots: make(chan struct{}, o.MaxConcurrent),
		refusal: rate.Sometimes{First: 1, Interval: time.Minute},
		trouble: rate.Sometimes{First: 1, Interval: time.Minute},
	}, nil
}

// Stats says what was received.
func (i *Ingest) Stats() Stats {
	return Stats{
		Runs: i.runs.Load(), Duplicates: i.duplicates.Load(), Rejected: i.rejected.Load(),
		Evidence: i.evidence.Load(), Busy: i.busy.Load(), Unauthorized: i.unauthorized.Load(),
	}
}

const (
	unauthorizedText = "want the agents' bearer token; an agent whose cluster key is not this cluster's has another"
	busyText         = "too many requests at once"
	troubleText      = "storing failed, keep the data and send it again"
)

// authorized checks an Authorization header's value.
func (i *Ingest) authorized(header string) bool {
	scheme, token, ok := strings.Cut(header, " ")
	sum := sha256.Sum256([]byte(token))
	if ok && strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(sum[:], i.token[:]) == 1 {
		return true
	}
	i.unauthorized.Add(1)
	i.refusal.Do(func() {
		i.o.Logger.Warn("a sender without the right token was refused", "hint", unauthorizedText)
	})
	return false
}

// enter takes one of the places for requests; leave gives it back.
func (i *Ingest) enter() (leave func(), ok bool) {
	select {
	case i.slots <- struct{}{}:
		return func() { <-i.slots }, true
	default:
		i.busy.Add(1)
		return nil, false
	}
}

// store keeps the runs in rs. The answer names what was refused; an error is our
// own trouble.
func (i *Ingest) store(ctx context.Context, rs []*tracepb.ResourceSpans) (*collectorpb.ExportTraceServiceResponse, error) {
	traces, rejected := semconv.Decode(rs, i.o.Now())
	if len(traces) > 0 {
		fresh, err := i.o.Store.Ingest(ctx, traces)
		if err != nil {
			i.trouble.Do(func() { i.o.Logger.Error("storing runs failed, agents keep them", "runs", len(traces), "error", err) })
			return nil, fmt.Errorf("storing %d runs: %w", len(traces), err)
		}
		i.runs.Add(uint64(fresh))
		i.duplicates.Add(uint64(len(traces) - fresh))
		if fresh > 0 && i.o.OnStored != nil {
			i.o.OnStored()
		}
	}
	resp := &collectorpb.ExportTraceServiceResponse{}
	if len(rejected) > 0 {
		i.rejected.Add(uint64(len(rejected)))
		resp.PartialSuccess = partial(rejected)
		i.refusal.Do(func() {
			i.o.Logger.Warn("traces were refused", "traces", len(rejected), "reasons", resp.PartialSuccess.ErrorMessage)
		})
	}
	return resp, nil
}

// maxReasons is how many refused traces an answer explains.
const maxReasons = 3

func partial(rejected []semconv.Rejected) *collectorpb.ExportTracePartialSuccess {
	p := &collectorpb.ExportTracePartialSuccess{}
	var reasons []string
	for n, r := range rejected {
		p.RejectedSpans += int64(r.Spans)
		if n < maxReasons {
			reasons = append(reasons, fmt.Sprintf("trace %s: %s", probes.Excerpt(r.TraceID), probes.Excerpt(r.Reason)))
		}
	}
	if more := len(rejected) - maxReasons; more > 0 {
		reasons = append(reasons, fmt.Sprintf("and %d more traces", more))
	}
	p.ErrorMessage = strings.Join(reasons, "; ")
	return p
}
