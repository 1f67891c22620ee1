package httpprobe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// reply is what a run got, complete or not.
type reply struct {
	ask       ask
	status    int // 0 when none came
	header    http.Header
	body      []byte // decompressed
	cut       bool   // the body is longer than max_body
	ip        string
	tlsUntil  time.Time
	time      probes.Timings
	redirects int
	step      string // the last step's name
	region    region // of the address that the first request went to
}

// hop is one request over one fresh connection.
type hop struct {
	*run
	*reply
	ask ask
}

// errStopped says that the run was called off, which is nobody's failure.
var errStopped = errors.New("the run was stopped before it ended")

// exchange sends the request and follows redirects. A *probes.Failure is about
// the service; the error is about this agent.
func (r *run) exchange(ctx context.Context) (*reply, *probes.Failure, error) {
	start := time.Now()
	out := &reply{}
	seen := map[string]bool{}
	next := r.first()
	var failure *probes.Failure
	for {
		out.step = "request"
		if out.redirects > 0 {
			out.step = fmt.Sprintf("redirect %d", out.redirects)
		}
		h := &hop{run: r, reply: out, ask: next}
		out.ask = next
		var location string
		err := r.env.Record.Step(ctx, out.step, func(ctx context.Context) error {
			// A page that sets a cookie and redirects to itself is no loop: the
			// cookie differs.
			seen[h.state(h.ask)] = true
			var err error
			if location, err = h.do(ctx); err != nil || location == "" {
				return err
			}
			next, err = h.redirected(location, seen)
			return err
		})
		switch {
		case errors.Is(err, errStopped):
			return nil, nil, err
		case err != nil && !errors.As(err, &failure):
			return nil, nil, err
		case err != nil, location == "":
			out.time.Total = time.Since(start)
			return out, failure, nil
		}
		out.redirects++
	}
}

