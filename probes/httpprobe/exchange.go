package httpprobe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// maxHead bounds the head of a reply, in bytes.
const maxHead = 256 << 10

// reply is what a step got, complete or not.
type reply struct {
	of        *step
	ask       ask
	begun     string // the address that was asked for at first, when it led elsewhere
	status    int    // 0 when none came
	proto     string
	header    http.Header
	body      []byte // decompressed
	cut       bool   // the body is longer than max_body
	ip        string
	tlsUntil  time.Time
	time      probes.Timings
	redirects int
	span      string // the name of the last request's span
	read      *page  // the reply as text, once it was read
}

// hop is one request over one fresh connection.
type hop struct {
	*session
	*reply
	ask  ask
	port string // that was connected to

	network string // "udp" for QUIC; else TCP
}

// exchange sends a step's request and follows redirects. A *probes.Failure is
// about the service; the error is about this agent.
func (s *session) exchange(ctx context.Context, st *step) (*reply, *probes.Failure, error) {
	out := &reply{of: st, span: "request"}
	defer func() { s.at = out.ask.url }()
	var failure *probes.Failure
	next, err := st.plan.ask(s)
	switch {
	case errors.As(err, &failure):
		return out, failure, nil
	case err != nil:
		return nil, nil, err
	}
	if next.led && next.guarded() && !s.known(next.url) {
		// A page does not choose who is told a secret.
		return out.asked(next), &probes.Failure{Class: probes.ClassRedirect, Phrase: probes.PhraseRedirectSecret, Got: probes.Excerpt(s.redact.Text(next.address))}, nil
	}
	var seen map[string]bool
	if st.plan.follow > 0 {
		seen = map[string]bool{}
	}
	for {
		h := &hop{session: s, reply: out, ask: next}
		out.ask = next
		var location string
		err := s.env.Record.Step(ctx, out.span, func(ctx context.Context) error {
			if seen != nil {
				// A page that sets a cookie and redirects to itself is no loop: the
				// cookie differs.
				seen[s.state(h.ask)] = true
			}
			var err error
			if location, err = h.do(ctx); err != nil || location == "" {
				return err
			}
			next, err = h.redirected(location, seen)
			return err
		})
		switch {
		case err != nil && !errors.As(err, &failure), errors.Is(err, errStopped):
			return nil, nil, err
		case err != nil, location == "":
			out.time.Total = total(out.time)
			s.spent = sum(s.spent, out.time)
			return out, failure, nil
		}
		if out.redirects == 0 {
			out.begun = h.ask.url.String()
		}
		out.redirects++
		out.span = "redirect " + strconv.Itoa(out.redirects)
	}
}

func (r *reply) asked(a ask) *reply {
	r.ask = a
	return r
}

// known reports whether the definition itself names where an address leads to.
func (s *session) known(u *url.URL) bool {
	return slices.ContainsFunc(s.steps, func(st *step) bool { return st.plan.origin == origin(u) }) || s.allow.host(u.Hostname())
}

// total is what a user waited: the phases, and nothing of this agent's own.
func total(t probes.Timings) time.Duration {
	return t.DNS + t.Connect + t.TLS + t.Request + t.FirstByte + t.Body
}

func sum(a, b probes.Timings) probes.Timings {
	return probes.Timings{
		DNS: a.DNS + b.DNS, Connect: a.Connect + b.Connect, TLS: a.TLS + b.TLS, Request: a.Request + b.Request,
		FirstByte: a.FirstByte + b.FirstByte, Body: a.Body + b.Body, Total: a.Total + b.Total,
	}
}

// redirected checks a redirect before it is followed.
func (h *hop) redirected(location string, seen map[string]bool) (ask, error) {
	refuse := func(phrase probes.Phrase, want string) (ask, error) {
		return ask{}, &probes.Failure{Class: probes.ClassRedirect, Phrase: phrase, Want: want, Got: probes.Excerpt(h.redact.Text(location))}
	}
	follow := h.of.plan.follow
	if h.redirects >= follow {
		return refuse(probes.PhraseRedirects, strconv.Itoa(follow))
	}
	next, why := h.next(h.ask, h.status, location)
	switch {
	case why != "":
		return refuse(why, "")
	case seen[h.state(next)]:
		return refuse(probes.PhraseRedirectLoop, "")
	}
	return next, nil
}

func (s *session) state(a ask) string {
	state := a.method + " " + a.address
	for _, c := range s.cookies(false).Cookies(a.url) {
		state += "\n" + c.Name + "=" + c.Value
	}
	return state
}

// do sends the hop's request and returns the Location to follow, if any.
func (h *hop) do(ctx context.Context) (location string, err error) {
	h.status, h.proto, h.header, h.body, h.ip, h.tlsUntil = 0, "", nil, nil, "", time.Time{}
	h.env.Record.Annotate(ctx,
		probes.Attr{Key: "http.request.method", Value: h.ask.method},
		probes.Attr{Key: "url.full", Value: h.redact.Text(h.ask.address)},
		probes.Attr{Key: "server.address", Value: h.ask.url.Hostname()})
	if h.protocol == "h3" && !h.ask.led {
		return h.overH3(ctx)
	}
	l, err := h.open(ctx)
	h.ip, h.tlsUntil = l.ip, l.tlsUntil
	if err != nil {
		return "", err
	}
	defer l.Close()
	if l.state.NegotiatedProtocol == "h2" || h.protocol == "h2" && h.ask.url.Scheme == "http" && !h.ask.led && !l.proxied {
		return h.overH2(ctx, l)
	}
	return h.overH1(ctx, l)
}

