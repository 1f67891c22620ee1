package availability

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// Timeline lays a probe's slots out over span, without a gap: time that no slot
// speaks for is Unknown. A slot speaks until it ends or the next one begins,
// whichever is sooner. The slots' order does not matter.
func Timeline(slots []Slot, span Span) []Interval {
	if !span.From.Before(span.To) {
		return nil
	}
	sorted := slices.Clone(slots)
	slices.SortFunc(sorted, func(a, b Slot) int {
		return cmp.Or(
			a.Start.Compare(b.Start),
			cmp.Compare(a.Every, b.Every),
			cmp.Compare(a.Verdict, b.Verdict),
			strings.Compare(string(a.Class), string(b.Class)),
		)
	})
	var out []Interval
	at := span.From
	for i, s := range sorted {
		from, to := s.Start, s.End()
		if i+1 < len(sorted) && sorted[i+1].Start.Before(to) {
			to = sorted[i+1].Start
		}
		piece := clip(Span{from, to}, span)
		if !piece.From.Before(piece.To) {
			continue
		}
		if at.Before(piece.From) {
			out = add(out, Interval{Span: Span{at, piece.From}})
		}
		out = add(out, Interval{Span: piece, Verdict: s.Verdict, Class: s.Class})
		at = piece.To
	}
	if at.Before(span.To) {
		out = add(out, Interval{Span: Span{at, span.To}})
	}
	return out
}

// Within keeps of a timeline what lies in the spans. What is left out is no
// longer spoken of at all, which is not the same as Unknown.
func Within(intervals []Interval, spans []Span) []Interval {
	var out []Interval
	cuts := Union(spans)
	for _, i := range intervals {
		for _, c := range cuts {
			if piece := clip(i.Span, c); piece.From.Before(piece.To) {
				out = add(out, Interval{Span: piece, Verdict: i.Verdict, Class: i.Class})
			}
		}
	}
	return out
}

// Union is the spans' union: ordered, apart from each other, without empty ones.
func Union(spans []Span) []Span {
	sorted := slices.DeleteFunc(slices.Clone(spans), func(s Span) bool { return !s.From.Before(s.To) })
	slices.SortFunc(sorted, func(a, b Span) int { return a.From.Compare(b.From) })
	var out []Span
	for _, s := range sorted {
		if n := len(out); n > 0 && !out[n-1].To.Before(s.From) {
			if out[n-1].To.Before(s.To) {
				out[n-1].To = s.To
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// weights order verdicts for a service: one probe down makes it down; what is
// not known can not be called good.
var weights = [...]int{probes.Up: 0, probes.Degraded: 1, probes.Unknown: 2, probes.Down: 3}

// Combine makes a service's timeline from its probes' timelines: at an instant
// any Down is Down, else any Unknown is Unknown, else any Degraded is Degraded,
// else Up. A timeline that does not speak of an instant has no say in it.
func Combine(timelines [][]Interval) []Interval {
	var edges []time.Time
	for _, line := range timelines {
		for _, i := range line {
			edges = append(edges, i.Span.From, i.Span.To)
		}
	}
	slices.SortFunc(edges, time.Time.Compare)
	edges = slices.CompactFunc(edges, time.Time.Equal)

	var out []Interval
	next := make([]int, len(timelines)) // of each timeline, the interval that may hold the instant
	for e := 0; e+1 < len(edges); e++ {
		piece := Span{edges[e], edges[e+1]}
		worst, spoken := Interval{Span: piece, Verdict: probes.Up}, false
		for n, line := range timelines {
			for next[n] < len(line) && !piece.From.Before(line[next[n]].Span.To) {
				next[n]++
			}
			if next[n] == len(line) || piece.From.Before(line[next[n]].Span.From) {
				continue
			}
			i := line[next[n]]
			if !spoken || weights[i.Verdict] > weights[worst.Verdict] {
				worst.Verdict, worst.Class = i.Verdict, i.Class
			}
			spoken = true
		}
		if spoken {
			out = add(out, worst)
		}
	}
	return out
}

// Measure sums a timeline up over what was due. Maintenance is told apart,
// whatever was seen in it. Due time of which the timeline does not speak is
// Unknown; time that was not due does not count.
func Measure(intervals []Interval, due, maintenance []Span) Figure {
	due, maintenance = Union(due), Union(maintenance)
	var f Figure
	for _, d := range due {
		for _, m := range maintenance {
			f.Maintenance += length(clip(d, m))
		}
	}
	var (
		all  time.Duration
		last time.Time // end of the last stretch of down
		run  time.Duration
	)
	counted := subtract(due, maintenance)
	for _, c := range counted {
		all += length(c)
	}
	for _, i := range Within(intervals, counted) {
		d := length(i.Span)
		switch i.Verdict {
		case probes.Up:
			f.Up += d
		case probes.Degraded:
			f.Degraded += d
		case probes.Down:
			f.Down += d
			if last.IsZero() || !last.Equal(i.Span.From) {
				f.Outages++
				run = 0
			}
			last, run = i.Span.To, run+d
			f.Longest = max(f.Longest, run)
		}
	}
	f.Unknown = all - f.Known()
	return f
}

// subtract is what is left of spans without holes; both are unions.
func subtract(spans, holes []Span) []Span {
	var out []Span
	for _, s := range spans {
		for _, h := range holes {
			if !s.From.Before(h.To) || !h.From.Before(s.To) {
				continue
			}
			if s.From.Before(h.From) {
				out = append(out, Span{s.From, h.From})
			}
			s.From = h.To
			if !s.From.Before(s.To) {
				break
			}
		}
		if s.From.Before(s.To) {
			out = append(out, s)
		}
	}
	return out
}

// add appends an interval, as one with the last when they touch and say the same.
func add(list []Interval, i Interval) []Interval {
	if n := len(list); n > 0 && list[n-1].Span.To.Equal(i.Span.From) && list[n-1].Verdict == i.Verdict && list[n-1].Class == i.Class {
		list[n-1].Span.To = i.Span.To
		return list
	}
	return append(list, i)
}

func clip(s, to Span) Span {
	if s.From.Before(to.From) {
		s.From = to.From
	}
	if s.To.After(to.To) {
		s.To = to.To
	}
	return s
}

func length(s Span) time.Duration { return max(s.To.Sub(s.From), 0) }
