package api

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/probes"
)

// list is a page of a longer list.
type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"` // the cursor of the following page; absent on the last
}

// whole is a list that has one page.
func whole[T any](items []T) list[T] {
	if items == nil {
		items = []T{}
	}
	return list[T]{Items: items}
}

// cut makes a page of n items of a list that was read with one item more.
func cut[T any](items []T, n int, cursor func(last T) string) list[T] {
	if len(items) <= n {
		return whole(items)
	}
	return list[T]{Items: items[:n], Next: cursor(items[n-1])}
}

// limit reads ?limit=, from 1 to most.
func limit(r *http.Request, usual, most int) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, badRequest("limit: want a number from 1 to %d, got %q", most, text)
	}
	return n, nil
}

// instant reads an RFC 3339 time or a day of Asia/Shanghai from the query.
func instant(r *http.Request, name string, usual time.Time) (time.Time, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return usual, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t, _, err = calendar.ParseDay(text)
	}
	// Times are kept as nanoseconds in 64 bits; beyond that they would wrap around.
	if err != nil || t.Year() < 1970 || t.Year() > 2261 {
		return time.Time{}, badRequest("%s: want RFC 3339 such as 2026-11-25T08:00:00+08:00 or a day such as 2026-11-25, got %q", name, text)
	}
	return t, nil
}

// yes reads a flag from the query.
func yes(r *http.Request, name string) (bool, error) {
	switch text := r.URL.Query().Get(name); text {
	case "true":
		return true, nil
	case "", "false":
		return false, nil
	default:
		return false, badRequest("%s: want true or false, got %q", name, text)
	}
}

// runsCursor names a place in a list of runs, and where the list ends: without
// ?from= that follows the clock, and must stay where it was on the first page.
type runsCursor struct {
	from  time.Time
	after view.Place
}

func (c runsCursor) String() string {
	return fmt.Sprintf("%d.%d.%s", nanos(c.from), nanos(c.after.Started), c.after.TraceID)
}

// nanos is t in Unix nanoseconds, 0 for the zero time, as the store orders runs.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func parseRunsCursor(text string) (runsCursor, error) {
	parts := strings.Split(text, ".")
	if len(parts) == 3 && len(parts[2]) == 32 && strings.Trim(parts[2], "0123456789abcdef") == "" {
		from, err := strconv.ParseInt(parts[0], 10, 64)
		started, err2 := strconv.ParseInt(parts[1], 10, 64)
		if err == nil && err2 == nil {
			return runsCursor{time.Unix(0, from), view.Place{Started: time.Unix(0, started), TraceID: parts[2]}}, nil
		}
	}
	return runsCursor{}, badCursor(text)
}

func badCursor(text string) error {
	return badRequest("cursor: want the \"next\" of an earlier page of this list, got %q", text)
}

func (s *server) runs(w http.ResponseWriter, r *http.Request) error {
	n, err := limit(r, 100, 1000)
	if err != nil {
		return err
	}
	at := runsCursor{from: s.Now().AddDate(0, 0, -7)}
	if text := r.URL.Query().Get("cursor"); text != "" {
		if at, err = parseRunsCursor(text); err != nil {
			return err
		}
	}
	if at.from, err = instant(r, "from", at.from); err != nil {
		return err
	}
	to, err := instant(r, "to", s.Now().Add(time.Minute))
	if err != nil {
		return err
	}
	key := probes.Key{Service: r.PathValue("service"), Probe: r.PathValue("probe")}
	rows, err := s.Reader.Runs(r.Context(), key, at.from, to, at.after, n+1)
	if err != nil {
		return err
	}
	if len(rows) == 0 && !s.defined(key) {
		return view.ErrNotFound
	}
	return writeJSON(w, cut(rows, n, func(last view.RunRow) string {
		return runsCursor{at.from, view.Place{Started: last.Started, TraceID: last.TraceID}}.String()
	}))
}

// defined reports whether the definitions in use have a probe.
func (s *server) defined(key probes.Key) bool {
	c := s.Reader.Catalog()
	if c == nil {
		return false
	}
	for _, sv := range c.Services {
		for _, p := range sv.Probes {
			if p.Key == key {
				return true
			}
		}
	}
	return false
}

func (s *server) incidents(w http.ResponseWriter, r *http.Request) error {
	n, err := limit(r, 100, 500)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	f := view.IncidentFilter{Service: q.Get("service"), Limit: n + 1, Before: q.Get("cursor")}
	if f.OpenOnly, err = yes(r, "open"); err != nil {
		return err
	}
	if f.From, err = instant(r, "from", time.Time{}); err != nil {
		return err
	}
	if f.To, err = instant(r, "to", time.Time{}); err != nil {
		return err
	}
	items, err := s.Reader.Incidents(r.Context(), f)
	if errors.Is(err, view.ErrCursor) {
		return badCursor(f.Before)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, cut(items, n, func(last incident.Incident) string { return last.ID }))
}

func (s *server) alerts(w http.ResponseWriter, r *http.Request) error {
	n, err := limit(r, 100, 500)
	if err != nil {
		return err
	}
	var before int64
	if text := r.URL.Query().Get("cursor"); text != "" {
		if before, err = strconv.ParseInt(text, 10, 64); err != nil || before < 1 {
			return badCursor(text)
		}
	}
	items, err := s.Reader.AlertsBefore(r.Context(), before, n+1)
	if err != nil {
		return err
	}
	return writeJSON(w, cut(items, n, func(last alert.Delivery) string { return strconv.FormatInt(last.ID, 10) }))
}
