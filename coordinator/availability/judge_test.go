package availability_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/probes"
)

var noon = time.Date(2026, 11, 25, 4, 0, 0, 0, time.UTC)

// ballot reads "east down status, west up": one run a part, a second apart.
func ballot(t require.TestingT, s string) []availability.Vote {
	var votes []availability.Vote
	for i, part := range strings.Split(s, ", ") {
		if part == "" {
			continue
		}
		f := strings.Fields(part)
		v, err := probes.ParseVerdict(f[1])
		require.NoError(t, err)
		vote := availability.Vote{Vantage: f[0], Verdict: v, Started: noon.Add(time.Duration(i) * time.Second), TraceID: fmt.Sprint(i)}
		if len(f) > 2 {
			vote.Class = probes.Class(f[2])
		}
		votes = append(votes, vote)
	}
	return votes
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name   string
		quorum int
		votes  string
		want   string // verdict class reason
	}{
		{"nobody", 2, "", "unknown  no_voice"},
		{"nobody could look", 2, "east unknown agent, west unknown agent", "unknown  no_voice"},
		{"all well", 2, "east up, west up", "up  agreed"},
		{"one alone is enough to be well", 2, "east up", "up  agreed"},
		{"an unknown voice is no voice", 2, "east up, west unknown agent", "up  agreed"},
		{"slow somewhere", 2, "east up, west degraded latency", "degraded latency agreed"},
		{"the quorum says down", 2, "east down status, west down status", "down status agreed"},
		{"the quorum of one", 1, "east down tls", "down tls agreed"},
		{"a quorum left out is one", 0, "east down tls", "down tls agreed"},
		{"seen by one of two", 2, "east down status, west up", "degraded status partial"},
		{"seen by one, slow for the other", 2, "east down status, west degraded latency", "degraded status partial"},
		{"only one spoke", 2, "east down status", "unknown  too_few"},
		{"the quorum does not shrink to those alive", 2, "east down status, west unknown agent", "unknown  too_few"},
		{"as many say it works", 1, "east down status, west up", "degraded status tie"},
		{"two against two", 2, "a down dns, b down dns, c up, d degraded latency", "degraded dns tie"},
		{"the quorum, but outvoted", 2, "a down dns, b down dns, c up, d up, e up", "degraded dns partial"},
		{"three against two", 2, "a down dns, b down dns, c down dns, d up, e up", "down dns agreed"},
		{"the class most see", 2, "a down timeout, b down status, c down status", "down status agreed"},
		{"of two classes the first in the list", 2, "a down status, b down dns", "down dns agreed"},
		{"runs of one vantage are one voice", 2, "east down status, east down status, east down status", "unknown  too_few"},
		{"the first known run of a vantage counts", 2, "east unknown agent, east down status, east up, west down status", "down status agreed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, class, reason, _ := availability.Judge(availability.Rule{Count: 2, Quorum: c.quorum}, ballot(t, c.votes), true)
			require.Equal(t, c.want, fmt.Sprintf("%s %s %s", v, class, reason))
		})
	}
}

func TestASlotWaitsForVoicesThatMayDecideIt(t *testing.T) {
	for _, c := range []struct {
		name          string
		count, quorum int
		votes         string
		want          string // verdict class reason
	}{
		{"nobody yet", 2, 2, "", "unknown  pending"},
		{"one that could not look, one to come", 2, 2, "east unknown agent", "unknown  pending"},
		{"one owner is well and alone", 1, 2, "east up", "up  agreed"},
		{"the other owner can not make it down", 2, 2, "east up", "up  agreed"},
		{"the other two owners can", 3, 2, "east up", "unknown  pending"},
		{"a failure waits for the quorum, whoever was to run it", 1, 2, "east down status", "unknown  pending"},
		{"the quorum has spoken", 1, 2, "east down status, west down status", "down status agreed"},
		{"one of two, both spoke", 1, 2, "east down status, west up", "degraded status partial"},
		{"one against one, the third decides", 3, 2, "east down status, west up", "unknown  pending"},
		{"two of three, the third can not change it", 3, 2, "east down status, west down status", "down status agreed"},
		{"two of five, a minority so far", 5, 2, "a down dns, b down dns", "unknown  pending"},
		{"three of five", 5, 2, "a down dns, b down dns, c down dns", "down dns agreed"},
		{"three of five are well", 5, 2, "a up, b up, c up", "up  agreed"},
		{"the third may make it a tie", 4, 2, "a up, b up", "unknown  pending"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, class, reason, _ := availability.Judge(availability.Rule{Count: c.count, Quorum: c.quorum}, ballot(t, c.votes), false)
			require.Equal(t, c.want, fmt.Sprintf("%s %s %s", v, class, reason))
		})
	}
}

