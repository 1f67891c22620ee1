package api_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/coordinator/view/viewtest"
	"github.com/gengfu/gengfu/probes"
)

var portal = probes.Key{Service: "portal", Probe: "page"}

// walk reads a list page by page, of size items, and calls between after each.
func walk[T any](h *house, path string, size int, between func(), id func(T) string) (ids []string) {
	h.t.Helper()
	cursor := ""
	for range 200 {
		q := url.Values{"limit": {fmt.Sprint(size)}}
		if cursor != "" {
			q.Set("cursor", cursor)
		}
		p := get[page[T]](h, path+"?"+q.Encode())
		require.LessOrEqual(h.t, len(p.Items), size)
		for _, v := range p.Items {
			ids = append(ids, id(v))
		}
		if cursor = p.Next; cursor == "" {
			return ids
		}
		require.Len(h.t, p.Items, size, "a page that is not the last is full")
		between()
	}
	h.t.Fatal("the list does not end")
	return nil
}

func runID(r view.RunRow) string { return r.TraceID }

// Runs that begin at the same instant, long after their slots and in another
// order than these, are each on exactly one page, whatever comes in meanwhile.
func TestPagesOfRuns(t *testing.T) {
	h := newHouse(t, viewtest.Service("portal", probes.ChannelPortal, "page"))
	began := h.Now.Add(-time.Hour)
	for n := range 7 { // all began together, of slots that go the other way
		h.Ran(portal, began.Add(-time.Duration(7-n)*time.Minute), fmt.Sprintf("v%d", n), probes.Up, func(r *probes.Run) { r.Started = began })
	}
	for n := range 4 { // an early slot that ran late, after later slots
		h.Ran(portal, began.Add(-time.Duration(n)*time.Minute), "late", probes.Up, func(r *probes.Run) {
			r.Started = began.Add(time.Duration(n) * time.Second / 2)
		})
	}
	all := walk(h, "/api/v1/probes/portal/page/runs", 1000, func() {}, runID)
	require.Len(t, all, 11)
	for size := 1; size <= 3; size++ {
		require.Equal(t, all, walk(h, "/api/v1/probes/portal/page/runs", size, func() {}, runID), "pages of %d", size)
		fresh := walk(h, "/api/v1/probes/portal/page/runs", size, func() {
			h.Now = h.Now.Add(time.Second)
			h.Ran(portal, h.Now.Truncate(time.Minute), "new", probes.Up, func(r *probes.Run) { r.Started = h.Now })
		}, runID)
		require.Equal(t, all, fresh, "pages of %d while runs come in", size)
		all = walk(h, "/api/v1/probes/portal/page/runs", 1000, func() {}, runID)
	}
}

// A run a week old does not fall off the end while somebody reads towards it.
func TestPagesOfRunsEndWhereTheyBegan(t *testing.T) {
	h := newHouse(t, viewtest.Service("portal", probes.ChannelPortal, "page"))
	for n := range 3 {
		h.Ran(portal, h.Now.AddDate(0, 0, -7).Add(time.Duration(n)*time.Minute), "east", probes.Up)
	}
	got := walk(h, "/api/v1/probes/portal/page/runs", 1, func() { h.Now = h.Now.Add(2 * time.Minute) }, runID)
	require.Len(t, got, 3)
}

func TestRunsOfAStretch(t *testing.T) {
	h := newHouse(t, viewtest.Service("portal", probes.ChannelPortal, "page"))
	for n := range 4 {
		h.Ran(portal, h.Now.Add(-time.Duration(n)*time.Minute), "east", probes.Up, func(r *probes.Run) { r.Started = r.Slot })
	}
	stretch := "from=" + h.Now.Add(-2*time.Minute).Format(time.RFC3339) + "&to=" + h.Now.Format(time.RFC3339)
	first := get[page[view.RunRow]](h, "/api/v1/probes/portal/page/runs?limit=1&"+stretch)
	require.Len(t, first.Items, 1)
	require.Equal(t, h.Now.Add(-time.Minute), first.Items[0].Started, "the end is not part of it")
	second := get[page[view.RunRow]](h, "/api/v1/probes/portal/page/runs?limit=1&cursor="+first.Next+"&"+stretch)
	require.Equal(t, h.Now.Add(-2*time.Minute), second.Items[0].Started)
	require.Empty(t, second.Next)
	narrow := get[page[view.RunRow]](h, "/api/v1/probes/portal/page/runs?from=2026-11-25&cursor="+first.Next+"&to="+h.Now.Add(-2*time.Minute).Format(time.RFC3339))
	require.Len(t, narrow.Items, 1, "a cursor does not widen the stretch")
}

func TestPagesOfIncidents(t *testing.T) {
	h := newHouse(t, viewtest.Service("portal", probes.ChannelPortal, "page"))
	began := h.Now.Add(-time.Hour)
	for n := 1; n <= 7; n++ { // at the same instant, the half of them over
		resolved := time.Time{}
		if n%2 == 0 {
			resolved = began.Add(time.Minute)
		}
		h.Broke(n, "portal", began, resolved, portal)
	}
	id := func(i incident.Incident) string { return i.ID }
	next := 8
	for size := 1; size <= 3; size++ {
		all := walk(h, "/api/v1/incidents", 500, func() {}, id)
		require.Len(t, all, next-1)
		require.Equal(t, all, walk(h, "/api/v1/incidents", size, func() {
			h.Broke(next, "portal", began, time.Time{}, portal)
			next++
		}, id), "pages of %d", size)
	}
	// What is resolved while somebody reads the open ones is no place to get lost at.
	open := get[page[incident.Incident]](h, "/api/v1/incidents?open=true&limit=1")
	h.Broke(next-1, "portal", began, h.Now, portal)
	rest := get[page[incident.Incident]](h, "/api/v1/incidents?open=true&limit=1&cursor="+open.Next)
	require.NotEqual(t, open.Items[0].ID, rest.Items[0].ID)
}

func TestPagesOfAlerts(t *testing.T) {
	h := newHouse(t, viewtest.Service("portal", probes.ChannelPortal, "page"))
	i := h.Broke(1, "portal", h.Now, time.Time{}, portal)
	next := 0
	send := func() {
		next++
		h.Sent(i, alert.EventOpened, alert.StateSent, "")
	}
	for range 7 {
		send()
	}
	id := func(d alert.Delivery) string { return fmt.Sprint(d.ID) }
	for size := 1; size <= 3; size++ {
		all := walk(h, "/api/v1/alerts", 500, func() {}, id)
		require.Len(t, all, next)
		require.Equal(t, all, walk(h, "/api/v1/alerts", size, send, id), "pages of %d", size)
	}
}
