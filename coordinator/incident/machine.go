package incident

import (
	"maps"
	"slices"
	"time"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/probes"
)

// MajorAfter is how long a service must be continuously unusable for 重大故障.
const MajorAfter = 2 * time.Hour

// Gap is how long a failure may go unseen and still count as continuous. Longer
// silence proves nothing, and a grade may rest on proof alone.
const Gap = 5 * time.Minute

// GoodSlots is how many slots in a row must be good to end an incident when too
// few vantages speak to confirm the recovery.
const GoodSlots = 3

// ServiceState is one service's machine between two slots, as it is stored.
type ServiceState struct {
	Probes map[probes.Key]ProbeState `json:"probes,omitempty"`
	Open   *Incident                 `json:"open,omitempty"` // as the machine knows it; nil when none is open
	// DownFrom and DownUntil are the newest stretch of the open incident that is
	// proven down without a longer gap.
	DownFrom  time.Time `json:"down_from,omitzero"`
	DownUntil time.Time `json:"down_until,omitzero"`
}

// ProbeState is what the machine remembers of one probe.
type ProbeState struct {
	Slot    time.Time `json:"slot"`          // start of the newest slot that says something
	Failing bool      `json:"failing"`       // it keeps the open incident open
	Good    time.Time `json:"good,omitzero"` // when it was first seen to work again
	// Streak is how many good slots in a row there were while failing.
	Streak int `json:"streak,omitempty"`
}

// SlotJudged is a slot that was judged, for the first time or again.
type SlotJudged struct {
	Slot        availability.Slot
	Name        string         // of the service, in Chinese
	Channel     probes.Channel // of the service
	Draft       bool           // the service is a draft: it opens no incidents
	Maintenance bool           // the slot began in an approved window
}

// EffectKind is what happened to an incident.
type EffectKind string

// The kinds of effects.
const (
	Opened      EffectKind = "opened"
	Updated     EffectKind = "updated" // more probes or vantages see it
	BecameMajor EffectKind = "major"
	Resolved    EffectKind = "resolved"
	Withdrawn   EffectKind = "withdrawn" // its probes are no longer defined
)

// Effect is one thing that happened, with the incident as it stands then.
type Effect struct {
	Kind     EffectKind
	Incident Incident
}

// Next steps a service's machine by one judged slot. complete is called for a
// new incident, to give it a number and what only the store knows.
//
// Down opens at once, since the quorum has already agreed. Unknown and a tie say
// nothing and keep the state; they do not make an older slot old, whose voices
// may only be late. A probe's part ends when the quorum sees it work, or after
// GoodSlots good slots in a row where fewer speak: one lucky reply, or the one
// vantage that still gets through, is no recovery. The incident ends with the
// last of its probes. A slot older than the newest one that said something
// changes nothing: late data belongs to the record, not to now. The newest slot
// may be judged again and again.
func Next(st ServiceState, ev SlotJudged, now time.Time, complete func(Incident) Incident) (ServiceState, []Effect) {
	key := ev.Slot.Key
	p := st.Probes[key]
	switch {
	case ev.Slot.Verdict == probes.Unknown, ev.Slot.Reason == availability.ReasonTie:
		return st, nil
	case ev.Slot.Start.Before(p.Slot):
		return st, nil
	}
	again := ev.Slot.Start.Equal(p.Slot)
	st = st.clone()
	p.Slot = ev.Slot.Start
	var effects []Effect
	if ev.Slot.Verdict == probes.Down {
		effects = st.down(key, p, ev, now, complete)
	} else {
		effects = st.works(key, p, ev, again)
	}
	return st, effects
}

func (st *ServiceState) down(key probes.Key, p ProbeState, ev SlotJudged, now time.Time, complete func(Incident) Incident) []Effect {
	bad := saw(ev.Slot.Votes, func(v probes.Verdict) bool { return v == probes.Down })
	if st.Open == nil {
		if ev.Draft || ev.Maintenance || len(bad) == 0 {
			st.Probes[key] = p
			return nil
		}
		i := complete(Incident{
			Service: key.Service, Name: ev.Name, Channel: ev.Channel, Grade: GradeOrdinary, Class: ev.Slot.Class,
			Probes: []probes.Key{key}, Vantages: vantages(bad),
			Began: bad[0].Started, Opened: now, FirstBad: bad[0].TraceID,
		})
		p.Failing, p.Good, p.Streak = true, time.Time{}, 0
		st.Probes[key], st.Open = p, &i
		st.DownFrom, st.DownUntil = i.Began, ev.Slot.End()
		return append([]Effect{{Opened, i}}, st.grade(now)...)
	}
	p.Failing, p.Good, p.Streak = true, time.Time{}, 0
	st.Probes[key] = p
	if ev.Slot.Start.Sub(st.DownUntil) > Gap {
		st.DownFrom = ev.Slot.Start
	}
	if st.DownUntil.Before(ev.Slot.End()) {
		st.DownUntil = ev.Slot.End()
	}
	var effects []Effect
	before := len(st.Open.Probes) + len(st.Open.Vantages)
	for _, v := range vantages(bad) {
		st.Open.Vantages = insert(st.Open.Vantages, v)
	}
	st.Open.Probes = insert(st.Open.Probes, key)
	if len(st.Open.Probes)+len(st.Open.Vantages) > before {
		effects = append(effects, Effect{Updated, *st.Open})
	}
	return append(effects, st.grade(now)...)
}

