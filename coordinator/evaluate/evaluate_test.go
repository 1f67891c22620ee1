package evaluate

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/store"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	page  = probes.Key{Service: "shebao", Probe: "page"}
	zero  = time.Date(2026, 11, 25, 15, 59, 0, 0, time.UTC) // a minute before midnight in Shanghai
	every = 30 * time.Second
)

const service = `id: shebao
name: 社保查询
channel: wechat
owner: 社保中心
url: https://h5.rsj.example.test/shebao
`

const twoProbes = service + `probes:
  - {id: page, kind: fake, every: 30s, timeout: 5s, from: {count: 2, spread: site}, quorum: 2}
  - {id: api, kind: fake, every: 30s, timeout: 5s, from: {count: 2, spread: site}, quorum: 2}
`

const routes = `routes:
  - {name: 值班群, channel: webhook, url: "https://hook.example.test/a"}
  - {name: app-only, channel: webhook, url: "https://hook.example.test/b", channels: [app]}
`

type prober struct{}

func (prober) Probe(context.Context, probes.Env) (probes.Result, error) {
	return probes.Result{Verdict: probes.Up}, nil
}

// compile makes a catalog from files given as path, text, path, text….
func compile(t *testing.T, seq uint64, files ...string) *definition.Catalog {
	t.Helper()
	var list []definition.File
	for i := 0; i < len(files); i += 2 {
		list = append(list, definition.File{Path: files[i], Data: []byte(files[i+1])})
	}
	c, err := definition.Compile(definition.Revision{Seq: seq, Commit: fmt.Sprintf("%040x", seq), Accepted: zero.Add(-time.Hour)}, list,
		[]probes.Kind{{Name: "fake", Doc: "a test's", Decode: func(probes.Settings) (probes.Prober, error) { return prober{}, nil }}})
	require.NoError(t, err)
	return c
}

// bench is an evaluator over a real store, stepped by hand.
type bench struct {
	*Evaluator
	t       *testing.T
	dir     string
	store   *store.Store
	catalog *definition.Catalog
	now     time.Time
	events  []Event
	runs    int
}

func newBench(t *testing.T, files ...string) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), now: zero}
	b.open()
	if len(files) == 0 {
		files = []string{"services/a.yaml", twoProbes, "routes.yaml", routes}
	}
	b.accept(zero.Add(-time.Hour), files...)
	return b
}

func (b *bench) open() {
	b.t.Helper()
	s, err := store.Open(b.t.Context(), store.Options{Dir: b.dir})
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = s.Close() })
	b.store = s
	b.Evaluator = New(Options{
		Store: Over(s), Catalog: func() *definition.Catalog { return b.catalog }, Link: "http://gengfu.test/",
		Publish: func(e Event) { b.events = append(b.events, e) }, Now: func() time.Time { return b.now },
	})
}

func (b *bench) accept(at time.Time, files ...string) {
	b.t.Helper()
	seq := uint64(1)
	if b.catalog != nil {
		seq = b.catalog.Revision.Seq + 1
	}
	c := compile(b.t, seq, files...)
	c.Revision.Accepted = at
	var due []availability.Due
	for _, p := range c.Probes() {
		due = append(due, availability.Due{
			Key: p.Key, Every: p.Every, Timeout: p.Timeout, Revision: c.Revision.Commit,
			Rule: availability.Rule{Count: p.From.Count, Quorum: p.Quorum},
		})
	}
	require.NoError(b.t, b.store.AcceptCatalog(b.t.Context(), c.Revision, []byte("body"), due))
	b.catalog = c
}

// slot is the start of the n-th slot after zero.
func slot(n int) time.Time { return zero.Add(time.Duration(n) * every) }

