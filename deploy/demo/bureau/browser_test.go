package bureau_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/deploy/demo/bureau"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/chrome"
	"github.com/gengfu/gengfu/probes/probetest"
)

// browser is a real one that finds the bureau's hosts at a site.
func browser(t *testing.T, site string) probes.Browser {
	t.Helper()
	if _, err := chrome.Find(""); err != nil {
		t.Skipf("no browser: %v", err)
	}
	p, err := chrome.New(chrome.Options{
		Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler),
		HostRules: "MAP *.rsj.example " + site + ",MAP *.weixin.example " + site + ",MAP zwfw.example " + site,
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, p.Close(ctx))
	})
	return p
}

// TestExamplesOfBrowser walks every journey of the examples, and some of them
// again while the service is unwell.
func TestExamplesOfBrowser(t *testing.T) {
	b := open(t)
	e := env(t, b, sites[0])
	e.Browser = browser(t, sites[0])
	journeys := map[string]probes.Probe{}
	for _, p := range examples(t, b).Probes() {
		if p.Kind == "browser" {
			journeys[p.Key.Service] = p
		}
	}
	require.GreaterOrEqual(t, len(journeys), 8)
	walk := func(t *testing.T, p probes.Probe) probes.Result {
		t.Helper()
		// The first start of a browser on a busy machine takes longer than a run may.
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		r, err := p.Prober.Probe(ctx, e)
		require.NoError(t, err)
		probetest.Readable(t, r)
		return r
	}
	for _, p := range journeys {
		t.Run(p.Key.String(), func(t *testing.T) {
			r := walk(t, p)
			require.Equal(t, probes.Up, r.Verdict, "%+v", r.Findings)
			require.Equal(t, r.Steps, r.Passed)
			require.Positive(t, r.Steps)
		})
	}
	for _, tt := range []struct {
		service string
		fault   bureau.Fault
		classes []probes.Class
	}{
		{"wx-02", bureau.FaultBlank, []probes.Class{probes.ClassScriptError, probes.ClassBlankPage}},
		{"wx-01", bureau.FaultMaintenance, []probes.Class{probes.ClassMaintenancePage}},
		{"pt-05", bureau.FaultError500, []probes.Class{probes.ClassStatus}},
		{"app-06", bureau.FaultUnreachable, []probes.Class{probes.ClassReset, probes.ClassConnect}},
		{"app-05", bureau.FaultSoft404, []probes.Class{probes.ClassSoft404}},
	} {
		t.Run(tt.service+" "+string(tt.fault), func(t *testing.T) {
			_, err := b.Faults().Set(tt.service, tt.fault, "")
			require.NoError(t, err)
			r := walk(t, journeys[tt.service])
			require.Equal(t, probes.Down, r.Verdict, "%+v", r.Findings)
			require.Contains(t, tt.classes, r.Class, "%+v", r.Findings)
		})
	}
}
