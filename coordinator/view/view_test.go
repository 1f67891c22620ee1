package view_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/coordinator/view/viewtest"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

func key(service string) probes.Key { return probes.Key{Service: service, Probe: "page"} }

// city has a service of every state.
func city(t *testing.T) *viewtest.Bureau {
	var list []probes.Service
	for _, id := range []string{"a-up", "b-degraded", "c-unseen", "d-down", "e-draft", "f-retired", "g-stale", "h-pending"} {
		s := viewtest.Service(id, probes.ChannelPortal, "page")
		switch id {
		case "e-draft":
			s.Life = probes.LifeDraft
		case "f-retired":
			s.Life = probes.LifeRetired
		}
		list = append(list, s)
	}
	b := viewtest.New(t, list...)
	b.Members = []view.Member{viewtest.Agent("agent-east", "east"), viewtest.Agent("agent-west", "west")}
	slot := b.Now.Add(-time.Minute)
	b.Judged(key("a-up"), slot, probes.Up, probes.Up, probes.Up, availability.ReasonAgreed)
	b.Judged(key("b-degraded"), slot, probes.Down, probes.Up, probes.Degraded, availability.ReasonPartial)
	b.Judged(key("d-down"), slot, probes.Down, probes.Down, probes.Down, availability.ReasonAgreed)
	b.Judged(key("e-draft"), slot, probes.Down, probes.Down, probes.Down, availability.ReasonAgreed)
	b.Judged(key("g-stale"), slot.Add(-time.Hour), probes.Up, probes.Up, probes.Up, availability.ReasonAgreed)
	b.Judged(key("h-pending"), slot.Add(-time.Minute), probes.Up, probes.Up, probes.Up, availability.ReasonAgreed)
	pending := viewtest.Slot(key("h-pending"), slot, probes.Unknown)
	pending.Reason = availability.ReasonPending
	b.Put(pending)
	return b
}

func TestOverview(t *testing.T) {
	b := city(t)
	began := b.Now.Add(-time.Minute)
	i := b.Broke(1, "d-down", began, time.Time{}, key("d-down"))
	o, err := b.Builder().Overview(t.Context())
	require.NoError(t, err)
	require.Len(t, o.Channels, 1)
	var order []string
	rows := map[string]view.ServiceRow{}
	for _, r := range o.Channels[0].Services {
		order = append(order, r.ID)
		rows[r.ID] = r
	}
	require.Equal(t, []string{"d-down", "b-degraded", "c-unseen", "g-stale", "a-up", "h-pending", "e-draft"}, order, "worst first, drafts last, none retired")
	require.Equal(t, map[string]int{"down": 1, "degraded": 1, "unknown": 2, "up": 2}, o.Counts)
	require.Equal(t, o.Counts, o.Channels[0].Counts)
	require.Equal(t, 1, o.Drafts)
	require.Equal(t, i.ID, rows["d-down"].Incident)
	require.Equal(t, began, rows["d-down"].State.Since)
	require.Contains(t, rows["d-down"].State.Finding.Got, "status = 500")
	require.Equal(t, "status = 500 from east", rows["b-degraded"].State.Finding.Got, "of the worst vote")
	require.True(t, rows["g-stale"].State.Stale)
	require.False(t, rows["c-unseen"].State.Stale, "never seen is not seen long ago")
	require.Equal(t, probes.Up, rows["h-pending"].State.Verdict, "a slot that waits for voices says nothing yet")
	require.Nil(t, rows["c-unseen"].Today.Availability, "nothing known is no figure")
	require.NotNil(t, rows["c-unseen"].Today.Coverage)
	require.Equal(t, 0.0, *rows["d-down"].Today.Availability)
	require.Len(t, rows["a-up"].Recent, 24)
	require.Equal(t, 300*time.Millisecond, rows["a-up"].Latency)
	require.Equal(t, view.AgentsSummary{Alive: 2, Known: 2}, o.Agents)
	require.Empty(t, o.Warnings)
}

func kinds(list []view.Warning) (out []string) {
	for _, w := range list {
		out = append(out, w.Kind)
	}
	return out
}

func TestWarnings(t *testing.T) {
	b := city(t)
	b.Members = b.Members[:1] // the west's is gone, and is known by its runs
	b.Members[0].Commit = "0123456789ab"
	b.Git.Error = "connection refused"
	require.NoError(t, b.Store.RefuseCatalog(t.Context(), "badc0debadc0de", "王敏", "改", b.Now, []string{"x", "y"}))
	i := b.Broke(1, "d-down", b.Now, time.Time{}, key("d-down"))
	b.Sent(i, alert.EventOpened, alert.StateFailed, "HTTP 500")
	o, err := b.Builder().Overview(t.Context())
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"catalog_refused", "git", "agent_behind", "agents_missing", "spread", "alert_failed"}, kinds(o.Warnings))
	b.Members, b.Catalog = nil, nil
	o, err = b.Builder().Overview(t.Context())
	require.NoError(t, err)
	require.Contains(t, kinds(o.Warnings), "catalog_missing")
	require.Empty(t, o.Channels)
}

