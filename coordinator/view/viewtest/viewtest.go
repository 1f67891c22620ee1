// Package viewtest gives tests of what is shown a real store with a small bureau
// in it.
package viewtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/store"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/semconv"
)

// Over is a store as the read side wants it.
func Over(s *store.Store) view.Store { return over{s} }

type over struct{ *store.Store }

func found[T any](v T, err error) (T, error) {
	if errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("%w: %w", view.ErrNotFound, err)
	}
	return v, err
}

func (s over) Slot(ctx context.Context, key probes.Key, start time.Time) (availability.Slot, error) {
	return found(s.Store.Slot(ctx, key, start))
}

func (s over) Run(ctx context.Context, id string) (probes.Trace, error) {
	return found(s.Store.Run(ctx, id))
}

func (s over) LastGood(ctx context.Context, key probes.Key, before time.Time) (probes.Run, error) {
	return found(s.Store.LastGood(ctx, key, before))
}

func (s over) Incident(ctx context.Context, id string) (incident.Incident, error) {
	return found(s.Store.Incident(ctx, id))
}

func (s over) Incidents(ctx context.Context, f view.IncidentFilter) ([]incident.Incident, error) {
	return s.Store.Incidents(ctx, store.IncidentFilter(f))
}

func (s over) AgentRuns(ctx context.Context, since time.Time) ([]view.AgentRuns, error) {
	list, err := s.Store.AgentRuns(ctx, since)
	var out []view.AgentRuns
	for _, r := range list {
		out = append(out, view.AgentRuns(r))
	}
	return out, err
}

