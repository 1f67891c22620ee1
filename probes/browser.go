package probes

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"
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
	Secret   bool              // Value holds a secret: it is never quoted, and a field it fills is covered in pictures
	Secrets  []string          // the secret values in Value and Selector: taken out of texts, covered in pictures
	Extra    map[string]string // operation-specific
	Timeout  time.Duration     // of this action alone; 0 leaves the run's
}

// Keys lists the names that OpPress knows; a single character is a key, too.
func Keys() []string {
	return []string{
		"Enter", "Tab", "Escape", "Backspace", "Delete", "Space",
		"ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Home", "End", "PageUp", "PageDown",
	}
}

// KnownKey reports whether OpPress knows a key of this name.
func KnownKey(name string) bool {
	return slices.Contains(Keys(), name) || utf8.RuneCountInString(name) == 1
}

// Observation is what a page saw. Observe fills all of it; Do leaves out Text,
// Requests and Blank, which cost a walk through the page.
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
	Result       string             // of OpRun, as JSON, at most 300 bytes
	Header       map[string]string  // of the main document's reply, names in lower case
	Charset      string             // by which the browser read the document, e.g. "UTF-8"
	Blank        bool               // nothing to see: no text, picture, canvas, video or frame
	Dialogs      []string           // texts of alert, confirm and prompt, at most 10; all were dismissed
	Bridge       []string           // calls of WeixinJSBridge, by name, at most 50
	Phases       []Phase            // dns, connect, tls, request, first_byte, body of the main document
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
	// Pending says that no end came yet; Took is then the time waited so far.
	Pending bool
}

// Failure is what went wrong with a site or on a page: about the site, not the agent.
type Failure struct {
	Class  Class
	Phrase Phrase
	Want   string // the phrase's arguments: see Phrase
	Got    string
}

// Error makes a Failure an error, in the form in which traces hold it.
func (f *Failure) Error() string {
	var b strings.Builder
	b.WriteString(string(f.Class))
	if f.Phrase != "" && string(f.Phrase) != string(f.Class) {
		b.WriteString(": " + string(f.Phrase))
	}
	sep := ": "
	if f.Want != "" {
		b.WriteString(sep + "want " + f.Want)
		sep = ", "
	}
	if f.Got != "" {
		b.WriteString(sep + "got " + f.Got)
	}
	return b.String()
}

// Finding is the failure as what was wrong in a step.
func (f *Failure) Finding(step string) Finding {
	return Finding{Class: f.Class, Step: step, Phrase: f.Phrase, Want: f.Want, Got: f.Got}
}

// Clean returns the failure with every text passed through clean.
func (f *Failure) Clean(clean func(string) string) *Failure {
	return &Failure{Class: f.Class, Phrase: f.Phrase, Want: clean(f.Want), Got: clean(f.Got)}
}
