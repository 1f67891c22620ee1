// Command bureau serves the demo bureau: the services of a made-up city bureau
// on loopback, the switches that make them unwell, and a receiver of alerts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/gengfu/gengfu/deploy/demo/bureau"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bureau:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bureau", flag.ContinueOnError)
	addrs := flags.String("addrs", "127.0.2.1,127.0.2.2,127.0.2.3", "loopback addresses to serve on, one a site")
	names := flags.String("names", "", "what the page of switches calls the sites, in the order of -addrs")
	port := flags.Int("port", 8000, "port of HTTP on every address; 0 takes a free one")
	tlsPort := flags.Int("tls-port", 8443, "port of HTTPS on every address; 0 takes a free one")
	control := flags.String("control", "127.0.0.1:9900", "host:port of the switches, /_faults, and of the received alerts, /_alerts")
	certs := flags.String("certs", "var/demo/certs", "folder for ca.pem, which clients must trust")
	delay := flags.Duration("delay", 3*time.Second, "how long the fault \"slow\" takes")
	verbose := flags.Bool("v", false, "log every request")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("want flags only, got %q", flags.Arg(0))
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	b, err := bureau.New(bureau.Options{
		Addrs: strings.Split(*addrs, ","), Names: strings.FieldsFunc(*names, func(r rune) bool { return r == ',' }), Port: *port, TLSPort: *tlsPort, Control: *control, CertDir: *certs, Delay: *delay,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	})
	if err != nil {
		return err
	}
	return b.Run(ctx)
}
