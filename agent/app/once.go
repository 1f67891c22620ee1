package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/gengfu/gengfu/agent/hosts"
	"github.com/gengfu/gengfu/agent/runner"
	"github.com/gengfu/gengfu/agent/telemetry"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/chrome"
	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/icmpprobe"
	"github.com/gengfu/gengfu/probes/semconv"
	"github.com/gengfu/gengfu/probes/settings"
)

// alone is what an agent needs to run probes by hand: no fleet, no spool.
type alone struct {
	runner  *runner.Runner
	browser *chrome.Pool // nil when nobody needs one, or there is none
	dir     string       // of the browser
	otlp    []byte       // the trace of the last run, as it would have been spooled
}

// closeWithin bounds how long it takes to end what a run by hand left.
const closeWithin = 10 * time.Second

// openAlone reads the same settings as a serving agent, of which none is required.
func openAlone(ctx context.Context, version string, browsing bool, log *slog.Logger) (_ *alone, err error) {
	var cfg Config
	if err := settings.LoadOr(ctx, Prefix, &cfg, map[string]string{"SITE": "local"}); err != nil {
		return nil, err
	}
	mapped, err := cfg.readyAlone()
	if err != nil {
		return nil, err
	}
	roots, err := rootsOf(cfg.CAFile)
	if err != nil {
		return nil, err
	}
	a := &alone{}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close(ctx))
		}
	}()
	if browsing {
		if err := a.browse(cfg, mapped, log); err != nil {
			return nil, err
		}
	}
	tel := telemetry.New(telemetry.Options{
		Agent: cfg.Name, Vantage: cfg.Site, Labels: cfg.labels(), Version: version,
		Sink: func(_ context.Context, otlp []byte) error { a.otlp = otlp; return nil },
	})
	secrets := settings.NewSecrets(Prefix, cfg.SecretsDir)
	dial := Dialer(mapped.Resolver())
	o := runner.Options{
		Agent: cfg.Name, Vantage: cfg.Site, Labels: cfg.labels(),
		Begin: func(ctx context.Context, r probes.Run) (context.Context, runner.Trace) { return tel.Begin(ctx, r) },
		// Pictures are named in the trace and not kept.
		Keep:   func(context.Context, probes.Evidence) error { return nil },
		Secret: secrets.Value, Secrets: secrets.Values, Dial: dial.DialContext, Resolver: mapped.Resolver(), Roots: roots,
		UserAgentSuffix: cfg.UserAgent, MaxConcurrent: 1, MaxBrowsers: 1, Logger: log,
	}
	o.Echo = icmpprobe.Open // without the right it says how to get it
	if a.browser != nil {
		o.Browser = a.browser // a nil pointer in an interface would not be nil
	}
	if a.runner, err = runner.New(o); err != nil {
		return nil, fmt.Errorf("building the runner: %w", err)
	}
	return a, nil
}

func (a *alone) browse(cfg Config, mapped *hosts.Map, log *slog.Logger) (err error) {
	if a.dir, err = os.MkdirTemp("", "gengfu-probe-*"); err != nil {
		return fmt.Errorf("making a folder for the browser: %w", err)
	}
	cfg.DataDir, cfg.MaxBrowsers = a.dir, 1
	a.browser, err = openBrowser(cfg, mapped.ChromiumRules(), log)
	return err
}

// run performs one run of p now and returns it with the spans of its trace.
func (a *alone) run(ctx context.Context, c *definition.Catalog, p probes.Probe) (probes.Run, []probes.Span, error) {
	s, _ := c.Service(p.Key.Service)
	slot := probes.SlotAt(p.Key, p.Every, time.Now())
	run, err := a.runner.Run(ctx, p, s.Channel, c.Revision.Commit, slot, probes.TriggerManual)
	if err != nil {
		return probes.Run{}, nil, err
	}
	spans, err := semconv.Spans(a.otlp)
	if err != nil {
		return probes.Run{}, nil, fmt.Errorf("reading the trace of %s: %w", p.Key, err)
	}
	return run, spans, nil
}

func (a *alone) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer cancel()
	var errs []error
	if a.runner != nil {
		errs = append(errs, a.runner.Close(ctx))
	}
	if a.browser != nil {
		if err := a.browser.Close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("closing the browser: %w", err))
		}
	}
	if a.dir != "" {
		if err := os.RemoveAll(a.dir); err != nil {
			errs = append(errs, fmt.Errorf("removing the browser's folder: %w", err))
		}
	}
	return errors.Join(errs...)
}

func needsBrowser(list []probes.Probe) bool {
	return slices.ContainsFunc(list, func(p probes.Probe) bool { return slices.Contains(p.Needs, probes.CapabilityBrowser) })
}
