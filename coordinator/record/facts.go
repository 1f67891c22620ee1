package record

import (
	"time"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/probes"
)

// Facts are all that a day's document is made from. They are data: the same
// facts give the same document, and their digest says which they were.
type Facts struct {
	Now       time.Time       // when the document was composed; later rounds have not come yet
	Commit    string          // of the definitions in use
	Client    string          // 确认人所属, the client's name
	Compiler  string          // 编制单位
	Rounds    []time.Duration // since midnight in Asia/Shanghai, ascending
	Services  []ServiceFacts  // services published at some time of the day, in the order of the document
	Incidents []incident.Incident
	Alerts    map[string]int    // alerts sent, by incident
	Filled    map[CellID]string // what people wrote
	Windows   []Window          // maintenance that touches the day
}

// Window is a maintenance window.
type Window struct {
	Services []string // ids; empty means all
	From, To time.Time
	Reason   string
}

// CellID names a cell that a person fills.
type CellID struct{ Row, Field string }

// ServiceFacts are one service's.
type ServiceFacts struct {
	Service probes.Service
	Gone    bool                // no longer in the definitions: little but its id is known
	Figure  availability.Figure // of the day so far
	Rounds  []RoundFacts        // one a round of Facts.Rounds
	Unseen  []availability.Span // due time outside maintenance of which nothing is known
}

// RoundFacts are what was seen of a service around one round.
type RoundFacts struct {
	At     time.Time
	Due    bool         // the service was watched then, by its definition
	Ended  bool         // it had been watched before, and was no longer
	Probes []ProbeFacts // those that were due, or seen near enough; by key
}

// ProbeFacts are the slot and run of one probe that stand nearest to a round.
type ProbeFacts struct {
	Key  probes.Key
	Kind string
	Slot *availability.Slot // nil when none was judged near enough
	Run  *probes.Run        // the run that shows best why the slot has its verdict
}
