package httpprobe

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/gengfu/gengfu/probes"
)

const (
	maxAddresses = 8               // tried for one name
	minAttempt   = 2 * time.Second // what each address gets at least, within the run's time
)

// link is a fresh connection with what it told about the peer.
type link struct {
	net.Conn
	ip       string
	tlsUntil time.Time
	state    tls.ConnectionState
	proxied  bool // it leads to a proxy that takes whole addresses
}

// open resolves, connects and shakes hands, each a phase of its own. The link
// returned with an error has no Conn, but what was learnt until then.
func (h *hop) open(ctx context.Context) (link, error) {
	l, err := h.reach(ctx)
	if err != nil || h.ask.url.Scheme != "https" {
		return l, err
	}
	conn := l.Conn
	if err := h.handshake(ctx, &l, h.ask.url.Hostname()); err != nil {
		conn.Close()
		l.Conn = nil
		return l, err
	}
	return l, nil
}

// reach connects to where the request goes to: the host, the lane's node in its
// place, or a proxy.
func (h *hop) reach(ctx context.Context) (link, error) {
	if h.proxy != nil {
		return h.openByProxy(ctx)
	}
	host, port := h.ask.url.Hostname(), h.ask.port()
	if h.lane.host != "" && origin(h.ask.url) == h.steps[0].plan.origin {
		host, port = h.lane.host, cmp.Or(h.lane.port, port)
	}
	addrs, err := h.resolve(ctx, host)
	if err != nil {
		return link{}, err
	}
	l, err := h.connect(ctx, addrs, port, h.admit)
	if h.lane.net == "ip6" && errors.Is(err, errNoRoute) {
		// The kernel says so before a packet is sent.
		return l, &probes.Trouble{Phrase: probes.PhraseNoIPv6, Err: errors.New(syscall.ENETUNREACH.Error())}
	}
	return l, err
}

// errNoRoute says that the agent's host knows no way to an address.
var errNoRoute = errors.New("no route")

func (h *hop) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	record := map[string]string{"ip4": "A", "ip6": "AAAA"}[h.lane.net]
	none := &probes.Failure{Class: probes.ClassDNS, Phrase: probes.PhraseDNSFailed, Want: host, Got: record}
	if addr, err := netip.ParseAddr(host); err == nil {
		if record != "" && addr.Unmap().Is4() != (record == "A") {
			return nil, none
		}
		return []netip.Addr{addr}, nil
	}
	start := time.Now()
	addrs, err := h.env.Resolver.LookupNetIP(ctx, h.lane.net, host)
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	var found []string
	for _, a := range addrs {
		found = append(found, a.Unmap().String())
	}
	h.time.DNS += h.phase(ctx, "dns", start, err,
		probes.Attr{Key: "dns.question.name", Value: host}, probes.Attr{Key: "dns.answers", Value: found})
	var missing *net.DNSError
	if record != "" && errors.As(err, &missing) && missing.IsNotFound {
		return nil, none
	}
	if err != nil {
		return nil, h.fail(ctx, "dns", start, err)
	}
	return addrs[:min(len(addrs), maxAddresses)], nil
}

// connect tries the addresses in order. Each gets its share of the time left, so
// that one that never answers does not hide the next.
func (h *hop) connect(ctx context.Context, addrs []netip.Addr, port string, admit func(netip.Addr) *probes.Failure) (link, error) {
	h.port = port
	var first error
	for i, addr := range addrs {
		addr = addr.Unmap()
		if refusal := admit(addr); refusal != nil {
			now := time.Now()
			h.record(ctx, "connect", now, now, refusal, probes.Attr{Key: "network.peer.address", Value: addr.String()})
			first = cmp.Or(first, error(refusal))
			continue
		}
		peer := net.JoinHostPort(addr.String(), port)
		h.ip = addr.String()
		attempt, cancel := share(ctx, len(addrs)-i)
		start := time.Now()
		conn, err := h.env.Dial(attempt, cmp.Or(h.network, "tcp"), peer)
		cancel()
		h.time.Connect += h.phase(ctx, "connect", start, err,
			probes.Attr{Key: "network.peer.address", Value: addr.String()}, probes.Attr{Key: "network.peer.port", Value: port})
		if err == nil {
			if !h.ask.led && h.proxy == nil {
				h.region = regionOf(addr)
			}
			return link{Conn: conn, ip: addr.String()}, nil
		}
		if first == nil {
			first = h.fail(ctx, "connect", start, err)
			if errors.Is(err, syscall.ENETUNREACH) && len(addrs) == 1 {
				first = fmt.Errorf("%w: %w", errNoRoute, first)
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		first = errStopped
	}
	return link{ip: h.ip}, first
}

// share gives one of n attempts its part of the time left.
func share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || n <= 1 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, max(time.Until(deadline)/time.Duration(n), minAttempt))
}

// handshake makes l a TLS connection. The standard verification is done in
// VerifyConnection and never left out: there the certificate is known although
// it is not trusted.
func (h *hop) handshake(ctx context.Context, l *link, host string) error {
	offer := []string{"h2", "http/1.1"}
	if h.protocol == "http/1.1" {
		offer = offer[1:]
	}
	conn := tls.Client(l.Conn, h.tlsConfig(l, host, offer))
	start := time.Now()
	err := conn.HandshakeContext(ctx)
	if err == nil {
		l.state = conn.ConnectionState()
	}
	h.time.TLS += h.phase(ctx, "tls", start, err, l.attrs(host)...)
	if err != nil {
		return h.fail(ctx, "tls", start, err)
	}
	l.Conn = conn
	if h.protocol == "h2" && !h.ask.led && l.state.NegotiatedProtocol != "h2" {
		return &probes.Failure{Class: probes.ClassTLS, Phrase: probes.PhraseProtocol, Want: "h2", Got: cmp.Or(l.state.NegotiatedProtocol, "http/1.1")}
	}
	return nil
}

// tlsConfig is that of a handshake with host, of which l keeps what it tells.
func (h *hop) tlsConfig(l *link, host string, offer []string) *tls.Config {
	return &tls.Config{
		ServerName:         host,
		NextProtos:         offer,
		Certificates:       h.certs,
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // verified below, with the reason and the date kept
		VerifyConnection: func(s tls.ConnectionState) error {
			l.state = s
			if len(s.PeerCertificates) == 0 {
				return errors.New("the server sent no certificate")
			}
			l.tlsUntil = s.PeerCertificates[0].NotAfter
			return h.trust(s, host, time.Now())
		},
	}
}

// attrs are what a handshake told, complete or not.
func (l *link) attrs(host string) []probes.Attr {
	attrs := []probes.Attr{{Key: "server.address", Value: host}}
	if l.state.Version != 0 {
		attrs = append(attrs,
			probes.Attr{Key: "tls.protocol.version", Value: tlsVersion(l.state.Version)},
			probes.Attr{Key: "tls.cipher", Value: tls.CipherSuiteName(l.state.CipherSuite)})
	}
	if !l.tlsUntil.IsZero() {
		leaf := l.state.PeerCertificates[0]
		attrs = append(attrs,
			probes.Attr{Key: "tls.server.not_after", Value: leaf.NotAfter.UTC().Format(time.RFC3339)},
			probes.Attr{Key: "tls.server.subject", Value: leaf.Subject.String()},
			probes.Attr{Key: "tls.server.issuer", Value: leaf.Issuer.String()})
	}
	return attrs
}

func tlsVersion(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "1.2"
	case tls.VersionTLS13:
		return "1.3"
	}
	return tls.VersionName(v)
}
