package dnsprobe

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/reach"
)

// The bounds of a definition.
const (
	maxServers = 10
	maxDue     = 100
)

// settings are the keys of the kind.
type settings struct {
	Query     string   `yaml:"query" doc:"the name to look up; for PTR an address will do"`
	Type      string   `yaml:"type" doc:"the type of record; default A"`
	Servers   []string `yaml:"servers" doc:"10.0.0.53, 10.0.0.53:5353, tcp://10.0.0.53, tls://dns.example#sni or system; default: system"`
	Quorum    int      `yaml:"servers_needed" doc:"how many servers must answer well and alike; default: all"`
	Compare   *bool    `yaml:"compare" doc:"whether several servers must give the same answers; default: true, unless answers says what is due"`
	Recursion *bool    `yaml:"recursion" doc:"whether recursion is desired; default true"`
	DNSSEC    bool     `yaml:"dnssec" doc:"asks for signatures"`
	MixedCase *bool    `yaml:"mixed_case" doc:"guards against forged replies by letters of mixed case; false for servers that do not keep them"`
	Answers   answers  `yaml:"answers" doc:"the answers that are due"`
	Expect    []string `yaml:"expect"`
	Warn      []string `yaml:"warn"`
}

// answers are written as name servers' files have them: "10 mail.example.test".
type answers struct {
	Exact    []string `yaml:"exact" doc:"these, and no others"`
	Contains []string `yaml:"contains" doc:"these at least"`
	OneOf    []string `yaml:"one_of" doc:"some of these, and no others"`
	Within   []string `yaml:"within" doc:"addresses in these networks, and no others: 10.0.0.0/8"`
}

// UnmarshalYAML takes the short form, the exact list, too.
func (a *answers) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&a.Exact) == nil {
		return nil
	}
	a.Exact = nil
	type plain answers
	return unmarshal((*plain)(a))
}

// types are those that can be asked for.
var types = []uint16{
	dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeMX, dns.TypeNS, dns.TypeTXT, dns.TypeSOA, dns.TypeSRV, dns.TypeCAA, dns.TypePTR,
	dns.TypeDS, dns.TypeDNSKEY, dns.TypeTLSA, dns.TypeNAPTR, dns.TypeHTTPS, dns.TypeSVCB,
}

func typeName(t uint16) string { return dns.TypeToString[t] }

func typeNames() []string {
	var out []string
	for _, t := range types {
		out = append(out, typeName(t))
	}
	return out
}

func decode(s probes.Settings) (probes.Prober, error) {
	var d settings
	if err := s.Into(&d); err != nil {
		return nil, err
	}
	c := checker{reach.Checker{Settings: s}}
	p := &prober{
		recursion: d.Recursion == nil || *d.Recursion,
		mixed:     d.MixedCase == nil || *d.MixedCase,
		dnssec:    d.DNSSEC,
	}
	p.qtype = dns.StringToType[strings.ToUpper(cmp.Or(d.Type, "A"))]
	if !slices.Contains(types, p.qtype) {
		c.Mistake("type", "want one of %s, got %q", strings.Join(typeNames(), ", "), d.Type)
		p.qtype = dns.TypeA
	}
	p.name = c.name(d.Query, p.qtype)
	p.servers = c.servers(d.Servers)
	p.need = cmp.Or(d.Quorum, len(p.servers))
	if d.Quorum < 0 || d.Quorum > len(p.servers) {
		c.Mistake("servers_needed", "want 1 to %d, the number of servers, got %d", len(p.servers), d.Quorum)
	}
	p.due = c.due(d.Answers, p.qtype)
	p.compare = len(p.servers) > 1 && p.due.nothing()
	if d.Compare != nil {
		p.compare = *d.Compare && len(p.servers) > 1
	}
	p.expect, p.warn = c.Expressions("expect", d.Expect, Fields()), c.Expressions("warn", d.Warn, Fields())
	if err := c.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

type checker struct{ reach.Checker }

// name makes a name absolute and fit for the wire.
func (c *checker) name(s string, qtype uint16) string {
	if s == "" {
		c.Mistake("query", "want the name to look up, got nothing; write query: www.example.test")
		return "."
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		if qtype != dns.TypePTR {
			c.Mistake("query", "want a name for type %s, got the address %s; write type: PTR for its name", typeName(qtype), s)
			return "."
		}
		reverse, err := dns.ReverseAddr(addr.Unmap().WithZone("").String())
		if err != nil {
			c.Mistake("query", "want a name or an address, got %q: %v", s, err)
			return "."
		}
		return reverse
	}
	ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(s, "."))
	if err != nil {
		// Underscores, as in _sip._tcp, are no valid hosts, yet they are looked up.
		ascii = strings.ToLower(strings.TrimSuffix(s, "."))
	}
	name := dns.Fqdn(ascii)
	if _, ok := dns.IsDomainName(name); !ok || strings.ContainsAny(name, " \\\t\"();@") || !isASCII(name) {
		c.Mistake("query", "want a name such as www.example.test, got %q", probes.Excerpt(s))
		return "."
	}
	return name
}

