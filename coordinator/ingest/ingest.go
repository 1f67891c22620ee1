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
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

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

// Definitions say what may have been measured.
type Definitions interface {
	// Ready reports whether any definitions are in use.
	Ready() bool
	// Strange reports whether no agent can have measured run honestly, since no
	// definitions that it may have had hold its probe.
	Strange(ctx context.Context, run probes.Run) (bool, error)
}

// Options are what an Ingest needs.
type Options struct {
	Store Store
	// Definitions judge which runs are taken; nil takes all.
	Definitions Definitions
	Token       string // the bearer token of agents
	Logger      *slog.Logger
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

	runs, duplicates, rejected, strange, evidence, busy, unready, unauthorized atomic.Uint64

	writing sync.Mutex // protects the following
	failure Failure
}

// Failure is the last write when it failed.
type Failure struct {
	At  time.Time // zero while writing works
	Err error
}

// Stats count since the start.
type Stats struct {
	Runs         uint64 // stored, new
	Duplicates   uint64 // delivered before
	Rejected     uint64 // traces that hold no run or an impossible one, strange ones included
	Strange      uint64 // runs of probes that no definitions hold
	Evidence     uint64 // stored
	Busy         uint64 // requests told to come again, for there were too many
	Unready      uint64 // requests told to come again, for there are no definitions yet
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
		Strange: i.strange.Load(), Evidence: i.evidence.Load(), Busy: i.busy.Load(), Unready: i.unready.Load(),
		Unauthorized: i.unauthorized.Load(),
	}
}

// LastFailure returns the last write's failure, zero when it worked.
func (i *Ingest) LastFailure() Failure {
	i.writing.Lock()
	defer i.writing.Unlock()
	return i.failure
}

// wrote notes how a write ended. One that its sender gave up says nothing.
func (i *Ingest) wrote(ctx context.Context, err error) {
	if err != nil && ctx.Err() != nil {
		return
	}
	i.writing.Lock()
	defer i.writing.Unlock()
	i.failure = Failure{}
	if err != nil {
		i.failure = Failure{At: i.o.Now(), Err: err}
	}
}

const (
	unauthorizedText = "want the agents' bearer token; an agent whose cluster key is not this cluster's has another"
	busyText         = "too many requests at once"
	troubleText      = "storing failed, keep the data and send it again"
	unreadyText      = "there are no definitions here yet, keep the data and send it again"
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
	traces, strange, err := i.sift(ctx, traces)
	if err != nil {
		return nil, err
	}
	rejected = append(rejected, strange...)
	if len(traces) > 0 {
		fresh, err := i.o.Store.Ingest(ctx, traces)
		i.wrote(ctx, err)
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
		i.strange.Add(uint64(len(strange)))
		resp.PartialSuccess = partial(rejected)
		i.refusal.Do(func() {
			i.o.Logger.Warn("traces were refused", "traces", len(rejected), "reasons", resp.PartialSuccess.ErrorMessage)
		})
	}
	return resp, nil
}

// sift parts the runs that may have been measured from the strange ones. An
// error means that this cannot be told now.
func (i *Ingest) sift(ctx context.Context, traces []probes.Trace) (taken []probes.Trace, strange []semconv.Rejected, err error) {
	if i.o.Definitions == nil || len(traces) == 0 {
		return traces, nil, nil
	}
	if !i.o.Definitions.Ready() {
		i.unready.Add(1)
		return nil, nil, refuse(http.StatusServiceUnavailable, codes.Unavailable, unreadyText)
	}
	for _, t := range traces {
		odd, err := i.o.Definitions.Strange(ctx, t.Run)
		if err != nil {
			i.trouble.Do(func() { i.o.Logger.Error("telling whose runs these are failed, agents keep them", "error", err) })
			return nil, nil, fmt.Errorf("telling whose run %s is: %w", t.Run.TraceID, err)
		}
		if !odd {
			taken = append(taken, t)
			continue
		}
		strange = append(strange, semconv.Rejected{TraceID: t.Run.TraceID, Spans: spans(t.OTLP), Reason: fmt.Sprintf(
			"no definitions hold the probe %s, not those of commit %.12s that the run names, nor any others in use here", t.Run.Key, t.Run.Revision)})
	}
	return taken, strange, nil
}

// spans counts the spans of a trace that Decode made; a refused trace is at
// least one.
func spans(otlp []byte) int {
	var data tracepb.TracesData
	if err := proto.Unmarshal(otlp, &data); err != nil {
		return 1
	}
	n := 0
	for _, r := range data.ResourceSpans {
		for _, s := range r.ScopeSpans {
			n += len(s.Spans)
		}
	}
	return max(n, 1)
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
