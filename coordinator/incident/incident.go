// Package incident decides when a failure begins, grows and ends, and how it is
// graded. It is pure: a state machine over judged slots, with time as an argument.
package incident

import (
	"time"

	"github.com/gengfu/gengfu/probes"
)

// Grade is the contract's grading of a failure.
type Grade string

// The grades: 重大故障 is continuously unusable for two hours or more.
const (
	GradeOrdinary Grade = "ordinary" // 普通故障
	GradeMajor    Grade = "major"    // 重大故障
)

// Incident is a confirmed stretch of down of one service.
type Incident struct {
	ID       string         `json:"id"` // "GZ-20261125-0001": the opening day in Asia/Shanghai and a running number
	Service  string         `json:"service"`
	Name     string         `json:"name"` // the service's Chinese name when it opened
	Channel  probes.Channel `json:"channel"`
	Grade    Grade          `json:"grade"`
	Class    probes.Class   `json:"class"`             // of the first confirmed slot
	Probes   []probes.Key   `json:"probes"`            // that were down, in order of appearance
	Vantages []string       `json:"vantages"`          // from where it was seen down
	Began    time.Time      `json:"began"`             // start of the first run that saw it
	Opened   time.Time      `json:"opened"`            // when the quorum agreed
	Resolved time.Time      `json:"resolved,omitzero"` // start of the first run that saw it work again; zero while open
	LastGood string         `json:"last_good_trace,omitempty"`
	FirstBad string         `json:"first_bad_trace"`
	Acked    time.Time      `json:"acked,omitzero"`
	AckedBy  string         `json:"acked_by,omitempty"`
	Finding  probes.Finding `json:"finding"` // of the first bad run
	// Withdrawn says that it ended because its probes are no longer defined:
	// nobody saw the service work again.
	Withdrawn bool `json:"withdrawn,omitempty"`
}

// Open reports whether the incident still lasts.
func (i Incident) Open() bool { return i.Resolved.IsZero() }

// Lasted is how long the incident lasted, or has lasted at now.
func (i Incident) Lasted(now time.Time) time.Duration {
	if i.Open() {
		return now.Sub(i.Began)
	}
	return i.Resolved.Sub(i.Began)
}

// Note is what a person or the system wrote about an incident.
type Note struct {
	At   time.Time `json:"at"`
	By   string    `json:"by"`   // a person, or "gengfu"
	Kind string    `json:"kind"` // "opened", "resolved", "withdrawn", "major", "ack", "note", "alert"
	Text string    `json:"text"`
}