func (s over) Refusal(ctx context.Context) (*view.Refusal, error) {
	r, err := s.LatestRefusal(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	v := view.Refusal(r)
	return &v, err
}

// Bureau is a store with what tests put into it.
type Bureau struct {
	Store   *store.Store
	Catalog *definition.Catalog
	Members []view.Member
	Git     view.Git
	Now     time.Time // what the Builder takes for now

	t    testing.TB
	runs int
	sent int
}

// Noon is when a Bureau begins: 12:00 in Asia/Shanghai.
var Noon = time.Date(2026, 11, 25, 4, 0, 0, 0, time.UTC)

// Commit is of the definitions in use.
const Commit = "c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ff"

// New makes a bureau with services that were due since a day before Noon.
func New(t testing.TB, services ...probes.Service) *Bureau {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	b := &Bureau{Store: s, Now: Noon, t: t, Git: view.Git{Source: "/srv/definitions", Checked: Noon}}
	b.Define(services...)
	return b
}

// Define brings services into use, as a new revision.
func (b *Bureau) Define(services ...probes.Service) {
	b.t.Helper()
	rev := definition.Revision{Seq: 1, Commit: Commit, Accepted: b.Now.Add(-24 * time.Hour), Committed: b.Now.Add(-25 * time.Hour), ServiceIDs: len(services)}
	if b.Catalog != nil {
		rev.Seq, rev.Accepted = b.Catalog.Revision.Seq+1, b.Now
	}
	var due []availability.Due
	for _, s := range services {
		rev.ProbeIDs += len(s.Probes)
		for _, p := range s.Probes {
			if s.Life != probes.LifeRetired {
				due = append(due, availability.Due{Key: p.Key, Every: p.Every, Timeout: p.Timeout, Rule: availability.Rule{Count: p.From.Count, Quorum: p.Quorum}, Revision: Commit})
			}
		}
	}
	rev.Digest = fmt.Sprintf("%064x", rev.Seq)
	require.NoError(b.t, b.Store.AcceptCatalog(b.t.Context(), rev, []byte("the files"), due))
	b.Catalog = &definition.Catalog{Revision: rev, Services: services}
}

// Builder shows the bureau.
func (b *Bureau) Builder() *view.Builder {
	return view.New(view.Options{
		Store: Over(b.Store), Catalog: func() *definition.Catalog { return b.Catalog }, SpansOf: semconv.Spans,
		Now: func() time.Time { return b.Now }, Agents: func() []view.Member { return b.Members }, Git: func() view.Git { return b.Git },
	})
}

// Service makes a published service with HTTP probes of one minute.
func Service(id string, channel probes.Channel, names ...string) probes.Service {
	s := probes.Service{
		ID: id, Name: "服务 " + id, Channel: channel, Owner: "信息中心", URL: "https://www.rsj.example.test/" + id,
		Menu: []string{"办事", id}, Life: probes.LifePublished, Source: "services/" + id + ".yaml:1",
	}
	for _, name := range names {
		s.Probes = append(s.Probes, probes.Probe{
			Key: probes.Key{Service: id, Probe: name}, Kind: "http", Every: time.Minute, Timeout: 10 * time.Second,
			From: probes.Placement{Count: 2, Spread: "site"}, Quorum: 2,
		})
	}
	return s
}

// Agent makes a live agent of a site.
func Agent(name, site string) view.Member {
	return view.Member{Name: name, Address: "127.0.0.1:7946", Labels: map[string]string{"site": site}, Commit: Commit[:12], Version: "1.0.0"}
}

// Ran stores a run of a slot that began and ended as told, with a trace of three
// spans, and returns it.
func (b *Bureau) Ran(key probes.Key, slot time.Time, vantage string, v probes.Verdict, change ...func(*probes.Run)) probes.Run {
	b.t.Helper()
	b.runs++
	r := probes.Run{
		Key: key, Slot: slot, Every: time.Minute, Channel: probes.ChannelPortal, Kind: "http", Agent: "agent-" + vantage, Vantage: vantage,
		Labels: map[string]string{"site": vantage}, Revision: Commit, Trigger: probes.TriggerSlot,
		Started: slot.Add(time.Second), Took: 300 * time.Millisecond, Late: time.Second, TraceID: fmt.Sprintf("%032x", b.runs),
		Result: probes.Result{Verdict: v, Status: 200, Steps: 1, Passed: 1, Timings: probes.Timings{Total: 300 * time.Millisecond}},
	}
	if v == probes.Down || v == probes.Degraded {
		r.Result.Class, r.Result.Status = probes.ClassStatus, 500
		r.Result.Findings = []probes.Finding{{Class: probes.ClassStatus, Want: "status < 400", Got: "status = 500 from " + vantage}}
	}
	for _, f := range change {
		f(&r)
	}
	otlp, err := proto.Marshal(traces(r))
	require.NoError(b.t, err)
	fresh, err := b.Store.Ingest(b.t.Context(), []probes.Trace{{Run: r, OTLP: otlp}})
	require.NoError(b.t, err)
	require.Equal(b.t, 1, fresh)
	return r
}

func traces(r probes.Run) *tracepb.TracesData {
	span := func(id, parent byte, name string, from, took time.Duration) *tracepb.Span {
		s := &tracepb.Span{SpanId: []byte{0, 0, 0, 0, 0, 0, 0, id}, Name: name, StartTimeUnixNano: uint64(r.Started.Add(from).UnixNano())}
		s.EndTimeUnixNano = s.StartTimeUnixNano + uint64(took)
		if parent != 0 {
			s.ParentSpanId = []byte{0, 0, 0, 0, 0, 0, 0, parent}
		}
		return s
	}
	return &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{
		span(3, 2, "connect", 20*time.Millisecond, 30*time.Millisecond),
		span(2, 1, "request", 10*time.Millisecond, 280*time.Millisecond),
		span(1, 0, "probe", 0, r.Took),
	}}}}}}
}

