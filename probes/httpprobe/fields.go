package httpprobe

import (
	"time"

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
		{Name: "ttfb", Doc: "the time from a request's last byte to its reply's first, over all redirects", Zero: time.Duration(0)},
		{Name: "body_bytes", Doc: "the size of the final body, decompressed", Zero: 0},
		{Name: "body", Doc: "the final body as text", Zero: ""},
		{Name: "text", Doc: "the visible text of an HTML page, otherwise the body", Zero: ""},
		{Name: "title", Doc: "the page's title", Zero: ""},
		{Name: "json", Doc: "the decoded body, such as json.data.total"},
		{Name: "header", Doc: "a header of the final reply, such as header('Content-Type')", Zero: (func(string) string)(nil)},
		{Name: "cert", Doc: "the certificate of the final reply", Zero: map[string]any{"days_left": 0.0}},
		{Name: "ip", Doc: "the address that was spoken to last", Zero: ""},
		{Name: "redirects", Doc: "how many redirects were followed", Zero: 0},
		{Name: "url", Doc: "the final address", Zero: ""},
		{Name: "charset", Doc: "the charset by which the body was read, such as utf-8 or gb18030", Zero: ""},
	}
}
