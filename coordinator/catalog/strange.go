package catalog

import (
	"context"
	"fmt"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// maxRemembered bounds the revisions whose probes are kept in memory.
const maxRemembered = 64

// remembered are the probes of accepted revisions, by commit. It starts anew with
// every catalog, since a commit may be accepted again with other files.
type remembered struct {
	with *definition.Catalog
	keys map[string]map[probes.Key]bool
}

// Ready reports whether definitions are in use.
func (c *Catalog) Ready() bool { return c.Current() != nil }

// Strange reports whether no agent can have measured run honestly: neither the
// definitions in use nor the ledger of what was ever due nor the revision that it
// names know its probe. In doubt nothing is strange: a run on demand, one without
// a revision, one of a revision that was never accepted here or that this release
// cannot read, and any run while the fleet follows another catalog than ours.
func (c *Catalog) Strange(ctx context.Context, run probes.Run) (bool, error) {
	cur := c.Current()
	if cur == nil || run.Revision == "" || run.Trigger == probes.TriggerManual {
		return false, nil
	}
	if h := c.heard(); h.Digest != "" && h.Digest != cur.Revision.Digest {
		return false, nil
	}
	keys, err := c.keysOf(ctx, cur, run.Revision)
	if err != nil || keys == nil || keys[run.Key] {
		return false, err
	}
	if run.Revision != cur.Revision.Commit && keysOf(cur)[run.Key] {
		return false, nil
	}
	due, err := c.o.Store.EverDue(ctx, run.Key)
	if err != nil {
		return false, fmt.Errorf("looking up whether %s was ever due: %w", run.Key, err)
	}
	return !due, nil
}

// keysOf returns the probes of an accepted revision, nil when it is not known. A
// commit that was accepted more than once knows the probes of each time.
func (c *Catalog) keysOf(ctx context.Context, cur *definition.Catalog, commit string) (map[probes.Key]bool, error) {
	c.mu.Lock()
	if c.remembered.with != cur {
		c.remembered = remembered{with: cur, keys: map[string]map[probes.Key]bool{}}
	}
	keys := c.remembered.keys[commit]
	c.mu.Unlock()
	if keys != nil {
		return keys, nil
	}
	bodies, err := c.o.Store.CatalogsOf(ctx, commit)
	if err != nil {
		return nil, fmt.Errorf("reading the definitions of commit %.12s: %w", commit, err)
	}
	if len(bodies) == 0 { // not remembered: senders name what they like
		return nil, nil
	}
	keys = map[probes.Key]bool{}
	for _, body := range bodies {
		rev, files, err := definition.Unpack(body)
		var old *definition.Catalog
		if err == nil {
			old, err = definition.Compile(rev, files, c.o.Kinds)
		}
		if err != nil {
			c.o.Logger.Debug("an earlier catalog cannot be read by this release", "commit", commit, "err", err)
			return nil, nil
		}
		for k := range keysOf(old) {
			keys[k] = true
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.remembered.with == cur {
		if len(c.remembered.keys) >= maxRemembered {
			clear(c.remembered.keys)
		}
		c.remembered.keys[commit] = keys
	}
	return keys, nil
}

func keysOf(c *definition.Catalog) map[probes.Key]bool {
	out := make(map[probes.Key]bool, c.Revision.ProbeIDs)
	for _, s := range c.Services {
		for _, p := range s.Probes {
			out[p.Key] = true
		}
	}
	return out
}
