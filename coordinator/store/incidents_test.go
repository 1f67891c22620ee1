package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/store"
	"github.com/gengfu/gengfu/probes"
)

const day = "20261125"

func anIncident(n int, service string) incident.Incident {
	return incident.Incident{
		ID: fmt.Sprintf("GZ-%s-%04d", day, n), Service: service, Name: "社保查询", Channel: probes.ChannelApp, Grade: incident.GradeOrdinary,
		Began: start.Add(time.Duration(n) * time.Hour), Opened: start.Add(time.Duration(n)*time.Hour + time.Second), FirstBad: "x",
		Probes: []probes.Key{key}, Vantages: []string{"east"},
	}
}

func put(t *testing.T, s *store.Store, list ...incident.Incident) {
	t.Helper()
	update(t, s, func(tx *store.Tx) error {
		for _, i := range list {
			if err := tx.PutIncident(t.Context(), day, i); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestIncidents(t *testing.T) {
	s := open(t, t.TempDir())
	one, two, three := anIncident(1, "a"), anIncident(2, "b"), anIncident(3, "a")
	one.Resolved = one.Began.Add(30 * time.Minute)
	put(t, s, one, two, three)
	ids := func(f store.IncidentFilter) (out []int) {
		t.Helper()
		list, err := s.Incidents(t.Context(), f)
		require.NoError(t, err)
		for _, i := range list {
			var n int
			_, err := fmt.Sscanf(i.ID, "GZ-"+day+"-%d", &n)
			require.NoError(t, err)
			out = append(out, n)
		}
		return out
	}
	require.Equal(t, []int{3, 2, 1}, ids(store.IncidentFilter{}))
	require.Equal(t, []int{3, 1}, ids(store.IncidentFilter{Service: "a"}))
	require.Equal(t, []int{3, 2}, ids(store.IncidentFilter{OpenOnly: true}))
	require.Equal(t, []int{3}, ids(store.IncidentFilter{Limit: 1}))
	require.Equal(t, []int{2, 1}, ids(store.IncidentFilter{Before: three.ID}))
	require.Equal(t, []int{1}, ids(store.IncidentFilter{Before: three.ID, Service: "a"}))
	require.Equal(t, []int{2, 1}, ids(store.IncidentFilter{From: start.Add(80 * time.Minute), To: start.Add(3 * time.Hour)}))
	require.Equal(t, []int{2}, ids(store.IncidentFilter{From: one.Resolved, To: start.Add(3 * time.Hour)}), "one was over")

	_, err := s.Incident(t.Context(), "none")
	require.ErrorIs(t, err, store.ErrNotFound)
	update(t, s, func(tx *store.Tx) error {
		n, err := tx.CountIncidents(t.Context(), day)
		require.Equal(t, 3, n)
		return err
	})
}

func TestWhatPeopleSaidIsNotOverwritten(t *testing.T) {
	s := open(t, t.TempDir())
	i := anIncident(1, "a")
	put(t, s, i)
	at := start.Add(2 * time.Hour)
	require.NoError(t, s.Ack(t.Context(), i.ID, "王工", at))
	require.NoError(t, s.Ack(t.Context(), i.ID, "李工", at.Add(time.Hour)), "the first one counts")
	require.NoError(t, s.AddNote(t.Context(), i.ID, incident.Note{At: at, By: "王工", Kind: "note", Text: "重启了网关"}))
	i.Resolved, i.Grade = at, incident.GradeMajor
	put(t, s, i) // the machine goes on with the incident as it knows it

	i.Acked, i.AckedBy = at, "王工"
	got, err := s.Incident(t.Context(), i.ID)
	require.NoError(t, err)
	require.Equal(t, i, got)
	notes, err := s.Notes(t.Context(), i.ID)
	require.NoError(t, err)
	require.Equal(t, []incident.Note{{At: at, By: "王工", Kind: "ack"}, {At: at, By: "王工", Kind: "note", Text: "重启了网关"}}, notes)

	require.ErrorIs(t, s.Ack(t.Context(), "none", "x", at), store.ErrNotFound)
	require.ErrorIs(t, s.AddNote(t.Context(), "none", incident.Note{}), store.ErrNotFound)
}

func TestStateIsKept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	i := anIncident(1, "shebao")
	st := incident.ServiceState{Probes: map[probes.Key]incident.ProbeState{key: {Slot: start, Failing: true}}, Open: &i, DownUntil: start}
	update(t, s, func(tx *store.Tx) error {
		got, err := tx.State(t.Context(), "shebao")
		require.Zero(t, got)
		require.NoError(t, err)
		require.NoError(t, tx.PutIncident(t.Context(), day, i))
		return tx.PutState(t.Context(), "shebao", st)
	})
	require.NoError(t, s.Close())
	s = open(t, dir)
	update(t, s, func(tx *store.Tx) error {
		got, err := tx.State(t.Context(), "shebao")
		require.NoError(t, err)
		require.Equal(t, st, got)
		open, err := tx.OpenServices(t.Context())
		require.Equal(t, []string{"shebao"}, open)
		return err
	})
}

func TestOutbox(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	next, err := s.NextAttempt(t.Context())
	require.NoError(t, err)
	require.True(t, next.IsZero())
	delivery := func(route string, at time.Time, state alert.State) alert.Delivery {
		return alert.Delivery{
			Route: route, State: state, Created: start, NextAttempt: at,
			Notification: alert.Notification{Key: "GZ-1/incident.opened/" + route, Event: alert.EventOpened, At: start, Incident: anIncident(1, "a"), Title: "标题"},
		}
	}
	update(t, s, func(tx *store.Tx) error {
		for _, d := range []alert.Delivery{
			delivery("late", start.Add(time.Hour), alert.StatePending), delivery("now", start, alert.StatePending),
			delivery("now", start, alert.StatePending), delivery("quiet", start, alert.StateSilenced),
		} {
			if err := tx.Enqueue(t.Context(), d); err != nil {
				return err
			}
		}
		return nil
	})
	all, err := s.Deliveries(t.Context(), "", 10)
	require.NoError(t, err)
	require.Len(t, all, 3, "one a key")
	require.Equal(t, "quiet", all[0].Route, "newest first")
	of, err := s.Deliveries(t.Context(), anIncident(1, "a").ID, 2)
	require.NoError(t, err)
	require.Len(t, of, 2)
	of, err = s.Deliveries(t.Context(), "GZ-none", 10)
	require.NoError(t, err)
	require.Empty(t, of)

	claim := func(at time.Time) []alert.Delivery {
		t.Helper()
		list, err := s.Claim(t.Context(), at, time.Minute, 10)
		require.NoError(t, err)
		return list
	}
	got := claim(start)
	require.Len(t, got, 1)
	require.Equal(t, "now", got[0].Route)
	require.Equal(t, 1, got[0].Attempts)
	require.Equal(t, delivery("now", start, alert.StatePending).Notification, got[0].Notification)
	require.Empty(t, claim(start.Add(59*time.Second)), "it is in hand")
	require.Len(t, claim(start.Add(time.Minute)), 1, "unless nobody wrote down what came of it")

	// The process dies with the delivery in hand: it is due when the next one opens the store.
	require.NoError(t, s.Close())
	s = open(t, dir)
	got = claim(start)
	require.Len(t, got, 1)
	require.Equal(t, 3, got[0].Attempts)

	// A failed one waits for its time, over a restart too.
	d := got[0]
	d.LastError, d.NextAttempt = "status 500", start.Add(10*time.Minute)
	require.NoError(t, s.Finish(t.Context(), d))
	require.NoError(t, s.Close())
	s = open(t, dir)
	require.Empty(t, claim(start.Add(9*time.Minute)))
	next, err = s.NextAttempt(t.Context())
	require.NoError(t, err)
	require.Equal(t, start.Add(10*time.Minute), next)

	d.State, d.Done, d.LastError, d.Attempts = alert.StateSent, start.Add(11*time.Minute), "", 4
	require.NoError(t, s.Finish(t.Context(), d))
	all, err = s.Deliveries(t.Context(), "", 10)
	require.NoError(t, err)
	require.Equal(t, d, all[1])
	require.Len(t, claim(start.Add(24*time.Hour)), 1, "the late one only")
}

// TestDeliveriesOfAnIncidentKeepTheirOrder: the next one is claimed only when the
// one before is no longer pending, also over a restart.
func TestDeliveriesOfAnIncidentKeepTheirOrder(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	update(t, s, func(tx *store.Tx) error {
		for _, d := range []struct {
			n     int
			route string
			event alert.Event
		}{
			{1, "a", alert.EventOpened}, {1, "b", alert.EventOpened}, {2, "a", alert.EventOpened}, {1, "a", alert.EventResolved}, {1, "b", alert.EventResolved},
		} {
			i := anIncident(d.n, "a")
			if err := tx.Enqueue(t.Context(), alert.Delivery{
				Route: d.route, State: alert.StatePending, Created: start, NextAttempt: start,
				Notification: alert.Notification{Key: alert.Key(i.ID, d.event, d.route), Event: d.event, At: start, Incident: i},
			}); err != nil {
				return err
			}
		}
		return nil
	})
	claim := func(at time.Time) []alert.Delivery {
		t.Helper()
		list, err := s.Claim(t.Context(), at, time.Minute, 10)
		require.NoError(t, err)
		return list
	}
	keys := func(list []alert.Delivery) (out []string) {
		for _, d := range list {
			out = append(out, d.Notification.Key)
		}
		return out
	}
	one, two := anIncident(1, "a").ID, anIncident(2, "a").ID
	got := claim(start)
	require.Equal(t, []string{one + "/incident.opened/a", one + "/incident.opened/b", two + "/incident.opened/a"}, keys(got))
	next, err := s.NextAttempt(t.Context())
	require.NoError(t, err)
	require.Equal(t, start.Add(time.Minute), next, "what waits for its turn is not due")

	// One goes on failing, another is given up, and then the process dies.
	got[0].LastError, got[0].NextAttempt = "status 500", start.Add(time.Hour)
	require.NoError(t, s.Finish(t.Context(), got[0]))
	got[1].State, got[1].Done = alert.StateFailed, start
	require.NoError(t, s.Finish(t.Context(), got[1]))
	require.NoError(t, s.Close())
	s = open(t, dir)
	require.Equal(t, []string{one + "/incident.resolved/b"}, keys(claim(start))[1:], "beside what was in hand")

	got[0].State, got[0].Done = alert.StateSent, start.Add(time.Hour)
	require.NoError(t, s.Finish(t.Context(), got[0]))
	require.Contains(t, keys(claim(start.Add(time.Hour))), one+"/incident.resolved/a")
}

func TestFills(t *testing.T) {
	s := open(t, t.TempDir())
	fill := func(day, row, field, value string, n int) store.Fill {
		f := store.Fill{Kind: "daily", Day: day, Row: row, Field: field, Value: value, By: "王工", At: start.Add(time.Duration(n) * time.Second)}
		require.NoError(t, s.FillCell(t.Context(), f))
		return f
	}
	fill("2026-11-25", "a", "handler", "张", 1)
	newest := fill("2026-11-25", "a", "handler", "李", 2)
	other := fill("2026-11-25", "b", "handler", "赵", 3)
	fill("2026-11-26", "a", "handler", "钱", 4)
	got, err := s.Filled(t.Context(), "daily", "2026-11-25")
	require.NoError(t, err)
	require.Equal(t, []store.Fill{newest, other}, got)
}
