package evaluate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// work is one transaction's worth of evaluation.
type work struct {
	Tx
	now     time.Time
	link    string
	catalog *definition.Catalog
	states  map[string]incident.ServiceState
	events  []Event
	log     []incident.Effect
}

func (w *work) state(ctx context.Context, service string) (incident.ServiceState, error) {
	if st, ok := w.states[service]; ok {
		return st, nil
	}
	st, err := w.State(ctx, service)
	if err != nil {
		return st, fmt.Errorf("reading the state of %s: %w", service, err)
	}
	return st, nil
}

// save writes the machines that moved.
func (w *work) save(ctx context.Context) error {
	for _, service := range slices.Sorted(maps.Keys(w.states)) {
		if err := w.PutState(ctx, service, w.states[service]); err != nil {
			return fmt.Errorf("writing the state of %s: %w", service, err)
		}
	}
	return nil
}

// judge judges one slot, and steps its service's machine.
func (w *work) judge(ctx context.Context, id availability.SlotID) error {
	if err := w.Judged(ctx, id); err != nil {
		return fmt.Errorf("taking it from the touched: %w", err)
	}
	votes, lengths, err := w.Votes(ctx, id)
	if err != nil {
		return fmt.Errorf("reading its votes: %w", err)
	}
	if len(votes) == 0 {
		return nil
	}
	due, ok, err := w.dueAt(ctx, id, lengths)
	if err != nil || !ok {
		return err // what was never due is kept as a run and counts for nothing
	}
	if votes = availability.Timely(id.Start, due.Every, votes); len(votes) == 0 {
		return nil
	}
	slot := availability.Slot{Key: id.Key, Start: id.Start, Every: due.Every, Rule: due.Rule}
	settles := availability.SettleAt(id.Start, due.Timeout, votes)
	slot.Verdict, slot.Class, slot.Reason, slot.Votes = availability.Judge(due.Rule, votes, !w.now.Before(settles))
	if slot.Reason == availability.ReasonPending {
		if err := w.Again(ctx, id, settles); err != nil {
			return fmt.Errorf("waiting for its voices: %w", err)
		}
	}
	if err := w.PutSlot(ctx, slot); err != nil {
		return err
	}
	w.events = append(w.events, Event{
		Kind: "slot", Service: id.Key.Service, Probe: id.Key.Probe, Span: availability.Span{From: slot.Start, To: slot.End()},
	})

	service, ok := w.catalog.Service(id.Key.Service)
	if !ok || !w.defined(id.Key) {
		return nil // withdrawn: for the record only
	}
	st, err := w.state(ctx, id.Key.Service)
	if err != nil {
		return err
	}
	var failed error
	st, effects := incident.Next(st, incident.SlotJudged{
		Slot: slot, Name: service.Name, Channel: service.Channel,
		Draft:       service.Life == probes.LifeDraft,
		Maintenance: w.maintained(service.ID, slot.Start),
	}, w.now, func(i incident.Incident) incident.Incident {
		i, failed = w.complete(ctx, id.Key, i)
		return i
	})
	if failed != nil {
		return fmt.Errorf("opening an incident: %w", failed)
	}
	w.states[id.Key.Service] = st
	return w.apply(ctx, effects)
}

// dueAt finds the demand a slot stood under. The runs' own length decides
// between two that share it: a probe may have been redefined inside the slot,
// and a new probe's first slot began before the probe was due. The slot keeps
// the runs' length when no demand has it, as with an agent that is behind.
func (w *work) dueAt(ctx context.Context, id availability.SlotID, lengths []time.Duration) (availability.Due, bool, error) {
	longest := slices.Max(lengths)
	list, err := w.DueOf(ctx, id.Key, id.Start, id.Start.Add(longest))
	if err != nil {
		return availability.Due{}, false, fmt.Errorf("reading what was due: %w", err)
	}
	for _, d := range list {
		if slices.Contains(lengths, d.Every) && d.Span.From.Before(id.Start.Add(d.Every)) {
			return d, true, nil
		}
	}
	if len(list) == 0 {
		return w.draftDue(id.Key)
	}
	d := list[0]
	d.Every = longest
	return d, true, nil
}

