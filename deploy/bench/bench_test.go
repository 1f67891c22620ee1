package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The processes under measurement are this test's own binary.
func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		os.Exit(run(context.Background(), nil))
	}
	os.Exit(m.Run())
}

// Few probes keep the benchmark itself running: every probe takes place, over a
// connection of its own, and is stored. Figures are for people.
func TestCostMeasuresEveryProber(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("wants two cores")
	}
	var out bytes.Buffer
	o := costOptions{probes: 20, rounds: 1, workers: 2, out: &out}
	names := []string{"bare", "gengfu"}
	if path, err := exec.LookPath("prometheus-blackbox-exporter"); err == nil {
		o.exporter, names = path, append(names, "blackbox")
	}
	for _, o.http2 = range []bool{false, true} {
		got, err := measureCost(t.Context(), o)
		require.NoError(t, err)
		require.Len(t, got, 2*len(names))
		for _, name := range names {
			for _, tls := range []bool{false, true} {
				require.Len(t, got[key(name, tls)], 1)
				require.Positive(t, got[key(name, tls)][0])
			}
		}
		got.print(o)
		require.Contains(t, out.String(), "gengfu tls")
	}
}

// A loaded machine may miss slots, so what is held here is that they are counted.
func TestScheduleCountsSlots(t *testing.T) {
	for _, noop := range []bool{true, false} {
		var out bytes.Buffer
		got, err := measureSchedule(t.Context(), scheduleOptions{probes: 20, seconds: 1, noop: noop, out: &out})
		require.NoError(t, err)
		require.GreaterOrEqual(t, got.Due, 2) // those of one second alone are three
		require.Positive(t, got.Ran)
		require.LessOrEqual(t, got.Ran, got.Due)
		require.Len(t, got.Started, 4)
		require.Positive(t, got.Heap)
		require.Contains(t, out.String(), "slots due")
	}
}

func TestTheKernelsAccountIsOfTheProcess(t *testing.T) {
	used, err := charge(os.Getpid(), func() error {
		for from := time.Now(); time.Since(from) < 20*time.Millisecond; {
		}
		return nil
	})
	require.NoError(t, err)
	require.Positive(t, used)
	_, err = cpuOf(1 << 23)
	require.ErrorContains(t, err, "CPU clock")
}

func TestMedians(t *testing.T) {
	require.Equal(t, 2, median([]int{9, 1, 2}))
	require.InDelta(t, 2.5, median([]float64{4, 1, 2, 3}), 1e-9)
	require.Zero(t, median[int](nil))
}
