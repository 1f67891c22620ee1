// Package hosts lets an agent see chosen names at chosen addresses, as a line of
// /etc/hosts would, with wildcards: to reach a site by another way, or a demo
// that has no DNS. Every other name goes to the host's own name servers.
package hosts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Map is a list of rules; the first that matches wins.
type Map struct{ rules []rule }

type rule struct {
	pattern string // "www.example.test" or "*.example.test"
	addr    netip.Addr
}

// pattern is what a rule's name may be: no more than Chromium's rules take.
var pattern = regexp.MustCompile(`^(\*\.)?[^\s*,=.]+(\.[^\s*,=.]+)*$`)

// Parse reads rules such as "*.rsj.example=127.0.2.1".
func Parse(list []string) (*Map, error) {
	m := &Map{}
	var errs []error
	for _, item := range list {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		name, text, ok := strings.Cut(item, "=")
		addr, err := netip.ParseAddr(strings.TrimSpace(text))
		name = strings.ToLower(strings.TrimSpace(name))
		if !ok || err != nil || addr.Zone() != "" || !pattern.MatchString(name) {
			errs = append(errs, fmt.Errorf("host rule: want NAME=ADDRESS or *.NAME=ADDRESS, got %q", item))
			continue
		}
		m.rules = append(m.rules, rule{name, addr.Unmap()})
	}
	return m, errors.Join(errs...)
}

// Lookup returns the address for host, if a rule matches.
func (m *Map) Lookup(host string) (netip.Addr, bool) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, r := range m.rules {
		suffix, wild := strings.CutPrefix(r.pattern, "*")
		if host == r.pattern || wild && strings.HasSuffix(host, suffix) {
			return r.addr, true
		}
	}
	return netip.Addr{}, false
}

// ChromiumRules are the same rules for --host-resolver-rules; "" for none.
func (m *Map) ChromiumRules() string {
	var out []string
	for _, r := range m.rules {
		addr := r.addr.String()
		if r.addr.Is6() {
			addr = "[" + addr + "]"
		}
		out = append(out, fmt.Sprintf("MAP %s %s", r.pattern, addr))
	}
	return strings.Join(out, ",")
}

// Resolver answers matching names from the map and asks the host's name servers
// for all others. It is a real resolver, so that a probe measures resolving alike
// with and without rules.
func (m *Map) Resolver() *net.Resolver {
	if len(m.rules) == 0 {
		return &net.Resolver{PreferGo: true}
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		// The goroutine ends with the connection, which the resolver closes.
		go m.serve(ctx, theirs, network, address)
		return ours, nil
	}}
}

// serve answers DNS messages over conn, which is a stream: each has its length before it.
func (m *Map) serve(ctx context.Context, conn net.Conn, network, server string) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	c := &dns.Conn{Conn: conn}
	for {
		q, err := c.ReadMsg()
		if err != nil {
			return
		}
		answer := m.answer(ctx, q, network, server)
		if err := c.WriteMsg(answer); err != nil {
			return
		}
	}
}

func (m *Map) answer(ctx context.Context, q *dns.Msg, network, server string) *dns.Msg {
	if len(q.Question) == 1 {
		if addr, ok := m.Lookup(q.Question[0].Name); ok {
			return mapped(q, addr)
		}
	}
	client := &dns.Client{Net: strings.TrimRight(network, "46")}
	if !slices.Contains([]string{"udp", "tcp"}, client.Net) {
		client.Net = "udp"
	}
	r, err := exchange(ctx, client, q, server)
	if err != nil {
		r = new(dns.Msg)
		r.SetRcode(q, dns.RcodeServerFailure)
	}
	return r
}

// exchange asks server and gives up when ctx ends, not only at its deadline.
func exchange(ctx context.Context, client *dns.Client, q *dns.Msg, server string) (*dns.Msg, error) {
	conn, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, fmt.Errorf("reaching the name server %s: %w", server, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	r, _, err := client.ExchangeWithConnContext(ctx, q, conn)
	if err != nil {
		return nil, fmt.Errorf("asking the name server %s: %w", server, err)
	}
	return r, nil
}

func mapped(q *dns.Msg, addr netip.Addr) *dns.Msg {
	r := new(dns.Msg)
	r.SetReply(q)
	r.RecursionAvailable = true // or an empty answer reads as a referral, not as "no such address"
	head := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 60}
	switch {
	case q.Question[0].Qtype == dns.TypeA && addr.Is4():
		r.Answer = []dns.RR{&dns.A{Hdr: head, A: addr.AsSlice()}}
	case q.Question[0].Qtype == dns.TypeAAAA && addr.Is6():
		r.Answer = []dns.RR{&dns.AAAA{Hdr: head, AAAA: addr.AsSlice()}}
	}
	return r
}
