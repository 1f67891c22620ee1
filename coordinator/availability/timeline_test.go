package availability_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/probes"
)

// horizon is the length, in seconds, of the stretch that the properties look at.
const horizon = 60

func at(second int) time.Time { return noon.Add(time.Duration(second) * time.Second) }

func span(from, to int) availability.Span { return availability.Span{From: at(from), To: at(to)} }

func slot(from, every int, v probes.Verdict) availability.Slot {
	return availability.Slot{Start: at(from), Every: time.Duration(every) * time.Second, Verdict: v}
}

// strip draws intervals second by second: u, d, D, ? for up, degraded, down,
// unknown, and a blank where nothing is said.
func strip(intervals []availability.Interval, seconds int) string {
	line := []byte(strings.Repeat(" ", seconds))
	for _, i := range intervals {
		for s := int(i.Span.From.Sub(noon) / time.Second); s < int(i.Span.To.Sub(noon)/time.Second); s++ {
			line[s] = letters[i.Verdict]
		}
	}
	return string(line)
}

var letters = map[probes.Verdict]byte{probes.Unknown: '?', probes.Up: 'u', probes.Degraded: 'd', probes.Down: 'D'}

func TestTimeline(t *testing.T) {
	for _, c := range []struct {
		name  string
		slots []availability.Slot
		want  string
	}{
		{"nothing", nil, "????????????"},
		{"a gap", []availability.Slot{slot(0, 3, probes.Up), slot(6, 3, probes.Down)}, "uuu???DDD???"},
		{"in any order", []availability.Slot{slot(6, 3, probes.Down), slot(0, 3, probes.Up)}, "uuu???DDD???"},
		{"into the stretch and out of it", []availability.Slot{slot(-2, 3, probes.Down), slot(10, 5, probes.Degraded)}, "D?????????dd"},
		{"the later slot wins from its start", []availability.Slot{slot(0, 8, probes.Up), slot(3, 2, probes.Down)}, "uuuDD???????"},
		{"outside", []availability.Slot{slot(-9, 3, probes.Up), slot(20, 3, probes.Up)}, "????????????"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, strip(availability.Timeline(c.slots, span(0, 12)), 12))
		})
	}
	require.Empty(t, availability.Timeline([]availability.Slot{slot(0, 3, probes.Up)}, span(5, 5)))
	joined := availability.Timeline([]availability.Slot{slot(0, 3, probes.Up), slot(3, 3, probes.Up)}, span(0, 6))
	require.Equal(t, []availability.Interval{{Span: span(0, 6), Verdict: probes.Up}}, joined)
}

func TestCombine(t *testing.T) {
	line := func(s string) (out []availability.Interval) {
		for i, r := range s {
			for v, l := range letters {
				if byte(r) == l {
					out = append(out, availability.Interval{Span: span(i, i+1), Verdict: v})
				}
			}
		}
		return out
	}
	require.Equal(t, "D??udu u", strip(availability.Combine([][]availability.Interval{
		line("Du?udu  "),
		line("?uduu  u"),
		line("u?"), // not due any more
	}), 8))
	require.Empty(t, availability.Combine(nil))
}

func TestMeasure(t *testing.T) {
	line := availability.Timeline([]availability.Slot{
		slot(0, 10, probes.Up), slot(10, 5, probes.Down), slot(15, 5, probes.Down), slot(20, 10, probes.Degraded), slot(30, 5, probes.Down),
	}, span(0, 50))
	f := availability.Measure(line, []availability.Span{span(0, 50)}, nil)
	require.Equal(t, availability.Figure{
		Up: 10 * time.Second, Degraded: 10 * time.Second, Down: 15 * time.Second, Unknown: 15 * time.Second,
		Outages: 2, Longest: 10 * time.Second,
	}, f)

	f = availability.Measure(line, []availability.Span{span(5, 18), span(18, 33), span(60, 70)}, []availability.Span{span(8, 12), span(11, 13), span(65, 99)})
	require.Equal(t, availability.Figure{
		Up: 3 * time.Second, Degraded: 10 * time.Second, Down: 10 * time.Second, Unknown: 5 * time.Second,
		Maintenance: 10 * time.Second, Outages: 2, Longest: 7 * time.Second,
	}, f, "what was not due does not count; what was due and not seen is unknown")
	require.Zero(t, availability.Measure(line, nil, nil))
}

