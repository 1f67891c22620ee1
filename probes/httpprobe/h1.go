package httpprobe

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gengfu/gengfu/probes"
)

const (
	// atOnce is the size of a request, in bytes, up to which it is written
	// before the reply is read; a longer one is written meanwhile.
	atOnce = 32 << 10
	// maxInterim bounds the replies of status 1xx before the real one.
	maxInterim = 8
)

// wire is what an exchange in HTTP/1.1 needs, kept for the next one.
type wire struct {
	out    []byte
	reader *bufio.Reader
	from   limited
}

var wires = sync.Pool{New: func() any { return &wire{reader: bufio.NewReaderSize(nil, 4<<10)} }}

// limited reads at most n bytes of a connection, and notes what ended it.
type limited struct {
	net.Conn
	n     int64
	broke error
}

func (l *limited) Read(b []byte) (int, error) {
	if l.n <= 0 {
		return 0, errHeadLong()
	}
	n, err := l.Conn.Read(b[:min(int64(len(b)), l.n)])
	l.n -= int64(n)
	if err != nil {
		l.broke = err
	}
	return n, err
}

// written is the end of a request's writing.
type written struct {
	at  time.Time
	err error
}

// overH1 speaks HTTP/1.1 (RFC 9112) on l without a transport: no goroutine, and
// the instants are those of the system calls.
func (h *hop) overH1(ctx context.Context, l link) (location string, err error) {
	w := wires.Get().(*wire)
	var sent chan written
	defer func() {
		if sent != nil {
			l.Close() // ends the writer
			<-sent
		}
		w.from.Conn = nil
		w.reader.Reset(nil)
		wires.Put(w)
	}()
	stop := bind(ctx, l.Conn)
	defer stop()

	w.out = h.write(ctx, w.out[:0], l.proxied)
	w.from = limited{Conn: l.Conn, n: maxHead}
	w.reader.Reset(&w.from)
	start := time.Now()
	var errWrite error
	if len(w.out) > atOnce {
		sent = make(chan written, 1)
		go func() { // waited for above
			_, err := l.Write(w.out)
			sent <- written{time.Now(), err}
		}()
	} else {
		_, errWrite = l.Write(w.out)
	}
	wrote := time.Now()
	// A server may answer before it has read all, and cut.
	_, err = w.reader.Peek(1)
	first := time.Now()
	if sent != nil {
		wrote = first
		select {
		case done := <-sent:
			sent, errWrite = nil, done.err
			if done.at.Before(first) {
				wrote = done.at
			}
		default: // the reply began before the request was out
		}
	}
	if err != nil && errWrite != nil {
		h.time.Request += first.Sub(start)
		h.record(ctx, "request", start, first, errWrite)
		return "", h.fail(ctx, "request", start, errWrite)
	}
	h.time.Request += wrote.Sub(start)
	h.record(ctx, "request", start, wrote, nil)
	var resp *http.Response
	if err == nil {
		resp, err = h.head(w) //nolint:bodyclose // closing would read what is left of it; the connection is closed
	}
	if err != nil {
		first = time.Now()
		h.time.FirstByte += first.Sub(wrote)
		h.record(ctx, "first_byte", wrote, first, err)
		return "", h.fail(ctx, "first_byte", wrote, err)
	}
	h.time.FirstByte += first.Sub(wrote)
	h.record(ctx, "first_byte", wrote, first, nil, probes.Attr{Key: "http.response.status_code", Value: resp.StatusCode})
	if to := h.took(ctx, resp); to != "" {
		return to, nil
	}
	w.from.n = 1 << 62 // the body has a bound of its own
	return "", h.receive(ctx, resp, first)
}

// bind ends what goes on on conn with ctx.
func bind(ctx context.Context, conn net.Conn) (stop func() bool) {
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline) // the connection's own end is told by its reads
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

// head reads the reply's head, past those of interim replies.
func (h *hop) head(w *wire) (*http.Response, error) {
	for range maxInterim {
		resp, err := http.ReadResponse(w.reader, &http.Request{Method: h.ask.method})
		switch {
		case err != nil && w.from.n <= 0:
			return nil, errHeadLong()
		case err != nil && w.from.broke != nil && !errors.Is(w.from.broke, io.EOF):
			return nil, w.from.broke // a line that it cut looks malformed
		case errors.Is(err, io.ErrUnexpectedEOF), err == nil:
		default:
			return nil, headError(err)
		}
		if err != nil || resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
	}
	return nil, notHTTP{errors.New("interim replies without end")}
}

// write makes the request's bytes.
func (h *hop) write(ctx context.Context, b []byte, absolute bool) []byte {
	b = append(append(b, h.ask.method...), ' ')
	if absolute {
		b = append(append(b, h.ask.url.Scheme...), "://"...)
		b = append(b, h.ask.url.Host...)
	}
	b = append(append(b, h.ask.url.RequestURI()...), " HTTP/1.1\r\nHost: "...)
	b = append(b, h.ask.hostHeader()...)
	jar := h.cookies(false).Cookies(h.ask.url)
	cookie := false
	for _, f := range h.ask.fields {
		b = append(append(append(append(b, "\r\n"...), f.name...), ": "...), f.value...)
		if f.name == "Cookie" {
			cookie = true
			b = appendCookies(append(b, "; "...), jar)
		}
	}
	if len(jar) > 0 && !cookie {
		b = appendCookies(append(b, "\r\nCookie: "...), jar)
	}
	if h.env.Traceparent != nil {
		if v := h.env.Traceparent(ctx); v != "" {
			b = append(append(b, "\r\nTraceparent: "...), v...)
		}
	}
	if absolute {
		if v := h.proxyAuthorization(); v != "" {
			b = append(append(b, "\r\nProxy-Authorization: "...), v...)
		}
	}
	if len(h.ask.body) > 0 || needsLength(h.ask.method) {
		b = strconv.AppendInt(append(b, "\r\nContent-Length: "...), int64(len(h.ask.body)), 10)
	}
	b = append(b, "\r\nConnection: close\r\n\r\n"...)
	return append(b, h.ask.body...)
}

// needsLength says which methods announce a body also when it is empty
// (RFC 9110, section 8.6).
func needsLength(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

// appendCookies writes cookies; "; " before them is dropped when there are none.
func appendCookies(b []byte, jar []*http.Cookie) []byte {
	for i, c := range jar {
		if i > 0 {
			b = append(b, "; "...)
		}
		b = append(append(append(b, c.Name...), '='), c.Value...)
	}
	if n := len(b); len(jar) == 0 && n >= 2 && string(b[n-2:]) == "; " {
		b = b[:n-2]
	}
	return b
}
