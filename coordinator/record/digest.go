package record

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/probes"
)

// digestOf is the SHA-256 over everything that was measured, defined and
// written, in one canonical order. The time of composing is left out: a finished
// day's document has the same digest whenever it is read.
func digestOf(p Period, f Facts) (string, error) {
	type cell struct{ Row, Field, Value string }
	filled := make([]cell, 0, len(f.Filled))
	for id, v := range f.Filled {
		filled = append(filled, cell{id.Row, id.Field, v})
	}
	slices.SortFunc(filled, func(a, b cell) int {
		return slices.Compare([]string{a.Row, a.Field}, []string{b.Row, b.Field})
	})
	type service struct {
		ID, Name, Code, URL string
		Channel             probes.Channel
		Menu                []string
		Figure              availability.Figure
		Rounds              []RoundFacts
		Unseen              []availability.Span
	}
	services := make([]service, 0, len(f.Services))
	for _, s := range f.Services {
		v := s.Service
		services = append(services, service{v.ID, v.Name, v.Code, v.URL, v.Channel, v.Menu, s.Figure, s.Rounds, s.Unseen})
	}
	b, err := json.Marshal(struct {
		Period           string
		Commit           string
		Client, Compiler string
		Rounds           []time.Duration
		Services         []service
		Incidents        []incident.Incident
		Alerts           map[string]int // encoding/json sorts keys
		Windows          []Window
		Filled           []cell
	}{p.Name, f.Commit, f.Client, f.Compiler, f.Rounds, services, f.Incidents, f.Alerts, f.Windows, filled})
	if err != nil {
		return "", fmt.Errorf("digesting the facts of %s: %w", p.Name, err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
