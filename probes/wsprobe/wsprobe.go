// Package wsprobe opens a WebSocket (RFC 6455), holds a short dialogue of messages
// over it and closes it, as a page's script would.
package wsprobe

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/coder/websocket"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
	"github.com/gengfu/gengfu/probes/reach"
)

// Kind is the kind "websocket".
var Kind = probes.Kind{
	Name:   "websocket",
	Doc:    "opens a WebSocket, holds a short dialogue over it and closes it",
	Decode: decode,
	Fields: Fields,
}

// prober is one probe's definition, decoded and checked.
type prober struct {
	address    string // ws or wss; with ${secret:NAME}
	host, port string
	secure     bool
	family     reach.Family
	name       string // asked for by SNI; the certificate must be for it
	headers    map[string]string
	protocols  []string
	dialogue   []exchange
	maxMessage int64
	closeCode  int // that the peer must close with; 0 is any
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

	conn     *websocket.Conn
	raw      net.Conn
	shook    handshake
	text     []byte // the last message that was waited for
	messages int
	bytes    int
	closed   websocket.StatusCode // that the peer closed with; 0 when it did not

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

// talk connects, holds the dialogue and closes, each a step. Its error is about
// this agent; what is wrong with the service is noted in r.
func (r *run) talk(ctx context.Context) error {
	err := r.within(ctx, "connect", r.connect)
	if r.conn == nil || err != nil {
		return err
	}
	defer r.raw.Close()
	defer r.conn.CloseNow() //nolint:errcheck // what there is to say was said before
	defer reach.Hurry(ctx, r.raw)()
	for i, x := range r.dialogue {
		err := r.within(ctx, stepName(i), func(ctx context.Context) error { return r.exchange(ctx, x) })
		if err != nil || r.failure != nil {
			return err
		}
	}
	if r.closed != 0 {
		return nil // the dialogue's last word was the peer's farewell
	}
	return r.within(ctx, "close", r.close)
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

// farewell is how long a peer may take to close where nobody asks for its code.
const farewell = time.Second

// close says goodbye. Many servers just hang up; that counts only where the
// definition asks for a code.
func (r *run) close(ctx context.Context) error {
	if r.closeCode == 0 {
		short, cancel := context.WithTimeout(ctx, farewell)
		defer cancel()
		defer reach.Hurry(short, r.raw)()
	}
	err := r.conn.Close(websocket.StatusNormalClosure, "")
	if r.closed = websocket.CloseStatus(err); err == nil {
		r.closed = websocket.StatusNormalClosure
	}
	if r.closed < 0 {
		r.closed = 0
	}
	if r.closeCode == 0 || int(r.closed) == r.closeCode {
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return reach.ErrStopped
	}
	return r.wrongCode(r.closeCode, err)
}

func (r *run) judge() probes.Result {
	r.Time.Total = r.Time.DNS + r.Time.Connect + r.Time.TLS + r.Time.Request + r.Time.FirstByte + r.Time.Body
	res := probes.Result{
		Verdict: probes.Up, Timings: r.Time, TLSUntil: r.Until, Steps: 2 + len(r.dialogue), Passed: r.passed,
		Status: r.shook.status, URL: r.redact.Text(r.address),
		Measures: map[string]float64{"bytes": float64(r.bytes), "messages": float64(r.messages)},
	}
	if r.IP.IsValid() {
		res.IP = r.IP.String()
	}
	if r.failure != nil {
		res.Fail(r.failure.Finding(r.step))
	}
	reach.Weigh(&res, r.expect, r.warn, r.fields(), probes.ClassContent, r.failure != nil)
	for i := range res.Findings {
		// An expectation about the handshake's status is one about a status.
		if f := &res.Findings[i]; f.Phrase == probes.PhraseCheck && r.aboutStatus(f.Want) {
			f.Class = probes.ClassStatus
		}
	}
	if len(res.Findings) > 0 && res.Class != probes.ClassNone {
		res.Class = res.Findings[0].Class
	}
	if res.Verdict == probes.Down {
		res.Evidence = reach.Evidence(r.redact.Secrets(valid(r.text)))
	}
	reach.Clean(&res, r.redact)
	return res
}
