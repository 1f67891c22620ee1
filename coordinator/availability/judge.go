package availability

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// Judge makes a slot's verdict from what was said about it. A vantage has one
// voice, however many runs it made; chosen are those voices, ordered by
// vantage. The order of votes does not matter, nor does a vote given twice.
// Runs by hand, and runs that are not Timely, are the caller's to leave out.
//
// Down needs the quorum, and more vantages that say so than say it works. As
// many is a tie: Degraded, and neither opens nor closes an incident. The quorum
// is the definition's and never shrinks to the vantages that spoke.
//
// Until settled (see SettleAt) a slot waits for the voices that may still decide
// it: its owners', and of a failure as many as the quorum needs. What they can
// not change any more is said at once.
func Judge(rule Rule, votes []Vote, settled bool) (verdict probes.Verdict, class probes.Class, reason Reason, chosen []Vote) {
	chosen = voices(votes)
	var down, degraded []probes.Class
	known := 0
	for _, v := range chosen {
		switch v.Verdict {
		case probes.Down:
			down = append(down, v.Class)
		case probes.Degraded:
			degraded = append(degraded, v.Class)
		case probes.Up:
		default:
			continue
		}
		known++
	}
	quorum, works := max(rule.Quorum, 1), known-len(down)
	awaited := 0
	if !settled {
		expected := rule.Count
		if len(down) > 0 {
			expected = max(expected, quorum)
		}
		awaited = max(expected-len(chosen), 0)
	}
	if len(down) >= quorum && len(down) > works+awaited {
		return probes.Down, frequent(down), ReasonAgreed, chosen
	}
	if most := len(down) + awaited; awaited > 0 && (known == 0 || most >= quorum && most >= works) {
		return probes.Unknown, probes.ClassNone, ReasonPending, chosen
	}
	switch {
	case known == 0:
		return probes.Unknown, probes.ClassNone, ReasonNoVoice, chosen
	case len(down) == 0 && len(degraded) == 0:
		return probes.Up, probes.ClassNone, ReasonAgreed, chosen
	case len(down) == 0:
		return probes.Degraded, frequent(degraded), ReasonAgreed, chosen
	case len(down) >= quorum && len(down) == works:
		return probes.Degraded, frequent(down), ReasonTie, chosen
	case works > 0:
		return probes.Degraded, frequent(down), ReasonPartial, chosen
	default:
		return probes.Unknown, probes.ClassNone, ReasonTooFew, chosen
	}
}

// Timely keeps the votes of runs that began before the slot was over. A later
// run saw another time: counted here it would be a result re-stamped.
func Timely(start time.Time, every time.Duration, votes []Vote) []Vote {
	end := start.Add(every)
	return slices.DeleteFunc(slices.Clone(votes), func(v Vote) bool { return !v.Started.Before(end) })
}

// grace is what delivery may take, beyond the runs themselves.
const grace = 10 * time.Second

// SettleAt is when a slot no longer waits for voices: its first run and the runs
// that confirm it have had their timeouts, and their traces time to arrive.
// Votes that come still later are judged with the others all the same.
func SettleAt(start time.Time, timeout time.Duration, votes []Vote) time.Time {
	first := time.Time{}
	for _, v := range votes {
		if first.IsZero() || v.Started.Before(first) {
			first = v.Started
		}
	}
	if first.Before(start) {
		first = start
	}
	return first.Add(2*timeout + grace)
}

// voices picks one vote a vantage: a known one before an unknown one, then the
// one that started first, then the one with the smaller trace id.
func voices(votes []Vote) []Vote {
	sorted := slices.Clone(votes)
	slices.SortFunc(sorted, func(a, b Vote) int {
		return cmp.Or(
			strings.Compare(a.Vantage, b.Vantage),
			cmp.Compare(silent(a), silent(b)),
			a.Started.Compare(b.Started),
			strings.Compare(a.TraceID, b.TraceID),
		)
	})
	return slices.CompactFunc(sorted, func(a, b Vote) bool { return a.Vantage == b.Vantage })
}

func silent(v Vote) int {
	if v.Verdict == probes.Unknown {
		return 1
	}
	return 0
}

// frequent is the class named most often; of equals the first in the closed list.
func frequent(named []probes.Class) probes.Class {
	counts := map[probes.Class]int{}
	for _, c := range named {
		counts[c]++
	}
	best := named[0]
	for c, n := range counts {
		if n > counts[best] || n == counts[best] && place(c) < place(best) {
			best = c
		}
	}
	return best
}

func place(c probes.Class) int {
	if i := slices.Index(probes.Classes(), c); i >= 0 {
		return i
	}
	return len(probes.Classes())
}
