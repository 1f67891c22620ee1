package alert_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	began = time.Date(2026, 11, 25, 15, 58, 12, 0, time.UTC)
	fault = incident.Incident{
		ID: "GZ-20261125-0001", Service: "shebao", Name: "社保查询", Channel: probes.ChannelWechat, Grade: incident.GradeOrdinary,
		Class: probes.ClassStatus, Vantages: []string{"电信机房", "联通机房"}, Began: began, Opened: began.Add(4 * time.Second),
		Finding: probes.Finding{Class: probes.ClassStatus, Got: "500 from 10.1.2.3"},
	}
)

func TestCompose(t *testing.T) {
	n := alert.Compose(alert.EventOpened, fault, "值班群", "http://gengfu.test/", began.Add(5*time.Second))
	require.Equal(t, "GZ-20261125-0001/incident.opened/%E5%80%BC%E7%8F%AD%E7%BE%A4", n.Key)
	require.Equal(t, "【普通故障】社保查询（公众号 H5）无法访问：返回错误状态码", n.Title)
	require.Equal(t, `服务：社保查询（公众号 H5）
级别：普通故障
现象：返回错误状态码
开始：2026-11-25 23:58:12
监测点：电信机房、联通机房
编号：GZ-20261125-0001
时限：2026-11-26 07:58:16 前初步诊断，2026-11-26 01:58:16 前解决
详情：http://gengfu.test/incidents/GZ-20261125-0001`, n.Text)

	major := fault
	major.Grade = incident.GradeMajor
	n = alert.Compose(alert.EventMajor, major, "r", "", began.Add(2*time.Hour))
	require.Equal(t, "【重大故障】社保查询（公众号 H5）持续无法访问已达 2 小时：返回错误状态码", n.Title)
	require.Contains(t, n.Text, "已持续：2小时0分")
	require.NotContains(t, n.Text, "详情")
	require.Empty(t, n.Link)

	over := major
	over.Resolved = began.Add(83 * time.Minute)
	n = alert.Compose(alert.EventResolved, over, "r", "http://gengfu.test", began.Add(3*time.Hour))
	require.Equal(t, "【重大故障恢复】社保查询（公众号 H5）已恢复正常，持续1小时23分", n.Title)
	require.Contains(t, n.Text, "恢复：2026-11-26 01:21:12\n持续：1小时23分\n")
	require.Contains(t, n.Text, "请于 2026-11-27 01:21:12 前提交故障处理报告")
	require.NotContains(t, n.Title+n.Text, "10.1.2.3", "what a server said stays in the house")

	over.Withdrawn = true
	n = alert.Compose(alert.EventWithdrawn, over, "r", "", began.Add(3*time.Hour))
	require.Equal(t, "【重大故障结束监测】社保查询（公众号 H5）的拨测已撤销，未见恢复", n.Title)
	require.Contains(t, n.Text, "请人工核实服务状态")
	require.NotContains(t, n.Title+n.Text, "恢复正常", "nobody saw it recover")
	require.NotContains(t, n.Text, "故障处理报告")
}

// outbox is an outbox in memory with a clock that a test moves.
type outbox struct {
	mu   sync.Mutex
	now  time.Time
	rows []alert.Delivery
	held map[int64]bool // claimed and not finished
}

func newOutbox() *outbox { return &outbox{now: began, held: map[int64]bool{}} }

func (o *outbox) Now() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

func (o *outbox) add(route string, event alert.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rows = append(o.rows, alert.Delivery{
		ID: int64(len(o.rows) + 1), Route: route, Notification: alert.Compose(event, fault, route, "http://gengfu.test", o.now),
		State: alert.StatePending, Created: o.now, NextAttempt: o.now,
	})
}

func (o *outbox) Claim(_ context.Context, now time.Time, lease time.Duration, limit int) (list []alert.Delivery, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, d := range o.rows {
		if d.State == alert.StatePending && !d.NextAttempt.After(now) && len(list) < limit && o.inTurn(i) {
			o.rows[i].Attempts++
			o.rows[i].NextAttempt = now.Add(lease)
			list = append(list, o.rows[i])
			o.held[d.ID] = true
		}
	}
	return list, nil
}

// inTurn says that nothing older of the same incident waits on the same route.
func (o *outbox) inTurn(i int) bool {
	for _, older := range o.rows[:i] {
		if older.State == alert.StatePending && older.Route == o.rows[i].Route && older.Notification.Incident.ID == o.rows[i].Notification.Incident.ID {
			return false
		}
	}
	return true
}

func (o *outbox) Finish(ctx context.Context, d alert.Delivery) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	o.rows[d.ID-1] = d
	o.held[d.ID] = false
	return nil
}

