package incident_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/probes"
)

var (
	zero  = time.Date(2026, 11, 25, 1, 0, 0, 0, time.UTC)
	every = 5 * time.Minute
)

// judged makes an event of a line such as "page 3 down": slot 3 of probe page.
// The runs of a slot start 1 and 2 seconds into it, from east and west.
func judged(t require.TestingT, line string) incident.SlotJudged {
	f := strings.Fields(line)
	var n int
	_, err := fmt.Sscan(f[1], &n)
	require.NoError(t, err)
	start := zero.Add(time.Duration(n) * every)
	vote := func(vantage string, second int, v probes.Verdict) availability.Vote {
		return availability.Vote{Vantage: vantage, Verdict: v, Started: start.Add(time.Duration(second) * time.Second), TraceID: f[0] + f[1] + vantage}
	}
	s := availability.Slot{Key: probes.Key{Service: "shebao", Probe: f[0]}, Start: start, Every: every, Rule: availability.Rule{Count: 2, Quorum: 2}}
	east, west := probes.Up, probes.Up
	switch f[2] {
	case "up":
		s.Verdict, s.Reason = probes.Up, availability.ReasonAgreed
	case "alone": // one vantage spoke
		s.Verdict, s.Reason, west = probes.Up, availability.ReasonAgreed, probes.Unknown
	case "pending":
		s.Verdict, s.Reason, east, west = probes.Unknown, availability.ReasonPending, probes.Down, probes.Unknown
	case "slow":
		s.Verdict, s.Reason, east, west = probes.Degraded, availability.ReasonAgreed, probes.Degraded, probes.Degraded
	case "partial":
		s.Verdict, s.Reason, east = probes.Degraded, availability.ReasonPartial, probes.Down
	case "tie":
		s.Verdict, s.Reason, east = probes.Degraded, availability.ReasonTie, probes.Down
	case "unknown":
		s.Verdict, s.Reason, east, west = probes.Unknown, availability.ReasonNoVoice, probes.Unknown, probes.Unknown
	case "few":
		s.Verdict, s.Reason, east, west = probes.Unknown, availability.ReasonTooFew, probes.Down, probes.Unknown
	case "down":
		s.Verdict, s.Reason, s.Class, east, west = probes.Down, availability.ReasonAgreed, probes.ClassStatus, probes.Down, probes.Down
	default:
		require.FailNow(t, "no such verdict", f[2])
	}
	// West first: the machine must not rely on the votes' order.
	s.Votes = []availability.Vote{vote("west", 2, west), vote("east", 1, east)}
	ev := incident.SlotJudged{Slot: s, Name: "社保查询", Channel: probes.ChannelWechat}
	for _, flag := range f[3:] {
		switch flag {
		case "draft":
			ev.Draft = true
		case "maintenance":
			ev.Maintenance = true
		}
	}
	return ev
}

// machine runs a service's machine and writes down what happened.
type machine struct {
	t      require.TestingT
	st     incident.ServiceState
	opened int
	last   incident.Incident
	log    []string
}

func (m *machine) took(effects []incident.Effect) {
	for _, e := range effects {
		m.log = append(m.log, string(e.Kind))
		m.last = e.Incident
	}
	// What is kept between two steps is JSON.
	b, err := json.Marshal(m.st)
	require.NoError(m.t, err)
	m.st = incident.ServiceState{}
	require.NoError(m.t, json.Unmarshal(b, &m.st))
}

func (m *machine) step(line string) {
	ev := judged(m.t, line)
	st, effects := incident.Next(m.st, ev, ev.Slot.Start.Add(3*time.Second), func(i incident.Incident) incident.Incident {
		m.opened++
		i.ID = fmt.Sprint(m.opened)
		return i
	})
	m.st = st
	m.took(effects)
}

