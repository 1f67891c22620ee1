package probes

import (
	"context"
	"crypto/x509"
	"net"
	"time"
)

// A Kind is one way to probe. Its package decodes the settings and performs the run.
type Kind struct {
	Name   string                         // the word after "kind:"
	Doc    string                         // one line, for -help and the JSON Schema
	Needs  []Capability                   // ownership places runs by these
	Decode func(Settings) (Prober, error) // reports every mistake at once

	// Fields lists what expect and warn may speak of, for the JSON Schema; nil
	// when the kind takes no expectations.
	Fields func() []Field
	// Choices are the closed lists of texts that a key takes, by the key's path
	// without indexes ("device", "request.method"), for the JSON Schema.
	Choices map[string][]string
}

// Field is one name that a kind offers to expressions.
type Field struct {
	Name string
	Doc  string // one line, for -help and the JSON Schema
	// Zero fixes the field's type: int, float64, string, bool, time.Duration,
	// []string, map[string]any whose members are typed by their own zeros,
	// func(string) string, or nil for a dynamic value such as decoded JSON.
	Zero any
}

// Settings is the kind's part of one probe's definition, still tied to its file
// and lines. The keys common to all kinds (id, name, kind, every, timeout, from,
// quorum) are not in it; ${service.…} is already expanded, ${secret:…} is not.
type Settings interface {
	// Into decodes strictly: an unknown key or a wrong type is an error that
	// carries its position.
	Into(v any) error
	// Errorf makes an error at the position of key. A key is a path such as
	// "request.url", "steps[2]" or "expect[0]"; "" is the probe itself.
	// The text says what was found, what was expected and how to mend it.
	Errorf(key, format string, args ...any) error
	// Timeout is the probe's timeout, for kinds that check bounds against it.
	Timeout() time.Duration
}

// Files is implemented by Settings of a definitions' folder that holds more than
// definitions: certificates, in roots/.
type Files interface {
	// File returns the content of a file by its path from the folder, such as
	// "roots/ca.pem".
	File(path string) ([]byte, error)
}

// A Prober performs one run. Result says what the public would see. A non-nil
// error means this agent could not look: the run is then Unknown, never Down.
// A Prober is immutable and safe for concurrent use.
type Prober interface {
	Probe(ctx context.Context, env Env) (Result, error)
}

// Env is all that a run may touch.
type Env struct {
	// Dial opens network connections; kinds never use net.Dial.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Resolver looks names up; never nil.
	Resolver *net.Resolver
	// Roots are the certificates trusted beside none else; nil means the host's.
	Roots *x509.CertPool
	// Secret returns a secret's value, or an error that says how to provide it.
	Secret func(name string) (string, error)
	// Browser is nil without CapabilityBrowser.
	Browser Browser
	// Echo opens a socket for ICMP echoes of a family, "ip4" or "ip6": raw when
	// its local address is a *net.IPAddr. It is nil without CapabilityICMP.
	Echo func(ctx context.Context, family string) (net.PacketConn, error)
	// Record receives steps and phases; never nil (see Discard).
	Record Recorder
	// Traceparent makes requests carry the run's trace context; "" when none.
	Traceparent func(ctx context.Context) string
	// UserAgentSuffix names the fleet in the User-Agent, so that a site's owner
	// can tell probes from people.
	UserAgentSuffix string
}

// A Recorder turns what a run does into spans, so that kinds never import OpenTelemetry.
type Recorder interface {
	// Step opens a span named name, a child of the one in ctx, runs do inside
	// it and closes it with do's error, which it returns.
	Step(ctx context.Context, name string, do func(ctx context.Context) error) error
	// Phase records an interval that is already over, a child of the span in ctx.
	Phase(ctx context.Context, p Phase)
	// Annotate adds attributes to the span in ctx.
	Annotate(ctx context.Context, attrs ...Attr)
}

// Phase is a finished interval: dns, connect, tls, request, first_byte, body, a resource…
type Phase struct {
	Name  string
	Start time.Time // with its monotonic reading
	End   time.Time
	Class Class // empty when it went well
	Err   error
	Attrs []Attr
}

// Attr is one attribute of a span: an OpenTelemetry semantic-convention name
// where there is one, "gengfu.…" otherwise. Value is a string, bool, int,
// int64, float64 or []string.
type Attr struct {
	Key   string
	Value any
}

// Discard is a Recorder that only runs the steps.
var Discard Recorder = discard{}

type discard struct{}

func (discard) Step(ctx context.Context, _ string, do func(context.Context) error) error {
	return do(ctx)
}
func (discard) Phase(context.Context, Phase)      {}
func (discard) Annotate(context.Context, ...Attr) {}

// Browser is implemented by package chrome.
type Browser interface {
	// Open makes a fresh, isolated context with one page of device d. The
	// caller closes the page. An error means that this agent's browser is
	// unwell, not that a site is.
	Open(ctx context.Context, d Device) (Page, error)
}

// Page is one page in its own browser context.
type Page interface {
	// Do performs one action and says what it saw. A *Failure error is about
	// the page; any other error is about this agent.
	Do(ctx context.Context, a Action) (Observation, error)
	// Observe says what the page has seen and done so far.
	Observe(ctx context.Context) (Observation, error)
	// Screenshot takes the visible page as JPEG, with filled inputs masked.
	Screenshot(ctx context.Context) ([]byte, error)
	// Close ends the page and its context, within a bound of its own.
	Close() error
}
