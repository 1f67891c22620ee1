package dnsprobe

import (
	"time"

	"github.com/gengfu/gengfu/probes/expect"
)

// Fields lists what expectations of the kind may speak of. Where several servers
// are asked, each expectation is held against every one.
func Fields() []expect.Field {
	return []expect.Field{
		{Name: "latency", Doc: "from the first byte sent to the reply, connecting included", Zero: time.Duration(0)},
		{Name: "connect", Doc: "the time to connect, over TCP or TLS", Zero: time.Duration(0)},
		{Name: "tls", Doc: "the time of the TLS handshake", Zero: time.Duration(0)},
		{Name: "rcode", Doc: "the reply's code, such as 'NOERROR', 'NXDOMAIN', 'SERVFAIL' or 'REFUSED'; where it is spoken of, any will do that passes", Zero: ""},
		{Name: "answers", Doc: "the answers of the type asked for, sorted", Zero: []string{}},
		{Name: "count", Doc: "how many answers there are", Zero: 0},
		{Name: "aliases", Doc: "the names that lead to the answers (CNAME), in order", Zero: []string{}},
		{Name: "ttl", Doc: "the smallest time to live of the answers, in seconds", Zero: 0},
		{Name: "authoritative", Doc: "whether the server is in charge of the name (AA)", Zero: false},
		{Name: "authenticated", Doc: "whether the server says that it checked DNSSEC signatures (AD)", Zero: false},
		{Name: "truncated", Doc: "whether the reply was too long for UDP, so that TCP was needed", Zero: false},
		{Name: "server", Doc: "the server as the definition calls it", Zero: ""},
		{Name: "ip", Doc: "the server's address", Zero: ""},
		{Name: "cert", Doc: "the server's certificate, over TLS", Zero: map[string]any{"days_left": 0.0}},
	}
}

// fields are the values. A field that is not known is missing.
func (r *row) fields() map[string]any {
	v := map[string]any{"latency": r.Time.Total, "connect": r.Time.Connect, "tls": r.Time.TLS, "server": r.label}
	if r.IP.IsValid() {
		v["ip"] = r.IP.String()
	}
	if cert := r.DaysLeft(); cert != nil {
		v["cert"] = cert
	}
	if m := r.reply; m != nil {
		v["rcode"], v["answers"], v["count"], v["aliases"] = m.rcode, m.answers, m.count, m.aliases
		v["authoritative"], v["authenticated"], v["truncated"] = m.authoritative, m.authentic, m.truncated
		if m.ttl >= 0 {
			v["ttl"] = m.ttl
		}
	}
	return v
}