// vote stores one run of slot n: "east up", "west down"….
func (b *bench) vote(key probes.Key, n int, says ...string) {
	b.t.Helper()
	var traces []probes.Trace
	for i, say := range says {
		vantage, verdict, _ := strings.Cut(say, " ")
		v, err := probes.ParseVerdict(verdict)
		require.NoError(b.t, err)
		b.runs++
		r := probes.Run{
			Key: key, Slot: slot(n), Every: every, Agent: "agent-" + vantage, Vantage: vantage, Trigger: probes.TriggerSlot,
			Started: slot(n).Add(time.Duration(i+1) * time.Second), TraceID: fmt.Sprintf("%032x", b.runs),
			Result: probes.Result{Verdict: v},
		}
		if v == probes.Down {
			r.Result = probes.Result{}
			r.Result.Fail(probes.Finding{Class: probes.ClassStatus, Step: "request", Want: "status < 400", Got: "500"})
		}
		traces = append(traces, probes.Trace{Run: r, OTLP: []byte("otlp")})
	}
	_, err := b.store.Ingest(b.t.Context(), traces)
	require.NoError(b.t, err)
}

func (b *bench) judge() {
	b.t.Helper()
	require.NoError(b.t, b.drain(b.t.Context()))
}

func (b *bench) incidents() []incident.Incident {
	b.t.Helper()
	list, err := b.store.Incidents(b.t.Context(), store.IncidentFilter{})
	require.NoError(b.t, err)
	return list
}

func (b *bench) deliveries() []alert.Delivery {
	b.t.Helper()
	list, err := b.store.Deliveries(b.t.Context(), "", 100)
	require.NoError(b.t, err)
	return list
}

func TestFromResultsToAlert(t *testing.T) {
	b := newBench(t)
	b.vote(page, 0, "east up", "west up")
	b.judge()
	require.Empty(t, b.incidents())

	b.now = slot(1).Add(3 * time.Second)
	b.vote(page, 1, "east down")
	b.judge()
	got, err := b.store.Slot(t.Context(), page, slot(1))
	require.NoError(t, err)
	require.Equal(t, availability.ReasonPending, got.Reason, "one of two vantages is no outage")
	require.Empty(t, b.incidents())
	latest, err := b.store.LatestSlots(t.Context())
	require.NoError(t, err)
	require.Equal(t, slot(0), latest[page].Start, "what waits is not yet what is shown")

	b.vote(page, 1, "west down")
	b.judge()
	got, err = b.store.Slot(t.Context(), page, slot(1))
	require.NoError(t, err)
	require.Equal(t, probes.Down, got.Verdict, "a late vote judges the slot again")
	require.Equal(t, availability.Rule{Count: 2, Quorum: 2}, got.Rule)
	require.Len(t, b.incidents(), 1)
	i := b.incidents()[0]
	require.Equal(t, incident.Incident{
		ID: "GZ-20261125-0001", Service: "shebao", Name: "社保查询", Channel: probes.ChannelWechat,
		Grade: incident.GradeOrdinary, Class: probes.ClassStatus, Probes: []probes.Key{page}, Vantages: []string{"east", "west"},
		Began: slot(1).Add(time.Second), Opened: b.now, FirstBad: fmt.Sprintf("%032x", 3), LastGood: fmt.Sprintf("%032x", 2),
		Finding: probes.Finding{Class: probes.ClassStatus, Step: "request", Want: "status < 400", Got: "500"},
	}, i)

	b.vote(page, 2, "east up", "west up")
	b.judge()
	i = b.incidents()[0]
	require.Equal(t, slot(2).Add(time.Second), i.Resolved)
	notes, err := b.store.Notes(t.Context(), i.ID)
	require.NoError(t, err)
	require.Equal(t, []incident.Note{
		{At: b.now, By: "gengfu", Kind: "opened"}, {At: b.now, By: "gengfu", Kind: "resolved"},
	}, notes)

	sent := b.deliveries()
	require.Len(t, sent, 2, "only the route that wants this channel, once an event")
	require.Equal(t, alert.EventResolved, sent[0].Notification.Event)
	require.Equal(t, alert.EventOpened, sent[1].Notification.Event)
	require.Equal(t, alert.StatePending, sent[1].State)
	require.Equal(t, "【普通故障】社保查询（公众号 H5）无法访问：返回错误状态码", sent[1].Notification.Title)
	require.Equal(t, "http://gengfu.test/incidents/GZ-20261125-0001", sent[1].Notification.Link)
	require.Contains(t, b.events, Event{Kind: "slot", Service: "shebao", Probe: "page", Span: availability.Span{From: slot(1), To: slot(2)}})
	require.Contains(t, b.events, Event{Kind: "incident", Service: "shebao", ID: i.ID})
}