// draftDue is the demand on a draft's probe. A draft is not in the ledger, since
// it counts for no record, but its pages show what it would be.
func (w *work) draftDue(key probes.Key) (availability.Due, bool, error) {
	s, ok := w.catalog.Service(key.Service)
	if !ok || s.Life != probes.LifeDraft {
		return availability.Due{}, false, nil
	}
	p, ok := w.catalog.Probe(key)
	if !ok {
		return availability.Due{}, false, nil
	}
	return availability.Due{
		Key: key, Every: p.Every, Timeout: p.Timeout, Rule: availability.Rule{Count: p.From.Count, Quorum: p.Quorum},
	}, true, nil
}

// complete gives a new incident its number and what only the store knows.
func (w *work) complete(ctx context.Context, key probes.Key, i incident.Incident) (incident.Incident, error) {
	day := i.Opened.In(calendar.Zone).Format("20060102")
	n, err := w.CountIncidents(ctx, day)
	if err != nil {
		return i, fmt.Errorf("numbering it: %w", err)
	}
	i.ID = fmt.Sprintf("GZ-%s-%04d", day, n+1)
	if i.Finding, _, err = w.FirstFinding(ctx, i.FirstBad); err != nil {
		return i, fmt.Errorf("reading run %s: %w", i.FirstBad, err)
	}
	if i.LastGood, err = w.LastGoodTrace(ctx, key, i.Began); err != nil {
		return i, fmt.Errorf("looking for the last good run of %s: %w", key, err)
	}
	// Written at once: the next incident of this transaction counts it.
	return i, w.PutIncident(ctx, day, i)
}

var announced = map[incident.EffectKind]alert.Event{
	incident.Opened:      alert.EventOpened,
	incident.BecameMajor: alert.EventMajor,
	incident.Resolved:    alert.EventResolved,
	incident.Withdrawn:   alert.EventWithdrawn,
}

// apply writes what happened to incidents: the incidents, notes and alerts.
func (w *work) apply(ctx context.Context, effects []incident.Effect) error {
	for _, f := range effects {
		i := f.Incident
		day := i.Opened.In(calendar.Zone).Format("20060102")
		if err := w.PutIncident(ctx, day, i); err != nil {
			return err
		}
		w.events = append(w.events, Event{Kind: "incident", Service: i.Service, ID: i.ID})
		w.log = append(w.log, f)
		event, ok := announced[f.Kind]
		if !ok {
			continue
		}
		if err := w.AddNote(ctx, i.ID, incident.Note{At: w.now, By: "gengfu", Kind: string(f.Kind)}); err != nil {
			return fmt.Errorf("noting it: %w", err)
		}
		if err := w.enqueue(ctx, event, i); err != nil {
			return fmt.Errorf("queueing alerts: %w", err)
		}
	}
	return nil
}

// enqueue queues one delivery for each route that wants it. A silenced one is
// queued too, as a fact that can be seen, but not sent.
func (w *work) enqueue(ctx context.Context, event alert.Event, i incident.Incident) error {
	state, done := alert.StatePending, time.Time{}
	if w.silenced(i.Service, w.now) || w.maintained(i.Service, w.now) {
		state, done = alert.StateSilenced, w.now
	}
	for _, r := range w.catalog.Routes {
		if len(r.Channels) > 0 && !slices.Contains(r.Channels, i.Channel) {
			continue
		}
		d := alert.Delivery{
			Route: r.Name, Notification: alert.Compose(event, i, r.Name, w.link, w.now),
			State: state, Created: w.now, NextAttempt: w.now, Done: done,
		}
		if err := w.Enqueue(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// defined reports whether a probe is in use: defined, and its service not retired.
func (w *work) defined(key probes.Key) bool {
	s, ok := w.catalog.Service(key.Service)
	if !ok || s.Life == probes.LifeRetired {
		return false
	}
	_, ok = w.catalog.Probe(key)
	return ok
}

func (w *work) maintained(service string, at time.Time) bool {
	return slices.ContainsFunc(w.catalog.Calendar.Maintenance, func(m definition.Maintenance) bool {
		return covers(m.Services, m.From, m.To, service, at)
	})
}

func (w *work) silenced(service string, at time.Time) bool {
	return slices.ContainsFunc(w.catalog.Silences, func(s definition.Silence) bool {
		return covers(s.Services, s.From, s.To, service, at)
	})
}

// covers reports whether a window holds a service and an instant.
func covers(services []string, from, to time.Time, service string, at time.Time) bool {
	return !at.Before(from) && at.Before(to) && (len(services) == 0 || slices.Contains(services, service))
}