// Judged stores runs from two vantages and the slot that follows from them.
func (b *Bureau) Judged(key probes.Key, slot time.Time, east, west probes.Verdict, verdict probes.Verdict, reason availability.Reason) availability.Slot {
	b.t.Helper()
	s := availability.Slot{Key: key, Start: slot, Every: time.Minute, Rule: availability.Rule{Count: 2, Quorum: 2}, Verdict: verdict, Reason: reason}
	for vantage, v := range map[string]probes.Verdict{"east": east, "west": west} {
		r := b.Ran(key, slot, vantage, v)
		s.Votes = append(s.Votes, availability.Vote{
			Vantage: vantage, Agent: r.Agent, Verdict: v, Class: r.Result.Class, TraceID: r.TraceID, Started: r.Started, Took: r.Took, Trigger: r.Trigger,
		})
		if v != probes.Up {
			s.Class = r.Result.Class
		}
	}
	if verdict == probes.Up {
		s.Class = probes.ClassNone
	}
	b.update(func(tx *store.Tx) error { return tx.PutSlot(b.t.Context(), s) })
	return s
}

// Hour judges every minute of an hour alike, by verdict alone.
func (b *Bureau) Hour(key probes.Key, from time.Time, verdict probes.Verdict) {
	b.t.Helper()
	b.update(func(tx *store.Tx) error {
		for k := range 60 {
			s := availability.Slot{Key: key, Start: from.Add(time.Duration(k) * time.Minute), Every: time.Minute, Verdict: verdict, Reason: availability.ReasonAgreed}
			if err := tx.PutSlot(b.t.Context(), s); err != nil {
				return err
			}
		}
		return nil
	})
}

// Broke stores an incident of a service, the n-th of the day.
func (b *Bureau) Broke(n int, service string, began, resolved time.Time, keys ...probes.Key) incident.Incident {
	b.t.Helper()
	i := incident.Incident{
		ID: fmt.Sprintf("GZ-20261125-%04d", n), Service: service, Name: "服务 " + service, Channel: probes.ChannelPortal, Grade: incident.GradeOrdinary,
		Class: probes.ClassStatus, Probes: keys, Vantages: []string{"east", "west"}, Began: began, Opened: began.Add(5 * time.Second), Resolved: resolved,
		FirstBad: fmt.Sprintf("%032x", 1), Finding: probes.Finding{Class: probes.ClassStatus, Want: "status < 400", Got: "status = 500"},
	}
	b.update(func(tx *store.Tx) error { return tx.PutIncident(b.t.Context(), "20261125", i) })
	return i
}

// Sent puts a delivery about an incident into the outbox.
func (b *Bureau) Sent(i incident.Incident, event alert.Event, state alert.State, lastError string) {
	b.t.Helper()
	b.sent++
	d := alert.Delivery{
		Route: "值班", State: state, Created: i.Opened, NextAttempt: i.Opened, LastError: lastError,
		Notification: alert.Notification{Key: fmt.Sprintf("%s/%s/%d", i.ID, event, b.sent), Event: event, At: i.Opened, Incident: i, Title: "故障", Text: "故障发生", Link: "/incidents/" + i.ID},
	}
	if state != alert.StatePending {
		d.Done = i.Opened
	}
	b.update(func(tx *store.Tx) error { return tx.Enqueue(b.t.Context(), d) })
}

func (b *Bureau) update(do func(*store.Tx) error) {
	b.t.Helper()
	require.NoError(b.t, b.Store.Update(b.t.Context(), do))
}

// Slot makes a judged slot of one minute without votes.
func Slot(key probes.Key, start time.Time, verdict probes.Verdict) availability.Slot {
	return availability.Slot{Key: key, Start: start.UTC(), Every: time.Minute, Rule: availability.Rule{Count: 2, Quorum: 2}, Verdict: verdict, Reason: availability.ReasonAgreed}
}

// Put stores a judged slot.
func (b *Bureau) Put(s availability.Slot) {
	b.t.Helper()
	b.update(func(tx *store.Tx) error { return tx.PutSlot(b.t.Context(), s) })
}
