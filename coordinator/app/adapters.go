package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/api"
	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/record"
	"github.com/gengfu/gengfu/coordinator/store"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// found maps the store's "not found" to the read side's.
func found(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: %w", view.ErrNotFound, err)
	}
	return err
}

// viewStore is the store as the read side wants it.
type viewStore struct{ *store.Store }

func (s viewStore) Slot(ctx context.Context, key probes.Key, start time.Time) (availability.Slot, error) {
	v, err := s.Store.Slot(ctx, key, start)
	return v, found(err)
}

func (s viewStore) Run(ctx context.Context, id string) (probes.Trace, error) {
	v, err := s.Store.Run(ctx, id)
	return v, found(err)
}

func (s viewStore) LastGood(ctx context.Context, key probes.Key, before time.Time) (probes.Run, error) {
	v, err := s.Store.LastGood(ctx, key, before)
	return v, found(err)
}

func (s viewStore) Incident(ctx context.Context, id string) (incident.Incident, error) {
	v, err := s.Store.Incident(ctx, id)
	return v, found(err)
}

func (s viewStore) Incidents(ctx context.Context, f view.IncidentFilter) ([]incident.Incident, error) {
	return s.Store.Incidents(ctx, store.IncidentFilter(f))
}

func (s viewStore) AgentRuns(ctx context.Context, since time.Time) ([]view.AgentRuns, error) {
	list, err := s.Store.AgentRuns(ctx, since)
	out := make([]view.AgentRuns, 0, len(list))
	for _, r := range list {
		out = append(out, view.AgentRuns(r))
	}
	return out, err
}

func (s viewStore) Refusal(ctx context.Context) (*view.Refusal, error) {
	r, err := s.LatestRefusal(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v := view.Refusal(r)
	return &v, nil
}

// reader is the read side with the catalog itself.
type reader struct {
	*view.Builder
	current func() *definition.Catalog
}

func (r reader) Catalog() *definition.Catalog { return r.current() }

// writer is what people and agents may change or fetch.
type writer struct {
	store *store.Store
	now   func() time.Time
}

func (w writer) Ack(ctx context.Context, id, by string) error {
	return found(w.store.Ack(ctx, id, by, w.now()))
}

func (w writer) Note(ctx context.Context, id, by, text string) error {
	return found(w.store.AddNote(ctx, id, incident.Note{At: w.now(), By: by, Kind: "note", Text: text}))
}

func (w writer) Evidence(ctx context.Context, sha256 string) (probes.Evidence, error) {
	e, err := w.store.Evidence(ctx, sha256)
	return e, found(err)
}

func (w writer) CatalogBody(ctx context.Context, digest string) ([]byte, error) {
	b, err := w.store.CatalogBody(ctx, digest)
	return b, found(err)
}

// pageSource is what the pages read.
type pageSource struct {
	reader
	records *records
}

func (s pageSource) Incidents(ctx context.Context, openOnly bool, service string) ([]incident.Incident, error) {
	return s.reader.Incidents(ctx, view.IncidentFilter{OpenOnly: openOnly, Service: service})
}

func (s pageSource) Catalog(ctx context.Context) (view.CatalogState, error) {
	return s.CatalogState(ctx)
}

func (s pageSource) Alerts(ctx context.Context) ([]alert.Delivery, error) {
	return s.reader.Alerts(ctx)
}

func (s pageSource) Records(ctx context.Context) ([]view.Record, error) { return s.records.List(ctx) }

func (s pageSource) Record(ctx context.Context, kind, day string) (record.Sheet, error) {
	return s.records.Sheet(ctx, kind, day)
}

// pageActions is what the pages change.
type pageActions struct {
	writer
	fills *store.Store
	poll  func()
	hub   *api.Hub
	at    func() time.Time
}

func (a pageActions) Ack(ctx context.Context, id, by string) error {
	err := a.writer.Ack(ctx, id, by)
	a.hub.Publish(api.Event{Kind: "incident", ID: id})
	return err
}

func (a pageActions) Note(ctx context.Context, id, by, text string) error {
	err := a.writer.Note(ctx, id, by, text)
	a.hub.Publish(api.Event{Kind: "incident", ID: id})
	return err
}

func (a pageActions) Fill(ctx context.Context, kind, day, row, field, value, by string) error {
	return a.fills.FillCell(ctx, store.Fill{Kind: kind, Day: day, Row: row, Field: field, Value: value, By: by, At: a.at()})
}

func (a pageActions) PollGit() { a.poll() }