func TestWhatWasStoredBeforeACrashIsJudgedAfterIt(t *testing.T) {
	b := newBench(t)
	b.vote(page, 1, "east down", "west down")
	require.NoError(t, b.store.Close()) // between ingest and evaluation

	b.open()
	b.judge()
	require.Len(t, b.incidents(), 1)
	require.Len(t, b.deliveries(), 1)

	require.NoError(t, b.store.Close())
	b.open()
	b.vote(page, 1, "north down")
	b.vote(page, 2, "east down", "west down")
	b.judge()
	require.Len(t, b.incidents(), 1, "the machine's state is kept as well")
	require.Equal(t, []string{"east", "west", "north"}, b.incidents()[0].Vantages)
	require.Len(t, b.deliveries(), 1)
}

func TestAFailedStepLeavesNothingBehind(t *testing.T) {
	b := newBench(t)
	b.vote(page, 1, "east down", "west down")
	ctx, cancel := context.WithCancel(t.Context())
	b.Store = Over(cancelling{b.store, cancel})
	require.ErrorIs(t, b.drain(ctx), context.Canceled)
	require.Empty(t, b.incidents())
	require.Empty(t, b.events, "nothing is told before the commit")
	_, err := b.store.Slot(t.Context(), page, slot(1))
	require.ErrorIs(t, err, store.ErrNotFound)

	b.Store = Over(b.store)
	b.judge()
	require.Len(t, b.incidents(), 1)
}

// cancelling ends the context when everything is written and nothing committed.
type cancelling struct {
	*store.Store
	cancel func()
}

func (c cancelling) Update(ctx context.Context, fn func(*store.Tx) error) error {
	return c.Store.Update(ctx, func(tx *store.Tx) error {
		defer c.cancel()
		return fn(tx)
	})
}

func TestASlotSettlesWhenNoVoiceIsToCome(t *testing.T) {
	b := newBench(t)
	b.vote(page, 0, "east up", "west up")
	b.now = slot(1).Add(2 * time.Second)
	b.vote(page, 1, "east down")
	b.judge()
	reason := func(n int) availability.Reason {
		got, err := b.store.Slot(t.Context(), page, slot(n))
		require.NoError(t, err)
		return got.Reason
	}
	require.Equal(t, availability.ReasonPending, reason(1))
	// The run began 1 s into the slot and has 5 s, twice, and 10 s to arrive.
	b.now = slot(1).Add(21*time.Second - time.Nanosecond)
	b.judge()
	require.Equal(t, availability.ReasonPending, reason(1))
	b.now = b.now.Add(time.Nanosecond)
	b.judge()
	require.Equal(t, availability.ReasonTooFew, reason(1))
	pending, err := b.store.Pending(t.Context(), b.now.Add(time.Hour))
	require.NoError(t, err)
	require.False(t, pending)
	b.vote(page, 1, "west down")
	b.judge()
	require.Equal(t, availability.ReasonAgreed, reason(1), "a vote that comes still later counts")
	require.Len(t, b.incidents(), 1)
}

func TestConfirmationsThatComeASlotLateOpenTheIncident(t *testing.T) {
	b := newBench(t)
	for n := range 10 {
		b.now = slot(n).Add(2 * time.Second)
		b.vote(page, n, "east down")
		if n > 0 {
			b.vote(page, n-1, "west down")
		}
		b.judge()
	}
	require.Len(t, b.incidents(), 1)
	require.Equal(t, slot(0).Add(time.Second), b.incidents()[0].Began)
}