// took notes the head of a reply and returns the Location to follow, if any.
func (h *hop) took(ctx context.Context, resp *http.Response) (location string) {
	h.status, h.proto, h.header = resp.StatusCode, resp.Proto, resp.Header
	h.env.Record.Annotate(ctx,
		probes.Attr{Key: "network.peer.address", Value: h.ip},
		probes.Attr{Key: "http.response.status_code", Value: resp.StatusCode},
		probes.Attr{Key: "network.protocol.version", Value: strings.TrimPrefix(resp.Proto, "HTTP/")})
	if len(resp.Header["Set-Cookie"]) > 0 {
		h.cookies(true).SetCookies(h.ask.url, resp.Cookies())
	}
	if h.of.plan.follow > 0 && redirects(resp.StatusCode) {
		return resp.Header.Get("Location")
	}
	return ""
}

func redirects(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// receive reads the body, whose first byte or the head's came at first. It is
// inflated after the phase: that is this agent's time.
func (h *hop) receive(ctx context.Context, resp *http.Response, first time.Time) error {
	raw, cut, err := readBounded(resp.Body, resp.ContentLength, h.maxBody)
	end := time.Now()
	h.time.Body += end.Sub(first)
	if err == nil {
		h.body, h.cut, err = inflate(raw, resp.Header["Content-Encoding"], h.maxBody, cut)
	} else {
		h.body, h.cut = nil, false
	}
	h.record(ctx, "body", first, end, err, probes.Attr{Key: "http.response.body.size", Value: len(h.body)})
	if err != nil {
		return h.fail(ctx, "body", first, err)
	}
	return nil
}

// phase records an interval that ends now and returns its length.
func (h *hop) phase(ctx context.Context, name string, start time.Time, err error, attrs ...probes.Attr) time.Duration {
	end := time.Now()
	h.record(ctx, name, start, end, err, attrs...)
	return end.Sub(start)
}

func (h *hop) record(ctx context.Context, name string, start, end time.Time, err error, attrs ...probes.Attr) {
	p := probes.Phase{Name: name, Start: start, End: end, Attrs: attrs}
	if err != nil {
		f := h.explain(ctx, name, end.Sub(start), err)
		p.Class, p.Err = f.Class, f
	}
	h.env.Record.Phase(ctx, p)
}

// fail makes err, with which a phase that began at start ended, a failure of
// the service, unless the run was called off.
func (h *hop) fail(ctx context.Context, phase string, start time.Time, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return errStopped
	}
	return h.explain(ctx, phase, time.Since(start), err)
}

// explain says what an error of a phase means that lasted so long.
func (h *hop) explain(ctx context.Context, phase string, lasted time.Duration, err error) *probes.Failure {
	peer := h.ask.url.Hostname()
	if phase == "connect" {
		peer = net.JoinHostPort(h.ip, h.port)
	}
	class := classOf(ctx, phase, err)
	f := probes.Explain(err, peer)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
	case class == probes.ClassTimeout, phase == "dns" && probes.Waited(err):
		f = probes.TimedOut(phase, peer, lasted)
	case errors.Is(err, errNoIntermediate):
		f.Phrase = probes.PhraseCertChain
	case errors.As(err, new(notHTTP)):
		f.Phrase = probes.PhraseNotHTTP // something else speaks there
	}
	f.Class = class
	return f.Clean(h.redact.Text)
}

// classOf sorts an error by what was going on when it came.
func classOf(ctx context.Context, phase string, err error) probes.Class {
	class := probes.Classify(err)
	switch {
	case errors.As(err, new(*probes.Failure)):
		return class
	case class == probes.ClassDNS, phase == "dns":
		return probes.ClassDNS
	case ctx.Err() != nil:
		return probes.ClassTimeout
	case errors.As(err, new(notHTTP)):
		return probes.ClassContent // something else than HTTP speaks there
	case class != probes.ClassConnect || phase == "connect":
		return class
	case phase == "tls":
		return probes.ClassTLS
	}
	// The connection stood; whatever ended it, ended it.
	return probes.ClassReset
}

// notHTTP is the error of a reply whose head makes no sense.
type notHTTP struct{ err error }

func (n notHTTP) Error() string { return n.err.Error() }
func (n notHTTP) Unwrap() error { return n.err }

// headError tells a head that makes no sense from a connection that ended.
func headError(err error) error {
	if strings.Contains(err.Error(), "malformed") || probes.Classify(err) == probes.ClassConnect && !errors.As(err, new(net.Error)) {
		return notHTTP{err}
	}
	return err
}

func errHeadLong() error {
	return &probes.Failure{Class: probes.ClassContent, Phrase: probes.PhraseHeadLong, Want: fmt.Sprint(maxHead)}
}