// TestAgainstASecondBySecondCount compares everything with a count that looks
// at one second after the other and shares no code with what it checks.
func TestAgainstASecondBySecondCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawSlot := rapid.Custom(func(t *rapid.T) availability.Slot {
			return slot(rapid.IntRange(-10, horizon).Draw(t, "start"), rapid.IntRange(1, 15).Draw(t, "every"), rapid.SampledFrom(probes.Verdicts()).Draw(t, "verdict"))
		})
		drawSpans := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) availability.Span {
			from := rapid.IntRange(-5, horizon).Draw(t, "from")
			return span(from, from+rapid.IntRange(0, 25).Draw(t, "length"))
		}), 0, 4)
		var lines [][]availability.Interval
		var naive [][]byte
		var due []availability.Span
		for range rapid.IntRange(0, 3).Draw(t, "probes") {
			slots := rapid.SliceOfNDistinct(drawSlot, 0, 12, func(s availability.Slot) time.Time { return s.Start }).Draw(t, "slots")
			spans := drawSpans.Draw(t, "due")
			line := availability.Timeline(slots, span(0, horizon))
			require.Equal(t, strings.ReplaceAll(strip(line, horizon), " ", "!"), strip(line, horizon), "a timeline has no holes")

			shuffled := slices.Concat(slots, slots) // given twice, in another order
			rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			require.Equal(t, line, availability.Timeline(shuffled, span(0, horizon)))

			lines = append(lines, availability.Within(line, spans))
			naive = append(naive, naiveLine(slots, spans))
			due = append(due, spans...)
		}
		for i := range due { // a period's figure asks for nothing outside of it
			due[i] = cut(due[i])
		}
		maintenance := drawSpans.Draw(t, "maintenance")
		combined := availability.Combine(lines)
		want := naiveCombine(naive)
		require.Equal(t, want, strip(combined, horizon))

		whole := availability.Measure(combined, due, maintenance)
		require.Equal(t, naiveMeasure(want, due, maintenance), whole)

		// The parts add up to the whole exactly.
		middle := rapid.IntRange(0, horizon).Draw(t, "middle")
		var left, right []availability.Span
		for _, d := range due {
			left = append(left, availability.Span{From: d.From, To: earlier(d.To, at(middle))})
			right = append(right, availability.Span{From: later(d.From, at(middle)), To: d.To})
		}
		a, b := availability.Measure(combined, left, maintenance), availability.Measure(combined, right, maintenance)
		require.Equal(t, whole.Up, a.Up+b.Up)
		require.Equal(t, whole.Degraded, a.Degraded+b.Degraded)
		require.Equal(t, whole.Down, a.Down+b.Down)
		require.Equal(t, whole.Unknown, a.Unknown+b.Unknown)
		require.Equal(t, whole.Maintenance, a.Maintenance+b.Maintenance)
	})
}

func cut(s availability.Span) availability.Span {
	return availability.Span{From: later(s.From, at(0)), To: earlier(s.To, at(horizon))}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func holds(spans []availability.Span, second int) bool {
	for _, s := range spans {
		if !at(second).Before(s.From) && at(second).Before(s.To) {
			return true
		}
	}
	return false
}

func naiveLine(slots []availability.Slot, due []availability.Span) []byte {
	line := make([]byte, horizon)
	for second := range horizon {
		line[second] = ' '
		if !holds(due, second) {
			continue
		}
		line[second] = '?'
		newest := -1 // the slot that began last at or before this second
		for i, s := range slots {
			if !s.Start.After(at(second)) && (newest < 0 || s.Start.After(slots[newest].Start)) {
				newest = i
			}
		}
		if newest >= 0 && at(second).Before(slots[newest].Start.Add(slots[newest].Every)) {
			line[second] = letters[slots[newest].Verdict]
		}
	}
	return line
}

func naiveCombine(lines [][]byte) string {
	out := make([]byte, horizon)
	for second := range horizon {
		out[second] = ' '
		for _, worst := range []byte("ud?D") {
			for _, l := range lines {
				if l[second] == worst {
					out[second] = worst
				}
			}
		}
	}
	return string(out)
}

func naiveMeasure(line string, due, maintenance []availability.Span) (f availability.Figure) {
	down := 0
	for second := range horizon {
		counted := holds(due, second)
		if counted && holds(maintenance, second) {
			f.Maintenance += time.Second
			counted = false
		}
		if !counted || line[second] != 'D' {
			down = 0
		}
		if !counted {
			continue
		}
		switch line[second] {
		case 'u':
			f.Up += time.Second
		case 'd':
			f.Degraded += time.Second
		case 'D':
			f.Down += time.Second
			if down == 0 {
				f.Outages++
			}
			down++
			f.Longest = max(f.Longest, time.Duration(down)*time.Second)
		default:
			f.Unknown += time.Second
		}
	}
	return f
}

// TestAroundMidnight follows an outage over midnight in Shanghai: each day gets
// its own seconds, whatever the zone in which the instants are written.
func TestAroundMidnight(t *testing.T) {
	from, midnight, err := calendar.ParseDay("2026-11-25")
	require.NoError(t, err)
	_, to, err := calendar.ParseDay("2026-11-26")
	require.NoError(t, err)
	require.Equal(t, "2026-11-25T16:00:00Z", midnight.UTC().Format(time.RFC3339))

	var slots []availability.Slot
	const every = 30 * time.Second
	first := from.Add(-13 * time.Second).UTC()
	for s := first; s.Before(to); s = s.Add(every) {
		v := probes.Up
		if d := s.Sub(midnight.Add(-13 * time.Second)); d >= -2*every && d < 3*every {
			v = probes.Down
		}
		slots = append(slots, availability.Slot{Start: s, Every: every, Verdict: v})
	}
	day := func(from, to time.Time) availability.Figure {
		whole := availability.Span{From: from, To: to}
		return availability.Measure(availability.Timeline(slots, whole), []availability.Span{whole}, nil)
	}
	// Down from 23:58:47 to 00:01:17.
	before, after := day(from, midnight), day(midnight, to)
	require.Equal(t, 73*time.Second, before.Down)
	require.Equal(t, 77*time.Second, after.Down)
	require.Equal(t, 24*time.Hour, before.Due())
	require.Equal(t, 24*time.Hour, after.Due())
	require.Equal(t, 1, before.Outages)
	require.Equal(t, 1, after.Outages)
	both := day(from, to)
	require.Equal(t, 1, both.Outages)
	require.Equal(t, before.Down+after.Down, both.Longest)

	share, ok := before.Availability()
	require.True(t, ok)
	require.Equal(t, fmt.Sprintf("%.6f", float64(86400-73)/86400), fmt.Sprintf("%.6f", share))
}
