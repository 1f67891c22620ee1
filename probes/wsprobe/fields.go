package wsprobe

import (
	"encoding/json"
	"time"

	"github.com/gengfu/gengfu/probes/expect"
)

// Fields lists what expectations of the kind may speak of.
func Fields() []expect.Field {
	return []expect.Field{
		{Name: "latency", Doc: "name resolution, connection, handshakes and dialogue together", Zero: time.Duration(0)},
		{Name: "dns", Doc: "the time of name resolution", Zero: time.Duration(0)},
		{Name: "connect", Doc: "the time to connect", Zero: time.Duration(0)},
		{Name: "tls", Doc: "the time of the TLS handshake", Zero: time.Duration(0)},
		{Name: "upgrade", Doc: "the time of the WebSocket handshake", Zero: time.Duration(0)},
		{Name: "ip", Doc: "the address that was spoken to", Zero: ""},
		{Name: "status", Doc: "the HTTP status of the handshake, 101 when it went well; where it is spoken of, any will do that passes", Zero: 0},
		{Name: "header", Doc: "a header of the handshake's reply, such as header('Server')", Zero: (func(string) string)(nil)},
		{Name: "protocol", Doc: "the subprotocol that the peer chose; empty for none", Zero: ""},
		{Name: "text", Doc: "the last message that was waited for, as text", Zero: ""},
		{Name: "json", Doc: "the same, decoded, such as json.type"},
		{Name: "messages", Doc: "how many messages came", Zero: 0},
		{Name: "bytes", Doc: "how many bytes they had", Zero: 0},
		{Name: "close_code", Doc: "the code that the peer closed with", Zero: 0},
		{Name: "cert", Doc: "the peer's certificate", Zero: map[string]any{"days_left": 0.0}},
	}
}

// fields are the values. A field that is not known is missing.
func (r *run) fields() map[string]any {
	v := map[string]any{
		"latency": r.Time.Total, "dns": r.Time.DNS, "connect": r.Time.Connect, "tls": r.Time.TLS,
		"messages": r.messages, "bytes": r.bytes,
	}
	if r.IP.IsValid() {
		v["ip"] = r.IP.String()
	}
	if cert := r.DaysLeft(); cert != nil {
		v["cert"] = cert
	}
	if r.shook.status != 0 {
		v["status"], v["upgrade"], v["protocol"] = r.shook.status, r.shook.took, r.redact.Secrets(r.shook.protocol)
		v["header"] = func(name string) string { return r.redact.Secrets(r.shook.header.Get(name)) }
	}
	if r.closed != 0 {
		v["close_code"] = int(r.closed)
	}
	if r.text != nil {
		text := r.redact.Secrets(valid(r.text))
		v["text"] = text
		var decoded any
		if json.Unmarshal([]byte(text), &decoded) == nil {
			v["json"] = whole(decoded)
		}
	}
	return v
}

// whole makes numbers int where they are, so that json.code == 0 holds.
func whole(v any) any {
	switch v := v.(type) {
	case float64:
		if i := int(v); float64(i) == v {
			return i
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = whole(v[k])
		}
	}
	return v
}
