package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// roleVariable names the part that a process of this binary plays.
const roleVariable = "GENGFU_BENCH_ROLE"

// A part serves one process: it is set up by the first request and answers each
// one after it, until its standard input ends.
type part interface {
	// answer performs one order; what it returns goes back as JSON.
	answer(ctx context.Context, o order) (reply, error)
	close() error
}

// order is what a process is asked to do. Which fields count depends on its role.
type order struct {
	Do      string `json:"do"`
	N       int    `json:"n,omitempty"`       // probes
	Workers int    `json:"workers,omitempty"` // at one time
	TLS     bool   `json:"tls,omitempty"`
	Plain   string `json:"plain,omitempty"` // address of the target
	Secure  string `json:"secure,omitempty"`
	OTLP    string `json:"otlp,omitempty"` // of the ingest
	CA      string `json:"ca,omitempty"`   // a file
	Dir     string `json:"dir,omitempty"`
	Path    string `json:"path,omitempty"`
	HTTP2   bool   `json:"http2,omitempty"`

	Seconds float64           `json:"seconds,omitempty"`
	Addrs   map[string]string `json:"addrs,omitempty"`
}

type reply struct {
	Error string            `json:"error,omitempty"`
	Count int               `json:"count,omitempty"`
	Addr  map[string]string `json:"addr,omitempty"`

	Memory *memory   `json:"memory,omitempty"`
	Times  *lateness `json:"times,omitempty"`

	Descriptors int            `json:"descriptors,omitempty"`
	Tally       map[string]int `json:"tally,omitempty"`
}

var roles = map[string]func(ctx context.Context, first order) (part, reply, error){
	"target":   newTarget,
	"ingest":   newReceiver,
	"bare":     newBare,
	"gengfu":   newGengfu,
	"driver":   newDriver,
	"schedule": newBusy,
	"faults":   newFaults,
	"soaked":   newSoaked,
}

// play is a child process's life. It ends with its standard input, so that no
// child outlives whoever started it.
func play(ctx context.Context, role string) int {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	say := func(r reply, err error) bool {
		if err != nil {
			r.Error = err.Error()
		}
		return out.Encode(r) == nil
	}
	make, ok := roles[role]
	if !ok {
		say(reply{}, fmt.Errorf("there is no role %q", role))
		return 2
	}
	var o order
	if err := in.Decode(&o); err != nil {
		return 0
	}
	p, first, err := make(ctx, o)
	if !say(first, err) || err != nil {
		return 1
	}
	for {
		var o order
		if err := in.Decode(&o); err != nil {
			break
		}
		if !say(p.answer(ctx, o)) {
			break
		}
	}
	if err := p.close(); err != nil {
		fmt.Fprintln(os.Stderr, "bench "+role+":", err)
		return 1
	}
	return 0
}

// child is a process under a role, seen from who started it.
type child struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	enc  *json.Encoder
	dec  *json.Decoder
}

// start starts this binary under a role, pinned to a core (see anyCore), and
// gives it its first order.
func start(ctx context.Context, role string, core int, first order) (*child, reply, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, reply{}, fmt.Errorf("finding this program: %w", err)
	}
	cmd := pinned(ctx, core, self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, reply{}, fmt.Errorf("starting %s: %w", role, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, reply{}, fmt.Errorf("starting %s: %w", role, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, reply{}, fmt.Errorf("starting %s: %w", role, err)
	}
	c := &child{name: role, cmd: cmd, in: in, enc: json.NewEncoder(in), dec: json.NewDecoder(out)}
	r, err := c.ask(first)
	if err != nil {
		return nil, reply{}, errors.Join(err, c.stop())
	}
	return c, r, nil
}

// pinned is a command that may use one core only. taskset becomes the program,
// so the process keeps its number.
func pinned(ctx context.Context, core int, program string, args ...string) *exec.Cmd {
	if core == anyCore {
		return exec.CommandContext(ctx, program, args...)
	}
	return exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(core), program}, args...)...)
}

func (c *child) ask(o order) (reply, error) {
	var r reply
	if err := c.enc.Encode(o); err != nil {
		return r, fmt.Errorf("asking %s: %w", c.name, err)
	}
	if err := c.dec.Decode(&r); err != nil {
		return r, fmt.Errorf("hearing from %s: %w", c.name, err)
	}
	if r.Error != "" {
		return r, fmt.Errorf("%s: %s", c.name, r.Error)
	}
	return r, nil
}

// stop ends the child's input and waits for it.
func (c *child) stop() error {
	_ = c.in.Close() // it may be gone
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("ending %s: %w", c.name, err)
	}
	return nil
}

// cpuOf is the CPU time that the kernel has charged to a process: user and
// system, all threads, those that ended too (clock_getcpuclockid(3)).
func cpuOf(pid int) (time.Duration, error) {
	const scheduler = 2 // CPUCLOCK_SCHED: the scheduler's own count, in nanoseconds
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|scheduler, &ts); err != nil {
		return 0, fmt.Errorf("reading the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// charge is what a process used while f ran.
func charge(pid int, f func() error) (time.Duration, error) {
	before, err := cpuOf(pid)
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := cpuOf(pid)
	return after - before, err
}
