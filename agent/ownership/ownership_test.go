package ownership_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gengfu/gengfu/agent/ownership"
	"github.com/gengfu/gengfu/probes"
)

func names(members []ownership.Member) []string {
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	return names
}

func owners(p probes.Placement, ranked []ownership.Member) []string {
	return names(ranked[:min(len(ranked), p.Count)])
}

func member(name, site, isp string) ownership.Member {
	return ownership.Member{Name: name, Labels: map[string]string{"site": site, "isp": isp}}
}

// Two versions of the agent in one fleet must agree, so these never change.
func TestAssignmentIsTheSameInEveryVersion(t *testing.T) {
	members := []ownership.Member{
		member("a", "north", "telecom"), member("b", "south", "unicom"), member("c", "east", "mobile"),
		member("d", "north", "unicom"),
		{Name: "heavy", Weight: 3},
	}
	place := probes.Placement{Count: 2, Spread: "site"}
	golden := map[string]string{
		"portal/home":      "a b heavy c d",
		"portal/login":     "heavy b a c d",
		"h5/query":         "b heavy c d a",
		"platform/catalog": "heavy b c a d",
		"社保/权益":            "a heavy c b d",
	}
	for key, want := range golden {
		k, err := probes.ParseKey(key)
		require.NoError(t, err)
		require.Equal(t, want, strings.Join(names(ownership.Rank(k, place, nil, members)), " "), key)
	}
}

func TestOnlyMatchingAndAbleMembersAreRanked(t *testing.T) {
	able := ownership.Member{Name: "able", Labels: map[string]string{"network": "internet"}, Capabilities: []string{"browser", "ipv6"}}
	plain := ownership.Member{Name: "plain", Labels: map[string]string{"network": "internet"}}
	inside := ownership.Member{Name: "inside", Labels: map[string]string{"network": "gov"}, Capabilities: []string{"browser"}}
	bare := ownership.Member{Name: "bare", Capabilities: []string{"browser"}}
	all := []ownership.Member{able, plain, inside, bare}
	key := probes.Key{Service: "s", Probe: "p"}

	internet := probes.Placement{Count: 3, Match: map[string]string{"network": "internet"}}
	require.Equal(t, []string{"able"}, names(ownership.Rank(key, internet, []probes.Capability{probes.CapabilityBrowser}, all)))
	require.ElementsMatch(t, []string{"able", "plain"}, names(ownership.Rank(key, internet, nil, all)))
	// A label that must be empty is not one that is missing.
	require.Empty(t, ownership.Rank(key, probes.Placement{Count: 1, Match: map[string]string{"absent": ""}}, nil, all))
	require.Empty(t, ownership.Rank(key, internet, nil, nil))
}

func TestConfirmersOfNewVantagesComeFirst(t *testing.T) {
	var members []ownership.Member
	for i := range 4 {
		for _, site := range []string{"north", "south", "east"} {
			members = append(members, member(fmt.Sprintf("%s%d", site, i), site, "isp"))
		}
	}
	for i := range 50 {
		key := probes.Key{Service: "s", Probe: fmt.Sprint(i)}
		ranked := ownership.Rank(key, probes.Placement{Count: 1}, nil, members)
		require.Len(t, ranked, len(members))
		sites := map[string]bool{}
		for _, m := range ranked[:3] {
			sites[m.Vantage()] = true
		}
		require.Len(t, sites, 3, "the owner and the first two confirmers: %v", names(ranked))
	}
}

func TestMembersWithoutASiteAreVoicesOfTheirOwn(t *testing.T) {
	require.Equal(t, "a", ownership.Member{Name: "a"}.Vantage())
	require.Equal(t, "north", member("a", "north", "").Vantage())
}

