// Command bench measures what Gengfu costs, on the machine that it runs on:
//
//	bench cost       CPU per probe, side by side with a bare net/http loop and
//	                 with Debian's prometheus-blackbox-exporter
//	bench schedule   5,000 probes on one agent: slots, lateness, CPU, memory
//	bench soak       very many runs against every kind of fault: does anything grow?
//
// Each prints a table and what it was measured on. The goals stand beside the
// figures and are not enforced, since machines differ; a slot that did not run and
// memory that grows are errors.
//
// Programs under measurement are processes of their own, started from this
// same binary under a role, and pinned to one core; their counterparts to another.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// command is one of the measurements.
type command struct {
	name string
	run  func(ctx context.Context, args []string) error
}

var commands = []command{
	{"cost", cost},
	{"schedule", scheduling},
	{"soak", soak},
}

func run(ctx context.Context, args []string) int {
	if len(args) == 0 {
		args = []string{""}
	}
	if role := os.Getenv(roleVariable); role != "" {
		return play(ctx, role)
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		err := c.run(ctx, args[1:])
		switch {
		case errors.Is(err, flag.ErrHelp):
			return 2
		case err != nil:
			fmt.Fprintln(os.Stderr, "bench "+c.name+":", err)
			return 1
		}
		return 0
	}
	fmt.Fprintln(os.Stderr, "bench: want cost, schedule or soak, each with -help; got", args)
	return 2
}
