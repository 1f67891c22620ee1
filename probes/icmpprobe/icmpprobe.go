// Package icmpprobe sends ICMP echo requests (RFC 792, RFC 4443) and judges how
// many are answered, and how fast.
package icmpprobe

import (
	"context"
	"errors"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
	"github.com/gengfu/gengfu/probes/reach"
)

// Kind is the kind "icmp".
var Kind = probes.Kind{
	Name:   "icmp",
	Doc:    "sends ICMP echo requests and judges loss and round-trip times",
	Needs:  []probes.Capability{probes.CapabilityICMP},
	Decode: decode,
	Fields: Fields,
}

// prober is one probe's definition, decoded and checked.
type prober struct {
	host     string
	family   reach.Family
	count    int
	interval time.Duration
	wait     time.Duration // after the last request
	size     int           // bytes of data
	maxLoss  float64       // percent; beyond it the run is down
	warnLoss float64       // percent; beyond it the run is degraded
	expect   []*expect.Expr
	warn     []*expect.Expr
}

// run is one run and what it has seen so far.
type run struct {
	*prober
	reach.Line
	tally
	failure *probes.Failure
}

// Probe implements probes.Prober.
func (p *prober) Probe(ctx context.Context, env probes.Env) (probes.Result, error) {
	r := &run{prober: p, Line: reach.Line{Env: env}}
	err := env.Record.Step(ctx, "ping", r.ping)
	if !errors.As(err, &r.failure) && err != nil {
		return probes.Result{}, err
	}
	return r.judge(), nil
}

func (r *run) judge() probes.Result {
	s := r.stats()
	r.Time.FirstByte = s.avg
	r.Time.Total = r.Time.DNS + s.avg
	res := probes.Result{Verdict: probes.Up, Timings: r.Time, Steps: 1, Measures: s.measures()}
	if r.IP.IsValid() {
		res.IP = r.IP.String()
	}
	if r.failure != nil {
		res.Fail(r.failure.Finding("ping"))
	} else {
		res.Passed = 1
	}
	if f, ok := r.lossy(s, r.maxLoss); ok && r.failure == nil {
		res.Fail(f)
	} else if f, ok := r.lossy(s, r.warnLoss); ok && r.failure == nil {
		res.Degrade(f)
	}
	reach.Weigh(&res, r.expect, r.warn, r.fields(s), probes.ClassTimeout, r.failure != nil)
	return res
}

// lossy says that more was lost than a bound allows.
func (r *run) lossy(s stats, bound float64) (probes.Finding, bool) {
	return probes.Finding{
		Class: probes.ClassTimeout, Step: "ping", Phrase: probes.PhrasePingLoss, Want: r.host,
		Got: percent(s.loss) + " > " + percent(bound),
	}, s.loss > bound
}
