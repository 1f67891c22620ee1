package dashboards

import (
	"net/http"
	"regexp"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/view"
)

type definitionsPage struct {
	view.CatalogState
	Mistakes []mistake
	Polled   bool
}

// mistake is a refused commit's mistake with its place told apart.
type mistake struct{ Place, Text string }

var placed = regexp.MustCompile(`^(\S+\.ya?ml(?::\d+){0,2}): (?s:(.*))$`)

func (s *site) definitions(w http.ResponseWriter, r *http.Request) {
	c, err := s.src.Catalog(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := s.open(w, r, "definitions")
	p.Title = p.t("nav.definitions")
	p.Live = "catalog"
	d := definitionsPage{CatalogState: c, Polled: r.URL.Query().Get("polled") == "1"}
	if c.Refused != nil {
		for _, text := range c.Refused.Mistakes {
			if m := placed.FindStringSubmatch(text); m != nil {
				d.Mistakes = append(d.Mistakes, mistake{m[1], m[2]})
			} else {
				d.Mistakes = append(d.Mistakes, mistake{"", text})
			}
		}
	}
	p.D = d
	s.render(w, r, http.StatusOK, "definitions.html", p)
}

func (s *site) poll(w http.ResponseWriter, r *http.Request) {
	s.act.PollGit()
	http.Redirect(w, r, "/definitions?polled=1", http.StatusSeeOther)
}

type alertsPage struct{ Deliveries []alert.Delivery }

func (s *site) alerts(w http.ResponseWriter, r *http.Request) {
	list, err := s.src.Alerts(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := s.open(w, r, "alerts")
	p.Title = p.t("nav.alerts")
	p.Live = "incident"
	p.D = alertsPage{list}
	s.render(w, r, http.StatusOK, "alerts.html", p)
}