func TestNext(t *testing.T) {
	for _, c := range []struct{ name, slots, want string }{
		{"all well", "page 1 up, page 2 slow, page 3 partial, page 4 unknown", ""},
		{"down opens at once", "page 1 down", "opened"},
		{"down again is the same", "page 1 down, page 2 down, page 3 down", "opened"},
		{"up ends it", "page 1 down, page 2 up", "opened resolved"},
		{"working slowly ends it", "page 1 down, page 2 slow", "opened resolved"},
		{"working from elsewhere only does not end it", "page 1 down, page 2 partial, page 3 partial, page 4 partial, page 5 partial", "opened"},
		{"one voice is no recovery", "page 1 down, page 2 alone, page 3 alone", "opened"},
		{"three good slots in a row are", "page 1 down, page 2 alone, page 3 alone, page 4 alone", "opened resolved"},
		{"in a row", "page 1 down, page 2 alone, page 3 alone, page 4 partial, page 5 alone, page 6 alone, page 7 alone", "opened resolved"},
		{"one lucky reply among failures", "page 1 down, page 2 alone, page 3 down, page 4 alone, page 5 down, page 6 alone, page 7 alone", "opened"},
		{"one slot judged again is one", "page 1 down, page 2 alone, page 2 alone, page 2 alone, page 2 alone", "opened"},
		{"the voice that confirms the recovery comes late", "page 1 down, page 2 alone, page 2 up", "opened resolved"},
		{"silence does not break a row", "page 1 down, page 2 alone, page 3 unknown, page 4 alone, page 5 alone", "opened resolved"},
		{"unknown keeps it open", "page 1 down, page 2 unknown, page 3 few", "opened"},
		{"a tie keeps it open", "page 1 down, page 2 tie", "opened"},
		{"unknown opens nothing", "page 1 unknown, page 2 few", ""},
		{"a tie opens nothing", "page 1 up, page 2 tie", ""},
		{"partial opens nothing", "page 1 partial", ""},
		{"after the end a new one", "page 1 down, page 2 up, page 3 down, page 4 up", "opened resolved opened resolved"},
		{"judged again with late votes", "page 1 few, page 1 down", "opened"},
		{"judged again the other way", "page 1 up, page 1 partial, page 1 down, page 1 partial", "opened"},
		{"judged again as well", "page 1 down, page 1 up", "opened resolved"},
		{"waiting opens nothing", "page 1 pending", ""},
		{"waiting keeps it open", "page 1 down, page 2 pending", "opened"},
		{"judged again and again the same", "page 1 down, page 1 down, page 1 down, page 2 up, page 2 up", "opened resolved"},
		{"an older slot opens nothing", "page 5 up, page 4 down", ""},
		{"an older slot ends nothing", "page 5 down, page 4 up", "opened"},
		{"an older slot reopens nothing", "page 3 down, page 5 up, page 4 down, page 3 down", "opened resolved"},
		{"an unknown slot makes no other old", "page 5 unknown, page 4 down", "opened"},
		{"nor does one that waits", "page 5 pending, page 4 few, page 4 down, page 5 down", "opened"},
		{"confirmations that come a slot late", "page 1 pending, page 2 pending, page 1 down, page 3 pending, page 2 down", "opened"},
		{"a second probe joins", "page 1 down, api 1 down", "opened updated"},
		{"all must recover", "page 1 down, api 1 down, page 2 up, page 3 up, api 2 up", "opened updated resolved"},
		{"one falls back before the other recovers", "page 1 down, api 1 down, page 2 up, page 3 down, api 2 up, page 4 up", "opened updated resolved"},
		{"another probe's well-being ends nothing", "page 1 down, api 1 up, api 2 up", "opened"},
		{"maintenance opens nothing", "page 1 down maintenance", ""},
		{"still down after maintenance", "page 1 down maintenance, page 2 down", "opened"},
		{"maintenance does not end what began before", "page 1 down, page 2 down maintenance", "opened"},
		{"recovery in maintenance", "page 1 down, page 2 up maintenance", "opened resolved"},
		{"a draft opens nothing", "page 1 down draft, page 2 down draft", ""},
		{"a draft published while down", "page 1 down draft, page 2 down", "opened"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &machine{t: t}
			for _, s := range strings.Split(c.slots, ", ") {
				m.step(s)
			}
			require.Equal(t, c.want, strings.Join(m.log, " "))
		})
	}
}

