package httpprobe

import (
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"

	"github.com/gengfu/gengfu/probes/expect"
)

// Fields lists what expectations of the kind may speak of.
func Fields() []expect.Field {
	return []expect.Field{
		{Name: "status", Doc: "the HTTP status of the final reply", Zero: 0},
		{Name: "latency", Doc: "what a user waited, from the first request to the body's end", Zero: time.Duration(0)},
		{Name: "dns", Doc: "the time of name resolution, over all redirects", Zero: time.Duration(0)},
		{Name: "connect", Doc: "the time to connect, over all redirects", Zero: time.Duration(0)},
		{Name: "tls", Doc: "the time of TLS handshakes, over all redirects", Zero: time.Duration(0)},
		{Name: "send", Doc: "the time to send the request, over all redirects", Zero: time.Duration(0)},
		{Name: "ttfb", Doc: "the time from a request's last byte to its reply's first, over all redirects", Zero: time.Duration(0)},
		{Name: "body_bytes", Doc: "the size of the final body, decompressed", Zero: 0},
		{Name: "body", Doc: "the final body as text", Zero: ""},
		{Name: "text", Doc: "the visible text of an HTML page, otherwise the body", Zero: ""},
		{Name: "title", Doc: "the page's title", Zero: ""},
		{Name: "json", Doc: "the decoded body, such as json.data.total"},
		{Name: "header", Doc: "a header of the final reply, such as header('Content-Type')", Zero: (func(string) string)(nil)},
		{Name: "cookie", Doc: "a cookie that the site has set, such as cookie('SESSION')", Zero: (func(string) string)(nil)},
		{Name: "protocol", Doc: "the protocol of the final reply, such as HTTP/1.1 or HTTP/2.0", Zero: ""},
		{Name: "saved", Doc: "what the steps saved, such as saved.token; shown as *** unless it may be"},
		{Name: "cert", Doc: "the certificate of the final reply", Zero: map[string]any{"days_left": 0.0}},
		{Name: "ip", Doc: "the address that was spoken to last", Zero: ""},
		{Name: "redirects", Doc: "how many redirects were followed", Zero: 0},
		{Name: "url", Doc: "the final address", Zero: ""},
		{Name: "charset", Doc: "the charset by which the body was read, such as utf-8 or gb18030", Zero: ""},
	}
}

// seen are what expectations that use these fields see of a reply, whose times
// are t. A field that is not known is missing.
func (s *session) seen(got *reply, p page, t probes.Timings, uses map[string]bool) map[string]any {
	v := make(map[string]any, len(uses))
	for name := range uses {
		if value := s.field(name, got, p, t); value != nil {
			v[name] = value
		}
	}
	return v
}

func (s *session) field(name string, got *reply, p page, t probes.Timings) any {
	switch name {
	case "latency":
		return t.Total
	case "dns":
		return t.DNS
	case "connect":
		return t.Connect
	case "tls":
		return t.TLS
	case "send":
		return t.Request
	case "redirects":
		return got.redirects
	case "url":
		return s.redact.Secrets(got.ask.address)
	case "ip":
		if got.ip != "" {
			return got.ip
		}
	case "cert":
		if !got.tlsUntil.IsZero() {
			return map[string]any{"days_left": time.Until(got.tlsUntil).Hours() / 24}
		}
	case "saved":
		return s.shown()
	case "cookie":
		return func(name string) string { return s.redact.Secrets(s.cookieValue(got, name)) }
	default:
		if got.status != 0 {
			return s.replied(name, got, p, t)
		}
	}
	return nil
}

// replied is a field of a reply that came.
func (s *session) replied(name string, got *reply, p page, t probes.Timings) any {
	switch name {
	case "status":
		return got.status
	case "ttfb":
		return t.FirstByte
	case "body":
		return p.text
	case "body_bytes":
		return len(got.body)
	case "text":
		return p.visible
	case "title":
		return p.title
	case "charset":
		return p.charset
	case "protocol":
		return got.proto
	case "header":
		return func(name string) string { return s.redact.Secrets(strings.Join(got.header.Values(name), ", ")) }
	case "json":
		return p.json
	}
	return nil
}

// cookieValue is a cookie that the site would be sent; "" for none.
func (s *session) cookieValue(got *reply, name string) string {
	if got.ask.url == nil {
		return ""
	}
	for _, c := range s.cookies(false).Cookies(got.ask.url) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}