// TestWaitingNeverTakesBackWhatIsCertain: what is said before a slot settled is
// still true with every vote that may come.
func TestWaitingNeverTakesBackWhatIsCertain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := availability.Rule{Count: rapid.IntRange(1, 5).Draw(t, "count"), Quorum: rapid.IntRange(1, 4).Draw(t, "quorum")}
		n := rapid.IntRange(0, rule.Count).Draw(t, "spoken")
		var votes []availability.Vote
		for i := range rule.Count {
			votes = append(votes, availability.Vote{
				Vantage: fmt.Sprint(i), TraceID: fmt.Sprint(i), Started: noon,
				Verdict: rapid.SampledFrom([]probes.Verdict{probes.Up, probes.Degraded, probes.Down}).Draw(t, "verdict"),
			})
		}
		early, _, reason, _ := availability.Judge(rule, votes[:n], false)
		final, _, _, _ := availability.Judge(rule, votes, true)
		if reason == availability.ReasonPending {
			return
		}
		require.Equal(t, early == probes.Down, final == probes.Down)
	})
}

func TestAVoteOfAnotherTimeDoesNotCount(t *testing.T) {
	votes := ballot(t, "east down status, west down status, south up")
	votes[1].Started = noon.Add(30 * time.Second)
	require.Equal(t, []availability.Vote{votes[0], votes[2]}, availability.Timely(noon, 30*time.Second, votes))
	require.Len(t, votes, 3, "the caller's votes are left as they are")
}

func TestSettleAt(t *testing.T) {
	votes := ballot(t, "east down status, west down status")
	slices.Reverse(votes)
	require.Equal(t, noon.Add(30*time.Second), availability.SettleAt(noon, 10*time.Second, votes))
	require.Equal(t, noon.Add(time.Minute+30*time.Second), availability.SettleAt(noon.Add(time.Minute), 10*time.Second, votes), "a clock behind shortens nothing")
	require.Equal(t, noon.Add(30*time.Second), availability.SettleAt(noon, 10*time.Second, nil))
}

func TestJudgeNamesTheVoices(t *testing.T) {
	votes := ballot(t, "west up, east unknown agent, east down status, west down status")
	_, _, _, chosen := availability.Judge(availability.Rule{Quorum: 2}, votes, true)
	require.Equal(t, []availability.Vote{votes[2], votes[0]}, chosen, "one a vantage, by vantage")
	require.Equal(t, "west", votes[0].Vantage, "the caller's votes are left as they are")
}

func TestTheEarliestRunOfAVantageSpeaksForIt(t *testing.T) {
	early := availability.Vote{Vantage: "east", Verdict: probes.Down, Class: probes.ClassTLS, Started: noon, TraceID: "f"}
	late := availability.Vote{Vantage: "east", Verdict: probes.Up, Started: noon.Add(time.Second), TraceID: "0"}
	v, class, _, chosen := availability.Judge(availability.Rule{Quorum: 1}, []availability.Vote{late, early}, true)
	require.Equal(t, probes.Down, v)
	require.Equal(t, probes.ClassTLS, class)
	require.Equal(t, []availability.Vote{early}, chosen)
}

func TestOrderAndRepetitionOfVotesDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := availability.Rule{Count: rapid.IntRange(0, 4).Draw(t, "count"), Quorum: rapid.IntRange(0, 4).Draw(t, "quorum")}
		settled := rapid.Bool().Draw(t, "settled")
		vote := rapid.Custom(func(t *rapid.T) availability.Vote {
			return availability.Vote{
				Vantage: rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "vantage"),
				Verdict: rapid.SampledFrom(probes.Verdicts()).Draw(t, "verdict"),
				Class:   rapid.SampledFrom(probes.Classes()[:3]).Draw(t, "class"),
				Started: noon.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "second")) * time.Second),
			}
		})
		votes := rapid.SliceOfN(vote, 1, -1).Draw(t, "votes")
		for i := range votes {
			votes[i].TraceID = fmt.Sprint(i)
		}
		type outcome struct {
			v      probes.Verdict
			c      probes.Class
			r      availability.Reason
			chosen []availability.Vote
		}
		judge := func(votes []availability.Vote) (o outcome) {
			o.v, o.c, o.r, o.chosen = availability.Judge(rule, votes, settled)
			return o
		}
		want := judge(votes)
		seed := rapid.Uint64().Draw(t, "seed")
		more := slices.Concat(votes, votes)
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(more), func(i, j int) { more[i], more[j] = more[j], more[i] })
		require.Equal(t, want, judge(more))

		down, works := 0, 0
		for _, v := range want.chosen {
			switch v.Verdict {
			case probes.Down:
				down++
			case probes.Up, probes.Degraded:
				works++
			}
		}
		if want.v == probes.Down {
			require.GreaterOrEqual(t, down, rule.Quorum)
			require.Greater(t, down, works)
		}
		if want.v == probes.Up {
			require.Zero(t, down)
			require.Positive(t, works)
		}
		require.Equal(t, want.v == probes.Unknown || want.v == probes.Up, want.c == probes.ClassNone)
	})
}
