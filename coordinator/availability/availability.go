// Package availability judges slots by quorum and computes availability with
// coverage. It is pure: no I/O, no clock; time comes as an argument.
package availability

import (
	"time"

	"github.com/gengfu/gengfu/probes"
)

// Reason says why a slot has its verdict: a closed list.
type Reason string

// The reasons.
const (
	ReasonAgreed  Reason = "agreed"   // enough vantages say the same
	ReasonPartial Reason = "partial"  // fewer than the quorum see the failure, others do not
	ReasonTooFew  Reason = "too_few"  // a failure was seen, but too few vantages spoke
	ReasonTie     Reason = "tie"      // as many say down as say it works
	ReasonNoVoice Reason = "no_voice" // nobody could look
	ReasonPending Reason = "pending"  // voices that may still decide it are on their way
)

// Rule is what a probe's definition demanded of a slot, as it stood then.
type Rule struct {
	Count  int // how many agents were to run it
	Quorum int // vantages that must agree on down
}

// Vote is one run's say about a slot.
type Vote struct {
	Vantage string         `json:"vantage"`
	Agent   string         `json:"agent"`
	ISP     string         `json:"isp,omitempty"`
	Verdict probes.Verdict `json:"verdict"`
	Class   probes.Class   `json:"class,omitempty"`
	TraceID string         `json:"trace_id"`
	Started time.Time      `json:"started"`
	Took    time.Duration  `json:"took"`
	Trigger probes.Trigger `json:"trigger"`
}

// SlotID names a slot.
type SlotID struct {
	Key   probes.Key
	Start time.Time // UTC
}

// Slot is a judged slot.
type Slot struct {
	Key     probes.Key     `json:"probe"`
	Start   time.Time      `json:"start"` // UTC
	Every   time.Duration  `json:"every"`
	Rule    Rule           `json:"rule"`
	Verdict probes.Verdict `json:"verdict"`
	Class   probes.Class   `json:"class,omitempty"`
	Reason  Reason         `json:"reason"`
	Votes   []Vote         `json:"votes"` // one a vantage, ordered by vantage
}

// End is the end of the time a slot speaks for.
func (s Slot) End() time.Time { return s.Start.Add(s.Every) }

// Span is a stretch of time, From included, To not.
type Span struct{ From, To time.Time }

// Due says that a probe was due from Span.From to Span.To, by Git alone.
type Due struct {
	Key      probes.Key
	Span     Span
	Every    time.Duration
	Timeout  time.Duration
	Rule     Rule
	Revision string // commit
}

// Interval is a stretch of one verdict.
type Interval struct {
	Span    Span
	Verdict probes.Verdict
	Class   probes.Class
}

// Figure is the sum over a period. The parts add up to the period's due time.
type Figure struct {
	Up, Degraded, Down, Unknown time.Duration // outside maintenance
	Maintenance                 time.Duration // planned, whatever was seen in it
	Outages                     int           // stretches of down that began in the period or ran into it
	Longest                     time.Duration // the longest of them, inside the period
}

// Due is the time for which something was to be known, maintenance left out.
func (f Figure) Due() time.Duration { return f.Up + f.Degraded + f.Down + f.Unknown }

// Known is the time for which something is known.
func (f Figure) Known() time.Duration { return f.Up + f.Degraded + f.Down }

// Availability is up and degraded time over known time, from 0 to 1. It is
// false when nothing is known: then there is no figure, and never 100 %.
func (f Figure) Availability() (float64, bool) {
	known := f.Known()
	if known <= 0 {
		return 0, false
	}
	return float64(f.Up+f.Degraded) / float64(known), true
}

// Coverage is known time over due time, from 0 to 1; false when nothing was due.
func (f Figure) Coverage() (float64, bool) {
	due := f.Due()
	if due <= 0 {
		return 0, false
	}
	return float64(f.Known()) / float64(due), true
}
