// Package ownership says which agents run which probe, by weighted rendezvous
// hashing: every agent computes the same answer from the same members, nobody
// assigns, and members that come or go move only what they must. It is pure.
package ownership

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/gengfu/gengfu/probes"
)

// VantageLabel is the label under whose value an agent's view counts.
const VantageLabel = "site"

// Member is a live agent as ownership sees it.
type Member struct {
	Name         string            // unique
	Labels       map[string]string //
	Capabilities []string          //
	Weight       float64           // share of the work; 0 and nonsense mean 1
}

// Vantage is the name under which m's view counts: its site, or its own name
// when it has none, so that agents without labels do not pass for one voice.
func (m Member) Vantage() string {
	if site := m.Labels[VantageLabel]; site != "" {
		return site
	}
	return m.Name
}

// Rank orders the members that may run the probe. The first place.Count of them
// own it: the best by hash with distinct values of place.Spread, filled up with
// the best of the rest when there are not enough values. The others follow in
// the order in which they are asked for confirmation: vantages that have no say
// yet come first. Fewer members than place.Count means that all of them own it.
func Rank(key probes.Key, place probes.Placement, needs []probes.Capability, members []Member) []Member {
	rest := byScore(key, eligible(place, needs, members))
	count := max(1, place.Count)
	ranked := make([]Member, 0, len(rest))

	if place.Spread != "" {
		seen := map[string]bool{}
		ranked, rest = pick(ranked, rest, count, func(m Member) bool {
			value := m.Labels[place.Spread]
			fresh := !seen[value]
			seen[value] = true
			return fresh
		})
	}
	ranked, rest = pick(ranked, rest, count, func(Member) bool { return true })

	voices := map[string]bool{}
	for _, m := range ranked {
		voices[m.Vantage()] = true
	}
	ranked, rest = pick(ranked, rest, math.MaxInt, func(m Member) bool {
		fresh := !voices[m.Vantage()]
		voices[m.Vantage()] = true
		return fresh
	})
	return append(ranked, rest...)
}

// Owns reports whether the member of that name is among the owners.
func Owns(name string, place probes.Placement, ranked []Member) bool {
	owners := ranked[:min(len(ranked), max(1, place.Count))]
	return slices.ContainsFunc(owners, func(m Member) bool { return m.Name == name })
}

// pick moves wanted members from rest to ranked, in order, until ranked holds count.
func pick(ranked, rest []Member, count int, wanted func(Member) bool) (picked, left []Member) {
	for _, m := range rest {
		if len(ranked) < count && wanted(m) {
			ranked = append(ranked, m)
		} else {
			left = append(left, m)
		}
	}
	return ranked, left
}

func eligible(place probes.Placement, needs []probes.Capability, members []Member) []Member {
	var may []Member
	for _, m := range members {
		if matches(m, place.Match) && able(m, needs) {
			may = append(may, m)
		}
	}
	return may
}

func matches(m Member, match map[string]string) bool {
	for label, want := range match {
		if got, ok := m.Labels[label]; !ok || got != want {
			return false
		}
	}
	return true
}

func able(m Member, needs []probes.Capability) bool {
	for _, need := range needs {
		if !slices.Contains(m.Capabilities, string(need)) {
			return false
		}
	}
	return true
}

// byScore orders members best first, whatever order they come in.
func byScore(key probes.Key, members []Member) []Member {
	type scored struct {
		Member
		score float64
	}
	all := make([]scored, 0, len(members))
	for _, m := range members {
		all = append(all, scored{m, score(key, m)})
	}
	slices.SortFunc(all, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.Name, b.Name))
	})
	sorted := make([]Member, len(all))
	for i, s := range all {
		sorted[i] = s.Member
	}
	return sorted
}

// seed makes the hash our own. Changing it, or anything in score, moves every
// probe of every fleet that runs two versions at once: a golden test holds it.
const seed = "gengfu ownership v1"

// score is -w/ln(u) with u uniform in (0, 1) from the hash: the member with the
// highest wins, and wins in proportion to its weight.
func score(key probes.Key, m Member) float64 {
	h := xxhash.New()
	for _, field := range []string{seed, key.Service, key.Probe, m.Name} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(field)))
		h.Write(size[:])
		h.WriteString(field)
	}
	// 53 bits fill a float64 exactly; the half keeps u off 0 and 1.
	u := (float64(h.Sum64()>>11) + 0.5) / (1 << 53)
	return -weight(m) / math.Log(u)
}

func weight(m Member) float64 {
	if m.Weight > 0 && m.Weight <= 1e6 {
		return m.Weight
	}
	return 1
}
