// Package browserprobe walks through a page in a real browser as the public
// would: opens it, reads, taps, fills in, and judges what became of it. A
// failure is named by what explains it best: a status, a maintenance page or a
// script error says more than the text that was not found because of it.
package browserprobe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
	"github.com/gengfu/gengfu/probes/pagerules"
)

// Kind is the kind "browser".
var Kind = probes.Kind{
	Name:    "browser",
	Doc:     "opens a page in a real browser, takes steps and judges what the public would see",
	Needs:   []probes.Capability{probes.CapabilityBrowser},
	Decode:  decode,
	Fields:  Fields,
	Choices: map[string][]string{"device": deviceNames(), "pages.class": pagerules.OwnClassNames()},
}

// prober is one probe's definition, decoded and checked.
type prober struct {
	device   probes.Device
	steps    []step
	patience time.Duration // of one step after open
	expect   []*expect.Expr
	warn     []*expect.Expr
	rules    bool
	rulesOff []string
	own      []pagerules.Rule
}

// step is one entry of the definition's steps. Filling in two fields is one
// step with two actions.
type step struct {
	name    string // e.g. "see 个人权益记录"; secrets as ${secret:NAME}
	op      probes.Op
	actions []probes.Action
}

var errNoBrowser = &probes.Trouble{
	Phrase: probes.PhraseNoBrowser, Got: "apt-get install chromium-headless-shell fonts-noto-cjk",
	Err: errors.New("this agent has no browser; install one with: apt-get install chromium-headless-shell fonts-noto-cjk"),
}

// Probe implements probes.Prober.
func (p *prober) Probe(ctx context.Context, env probes.Env) (probes.Result, error) {
	if env.Browser == nil {
		return probes.Result{}, errNoBrowser
	}
	r, err := p.prepare(env)
	if err != nil {
		return probes.Result{}, err
	}
	page, err := env.Browser.Open(ctx, r.dressed(ctx))
	if err != nil {
		return probes.Result{}, &probes.Trouble{Phrase: probes.PhraseBrowser, Err: fmt.Errorf("opening a page: %w", err)}
	}
	res, err := r.walk(ctx, page)
	if cerr := page.Close(); cerr != nil && err == nil {
		// The result stands: the page was seen before its browser failed to close it.
		env.Record.Annotate(ctx, probes.Attr{Key: "gengfu.browser.close_error", Value: cerr.Error()})
	}
	return res, err
}