func TestAVoteOfALaterTimeIsNotCounted(t *testing.T) {
	b := newBench(t)
	b.vote(page, 1, "east down", "west down")
	b.judge()
	b.runs++
	late := probes.Run{
		Key: page, Slot: slot(1), Every: every, Agent: "agent-north", Vantage: "north", Trigger: probes.TriggerConfirm,
		Started: slot(7), TraceID: fmt.Sprintf("%032x", b.runs), Result: probes.Result{Verdict: probes.Up},
	}
	_, err := b.store.Ingest(t.Context(), []probes.Trace{{Run: late}})
	require.NoError(t, err)
	b.judge()
	got, err := b.store.Slot(t.Context(), page, slot(1))
	require.NoError(t, err)
	require.Equal(t, probes.Down, got.Verdict)
	require.Len(t, got.Votes, 2, "a result is never re-stamped")
}

func TestAnOutageThatOneOfThreeDoesNotSeeIsOneIncident(t *testing.T) {
	b := newBench(t, "services/a.yaml", service+`probes: [{id: page, kind: fake, every: 30s, timeout: 5s, from: {count: 3, spread: site}, quorum: 2}]`, "routes.yaml", routes)
	for n := range 10 {
		b.now = slot(n).Add(3 * time.Second)
		b.vote(page, n, "north up") // the good one is heard first
		b.judge()
		b.vote(page, n, "east down", "west down")
		b.judge()
	}
	require.Len(t, b.incidents(), 1)
	require.True(t, b.incidents()[0].Open())
	require.Len(t, b.deliveries(), 1)
}

func TestAMinorityHeardFirstOpensNothing(t *testing.T) {
	b := newBench(t, "services/a.yaml", service+`probes: [{id: page, kind: fake, every: 30s, timeout: 5s, from: {count: 5, spread: site}, quorum: 2}]`, "routes.yaml", routes)
	for n := range 5 {
		b.now = slot(n).Add(3 * time.Second)
		b.vote(page, n, "a down", "b down")
		b.judge()
		b.vote(page, n, "c up", "d up", "e up")
		b.judge()
	}
	require.Empty(t, b.incidents())
}

func TestADraftIsJudgedByItsDefinition(t *testing.T) {
	b := newBench(t)
	b.catalog = compile(t, 2, "services/a.yaml", twoProbes, "services/b.yaml", "id: draft\nname: 草稿\nchannel: portal\nowner: 值班组\nlife: draft\nurl: https://a.test/\n"+
		"probes: [{id: page, kind: fake, every: 30s, timeout: 5s, from: {count: 1}, quorum: 1}]\n")
	key := probes.Key{Service: "draft", Probe: "page"}
	b.vote(key, 1, "east down")
	b.judge()
	got, err := b.store.Slot(t.Context(), key, slot(1))
	require.NoError(t, err)
	require.Equal(t, probes.Down, got.Verdict)
	require.Empty(t, b.incidents())
}

func TestLateVotesOfAnOldSlotChangeTheRecordOnly(t *testing.T) {
	b := newBench(t)
	b.vote(page, 5, "east up", "west up")
	b.judge()
	b.vote(page, 3, "east down", "west down")
	b.judge()
	got, err := b.store.Slot(t.Context(), page, slot(3))
	require.NoError(t, err)
	require.Equal(t, probes.Down, got.Verdict)
	latest, err := b.store.LatestSlots(t.Context())
	require.NoError(t, err)
	require.Equal(t, slot(5), latest[page].Start)
	require.Empty(t, b.incidents())
}

