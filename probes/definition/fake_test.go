package definition_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/gengfu/gengfu/probes"
)

// fake is a kind that only remembers what it was given.
type fake struct {
	Request struct {
		Method string `yaml:"method"`
		URL    string `yaml:"url"`
	} `yaml:"request"`
	Steps  []map[string]any `yaml:"steps"`
	Expect []string         `yaml:"expect"`
	Body   any              `yaml:"body"`
	Header yaml.MapSlice    `yaml:"header"`
	Wait   time.Duration    `yaml:"wait"`
	Tries  uint8            `yaml:"tries"`
	Extra  *[]int           `yaml:"extra"`

	timeout time.Duration
}

func (fake) Probe(context.Context, probes.Env) (probes.Result, error) {
	return probes.Result{Verdict: probes.Up}, nil
}

func decodeFake(s probes.Settings) (probes.Prober, error) {
	f := fake{timeout: s.Timeout()}
	errs := []error{s.Into(&f)}
	for i, step := range f.Steps {
		if step["see"] == "" {
			errs = append(errs, s.Errorf(fmt.Sprintf("steps[%d].see", i), "want a text, got nothing; write what must be seen"))
		}
	}
	for i, e := range f.Expect {
		if e == "broken" {
			errs = append(errs, fmt.Errorf("checking: %w", s.Errorf(fmt.Sprintf("expect[%d]", i), "want fine, got %q; mend it", e)))
		}
	}
	for _, h := range f.Header {
		if h.Value == "bad" {
			errs = append(errs, s.Errorf(fmt.Sprintf("header.%v", h.Key), "want anything but bad"))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return f, nil
}

var fakeKinds = []probes.Kind{
	{Name: "fake", Doc: "for tests", Decode: decodeFake},
	{Name: "fake-browser", Doc: "for tests", Needs: []probes.Capability{probes.CapabilityBrowser}, Decode: decodeFake},
}
