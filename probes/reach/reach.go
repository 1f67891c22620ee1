// Package reach takes a run to its peer: it resolves a name, tries the addresses
// and shakes hands, each a phase with its span, and says of every error whose
// fault it is. It also holds what definitions of such kinds have in common:
// targets, address families, secrets and expectations.
package reach

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"github.com/gengfu/gengfu/probes"
)

const (
	maxAddresses = 8               // tried for one name
	minAttempt   = 2 * time.Second // what each address gets at least, within the run's time
)

// ErrStopped says that the run was called off, which is nobody's failure.
var ErrStopped = errors.New("the run was stopped before it ended")

// Line is the way of one run to its peer, and what was learnt on it. Its errors
// are a *probes.Failure of the service, a *probes.Trouble of the agent, or
// ErrStopped.
type Line struct {
	Env   probes.Env
	Time  probes.Timings
	IP    netip.Addr          // the address tried last
	State tls.ConnectionState // of the last handshake, as far as it came
	Until time.Time           // end of the peer's certificate; zero without TLS
}

// Addresses resolves a host; an address stands for itself. It returns at least
// one, in the order in which they are to be tried.
func (l *Line) Addresses(ctx context.Context, host string, family Family) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	start := time.Now()
	addrs, err := l.Env.Resolver.LookupNetIP(ctx, "ip"+family.digit(), host)
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	addrs = addrs[:min(len(addrs), maxAddresses)]
	var found []string
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
		found = append(found, addrs[i].String())
	}
	took, err := l.Phase(ctx, "dns", host, start, err,
		probes.Attr{Key: "dns.question.name", Value: host}, probes.Attr{Key: "dns.answers", Value: found})
	l.Time.DNS += took
	var f *probes.Failure
	if family != Any && errors.As(err, &f) && f.Phrase == probes.PhraseNoSuchHost {
		// The resolver does not tell a name without such an address from none.
		return nil, &probes.Failure{Class: probes.ClassDNS, Phrase: probes.PhraseNoAddress, Want: host, Got: family.String()}
	}
	return addrs, err
}

// Connect opens a TCP connection to host, trying its addresses in order. Each
// gets its share of the time left, so that one that never answers does not hide
// the next.
func (l *Line) Connect(ctx context.Context, host, port string, family Family) (net.Conn, error) {
	l.Env.Record.Annotate(ctx,
		probes.Attr{Key: "server.address", Value: host}, probes.Attr{Key: "server.port", Value: number(port)},
		probes.Attr{Key: "network.transport", Value: "tcp"})
	addrs, err := l.Addresses(ctx, host, family)
	if err != nil {
		return nil, err
	}
	var first error
	for i, addr := range addrs {
		var conn net.Conn
		conn, err = l.dial(ctx, addr, port, len(addrs)-i)
		if err == nil {
			return conn, nil
		}
		// That this agent has no way to one address says less than what another did.
		if first == nil || errors.As(first, new(*probes.Trouble)) {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

func (l *Line) dial(ctx context.Context, addr netip.Addr, port string, left int) (net.Conn, error) {
	l.IP = addr
	peer := net.JoinHostPort(addr.String(), port)
	attempt, cancel := share(ctx, left)
	defer cancel()
	start := time.Now()
	conn, err := l.Env.Dial(attempt, "tcp", peer)
	if err != nil && l.Cut(ctx, addr, err) {
		err = &probes.Trouble{Phrase: probes.PhraseNoIPv6, Got: probes.Excerpt(err.Error()), Err: err}
	}
	took, err := l.Phase(ctx, "connect", peer, start, err,
		probes.Attr{Key: "network.peer.address", Value: addr.String()}, probes.Attr{Key: "network.peer.port", Value: number(port)})
	l.Time.Connect += took
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// Cut reports whether err, with which an attempt to reach addr ended, means that
// this agent has no IPv6 at all, and not that the network beyond is broken.
func (l *Line) Cut(ctx context.Context, addr netip.Addr, err error) bool {
	if !addr.Is6() || !unroutable(err) {
		return false
	}
	// A datagram socket only asks the kernel for a route; nothing is sent.
	conn, err := l.Env.Dial(ctx, "udp", net.JoinHostPort(addr.String(), "9"))
	if err == nil {
		conn.Close()
	}
	return err != nil && unroutable(err)
}

func unroutable(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}

// number is a port as spans hold it; one that is none stays 0.
func number(port string) int {
	n, err := strconv.Atoi(port)
	if err != nil {
		return 0
	}
	return n
}

// share gives one of n attempts its part of the time left.
func share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || n <= 1 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, max(time.Until(deadline)/time.Duration(n), minAttempt))
}

// Phase records an interval that ends now and returns its length, with err as
// what it means for the run: see Line.
func (l *Line) Phase(ctx context.Context, name, peer string, start time.Time, err error, attrs ...probes.Attr) (time.Duration, error) {
	p := probes.Phase{Name: name, Start: start, End: time.Now(), Attrs: attrs}
	took := p.End.Sub(start)
	err = Explain(ctx, name, peer, took, err)
	if p.Err = err; err != nil {
		p.Class = ClassOf(err)
	}
	l.Env.Record.Phase(ctx, p)
	return took, err
}

// ClassOf is the class of a Line's error.
func ClassOf(err error) probes.Class {
	var trouble *probes.Trouble
	if errors.As(err, &trouble) || errors.Is(err, ErrStopped) {
		return probes.ClassAgent
	}
	return probes.Classify(err)
}

// Explain says what err means, with which a phase ended that lasted so long.
func Explain(ctx context.Context, phase, peer string, lasted time.Duration, err error) error {
	var (
		trouble *probes.Trouble
		known   *probes.Failure
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &trouble):
		return trouble
	case errors.Is(ctx.Err(), context.Canceled):
		return ErrStopped
	case errors.As(err, &known):
		return known
	}
	f := probes.Explain(err, peer)
	switch {
	case phase == "dns":
		f.Class = probes.ClassDNS
	case ctx.Err() != nil:
		f.Class = probes.ClassTimeout
	case f.Class != probes.ClassConnect || phase == "connect":
	case f.Phrase == probes.PhraseRefused, f.Phrase == probes.PhraseUnreachable: // datagrams meet it late
	case phase == "tls":
		f.Class, f.Phrase = probes.ClassTLS, probes.PhraseTLSFailed // the connection stood
	default:
		f.Class = probes.ClassReset
	}
	if f.Class == probes.ClassTimeout || phase == "dns" && probes.Waited(err) {
		return probes.TimedOut(phase, peer, lasted)
	}
	return f
}

// Hurry makes conn give up when ctx ends. The returned function undoes that; it
// is to be called before the connection is closed.
func Hurry(ctx context.Context, conn net.Conn) func() bool {
	return context.AfterFunc(ctx, func() {
		// A connection that cannot be hurried is closed by its user.
		_ = conn.SetDeadline(time.Unix(1, 0))
	})
}

// String names a family as people write it.
func (f Family) String() string {
	if f == Any {
		return "IP"
	}
	return fmt.Sprintf("IPv%d", f)
}

func (f Family) digit() string {
	if f == Any {
		return ""
	}
	return strconv.Itoa(int(f))
}
