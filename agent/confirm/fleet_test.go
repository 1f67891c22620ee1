package confirm_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/agent/confirm"
	"github.com/gengfu/gengfu/agent/ownership"
	"github.com/gengfu/gengfu/probes"
)

// voice is one run of one slot.
type voice struct {
	vantage        string
	verdict        probes.Verdict
	trigger        probes.Trigger
	started, ended time.Time
}

type slotID struct {
	key  probes.Key
	slot time.Time
}

// bureau is a fleet of agents in one process, each with its owners' runs, a
// runner's places and a Confirmer, that watches services which hang together.
type bureau struct {
	every, timeout time.Duration
	count, quorum  int
	probes         []probes.Key
	members        []ownership.Member
	blind          string // a member that sees all of it work
	from, to       time.Time

	confirmers map[string]*confirm.Confirmer
	places     map[string]chan struct{}

	mu     sync.Mutex
	voices map[slotID][]voice
}

func newBureau(agents, count, quorum, places int) *bureau {
	b := &bureau{
		every: 30 * time.Second, timeout: 10 * time.Second, count: count, quorum: quorum,
		confirmers: map[string]*confirm.Confirmer{}, places: map[string]chan struct{}{}, voices: map[slotID][]voice{},
	}
	for i := range 166 {
		b.probes = append(b.probes, probes.Key{Service: fmt.Sprintf("service-%d", i), Probe: "page"})
	}
	for i := range agents {
		name := fmt.Sprintf("agent-%d", i)
		b.members = append(b.members, ownership.Member{Name: name, Labels: map[string]string{"site": "site-" + name}})
		b.places[name] = make(chan struct{}, places)
	}
	return b
}

func (b *bureau) probe(k probes.Key) (probes.Probe, bool) {
	return probes.Probe{
		Key: k, Every: b.every, Timeout: b.timeout, Quorum: b.quorum, From: probes.Placement{Count: b.count, Spread: "site"},
	}, true
}

func (b *bureau) rank(k probes.Key) []ownership.Member {
	p, _ := b.probe(k)
	return ownership.Rank(k, p.From, nil, b.members)
}

// run performs one run by m: it takes a place until by, hangs for the timeout
// while the services do, and leaves its voice.
func (b *bureau) run(m ownership.Member, k probes.Key, slot, by time.Time, trig probes.Trigger) bool {
	late := time.NewTimer(time.Until(by))
	defer late.Stop()
	select {
	case b.places[m.Name] <- struct{}{}:
		defer func() { <-b.places[m.Name] }()
	case <-late.C:
		return false
	}
	if !time.Now().Before(by) {
		return false
	}
	v := voice{vantage: m.Vantage(), verdict: probes.Up, trigger: trig, started: time.Now()}
	if hanging := !v.started.Before(b.from) && v.started.Before(b.to); hanging && m.Name != b.blind {
		v.verdict = probes.Down
		time.Sleep(b.timeout)
	} else {
		time.Sleep(200 * time.Millisecond)
	}
	v.ended = time.Now()
	b.mu.Lock()
	id := slotID{k, slot}
	b.voices[id] = append(b.voices[id], v)
	b.mu.Unlock()
	b.confirmers[m.Name].Ended(probes.Run{Key: k, Slot: slot, Trigger: trig, Result: probes.Result{Verdict: v.verdict}})
	return true
}

// watch lets the fleet work for a while, of which the services hang in the part
// from..to, and returns when all of it is over.
func (b *bureau) watch(t *testing.T, calm, outage, after time.Duration, change func(*confirm.Options)) {
	end := time.Now().Add(calm + outage + after)
	b.from, b.to = time.Now().Add(calm), time.Now().Add(calm+outage)
	ctx, cancel := context.WithCancel(t.Context())
	var confirmers, runs sync.WaitGroup
	for _, m := range b.members {
		o := confirm.Options{
			Self: m.Name, Probe: b.probe,
			Rank: func(k probes.Key) (peers []confirm.Peer) {
				for _, m := range b.rank(k) {
					peers = append(peers, confirm.Peer{Name: m.Name, Vantage: m.Vantage()})
				}
				return peers
			},
			Send: func(_ context.Context, to string, payload []byte) error {
				b.confirmers[to].Handle(m.Name, payload)
				return nil
			},
			RunNow: func(_ context.Context, k probes.Key, slot, by time.Time) bool {
				return b.run(m, k, slot, by, probes.TriggerConfirm)
			},
			Logger: slog.New(slog.DiscardHandler),
		}
		if change != nil {
			change(&o)
		}
		c, err := confirm.New(o)
		require.NoError(t, err)
		b.confirmers[m.Name] = c
	}
	for _, c := range b.confirmers {
		confirmers.Go(func() { require.NoError(t, c.Run(ctx)) })
	}
	for _, k := range b.probes {
		for _, m := range b.rank(k)[:b.count] {
			runs.Go(func() {
				for slot := probes.NextSlot(k, b.every, time.Now()); slot.Before(end); slot = slot.Add(b.every) {
					time.Sleep(time.Until(slot))
					b.run(m, k, slot, slot.Add(b.every), probes.TriggerSlot)
				}
			})
		}
	}
	runs.Wait()
	time.Sleep(time.Minute)
	cancel()
	confirmers.Wait()
}

