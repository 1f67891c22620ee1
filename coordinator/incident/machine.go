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

// ServiceState is one service's machine between two slots, as it is stored.
type ServiceState struct {
	Probes map[probes.Key]ProbeState `json:"probes,omitempty"`
	Open   *Incident                 `json:"open,omitempty"` // as the machine knows it; nil when none is open
	// DownUntil is the end of the newest down slot of the open incident: so far
	// the failure is proven, and no further.
	DownUntil time.Time `json:"down_until,omitzero"`
}

// ProbeState is what the machine remembers of one probe.
type ProbeState struct {
	Slot    time.Time `json:"slot"`          // start of the newest judged slot
	Failing bool      `json:"failing"`       // it keeps the open incident open
	Good    time.Time `json:"good,omitzero"` // when it was first seen to work again
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
)

// Effect is one thing that happened, with the incident as it stands then.
type Effect struct {
	Kind     EffectKind
	Incident Incident
}

// Next steps a service's machine by one judged slot. complete is called for a
// new incident, to give it a number and what only the store knows.
//
// Down opens at once, since the quorum has already agreed. Unknown and a tie
// keep the state. A slot that works, all over or from some vantages, ends its
// probe's part; the incident ends with the last of them. A slot older than the
// newest one of its probe changes nothing: late data belongs to the record, not
// to now. The newest slot may be judged again and again.
func Next(st ServiceState, ev SlotJudged, now time.Time, complete func(Incident) Incident) (ServiceState, []Effect) {
	key := ev.Slot.Key
	p := st.Probes[key]
	if ev.Slot.Start.Before(p.Slot) {
		return st, nil
	}
	st = st.clone()
	p.Slot = ev.Slot.Start
	var effects []Effect
	switch {
	case ev.Slot.Verdict == probes.Unknown, ev.Slot.Reason == availability.ReasonTie:
		st.Probes[key] = p
	case ev.Slot.Verdict == probes.Down:
		effects = st.down(key, p, ev, now, complete)
	default:
		effects = st.works(key, p, ev)
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
		p.Failing, p.Good = true, time.Time{}
		st.Probes[key], st.Open, st.DownUntil = p, &i, ev.Slot.End()
		return append([]Effect{{Opened, i}}, st.grade(now)...)
	}
	p.Failing, p.Good = true, time.Time{}
	st.Probes[key] = p
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

func (st *ServiceState) works(key probes.Key, p ProbeState, ev SlotJudged) []Effect {
	if p.Failing {
		p.Failing, p.Good = false, ev.Slot.Start
		if good := saw(ev.Slot.Votes, func(v probes.Verdict) bool { return v == probes.Up || v == probes.Degraded }); len(good) > 0 {
			p.Good = good[0].Started
		}
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
	return st.end(at)
}

func (st *ServiceState) end(at time.Time) []Effect {
	// In a slot judged again the good run may have come before the bad one.
	if at.Before(st.Open.Began) {
		at = st.Open.Began
	}
	if st.DownUntil.After(at) {
		st.DownUntil = at
	}
	// A backlog may bring the whole of a long failure at once.
	effects := st.grade(at)
	st.Open.Resolved = at
	effects = append(effects, Effect{Resolved, *st.Open})
	st.Open, st.DownUntil = nil, time.Time{}
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
	at := st.Open.Began.Add(MajorAfter)
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
// can not recover, so it must not keep an incident open.
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
	return st, st.end(now)
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
