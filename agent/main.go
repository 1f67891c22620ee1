// Command agent runs probes: it joins the fleet, takes its share of the
// definitions, runs them on their slots and delivers a trace of each run.
//
//	agent                     serves until SIGTERM
//	agent check DIR           validates a folder of definitions; exit 1 when it has mistakes;
//	                          -json for machines, -format github for annotations
//	agent probe DIR ID        runs one probe (SERVICE/PROBE, or SERVICE) now and prints what it saw;
//	                          exit 0 up, 1 down, 3 degraded, 4 unknown; -json for machines,
//	                          -trace FILE for the OTLP
//	agent schema              prints the JSON Schema of definitions, for editors
//	agent import FORMAT FILE  turns the configuration of gatus, blackbox or uptime-kuma into
//	                          definitions (-o DIR) and says line by line what it could not
//	                          carry over; exit 0 all carried over, 3 not all
//	agent version             prints the version
//
// Its configuration comes from AGENT_… variables; agent -help lists them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/gengfu/gengfu/agent/app"
	"github.com/gengfu/gengfu/probes/settings"
)

// version is set when a release is built.
var version = "dev"

const usage = `更夫 agent — runs probes

  agent                 serves until SIGTERM
  agent check DIR       validates a folder of definitions; exit 1 when it has mistakes
  agent probe DIR ID    runs one probe now (SERVICE/PROBE, or SERVICE) and prints what it saw;
                        exit 0 up, 1 down, 3 degraded, 4 unknown
  agent schema [FILE]   prints the JSON Schema of definitions, for editors
  agent import gatus|blackbox|uptime-kuma FILE
                        turns another monitor's configuration into definitions and says line by
                        line what it could not carry over; exit 0 all carried over, 3 not all
      -o DIR            the definitions' folder (.); -h lists further options
  agent version         prints the version

agent COMMAND -help lists a command's options.

Settings, from the environment:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	switch command {
	case "":
		return serve(ctx, stderr)
	case "check":
		return app.Check(args, stdout, stderr)
	case "probe":
		return app.Probe(ctx, version, args, stdout, stderr)
	case "schema":
		return app.Schema(args, stdout, stderr)
	case "import":
		return app.Import(args, stdout, stderr)
	case "version":
		fmt.Fprintln(stdout, version)
		return 0
	case "-help", "--help", "-h", "help":
		fmt.Fprint(stdout, usage)
		if err := settings.Describe(stdout, app.Prefix, &app.Config{}); err != nil {
			return 1
		}
		return 0
	default:
		fmt.Fprintf(stderr, "agent: no such command %q; agent -help lists them\n", command)
		return 2
	}
}

func serve(ctx context.Context, stderr io.Writer) int {
	var cfg app.Config
	if err := settings.Load(ctx, app.Prefix, &cfg); err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		fmt.Fprintf(stderr, "AGENT_LOG_LEVEL: want debug, info, warn or error, got %q\n", cfg.LogLevel)
		return 2
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	a, err := app.New(cfg, version, log)
	if err != nil {
		fmt.Fprintln(stderr, "agent:", err)
		return 1
	}
	defer runtime.KeepAlive(app.Ballast())
	if err := a.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "agent:", err)
		return 1
	}
	return 0
}