// sites counts the vantages that say v about a slot, in voices that ended by then.
func sites(voices []voice, v func(probes.Verdict) bool, by time.Time) int {
	names := map[string]bool{}
	for _, each := range voices {
		if v(each.verdict) && !each.ended.After(by) {
			names[each.vantage] = true
		}
	}
	return len(names)
}

func isDown(v probes.Verdict) bool { return v == probes.Down }
func works(v probes.Verdict) bool  { return v == probes.Up }

// owners says whether any, and all, of a slot's owners see a failure.
func owners(voices []voice) (any, all bool) {
	all = true
	for _, v := range voices {
		if v.trigger == probes.TriggerSlot {
			any, all = any || v.verdict == probes.Down, all && v.verdict == probes.Down
		}
	}
	return any, all
}

func TestAFleetConfirmsThatEverythingHangs(t *testing.T) {
	for _, c := range []struct {
		name                                string
		agents, count, quorum, places, late int    // late: seconds a voice may wait for a place
		blind                               string // sees it work all the time
	}{
		{"three agents", 3, 1, 2, 1000, 0, ""},
		{"three agents with the places of a runner", 3, 1, 2, 64, 10, ""},
		{"four agents, one of which sees it work", 4, 1, 2, 1000, 0, "agent-3"},
		{"five agents, two owners", 5, 2, 2, 1000, 0, ""},
		{"five agents, quorum of three", 5, 1, 3, 1000, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBureau(c.agents, c.count, c.quorum, c.places)
				b.blind = c.blind
				b.watch(t, time.Minute, 10*time.Minute, 2*time.Minute, nil)

				own, asked, failing, recovered := 0, 0, 0, 0
				for id, voices := range b.voices {
					for _, v := range voices {
						require.True(t, v.started.Before(id.slot.Add(b.every)), "%v began after its slot's end: %v", id, v)
						if v.trigger == probes.TriggerConfirm {
							asked++
						} else {
							own++
						}
					}
					before, _ := owners(b.voices[slotID{id.key, id.slot.Add(-b.every)}])
					switch any, all := owners(voices); {
					case any && id.slot.Add(2*b.timeout).After(b.to): // it ends while others look
					case any && all:
						failing++
						by := id.slot.Add(2*b.timeout + time.Duration(c.late)*time.Second)
						require.GreaterOrEqual(t, sites(voices, isDown, by), c.quorum, "%v: %v", id, voices)
						require.Greater(t, sites(voices, isDown, by)+sites(voices, works, by), c.quorum, "one voice more than the quorum: %v", voices)
					case !any && before:
						recovered++
						by := id.slot.Add(b.timeout)
						require.GreaterOrEqual(t, sites(voices, works, by), c.quorum, "%v: %v", id, voices)
					case !any:
						require.LessOrEqual(t, len(voices), c.count, "nothing to confirm: %v", voices)
					}
				}
				t.Logf("%d slots failing, %d recovered; %d own runs, %d asked for", failing, recovered, own, asked)
				share := c.agents
				if c.blind != "" {
					share--
				}
				require.Greater(t, failing, 18*len(b.probes)*share/c.agents)
				require.LessOrEqual(t, own+asked, (c.quorum+1)*own, "own runs and a quorum's more at most")
				require.Greater(t, recovered, len(b.probes)*share/c.agents*9/10)
				for name, confirmer := range b.confirmers {
					s := confirmer.Stats()
					require.Zero(t, s.Dropped+s.Late+s.Capped+s.Alone+s.Unheard, "%s: %+v", name, s)
				}
			})
		})
	}
}

// TestAFleetWithTooFewPlacesConfirmsWhatItCan has less than half of the places
// that the outage wants: what is not confirmed is dropped, not put off.
func TestAFleetWithTooFewPlacesConfirmsWhatItCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers = 8
		b := newBureau(3, 1, 2, 1000)
		outage := 20 * time.Minute
		b.watch(t, 0, outage, 0, func(o *confirm.Options) { o.Workers, o.Queue = workers, 16 })
		confirmed, asked := 0, 0
		for id, voices := range b.voices {
			for _, v := range voices {
				require.True(t, v.started.Before(id.slot.Add(b.every)), "%v began after its slot's end: %v", id, v)
				if v.trigger == probes.TriggerConfirm {
					asked++
					require.LessOrEqual(t, v.started.Sub(id.slot), 2*b.timeout, "it waited no longer than a run may take")
				}
			}
			if sites(voices, isDown, id.slot.Add(3*b.timeout)) >= b.quorum {
				confirmed++
			}
		}
		able := 3 * workers * int(outage/b.timeout)
		t.Logf("%d of %d slots confirmed; %d runs of about %d", confirmed, len(b.voices), asked, able)
		require.Greater(t, asked, able*9/10, "no worker waits while something can be confirmed")
		require.Greater(t, confirmed, len(b.voices)/4)
		var lost uint64
		for _, c := range b.confirmers {
			lost += c.Stats().Dropped + c.Stats().Late
		}
		require.Positive(t, lost)
	})
}
