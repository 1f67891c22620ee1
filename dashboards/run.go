package dashboards

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/wording"
)

type runPage struct {
	view.Run
	Fall     waterfall
	Pictures []picture
	Texts    []picture // evidence that is no picture
	Compare  []comparison
	Good     *view.Run // the last good run, when this one was not up
	GoodPic  []picture
	Measures []attr
}

// picture is a piece of evidence with its address.
type picture struct {
	Kind, Href string
	Size       int
}

// comparison is one line of this run against the last good one.
type comparison struct {
	Name, This, Good string
	Differs          bool
}

func (s *site) run(w http.ResponseWriter, r *http.Request) {
	v, err := s.src.Run(r.Context(), r.PathValue("trace"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := s.open(w, r, "overview")
	p.Title = p.t("run.title", v.Service)
	d := runPage{Run: v, Fall: p.waterfallOf(v.Spans), Measures: measures(v.Run.Result.Measures)}
	d.Pictures, d.Texts = evidence(v.Run.Result.Evidence)
	if v.LastGood != "" && v.LastGood != v.Run.TraceID {
		good, err := s.src.Run(r.Context(), v.LastGood)
		switch {
		case err == nil:
			d.Good, d.Compare = &good, p.compare(v.Run, good.Run)
			d.GoodPic, _ = evidence(good.Run.Result.Evidence)
		case !errors.Is(err, view.ErrNotFound):
			s.fail(w, r, err)
			return
		}
	}
	p.D = d
	s.render(w, r, http.StatusOK, "run.html", p)
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// evidence sorts evidence into pictures that a page may show and the rest. A
// name that is no digest is left out: it could be any path.
func evidence(list []probes.Evidence) (pictures, rest []picture) {
	for _, e := range list {
		if !sha256Hex.MatchString(e.SHA256) {
			continue
		}
		pic := picture{Kind: e.Kind, Href: "/api/v1/evidence/" + e.SHA256, Size: e.Size}
		if slices.Contains([]string{"image/jpeg", "image/png", "image/webp"}, e.MIME) {
			pictures = append(pictures, pic)
		} else {
			rest = append(rest, pic)
		}
	}
	return pictures, rest
}

func measures(m map[string]float64) []attr {
	var out []attr
	for k, v := range m {
		text := strconv.FormatFloat(v, 'f', -1, 64)
		if name, ok := strings.CutSuffix(k, "_ms"); ok {
			k, text = name, millis(v)
		}
		out = append(out, attr{k, text})
	}
	slices.SortFunc(out, func(a, b attr) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// compare lists what tells a failure from the last good run.
func (p *page) compare(this, good probes.Run) []comparison {
	a, b := this.Result, good.Result
	text := func(key, x, y string) comparison {
		return comparison{Name: p.t(key), This: orNone(x), Good: orNone(y), Differs: x != y}
	}
	// A time differs when it is at least twice the other and the difference can be felt.
	took := func(name string, x, y time.Duration) comparison {
		far := max(x, y) >= 2*min(x, y) && max(x, y)-min(x, y) >= 100*time.Millisecond
		return comparison{Name: name, This: p.MS(x), Good: p.MS(y), Differs: far}
	}
	phase := func(name string) string { return wording.Phase(p.Lang, name) }
	list := []comparison{
		text("run.status", number(a.Status), number(b.Status)),
		text("run.url", a.URL, b.URL),
		text("run.page_title", a.Title, b.Title),
		text("run.ip", a.IP, b.IP),
		took(phase("dns"), a.Timings.DNS, b.Timings.DNS),
		took(phase("connect"), a.Timings.Connect, b.Timings.Connect),
		took(phase("tls"), a.Timings.TLS, b.Timings.TLS),
		took(phase("first_byte"), a.Timings.FirstByte, b.Timings.FirstByte),
		took(phase("body"), a.Timings.Body, b.Timings.Body),
		took(p.t("run.total"), a.Timings.Total, b.Timings.Total),
		text("run.cert", date(a.TLSUntil), date(b.TLSUntil)),
		text("run.revision", p.Short(this.Revision), p.Short(good.Revision)),
	}
	if a.Steps > 0 || b.Steps > 0 {
		list = append(list, text("run.steps", steps(a), steps(b)))
	}
	return slices.DeleteFunc(list, func(c comparison) bool { return c.This == none && c.Good == none })
}

func steps(r probes.Result) string { return strconv.Itoa(r.Passed) + "/" + strconv.Itoa(r.Steps) }

// Steps is how many steps passed, 「3/5」.
func (p *page) Steps(r probes.Result) string { return steps(r) }

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(calendar.Zone).Format(time.DateOnly)
}

// Labels writes labels as "isp=联通, site=…", ordered by name.
func (p *page) Labels(m map[string]string) []attr {
	var out []attr
	for k, v := range m {
		out = append(out, attr{k, v})
	}
	slices.SortFunc(out, func(a, b attr) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// DaysLeft is how many whole days a certificate is still valid; negative when it ended.
func (p *page) DaysLeft(t time.Time) int {
	d := t.Sub(p.Now)
	days := int(d / (24 * time.Hour))
	if d < 0 {
		days--
	}
	return days
}
