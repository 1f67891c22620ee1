package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/gengfu/gengfu/agent/confirm"
	"github.com/gengfu/gengfu/agent/ownership"
	"github.com/gengfu/gengfu/agent/runner"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// rank orders the live agents for a probe: its owners first.
func (a *App) rank(key probes.Key) []confirm.Peer {
	p, ok := a.probe(key)
	if !ok {
		return nil
	}
	var out []confirm.Peer
	for _, m := range ownership.Rank(p.Key, p.From, p.Needs, a.members()) {
		out = append(out, confirm.Peer{Name: m.Name, Vantage: m.Vantage()})
	}
	return out
}

func (a *App) send(ctx context.Context, member string, payload []byte) error {
	return a.cluster.Send(ctx, member, confirm.Message, payload)
}

// runConfirm performs a slot that another agent asked to confirm, unless there
// is no place for it before by.
func (a *App) runConfirm(_ context.Context, key probes.Key, slot, by time.Time) (ran bool) {
	c := a.keeper.Current()
	if c == nil {
		return false
	}
	p, ok := c.Probe(key)
	if !ok {
		return false
	}
	s, _ := c.Service(key.Service)
	_, err := a.runner.Confirm(a.runs, p, s.Channel, c.Revision.Commit, slot, by)
	switch {
	case errors.Is(err, runner.ErrTooLate):
		return false
	case err != nil:
		a.log.Error("a confirming run's trace could not be kept", "probe", key.String(), "err", err)
	}
	return true
}

// lookAtVoices is how often the fleet is looked at for too few sites. Members
// come one by one at a start, so not at each change.
const lookAtVoices = time.Minute

// watchVoices says when this agent owns probes whose quorum the fleet cannot
// reach, and when that changes, until ctx ends.
func (a *App) watchVoices(ctx context.Context) error {
	tick := time.NewTicker(lookAtVoices)
	defer tick.Stop()
	var last voices
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			last = countVoices(a.cfg.Name, a.keeper.Current(), a.members()).tell(last, a.log)
		}
	}
}

// voices says how many of the probes owned here lack sites for their quorum.
type voices struct {
	owned, lacking int
	example        probes.Key // one that lacks them
	sites, quorum  int        // of the example: sites that can run it, and how many must agree
}

func countVoices(self string, c *definition.Catalog, members []ownership.Member) (v voices) {
	if c == nil {
		return v
	}
	for _, s := range c.Services {
		if s.Life == probes.LifeRetired {
			continue
		}
		for _, p := range s.Probes {
			ranked := ownership.Rank(p.Key, p.From, p.Needs, members)
			if !ownership.Owns(self, p.From, ranked) {
				continue
			}
			v.owned++
			sites := map[string]bool{}
			for _, m := range ranked {
				sites[m.Vantage()] = true
			}
			if len(sites) >= p.Quorum {
				continue
			}
			if v.lacking++; v.lacking == 1 {
				v.example, v.sites, v.quorum = p.Key, len(sites), p.Quorum
			}
		}
	}
	return v
}

// tell logs v when what it says differs from last, and returns what was told.
func (v voices) tell(last voices, log *slog.Logger) voices {
	switch {
	case v.lacking == last.lacking && v.sites == last.sites && v.quorum == last.quorum:
		return last
	case v.lacking > 0:
		log.Warn("too few sites for a quorum: failures of these probes cannot be confirmed",
			"lacking", v.lacking, "owned", v.owned, "example", v.example.String(), "sites", v.sites, "quorum", v.quorum)
	default:
		log.Info("enough sites for every quorum again")
	}
	return v
}