func TestTheRuleIsTheOneThatStoodThen(t *testing.T) {
	b := newBench(t)
	// The quorum became 1 between slot 1 and slot 2.
	b.accept(slot(2), "services/a.yaml", service+`probes: [{id: page, kind: fake, every: 30s, timeout: 5s, quorum: 1}]`, "routes.yaml", routes)
	b.vote(page, 1, "east down")
	b.vote(page, 2, "east down")
	b.now = slot(4)
	b.judge()
	before, err := b.store.Slot(t.Context(), page, slot(1))
	require.NoError(t, err)
	require.Equal(t, probes.Unknown, before.Verdict)
	require.Equal(t, 2, before.Rule.Quorum)
	after, err := b.store.Slot(t.Context(), page, slot(2))
	require.NoError(t, err)
	require.Equal(t, probes.Down, after.Verdict)
}

func TestTheFirstSlotBeganBeforeTheProbeWasDue(t *testing.T) {
	b := newBench(t)
	login := probes.Key{Service: "shebao", Probe: "login"}
	b.accept(slot(1).Add(10*time.Second), "services/a.yaml", strings.ReplaceAll(twoProbes, "id: api", "id: login"))
	b.vote(login, 1, "east up", "west up")
	b.vote(login, 0, "east up", "west up") // over before it was due
	b.judge()
	got, err := b.store.Slot(t.Context(), login, slot(1))
	require.NoError(t, err)
	require.Equal(t, probes.Up, got.Verdict)
	_, err = b.store.Slot(t.Context(), login, slot(0))
	require.ErrorIs(t, err, store.ErrNotFound)
	pending, err := b.store.Pending(t.Context(), b.now)
	require.NoError(t, err)
	require.False(t, pending, "a slot that was never due does not wait for ever")
}

func TestASlotInsideWhichTheIntervalChanged(t *testing.T) {
	b := newBench(t)
	b.accept(slot(1).Add(10*time.Second), "services/a.yaml", service+`probes: [{id: page, kind: fake, every: 1m, timeout: 5s, quorum: 1}]`)
	run := probes.Run{
		Key: page, Slot: slot(1), Every: time.Minute, Agent: "a", Vantage: "east", Trigger: probes.TriggerCatchUp,
		Started: slot(1).Add(15 * time.Second), TraceID: fmt.Sprintf("%032x", 9), Result: probes.Result{Verdict: probes.Down, Class: probes.ClassDNS},
	}
	_, err := b.store.Ingest(t.Context(), []probes.Trace{{Run: run}})
	require.NoError(t, err)
	b.now = slot(4)
	b.judge()
	got, err := b.store.Slot(t.Context(), page, slot(1))
	require.NoError(t, err)
	require.Equal(t, time.Minute, got.Every, "the runs say which of the two definitions they followed")
	require.Equal(t, probes.Down, got.Verdict)
	require.Equal(t, 1, got.Rule.Quorum)
}

func TestAWithdrawnProbeIsForTheRecordOnly(t *testing.T) {
	b := newBench(t)
	b.accept(slot(3), "services/a.yaml", strings.ReplaceAll(twoProbes, "id: page", "id: other"), "routes.yaml", routes)
	b.vote(page, 2, "east down", "west down")
	b.judge()
	got, err := b.store.Slot(t.Context(), page, slot(2))
	require.NoError(t, err)
	require.Equal(t, probes.Down, got.Verdict)
	require.Empty(t, b.incidents())
}