func TestServicePage(t *testing.T) {
	b := city(t)
	today := time.Date(2026, 11, 24, 16, 0, 0, 0, time.UTC) // midnight in Asia/Shanghai
	b.Hour(key("d-down"), today.Add(2*time.Hour), probes.Up)
	b.Hour(key("d-down"), today.Add(3*time.Hour), probes.Down)
	b.Catalog.Calendar.Maintenance = []definition.Maintenance{
		{Services: []string{"d-down"}, From: today.Add(3 * time.Hour), To: today.Add(3*time.Hour + 30*time.Minute), Reason: "past"},
		{From: b.Now, To: b.Now.Add(time.Hour), Reason: "升级"},
		{Services: []string{"a-up"}, From: b.Now, To: b.Now.Add(time.Hour), Reason: "another's"},
	}
	over := b.Broke(1, "d-down", b.Now.Add(-9*time.Hour), b.Now.Add(-8*time.Hour), key("d-down"))
	s, err := b.Builder().Service(t.Context(), "d-down")
	require.NoError(t, err)
	require.Empty(t, s.Row.Incident)
	require.NotEqual(t, over.Began, s.Row.State.Since, "what is over is not since when it is down")
	require.Equal(t, b.Now.Add(-time.Minute), s.Row.State.Since)
	require.Equal(t, []incident.Incident{over}, s.Incidents)
	require.Equal(t, []view.Window{{From: b.Now, To: b.Now.Add(time.Hour), Reason: "升级"}}, s.Windows)
	require.Len(t, s.Days, 90)
	require.Equal(t, probes.Down, s.Days[89].Verdict)
	require.Equal(t, probes.Unknown, s.Days[0].Verdict)
	require.InDelta(t, 31*60, s.Day.DownSeconds, 0.001, "maintenance is told apart")
	require.InDelta(t, 30*60, s.Day.Maintenance, 0.001)
	require.Len(t, s.Probes, 1)
	require.Equal(t, key("d-down"), s.Probes[0].Key)
	require.ElementsMatch(t, []string{"agent-east", "agent-west"}, s.Probes[0].Owners)
	require.Len(t, s.Probes[0].Runs, 2)
	require.Len(t, s.Probes[0].Latency, 2)
	_, err = b.Builder().Service(t.Context(), "no")
	require.ErrorIs(t, err, view.ErrNotFound)
}

func TestRunPage(t *testing.T) {
	b := viewtest.New(t, viewtest.Service("a", probes.ChannelPortal, "page"))
	good := b.Ran(key("a"), b.Now.Add(-2*time.Minute), "east", probes.Up)
	slot := b.Judged(key("a"), b.Now.Add(-time.Minute), probes.Down, probes.Down, probes.Down, availability.ReasonAgreed)
	r, err := b.Builder().Run(t.Context(), slot.Votes[0].TraceID)
	require.NoError(t, err)
	require.Equal(t, "服务 a", r.Service)
	require.Equal(t, good.TraceID, r.LastGood)
	require.Equal(t, slot.Start, r.Slot.Start)
	require.Len(t, r.Spans, 3)
	require.Equal(t, []string{"probe", "request", "connect"}, []string{r.Spans[0].Name, r.Spans[1].Name, r.Spans[2].Name}, "root first, then depth first")
	require.Equal(t, 30*time.Millisecond, r.Spans[2].Took)
	r, err = b.Builder().Run(t.Context(), good.TraceID)
	require.NoError(t, err)
	require.Empty(t, r.LastGood)
	require.Nil(t, r.Slot, "not judged yet")
	_, err = b.Builder().Run(t.Context(), "no")
	require.ErrorIs(t, err, view.ErrNotFound)
}

// An incident of hours shows how it began and how it ended, not the middle.
func TestIncidentPage(t *testing.T) {
	b := viewtest.New(t, viewtest.Service("a", probes.ChannelPortal, "page"))
	began, resolved := b.Now.Add(-5*time.Hour), b.Now.Add(-time.Hour)
	for k := -10; k < 250; k++ {
		at, v := began.Add(time.Duration(k)*time.Minute), probes.Down
		if at.Before(began) || !at.Before(resolved) {
			v = probes.Up
		}
		b.Ran(key("a"), at, "east", v, func(r *probes.Run) { r.Started = at })
	}
	i := b.Broke(1, "a", began, resolved, key("a"))
	require.NoError(t, b.Store.AddNote(t.Context(), i.ID, incident.Note{At: b.Now, By: "王敏", Kind: "note", Text: "看过"}))
	b.Sent(i, alert.EventOpened, alert.StateSent, "")
	page, err := b.Builder().Incident(t.Context(), i.ID)
	require.NoError(t, err)
	require.Equal(t, "信息中心", page.Owner)
	require.Len(t, page.Notes, 1)
	require.Len(t, page.Deliveries, 1)
	require.Equal(t, []view.Clock{
		{Name: "resolve_2h", Due: i.Opened.Add(2 * time.Hour), Done: resolved, Late: true},
		{Name: "respond_8h", Due: i.Opened.Add(8 * time.Hour), Done: b.Now},
		{Name: "report_24h", Due: resolved.Add(24 * time.Hour)},
	}, page.Clocks)
	var at []time.Time
	for _, r := range page.Runs {
		at = append(at, r.Started)
	}
	require.Contains(t, at, began)
	require.Contains(t, at, began.Add(-time.Minute), "the last good before it")
	require.Contains(t, at, resolved)
	require.Contains(t, at, resolved.Add(-time.Minute))
	require.NotContains(t, at, began.Add(2*time.Hour))
	require.LessOrEqual(t, len(at), 24)
	_, err = b.Builder().Incident(t.Context(), "no")
	require.ErrorIs(t, err, view.ErrNotFound)
}
