package availability_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/probes"
)

func TestAnOutageAcrossABorderIsOne(t *testing.T) {
	line := availability.Timeline([]availability.Slot{slot(0, 5, probes.Up), slot(5, 20, probes.Down), slot(25, 5, probes.Up)}, span(0, 30))
	var sum availability.Part
	for from := 0; from < 30; from += 10 {
		sum = sum.Join(availability.MeasurePart(span(from, from+10), line, []availability.Span{span(0, 30)}, nil))
	}
	require.Equal(t, availability.Figure{Up: 10 * time.Second, Down: 20 * time.Second, Outages: 1, Longest: 20 * time.Second}, sum.Figure)
	require.Equal(t, span(0, 30), sum.Span)
}

// TestPartsJoinToTheWhole holds that joining is exact however a period is cut,
// and in whichever order its pieces are joined.
func TestPartsJoinToTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawSpans := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) availability.Span {
			from := rapid.IntRange(-5, horizon).Draw(t, "from")
			return span(from, from+rapid.IntRange(0, 40).Draw(t, "length"))
		}), 0, 3)
		var slots []availability.Slot
		for s := 0; s < horizon; s += 2 {
			// Mostly down, so that outages cross borders and fill pieces.
			slots = append(slots, slot(s, 2, rapid.SampledFrom([]probes.Verdict{probes.Down, probes.Down, probes.Down, probes.Up, probes.Unknown}).Draw(t, "verdict")))
		}
		line := availability.Timeline(slots, span(0, horizon))
		due, maintenance := drawSpans.Draw(t, "due"), drawSpans.Draw(t, "maintenance")
		whole := availability.MeasurePart(span(0, horizon), line, due, maintenance)
		for i := range due {
			due[i] = cut(due[i])
		}
		require.Equal(t, availability.Measure(line, due, maintenance), whole.Figure)

		var pieces []availability.Part
		for from := 0; from < horizon; {
			to := min(from+rapid.IntRange(1, 20).Draw(t, "piece"), horizon)
			pieces = append(pieces, availability.MeasurePart(span(from, to), availability.Within(line, []availability.Span{span(from, to)}), due, maintenance))
			from = to
		}
		for len(pieces) > 1 {
			i := rapid.IntRange(0, len(pieces)-2).Draw(t, "join")
			pieces[i] = pieces[i].Join(pieces[i+1])
			pieces = append(pieces[:i+1], pieces[i+2:]...)
		}
		require.Equal(t, whole, availability.Part{}.Join(pieces[0]))
	})
}
