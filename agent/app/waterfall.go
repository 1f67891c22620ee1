package app

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/wording"
)

const (
	barColumns     = 40
	maxNameColumns = 40
	maxBars        = 60 // a page may load hundreds of resources
)

var (
	wordSpan  = pair{"瀑布图", "waterfall"}
	wordStart = pair{"开始ms", "start ms"}
	wordLong  = pair{"用时ms", "took ms"}
	wordMore  = pair{"另有 %d 段未列出，-json 全部列出", "%d more spans are not shown; -json shows all"}
)

// bar is one line of a waterfall.
type bar struct {
	name        string
	start, took time.Duration // from the run's start
	failed      bool
	reason      string
}

// waterfall draws spans, which come root first and depth first: name, start
// within the run, length, and a bar. Bars of "=" went well, bars of "x" did not;
// the reason stands below.
func waterfall(l wording.Lang, spans []probes.Span) string {
	if len(spans) == 0 {
		return ""
	}
	bars, left := barsOf(l, spans)
	whole := time.Duration(1)
	names := []string{wordSpan.in(l)}
	for _, r := range bars {
		whole = max(whole, r.start+r.took)
		names = append(names, r.name)
	}
	name := widest(maxNameColumns, names...)
	var b strings.Builder
	end := millis(whole)
	fmt.Fprintf(&b, "%s  %s  %s   0%s\n", pad(wordSpan.in(l), name), right(wordStart.in(l), 8), right(wordLong.in(l), 8), right(end, barColumns-1))
	for _, r := range bars {
		from := min(int(int64(barColumns)*int64(r.start)/int64(whole)), barColumns-1)
		long := min(max(int((int64(barColumns)*int64(r.took)+int64(whole)/2)/int64(whole)), 1), barColumns-from)
		mark := "="
		if r.failed {
			mark = "x"
		}
		fmt.Fprintf(&b, "%s  %8s  %8s  |%s%s%s|\n", pad(r.name, name), millis(r.start), millis(r.took),
			strings.Repeat(" ", from), strings.Repeat(mark, long), strings.Repeat(" ", barColumns-from-long))
		if r.reason != "" {
			indent := len(r.name) - len(strings.TrimLeft(r.name, " "))
			fmt.Fprintf(&b, "%s  ! %s\n", strings.Repeat(" ", indent), r.reason)
		}
	}
	if left > 0 {
		fmt.Fprintf(&b, wordMore.in(l)+"\n", left)
	}
	return b.String()
}

// barsOf makes the lines, leaving out how many of those that went well when
// there are too many.
func barsOf(l wording.Lang, spans []probes.Span) (bars []bar, left int) {
	start := spans[0].Start
	for _, s := range spans {
		if s.Start.Before(start) {
			start = s.Start
		}
	}
	depth := map[string]int{}
	for i, s := range spans {
		d := 0
		if up, ok := depth[s.Parent]; ok && s.Parent != "" {
			d = up + 1
		}
		depth[s.ID] = d
		failed := s.Class != probes.ClassNone || s.Error != ""
		if len(bars) >= maxBars && !failed {
			left++
			continue
		}
		r := bar{name: strings.Repeat("  ", min(d, 6)) + oneLine(spanName(l, s, d)), start: s.Start.Sub(start), took: s.Took, failed: failed}
		if i > 0 && failed { // the root's stand above
			r.reason = clip(oneLine(cmp.Or(wording.Finding(l, s.Finding), s.Error, wording.Class(l, s.Class))), maxTextColumns)
		}
		bars = append(bars, r)
	}
	return bars, left
}

// spanName is a span's name for people: the run, below it steps, below them
// phases. The resources of a page all carry one name in the trace: their type
// and address tell them apart.
func spanName(l wording.Lang, s probes.Span, depth int) string {
	switch {
	case s.Name == "resource":
		name := wording.Phase(l, cmp.Or(s.Attrs["gengfu.resource.kind"], s.Name))
		u, err := url.Parse(s.Attrs["url.full"])
		if err != nil {
			return name
		}
		where := u.Path
		if s.Attrs["gengfu.resource.own"] == "false" {
			where = u.Host + u.Path
		}
		return name + " " + where
	case depth == 0:
		return wording.Phase(l, "run")
	case depth == 1:
		if step := wording.Step(l, s.Name); step != s.Name {
			return step
		}
	}
	return wording.Phase(l, s.Name)
}

// right fills s with spaces before it to n columns.
func right(s string, n int) string { return strings.Repeat(" ", max(0, n-columns(s))) + s }
