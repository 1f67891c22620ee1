package probes

import (
	"fmt"
	"time"
)

// Device is what a browser context pretends to be.
type Device struct {
	Name      string
	UserAgent string
	Platform  string  // navigator.platform
	Width     int     // CSS pixels
	Height    int     // CSS pixels
	Scale     float64 // device pixels per CSS pixel
	Mobile    bool
	Touch     bool
	Language  string // e.g. "zh-CN"
	TimeZone  string // e.g. "Asia/Shanghai"
	// ClientHints are the UA-CH brands; nil sends none, as WebKit does.
	ClientHints []Brand
	// Wechat provides WeixinJSBridge, as the WeChat client does.
	Wechat bool
	// Scripts run in every document before the page's own.
	Scripts []string
	// Headers are sent with every request.
	Headers map[string]string
}

// Brand is one entry of Sec-CH-UA.
type Brand struct{ Name, Version string }

// Op is what an Action does.
type Op string

// The operations of a browser step.
const (
	OpOpen   Op = "open"    // Value is the address
	OpSee    Op = "see"     // Value is a visible text, or Selector must be visible
	OpNotSee Op = "not_see" // the opposite, after the page settled
	OpTap    Op = "tap"     // Selector is scrolled to, waited for and tapped
	OpFill   Op = "fill"    // Selector gets Value
	OpSelect Op = "select"  // Selector's option Value
	OpPress  Op = "press"   // Value is a key's name
	OpWait   Op = "wait"    // waits for Selector, Value (text) or Extra["url"]
	OpRun    Op = "run"     // Value is a JavaScript expression; its result must be truthy
)

// Action is one browser operation as data, so that the coordinator checks
// steps without a browser.
type Action struct {
	Op       Op
	Selector string            // CSS, or "text=…", "role=button:查询", "label=…"
	Value    string            //
	Secret   bool              // Value is secret: never in a span, a finding or a picture
	Extra    map[string]string // operation-specific
	Timeout  time.Duration     // of this action alone; 0 leaves the run's
}

// Observation is what a page saw.
type Observation struct {
	URL          string             // the current address
	Title        string             //
	Status       int                // of the main document; 0 when none came
	IP           string             // of the main document's server
	TLSUntil     time.Time          // of the main document's certificate
	Text         string             // visible text, at most 64 KiB
	ScriptErrors []string           // uncaught errors, each at most 300 bytes
	Console      []string           // error and warning lines, at most 100
	Requests     []Request          // finished and failed, at most 500
	Measures     map[string]float64 // fcp_ms, lcp_ms, ttfb_ms, load_ms, bytes, requests…
	Timings      Timings            // of the main document
	Result       string             // of OpRun, as JSON
}

// Request is one request of a page.
type Request struct {
	URL    string
	Kind   string // document, script, stylesheet, image, xhr…
	Status int
	Failed string // the browser's error text; empty when it went well
	Start  time.Time
	Took   time.Duration
	Bytes  int64
	Own    bool // of the page's own site, not a third party's
}

// Failure is what went wrong on a page during an Action: about the site, not the agent.
type Failure struct {
	Class Class
	Want  string
	Got   string
}

// Error makes a Failure an error.
func (f *Failure) Error() string {
	return fmt.Sprintf("%s: want %s, got %s", f.Class, f.Want, f.Got)
}
