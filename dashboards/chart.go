package dashboards

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/probes"
)

// chart is a latency chart. Lines are paths in a view box of chartW × chartH
// that stretches with the page; everything else is placed in percent, so that
// texts and points keep their shape.
type chart struct {
	Label string
	Y, X  []tick
	Lines []line
	Marks []mark // runs that were not up
	Empty bool
}

type tick struct {
	Pos   float64 // percent from the left or from the top
	Text  string
	First bool
	Last  bool
}

type line struct {
	Class    string // "s0" to "s5": colour and dashes
	Vantage  string
	Middle   string // path of the median
	Band     string // path from the median to the 95th percentile
	Points   []dot  // single points, where a line would have no length
	P50, P95 string
}

type dot struct{ X, Y float64 } // percent

type mark struct {
	X       float64 // percent
	Class   string
	TraceID string
	Tip     string
}

const (
	chartW, chartH = 1000.0, 100.0
	chartSpan      = 6 * time.Hour
	chartColours   = 6
	// chartTop keeps the top of the chart free for marks, in view box units.
	chartTop = 12.0
	markGap  = 0.45 // percent: about the width of a mark
)

type bucket struct {
	at       float64 // position of its middle, 0 to 1
	p50, p95 float64 // milliseconds
	n        int
}

// chartOf draws the last six hours of a probe's runs, one line a vantage.
func (p *page) chartOf(series []view.Series, every time.Duration) chart {
	from := p.Now.Add(-chartSpan)
	step := max(5*time.Minute, 2*every)
	lines := make([][]bucket, len(series))
	top := 0.0
	c := chart{Empty: true}
	for i, s := range series {
		lines[i] = buckets(s.Points, from, step)
		for _, b := range lines[i] {
			top = max(top, b.p95)
		}
		c.Marks = append(c.Marks, p.marks(s, from)...)
		c.Empty = c.Empty && len(s.Points) == 0
	}
	if c.Empty {
		return c
	}
	top = niceCeil(top)
	y := func(ms float64) float64 { return chartH - (chartH-chartTop)*ms/top }
	for i, s := range series {
		l := line{Class: fmt.Sprintf("s%d", i%chartColours), Vantage: s.Vantage, P50: millis(s.P50), P95: millis(s.P95)}
		l.Middle, l.Band, l.Points = draw(lines[i], float64(step)/float64(chartSpan), y)
		c.Lines = append(c.Lines, l)
	}
	for k := range 3 {
		ms := top * float64(k) / 2
		c.Y = append(c.Y, tick{Pos: y(ms), Text: axisMillis(ms), First: k == 0})
	}
	// Whole hours, as people read a clock.
	for t := from.Truncate(time.Hour).Add(time.Hour); !t.After(p.Now); t = t.Add(time.Hour) {
		pos := 100 * float64(t.Sub(from)) / float64(chartSpan)
		c.X = append(c.X, tick{Pos: pos, Text: t.In(calendar.Zone).Format(clockLayout), First: pos < 4, Last: pos > 96})
	}
	var words []string
	for _, l := range c.Lines {
		words = append(words, p.t("chart.line", l.Vantage, l.P50, l.P95))
	}
	c.Label = p.t("chart.label") + p.Join(words)
	return c
}

// buckets sums up the good points of a series; failures say nothing of speed.
func buckets(points []view.Point, from time.Time, step time.Duration) []bucket {
	by := map[int][]float64{}
	for _, pt := range points {
		if pt.Verdict == probes.Down || pt.Verdict == probes.Unknown || pt.At.Before(from) {
			continue
		}
		k := int(pt.At.Sub(from) / step)
		by[k] = append(by[k], pt.MS)
	}
	var out []bucket
	for k, ms := range by {
		slices.Sort(ms)
		middle := (float64(k) + 0.5) * float64(step) / float64(chartSpan)
		out = append(out, bucket{at: min(middle, 1), p50: rank(ms, 0.5), p95: rank(ms, 0.95), n: len(ms)})
	}
	slices.SortFunc(out, func(a, b bucket) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	return out
}

// rank is the nearest-rank quantile of sorted values.
func rank(sorted []float64, q float64) float64 {
	k := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(k, 0), len(sorted)-1)]
}

// draw makes the paths. A stretch without runs stays empty: no line is drawn
// over what nobody measured.
func draw(bs []bucket, step float64, y func(float64) float64) (middle, band string, points []dot) {
	var m, b strings.Builder
	for i := 0; i < len(bs); {
		j := i + 1
		for j < len(bs) && bs[j].at-bs[j-1].at < 2.5*step {
			j++
		}
		run := bs[i:j]
		i = j
		if len(run) == 1 {
			points = append(points, dot{X: 100 * run[0].at, Y: y(run[0].p50)})
			continue
		}
		for k, p := range run {
			cmd := byte('L')
			if k == 0 {
				cmd = 'M'
			}
			fmt.Fprintf(&m, "%c%.1f %.1f", cmd, chartW*p.at, y(p.p50))
			fmt.Fprintf(&b, "%c%.1f %.1f", cmd, chartW*p.at, y(p.p95))
		}
		for _, p := range slices.Backward(run) {
			fmt.Fprintf(&b, "L%.1f %.1f", chartW*p.at, y(p.p50))
		}
		b.WriteByte('Z')
	}
	return m.String(), b.String(), points
}

// marks are the runs that were not up. Marks that would lie on each other are
// one, so that their number is bounded by the chart's width; the newest is kept.
func (p *page) marks(s view.Series, from time.Time) []mark {
	var out []mark
	for _, pt := range s.Points {
		if pt.Verdict != probes.Down && pt.Verdict != probes.Degraded || pt.At.Before(from) {
			continue
		}
		m := mark{
			X:     min(100*float64(pt.At.Sub(from))/float64(chartSpan), 99.8),
			Class: "v-" + pt.Verdict.String(), TraceID: pt.TraceID,
			Tip: fmt.Sprintf("%s %s %s %s", p.At(pt.At).Text, s.Vantage, p.Verdict(pt.Verdict), millis(pt.MS)),
		}
		if n := len(out); n > 0 && out[n-1].Class == m.Class && m.X-out[n-1].X < markGap {
			m.X = out[n-1].X
			out[n-1] = m
			continue
		}
		out = append(out, m)
	}
	return out
}

// niceCeil is the least round number that is not below v; its half is round too.
func niceCeil(v float64) float64 {
	if v <= 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 1
	}
	base := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 1.5, 2, 3, 4, 6, 8, 10} {
		if v <= m*base {
			return m * base
		}
	}
	return 10 * base
}

func axisMillis(ms float64) string {
	switch {
	case ms == 0:
		return "0"
	case ms < 1000:
		return fmt.Sprintf("%g ms", ms)
	default:
		return fmt.Sprintf("%g s", ms/1000)
	}
}