func TestWhatAnIncidentSays(t *testing.T) {
	m := &machine{t: t}
	m.step("page 1 down")
	second := func(slot, n int) time.Time {
		return zero.Add(time.Duration(slot)*every + time.Duration(n)*time.Second)
	}
	page, api := probes.Key{Service: "shebao", Probe: "page"}, probes.Key{Service: "shebao", Probe: "api"}
	require.Equal(t, incident.Incident{
		ID: "1", Service: "shebao", Name: "社保查询", Channel: probes.ChannelWechat, Grade: incident.GradeOrdinary, Class: probes.ClassStatus,
		Probes: []probes.Key{page}, Vantages: []string{"east", "west"},
		Began: second(1, 1), Opened: second(1, 3), FirstBad: "page1east",
	}, m.last)
	m.step("api 1 down")
	require.Equal(t, []probes.Key{page, api}, m.last.Probes)
	m.step("page 2 up")
	m.step("api 3 up")
	require.Equal(t, second(3, 1), m.last.Resolved, "the run that saw the last of them work")
	require.Equal(t, second(1, 1), m.last.Began)
	require.Nil(t, m.st.Open)
}

func TestAnIncidentNeverEndsBeforeItBegan(t *testing.T) {
	m := &machine{t: t}
	down := judged(t, "page 1 down")
	st, _ := incident.Next(m.st, down, zero, func(i incident.Incident) incident.Incident { return i })
	again := judged(t, "page 1 up") // from runs that started before the bad ones
	for i := range again.Slot.Votes {
		again.Slot.Votes[i].Started = again.Slot.Votes[i].Started.Add(-time.Minute)
	}
	_, effects := incident.Next(st, again, zero, nil)
	require.Len(t, effects, 1)
	require.Equal(t, effects[0].Incident.Began, effects[0].Incident.Resolved)
}

func TestMajor(t *testing.T) {
	began := zero.Add(every + time.Second)
	t.Run("by the clock", func(t *testing.T) {
		m := &machine{t: t}
		for n := 1; n <= 24; n++ {
			m.step(fmt.Sprintf("page %d down", n))
		}
		require.Equal(t, []string{"opened"}, m.log)
		// Slot 25 begins within the two hours and proves them to their end.
		st, effects := incident.Next(m.st, judged(t, "page 25 down"), zero.Add(25*every), nil)
		require.Empty(t, effects)
		st, effects = incident.Tick(st, began.Add(2*time.Hour-time.Nanosecond))
		require.Empty(t, effects)
		st, effects = incident.Tick(st, began.Add(2*time.Hour))
		require.Len(t, effects, 1)
		require.Equal(t, incident.BecameMajor, effects[0].Kind)
		require.Equal(t, incident.GradeMajor, effects[0].Incident.Grade)
		_, effects = incident.Tick(st, began.Add(3*time.Hour))
		require.Empty(t, effects, "once")
	})
	t.Run("no data proves nothing", func(t *testing.T) {
		m := &machine{t: t}
		m.step("page 1 down")
		m.step("page 2 unknown")
		_, effects := incident.Tick(m.st, began.Add(5*time.Hour))
		require.Empty(t, effects)
		m.step("page 40 up")
		require.Equal(t, []string{"opened", "resolved"}, m.log)
	})
	t.Run("time that nobody saw proves nothing", func(t *testing.T) {
		m := &machine{t: t}
		m.step("page 1 down")
		m.step("page 30 down")
		require.Equal(t, []string{"opened"}, m.log)
		for n := 31; n < 53; n++ {
			m.step(fmt.Sprintf("page %d down", n))
		}
		require.Equal(t, []string{"opened"}, m.log, "the clock of 2 h began anew with slot 30")
		m.step("page 53 down")
		_, effects := incident.Tick(m.st, zero.Add(54*every))
		require.Len(t, effects, 1)
	})
	t.Run("a slot unseen between two breaks nothing", func(t *testing.T) {
		m := &machine{t: t}
		for n := 1; n <= 26; n++ {
			if n%2 == 1 || n == 26 {
				m.step(fmt.Sprintf("page %d down", n))
			}
		}
		require.Equal(t, []string{"opened", "major"}, m.log)
		m.step("page 27 up")
		require.Equal(t, incident.GradeMajor, m.last.Grade)
	})
	t.Run("found out at its end", func(t *testing.T) { // a backlog, judged at one instant
		st, now := incident.ServiceState{}, zero
		var kinds []incident.EffectKind
		var lines []string
		for n := 1; n <= 25; n++ {
			lines = append(lines, fmt.Sprintf("page %d down", n))
		}
		for _, line := range append(lines, "page 26 up") {
			var effects []incident.Effect
			st, effects = incident.Next(st, judged(t, line), now, func(i incident.Incident) incident.Incident { return i })
			for _, e := range effects {
				kinds = append(kinds, e.Kind)
			}
		}
		require.Equal(t, []incident.EffectKind{incident.Opened, incident.BecameMajor, incident.Resolved}, kinds)
	})
	t.Run("not a moment less", func(t *testing.T) {
		m := &machine{t: t}
		for n := 1; n <= 24; n++ {
			m.step(fmt.Sprintf("page %d down", n))
		}
		m.step("page 25 up") // 2 h after it began, to the second, but down is proven for less
		require.Equal(t, []string{"opened", "resolved"}, m.log)
	})
}

