package httpprobe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// carry makes a transport that uses l, once.
func carry(l link) *http.Transport {
	var once sync.Once
	use := func(context.Context, string, string) (conn net.Conn, err error) {
		err = errors.New("the connection is used up")
		once.Do(func() { conn, err = l.Conn, nil })
		return conn, err
	}
	protocols := &http.Protocols{}
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{
		DialContext:            use,
		DialTLSContext:         use,
		DisableKeepAlives:      true,
		DisableCompression:     true, // the body is inflated with a bound
		Protocols:              protocols,
		MaxResponseHeaderBytes: maxHead,
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

// overH2 speaks HTTP/2 (RFC 9113) on l.
func (h *hop) overH2(ctx context.Context, l link) (location string, err error) {
	transport := carry(l)
	defer transport.CloseIdleConnections()
	return h.over(ctx, transport)
}

// over sends the request by a transport of the library's and reads the reply.
func (h *hop) over(ctx context.Context, transport http.RoundTripper) (location string, err error) {
	resp, first, err := h.roundTrip(ctx, transport)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if to := h.took(ctx, resp); to != "" {
		return to, nil
	}
	return "", h.receive(ctx, resp, first)
}

// roundTrip sends the request and waits for the reply's head; first is the
// instant of its first byte.
func (h *hop) roundTrip(ctx context.Context, transport http.RoundTripper) (resp *http.Response, first time.Time, err error) {
	var m marks
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			if i.Err == nil {
				m.set(&m.wrote)
			}
		},
		GotFirstResponseByte: func() { m.set(&m.first) },
	})
	req, err := h.request(traced)
	if err != nil {
		return nil, first, err
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
		h.time.Request += h.phase(ctx, "request", start, err)
		return nil, first, h.fail(ctx, "request", start, err)
	case wrote.IsZero() || !first.IsZero() && wrote.After(first):
		// The reply began before the request was out.
		wrote = first
	}
	h.time.Request += wrote.Sub(start)
	h.record(ctx, "request", start, wrote, nil)
	if err != nil {
		h.time.FirstByte += h.phase(ctx, "first_byte", wrote, err)
		return nil, first, h.fail(ctx, "first_byte", wrote, err)
	}
	h.record(ctx, "first_byte", wrote, first, nil, probes.Attr{Key: "http.response.status_code", Value: resp.StatusCode})
	h.time.FirstByte += first.Sub(wrote)
	return resp, first, nil
}

// request makes the hop's request for a transport.
func (h *hop) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, h.ask.method, h.ask.address, h.ask.reader())
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	req.Host = h.ask.host
	for _, f := range h.ask.fields {
		req.Header[f.name] = append(req.Header[f.name], f.value)
	}
	if h.env.Traceparent != nil {
		if v := h.env.Traceparent(ctx); v != "" {
			req.Header.Set("Traceparent", v)
		}
	}
	for _, c := range h.cookies(false).Cookies(h.ask.url) {
		req.AddCookie(c)
	}
	return req, nil
}
