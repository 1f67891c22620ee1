package dashboards

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/view"
)

type incidentsPage struct {
	OpenOnly bool
	Service  string
	Open     []incidentRow
	Closed   []incidentRow
}

func (s *site) incidents(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	d := incidentsPage{OpenOnly: q.Get("open") == "1", Service: q.Get("service")}
	list, err := s.src.Incidents(r.Context(), d.OpenOnly, d.Service)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := s.open(w, r, "incidents")
	p.Title = p.t("nav.incidents")
	p.Live, p.LiveOn = "incident", d.Service
	for _, i := range list {
		row := p.incidentRow(i)
		if i.Open() {
			d.Open = append(d.Open, row)
		} else {
			d.Closed = append(d.Closed, row)
		}
	}
	p.Alarm = len(d.Open)
	p.D = d
	s.render(w, r, http.StatusOK, "incidents.html", p)
}

type incidentPage struct {
	view.Incident
	Row      incidentRow
	Timers   []timer
	Timeline []event
}

// timer is one of the contract's clocks, as a countdown.
type timer struct {
	view.Clock
	Text    string
	Percent float64 // of the allowed time that has passed, 0 to 100
	Tone    string  // "ok", "warn", "bad", "done"
}

// event is one entry of the timeline.
type event struct {
	incident.Note
	Head   string
	Person bool
}

// warnFrom is the share of a clock's time after which it asks for attention.
const warnFrom = 80

func (s *site) incident(w http.ResponseWriter, r *http.Request) {
	v, err := s.src.Incident(r.Context(), r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := s.open(w, r, "incidents")
	p.Title = v.Incident.ID + " " + v.Incident.Name
	p.Live, p.LiveOn = "slot incident", v.Incident.Service
	if !v.Now.IsZero() {
		p.Now = v.Now
	}
	if v.Incident.Open() {
		p.Alarm = 1
	}
	d := incidentPage{Incident: v, Row: p.incidentRow(v.Incident)}
	for _, c := range v.Clocks {
		d.Timers = append(d.Timers, p.timer(c, v.Incident))
	}
	d.Timeline = p.timeline(v)
	p.D = d
	s.render(w, r, http.StatusOK, "incident.html", p)
}

func (p *page) timer(c view.Clock, i incident.Incident) timer {
	t := timer{Clock: c, Text: p.word("clock.", c.Name)}
	from := i.Opened
	if strings.HasPrefix(c.Name, "report") {
		from = i.Resolved
	}
	end := p.Now
	if !c.Done.IsZero() {
		end = c.Done
	}
	if total := c.Due.Sub(from); total > 0 {
		t.Percent = min(max(100*float64(end.Sub(from))/float64(total), 0), 100)
	}
	switch {
	case c.Late:
		t.Tone = "bad"
	case !c.Done.IsZero():
		t.Tone = "done"
	case t.Percent >= warnFrom:
		t.Tone = "warn"
	default:
		t.Tone = "ok"
	}
	return t
}

// timeline puts the incident's own moments and what people wrote in order. The
// moments come from the incident; a note of the same kind would say them twice.
func (p *page) timeline(v view.Incident) []event {
	i := v.Incident
	have := map[string]bool{}
	for _, n := range v.Notes {
		have[n.Kind] = true
	}
	notes := slices.Clone(v.Notes)
	add := func(kind string, at time.Time) {
		if !at.IsZero() && !have[kind] {
			notes = append(notes, incident.Note{At: at, Kind: kind, By: "gengfu"})
		}
	}
	add("began", i.Began)
	add("opened", i.Opened)
	if i.Withdrawn {
		add("withdrawn", i.Resolved)
	} else {
		add("resolved", i.Resolved)
	}
	if !i.Acked.IsZero() && !have["ack"] {
		notes = append(notes, incident.Note{At: i.Acked, Kind: "ack", By: i.AckedBy})
	}
	slices.SortStableFunc(notes, func(a, b incident.Note) int { return cmp.Or(a.At.Compare(b.At)) })
	var out []event
	for _, n := range notes {
		out = append(out, event{Note: n, Head: p.word("note.", n.Kind), Person: n.By != "" && n.By != "gengfu"})
	}
	slices.Reverse(out)
	return out
}

func (s *site) ack(w http.ResponseWriter, r *http.Request) {
	back := "/incidents/" + r.PathValue("id")
	by, ok := s.form(w, r, back)
	if !ok {
		return
	}
	if err := s.act.Ack(r.Context(), r.PathValue("id"), by); err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

func (s *site) note(w http.ResponseWriter, r *http.Request) {
	back := "/incidents/" + r.PathValue("id")
	by, ok := s.form(w, r, back)
	if !ok {
		return
	}
	text := cut(strings.TrimSpace(strings.ToValidUTF8(r.PostForm.Get("text"), "")), textMax)
	if text == "" {
		s.say(w, r, http.StatusUnprocessableEntity, "error.text", "error.text.text", back)
		return
	}
	if err := s.act.Note(r.Context(), r.PathValue("id"), by, text); err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}
