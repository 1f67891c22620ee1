package tlsprobe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/gengfu/gengfu/probes"
)

const (
	maxAddresses = 8               // tried for one name
	minAttempt   = 2 * time.Second // what each address gets at least, within the run's time
)

// errStopped says that the run was called off, which is nobody's failure.
var errStopped = errors.New("the run was stopped before it ended")

// note keeps the first failure of the service with its step; any other error is
// the caller's to return.
func (r *run) note(step string, err error) error {
	var f *probes.Failure
	if err == nil || !errors.As(err, &f) {
		return err
	}
	if r.failure == nil {
		r.step, r.failure = step, f
	}
	return nil
}

// meet opens a connection to the target: at first to what its name resolves to,
// later to the address that answered. Only what first counts is timed.
func (r *run) meet(ctx context.Context, first bool) (net.Conn, error) {
	if r.met {
		conn, took, err := r.dial(ctx, r.ip, 1)
		if first {
			r.time.Connect += took
		}
		return conn, err
	}
	if err := r.resolve(ctx); err != nil {
		return nil, err
	}
	var failed error
	for i, addr := range r.addrs {
		conn, took, err := r.dial(ctx, addr, len(r.addrs)-i)
		r.time.Connect += took
		if err == nil {
			r.met = true
			return conn, nil
		}
		if failed == nil {
			failed = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

func (r *run) resolve(ctx context.Context) error {
	if r.addrs != nil {
		return nil
	}
	if r.connect.IsValid() {
		r.addrs = []netip.Addr{r.connect}
		return nil
	}
	if addr, err := netip.ParseAddr(r.host); err == nil {
		r.addrs = []netip.Addr{addr.Unmap()}
		return nil
	}
	start := time.Now()
	addrs, err := lookUp(ctx, r.env.Resolver, r.host)
	var found []string
	for _, a := range addrs {
		found = append(found, a.String())
	}
	r.time.DNS += r.phase(ctx, "dns", r.host, start, err,
		probes.Attr{Key: "dns.question.name", Value: r.host}, probes.Attr{Key: "dns.answers", Value: found})
	if err != nil {
		return r.fail(ctx, "dns", r.host, start, err)
	}
	r.addrs = addrs
	return nil
}

// lookUp returns up to maxAddresses addresses of a name, at least one.
func lookUp(ctx context.Context, resolver *net.Resolver, host string) ([]netip.Addr, error) {
	addrs, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	addrs = addrs[:min(len(addrs), maxAddresses)]
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, nil
}

// peer is the address that the last connection went to.
func (r *run) peer() string { return net.JoinHostPort(r.ip.String(), r.port) }

// dial connects to one of so many addresses; each gets its share of the time
// left, so that one that never answers does not hide the next.
func (r *run) dial(ctx context.Context, addr netip.Addr, left int) (net.Conn, time.Duration, error) {
	r.ip = addr
	peer := r.peer()
	attempt, cancel := share(ctx, left)
	defer cancel()
	start := time.Now()
	conn, err := r.env.Dial(attempt, "tcp", peer)
	took := r.phase(ctx, "connect", peer, start, err,
		probes.Attr{Key: "network.peer.address", Value: addr.String()}, probes.Attr{Key: "network.peer.port", Value: r.port})
	if err != nil {
		return nil, took, r.fail(ctx, "connect", peer, start, err)
	}
	return conn, took, nil
}

// share gives one of n attempts its part of the time left.
func share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || n <= 1 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, max(time.Until(deadline)/time.Duration(n), minAttempt))
}

// phase records an interval that ends now and returns its length.
func (r *run) phase(ctx context.Context, name, peer string, start time.Time, err error, attrs ...probes.Attr) time.Duration {
	p := probes.Phase{Name: name, Start: start, End: time.Now(), Attrs: attrs}
	if err != nil {
		f := explain(ctx, name, peer, p.End.Sub(start), err)
		p.Class, p.Err = f.Class, f
	}
	r.env.Record.Phase(ctx, p)
	return p.End.Sub(start)
}

// fail makes err, with which a phase that began at start ended, a failure of the
// service, unless the run was called off.
func (r *run) fail(ctx context.Context, phase, peer string, start time.Time, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return errStopped
	}
	return explain(ctx, phase, peer, time.Since(start), err)
}

// explain says what an error of a phase means that lasted so long.
func explain(ctx context.Context, phase, peer string, lasted time.Duration, err error) *probes.Failure {
	f := probes.Explain(err, peer)
	switch {
	case phase == "dns":
		f.Class = probes.ClassDNS
	case ctx.Err() != nil:
		f.Class = probes.ClassTimeout
	case phase == "tls" && f.Class == probes.ClassConnect:
		f.Class, f.Phrase = probes.ClassTLS, probes.PhraseTLSFailed // the connection stood
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return f
	}
	if f.Class == probes.ClassTimeout || phase == "dns" && probes.Waited(err) {
		return probes.TimedOut(phase, peer, lasted)
	}
	return f
}
