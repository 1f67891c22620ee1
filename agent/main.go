// Command agent runs probes: it joins the fleet, takes its share of the
// definitions, runs them on their slots and delivers a trace of each run.
//
//	agent                     serves until SIGTERM
//	agent check DIR           validates a folder of definitions; exit 1 when it has mistakes
//	agent probe DIR ID        runs one probe (SERVICE/PROBE, or SERVICE) now and prints what it saw;
//	                          exit 0 up, 1 down, 3 degraded, 4 unknown; -json for machines
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
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/gengfu/gengfu/agent/app"
	"github.com/gengfu/gengfu/probes/settings"
	"github.com/gengfu/gengfu/probes/wording"
)

// version is set when a release is built.
var version = "dev"

const usage = `更夫 agent — runs probes

  agent                 serves until SIGTERM
  agent check DIR       validates a folder of definitions; exit 1 when it has mistakes
  agent probe DIR ID    runs one probe now (SERVICE/PROBE, or SERVICE) and prints what it saw;
                        exit 0 up, 1 down, 3 degraded, 4 unknown
      -json             prints JSON for machines
      -lang zh|en       language of the text (zh)
  agent import gatus|blackbox|uptime-kuma FILE
                        turns another monitor's configuration into definitions and says line by
                        line what it could not carry over; exit 0 all carried over, 3 not all
      -o DIR            the definitions' folder (.); -h lists further options
  agent version         prints the version

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
		if len(args) != 1 {
			fmt.Fprintln(stderr, "agent check: want one folder: agent check DIR")
			return 2
		}
		return app.Check(args[0], stdout, stderr)
	case "probe":
		return probe(ctx, args, stdout, stderr)
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

func probe(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("agent probe", flag.ContinueOnError)
	flags.SetOutput(stderr)
	asJSON := flags.Bool("json", false, "print JSON")
	lang := flags.String("lang", "zh", "zh or en")
	// Flags may stand before and after the words.
	var words []string
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return 2
		}
		if args = flags.Args(); len(args) > 0 {
			words, args = append(words, args[0]), args[1:]
		}
	}
	if len(words) != 2 {
		fmt.Fprintln(stderr, "agent probe: want a folder and a probe: agent probe DIR SERVICE/PROBE")
		return 2
	}
	return app.ProbeOnce(ctx, app.Once{
		Dir: words[0], ID: words[1], JSON: *asJSON, Lang: wording.ParseLang(*lang), Version: version, Out: stdout, Err: stderr,
	})
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
	if err := a.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "agent:", err)
		return 1
	}
	return 0
}
