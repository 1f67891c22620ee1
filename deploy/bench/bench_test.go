package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
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

// A short soak: nothing grows, and every fault is taken for what it is.
func TestSoakingMakesNothingGrow(t *testing.T) {
	defer goleak.VerifyNone(t)
	before := descriptors()
	var out bytes.Buffer
	tally, err := measureSoak(t.Context(), soakOptions{runs: 1500, samples: 5, workers: 12, out: &out})
	require.NoError(t, err, out.String())
	require.GreaterOrEqual(t, len(tally), len(faults()))
	require.Positive(t, tally["status 500: status"])
	require.LessOrEqual(t, descriptors(), before+slackDescriptors)
}

func TestGrowthIsSeen(t *testing.T) {
	steady := held{descriptors: 10, goroutines: 10, memory: memory{Heap: 30 << 20, Resident: 60 << 20}}
	all := make([]held, 10)
	for i := range all {
		all[i] = steady
	}
	all[8].goroutines = 500 // a bad moment
	require.NoError(t, grown(all))
	for want, grow := range map[string]func(h *held, i int){
		"heap":            func(h *held, i int) { h.Heap += int64(i) << 19 },
		"resident memory": func(h *held, i int) { h.Resident += int64(i) << 22 },
		"descriptors":     func(h *held, i int) { h.descriptors += 2 * i },
		"goroutines":      func(h *held, i int) { h.goroutines += 2 * i },
	} {
		if raceEnabled && want == "resident memory" {
			continue
		}
		list := slices.Clone(all)
		for i := range list {
			grow(&list[i], i)
		}
		require.ErrorContains(t, grown(list), want+" grew")
	}
}

func TestAFaultTakenForAnotherIsSeen(t *testing.T) {
	require.NoError(t, unexpected(map[string]int{"good: up": 5, "good: timeout": 1, "reset: reset": 3, "firewall page: agent waf_405": 1, "reset: agent stalled": 1, "drip: agent overran": 2}))
	for _, wrong := range []string{"good: status", "good: agent", "reset: up", "reset: tls", "status 500: agent busy", "drip: agent overran"} {
		require.Error(t, unexpected(map[string]int{wrong: 9}), wrong)
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
