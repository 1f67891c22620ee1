package availability

import (
	"time"

	"github.com/gengfu/gengfu/probes"
)

// Part is a figure that joins exactly with the one of the stretch after it, so
// that a long period is summed up from pieces that were measured before.
type Part struct {
	Figure
	Span       Span
	head, tail time.Duration // down from Span.From on, and down up to Span.To
}

// MeasurePart is Measure over span, to which due time is cut.
func MeasurePart(span Span, intervals []Interval, due, maintenance []Span) Part {
	cut := make([]Span, 0, len(due))
	for _, d := range due {
		cut = append(cut, clip(d, span))
	}
	p := Part{Figure: Measure(intervals, cut, maintenance), Span: span}
	if !span.From.Before(span.To) {
		return p
	}
	var first, last Span // the first and the last stretch of down
	for _, i := range Within(intervals, subtract(Union(cut), Union(maintenance))) {
		switch {
		case i.Verdict != probes.Down:
			continue
		case !last.To.IsZero() && last.To.Equal(i.Span.From):
			last.To = i.Span.To
		default:
			last = i.Span
		}
		if first.To.IsZero() || first.From.Equal(last.From) {
			first = last
		}
	}
	if first.From.Equal(span.From) {
		p.head = length(first)
	}
	if last.To.Equal(span.To) {
		p.tail = length(last)
	}
	return p
}

// Join is the part of two stretches, of which next begins where p ends. An
// outage that crosses the border is one. The zero Part joins with any.
func (p Part) Join(next Part) Part {
	if p.Span == (Span{}) {
		return next
	}
	out := Part{
		Figure: Figure{
			Up: p.Up + next.Up, Degraded: p.Degraded + next.Degraded, Down: p.Down + next.Down, Unknown: p.Unknown + next.Unknown,
			Maintenance: p.Maintenance + next.Maintenance,
			Outages:     p.Outages + next.Outages, Longest: max(p.Longest, next.Longest),
		},
		Span: Span{From: p.Span.From, To: next.Span.To}, head: p.head, tail: next.tail,
	}
	if p.tail > 0 && next.head > 0 {
		out.Outages--
		out.Longest = max(out.Longest, p.tail+next.head)
		if p.head == length(p.Span) {
			out.head += next.head
		}
		if next.tail == length(next.Span) {
			out.tail += p.tail
		}
	}
	return out
}
