// Package definition turns a repository's YAML files into a Catalog: strictly,
// with file, line and column, and with every mistake at once.
package definition

import (
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// File is one file of a definitions repository.
type File struct {
	Path string `json:"path"` // slash-separated, relative to the definitions' folder
	Data []byte `json:"data"`
}

// Catalog is the definitions compiled and validated: immutable and ordered.
type Catalog struct {
	Revision Revision
	Services []probes.Service // ordered by id
	Calendar Calendar
	Routes   []Route
	Silences []Silence
	index    map[probes.Key]probes.Probe
}

// Revision says which definitions a catalog was made from.
type Revision struct {
	Seq        uint64    `json:"seq"`       // grows with every accepted revision; agents never go back
	Commit     string    `json:"commit"`    // Git commit, 40 hex digits; empty for a plain directory
	Author     string    `json:"author"`    // of the commit
	Subject    string    `json:"subject"`   // of the commit
	Committed  time.Time `json:"committed"` // UTC
	Accepted   time.Time `json:"accepted"`  // when the coordinator took it into use, UTC
	Digest     string    `json:"digest"`    // SHA-256 of the packed body, hex; set by Unpack and Compile
	ServiceIDs int       `json:"services"`  // how many services
	ProbeIDs   int       `json:"probes"`    // how many probes
}

// Calendar is calendar.yaml.
type Calendar struct {
	Rounds      []time.Duration // of the daily record, since midnight in Asia/Shanghai
	Maintenance []Maintenance
}

// Maintenance is an approved window: told apart from availability, not alerted.
type Maintenance struct {
	Services []string // ids; empty means all
	From, To time.Time
	Reason   string
	Source   string // file:line
}

// Route is one entry of routes.yaml: where alerts go.
type Route struct {
	Name     string
	Channel  string           // "webhook"
	URL      string           // may hold ${secret:NAME}
	Secret   string           // signs the body; may hold ${secret:NAME}
	Channels []probes.Channel // which services' channels; empty means all
	Source   string           // file:line
}

// Silence is one file of silences/: no alerts for its services in its window.
type Silence struct {
	Services []string
	From, To time.Time
	Reason   string
	Source   string // file:line
}

// Probe finds a probe by its key.
func (c *Catalog) Probe(key probes.Key) (probes.Probe, bool) {
	p, ok := c.index[key]
	return p, ok
}

// Service finds a service by its id.
func (c *Catalog) Service(id string) (probes.Service, bool) {
	at, ok := slices.BinarySearchFunc(c.Services, id, func(s probes.Service, id string) int { return strings.Compare(s.ID, id) })
	if !ok {
		return probes.Service{}, false
	}
	return c.Services[at], true
}

// Probes lists the probes of all services, ordered by key.
func (c *Catalog) Probes() []probes.Probe {
	out := make([]probes.Probe, 0, len(c.index))
	for _, s := range c.Services {
		out = append(out, s.Probes...)
	}
	slices.SortFunc(out, func(a, b probes.Probe) int { return a.Key.Compare(b.Key) })
	return out
}