func TestWithdraw(t *testing.T) {
	m := &machine{t: t}
	m.step("page 1 down")
	m.step("api 1 down")
	now := zero.Add(time.Hour)
	gone := func(names ...string) func(probes.Key) bool {
		return func(k probes.Key) bool { return !strings.Contains(strings.Join(names, " "), k.Probe) }
	}
	st, effects := incident.Withdraw(m.st, gone(), now)
	require.Empty(t, effects)
	st, effects = incident.Withdraw(st, gone("page"), now)
	require.Empty(t, effects, "the other still fails")
	st, effects = incident.Withdraw(st, gone("page", "api"), now)
	require.Len(t, effects, 1)
	require.Equal(t, incident.Withdrawn, effects[0].Kind, "nobody saw it recover")
	require.True(t, effects[0].Incident.Withdrawn)
	require.Equal(t, now, effects[0].Incident.Resolved)
	require.Empty(t, st.Probes)

	m.step("page 2 up")
	require.NotNil(t, m.st.Open, "stepping leaves the state it was given as it was")
}

// TestWhateverComes holds what must be true of any sequence of slots.
func TestWhateverComes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{t: t}
		newest := map[string]int{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			name := rapid.SampledFrom([]string{"page", "api"}).Draw(t, "probe")
			n := rapid.IntRange(0, 30).Draw(t, "slot")
			verdict := rapid.SampledFrom([]string{"up", "alone", "slow", "partial", "tie", "unknown", "few", "pending", "down"}).Draw(t, "verdict")
			before := len(m.log)
			was := m.st.Open != nil
			line := fmt.Sprintf("%s %d %s", name, n, verdict)
			m.step(line)
			silent := verdict == "unknown" || verdict == "few" || verdict == "tie" || verdict == "pending"
			switch at, ok := newest[name]; {
			case silent:
				require.Len(t, m.log, before, "what says nothing changes nothing")
			case ok && n < at:
				require.Len(t, m.log, before, "an older slot changes nothing")
			default:
				newest[name] = n
				require.False(t, verdict == "down" && m.st.Open == nil)
			}
			if verdict == "partial" {
				require.Equal(t, was, m.st.Open != nil, "partial neither opens nor closes")
			}
			// The same again changes nothing.
			after, log := m.st, len(m.log)
			m.step(line)
			require.Equal(t, after, m.st)
			require.Len(t, m.log, log)
		}
		open := 0
		for _, kind := range m.log {
			switch kind {
			case "opened":
				open++
			case "resolved":
				open--
			}
			require.Contains(t, []int{0, 1}, open, "one at a time")
		}
		require.Equal(t, open == 1, m.st.Open != nil)
	})
}
