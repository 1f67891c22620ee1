// Package view is the read side: it puts together what the pages and the JSON
// API show, from the store, the catalog and the cluster, so that a page and an
// API answer can never disagree.
package view

import (
	"time"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// State is a service's or a probe's state now.
type State struct {
	Verdict  probes.Verdict      `json:"verdict"`
	Class    probes.Class        `json:"class,omitempty"`
	Reason   availability.Reason `json:"reason,omitempty"`
	Since    time.Time           `json:"since,omitzero"`  // of this verdict; zero when never judged
	Slot     time.Time           `json:"slot"`            // the slot it rests on
	Stale    bool                `json:"stale"`           // the newest slot is too old: shown as unknown
	Vantages []availability.Vote `json:"votes,omitempty"` // who said what in that slot
	Finding  probes.Finding      `json:"finding"`         // of the worst vote, when there is one
}

// ServiceRow is one service in the overview.
type ServiceRow struct {
	ID       string         `json:"id"`
	Name     string         `json:"name"`
	Code     string         `json:"code,omitempty"`
	Channel  probes.Channel `json:"channel"`
	Owner    string         `json:"owner"`
	URL      string         `json:"url"`
	Life     probes.Life    `json:"life"`
	State    State          `json:"state"`
	Latency  time.Duration  `json:"latency"` // of the newest good run; 0 when none
	Incident string         `json:"incident,omitempty"`
	Recent   []Bar          `json:"recent"` // the last 24 hours, oldest first, one an hour
	Today    Figure         `json:"today"`
}

// Bar is one piece of a status bar.
type Bar struct {
	From    time.Time      `json:"from"`
	To      time.Time      `json:"to"`
	Verdict probes.Verdict `json:"verdict"` // the worst that lasted: down, degraded, up; unknown when nothing is known
	Figure  Figure         `json:"figure"`
}

// Figure is availability with coverage, as shown and as numbers.
type Figure struct {
	Availability *float64 `json:"availability"` // 0 to 1; null when nothing is known
	Coverage     *float64 `json:"coverage"`     // 0 to 1; null when nothing was due
	DownSeconds  float64  `json:"down_seconds"`
	Outages      int      `json:"outages"`
	Longest      float64  `json:"longest_seconds"`
	Maintenance  float64  `json:"maintenance_seconds"`
}

// Overview is the first page.
type Overview struct {
	Now       time.Time           `json:"now"`
	Counts    map[string]int      `json:"counts"` // published services by verdict
	Drafts    int                 `json:"drafts"` // services not yet published, in no count
	Channels  []ChannelGroup      `json:"channels"`
	Incidents []incident.Incident `json:"incidents"` // open ones, newest first
	Agents    AgentsSummary       `json:"agents"`
	Catalog   CatalogState        `json:"catalog"`
	Warnings  []Warning           `json:"warnings"` // what a person should know about Gengfu itself
}

// ChannelGroup is one channel's services, worst first, drafts last.
type ChannelGroup struct {
	Channel  probes.Channel `json:"channel"`
	Services []ServiceRow   `json:"services"`
	Counts   map[string]int `json:"counts"` // of the published ones
	Drafts   int            `json:"drafts"`
}

// Warning is something wrong with the fleet itself.
type Warning struct {
	Kind string `json:"kind"` // "catalog_refused", "git", "agents_missing", "spread", "alert_failed", "disk"
	Text string `json:"text"` // Chinese, one sentence, says how to mend it
	Link string `json:"link,omitempty"`
}

// AgentsSummary counts agents.
type AgentsSummary struct {
	Alive int `json:"alive"`
	Known int `json:"known"`
}

// CatalogState is which definitions are in use and whether a newer one was refused.
type CatalogState struct {
	Revision definition.Revision `json:"revision"`
	Source   string              `json:"source"` // repository and branch, without credentials
	Checked  time.Time           `json:"checked"`
	Refused  *Refusal            `json:"refused,omitempty"`
	Error    string              `json:"error,omitempty"` // the last failure to reach Git
}

// Refusal is a commit that was not accepted.
type Refusal struct {
	Commit   string    `json:"commit"`
	Author   string    `json:"author"`
	Subject  string    `json:"subject"`
	At       time.Time `json:"at"`
	Mistakes []string  `json:"mistakes"` // file:line:column: what, expected, how to mend
}

// Service is a service's page.
type Service struct {
	Now       time.Time           `json:"now"`
	Row       ServiceRow          `json:"service"`
	Menu      []string            `json:"menu,omitempty"`
	Runbook   string              `json:"runbook,omitempty"`
	Source    string              `json:"source"`
	Target    float64             `json:"target,omitempty"`
	Days      []Bar               `json:"days"`  // 90 days, oldest first
	Hours     []Bar               `json:"hours"` // 24 hours in bars of 15 minutes, oldest first
	Day       Figure              `json:"day"`
	Week      Figure              `json:"week"`
	Month     Figure              `json:"month"`
	Probes    []ProbeView         `json:"probes"`
	Incidents []incident.Incident `json:"incidents"` // newest first, at most 20
	Windows   []Window            `json:"windows"`   // maintenance now or to come
}

// Window is a maintenance window.
type Window struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
}

