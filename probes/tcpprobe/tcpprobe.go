// Package tcpprobe opens a TCP connection, with TLS where asked, and holds a
// short dialogue over it: what is sent is text or bytes, what must come back a
// text, bytes or a regular expression.
package tcpprobe

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
	"github.com/gengfu/gengfu/probes/reach"
)

// Kind is the kind "tcp".
var Kind = probes.Kind{
	Name:   "tcp",
	Doc:    "opens a TCP connection, with TLS where asked, and holds a short dialogue over it",
	Decode: decode,
	Fields: Fields,
}

// prober is one probe's definition, decoded and checked.
type prober struct {
	host, port string
	family     reach.Family
	tls        bool
	name       string // asked for by SNI; the certificate must be for it
	dialogue   []exchange
	maxRead    int // bytes of one exchange
	secrets    []string
	expect     []*expect.Expr
	warn       []*expect.Expr
}

// run is one run and what it has seen so far.
type run struct {
	*prober
	reach.Line
	values map[string]string // of secrets
	redact *probes.Redactor

	banner string // what came before anything was sent
	text   []byte // what came in the last exchange that read anything
	spoke  bool   // something was sent
	bytes  int    // received, in all
	cut    bool   // an exchange reached its bound

	step    string // in which failure came
	failure *probes.Failure
	passed  int
}

// Probe implements probes.Prober.
func (p *prober) Probe(ctx context.Context, env probes.Env) (probes.Result, error) {
	values, redact, err := reach.Secrets(env, p.secrets)
	if err != nil {
		return probes.Result{}, err
	}
	r := &run{prober: p, Line: reach.Line{Env: env}, values: values, redact: redact}
	if err := r.talk(ctx); err != nil {
		return probes.Result{}, err
	}
	return r.judge(), nil
}

// talk connects and holds the dialogue, each a step. Its error is about this
// agent; what is wrong with the service is noted in r.
func (r *run) talk(ctx context.Context) error {
	var conn net.Conn
	err := r.within(ctx, "connect", func(ctx context.Context) (err error) {
		conn, err = r.open(ctx)
		return err
	})
	if conn == nil || err != nil {
		return err
	}
	defer r.hangUp(conn)
	defer reach.Hurry(ctx, conn)()
	for i, x := range r.dialogue {
		err := r.within(ctx, stepName(i), func(ctx context.Context) error { return r.exchange(ctx, conn, x) })
		if err != nil || r.failure != nil {
			return err
		}
	}
	return nil
}

func (r *run) open(ctx context.Context) (net.Conn, error) {
	conn, err := r.Connect(ctx, r.host, r.port, r.family)
	if err != nil || !r.tls {
		return conn, err
	}
	secure, err := r.Secure(ctx, conn, r.name)
	if err != nil {
		return nil, err
	}
	return secure, nil
}

// hangUp closes the connection, with a farewell only where all went well: a peer
// that does not read would keep the run waiting.
func (r *run) hangUp(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok && r.passed <= len(r.dialogue) {
		conn = secure.NetConn()
	}
	conn.Close()
}

// within runs do as a step. A failure of the service is noted and is no error.
func (r *run) within(ctx context.Context, step string, do func(context.Context) error) error {
	err := r.Env.Record.Step(ctx, step, do)
	var f *probes.Failure
	switch {
	case err == nil:
		r.passed++
	case errors.As(err, &f):
		r.step, r.failure = step, f
	default:
		return err
	}
	return nil
}

func (r *run) judge() probes.Result {
	r.Time.Total = r.Time.DNS + r.Time.Connect + r.Time.TLS + r.Time.Request + r.Time.FirstByte + r.Time.Body
	res := probes.Result{
		Verdict: probes.Up, Timings: r.Time, TLSUntil: r.Until, Steps: 1 + len(r.dialogue), Passed: r.passed,
		Measures: map[string]float64{"bytes": float64(r.bytes)},
	}
	if r.IP.IsValid() {
		res.IP = r.IP.String()
	}
	if r.cut {
		res.Measures["reply_cut"] = 1
	}
	if r.failure != nil {
		res.Fail(r.failure.Finding(r.step))
	}
	reach.Weigh(&res, r.expect, r.warn, r.fields(), probes.ClassContent, r.failure != nil)
	if res.Verdict == probes.Down {
		res.Evidence = reach.Evidence(r.show(r.text))
	}
	reach.Clean(&res, r.redact)
	return res
}

// reads reports whether an exchange waits for something.
func reads(dialogue []exchange) bool {
	return slices.ContainsFunc(dialogue, func(x exchange) bool { return x.until != nil })
}
