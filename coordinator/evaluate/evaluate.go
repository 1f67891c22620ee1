// Package evaluate is the shell around the pure rooms: it takes the slots that
// new results touched, judges them, steps the incident machines and queues
// alerts, each batch in one transaction. A kill between any two steps loses
// nothing and repeats nothing: the touched slots were written with the results
// and go away with what followed from them.
package evaluate

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// Store runs a step of the evaluation in one write transaction, committed when
// fn returns nil.
type Store interface {
	Pending(ctx context.Context, now time.Time) (bool, error)
	Update(ctx context.Context, fn func(Tx) error) error
}

// Tx is what one step may read and write. What is not stored is an error,
// except where another meaning is given.
type Tx interface {
	// Touched lists slots to be judged by now, the oldest first.
	Touched(ctx context.Context, now time.Time, limit int) ([]availability.SlotID, error)
	Judged(ctx context.Context, id availability.SlotID) error
	// Again has a slot judged once more, at that time or with its next vote.
	Again(ctx context.Context, id availability.SlotID, at time.Time) error
	// Votes lists what was said about a slot, runs by hand left out, and the
	// slot's length as each of those runs had it.
	Votes(ctx context.Context, id availability.SlotID) ([]availability.Vote, []time.Duration, error)
	DueOf(ctx context.Context, key probes.Key, from, to time.Time) ([]availability.Due, error)
	PutSlot(ctx context.Context, s availability.Slot) error
	// FirstFinding is a stored run's first finding; false without one.
	FirstFinding(ctx context.Context, traceID string) (probes.Finding, bool, error)
	// LastGoodTrace is the newest run that was up and started before; "" when none.
	LastGoodTrace(ctx context.Context, key probes.Key, before time.Time) (string, error)
	// State is a service's machine; the zero state when it has none.
	State(ctx context.Context, service string) (incident.ServiceState, error)
	PutState(ctx context.Context, service string, st incident.ServiceState) error
	OpenServices(ctx context.Context) ([]string, error)
	CountIncidents(ctx context.Context, day string) (int, error)
	PutIncident(ctx context.Context, day string, i incident.Incident) error
	AddNote(ctx context.Context, id string, n incident.Note) error
	// Enqueue puts a delivery into the outbox unless its key is there.
	Enqueue(ctx context.Context, d alert.Delivery) error
}

// Over makes a Store of one whose Update hands out its own type of Tx.
func Over[T Tx](s interface {
	Pending(ctx context.Context, now time.Time) (bool, error)
	Update(ctx context.Context, fn func(T) error) error
},
) Store {
	return over[T]{s.Pending, s.Update}
}

type over[T Tx] struct {
	pending func(context.Context, time.Time) (bool, error)
	update  func(context.Context, func(T) error) error
}

func (o over[T]) Pending(ctx context.Context, now time.Time) (bool, error) {
	return o.pending(ctx, now)
}

func (o over[T]) Update(ctx context.Context, fn func(Tx) error) error {
	return o.update(ctx, func(tx T) error { return fn(tx) })
}

// Event says that something changed, for pages that follow live.
type Event struct {
	Kind    string // "slot" or "incident"
	Service string
	ID      string // of an incident
	Probe   string // of a slot
	// Span is the time that a slot speaks for.
	Span availability.Span
}

// Options wire an Evaluator.
type Options struct {
	Store   Store
	Catalog func() *definition.Catalog // nil before the first: until then touched slots wait
	Publish func(Event)                // after the commit; must not block
	Link    string                     // public address of the pages, for alerts
	Now     func() time.Time
	Logger  *slog.Logger
}

// Evaluator judges what comes in.
type Evaluator struct {
	Options
	kick chan struct{}
}

const (
	batch = 100              // slots a transaction: the writer is shared with ingest
	poll  = time.Second      // for slots that settle, and results whose Kick got lost
	tick  = 10 * time.Second // for what happens by the clock alone
	again = 2 * time.Second  // after a failure, such as a full disk
)

// New makes an Evaluator; Run runs it.
func New(o Options) *Evaluator {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Publish == nil {
		o.Publish = func(Event) {}
	}
	return &Evaluator{Options: o, kick: make(chan struct{}, 1)}
}

// Kick says that results came in.
func (e *Evaluator) Kick() {
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// Run judges until ctx ends, then returns nil.
func (e *Evaluator) Run(ctx context.Context) error {
	polls, ticks := time.NewTicker(poll), time.NewTicker(tick)
	defer polls.Stop()
	defer ticks.Stop()
	for {
		if err := e.drain(ctx); err != nil && ctx.Err() == nil {
			e.Logger.ErrorContext(ctx, "slots not judged", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(again):
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-e.kick:
		case <-polls.C:
		case <-ticks.C:
			if err := e.byClock(ctx); err != nil && ctx.Err() == nil {
				e.Logger.ErrorContext(ctx, "incidents not stepped by the clock", "error", err)
			}
		}
	}
}

// drain judges batch after batch until none is left.
func (e *Evaluator) drain(ctx context.Context) error {
	for e.Catalog() != nil {
		pending, err := e.Store.Pending(ctx, e.Now())
		if err != nil || !pending {
			return err
		}
		if err := e.step(ctx, e.judgeBatch); err != nil {
			return err
		}
	}
	return nil
}

// step runs fn in a transaction and tells what changed once it is committed.
func (e *Evaluator) step(ctx context.Context, fn func(context.Context, *work) error) error {
	var w *work
	err := e.Store.Update(ctx, func(tx Tx) error {
		w = &work{Tx: tx, now: e.Now().UTC(), link: e.Link, catalog: e.Catalog(), states: map[string]incident.ServiceState{}}
		if err := fn(ctx, w); err != nil {
			return err
		}
		return w.save(ctx)
	})
	if err != nil {
		return err
	}
	for _, ev := range w.events {
		e.Publish(ev)
	}
	for _, l := range w.log {
		e.Logger.InfoContext(ctx, "incident changed", "incident", l.Incident.ID, "service", l.Incident.Service, "what", string(l.Kind))
	}
	return nil
}

func (e *Evaluator) judgeBatch(ctx context.Context, w *work) error {
	ids, err := w.Touched(ctx, w.now, batch)
	if err != nil {
		return fmt.Errorf("listing touched slots: %w", err)
	}
	for _, id := range ids {
		if err := w.judge(ctx, id); err != nil {
			return fmt.Errorf("judging slot %s of %s: %w", id.Start.Format(time.RFC3339), id.Key, err)
		}
	}
	return nil
}

// byClock promotes incidents that have lasted, and ends those of probes that
// are no longer defined.
func (e *Evaluator) byClock(ctx context.Context) error {
	if e.Catalog() == nil {
		return nil
	}
	return e.step(ctx, func(ctx context.Context, w *work) error {
		services, err := w.OpenServices(ctx)
		if err != nil {
			return fmt.Errorf("listing services with an open incident: %w", err)
		}
		for _, id := range services {
			st, err := w.state(ctx, id)
			if err != nil {
				return err
			}
			st, grown := incident.Tick(st, w.now)
			st, ended := incident.Withdraw(st, w.defined, w.now)
			w.states[id] = st
			if err := w.apply(ctx, append(grown, ended...)); err != nil {
				return fmt.Errorf("stepping %s: %w", id, err)
			}
		}
		return nil
	})
}
