package tcpprobe

import (
	"encoding/hex"
	"time"

	"github.com/gengfu/gengfu/probes/expect"
)

// Fields lists what expectations of the kind may speak of.
func Fields() []expect.Field {
	return []expect.Field{
		{Name: "latency", Doc: "name resolution, connection, handshake and dialogue together", Zero: time.Duration(0)},
		{Name: "dns", Doc: "the time of name resolution", Zero: time.Duration(0)},
		{Name: "connect", Doc: "the time to connect", Zero: time.Duration(0)},
		{Name: "tls", Doc: "the time of the TLS handshake", Zero: time.Duration(0)},
		{Name: "ip", Doc: "the address that was spoken to", Zero: ""},
		{Name: "banner", Doc: "what the peer said before it was sent anything, as text", Zero: ""},
		{Name: "text", Doc: "the last reply as text", Zero: ""},
		{Name: "hex", Doc: "the last reply in hexadecimal, in lower case", Zero: ""},
		{Name: "bytes", Doc: "how many bytes the peer sent in all", Zero: 0},
		{Name: "cert", Doc: "the peer's certificate", Zero: map[string]any{"days_left": 0.0}},
	}
}

// spoken are the fields that need a reply.
var spoken = []string{"banner", "text", "hex", "bytes"}

// fields are the values. A field that is not known is missing.
func (r *run) fields() map[string]any {
	v := map[string]any{"latency": r.Time.Total, "dns": r.Time.DNS, "connect": r.Time.Connect, "tls": r.Time.TLS}
	if r.IP.IsValid() {
		v["ip"] = r.IP.String()
	}
	if cert := r.DaysLeft(); cert != nil {
		v["cert"] = cert
	}
	if reads(r.dialogue) {
		v["banner"], v["bytes"] = r.banner, r.bytes
	}
	if r.text != nil {
		text := r.redact.Secrets(string(r.text))
		v["text"], v["hex"] = valid([]byte(text)), hex.EncodeToString([]byte(text))
	}
	return v
}
