package dashboards

import (
	"time"

	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/probes"
)

// strip is a status bar drawn as SVG. Each verdict has its own height as well as
// its colour: trouble stands above the line, and what is unknown leaves a gap.
type strip struct {
	Width int    // of the view box; its height is stripHeight
	Label string // what the strip says, for those who do not see it
	Bars  []stripBar
	Ticks []string // under the strip, evenly spread, oldest first
	Empty bool     // nothing is known in all of it
}

type stripBar struct {
	X, Y, W, H float64
	Class      string
	Tip        string
}

const stripHeight = 40

var barHeights = map[probes.Verdict]float64{
	probes.Up: 26, probes.Degraded: 33, probes.Down: 40, probes.Unknown: 5,
}

// stripOf draws bars. layout is how a bar's time is written in its tip.
func (p *page) stripOf(bars []view.Bar, layout string, ticks int) strip {
	const unit = 10
	s := strip{Width: max(unit*len(bars), unit), Empty: true}
	count := map[probes.Verdict]int{}
	for i, b := range bars {
		count[b.Verdict]++
		if b.Verdict != probes.Unknown {
			s.Empty = false
		}
		h := barHeights[b.Verdict]
		s.Bars = append(s.Bars, stripBar{
			X: float64(i * unit), Y: stripHeight - h, W: unit * 0.8, H: h, Class: "v-" + b.Verdict.String(),
			Tip: p.barTip(b, layout),
		})
	}
	s.Label = p.t("strip.label", len(bars), count[probes.Down], count[probes.Degraded], count[probes.Unknown])
	if ticks > 1 && len(bars) >= ticks {
		for k := range ticks {
			// The last tick is the end of the last bar: now.
			at := bars[min(k*len(bars)/(ticks-1), len(bars)-1)].From
			if k == ticks-1 {
				at = p.Now
			}
			s.Ticks = append(s.Ticks, at.In(calendar.Zone).Format(layout))
		}
	}
	return s
}

func (p *page) barTip(b view.Bar, layout string) string {
	from := b.From.In(calendar.Zone)
	when := from.Format("01-02")
	if layout == clockLayout {
		when += " " + from.Format(layout) + "–" + b.To.In(calendar.Zone).Format(layout)
	}
	tip := when + " " + p.Verdict(b.Verdict)
	if b.Figure.Availability != nil {
		tip += p.t("strip.tip", p.Pct(b.Figure.Availability), p.Pct(b.Figure.Coverage))
	}
	if b.Figure.DownSeconds > 0 {
		tip += p.t("strip.down", p.Secs(b.Figure.DownSeconds))
	}
	return tip
}

const (
	clockLayout = "15:04"
	dayLayout   = "01-02"
)

// span is a stretch of time in words, both ends exact.
func span(from, to time.Time) string {
	f, t := from.In(calendar.Zone), to.In(calendar.Zone)
	if f.Format(time.DateOnly) == t.Format(time.DateOnly) {
		return f.Format("2006-01-02 15:04") + "–" + t.Format("15:04")
	}
	return f.Format("2006-01-02 15:04") + " – " + t.Format("2006-01-02 15:04")
}