func (o *outbox) NextAttempt(context.Context) (next time.Time, _ error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, d := range o.rows {
		if d.State == alert.StatePending && o.inTurn(i) && (next.IsZero() || d.NextAttempt.Before(next)) {
			next = d.NextAttempt
		}
	}
	return next, nil
}

func (o *outbox) row(id int) alert.Delivery {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.rows[id-1]
}

// worker runs a worker over o until the test ends.
func worker(t *testing.T, o *outbox, routes ...definition.Route) *alert.Worker {
	t.Helper()
	transport := &http.Transport{}
	w := alert.NewWorker(alert.Options{
		Store: o, Routes: func() []definition.Route { return routes }, HTTP: &http.Client{Transport: transport}, Now: o.Now,
		Secret: func(name string) (string, error) {
			if name == "TOKEN" {
				return "s3cret/token", nil
			}
			return "", errors.New("secret " + name + " is not set; put it into the environment")
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		transport.CloseIdleConnections()
	})
	return w
}

// forward moves the clock to a delivery's next attempt.
func (o *outbox) forward(t *testing.T, w *alert.Worker, id int) {
	t.Helper()
	d := o.row(id)
	o.mu.Lock()
	o.now = d.NextAttempt
	o.mu.Unlock()
	w.Kick()
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, 30*time.Second, 5*time.Millisecond, what)
}

// settled waits until a delivery was tried n times and written down.
func settled(t *testing.T, o *outbox, id, n int) alert.Delivery {
	t.Helper()
	eventually(t, "the attempt is written down", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		d := o.rows[id-1]
		return d.Attempts == n && !o.held[d.ID] && (d.State != alert.StatePending || d.LastError != "")
	})
	return o.row(id)
}

type call struct {
	header http.Header
	body   []byte
	url    string
}

// hook is a server that answers with the given statuses, then 200.
func hook(t *testing.T, statuses ...int) (*httptest.Server, func() []call) {
	t.Helper()
	var mu sync.Mutex
	var calls []call
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			return
		}
		calls = append(calls, call{r.Header, body, r.URL.String()})
		if n := len(calls); n <= len(statuses) {
			w.WriteHeader(statuses[n-1])
			_, _ = io.WriteString(w, "no, "+r.URL.String())
		}
	}))
	t.Cleanup(s.Close)
	return s, func() []call {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(calls)
	}
}

func TestWebhookIsSignedAndRetried(t *testing.T) {
	s, calls := hook(t, 503, 429)
	o := newOutbox()
	o.add("ops", alert.EventOpened)
	w := worker(t, o, definition.Route{Name: "ops", Channel: "webhook", URL: s.URL + "/hook?token=${secret:TOKEN}", Secret: "${secret:TOKEN}"})

	d := settled(t, o, 1, 1)
	require.Equal(t, began.Add(5*time.Second), d.NextAttempt)
	require.Contains(t, d.LastError, "status 503, want 2xx")
	require.NotContains(t, d.LastError, "s3cret")
	o.forward(t, w, 1)
	d = settled(t, o, 1, 2)
	require.Equal(t, began.Add(15*time.Second), d.NextAttempt, "the wait doubles")
	o.forward(t, w, 1)
	d = settled(t, o, 1, 3)
	require.Equal(t, alert.StateSent, d.State)
	require.Equal(t, began.Add(15*time.Second), d.Done)
	require.Empty(t, d.LastError)

	got := calls()
	require.Len(t, got, 3)
	for _, c := range got {
		require.Equal(t, "/hook?token=s3cret/token", c.url)
		require.Equal(t, "incident.opened", c.header.Get(alert.HeaderEvent))
		require.Equal(t, "GZ-20261125-0001/incident.opened/ops", c.header.Get(alert.HeaderDelivery))
		require.Equal(t, "sha256="+alert.Sign("s3cret/token", c.body), c.header.Get(alert.HeaderSignature))
		var n alert.Notification
		require.NoError(t, json.Unmarshal(c.body, &n))
		require.Equal(t, d.Notification, n)
	}
}