func TestMaintenanceSilencesAndDrafts(t *testing.T) {
	window := fmt.Sprintf("{services: [shebao], from: %s, to: %s, reason: 升级}", slot(-10).Format(time.RFC3339), slot(2).Format(time.RFC3339))
	files := func(life, calendar, silence string) []string {
		f := []string{"services/a.yaml", strings.Replace(twoProbes, "owner:", "life: "+life+"\nowner:", 1), "routes.yaml", routes}
		if calendar != "" {
			f = append(f, "calendar.yaml", "maintenance: ["+calendar+"]\n")
		}
		if silence != "" {
			f = append(f, "silences/a.yaml", strings.NewReplacer("{", "", "}", "", ", from", "\nfrom", ", to", "\nto", ", reason", "\nreason").Replace(silence)+"\n")
		}
		return f
	}
	t.Run("maintenance", func(t *testing.T) {
		b := newBench(t, files("published", window, "")...)
		b.vote(page, 1, "east down", "west down")
		b.judge()
		require.Empty(t, b.incidents())
		b.now = slot(2).Add(time.Second)
		b.vote(page, 2, "east down", "west down")
		b.judge()
		require.Len(t, b.incidents(), 1, "still down when the window is over")
		require.Equal(t, slot(2).Add(time.Second), b.incidents()[0].Began)
		require.Equal(t, alert.StatePending, b.deliveries()[0].State)
	})
	t.Run("silence", func(t *testing.T) {
		b := newBench(t, files("published", "", window)...)
		b.now = slot(1)
		b.vote(page, 1, "east down", "west down")
		b.judge()
		require.Len(t, b.incidents(), 1, "a silence hides alerts, not incidents")
		require.Equal(t, alert.StateSilenced, b.deliveries()[0].State)
		require.Equal(t, b.now, b.deliveries()[0].Done)
		claimed, err := b.store.Claim(t.Context(), b.now.Add(time.Hour), time.Minute, 10)
		require.NoError(t, err)
		require.Empty(t, claimed)
	})
	t.Run("draft", func(t *testing.T) {
		b := newBench(t, files("draft", "", "")...)
		b.vote(page, 1, "east down", "west down")
		b.judge()
		require.Empty(t, b.incidents())
		got, err := b.store.Slot(t.Context(), page, slot(1))
		require.NoError(t, err)
		require.Equal(t, probes.Down, got.Verdict, "shown all the same")
	})
}

func TestByClock(t *testing.T) {
	b := newBench(t)
	for n := range 240 {
		b.vote(page, n, "east down", "west down")
	}
	b.vote(page, 240, "east down", "west down") // from two hours on
	b.now = slot(0).Add(3 * time.Second)
	b.judge()
	require.Equal(t, incident.GradeOrdinary, b.incidents()[0].Grade)
	b.now = slot(240).Add(2 * time.Second)
	require.NoError(t, b.byClock(t.Context()))
	require.NoError(t, b.byClock(t.Context()))
	require.Equal(t, incident.GradeMajor, b.incidents()[0].Grade)
	require.Equal(t, alert.EventMajor, b.deliveries()[0].Notification.Event)
	require.Len(t, b.deliveries(), 2)

	require.NoError(t, b.store.Ack(t.Context(), b.incidents()[0].ID, "王工", b.now))
	b.accept(b.now, "services/a.yaml", strings.ReplaceAll(twoProbes, "id: page", "id: other"), "routes.yaml", routes)
	require.NoError(t, b.byClock(t.Context()))
	i := b.incidents()[0]
	require.Equal(t, b.now, i.Resolved, "a probe that is gone keeps no incident open")
	require.True(t, i.Withdrawn)
	require.Equal(t, alert.EventWithdrawn, b.deliveries()[0].Notification.Event, "not a recovery: nobody saw one")
	require.Equal(t, "王工", i.AckedBy, "what people said is left alone")
}

func TestRunJudgesAndStops(t *testing.T) {
	b := newBench(t)
	got := make(chan Event, 100)
	b.Publish = func(e Event) { got <- e }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	b.vote(page, 1, "east down", "west down")
	b.Kick()
	for _, want := range []string{"slot", "incident"} {
		select {
		case e := <-got:
			require.Equal(t, want, e.Kind)
		case <-time.After(30 * time.Second):
			t.Fatal("nothing was judged")
		}
	}
	cancel()
	require.NoError(t, <-done)
}

func TestTouchedSlotsWaitForACatalog(t *testing.T) {
	b := newBench(t)
	b.vote(page, 1, "east down", "west down")
	c := b.catalog
	b.catalog = nil
	b.judge()
	require.NoError(t, b.byClock(t.Context()))
	b.catalog = c
	b.judge()
	require.Len(t, b.incidents(), 1)
}
