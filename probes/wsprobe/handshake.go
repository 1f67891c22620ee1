package wsprobe

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/reach"
)

// maxHead bounds the head of the handshake's reply, in bytes.
const maxHead = 64 << 10

// handshake is what the peer said to the request to upgrade.
type handshake struct {
	status   int
	header   http.Header
	protocol string
	took     time.Duration
}

// connect opens the connection and makes a WebSocket of it.
func (r *run) connect(ctx context.Context) error {
	conn, err := r.Connect(ctx, r.host, r.port, r.family)
	if err != nil {
		return err
	}
	if r.secure {
		secure, err := r.Secure(ctx, conn, r.name, "http/1.1")
		if err != nil {
			return err
		}
		conn = secure
	}
	stop := reach.Hurry(ctx, conn)
	defer stop()
	err = r.upgrade(ctx, conn)
	if err != nil && r.conn != nil {
		_ = r.conn.CloseNow() // what is wrong was said
		r.conn = nil
	}
	if r.conn == nil {
		conn.Close()
	}
	r.raw = conn
	return err
}

// upgrade performs the handshake over conn. Where a status is spoken of in the
// expectations it leaves r.conn nil for another than 101.
func (r *run) upgrade(ctx context.Context, conn net.Conn) error {
	address, err := probes.Expand(r.address, r.secret)
	if err != nil {
		return err
	}
	options := &websocket.DialOptions{HTTPHeader: http.Header{}, Subprotocols: r.protocols}
	for name, value := range r.headers {
		if value, err = probes.Expand(value, r.secret); err != nil {
			return err
		}
		if strings.EqualFold(name, "Host") {
			options.Host = value
			continue
		}
		options.HTTPHeader.Set(name, value)
	}
	r.usual(ctx, options.HTTPHeader)
	transport := r.transport(conn)
	defer transport.CloseIdleConnections()
	options.HTTPClient = &http.Client{
		Transport: transport,
		// A redirect is a reply like any other: browsers follow none either.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	start := time.Now()
	var wrote, first time.Time
	ws, reply, err := websocket.Dial(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest:         func(httptrace.WroteRequestInfo) { wrote = time.Now() },
		GotFirstResponseByte: func() { first = time.Now() },
	}), address, options)
	r.conn = ws
	return r.shaken(ctx, start, wrote, first, reply, err)
}

func (r *run) secret(name string) (string, error) { return r.values[name], nil }

// usual adds what every request of the fleet says.
func (r *run) usual(ctx context.Context, h http.Header) {
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", strings.TrimSpace("Mozilla/5.0 (compatible; Gengfu synthetic probe) "+r.Env.UserAgentSuffix))
	}
	if r.Env.Traceparent != nil {
		if parent := r.Env.Traceparent(ctx); parent != "" {
			h.Set("Traceparent", parent)
		}
	}
}

// transport speaks HTTP over conn and nothing else.
func (r *run) transport(conn net.Conn) *http.Transport {
	once := make(chan net.Conn, 1)
	once <- conn
	dial := func(context.Context, string, string) (net.Conn, error) {
		select {
		case c := <-once:
			return c, nil
		default:
			return nil, errors.New("a second connection was asked for")
		}
	}
	return &http.Transport{DialContext: dial, DialTLSContext: dial, DisableKeepAlives: true, MaxResponseHeaderBytes: maxHead}
}

// shaken records the handshake's phases and judges its reply.
func (r *run) shaken(ctx context.Context, start, wrote, first time.Time, reply *http.Response, err error) error {
	if reply != nil {
		r.shook.status, r.shook.header = reply.StatusCode, reply.Header
		r.shook.protocol = reply.Header.Get("Sec-WebSocket-Protocol")
	}
	if wrote.IsZero() {
		took, err := r.Phase(ctx, "request", r.peer(), start, r.broken(err))
		r.Time.Request += took
		return err
	}
	r.Time.Request += wrote.Sub(start)
	r.Env.Record.Phase(ctx, probes.Phase{Name: "request", Start: start, End: wrote})
	took, failure := r.Phase(ctx, "first_byte", r.peer(), wrote, r.refusal(reply, err), r.attrs()...)
	if !first.IsZero() && failure == nil {
		took = first.Sub(wrote)
	}
	r.Time.FirstByte += took
	r.shook.took = wrote.Sub(start) + took
	return failure
}

func (r *run) attrs() []probes.Attr {
	if r.shook.status == 0 {
		return nil
	}
	return []probes.Attr{
		{Key: "http.response.status_code", Value: r.shook.status},
		{Key: "url.full", Value: r.redact.Text(r.address)},
		{Key: "gengfu.websocket.protocol", Value: r.redact.Text(probes.Excerpt(r.shook.protocol))},
	}
}

// refusal is what was wrong with the handshake's reply.
func (r *run) refusal(reply *http.Response, err error) error {
	switch {
	case err == nil && len(r.protocols) > 0 && r.shook.protocol == "":
		return &probes.Failure{Class: probes.ClassContent, Phrase: probes.PhraseProtocol, Want: strings.Join(r.protocols, ", "), Got: "-"}
	case err == nil:
		return nil
	case reply == nil:
		return r.broken(err)
	case reply.StatusCode != http.StatusSwitchingProtocols:
		if reach.Asks(r.expect, "status") && len(r.dialogue) == 0 {
			return nil // the expectations judge it
		}
		if reply.Body != nil {
			// The library keeps the first 1024 bytes.
			r.text, _ = io.ReadAll(reply.Body)
		}
		return &probes.Failure{
			Class: probes.ClassStatus, Phrase: probes.PhraseStatus, Want: "101",
			Got: strings.TrimSpace(strconv.Itoa(reply.StatusCode) + " " + http.StatusText(reply.StatusCode)),
		}
	}
	return r.broken(err)
}

// broken leaves errors of the network as they are, and makes any other one that
// says how the peer breaks the protocol.
func (r *run) broken(err error) error {
	if network(err) {
		return err
	}
	text := strings.TrimPrefix(err.Error(), "failed to WebSocket dial: ")
	return &probes.Failure{
		Class: probes.ClassContent, Phrase: probes.PhraseNotWebSocket, Want: r.peer(), Got: cmp.Or(probes.Excerpt(r.redact.Text(text)), "-"),
	}
}

func network(err error) bool {
	for _, known := range []error{
		context.Canceled, context.DeadlineExceeded, os.ErrDeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		syscall.ECONNRESET, syscall.EPIPE,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return errors.As(err, new(*net.OpError))
}

// peer is the address spoken to.
func (r *run) peer() string { return net.JoinHostPort(r.IP.String(), r.port) }

// aboutStatus reports whether a failed expectation is about the status.
func (r *run) aboutStatus(source string) bool {
	for _, e := range r.expect {
		if probes.Excerpt(e.String()) == source {
			uses := e.Uses()
			return len(uses) == 1 && uses[0] == "status"
		}
	}
	return false
}
