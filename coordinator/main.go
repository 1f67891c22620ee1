// Command coordinator turns the fleet's traces into availability, incidents,
// alerts and records, follows the definitions in Git, and serves the dashboard.
//
//	coordinator                              serves until SIGTERM
//	coordinator record KIND PERIOD -o FILE   writes a document, e.g. record daily 2026-11-25 -o day.xlsx
//	coordinator version                      prints the version
//
// Its configuration comes from COORDINATOR_… variables; coordinator -help lists them.
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

	"github.com/gengfu/gengfu/coordinator/app"
	"github.com/gengfu/gengfu/probes/settings"
)

// version is set when a release is built.
var version = "dev"

const usage = `更夫 coordinator — availability, incidents, alerts, records, dashboard

  coordinator                              serves until SIGTERM
  coordinator record KIND PERIOD -o FILE   writes a document, e.g. record daily 2026-11-25 -o day.xlsx
                                           (FILE ends in .xlsx or .json)
  coordinator version                      prints the version

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
	case "record":
		return record(ctx, args, stdout, stderr)
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
		fmt.Fprintf(stderr, "coordinator: no such command %q; coordinator -help lists them\n", command)
		return 2
	}
}

func load(ctx context.Context, stderr io.Writer) (app.Config, *slog.Logger, bool) {
	var cfg app.Config
	if err := settings.Load(ctx, app.Prefix, &cfg); err != nil {
		fmt.Fprintln(stderr, err)
		return cfg, nil, false
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		fmt.Fprintf(stderr, "COORDINATOR_LOG_LEVEL: want debug, info, warn or error, got %q\n", cfg.LogLevel)
		return cfg, nil, false
	}
	return cfg, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})), true
}

func serve(ctx context.Context, stderr io.Writer) int {
	cfg, log, ok := load(ctx, stderr)
	if !ok {
		return 2
	}
	a, err := app.New(ctx, cfg, version, log)
	if err != nil {
		fmt.Fprintln(stderr, "coordinator:", err)
		return 1
	}
	if err := a.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "coordinator:", err)
		return 1
	}
	return 0
}

func record(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("coordinator record", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("o", "", "the file to write; its ending says the format")
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
	if len(words) != 2 || *file == "" {
		fmt.Fprintln(stderr, "coordinator record: want a kind, a period and a file: coordinator record daily 2026-11-25 -o day.xlsx")
		return 2
	}
	cfg, log, ok := load(ctx, stderr)
	if !ok {
		return 2
	}
	if err := app.WriteRecord(ctx, cfg, log, words[0], words[1], *file); err != nil {
		fmt.Fprintln(stderr, "coordinator record:", err)
		return 1
	}
	fmt.Fprintln(stdout, *file)
	return 0
}