// redirected checks a redirect before it is followed.
func (h *hop) redirected(location string, seen map[string]bool) (ask, error) {
	refuse := func(phrase probes.Phrase, want string) (ask, error) {
		return ask{}, &probes.Failure{Class: probes.ClassRedirect, Phrase: phrase, Want: want, Got: probes.Excerpt(h.redact.Text(location))}
	}
	if h.redirects >= h.follow {
		return refuse(probes.PhraseRedirects, strconv.Itoa(h.follow))
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

func (h *hop) state(a ask) string {
	var b strings.Builder
	b.WriteString(a.method + " " + a.url.String())
	for _, c := range h.jar.Cookies(a.url) {
		b.WriteString("\n" + c.Name + "=" + c.Value)
	}
	return b.String()
}

// do sends the hop's request and returns the Location to follow, if any.
func (h *hop) do(ctx context.Context) (location string, err error) {
	h.status, h.header, h.body, h.ip, h.tlsUntil = 0, nil, nil, "", time.Time{}
	h.env.Record.Annotate(ctx,
		probes.Attr{Key: "http.request.method", Value: h.ask.method},
		probes.Attr{Key: "url.full", Value: h.redact.Text(h.ask.url.String())},
		probes.Attr{Key: "server.address", Value: h.ask.url.Hostname()})
	l, err := h.open(ctx)
	h.ip, h.tlsUntil = l.ip, l.tlsUntil
	if err != nil {
		return "", err
	}
	defer l.Close()
	h.env.Record.Annotate(ctx, probes.Attr{Key: "network.peer.address", Value: l.ip})
	transport := carry(l)
	defer transport.CloseIdleConnections()
	resp, first, err := h.roundTrip(ctx, transport)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	h.status, h.header = resp.StatusCode, resp.Header
	h.env.Record.Annotate(ctx,
		probes.Attr{Key: "http.response.status_code", Value: resp.StatusCode},
		probes.Attr{Key: "network.protocol.version", Value: strings.TrimPrefix(resp.Proto, "HTTP/")})
	h.jar.SetCookies(h.ask.url, resp.Cookies())
	if to := resp.Header.Get("Location"); to != "" && h.follow > 0 && redirects(resp.StatusCode) {
		return to, nil
	}
	return "", h.readBody(ctx, resp, first)
}

func redirects(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// carry makes a transport that uses l, once.
func carry(l link) *http.Transport {
	var once sync.Once
	use := func(context.Context, string, string) (conn net.Conn, err error) {
		err = errors.New("the connection is used up")
		once.Do(func() { conn, err = l.Conn, nil })
		return conn, err
	}
	return &http.Transport{
		DialContext:            use,
		DialTLSContext:         use,
		DisableKeepAlives:      true,
		DisableCompression:     true, // the body is inflated with a bound
		ForceAttemptHTTP2:      true,
		MaxResponseHeaderBytes: 256 << 10,
	}
}

// marks are the instants of one request, noted by the transport's goroutines.
type marks struct {
	mu           sync.Mutex
	wrote, first time.Time
}

func (m *marks) set(at *time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at.IsZero() {
		*at = time.Now()
	}
}

func (m *marks) get() (wrote, first time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wrote, m.first
}

// roundTrip sends the request and waits for the reply's head; first is the
// instant of its first byte.
func (h *hop) roundTrip(ctx context.Context, transport *http.Transport) (resp *http.Response, first time.Time, err error) {
	var m marks
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			if i.Err == nil {
				m.set(&m.wrote)
			}
		},
		GotFirstResponseByte: func() { m.set(&m.first) },
	})
	req, err := http.NewRequestWithContext(traced, h.ask.method, h.ask.url.String(), h.ask.reader())
	if err != nil {
		return nil, first, fmt.Errorf("making the request: %w", err)
	}
	req.Header, req.Host = h.ask.headers.Clone(), h.ask.host
	if h.env.Traceparent != nil {
		if v := h.env.Traceparent(ctx); v != "" {
			req.Header.Set("Traceparent", v)
		}
	}
	for _, c := range h.jar.Cookies(h.ask.url) {
		req.AddCookie(c)
	}
	start := time.Now()
	resp, err = transport.RoundTrip(req)
	wrote, first := m.get()
	now := time.Now()
	if first.IsZero() && err == nil {
		first = now
	}
	switch {
	case wrote.IsZero() && err != nil:
		h.phase(ctx, "request", start, err)
		return nil, first, h.fail(ctx, "request", start, err)
	case wrote.IsZero() || !first.IsZero() && wrote.After(first):
		// The reply began before the request was out.
		wrote = first
	}
	h.record(ctx, "request", start, wrote, nil)
	if err != nil {
		h.time.FirstByte += h.phase(ctx, "first_byte", wrote, err)
		return nil, first, h.fail(ctx, "first_byte", wrote, err)
	}
	h.record(ctx, "first_byte", wrote, first, nil, probes.Attr{Key: "http.response.status_code", Value: resp.StatusCode})
	h.time.FirstByte += first.Sub(wrote)
	return resp, first, nil
}

func (h *hop) readBody(ctx context.Context, resp *http.Response, first time.Time) error {
	var err error
	h.body, h.cut, err = readBounded(resp.Body, resp.Header.Get("Content-Encoding"), h.maxBody)
	h.time.Body += h.phase(ctx, "body", first, err, probes.Attr{Key: "http.response.body.size", Value: len(h.body)})
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
		peer = net.JoinHostPort(h.ip, h.ask.port())
	}
	class := classOf(ctx, phase, err)
	f := probes.Explain(err, peer)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
	case class == probes.ClassTimeout, phase == "dns" && probes.Waited(err):
		f = probes.TimedOut(phase, peer, lasted)
	case errors.Is(err, errNoIntermediate):
		f.Phrase = probes.PhraseCertChain
	case strings.Contains(err.Error(), "malformed HTTP"):
		f.Phrase = probes.PhraseNotHTTP // something else speaks there
	}
	f.Class = class
	return f.Clean(h.redact.Text)
}

// classOf sorts an error by what was going on when it came.
func classOf(ctx context.Context, phase string, err error) probes.Class {
	class := probes.Classify(err)
	switch {
	case class == probes.ClassDNS, phase == "dns":
		return probes.ClassDNS
	case ctx.Err() != nil:
		return probes.ClassTimeout
	case class != probes.ClassConnect || phase == "connect":
		return class
	case phase == "tls":
		return probes.ClassTLS
	case strings.Contains(err.Error(), "malformed HTTP"):
		return probes.ClassContent // something else than HTTP speaks there
	}
	// The connection stood; whatever ended it, ended it.
	return probes.ClassReset
}
