package runner

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
)

func TestPulse(t *testing.T) {
	var p pulse
	first := p.begin()
	// The process wakes up after two seconds, and the run ends before the timer.
	p.mu.Lock()
	p.last = p.last.Add(-2 * time.Second)
	p.mu.Unlock()
	second := p.begin()
	require.Less(t, p.end(second), time.Second, "what was before a run is not its own")
	require.GreaterOrEqual(t, p.end(first), 1900*time.Millisecond)
	require.Less(t, p.end(p.begin()), time.Second, "nor is what was before it while nothing ran")

	third := p.begin()
	for range 2 * maxGaps {
		p.beat(p.last.Add(time.Second))
	}
	require.Len(t, p.gaps, maxGaps)
	require.Equal(t, time.Second-beatEvery, p.end(third))
}

func TestHalfAStallMakesNothingSlow(t *testing.T) {
	r := &Runner{o: Options{Stall: 500 * time.Millisecond}}
	for _, tt := range []struct {
		class probes.Class
		stood time.Duration
		want  bool
	}{
		{probes.ClassNone, 300 * time.Millisecond, false},
		{probes.ClassNone, 500 * time.Millisecond, true},
		{probes.ClassStatus, 300 * time.Millisecond, false},
		{probes.ClassLatency, 200 * time.Millisecond, false},
		{probes.ClassLatency, 300 * time.Millisecond, true},
		{probes.ClassTimeout, 300 * time.Millisecond, true},
	} {
		require.Equal(t, tt.want, r.stalled(probes.Result{Class: tt.class}, tt.stood), "%+v", tt)
	}
}
