// Package tlsprobe looks at how a site encrypts: the handshake with its versions
// and suites, the certificate's names and dates, the chain to a trusted root
// (and whether only AIA repairs it), the stapled OCSP answer, and the two
// certificates of national cryptography (TLCP, GB/T 38636-2020).
package tlsprobe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
	"github.com/gengfu/gengfu/probes/reach"
)

// Kind is the kind "tls".
var Kind = kind(time.Now)

func kind(now func() time.Time) probes.Kind {
	return probes.Kind{
		Name:   "tls",
		Doc:    "looks at a site's certificates and encryption, national cryptography (TLCP) included",
		Decode: func(s probes.Settings) (probes.Prober, error) { return decode(s, now) },
		Fields: Fields,
		Choices: map[string][]string{
			"tlcp":   {string(tlcpExpected), string(tlcpAbsent), string(tlcpAny), string(tlcpOnly)},
			"ignore": slices.Clone(ignorable),
		},
	}
}

// prober is one probe's definition, decoded and checked.
type prober struct {
	host    string // in ASCII, or an address without brackets
	port    string
	name    string     // asked for by SNI; the certificate must be for it
	connect netip.Addr // spoken to in place of what the host resolves to, when valid
	alpn    []string
	trust   trust
	floor   uint16 // the lowest version that will do
	scan    bool   // also look at what else the server accepts
	tlcp    tlcpWish
	ignore  map[string]bool // checks that do not count
	expect  []*expect.Expr
	warn    []*expect.Expr
	now     func() time.Time
}

// The steps of a run.
const (
	stepHandshake = "handshake"
	stepAIA       = "aia"
	stepVersions  = "versions"
	stepTLCP      = "tlcp"
)

// Probe implements probes.Prober.
func (p *prober) Probe(ctx context.Context, env probes.Env) (probes.Result, error) {
	anchors, err := p.trust.anchors(env.Roots)
	if err != nil {
		return probes.Result{}, err
	}
	r := &run{prober: p, env: env, anchors: anchors, at: p.now(), line: reach.Line{Env: env}}
	if err := r.look(ctx); err != nil {
		return probes.Result{}, err
	}
	return r.judge(), nil
}

// run is one run and what it has seen so far.
type run struct {
	*prober
	env     probes.Env
	anchors anchors
	at      time.Time // by which dates are judged

	line    reach.Line // to the first handshake
	total   time.Duration
	met     bool   // the target answered at line.IP
	step    string // in which failure came
	failure *probes.Failure
	session *session // of the standard handshake; nil when none was tried
	chain   chain
	staple  staple
	extra   acceptance
	sm      *tlcpReply // nil when TLCP was not tried
}

// look speaks to the target. Its error is about this agent, or says that the run
// was called off; what is wrong with the service is noted in r. It speaks to one
// address throughout: the one that answered first.
func (r *run) look(ctx context.Context) error {
	if r.tlcp != tlcpOnly {
		if err := r.standard(ctx); err != nil {
			return err
		}
	}
	if ctx.Err() != nil || !r.wantsTLCP() {
		return nil
	}
	return r.lookTLCP(ctx)
}

// part is the time that a step may take with so many to come, itself included:
// one that hangs must not make the next ones say what is not so.
func part(ctx context.Context, steps int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(steps))
}

// standard performs the handshake that browsers make, and what follows from it.
func (r *run) standard(ctx context.Context) error {
	r.session = &session{}
	start := time.Now()
	err := r.within(ctx, stepHandshake, r.handshake)
	r.total = time.Since(start)
	if err != nil || len(r.session.state.PeerCertificates) == 0 {
		return err
	}
	r.chain = climb(r.session.state.PeerCertificates, r.anchors.pool, r.at)
	if r.chain.wantsAIA() {
		ctx, cancel := part(ctx, 3)
		defer cancel()
		if err := r.within(ctx, stepAIA, r.repair); err != nil {
			return err
		}
	}
	r.staple = readStaple(r.session.state.OCSPResponse, r.chain, r.at)
	if r.scan && r.failure == nil {
		ctx, cancel := part(ctx, 2)
		defer cancel()
		return r.within(ctx, stepVersions, r.accepts)
	}
	return nil
}

// within runs do as a step. The first failure of the service is noted and ends
// nothing; any other error does.
func (r *run) within(ctx context.Context, step string, do func(context.Context) error) error {
	err := r.env.Record.Step(ctx, step, do)
	var f *probes.Failure
	if !errors.As(err, &f) {
		return err
	}
	if r.failure == nil {
		r.step, r.failure = step, f
	}
	return nil
}

// meet opens a connection to the target, over line when it is the first.
func (r *run) meet(ctx context.Context) (net.Conn, *reach.Line, error) {
	line, host := &r.line, r.host
	switch {
	case r.met:
		line, host = &reach.Line{Env: r.env}, r.line.IP.String()
	case r.connect.IsValid():
		host = r.connect.String()
	}
	conn, err := line.Connect(ctx, host, r.port, reach.Any)
	r.met = r.met || err == nil
	r.env.Record.Annotate(ctx,
		probes.Attr{Key: "server.address", Value: r.host},
		probes.Attr{Key: "tls.client.server_name", Value: r.name})
	return conn, line, err
}