func isASCII(s string) bool { return !strings.ContainsFunc(s, func(r rune) bool { return r > '~' }) }

func (c *checker) servers(list []string) []server {
	if len(list) == 0 {
		return []server{{label: "system", proto: system}}
	}
	if len(list) > maxServers {
		c.Mistake("servers", "want at most %d, got %d", maxServers, len(list))
		return nil
	}
	var out []server
	for i, s := range list {
		one, ok := c.server(fmt.Sprintf("servers[%d]", i), s)
		if !ok {
			continue
		}
		if slices.ContainsFunc(out, func(o server) bool { return o.label == one.label }) {
			c.Mistake(fmt.Sprintf("servers[%d]", i), "want each server once, got %s twice", one.label)
		}
		out = append(out, one)
	}
	return out
}

func (c *checker) server(key, s string) (server, bool) {
	if s == "system" {
		return server{label: "system", proto: system}, true
	}
	out := server{proto: overUDP}
	rest := s
	if scheme, after, ok := strings.Cut(s, "://"); ok {
		out.proto, rest = proto(scheme), after
	}
	rest, out.sni, _ = strings.Cut(rest, "#")
	port, ok := ports[out.proto]
	if !ok {
		c.Mistake(key, "want udp://, tcp:// or tls:// before a server, or system, got %q", s)
		return server{}, false
	}
	if out.sni != "" && out.proto != overTLS {
		c.Mistake(key, "want a name after # for tls:// alone, got %q", s)
	}
	out.host, out.port = c.Target(key, rest, port)
	if out.host == "" {
		return server{}, false
	}
	out.sni = cmp.Or(out.sni, out.host)
	out.label = address(out.host, out.port, out.proto)
	if out.proto != overUDP {
		out.label = string(out.proto) + "://" + out.label
	}
	return out, true
}

func (c *checker) due(a answers, qtype uint16) due {
	d := due{
		exact:    c.texts("answers.exact", a.Exact, qtype),
		contains: c.texts("answers.contains", a.Contains, qtype),
		oneOf:    c.texts("answers.one_of", a.OneOf, qtype),
	}
	if len(a.Exact) > 0 && len(a.Contains)+len(a.OneOf)+len(a.Within) > 0 {
		c.Mistake("answers", "want exact alone, or any of contains, one_of and within; exact says it all")
	}
	for i, s := range a.Within {
		key := fmt.Sprintf("answers.within[%d]", i)
		net, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			c.Mistake(key, "want a network such as 10.0.0.0/8, got %q", s)
		case qtype != dns.TypeA && qtype != dns.TypeAAAA:
			c.Mistake(key, "want type A or AAAA, whose answers are addresses, got %s", typeName(qtype))
		case net.Addr().Unmap().Is4() != (qtype == dns.TypeA):
			c.Mistake(key, "want a network that fits type %s, got %q", typeName(qtype), s)
		default:
			d.within = append(d.within, net.Masked())
		}
	}
	return d
}

// texts are answers as normal writes them.
func (c *checker) texts(key string, list []string, qtype uint16) []string {
	if len(list) > maxDue {
		c.Mistake(key, "want at most %d answers, got %d", maxDue, len(list))
		return nil
	}
	var out []string
	for i, s := range list {
		if qtype == dns.TypeA || qtype == dns.TypeAAAA {
			addr, err := netip.ParseAddr(s)
			if err != nil || addr.Is4() != (qtype == dns.TypeA) {
				c.Mistake(fmt.Sprintf("%s[%d]", key, i), "want an address that fits type %s, got %q", typeName(qtype), s)
				continue
			}
			s = addr.String()
		}
		out = append(out, normal(qtype, s))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
