package dnsprobe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/reach"
)

// The bounds of one exchange.
const (
	udpSize  = 1232            // what a datagram may hold without being split (DNS flag day 2020)
	maxSends = 3               // of one query over UDP
	resend   = 2 * time.Second // at the latest
	maxStray = 1000            // foreign datagrams until the server is given up
)

// ask asks the row's servers in turn until one answers, as a resolver does.
func (r *row) ask(ctx context.Context) error {
	var first error
	for i, s := range r.via {
		attempt, cancel := share(ctx, len(r.via)-i)
		err := r.askOne(attempt, s)
		cancel()
		if err == nil || ctx.Err() != nil && first == nil {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// share gives one of n servers its part of the time left.
func share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || n <= 1 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(n))
}

func (r *row) askOne(ctx context.Context, s server) error {
	proto := s.proto
	m, err := r.exchange(ctx, s, proto, true)
	if err == nil && m.Rcode == dns.RcodeFormatError {
		// An old server may not know extensions (RFC 6891, 7).
		m, err = r.exchange(ctx, s, proto, false)
	}
	truncated := err == nil && m.Truncated
	if proto == overUDP && (truncated || errors.Is(err, errMixed)) {
		// What is cut is asked for again over TCP (RFC 7766), and so is what may be forged.
		proto = overTCP
		var second error
		if m, second = r.exchange(ctx, s, proto, true); truncated || second == nil {
			err = second
		}
	}
	if err != nil {
		return r.explain(err, s)
	}
	r.by, r.reply = s, read(m, r.name, r.qtype)
	r.reply.truncated, r.reply.transport = truncated, string(proto)
	if proto == overTLS {
		r.reply.transport = "tcp"
	}
	return nil
}

// explain makes an error about a message the server's failure.
func (r *row) explain(err error, s server) error {
	if known := new(*probes.Failure); errors.As(err, known) || errors.Is(err, reach.ErrStopped) || errors.As(err, new(*probes.Trouble)) {
		return err
	}
	f := &probes.Failure{Class: probes.ClassDNS, Phrase: probes.PhraseDNSBroken, Want: r.named(s), Got: probes.Excerpt(err.Error())}
	if foreign(err) {
		f.Phrase = probes.PhraseDNSForged
	}
	return f
}

// named is a server as findings call it: one of the host's own by its address.
func (r *row) named(s server) string {
	if s.label == "" {
		return address(s.host, s.port, s.proto)
	}
	return s.label
}

// message makes a query with an id and letters that nobody can guess.
func (r *row) message(extended bool) *dns.Msg {
	m := new(dns.Msg)
	m.Id = dns.Id()
	m.RecursionDesired = r.recursion
	m.AuthenticatedData = true // asks for the flag in the reply (RFC 6840, 5.7)
	name := r.name
	if r.mixed {
		name = mixCase(name)
	}
	m.Question = []dns.Question{{Name: name, Qtype: r.qtype, Qclass: dns.ClassINET}}
	if extended {
		m.SetEdns0(udpSize, r.dnssec)
	}
	return m
}

// mixCase turns letters to upper case by chance (draft-vixie-dnsext-dns0x20).
func mixCase(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' && rand.Uint32()&1 == 0 {
			return c - 'a' + 'A'
		}
		return c
	}, name)
}

// exchange sends a query and waits for the message that answers it.
func (r *row) exchange(ctx context.Context, s server, p proto, extended bool) (*dns.Msg, error) {
	query := r.message(extended)
	data, err := query.Pack()
	if err != nil {
		return nil, fmt.Errorf("writing the query: %w", err)
	}
	conn, err := r.open(ctx, s, p)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, fmt.Errorf("setting the deadline of a query: %w", err)
		}
	}
	defer reach.Hurry(ctx, conn)()
	if _, packets := conn.(net.PacketConn); packets {
		return r.datagrams(ctx, conn, s, query, data)
	}
	return r.stream(ctx, conn, s, query, data)
}

