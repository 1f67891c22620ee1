package alert

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// Outbox is what the worker asks of the store.
type Outbox interface {
	// Claim takes pending deliveries due at now, of each incident and route only
	// the oldest pending one, counts an attempt for each and postpones them by
	// lease, should this process die with them in hand.
	Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) ([]Delivery, error)
	// Finish writes a delivery's State, Attempts, NextAttempt, Done and LastError.
	Finish(ctx context.Context, d Delivery) error
	// NextAttempt is when the earliest delivery that Claim would take is due;
	// zero when there is none.
	NextAttempt(ctx context.Context) (time.Time, error)
}

// How a delivery is tried again.
const (
	firstRetry     = 5 * time.Second
	slowestRetry   = 10 * time.Minute
	giveUpAfter    = 24 * time.Hour
	permanentTries = 5 // of what the other side refused
)

const (
	batch = 16
	// lease outlasts a batch: each route stops at its first failure, and one
	// route's share of a batch takes at most batch × webhookTimeout.
	lease = batch*webhookTimeout + 20*time.Second
	// idle bounds the wait for work that nobody announced.
	idle = 30 * time.Second
	// wrapUp bounds writing down what an attempt came to while stopping.
	wrapUp = 10 * time.Second
)

// Options wire a Worker.
type Options struct {
	Store  Outbox
	Routes func() []definition.Route
	Secret func(name string) (string, error) // for ${secret:NAME} in routes
	HTTP   *http.Client                      // nil means one of its own
	Now    func() time.Time
	Logger *slog.Logger
}

// Worker empties the outbox: every delivery is tried until its channel took it,
// at least once each, over restarts.
type Worker struct {
	Options
	kick chan struct{}
}

// NewWorker makes a Worker; Run runs it.
func NewWorker(o Options) *Worker {
	if o.HTTP == nil {
		o.HTTP = &http.Client{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Worker{Options: o, kick: make(chan struct{}, 1)}
}

// Kick says that something may have been queued.
func (w *Worker) Kick() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends; then it returns nil, once nothing is in flight.
func (w *Worker) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		more, err := w.deliver(ctx)
		if more {
			continue
		}
		wait := idle
		if err == nil {
			wait, err = w.untilNext(ctx)
		}
		if err != nil && ctx.Err() == nil {
			w.Logger.ErrorContext(ctx, "outbox not readable", "error", err)
			wait = firstRetry
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-w.kick:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

func (w *Worker) untilNext(ctx context.Context) (time.Duration, error) {
	next, err := w.Store.NextAttempt(ctx)
	if err != nil || next.IsZero() {
		return idle, err
	}
	return min(max(next.Sub(w.Now()), 0), idle), nil
}

// deliver tries one batch. Routes go side by side, each in order; a route that
// fails leaves the rest of its share for later, so that a dead one never keeps
// the others waiting for long.
func (w *Worker) deliver(ctx context.Context) (more bool, err error) {
	claimed, err := w.Store.Claim(ctx, w.Now(), lease, batch)
	if err != nil || len(claimed) == 0 {
		return false, err
	}
	byRoute := map[string][]Delivery{}
	for _, d := range claimed {
		byRoute[d.Route] = append(byRoute[d.Route], d)
	}
	var wg sync.WaitGroup
	for _, list := range byRoute {
		wg.Go(func() { w.deliverRoute(ctx, list) })
	}
	wg.Wait()
	return true, nil // the next of an incident may have been waiting for one of these
}

func (w *Worker) deliverRoute(ctx context.Context, list []Delivery) {
	for n, d := range list {
		failed := w.try(ctx, &d)
		w.finish(ctx, d)
		if !failed {
			continue
		}
		for _, rest := range list[n+1:] {
			rest.Attempts--
			rest.NextAttempt = d.NextAttempt
			if rest.LastError == "" {
				rest.LastError = d.LastError
			}
			w.finish(ctx, rest)
		}
		return
	}
}

// try sends one delivery and sets where it stands then. It reports whether the
// route is out of order for now.
func (w *Worker) try(ctx context.Context, d *Delivery) (failed bool) {
	err := w.send(ctx, *d)
	now := w.Now()
	switch {
	case err == nil:
		d.State, d.Done, d.LastError = StateSent, now, ""
		w.Logger.InfoContext(ctx, "alert sent", "delivery", d.Notification.Key, "attempts", d.Attempts)
		return false
	case ctx.Err() != nil: // we stop: that is nobody's failure
		d.Attempts--
		d.NextAttempt = now
		return true
	case isPermanent(err) && d.Attempts >= permanentTries, now.Sub(d.Created) >= giveUpAfter:
		d.State, d.Done, d.LastError = StateFailed, now, err.Error()
		w.Logger.ErrorContext(ctx, "alert given up", "delivery", d.Notification.Key, "attempts", d.Attempts, "error", err)
		return false
	default:
		d.NextAttempt, d.LastError = now.Add(backoff(d.Attempts)), err.Error()
		w.Logger.WarnContext(ctx, "alert not sent", "delivery", d.Notification.Key, "attempts", d.Attempts, "next", d.NextAttempt, "error", err)
		return !isPermanent(err)
	}
}

// finish writes down where a delivery stands, also while stopping. If that
// fails, the lease runs out and the delivery is sent again, under the same key.
func (w *Worker) finish(ctx context.Context, d Delivery) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wrapUp)
	defer cancel()
	if err := w.Store.Finish(ctx, d); err != nil {
		w.Logger.ErrorContext(ctx, "delivery not written down", "delivery", d.Notification.Key, "error", err)
	}
}

// send delivers once. Its error holds no secret of the route.
func (w *Worker) send(ctx context.Context, d Delivery) error {
	var values []string
	secret := func(name string) (string, error) {
		if w.Secret == nil {
			return "", fmt.Errorf("no secret %s is set", name)
		}
		v, err := w.Secret(name)
		values = append(values, v)
		return v, err
	}
	err := func() error {
		routes := w.Routes()
		i := slices.IndexFunc(routes, func(r definition.Route) bool { return r.Name == d.Route })
		if i < 0 {
			return Permanent(fmt.Errorf("route %s is no longer defined", d.Route))
		}
		r := routes[i]
		for _, field := range []*string{&r.URL, &r.Secret} {
			var err error
			if *field, err = probes.Expand(*field, secret); err != nil {
				return fmt.Errorf("route %s: %w", r.Name, err)
			}
		}
		values = append(values, r.Secret)
		ch, err := openChannel(r, w.HTTP)
		if err != nil {
			return err
		}
		return ch.Send(ctx, d.Notification)
	}()
	if err == nil {
		return nil
	}
	clean := fmt.Errorf("%s", probes.NewRedactor(values).Text(err.Error()))
	if isPermanent(err) {
		return Permanent(clean)
	}
	return clean
}

// backoff is how long to wait after the n-th attempt, counted from 1.
func backoff(n int) time.Duration {
	d := firstRetry
	for ; n > 1 && d < slowestRetry; n-- {
		d *= 2
	}
	return min(d, slowestRetry)
}
