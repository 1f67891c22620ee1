package icmpprobe

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/reach"
)

// tokenSize is how many bytes of the data tell this run's echoes from all others.
const tokenSize = 12

// pinger is the conversation of one run.
type pinger struct {
	conn  net.PacketConn
	to    net.Addr
	addr  netip.Addr
	raw   bool // the socket hears everybody's ICMP
	id    int
	token [tokenSize]byte
	size  int
}

// ping sends all requests and waits for the replies.
func (r *run) ping(ctx context.Context) error {
	r.Env.Record.Annotate(ctx,
		probes.Attr{Key: "server.address", Value: r.host}, probes.Attr{Key: "gengfu.icmp.size", Value: r.size})
	addrs, err := r.Addresses(ctx, r.host, r.family)
	if err != nil {
		return err
	}
	r.IP = addrs[0]
	p, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer p.conn.Close()
	stop := context.AfterFunc(ctx, func() {
		// A socket that cannot be hurried gives up at its own deadline.
		_ = p.conn.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()
	err = r.echoes(ctx, p)
	r.report(ctx)
	if err != nil {
		return err
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return reach.ErrStopped
	}
	return r.silence()
}

// open opens a socket for the address at hand.
func (r *run) open(ctx context.Context) (*pinger, error) {
	if r.Env.Echo == nil {
		err := errors.New("this agent sends no echo requests")
		return nil, &probes.Trouble{Phrase: probes.PhraseNoPing, Got: Allow, Err: err}
	}
	family := "ip4"
	if r.IP.Is6() {
		family = "ip6"
	}
	conn, err := r.Env.Echo(ctx, family)
	if err != nil {
		return nil, err
	}
	p := &pinger{conn: conn, addr: r.IP, size: r.size}
	// crypto/rand never fails (its documentation).
	_, _ = rand.Read(p.token[:])
	p.id = int(binary.BigEndian.Uint16(p.token[:]))
	if _, p.raw = conn.LocalAddr().(*net.IPAddr); p.raw {
		p.to = &net.IPAddr{IP: r.IP.AsSlice(), Zone: r.IP.Zone()}
	} else {
		p.to = &net.UDPAddr{IP: r.IP.AsSlice(), Zone: r.IP.Zone()}
	}
	return p, nil
}

// echoes sends one request after the other; between two of them, and after the
// last, it listens.
func (r *run) echoes(ctx context.Context, p *pinger) error {
	for seq := range r.count {
		if ctx.Err() != nil {
			return nil
		}
		now := time.Now()
		r.sent = append(r.sent, echo{at: now})
		if err := r.send(ctx, p, seq); err != nil {
			return err
		}
		until := now.Add(r.interval)
		if seq == r.count-1 {
			until = now.Add(r.wait)
		}
		if err := r.listen(ctx, p, until); err != nil {
			return err
		}
	}
	return nil
}

// send writes one request. That there is no way to the peer may change from one
// to the next, so it only ends the run where this agent is to blame.
func (r *run) send(ctx context.Context, p *pinger, seq int) error {
	data, err := p.request(seq)
	if err != nil {
		return err
	}
	_, err = p.conn.WriteTo(data, p.to)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("sending an echo request: %w", err)
	case r.Cut(ctx, r.IP, err):
		return &probes.Trouble{Phrase: probes.PhraseNoIPv6, Got: probes.Excerpt(err.Error()), Err: err}
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		r.unreachable = err.Error()
	}
	return nil // lost
}

func (p *pinger) request(seq int) ([]byte, error) {
	data := make([]byte, p.size)
	copy(data, p.token[:])
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: p.id, Seq: seq, Data: data}}
	if p.addr.Is6() {
		m.Type = ipv6.ICMPTypeEchoRequest
	}
	b, err := m.Marshal(nil) // the kernel fills in the checksum of ICMPv6
	if err != nil {
		return nil, fmt.Errorf("writing an echo request: %w", err)
	}
	return b, nil
}

// listen takes replies until an instant, or until none is missing after the last.
func (r *run) listen(ctx context.Context, p *pinger, until time.Time) error {
	if err := p.conn.SetReadDeadline(until); err != nil {
		return fmt.Errorf("setting the deadline of an echo: %w", err)
	}
	buf := make([]byte, 64<<10)
	for len(r.sent) < r.count || r.missing() {
		if ctx.Err() != nil {
			return nil
		}
		n, from, err := p.conn.ReadFrom(buf)
		now := time.Now()
		if probes.Waited(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading an echo: %w", err)
		}
		a := p.read(buf[:n], from)
		if a.seq < 0 || a.seq >= len(r.sent) {
			continue
		}
		switch e := &r.sent[a.seq]; {
		case a.unreachable != "":
			r.unreachable = a.unreachable
		case e.rtt > 0:
			r.again++
		default:
			e.rtt = max(1, now.Sub(e.at))
		}
	}
	return nil
}

// answer is what a message says about one of our requests; seq is -1 for none.
type answer struct {
	seq         int
	unreachable string // who says so
}

// read sorts one message. All of it is hostile.
func (p *pinger) read(b []byte, from net.Addr) answer {
	none := answer{seq: -1}
	proto := 1 // ICMP
	if p.addr.Is6() {
		proto = 58 // ICMPv6
	}
	m, err := icmp.ParseMessage(proto, b)
	if err != nil {
		return none
	}
	switch body := m.Body.(type) {
	case *icmp.Echo:
		reply := m.Type == ipv4.ICMPTypeEchoReply || m.Type == ipv6.ICMPTypeEchoReply
		// On a socket for datagrams the kernel puts an id of its own in.
		if !reply || p.raw && body.ID != p.id || len(body.Data) != p.size || string(body.Data[:tokenSize]) != string(p.token[:]) || host(from) != p.addr.WithZone("") {
			return none
		}
		return answer{seq: body.Seq}
	case *icmp.DstUnreach:
		id, seq, ok := original(body.Data, p.addr.Is6())
		if !ok || id != p.id {
			return none
		}
		return answer{seq: seq, unreachable: host(from).String() + " (" + strconv.Itoa(m.Code) + ")"}
	}
	return none
}

// original reads of which echo request a message complains: it repeats the head
// of the packet (RFC 792; RFC 4443, 3.1).
func original(b []byte, six bool) (id, seq int, ok bool) {
	head, proto := 40, 6
	if !six {
		if len(b) < 20 {
			return 0, 0, false
		}
		head, proto = int(b[0]&0x0f)*4, 9
	}
	if head < 20 || len(b) < head+8 {
		return 0, 0, false
	}
	if b[proto] != 1 && b[proto] != 58 {
		return 0, 0, false
	}
	return int(binary.BigEndian.Uint16(b[head+4:])), int(binary.BigEndian.Uint16(b[head+6:])), true
}

// host is the address without port and zone.
func host(a net.Addr) netip.Addr {
	var ip net.IP
	switch a := a.(type) {
	case *net.IPAddr:
		ip = a.IP
	case *net.UDPAddr:
		ip = a.IP
	}
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}