// open connects to the server. What is spoken over the connection is a stream
// unless the connection is of packets.
func (r *row) open(ctx context.Context, s server, p proto) (net.Conn, error) {
	peer := net.JoinHostPort(s.host, s.port)
	if dial := r.Env.Resolver.Dial; s.configured && dial != nil {
		// The agent sees chosen names at chosen addresses; so does the probe.
		conn, err := dial(ctx, string(p), peer)
		if err != nil {
			return nil, reach.Explain(ctx, "connect", peer, 0, err)
		}
		return conn, nil
	}
	if p != overUDP {
		conn, err := r.Connect(ctx, s.host, s.port, reach.Any)
		if err != nil || p != overTLS {
			return conn, err
		}
		secure, err := r.Secure(ctx, conn, s.sni, "dot")
		if err != nil {
			return nil, err
		}
		return secure, nil
	}
	addrs, err := r.Addresses(ctx, s.host, reach.Any)
	if err != nil {
		return nil, err
	}
	r.IP = addrs[0]
	peer = net.JoinHostPort(r.IP.String(), s.port)
	conn, err := r.Env.Dial(ctx, "udp", peer)
	if err != nil {
		if r.Cut(ctx, r.IP, err) {
			err = &probes.Trouble{Phrase: probes.PhraseNoIPv6, Got: probes.Excerpt(err.Error()), Err: err}
		}
		_, err = r.Phase(ctx, "connect", peer, time.Now(), err)
		return nil, err
	}
	return conn, nil
}

// peer is a server's address as findings and spans call it.
func (r *row) peer(s server) string {
	if s.configured || !r.IP.IsValid() {
		return net.JoinHostPort(s.host, s.port)
	}
	return netip.AddrPortFrom(r.IP, port(s.port)).String()
}

func port(s string) uint16 {
	a, err := netip.ParseAddrPort("0.0.0.0:" + s)
	if err != nil {
		return 0 // checked when it was decoded
	}
	return a.Port()
}

// datagrams sends the query, again when nothing comes, and waits for the reply,
// passing over what belongs to no query.
func (r *row) datagrams(ctx context.Context, conn net.Conn, s server, query *dns.Msg, data []byte) (*dns.Msg, error) {
	start := time.Now()
	m, err := r.await(ctx, conn, query, data)
	if foreign(err) || err != nil && !probes.Waited(err) && !isNetwork(err) {
		r.wait(ctx, s, start, r.explain(err, s))
		return nil, err
	}
	return m, r.wait(ctx, s, start, err)
}

func isNetwork(err error) bool {
	return errors.As(err, new(*net.OpError)) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// wait records the time until the reply.
func (r *row) wait(ctx context.Context, s server, start time.Time, err error) error {
	took, err := r.Phase(ctx, "first_byte", r.peer(s), start, err,
		probes.Attr{Key: "gengfu.dns.sends", Value: r.tries}, probes.Attr{Key: "gengfu.dns.stray", Value: r.stray})
	r.Time.FirstByte += took
	return err
}

func (r *row) await(ctx context.Context, conn net.Conn, query *dns.Msg, data []byte) (*dns.Msg, error) {
	buf := make([]byte, 65535)
	var odd error // what came that belongs to something else
	for i := range maxSends {
		if _, err := conn.Write(data); err != nil {
			return nil, err
		}
		r.tries++
		// A connection that takes no deadline ends with the run.
		_ = conn.SetReadDeadline(patience(ctx, maxSends-i))
		if ctx.Err() != nil {
			_ = conn.SetReadDeadline(time.Unix(1, 0))
		}
		for {
			n, err := conn.Read(buf)
			if probes.Waited(err) {
				break
			}
			if err != nil {
				return nil, err
			}
			m, err := unpack(buf[:n], query, r.mixed)
			if err == nil || !foreign(err) || errors.Is(err, errMixed) {
				return m, err
			}
			odd = err
			if r.stray++; r.stray > maxStray {
				return nil, err
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	if odd != nil && !errors.Is(ctx.Err(), context.Canceled) {
		return nil, odd
	}
	return nil, context.DeadlineExceeded
}

// patience is until when one of n sends waits.
func patience(ctx context.Context, n int) time.Time {
	deadline, ok := ctx.Deadline()
	if !ok {
		return time.Now().Add(resend)
	}
	left := time.Until(deadline)
	if n <= 1 {
		return deadline
	}
	return time.Now().Add(min(left/time.Duration(n), resend))
}

// stream sends one query over a connection that keeps order, where every message
// has its length before it (RFC 1035, 4.2.2).
func (r *row) stream(ctx context.Context, conn net.Conn, s server, query *dns.Msg, data []byte) (*dns.Msg, error) {
	start := time.Now()
	_, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...))
	took, err := r.Phase(ctx, "request", r.peer(s), start, err)
	r.Time.Request += took
	if err != nil {
		return nil, err
	}
	start = time.Now()
	var head [2]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, r.wait(ctx, s, start, err)
	}
	buf := make([]byte, binary.BigEndian.Uint16(head[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, r.wait(ctx, s, start, err)
	}
	// Nobody forges what comes over a connection, and old servers keep no case.
	m, err := unpack(buf, query, false)
	if err != nil {
		_ = r.wait(ctx, s, start, r.explain(err, s))
		return nil, err
	}
	return m, r.wait(ctx, s, start, nil)
}
