// Package httpprobe sends one HTTP request over a fresh connection, follows its
// redirects and judges the reply as the public would see it: network phases,
// certificate, page, status, business code, charset and expectations.
package httpprobe

import (
	"context"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
)

// Kind is the kind "http".
var Kind = probes.Kind{
	Name:   "http",
	Doc:    "sends one HTTP request and judges the reply",
	Decode: decode,
}

// prober is one probe's definition, decoded and checked.
type prober struct {
	request  request
	follow   int // how many redirects are followed
	allow    allowance
	expect   []*expect.Expr
	warn     []*expect.Expr
	business *envelope
	charset  string   // overrides what the reply declares
	rules    bool     // page rules apply
	rulesOff []string // but not these
	caFile   string
	maxBody  int64 // bytes, on the wire and decompressed alike
	uses     map[string]bool
}

// Probe implements probes.Prober.
func (p *prober) Probe(ctx context.Context, env probes.Env) (probes.Result, error) {
	r, err := p.prepare(env)
	if err != nil {
		return probes.Result{}, err
	}
	reply, failure, err := r.exchange(ctx)
	if err != nil {
		return probes.Result{}, err
	}
	return r.judge(reply, failure), nil
}