func TestOwns(t *testing.T) {
	ranked := []ownership.Member{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	require.True(t, ownership.Owns("b", probes.Placement{Count: 2}, ranked))
	require.False(t, ownership.Owns("c", probes.Placement{Count: 2}, ranked))
	require.True(t, ownership.Owns("a", probes.Placement{}, ranked), "a count of nothing means one")
	require.True(t, ownership.Owns("c", probes.Placement{Count: 9}, ranked))
}

func genMembers(t *rapid.T) []ownership.Member {
	n := rapid.IntRange(1, 12).Draw(t, "members")
	var members []ownership.Member
	for i := range n {
		m := member(fmt.Sprintf("agent-%d", i),
			rapid.SampledFrom([]string{"", "north", "south", "east", "west"}).Draw(t, "site"),
			rapid.SampledFrom([]string{"telecom", "unicom", "mobile"}).Draw(t, "isp"))
		m.Weight = rapid.SampledFrom([]float64{0, 1, 0.5, 2, 10, -1, math.NaN(), math.Inf(1)}).Draw(t, "weight")
		members = append(members, m)
	}
	return members
}

func genPlace(t *rapid.T) probes.Placement {
	return probes.Placement{
		Count:  rapid.IntRange(1, 5).Draw(t, "count"),
		Spread: rapid.SampledFrom([]string{"", "site", "isp", "nothing"}).Draw(t, "spread"),
	}
}

func genKey(t *rapid.T) probes.Key {
	return probes.Key{Service: rapid.StringN(1, 8, 20).Draw(t, "service"), Probe: rapid.StringN(1, 8, 20).Draw(t, "probe")}
}

func TestRankIsAPermutationWhateverTheOrderOfMembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, place, members := genKey(t), genPlace(t), genMembers(t)
		ranked := names(ownership.Rank(key, place, nil, members))
		require.ElementsMatch(t, names(members), ranked)
		shuffled := rapid.Permutation(members).Draw(t, "shuffled")
		require.Equal(t, ranked, names(ownership.Rank(key, place, nil, shuffled)))
	})
}

func TestLeavingMovesOnlyTheLeaversProbes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, place, members := genKey(t), genPlace(t), genMembers(t)
		before := owners(place, ownership.Rank(key, place, nil, members))
		i := rapid.IntRange(0, len(members)-1).Draw(t, "leaver")
		leaver := members[i].Name
		after := owners(place, ownership.Rank(key, place, nil, slices.Delete(slices.Clone(members), i, i+1)))
		if !slices.Contains(before, leaver) {
			require.ElementsMatch(t, before, after, "nobody who owned left")
			return
		}
		for _, name := range before {
			if name != leaver {
				require.Contains(t, after, name, "who stays keeps what it had")
			}
		}
		require.Len(t, after, min(place.Count, len(members)-1))
	})
}

func TestJoiningTakesFromAtMostOneOwner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, place, members := genKey(t), genPlace(t), genMembers(t)
		before := owners(place, ownership.Rank(key, place, nil, members))
		joiner := member("joiner", rapid.SampledFrom([]string{"north", "new"}).Draw(t, "site"), "telecom")
		after := owners(place, ownership.Rank(key, place, nil, append(slices.Clone(members), joiner)))
		for _, name := range after {
			if name != "joiner" {
				require.Contains(t, before, name, "a probe moves to the joiner or not at all")
			}
		}
	})
}

func TestSpreadIsHonouredAsFarAsThereAreValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, members := genKey(t), genMembers(t)
		place := genPlace(t)
		if place.Spread == "" {
			place.Spread = "site"
		}
		values := map[string]bool{}
		for _, m := range members {
			values[m.Labels[place.Spread]] = true
		}
		got := map[string]bool{}
		ranked := ownership.Rank(key, place, nil, members)
		for _, m := range ranked[:min(place.Count, len(ranked))] {
			got[m.Labels[place.Spread]] = true
		}
		require.Len(t, got, min(place.Count, len(values)))
		require.GreaterOrEqual(t, len(ranked), min(place.Count, len(members)))
	})
}

func TestSharesFollowWeights(t *testing.T) {
	members := []ownership.Member{{Name: "a"}, {Name: "b", Weight: 1}, {Name: "c", Weight: 2}, {Name: "d", Weight: math.NaN()}}
	const n = 10000
	share := map[string]float64{}
	for i := range n {
		key := probes.Key{Service: "service", Probe: fmt.Sprint(i)}
		share[ownership.Rank(key, probes.Placement{Count: 1}, nil, members)[0].Name]++
	}
	for name, want := range map[string]float64{"a": 0.2, "b": 0.2, "c": 0.4, "d": 0.2} {
		require.InDelta(t, want, share[name]/n, 0.02, name)
	}
}
