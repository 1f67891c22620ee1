package runner_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/agent/runner"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/probetest"
)

// childAt is the variable that makes the test's own binary the process that is
// stopped: it holds the address to ask.
const childAt = "GENGFU_TEST_CHILD"

// ask waits for a byte from addr, and says how long that took.
func ask(addr string) proberFunc {
	return func(ctx context.Context, env probes.Env) (probes.Result, error) {
		start := time.Now()
		conn, err := env.Dial(ctx, "tcp", addr)
		if err != nil {
			return probes.Result{}, err
		}
		defer conn.Close()
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			return probes.Result{}, err
		}
		r := probes.Result{Verdict: probes.Up}
		r.Timings.Total = time.Since(start)
		return r, nil
	}
}

// TestChildOfStopped is the child: it performs one run and prints it.
func TestChildOfStopped(t *testing.T) {
	addr := os.Getenv(childAt)
	if addr == "" {
		t.Skip("only as a child of TestAStoppedProcessIsNotASlowService")
	}
	run := once(t, makeRunner(t, &trace{}, nil), probe(ask(addr)))
	require.NoError(t, json.NewEncoder(os.Stdout).Encode(run))
}

// one starts the child, calls meanwhile while it waits for an answer, answers it
// and returns its run.
func one(t *testing.T, meanwhile func(child *os.Process)) probes.Run {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	exe, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, "-test.run=^TestChildOfStopped$")
	cmd.Env = append(os.Environ(), childAt+"="+l.Addr().String())
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()
	conn, err := l.Accept()
	require.NoError(t, err)
	defer conn.Close()
	meanwhile(cmd.Process)
	_, err = io.WriteString(conn, "x")
	require.NoError(t, err)
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(t, err)
	var run probes.Run
	require.NoError(t, json.Unmarshal(line, &run), "%s", line)
	_, _ = io.Copy(io.Discard, out)
	require.NoError(t, cmd.Wait())
	return run
}

func TestAStoppedProcessIsNotASlowService(t *testing.T) {
	const pause = 1200 * time.Millisecond
	run := one(t, func(child *os.Process) {
		require.NoError(t, child.Signal(syscall.SIGSTOP))
		time.Sleep(pause)
		require.NoError(t, child.Signal(syscall.SIGCONT))
	})
	require.Equal(t, probes.Unknown, run.Result.Verdict, "%+v", run.Result)
	require.Equal(t, probes.ClassAgent, run.Result.Class)
	require.Equal(t, probes.PhraseStalled, run.Result.Findings[0].Phrase)
	lasted, err := time.ParseDuration(run.Result.Findings[0].Got)
	require.NoError(t, err)
	require.InDelta(t, pause.Seconds(), lasted.Seconds(), 30)
	require.Zero(t, run.Result.Timings, "nothing of it reads as a time of the service's")
	probetest.Readable(t, run.Result)

	// A service that is as slow is: the same run without the stop. A machine that
	// starves its processes may need more than one try to show it.
	for range 10 {
		if run = one(t, func(*os.Process) { time.Sleep(pause) }); run.Result.Verdict == probes.Up {
			break
		}
	}
	require.Equal(t, probes.Up, run.Result.Verdict, "%+v", run.Result)
	require.GreaterOrEqual(t, run.Result.Timings.Total, pause/2)
}

// In a bubble nothing stands still but time: runs of any length are seen.
func TestALongRunIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := makeRunner(t, &trace{}, func(o *runner.Options) { o.Stall = time.Millisecond })
		for _, length := range []time.Duration{0, time.Millisecond, time.Second, 9 * time.Second} {
			run := once(t, r, probe(func(context.Context, probes.Env) (probes.Result, error) {
				time.Sleep(length)
				return probes.Result{Verdict: probes.Down, Class: probes.ClassTimeout, Findings: []probes.Finding{{Class: probes.ClassTimeout}}}, nil
			}))
			require.Equal(t, probes.Down, run.Result.Verdict, fmt.Sprint(length))
		}
		require.Zero(t, r.Stats().Stalled)
		synctest.Wait()
	})
}
