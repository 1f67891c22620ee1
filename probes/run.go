package probes

import "time"

// Trigger says why a run took place.
type Trigger string

// The triggers.
const (
	TriggerSlot    Trigger = "slot"     // the slot fell due
	TriggerCatchUp Trigger = "catch_up" // the agent came to own the probe inside a slot
	TriggerConfirm Trigger = "confirm"  // another agent saw a failure and asked
	TriggerManual  Trigger = "manual"   // a person asked; never counts for availability
)

// Run is one execution of a probe by one agent for one slot: one trace.
type Run struct {
	Key      Key               `json:"key"`
	Slot     time.Time         `json:"slot"`     // start of the slot, UTC
	Every    time.Duration     `json:"every"`    // the slot's length, as defined at Revision
	Channel  Channel           `json:"channel"`  // of the service, for readers of plain traces
	Kind     string            `json:"kind"`     //
	Agent    string            `json:"agent"`    // the agent's name in the cluster
	Vantage  string            `json:"vantage"`  // the agent's site: the name under which its view counts
	Labels   map[string]string `json:"labels"`   // the agent's labels (site, isp, network, …)
	Revision string            `json:"revision"` // Git commit of the definition
	Trigger  Trigger           `json:"trigger"`
	Started  time.Time         `json:"started"`  // UTC
	Took     time.Duration     `json:"took"`     // monotonic, the run alone
	Late     time.Duration     `json:"late"`     // from slot start to Started, queueing included
	TraceID  string            `json:"trace_id"` // 32 hex digits
	Result   Result            `json:"result"`
}

// Result is what a run says. It is pure data and holds no secret.
type Result struct {
	Verdict  Verdict            `json:"verdict"`
	Class    Class              `json:"class"`
	Findings []Finding          `json:"findings"`           // what was wrong, worst first; empty when up
	Checks   []Check            `json:"checks"`             // every expectation and warning, in order
	Timings  Timings            `json:"timings"`            //
	Status   int                `json:"status"`             // HTTP status of the main reply; 0 when none came
	URL      string             `json:"url"`                // the final address, without user, password and secret values
	IP       string             `json:"ip"`                 // the address spoken to
	TLSUntil time.Time          `json:"tls_until,omitzero"` // end of the leaf certificate's validity; zero without TLS
	Steps    int                `json:"steps"`              // steps of the definition
	Passed   int                `json:"passed"`             // steps that passed
	Title    string             `json:"title"`              // the page's title, at most 200 bytes
	Measures map[string]float64 `json:"measures"`           // further numbers by name: lcp_ms, fcp_ms, script_errors, bytes…
	Evidence []Evidence         `json:"evidence"`           // pictures and excerpts
	Parts    []Part             `json:"parts,omitempty"`    // of a run that looked at several nodes, or over both families: each by itself
}

// Finding is one thing that was wrong, as data: package wording makes the sentence.
type Finding struct {
	Class  Class  `json:"class"`
	Step   string `json:"step"`   // the step's name, e.g. "request" or "see 个人权益记录"
	Phrase Phrase `json:"phrase"` // what was wrong; empty where Want and Got say it
	Want   string `json:"want"`   // what was expected or asked, at most 300 bytes, redacted
	Got    string `json:"got"`    // what was there instead, at most 300 bytes, redacted
}

// Part is one of several places that a run looked at: a business node, or one of
// the two families of addresses.
type Part struct {
	Name    string        `json:"name"` // the node's name or address; "IPv4", "IPv6"
	Verdict Verdict       `json:"verdict"`
	Class   Class         `json:"class"`
	IP      string        `json:"ip"`     // the address spoken to
	Status  int           `json:"status"` // HTTP status; 0 when none came
	Took    time.Duration `json:"took"`   // what a user waited
}

// Check is one expectation with its outcome.
type Check struct {
	Expr string `json:"expr"` // as written in the definition
	Warn bool   `json:"warn"` // a warning: failing makes the run degraded, not down
	OK   bool   `json:"ok"`
	Saw  string `json:"saw"` // the values it saw, e.g. "status = 500"
}

// Timings are the phases of a run, monotonic. A phase that did not take place is 0.
type Timings struct {
	DNS       time.Duration `json:"dns"`
	Connect   time.Duration `json:"connect"`
	TLS       time.Duration `json:"tls"`
	Request   time.Duration `json:"request"`    // sending the request
	FirstByte time.Duration `json:"first_byte"` // from the request's last byte to the reply's first
	Body      time.Duration `json:"body"`       // from the reply's first byte to its last
	Total     time.Duration `json:"total"`      // what a user waited: "latency" in expectations. Of an HTTP run, the sum of the others
}

// Evidence is a picture or text kept beside a run. Data travels apart from the
// trace, addressed by its SHA-256.
type Evidence struct {
	Kind   string `json:"kind"` // "screenshot", "body"
	MIME   string `json:"mime"`
	SHA256 string `json:"sha256"` // hex; set by the runner
	Size   int    `json:"size"`
	Data   []byte `json:"-"`
}

// Span is one finished interval of a run, as the run's page shows it.
type Span struct {
	ID      string            `json:"id"`     // 16 hex digits
	Parent  string            `json:"parent"` // empty for the root
	Name    string            `json:"name"`
	Start   time.Time         `json:"start"`
	Took    time.Duration     `json:"took"`
	Class   Class             `json:"class"`   // empty when it went well
	Error   string            `json:"error"`   // what went wrong as the trace says it, redacted
	Finding Finding           `json:"finding"` // the same as data; zero where only the error's text is known
	Attrs   map[string]string `json:"attrs"`   // in readable form
}

// Trace is a run with the OTLP bytes it came in.
type Trace struct {
	Run  Run
	OTLP []byte // an OTLP TracesData message with exactly this trace
}

// Degrade lowers an Up result to Degraded with f as a finding.
func (r *Result) Degrade(f Finding) {
	r.Findings = append(r.Findings, f)
	if r.Verdict == Up {
		r.Verdict, r.Class = Degraded, f.Class
	}
}

// Fail makes the result Down with f as its first finding, unless it already is Down.
func (r *Result) Fail(f Finding) {
	if r.Verdict == Down {
		r.Findings = append(r.Findings, f)
		return
	}
	r.Verdict, r.Class = Down, f.Class
	r.Findings = append([]Finding{f}, r.Findings...)
}

// Confess makes a result that says the agent itself could not look: Unknown
// with class agent. It is never the fault of the service.
func Confess(step string, phrase Phrase, want, got string) Result {
	return Result{Verdict: Unknown, Class: ClassAgent, Findings: []Finding{{
		Class: ClassAgent, Step: step, Phrase: phrase, Want: want, Got: Excerpt(got),
	}}}
}