// ProbeView is one probe on a service's page.
type ProbeView struct {
	Key     probes.Key    `json:"key"`
	Name    string        `json:"name"`
	Kind    string        `json:"kind"`
	Every   time.Duration `json:"every"`
	Timeout time.Duration `json:"timeout"`
	Quorum  int           `json:"quorum"`
	Count   int           `json:"count"`
	Owners  []string      `json:"owners"` // agents that run it now
	State   State         `json:"state"`
	Latency []Series      `json:"latency"` // the last 6 hours, one series a vantage
	Runs    []RunRow      `json:"runs"`    // the newest 20
}

// Series is one vantage's latency.
type Series struct {
	Vantage string  `json:"vantage"`
	Points  []Point `json:"points"`
	P50     float64 `json:"p50_ms"`
	P95     float64 `json:"p95_ms"`
}

// Point is one run's latency.
type Point struct {
	At      time.Time      `json:"at"`
	MS      float64        `json:"ms"`
	Verdict probes.Verdict `json:"verdict"`
	TraceID string         `json:"trace_id"`
}

// RunRow is one run in a list.
type RunRow struct {
	TraceID string         `json:"trace_id"`
	Key     probes.Key     `json:"key"`
	Slot    time.Time      `json:"slot"`
	Started time.Time      `json:"started"`
	Took    time.Duration  `json:"took"`
	Late    time.Duration  `json:"late"`
	Agent   string         `json:"agent"`
	Vantage string         `json:"vantage"`
	Trigger probes.Trigger `json:"trigger"`
	Verdict probes.Verdict `json:"verdict"`
	Class   probes.Class   `json:"class,omitempty"`
	Status  int            `json:"status,omitempty"`
	Finding probes.Finding `json:"finding"`
}

// Run is a run's page.
type Run struct {
	Run      probes.Run         `json:"run"`
	Service  string             `json:"service"` // the Chinese name
	Spans    []probes.Span      `json:"spans"`   // the root first, then depth first by start
	LastGood string             `json:"last_good,omitempty"`
	Slot     *availability.Slot `json:"slot,omitempty"`
}

// Incident is an incident's page.
type Incident struct {
	Incident   incident.Incident `json:"incident"`
	Now        time.Time         `json:"now"`
	Owner      string            `json:"owner"`
	Runbook    string            `json:"runbook,omitempty"`
	Notes      []incident.Note   `json:"notes"`
	Deliveries []alert.Delivery  `json:"deliveries"`
	Clocks     []Clock           `json:"clocks"`
	Runs       []RunRow          `json:"runs"` // around its beginning and end
}

// Clock is one of the contract's time limits.
type Clock struct {
	Name string    `json:"name"` // "resolve_2h", "respond_8h", "report_24h"
	Due  time.Time `json:"due"`
	Done time.Time `json:"done"` // zero while running
	Late bool      `json:"late"`
}

// Agent is one agent, as gossip and its runs show it.
type Agent struct {
	Name         string            `json:"name"`
	Site         string            `json:"site"`
	Labels       map[string]string `json:"labels"`
	Capabilities []string          `json:"capabilities"`
	Alive        bool              `json:"alive"`
	Address      string            `json:"address"`
	Version      string            `json:"version"`
	Commit       string            `json:"commit"` // of its catalog
	Behind       bool              `json:"behind"` // its catalog is not the newest
	LastSeen     time.Time         `json:"last_seen"`
	LastRun      time.Time         `json:"last_run"`
	Owns         int               `json:"owns"` // probes it is an owner of now
	Runs24h      int               `json:"runs_24h"`
	Unknown24h   int               `json:"unknown_24h"` // runs it could not perform
}

// Record is one row of the list of records.
type Record struct {
	Kind    string    `json:"kind"`
	Day     string    `json:"day"` // 2026-11-25
	Title   string    `json:"title"`
	Rows    int       `json:"rows"`
	ToFill  int       `json:"to_fill"`
	Updated time.Time `json:"updated"`
}