func TestSign(t *testing.T) { // RFC 4231, case 2
	require.Equal(t, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", alert.Sign("Jefe", []byte("what do ya want for nothing?")))
}

func TestWithoutASecretNothingIsSigned(t *testing.T) {
	s, calls := hook(t)
	o := newOutbox()
	o.add("ops", alert.EventResolved)
	worker(t, o, definition.Route{Name: "ops", Channel: "webhook", URL: s.URL})
	settled(t, o, 1, 1)
	require.Empty(t, calls()[0].header.Values(alert.HeaderSignature))
}

func TestARefusedMessageIsGivenUpSoon(t *testing.T) {
	s, calls := hook(t, 400, 404, 410, 301, 400, 400, 400)
	o := newOutbox()
	o.add("ops", alert.EventOpened)
	w := worker(t, o, definition.Route{Name: "ops", Channel: "webhook", URL: s.URL})
	for n := 1; n < 5; n++ {
		require.Equal(t, alert.StatePending, settled(t, o, 1, n).State)
		o.forward(t, w, 1)
	}
	d := settled(t, o, 1, 5)
	require.Equal(t, alert.StateFailed, d.State)
	require.Contains(t, d.LastError, "status 400")
	require.Len(t, calls(), 5)
}

func TestADeadRouteIsGivenUpAfterADay(t *testing.T) {
	s, _ := hook(t)
	s.Close() // refused connections
	o := newOutbox()
	o.add("ops", alert.EventOpened)
	w := worker(t, o, definition.Route{Name: "ops", Channel: "webhook", URL: s.URL + "/path?key=value"})
	var waits []time.Duration
	for n := 1; ; n++ {
		d := settled(t, o, 1, n)
		require.NotContains(t, d.LastError, "path")
		require.NotContains(t, d.LastError, "value")
		require.Contains(t, d.LastError, "connection refused")
		if d.State == alert.StateFailed {
			break
		}
		waits = append(waits, d.NextAttempt.Sub(o.Now()))
		o.forward(t, w, 1)
	}
	require.Equal(t, []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second}, waits[:3])
	require.Equal(t, 10*time.Minute, slices.Max(waits))
	require.GreaterOrEqual(t, o.Now().Sub(began), 24*time.Hour)
	require.Less(t, o.Now().Sub(began), 24*time.Hour+11*time.Minute)
}

func TestADeadRouteDoesNotKeepOthersWaiting(t *testing.T) {
	release := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server notices a client that leaves
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer hung.Close()
	defer close(release)
	good, _ := hook(t)
	o := newOutbox()
	routes := []definition.Route{{Name: "good", Channel: "webhook", URL: good.URL}}
	for _, name := range []string{"hung1", "hung2", "hung3", "hung4"} {
		routes = append(routes, definition.Route{Name: name, Channel: "webhook", URL: hung.URL})
		o.add(name, alert.EventOpened)
	}
	o.add("good", alert.EventOpened)
	worker(t, o, routes...)
	eventually(t, "the good route is served", func() bool { return o.row(5).State == alert.StateSent })
	for id := 1; id <= 4; id++ {
		require.Empty(t, o.row(id).LastError, "no attempt on a hung route had to end first")
	}
}

func TestAFailureLeavesTheRestOfItsRouteInOrder(t *testing.T) {
	s, calls := hook(t, 500)
	o := newOutbox()
	o.add("ops", alert.EventOpened)
	o.add("ops", alert.EventResolved)
	o.rows[1].Notification.Incident.ID = "GZ-20261125-0002"
	w := worker(t, o, definition.Route{Name: "ops", Channel: "webhook", URL: s.URL})
	first, second := settled(t, o, 1, 1), settled(t, o, 2, 0)
	require.Equal(t, first.NextAttempt, second.NextAttempt)
	o.forward(t, w, 1)
	settled(t, o, 2, 1)
	var events []string
	for _, c := range calls() {
		events = append(events, c.header.Get(alert.HeaderEvent))
	}
	require.Equal(t, []string{"incident.opened", "incident.opened", "incident.resolved"}, events)
}

// TestRecoveryNeverOvertakesTheOutage also when the first message is refused and
// tried again, and when it is given up.
func TestRecoveryNeverOvertakesTheOutage(t *testing.T) {
	for name, tt := range map[string]struct {
		statuses []int
		want     []string
	}{
		"refused once":  {[]int{404}, []string{"incident.opened", "incident.opened", "incident.major", "incident.resolved"}},
		"refused twice": {[]int{404, 404}, []string{"incident.opened", "incident.opened", "incident.opened", "incident.major", "incident.resolved"}},
		"given up": {[]int{404, 404, 404, 404, 404}, []string{
			"incident.opened", "incident.opened", "incident.opened", "incident.opened", "incident.opened", "incident.major", "incident.resolved",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s, calls := hook(t, tt.statuses...)
			o := newOutbox()
			o.add("ops", alert.EventOpened)
			o.add("ops", alert.EventMajor)
			o.add("ops", alert.EventResolved)
			w := worker(t, o, definition.Route{Name: "ops", Channel: "webhook", URL: s.URL})
			for n := range tt.statuses {
				settled(t, o, 1, n+1)
				if n+1 < 5 {
					require.Zero(t, o.row(2).Attempts)
					o.forward(t, w, 1)
				}
			}
			eventually(t, "all is said, without waiting for more", func() bool { return o.row(3).State == alert.StateSent })
			var events []string
			for _, c := range calls() {
				events = append(events, c.header.Get(alert.HeaderEvent))
			}
			require.Equal(t, tt.want, events)
		})
	}
}

