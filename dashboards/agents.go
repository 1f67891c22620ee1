package dashboards

import (
	"net/http"

	"github.com/gengfu/gengfu/coordinator/view"
)

type agentsPage struct {
	Agents []view.Agent
	Alive  int
	Sites  int // distinct sites of those alive
}

func (s *site) agents(w http.ResponseWriter, r *http.Request) {
	list, err := s.src.Agents(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := s.open(w, r, "agents")
	p.Title = p.t("nav.agents")
	p.Live = "agents catalog"
	d := agentsPage{Agents: list}
	sites := map[string]bool{}
	for _, a := range list {
		if a.Alive {
			d.Alive++
			sites[a.Site] = true
		}
	}
	d.Sites = len(sites)
	p.D = d
	s.render(w, r, http.StatusOK, "agents.html", p)
}