func (st *ServiceState) works(key probes.Key, p ProbeState, ev SlotJudged, again bool) []Effect {
	if !p.Failing {
		st.Probes[key] = p
		return nil
	}
	if ev.Slot.Reason == availability.ReasonPartial {
		// It works for some and fails for others: no recovery, and no streak.
		p.Good, p.Streak = time.Time{}, 0
		st.Probes[key] = p
		return nil
	}
	good := saw(ev.Slot.Votes, func(v probes.Verdict) bool { return v == probes.Up || v == probes.Degraded })
	if p.Streak == 0 {
		p.Good = ev.Slot.Start
		if len(good) > 0 {
			p.Good = good[0].Started
		}
	}
	if p.Streak == 0 || !again {
		p.Streak++
	}
	if len(good) >= ev.Slot.Rule.Quorum || p.Streak >= GoodSlots {
		p.Failing, p.Streak = false, 0
	}
	st.Probes[key] = p
	return st.settle()
}

// settle ends the open incident when no probe fails any more: with the start of
// the run that saw the last of them work.
func (st *ServiceState) settle() []Effect {
	if st.Open == nil {
		return nil
	}
	var at time.Time
	for _, p := range st.Probes {
		if p.Failing {
			return nil
		}
		if p.Good.After(at) {
			at = p.Good
		}
	}
	return st.end(at, Resolved)
}

func (st *ServiceState) end(at time.Time, how EffectKind) []Effect {
	// In a slot judged again the good run may have come before the bad one.
	if at.Before(st.Open.Began) {
		at = st.Open.Began
	}
	if st.DownUntil.After(at) {
		st.DownUntil = at
	}
	// A backlog may bring the whole of a long failure at once.
	effects := st.grade(at)
	st.Open.Resolved, st.Open.Withdrawn = at, how == Withdrawn
	effects = append(effects, Effect{how, *st.Open})
	st.Open, st.DownFrom, st.DownUntil = nil, time.Time{}, time.Time{}
	for key, p := range st.Probes {
		p.Good = time.Time{}
		st.Probes[key] = p
	}
	return effects
}

// grade promotes the open incident when it was proven down for MajorAfter by now.
func (st *ServiceState) grade(now time.Time) []Effect {
	if st.Open == nil || st.Open.Grade == GradeMajor {
		return nil
	}
	at := st.DownFrom.Add(MajorAfter)
	if now.Before(at) || st.DownUntil.Before(at) {
		return nil
	}
	st.Open.Grade = GradeMajor
	return []Effect{{BecameMajor, *st.Open}}
}

// Tick lets time pass: an incident that has lasted MajorAfter becomes major
// without waiting for the next slot.
func Tick(st ServiceState, now time.Time) (ServiceState, []Effect) {
	st = st.clone()
	effects := st.grade(now)
	return st, effects
}

// Withdraw forgets the probes that are no longer defined. A probe that is gone
// can not recover, so it must not keep an incident open; that it ended so is said.
func Withdraw(st ServiceState, defined func(probes.Key) bool, now time.Time) (ServiceState, []Effect) {
	st = st.clone()
	failed := false
	for key, p := range st.Probes {
		if !defined(key) {
			failed = failed || p.Failing
			delete(st.Probes, key)
		}
	}
	if !failed {
		return st, nil
	}
	for _, p := range st.Probes {
		if p.Failing {
			return st, nil
		}
	}
	effects := st.end(now, Withdrawn)
	return st, effects
}

func (st ServiceState) clone() ServiceState {
	st.Probes = maps.Clone(st.Probes)
	if st.Probes == nil {
		st.Probes = map[probes.Key]ProbeState{}
	}
	if st.Open != nil {
		i := *st.Open
		i.Probes, i.Vantages = slices.Clone(i.Probes), slices.Clone(i.Vantages)
		st.Open = &i
	}
	return st
}

// saw returns the votes with such a verdict, the earliest first.
func saw(votes []availability.Vote, such func(probes.Verdict) bool) []availability.Vote {
	out := slices.DeleteFunc(slices.Clone(votes), func(v availability.Vote) bool { return !such(v.Verdict) })
	slices.SortFunc(out, func(a, b availability.Vote) int { return a.Started.Compare(b.Started) })
	return out
}

func vantages(votes []availability.Vote) []string {
	var out []string
	for _, v := range votes {
		out = insert(out, v.Vantage)
	}
	return out
}

// insert appends v unless it is there: the order is that of appearance.
func insert[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}
