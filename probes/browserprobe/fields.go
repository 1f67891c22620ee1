package browserprobe

import (
	"time"

	"github.com/gengfu/gengfu/probes/expect"
)

// Fields lists what expectations of the kind may speak of. Times are those of
// the document that was opened first; the page is the one seen last.
func Fields() []expect.Field {
	return []expect.Field{
		{Name: "status", Doc: "the HTTP status of the page", Zero: 0},
		{Name: "latency", Doc: "what a user waited until the page had loaded", Zero: time.Duration(0)},
		{Name: "ttfb", Doc: "the time until the document's first byte", Zero: time.Duration(0)},
		{Name: "fcp", Doc: "the time until something was painted", Zero: time.Duration(0)},
		{Name: "lcp", Doc: "the time until the largest thing was painted", Zero: time.Duration(0)},
		{Name: "load", Doc: "the time until the load event", Zero: time.Duration(0)},
		{Name: "cls", Doc: "how much the page jumped while loading", Zero: 0.0},
		{Name: "script_errors", Doc: "uncaught script errors", Zero: 0},
		{Name: "console_errors", Doc: "errors in the console", Zero: 0},
		{Name: "failed_requests", Doc: "requests that failed or got a status of 400 or more", Zero: 0},
		{Name: "requests", Doc: "requests that the page made", Zero: 0},
		{Name: "bytes", Doc: "bytes that came over the network", Zero: 0},
		{Name: "dialogs", Doc: "alert, confirm and prompt dialogs that were dismissed", Zero: 0},
		{Name: "text", Doc: "the visible text", Zero: ""},
		{Name: "title", Doc: "the page's title", Zero: ""},
		{Name: "url", Doc: "the page's address", Zero: ""},
		{Name: "charset", Doc: "the charset by which the browser read the page, such as UTF-8", Zero: ""},
		{Name: "ip", Doc: "the address that was spoken to", Zero: ""},
		{Name: "cert", Doc: "the page's certificate", Zero: map[string]any{"days_left": 0.0}},
	}
}
