package httpprobe

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/gengfu/gengfu/probes"
)

// overH3 speaks HTTP/3 (RFC 9114) over QUIC without having been told of it by an
// Alt-Svc: the definition says that the service has it. QUIC connects and shakes
// hands at once; all of it counts as the handshake.
func (h *hop) overH3(ctx context.Context) (location string, err error) {
	h.network = "udp"
	l, err := h.reach(ctx)
	h.ip = l.ip
	if err != nil {
		return "", err
	}
	defer l.Close()
	host := h.ask.url.Hostname()
	config := h.tlsConfig(&l, host, []string{http3.NextProtoH3})
	config.MinVersion = tls.VersionTLS13 // RFC 9001, section 4.2
	transport := &quic.Transport{Conn: datagrams{l.Conn}}
	defer func() { _ = transport.Close() }()
	start := time.Now()
	conn, err := transport.Dial(ctx, l.RemoteAddr(), config, &quic.Config{})
	h.tlsUntil = l.tlsUntil
	h.time.TLS += h.phase(ctx, "tls", start, err, append(l.attrs(host), probes.Attr{Key: "network.transport", Value: "quic"})...)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "", h.fail(ctx, "connect", start, err) // the host said that nobody listens there
	case err != nil:
		return "", h.fail(ctx, "tls", start, err)
	}
	defer func() { _ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "") }()
	t := &http3.Transport{DisableCompression: true, MaxResponseHeaderBytes: maxHead}
	defer func() { _ = t.Close() }()
	return h.over(ctx, t.NewClientConn(conn))
}

// datagrams makes a connected socket one that QUIC takes.
type datagrams struct{ net.Conn }

func (d datagrams) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := d.Read(b)
	return n, d.RemoteAddr(), err
}

func (d datagrams) WriteTo(b []byte, _ net.Addr) (int, error) { return d.Write(b) }

// SetReadBuffer leaves the buffer as it is: one exchange needs no more.
func (datagrams) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does the same.
func (datagrams) SetWriteBuffer(int) error { return nil }