func TestRedirectsToElsewhereAreNotFollowed(t *testing.T) {
	other, elsewhere := hook(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := httptest.NewServer(http.RedirectHandler(other.URL, status))
		o := newOutbox()
		o.add("ops", alert.EventOpened)
		worker(t, o, definition.Route{Name: "ops", Channel: "webhook", URL: s.URL})
		d := settled(t, o, 1, 1)
		require.Contains(t, d.LastError, "redirects elsewhere", status)
		s.Close()
	}
	require.Empty(t, elsewhere())

	// On the same host, but as a GET: the message would be lost and look delivered.
	mux := http.NewServeMux()
	mux.Handle("/old", http.RedirectHandler("/new", http.StatusFound))
	mux.HandleFunc("/new", func(http.ResponseWriter, *http.Request) {})
	s := httptest.NewServer(mux)
	defer s.Close()
	o := newOutbox()
	o.add("ops", alert.EventOpened)
	worker(t, o, definition.Route{Name: "ops", Channel: "webhook", URL: s.URL + "/old"})
	require.Contains(t, settled(t, o, 1, 1).LastError, "redirects elsewhere")
}

func TestARateLimitIsNoRefusal(t *testing.T) {
	s, _ := hook(t, 429, 429, 429, 408, 425, 429, 503)
	o := newOutbox()
	o.add("ops", alert.EventOpened)
	w := worker(t, o, definition.Route{Name: "ops", Channel: "webhook", URL: s.URL})
	for n := 1; n <= 7; n++ {
		require.Equal(t, alert.StatePending, settled(t, o, 1, n).State)
		o.forward(t, w, 1)
	}
	require.Equal(t, alert.StateSent, settled(t, o, 1, 8).State)
}

func TestARedirectOnTheSameHostKeepsTheMessage(t *testing.T) {
	var got []byte
	mux := http.NewServeMux()
	mux.Handle("/old", http.RedirectHandler("/new", http.StatusPermanentRedirect))
	mux.HandleFunc("POST /new", func(_ http.ResponseWriter, r *http.Request) { got, _ = io.ReadAll(r.Body) })
	s := httptest.NewServer(mux)
	defer s.Close()
	o := newOutbox()
	o.add("ops", alert.EventOpened)
	worker(t, o, definition.Route{Name: "ops", Channel: "webhook", URL: s.URL + "/old"})
	require.Equal(t, alert.StateSent, settled(t, o, 1, 1).State)
	require.Contains(t, string(got), "社保查询")
}

func TestAMisconfiguredRouteSaysSo(t *testing.T) {
	for name, c := range map[string]struct {
		route definition.Route
		want  string
	}{
		"gone":    {definition.Route{Name: "other"}, "route ops is no longer defined"},
		"channel": {definition.Route{Name: "ops", Channel: "pigeon"}, `want channel [webhook], got "pigeon"`},
		"secret":  {definition.Route{Name: "ops", Channel: "webhook", URL: "https://x.test/${secret:NONE}"}, "secret NONE is not set"},
		"url":     {definition.Route{Name: "ops", Channel: "webhook", URL: "ftp://s3.test/abc", Source: "routes.yaml:3"}, "see routes.yaml:3"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOutbox()
			o.add("ops", alert.EventOpened)
			worker(t, o, c.route)
			d := settled(t, o, 1, 1)
			require.Contains(t, d.LastError, c.want)
			require.False(t, strings.Contains(d.LastError, "abc"))
		})
	}
}

func TestStoppingIsNoFailure(t *testing.T) {
	arrived := make(chan struct{}, 1)
	hung := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		<-r.Context().Done()
	}))
	defer hung.Close()
	o := newOutbox()
	o.add("ops", alert.EventOpened)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	w := alert.NewWorker(alert.Options{
		Store: o, HTTP: &http.Client{Transport: transport}, Now: o.Now,
		Routes: func() []definition.Route {
			return []definition.Route{{Name: "ops", Channel: "webhook", URL: hung.URL}}
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	<-arrived
	cancel()
	require.NoError(t, <-done)
	d := o.row(1)
	require.Equal(t, alert.StatePending, d.State)
	require.Zero(t, d.Attempts)
	require.Equal(t, began, d.NextAttempt, "due at once after the next start")
	require.Empty(t, d.LastError)
}
