package app

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// longSilence is from when on a silence looks like one that was forgotten.
const longSilence = 90 * 24 * time.Hour

// warnings lists what is allowed and yet probably not meant. Routes, calendar and
// silences are looked at only when c is whole.
func warnings(c *definition.Catalog, whole bool) []remark {
	w := &warner{}
	named, coded := map[string]string{}, map[string]string{}
	for _, s := range c.Services {
		w.service(s, named, coded)
		for _, p := range s.Probes {
			w.probe(p)
		}
	}
	if whole {
		w.routes(c)
		for _, s := range c.Silences {
			if d := s.To.Sub(s.From); d > longSilence {
				w.at(s.Source, "silences for %d days; did you mean an earlier end?", int(d.Hours()/24))
			}
		}
	}
	slices.SortStableFunc(w.out, byPlace)
	return w.out
}

type warner struct{ out []remark }

// at notes a warning about what stands at source, "file:line".
func (w *warner) at(source, format string, args ...any) {
	r := remark{File: source, Text: fmt.Sprintf(format, args...)}
	if i := strings.LastIndexByte(source, ':'); i >= 0 {
		if line, err := strconv.Atoi(source[i+1:]); err == nil {
			r.File, r.Line = source[:i], line
		}
	}
	w.out = append(w.out, r)
}

func (w *warner) service(s probes.Service, named, coded map[string]string) {
	if len(s.Probes) == 0 && s.Life != probes.LifeRetired {
		w.at(s.Source, "service %s has no probes: nobody looks at it", s.ID)
	}
	if s.Owner == "" {
		w.at(s.Source, "service %s has no owner: alerts and records name nobody in charge", s.ID)
	}
	if s.Life == probes.LifeRetired {
		return
	}
	if first, twice := named[s.Name]; twice {
		w.at(s.Source, "service %s has the same name as %s: pages and documents cannot tell them apart", s.ID, first)
	} else {
		named[s.Name] = s.ID
	}
	if s.Code == "" {
		return
	}
	if first, twice := coded[s.Code]; twice {
		w.at(s.Source, "service %s has the same code as %s", s.ID, first)
	} else {
		coded[s.Code] = s.ID
	}
}

// probe looks at the quorum. More agents than from.count may speak, since others
// are asked to confirm a failure; but they stand where from.match allows, and
// agents of one site are one voice.
func (w *warner) probe(p probes.Probe) {
	if site, pinned := p.From.Match["site"]; pinned && p.Quorum > 1 {
		w.at(p.Source, "quorum %d of %s is never reached: from.match allows the site %s alone, and agents of one site are one voice; it will never be down", p.Quorum, p.Key, site)
	}
	if p.From.Count > 1 && p.Quorum == 1 {
		w.at(p.Source, "quorum 1 of %s lets one agent's bad line become an outage, though %d agents look; did you mean 2?", p.Key, p.From.Count)
	}
}

func (w *warner) routes(c *definition.Catalog) {
	if len(c.Routes) == 0 {
		w.at("routes.yaml:1", "there are no routes: alerts go nowhere")
		return
	}
	var missing []string
	for _, ch := range probes.Channels() {
		used := slices.ContainsFunc(c.Services, func(s probes.Service) bool { return s.Channel == ch && s.Life == probes.LifePublished })
		routed := slices.ContainsFunc(c.Routes, func(r definition.Route) bool {
			return len(r.Channels) == 0 || slices.Contains(r.Channels, ch)
		})
		if used && !routed {
			missing = append(missing, string(ch))
		}
	}
	if len(missing) > 0 {
		w.at(c.Routes[0].Source, "no route takes alerts of the channels %s: they go nowhere", strings.Join(missing, ", "))
	}
}
