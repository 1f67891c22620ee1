package dashboards

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/wording"
)

// waterfall is a run's spans as nested bars over time.
type waterfall struct {
	Total time.Duration
	Ticks []string  // evenly spread from 0 to Total
	Rows  []spanRow // shown at once
	More  []spanRow // behind a fold: a page may load hundreds of resources
}

type spanRow struct {
	Name   string // in the reader's language
	Raw    string // as in the trace
	Depth  int    // 0 for the root, at most maxDepth
	X, W   float64
	Took   string
	Offset string
	Class  probes.Class
	Error  string
	Kind   string // colour of the bar: "net", "wait", "body", "step", "root", "other"
	Attrs  []attr
}

type attr struct{ Key, Value string }

const (
	trackW    = 1000.0
	maxDepth  = 6
	foldAfter = 60
)

// spanKinds colours the phases; the name beside each bar says the same.
var spanKinds = map[string]string{
	"dns": "net", "connect": "net", "proxy": "net", "tls": "net", "request": "wait", "first_byte": "wait", "body": "body",
	"navigate": "wait", "open": "wait",
}

// waterfallOf lays spans out. They come root first, then depth first by start.
func (p *page) waterfallOf(spans []probes.Span) waterfall {
	if len(spans) == 0 {
		return waterfall{}
	}
	start, end := spans[0].Start, spans[0].Start.Add(spans[0].Took)
	for _, s := range spans {
		if s.Start.Before(start) {
			start = s.Start
		}
		if e := s.Start.Add(s.Took); e.After(end) {
			end = e
		}
	}
	w := waterfall{Total: max(end.Sub(start), time.Microsecond)}
	scale := trackW / float64(w.Total)
	depth := map[string]int{}
	for i, s := range spans {
		d := 0
		if parent, ok := depth[s.Parent]; ok && s.Parent != "" {
			d = min(parent+1, maxDepth)
		}
		depth[s.ID] = d
		row := spanRow{
			Name: p.spanName(s, d), Raw: s.Name, Depth: d, Class: s.Class, Error: p.spanError(s),
			Took: millis(float64(s.Took) / 1e6), Offset: "+" + millis(float64(s.Start.Sub(start))/1e6),
			Kind: cmp.Or(spanKinds[s.Name], "other"),
		}
		if s.Start.Equal(start) {
			row.Offset = "+0 ms"
		}
		if i == 0 {
			row.Kind = "root"
		}
		// A bar stays visible however short, and inside the track.
		row.W = max(float64(s.Took)*scale, 3)
		row.X = min(float64(s.Start.Sub(start))*scale, trackW-row.W)
		for k, v := range s.Attrs {
			row.Attrs = append(row.Attrs, attr{k, v})
		}
		slices.SortFunc(row.Attrs, func(a, b attr) int { return cmp.Compare(a.Key, b.Key) })
		if len(w.Rows) < foldAfter {
			w.Rows = append(w.Rows, row)
		} else {
			w.More = append(w.More, row)
		}
	}
	for k := range 5 {
		w.Ticks = append(w.Ticks, axisTick(w.Total, k, 4))
	}
	return w
}

// spanError is what went wrong in a span: a sentence of the reader's language,
// or the trace's own text under the name of its class.
func (p *page) spanError(s probes.Span) string {
	if s.Finding != (probes.Finding{}) {
		return wording.Finding(p.Lang, s.Finding)
	}
	class := wording.Class(p.Lang, s.Class)
	if class == "" || s.Error == "" {
		return cmp.Or(s.Error, class)
	}
	return p.t("span.error", class, s.Error)
}

// spanName is a span's name for people. The root is the run, below it are steps,
// below them phases; the resources of a page all carry one name in the trace:
// their kind and address tell them apart.
func (p *page) spanName(s probes.Span, depth int) string {
	if s.Name != "resource" {
		if depth == 0 {
			return wording.Phase(p.Lang, "run")
		}
		if step := wording.Step(p.Lang, s.Name); depth == 1 && step != s.Name {
			return step
		}
		return wording.Phase(p.Lang, s.Name)
	}
	name := wording.Phase(p.Lang, s.Attrs["gengfu.resource.kind"])
	u, err := url.Parse(s.Attrs["url.full"])
	if err != nil || u.Path == "" && u.Host == "" {
		return cmp.Or(name, wording.Phase(p.Lang, s.Name))
	}
	where := u.Path
	if s.Attrs["gengfu.resource.own"] == "false" {
		where = u.Host + u.Path
	}
	return strings.TrimSpace(name + " " + where)
}

func axisTick(total time.Duration, k, of int) string {
	if k == 0 {
		return "0"
	}
	return millis(float64(total) * float64(k) / float64(of) / 1e6)
}
