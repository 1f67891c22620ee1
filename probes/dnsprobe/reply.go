package dnsprobe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/gengfu/gengfu/probes"
)

// The bounds of a reply that is well formed.
const (
	maxAnswers = 100 // shown and compared
	maxChain   = 16  // aliases that are followed
)

// reply is a message, read.
type reply struct {
	rcode         string
	answers       []string // of the type asked for, sorted, at most maxAnswers
	count         int      // of them all
	aliases       []string // that lead to them
	ttl           int      // seconds, the smallest on the way; -1 when there is no answer
	authoritative bool
	authentic     bool // the server says that it checked the signatures
	truncated     bool // over UDP, so that TCP was needed
	transport     string
}

// errForeign says what in a message does not belong to the query.
type errForeign string

func (e errForeign) Error() string { return string(e) }

// errMixed is the one that honest old servers make, too.
const errMixed errForeign = "0x20"

// unpack reads a message and checks that it answers the query, with its letters'
// case where exact is true. errForeign means that it belongs to something else;
// any other error that it makes no sense.
func unpack(data []byte, query *dns.Msg, exact bool) (m *dns.Msg, err error) {
	defer func() {
		if v := recover(); v != nil {
			m, err = nil, fmt.Errorf("reading the message: %v", v)
		}
	}()
	if len(data) < 12 || binary.BigEndian.Uint16(data) != query.Id {
		return nil, errForeign("id")
	}
	m = new(dns.Msg)
	if err := m.Unpack(data); err != nil {
		return nil, fmt.Errorf("reading the message: %w", err)
	}
	if !m.Response || m.Opcode != dns.OpcodeQuery {
		return nil, errForeign("opcode")
	}
	if len(m.Question) == 0 && m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		// A server that could not read the query need not repeat it.
		return m, nil
	}
	asked := query.Question[0]
	if len(m.Question) != 1 || m.Question[0].Qtype != asked.Qtype || m.Question[0].Qclass != asked.Qclass ||
		!strings.EqualFold(m.Question[0].Name, asked.Name) {
		return nil, errForeign("question " + questions(m))
	}
	if exact && m.Question[0].Name != asked.Name {
		return nil, errMixed
	}
	return m, nil
}

func questions(m *dns.Msg) string {
	if len(m.Question) == 0 {
		return "-"
	}
	q := m.Question[0]
	return probes.Excerpt(strings.TrimSuffix(q.Name, ".") + "/" + dns.Type(q.Qtype).String())
}

// read takes from a message what answers the question, following aliases.
func read(m *dns.Msg, name string, qtype uint16) *reply {
	r := &reply{rcode: rcodeName(m.Rcode), authoritative: m.Authoritative, authentic: m.AuthenticatedData, ttl: -1,
		answers: []string{}, aliases: []string{}}
	at := strings.ToLower(name)
	for range maxChain {
		found, next := r.collect(m.Answer, at, qtype)
		if found || next == "" {
			break
		}
		at = next
		r.aliases = append(r.aliases, strings.TrimSuffix(next, "."))
	}
	slices.Sort(r.answers)
	r.answers = slices.Compact(r.answers)
	return r
}

// collect takes the answers for one name, or says of which it is an alias.
func (r *reply) collect(list []dns.RR, name string, qtype uint16) (found bool, alias string) {
	for _, rr := range list {
		head := rr.Header()
		if head.Class != dns.ClassINET || !strings.EqualFold(head.Name, name) {
			continue
		}
		if head.Rrtype == qtype {
			found = true
			r.count++
			if len(r.answers) < maxAnswers {
				r.answers = append(r.answers, normal(qtype, text(rr)))
			}
		} else if c, ok := rr.(*dns.CNAME); ok && alias == "" {
			alias = strings.ToLower(c.Target)
		} else {
			continue
		}
		if ttl := int(head.Ttl); r.ttl < 0 || ttl < r.ttl {
			r.ttl = ttl
		}
	}
	return found, alias
}

func rcodeName(code int) string {
	if name, ok := dns.RcodeToString[code]; ok {
		return name
	}
	return fmt.Sprintf("RCODE%d", code)
}

// maxText bounds one answer, in bytes.
const maxText = 1 << 10

// text is the data of a record as name servers' files have it.
func text(rr dns.RR) string {
	s := ""
	switch rr := rr.(type) {
	case *dns.A:
		s = rr.A.String()
	case *dns.AAAA:
		s = rr.AAAA.String()
	case *dns.TXT:
		s = strings.Join(rr.Txt, "")
	default:
		s = strings.TrimPrefix(rr.String(), rr.Header().String())
	}
	return s[:min(len(s), maxText)]
}

// normal writes an answer so that two that mean the same are the same: names in
// lower case and without their last dot, spaces single.
func normal(qtype uint16, s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	switch qtype {
	case dns.TypeTXT, dns.TypeCAA, dns.TypeDNSKEY, dns.TypeDS, dns.TypeTLSA, dns.TypeNAPTR, dns.TypeHTTPS, dns.TypeSVCB:
		return strings.TrimSpace(s)
	}
	words := strings.Fields(strings.ToLower(s))
	for i, w := range words {
		if w != "." {
			words[i] = strings.TrimSuffix(w, ".")
		}
	}
	return strings.Join(words, " ")
}

// attrs describe a reply in its span.
func (r *reply) attrs() []probes.Attr {
	var shown []string
	for _, a := range r.answers[:min(len(r.answers), 20)] {
		shown = append(shown, probes.Excerpt(a))
	}
	return []probes.Attr{
		{Key: "dns.answers", Value: shown},
		{Key: "network.transport", Value: r.transport},
		{Key: "gengfu.dns.rcode", Value: r.rcode},
		{Key: "gengfu.dns.ttl", Value: r.ttl},
		{Key: "gengfu.dns.authoritative", Value: r.authoritative},
		{Key: "gengfu.dns.authenticated", Value: r.authentic},
		{Key: "gengfu.dns.truncated", Value: r.truncated},
	}
}

// foreign reports whether err means that a message belongs to something else.
func foreign(err error) bool { return errors.As(err, new(errForeign)) }
