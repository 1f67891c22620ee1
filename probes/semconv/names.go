// Package semconv says how a run is written into a trace and read back out of
// it: both ways side by side, and nowhere else. Names come from the
// OpenTelemetry semantic conventions where one exists and begin with "gengfu."
// otherwise.
//
// One run is one trace. Its root span, named "probe service/probe", carries the
// whole run as attributes, so that any OTLP store can answer for it and an
// OpenTelemetry Collector may stand between agent and coordinator.
package semconv

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
	otelconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/gengfu/gengfu/probes"
)

// SchemaURL is the version of the conventions that the standard names follow.
const SchemaURL = otelconv.SchemaURL

// ServiceName is the service.name of every agent.
const ServiceName = "gengfu-agent"

// Attributes of the root span. keyVerdict marks a span as a run's root.
const (
	keyVerdict  = "gengfu.verdict"
	keyService  = "gengfu.service"
	keyProbe    = "gengfu.probe"
	keySlot     = "gengfu.slot"     // RFC 3339
	keyEvery    = "gengfu.every_ms" // the slot's length
	keyChannel  = "gengfu.channel"
	keyKind     = "gengfu.kind"
	keyAgent    = "gengfu.agent"
	keyVantage  = "gengfu.vantage"
	keyRevision = "gengfu.revision"
	keyTrigger  = "gengfu.trigger"
	keyStarted  = "gengfu.started" // RFC 3339
	keyTook     = "gengfu.took_ns"
	keyLate     = "gengfu.late_ns"
	keyFindings = "gengfu.findings" // one JSON object each
	keyParts    = "gengfu.parts"    // one JSON object each
	keyChecks   = "gengfu.checks"   // one JSON object each
	keyEvidence = "gengfu.evidence" // one JSON object each
	keySteps    = "gengfu.steps"
	keyPassed   = "gengfu.steps.passed"
	keyTitle    = "gengfu.title"
	keyClipped  = "gengfu.clipped" // how many values were too many or too long to carry

	keyDNS       = "gengfu.timing.dns_ns"
	keyConnect   = "gengfu.timing.connect_ns"
	keyTLS       = "gengfu.timing.tls_ns"
	keySend      = "gengfu.timing.request_ns"
	keyFirstByte = "gengfu.timing.first_byte_ns"
	keyBody      = "gengfu.timing.body_ns"
	keyTotal     = "gengfu.timing.total_ns"

	prefixLabel   = "gengfu.label."
	prefixMeasure = "gengfu.measure."

	keyClass     = string(otelconv.ErrorTypeKey)
	keyStatus    = string(otelconv.HTTPResponseStatusCodeKey)
	keyURL       = string(otelconv.URLFullKey)
	keyIP        = string(otelconv.NetworkPeerAddressKey)
	keyTLSUntil  = string(otelconv.TLSServerNotAfterKey) // RFC 3339
	keySynthetic = string(otelconv.UserAgentSyntheticTypeKey)
	keyCase      = string(otelconv.TestCaseNameKey)
	keyCaseOK    = string(otelconv.TestCaseResultStatusKey)
)

// Attributes of any span of a run.
const (
	// The phrase that says what went wrong in a span, with its arguments.
	keyPhrase = "gengfu.phrase"
	keyWant   = "gengfu.want"
	keyGot    = "gengfu.got"

	// KeyDropped counts the spans of a run beyond the agent's bound. On the root.
	KeyDropped = "gengfu.spans.dropped"
	// KeyUnfinished marks a span that was still open when its run ended.
	KeyUnfinished = "gengfu.unfinished"
)

// ClassKey is the attribute of a span's failure class.
const ClassKey = otelconv.ErrorTypeKey

// ClassOther is the failure class of a span whose error is in no class.
const ClassOther = "_OTHER"

// Bounds, in bytes or counts. Encoding clips to them and decoding refuses what
// exceeds them, so a run that an agent wrote is never refused for its size.
const (
	maxID       = 128
	maxText     = 2048
	maxPart     = 1024 // one text inside a JSON object
	maxLabels   = 32
	maxLabel    = 256
	maxMeasures = 200
	maxFindings = 50
	maxParts    = 64
	maxChecks   = 100
	maxEvidence = 16
	maxItem     = 64 << 10 // one JSON object, escapes included
	maxSpans    = 1000
	// MaxTraceBytes is the largest trace an agent hands on, but for a root span
	// that alone is larger.
	MaxTraceBytes = 1 << 20
	maxTrace      = 4 * MaxTraceBytes // leaves a Collector room for its own attributes
)

// RootName is the name of the root span of a run of key: one for each probe, so
// its number is bounded by the catalog.
func RootName(key probes.Key) string { return Text("probe " + key.String()) }

// Reserved reports whether an attribute of the root span belongs to the run
// itself, so that nothing else may set it.
func Reserved(key string) bool {
	switch key {
	case keyClass, keyStatus, keyURL, keyIP, keyTLSUntil, keySynthetic, keyCase, keyCaseOK:
		return true
	}
	return strings.HasPrefix(key, "gengfu.")
}

// RootOnly reports whether an attribute marks the root span of a run: on any
// other span it would make the trace look as if it held two runs.
func RootOnly(key string) bool { return key == keyVerdict }

// ResourceAttributes names the agent that made a trace.
func ResourceAttributes(agent, vantage, version string, labels map[string]string) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		otelconv.ServiceName(ServiceName),
		otelconv.ServiceInstanceID(Text(agent)),
		attribute.String(keyVantage, Text(vantage)),
	}
	if version != "" {
		attrs = append(attrs, otelconv.ServiceVersion(Text(version)))
	}
	for k, v := range labels {
		attrs = append(attrs, attribute.String(prefixLabel+Text(k), Text(v)))
	}
	return attrs
}
