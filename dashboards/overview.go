package dashboards

import (
	"net/http"
	"time"

	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/probes"
)

type overviewPage struct {
	view.Overview
	Worst    probes.Verdict
	Headline string
	Sub      string
	Tiles    []tile
	Only     string // a verdict's name: only those services are shown
	Groups   []overviewGroup
	Services int
	Open     []incidentRow
}

type tile struct {
	Verdict probes.Verdict
	Count   int
	Href    string
	Current bool
}

type overviewGroup struct {
	Channel probes.Channel
	Counts  []tile
	Drafts  int
	Rows    []overviewRow
}

type overviewRow struct {
	view.ServiceRow
	Strip strip
}

// worstFirst is the order in which a person wants to hear of verdicts.
var worstFirst = []probes.Verdict{probes.Down, probes.Degraded, probes.Unknown, probes.Up}

func (s *site) overview(w http.ResponseWriter, r *http.Request) {
	o, err := s.src.Overview(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := s.open(w, r, "overview")
	p.Title = p.t("nav.overview")
	p.Live = "slot incident catalog agents"
	if !o.Now.IsZero() {
		p.Now = o.Now
	}
	d := overviewPage{Overview: o}
	if v, err := probes.ParseVerdict(r.URL.Query().Get("only")); err == nil {
		d.Only = v.String()
	}
	for _, v := range worstFirst {
		n := o.Counts[v.String()]
		d.Services += n
		t := tile{Verdict: v, Count: n, Href: "/?only=" + v.String(), Current: d.Only == v.String()}
		if t.Current {
			t.Href = "/"
		}
		d.Tiles = append(d.Tiles, t)
	}
	d.Worst, d.Headline, d.Sub = p.headline(o, d.Services)
	p.Alarm = o.Counts[probes.Down.String()]
	for _, g := range o.Channels {
		group := overviewGroup{Channel: g.Channel, Drafts: g.Drafts}
		for _, v := range worstFirst {
			if n := g.Counts[v.String()]; n > 0 {
				group.Counts = append(group.Counts, tile{Verdict: v, Count: n})
			}
		}
		for _, row := range g.Services {
			if d.Only != "" && (row.State.Verdict.String() != d.Only || row.Life == probes.LifeDraft) {
				continue
			}
			group.Rows = append(group.Rows, overviewRow{ServiceRow: row, Strip: p.stripOf(row.Recent, clockLayout, 0)})
		}
		if len(group.Rows) > 0 {
			d.Groups = append(d.Groups, group)
		}
	}
	for _, i := range o.Incidents {
		d.Open = append(d.Open, p.incidentRow(i))
	}
	p.D = d
	s.render(w, r, http.StatusOK, "overview.html", p)
}

// headline is the page's one sentence: what is wrong, or that all is well.
func (p *page) headline(o view.Overview, services int) (worst probes.Verdict, head, sub string) {
	down, degraded, unknown := o.Counts["down"], o.Counts["degraded"], o.Counts["unknown"]
	switch {
	case services == 0 && o.Drafts > 0:
		return probes.Unknown, p.t("head.drafts"), p.t("head.drafts.sub", o.Drafts)
	case services == 0:
		return probes.Unknown, p.t("head.none"), p.t("head.none.sub")
	case down > 0:
		return probes.Down, p.t("head.down", down), p.t("head.down.sub")
	case degraded > 0:
		return probes.Degraded, p.t("head.degraded", degraded), p.t("head.degraded.sub")
	case unknown == services:
		return probes.Unknown, p.t("head.blind"), p.t("head.blind.sub")
	case unknown > 0:
		return probes.Unknown, p.t("head.unknown", unknown), p.t("head.unknown.sub")
	}
	return probes.Up, p.t("head.up", services), p.t("head.up.sub")
}

// incidentRow is one incident in a list.
type incidentRow struct {
	incident.Incident
	Lasted time.Duration
	Look   probes.Verdict // how it is drawn
	State  string
}

func (p *page) incidentRow(i incident.Incident) incidentRow {
	row := incidentRow{Incident: i, Lasted: i.Lasted(p.Now).Truncate(time.Second)}
	switch {
	case i.Open():
		row.Look, row.State = probes.Down, p.t("incident.open")
	case i.Withdrawn: // nobody saw it recover, so it does not look recovered
		row.Look, row.State = probes.Unknown, p.t("incident.withdrawn")
	default:
		row.Look, row.State = probes.Up, p.t("incident.closed")
	}
	return row
}
