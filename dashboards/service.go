package dashboards

import (
	"net/http"
	"time"

	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/probes"
)

type servicePage struct {
	view.Service
	Days, Hours strip
	Periods     []period
	ProbeCards  []probeCard
	Past        []incidentRow
	Maintenance []window
}

// period is one figure of a service with its name.
type period struct {
	Name   string
	Figure view.Figure
	Target float64 // percent; 0 for none
	Met    bool    // the availability reaches Target
}

type window struct {
	view.Window
	When string
	Now  bool
}

type probeCard struct {
	view.ProbeView
	Chart chart
	First []view.RunRow // newest
	More  []view.RunRow // behind a fold
}

const firstRuns = 6

func (s *site) service(w http.ResponseWriter, r *http.Request) {
	v, err := s.src.Service(r.Context(), r.PathValue("id"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := s.open(w, r, "overview")
	p.Title = v.Row.Name
	p.Live, p.LiveOn = "slot incident catalog", v.Row.ID
	if !v.Now.IsZero() {
		p.Now = v.Now
	}
	if v.Row.State.Verdict == probes.Down {
		p.Alarm = 1
	}
	d := servicePage{Service: v, Days: p.stripOf(v.Days, dayLayout, 4), Hours: p.stripOf(v.Hours, clockLayout, 5)}
	for _, f := range []period{
		{Name: p.t("figure.day"), Figure: v.Day}, {Name: p.t("figure.week"), Figure: v.Week}, {Name: p.t("figure.month"), Figure: v.Month},
	} {
		f.Target = v.Target
		f.Met = f.Figure.Availability != nil && *f.Figure.Availability*100 >= v.Target
		d.Periods = append(d.Periods, f)
	}
	for _, pv := range v.Probes {
		card := probeCard{ProbeView: pv, Chart: p.chartOf(pv.Latency, pv.Every), First: pv.Runs}
		if len(pv.Runs) > firstRuns {
			card.First, card.More = pv.Runs[:firstRuns], pv.Runs[firstRuns:]
		}
		d.ProbeCards = append(d.ProbeCards, card)
	}
	for _, i := range v.Incidents {
		d.Past = append(d.Past, p.incidentRow(i))
	}
	for _, m := range v.Windows {
		d.Maintenance = append(d.Maintenance, window{
			Window: m, When: span(m.From, m.To), Now: !p.Now.Before(m.From) && p.Now.Before(m.To),
		})
	}
	p.D = d
	s.render(w, r, http.StatusOK, "service.html", p)
}

// Interval is a probe's interval or timeout: "30 s", "5 min".
func (p *page) Interval(d time.Duration) string {
	if d >= time.Minute && d%time.Minute == 0 {
		return p.t("interval.minutes", int(d/time.Minute))
	}
	return p.t("interval.seconds", d.Seconds())
}
