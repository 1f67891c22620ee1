package view

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Agents lists the agents that are alive and those that ran within a day.
func (b *Builder) Agents(ctx context.Context) ([]Agent, error) {
	now := b.Now()
	ran, err := b.Store.AgentRuns(ctx, now.Add(-24*time.Hour))
	if err != nil {
		return nil, fmt.Errorf("reading the agents' runs: %w", err)
	}
	latest, err := b.Store.LatestSlots(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the newest slots: %w", err)
	}
	commit := ""
	if c := b.Catalog(); c != nil {
		commit = c.Revision.Commit
	}
	byName := map[string]*Agent{}
	for _, r := range ran {
		byName[r.Agent] = &Agent{
			Name: r.Agent, Site: r.Vantage, Labels: r.Labels,
			LastRun: r.Last, LastSeen: r.Last, Runs24h: r.Runs, Unknown24h: r.Unknown,
		}
	}
	for _, m := range b.Options.Agents() {
		a := byName[m.Name]
		if a == nil {
			a = &Agent{Name: m.Name}
			byName[m.Name] = a
		}
		a.Alive, a.LastSeen = true, now
		a.Site, a.Labels, a.Capabilities = m.Labels["site"], m.Labels, m.Capabilities
		a.Address, a.Version, a.Commit = m.Address, m.Version, m.Commit
		a.Behind = commit != "" && (m.Commit == "" || !strings.HasPrefix(commit, m.Commit))
	}
	for _, s := range latest {
		for _, v := range s.Votes {
			if a := byName[v.Agent]; a != nil && a.Alive && v.Trigger != "confirm" && now.Sub(s.End()) < staleAfter(s) {
				a.Owns++
			}
		}
	}
	out := make([]Agent, 0, len(byName))
	for _, a := range byName {
		out = append(out, *a)
	}
	slices.SortFunc(out, func(x, y Agent) int {
		return cmp.Or(cmp.Compare(x.Site, y.Site), cmp.Compare(x.Name, y.Name))
	})
	return out, nil
}
