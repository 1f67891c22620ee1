package dashboards_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/record"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// fixture is a Source and Actions over values made here.
type fixture struct {
	overview  view.Overview
	services  map[string]view.Service
	runs      map[string]view.Run
	incidents []incident.Incident
	details   map[string]view.Incident
	agents    []view.Agent
	records   []view.Record
	sheets    map[string]record.Sheet
	catalog   view.CatalogState
	alerts    []alert.Delivery
	err       error // answered by everything when set

	mu  sync.Mutex
	did []string
}

func (f *fixture) Overview(context.Context) (view.Overview, error) { return f.overview, f.err }
func (f *fixture) Service(_ context.Context, id string) (view.Service, error) {
	return find(f.services, id, f.err)
}

func (f *fixture) Run(_ context.Context, id string) (view.Run, error) { return find(f.runs, id, f.err) }

func (f *fixture) Incident(_ context.Context, id string) (view.Incident, error) {
	return find(f.details, id, f.err)
}

func (f *fixture) Incidents(_ context.Context, open bool, service string) ([]incident.Incident, error) {
	var out []incident.Incident
	for _, i := range f.incidents {
		if (!open || i.Open()) && (service == "" || i.Service == service) {
			out = append(out, i)
		}
	}
	return out, f.err
}
func (f *fixture) Agents(context.Context) ([]view.Agent, error)   { return f.agents, f.err }
func (f *fixture) Records(context.Context) ([]view.Record, error) { return f.records, f.err }
func (f *fixture) Record(_ context.Context, kind, day string) (record.Sheet, error) {
	return find(f.sheets, kind+"/"+day, f.err)
}
func (f *fixture) Catalog(context.Context) (view.CatalogState, error) { return f.catalog, f.err }
func (f *fixture) Alerts(context.Context) ([]alert.Delivery, error)   { return f.alerts, f.err }

func find[T any](m map[string]T, id string, err error) (T, error) {
	v, ok := m[id]
	if err == nil && !ok {
		err = fmt.Errorf("looking for %q: %w", id, view.ErrNotFound)
	}
	return v, err
}

func (f *fixture) note(words ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = append(f.did, strings.Join(words, "|"))
	return f.err
}

func (f *fixture) Ack(_ context.Context, id, by string) error { return f.note("ack", id, by) }
func (f *fixture) Note(_ context.Context, id, by, text string) error {
	return f.note("note", id, by, text)
}

func (f *fixture) Fill(_ context.Context, kind, day, row, field, value, by string) error {
	return f.note("fill", kind, day, row, field, value, by)
}
func (f *fixture) PollGit() { _ = f.note("poll") }

// now is when the fixtures are looked at.
var now = time.Date(2026, 11, 25, 10, 42, 17, 0, calendar.Zone)

func traceID(seed string) string {
	sum := sha256.Sum256([]byte(seed))
	return hex.EncodeToString(sum[:16])
}

func digest(seed string) string {
	sum := sha256.Sum256([]byte(seed))
	return hex.EncodeToString(sum[:])
}

const (
	unicom  = "联通机房"
	telecom = "电信机房"
	mobile  = "移动机房"
)

func vote(site string, v probes.Verdict, c probes.Class, took time.Duration, trig probes.Trigger, seed string) availability.Vote {
	agents := map[string]string{unicom: "agent-lt-01", telecom: "agent-dx-01", mobile: "agent-yd-01"}
	return availability.Vote{
		Vantage: site, Agent: agents[site], Verdict: v, Class: c, TraceID: traceID(seed + site),
		Started: now.Add(-18 * time.Second), Took: took, Trigger: trig,
	}
}

type spec struct {
	id, name, code, owner string
	channel               probes.Channel
	url                   string
	latency               time.Duration
}

var specs = []spec{
	{"menhu-shouye", "门户首页", "PT-01", "信息中心", probes.ChannelPortal, "https://www.rsj.example/", 182 * time.Millisecond},
	{"geren-banshi", "个人办事大厅", "PT-02", "政务服务处", probes.ChannelPortal, "https://www.rsj.example/grbs/", 214 * time.Millisecond},
	{"faren-banshi", "法人办事大厅", "PT-03", "政务服务处", probes.ChannelPortal, "https://www.rsj.example/frbs/", 231 * time.Millisecond},
	{"tongyi-denglu", "统一登录入口", "PT-04", "信息中心", probes.ChannelPortal, "https://www.rsj.example/login", 96 * time.Millisecond},
	{"shebao-quanyi", "社会保险个人权益记录查询", "PT-05", "社保中心", probes.ChannelPortal, "https://www.rsj.example/si/qyjl", 1480 * time.Millisecond},
	{"shiye-dengji", "失业登记", "PT-06", "就业促进处", probes.ChannelPortal, "https://www.rsj.example/jy/sydj", 1130 * time.Millisecond},
	{"zhicheng-pingshen", "职称评审申报", "PT-07", "专业技术人员管理处", probes.ChannelPortal, "https://www.rsj.example/rc/zcps", 342 * time.Millisecond},
	{"juzhuzheng", "工作居住证办理", "PT-08", "人才开发处", probes.ChannelPortal, "https://www.rsj.example/rc/gzjzz", 297 * time.Millisecond},
	{"wx-shebao", "社保查询", "WX-01", "社保中心", probes.ChannelWechat, "https://h5.rsj.example/h5/sbcx?from=menu", 1620 * time.Millisecond},
	{"wx-yanglao", "养老金测算", "WX-02", "养老保险处", probes.ChannelWechat, "https://h5.rsj.example/h5/yljcs", 1390 * time.Millisecond},
	{"wx-shebaoka", "社保卡进度查询", "WX-03", "社保卡中心", probes.ChannelWechat, "https://h5.rsj.example/h5/sbkjd", 1215 * time.Millisecond},
	{"wx-jineng", "技能提升补贴", "WX-05", "职业能力建设处", probes.ChannelWechat, "https://h5.rsj.example/h5/jnbt", 880 * time.Millisecond},
	{"app-shouye", "APP首页服务列表", "APP-01", "信息中心", probes.ChannelApp, "https://app.rsj.example/app/home", 940 * time.Millisecond},
	{"app-jiaofei", "参保缴费明细", "APP-02", "社保中心", probes.ChannelApp, "https://app.rsj.example/app/cbjf", 1310 * time.Millisecond},
	{"app-shebaoka", "电子社保卡", "APP-04", "社保卡中心", probes.ChannelApp, "https://app.rsj.example/app/dzsbk", 1048 * time.Millisecond},
	{"api-shouli", "统一受理接口", "API-01", "信息中心", probes.ChannelPlatform, "https://zwfw.example/gateway/accept/v2", 126 * time.Millisecond},
	{"api-fankui", "办件状态反馈", "API-02", "信息中心", probes.ChannelPlatform, "https://zwfw.example/gateway/feedback/v2", 143 * time.Millisecond},
	{"node-1", "业务节点 node1", "ND-01", "运维组", probes.ChannelRuntime, "http://node1.rsj.example:7001/health", 12 * time.Millisecond},
}

// pseudo is a repeatable number from 0 to 1.
func pseudo(k int) float64 {
	x := math.Sin(float64(k)*12.9898) * 43758.5453
	return x - math.Floor(x)
}

func fig(up, down, unknown time.Duration, outages int) view.Figure {
	f := availability.Figure{Up: up, Down: down, Unknown: unknown, Outages: outages, Longest: down}
	out := view.Figure{DownSeconds: down.Seconds(), Outages: outages, Longest: down.Seconds()}
	if a, ok := f.Availability(); ok {
		out.Availability = &a
	}
	if c, ok := f.Coverage(); ok {
		out.Coverage = &c
	}
	return out
}

func bars(n int, step time.Duration, seed int, end probes.Verdict) []view.Bar {
	var out []view.Bar
	last := now.Truncate(step)
	for k := n - 1; k >= 0; k-- {
		from := last.Add(-time.Duration(k) * step)
		b := view.Bar{From: from, To: from.Add(step), Verdict: probes.Up, Figure: fig(step, 0, 0, 0)}
		switch p := pseudo(seed*100 + k); {
		case p > 0.985:
			b.Verdict, b.Figure = probes.Down, fig(step*9/10, step/10, 0, 1)
		case p > 0.955:
			b.Verdict = probes.Degraded
		case p < 0.012:
			b.Verdict, b.Figure = probes.Unknown, fig(0, 0, step, 0)
		}
		if k == 0 && end != probes.Up {
			b.Verdict = end
			if end == probes.Down {
				b.Figure = fig(step*3/4, step/4, 0, 1)
			}
		}
		out = append(out, b)
	}
	return out
}

var finding = probes.Finding{Class: probes.ClassMaintenancePage, Phrase: probes.PhraseMaintenance, Got: "《系统维护中》请稍后再试。预计恢复时间 12:00"}

// rich is a bad morning: one service down, two degraded, one blind.
func rich() *fixture {
	f := &fixture{services: map[string]view.Service{}, runs: map[string]view.Run{}, details: map[string]view.Incident{}, sheets: map[string]record.Sheet{}}
	rev := definition.Revision{
		Seq: 42, Commit: "8f3b1c07d2e94ab6518f0c3d7e29a45b6c8d1f20", Author: "王敏", Subject: "社保查询：放宽首屏时间到 4 秒", Committed: now.Add(-26 * time.Hour),
		Accepted: now.Add(-26*time.Hour + 9*time.Second), Digest: digest("catalog"), ServiceIDs: len(specs), ProbeIDs: 31,
	}
	f.catalog = view.CatalogState{
		Revision: rev, Source: "ssh://git@git.rsj.example/ops/gengfu-definitions.git · main", Checked: now.Add(-14 * time.Second),
		Refused: &view.Refusal{
			Commit: "c41d90ae7712bb0f4cd1e9a83b5f60d2a9e7c310", Author: "李强", Subject: "新增岗位招聘拨测", At: now.Add(-37 * time.Minute),
			Mistakes: []string{
				`services/wechat/zhaopin.yaml:14:12: every: want 10s or more, got "5"; write "5s" as a duration`,
				`services/wechat/zhaopin.yaml:21:9: steps[2]: unknown key "clik"; did you mean "tap"?`,
				`services/wechat/zhaopin.yaml:27:14: expect[0]: unknown field "lpc"; fields of this kind: lcp, fcp, ttfb, load, script_errors`,
				`routes.yaml: route "值班" is defined twice`,
			},
		},
		Error: "fetching ssh://git@git.rsj.example/ops/gengfu-definitions.git: dial tcp: lookup git.rsj.example: no such host",
	}
	inc := incident.Incident{
		ID: "GZ-20261125-0003", Service: "shebao-quanyi", Name: "社会保险个人权益记录查询", Channel: probes.ChannelPortal, Grade: incident.GradeOrdinary,
		Class: probes.ClassMaintenancePage, Probes: []probes.Key{{Service: "shebao-quanyi", Probe: "page"}, {Service: "shebao-quanyi", Probe: "api"}},
		Vantages: []string{telecom, unicom}, Began: now.Add(-98 * time.Minute), Opened: now.Add(-97 * time.Minute),
		FirstBad: traceID("bad" + unicom), LastGood: traceID("good" + unicom), Finding: finding,
	}
	major := incident.Incident{
		ID: "GZ-20261125-0002", Service: "api-fankui", Name: "办件状态反馈", Channel: probes.ChannelPlatform, Grade: incident.GradeMajor, Class: probes.ClassTimeout,
		Probes: []probes.Key{{Service: "api-fankui", Probe: "api"}}, Vantages: []string{mobile, telecom, unicom}, Began: now.Add(-163 * time.Minute), Opened: now.Add(-162 * time.Minute),
		FirstBad: traceID("bad2"), Acked: now.Add(-151 * time.Minute), AckedBy: "张伟", Finding: probes.Finding{Class: probes.ClassTimeout, Step: "request", Phrase: probes.PhraseReplyTimeout, Want: "zwfw.example", Got: "10s"},
	}
	past := incident.Incident{
		ID: "GZ-20261121-0001", Service: "shebao-quanyi", Name: "社会保险个人权益记录查询", Channel: probes.ChannelPortal, Grade: incident.GradeOrdinary, Class: probes.ClassStatus,
		Probes: []probes.Key{{Service: "shebao-quanyi", Probe: "api"}}, Vantages: []string{telecom, unicom}, Began: now.Add(-4*24*time.Hour - 20*time.Minute), Opened: now.Add(-4*24*time.Hour - 19*time.Minute),
		Resolved: now.Add(-4*24*time.Hour - 3*time.Minute), Acked: now.Add(-4*24*time.Hour - 15*time.Minute), AckedBy: "王敏", FirstBad: traceID("bad3"),
		Finding: probes.Finding{Class: probes.ClassStatus, Step: "request", Phrase: probes.PhraseCheck, Want: "status == 200", Got: "status = 502"},
	}
	f.incidents = []incident.Incident{inc, major, past}

	groups := map[probes.Channel]*view.ChannelGroup{}
	counts := map[string]int{}
	for k, s := range specs {
		row := view.ServiceRow{
			ID: s.id, Name: s.name, Code: s.code, Channel: s.channel, Owner: s.owner, URL: s.url, Life: probes.LifePublished, Latency: s.latency,
			State: view.State{
				Verdict: probes.Up, Reason: availability.ReasonAgreed, Slot: now.Add(-20 * time.Second), Since: now.Add(-time.Duration(5+k) * time.Hour),
				Vantages: []availability.Vote{vote(telecom, probes.Up, "", s.latency, probes.TriggerSlot, "ok"+s.id), vote(unicom, probes.Up, "", s.latency*9/10, probes.TriggerSlot, "ok"+s.id)},
			},
			Today: fig(10*time.Hour+40*time.Minute, 0, 90*time.Second, 0),
		}
		switch s.id {
		case "shebao-quanyi":
			row.State = view.State{Verdict: probes.Down, Class: probes.ClassMaintenancePage, Reason: availability.ReasonAgreed, Since: inc.Began, Slot: now.Add(-20 * time.Second), Finding: finding, Vantages: []availability.Vote{
				vote(mobile, probes.Up, "", 1510*time.Millisecond, probes.TriggerConfirm, "bad"), vote(telecom, probes.Down, probes.ClassMaintenancePage, 2210*time.Millisecond, probes.TriggerSlot, "bad"), vote(unicom, probes.Down, probes.ClassMaintenancePage, 2040*time.Millisecond, probes.TriggerSlot, "bad"),
			}}
			row.Incident, row.Today = inc.ID, fig(9*time.Hour+4*time.Minute, 98*time.Minute, 0, 1)
		case "api-fankui":
			row.State = view.State{Verdict: probes.Down, Class: probes.ClassTimeout, Reason: availability.ReasonAgreed, Since: major.Began, Slot: now.Add(-9 * time.Second), Finding: major.Finding}
			row.Incident, row.Latency, row.Today = major.ID, 0, fig(7*time.Hour+59*time.Minute, 163*time.Minute, 0, 1)
		case "wx-yanglao":
			row.State.Verdict, row.State.Class, row.State.Reason = probes.Degraded, probes.ClassScriptError, availability.ReasonPartial
			row.State.Finding = probes.Finding{Class: probes.ClassScriptError, Phrase: probes.PhraseScriptErrors, Got: "TypeError: Cannot read properties of undefined (reading 'months')"}
		case "app-jiaofei":
			row.State.Verdict, row.State.Class = probes.Degraded, probes.ClassLatency
			row.State.Finding = probes.Finding{Class: probes.ClassLatency, Phrase: probes.PhraseCheck, Want: "lcp < 4s", Got: "lcp = 5.82s"}
		case "node-1":
			row.State = view.State{Stale: true, Slot: now.Add(-17 * time.Minute)}
			row.Today = fig(8*time.Hour, 0, 2*time.Hour+40*time.Minute, 0)
		case "wx-jineng":
			row.Life = probes.LifeDraft
		}
		row.Recent = bars(24, time.Hour, k, row.State.Verdict)
		g := groups[s.channel]
		if g == nil {
			g = &view.ChannelGroup{Channel: s.channel, Counts: map[string]int{}}
			groups[s.channel] = g
		}
		v := row.State.Verdict.String()
		if row.Life == probes.LifeDraft {
			g.Drafts++
		} else {
			g.Counts[v]++
			counts[v]++
		}
		if v == "up" {
			g.Services = append(g.Services, row)
		} else {
			g.Services = append([]view.ServiceRow{row}, g.Services...)
		}
		f.services[s.id] = service(row, k, f.incidents)
	}
	f.overview = view.Overview{
		Now: now, Counts: counts, Incidents: []incident.Incident{inc, major}, Agents: view.AgentsSummary{Alive: 3, Known: 4}, Catalog: f.catalog,
		Warnings: []view.Warning{
			{Kind: "catalog_refused", Link: "/definitions", Text: "新的监测定义（c41d90ae77）有 4 处错误，未采用，仍按上一版拨测；请按提示修改后重新提交。"},
			{Kind: "agents_missing", Link: "/agents", Text: "探针 agent-zw-01（政务外网）已失联，最近一次拨测在 2026-11-25 10:24:51；其任务已由其他探针接管，请检查该主机和网络。"},
		},
	}
	for _, c := range probes.Channels() {
		if g := groups[c]; g != nil {
			f.overview.Channels = append(f.overview.Channels, *g)
		}
	}
	f.agents = []view.Agent{
		{Name: "agent-dx-01", Site: telecom, Labels: map[string]string{"site": telecom, "isp": "电信", "network": "internet"}, Capabilities: []string{"browser"}, Alive: true, Address: "10.20.3.11:7946", Version: "0.1.0", Commit: rev.Commit, LastSeen: now, LastRun: now.Add(-3 * time.Second), Owns: 22, Runs24h: 18640, Unknown24h: 0},
		{Name: "agent-lt-01", Site: unicom, Labels: map[string]string{"site": unicom, "isp": "联通", "network": "internet"}, Capabilities: []string{"browser", "ipv6"}, Alive: true, Address: "10.20.1.11:7946", Version: "0.1.0", Commit: rev.Commit, LastSeen: now, LastRun: now.Add(-1 * time.Second), Owns: 24, Runs24h: 19872, Unknown24h: 3},
		{Name: "agent-yd-01", Site: mobile, Labels: map[string]string{"site": mobile, "isp": "移动", "network": "internet"}, Alive: true, Address: "10.20.2.11:7946", Version: "0.1.0", Commit: "77c0de11aa", Behind: true, LastSeen: now, LastRun: now.Add(-6 * time.Second), Owns: 16, Runs24h: 15230},
		{Name: "agent-zw-01", Site: "政务外网", Labels: map[string]string{"site": "政务外网", "network": "gov"}, LastSeen: now.Add(-18 * time.Minute), LastRun: now.Add(-18 * time.Minute), Runs24h: 9120, Unknown24h: 41},
	}
	f.richRuns()
	f.richIncidents(inc, major, past)
	f.richRecords()
	return f
}

func service(row view.ServiceRow, k int, list []incident.Incident) view.Service {
	v := view.Service{
		Now: now, Row: row, Menu: []string{"社保服务", "个人权益", row.Name}, Target: 99.9, Source: "services/portal/" + row.ID + ".yaml:1",
		Runbook: "一、先看联通、电信两个监测点是否都异常。\n二、联系业务系统值班（信息中心，分机 8021），确认是否有未报备的发布。\n三、15 分钟内未恢复，通知社保中心联系人并在此记录。",
		Days:    bars(90, 24*time.Hour, k+40, row.State.Verdict), Hours: bars(96, 15*time.Minute, k+80, row.State.Verdict),
		Day: row.Today, Week: fig(7*24*time.Hour-115*time.Minute, 115*time.Minute, 11*time.Minute, 2), Month: fig(30*24*time.Hour-149*time.Minute, 149*time.Minute, 3*time.Hour, 4),
		Windows: []view.Window{{From: now.Add(8 * time.Hour), To: now.Add(10 * time.Hour), Reason: "数据库例行维护（已审批 WH-2026-118）"}},
	}
	for _, i := range list {
		if i.Service == row.ID {
			v.Incidents = append(v.Incidents, i)
		}
	}
	for n, p := range []struct {
		id, name, kind string
		every          time.Duration
		base           float64
	}{{"page", "查询页面", "browser", 5 * time.Minute, 1400}, {"api", "查询接口", "http", 30 * time.Second, 160}} {
		key := probes.Key{Service: row.ID, Probe: p.id}
		pv := view.ProbeView{Key: key, Name: p.name, Kind: p.kind, Every: p.every, Timeout: 30 * time.Second, Quorum: 2, Count: 2, Owners: []string{"agent-dx-01", "agent-lt-01"}, State: row.State}
		for s, site := range []string{telecom, unicom} {
			series := view.Series{Vantage: site, P50: p.base * (1 + 0.2*float64(s)), P95: p.base * (1.6 + 0.2*float64(s))}
			step := max(p.every, time.Minute)
			for t := now.Add(-6 * time.Hour); t.Before(now); t = t.Add(step) {
				j := int(t.Unix()/60) + s*977 + n*31
				// Two hours ago nobody ran for a while: the chart shows a gap.
				if gone := now.Sub(t); gone > 150*time.Minute && gone < 170*time.Minute {
					continue
				}
				pt := view.Point{At: t, MS: p.base * (0.85 + 0.2*float64(s) + 0.35*pseudo(j) + 0.1*math.Sin(float64(j)/40)), Verdict: probes.Up, TraceID: traceID(fmt.Sprint(row.ID, p.id, site, j))}
				if pseudo(j+7) > 0.985 {
					pt.MS, pt.Verdict = pt.MS*2.6, probes.Degraded
				}
				if row.State.Verdict == probes.Down && now.Sub(t) < 98*time.Minute {
					pt.Verdict, pt.MS = probes.Down, 2100
				}
				series.Points = append(series.Points, pt)
			}
			pv.Latency = append(pv.Latency, series)
		}
		for j := range 20 {
			site := []string{telecom, unicom}[j%2]
			r := view.RunRow{TraceID: traceID(fmt.Sprint("row", row.ID, p.id, j)), Key: key, Slot: now.Add(-time.Duration(j/2) * p.every), Started: now.Add(-time.Duration(j/2)*p.every - time.Duration(j)*time.Second), Took: time.Duration(p.base*(0.9+pseudo(j))) * time.Millisecond, Agent: []string{"agent-dx-01", "agent-lt-01"}[j%2], Vantage: site, Trigger: probes.TriggerSlot, Verdict: probes.Up, Status: 200}
			if row.State.Verdict == probes.Down {
				r.Verdict, r.Class, r.Finding = probes.Down, finding.Class, finding
			}
			if j == 1 {
				r.TraceID, r.Trigger = traceID("bad"+unicom), probes.TriggerConfirm
			}
			pv.Runs = append(pv.Runs, r)
		}
		v.Probes = append(v.Probes, pv)
	}
	return v
}

func (f *fixture) richRuns() {
	key := probes.Key{Service: "shebao-quanyi", Probe: "page"}
	start := now.Add(-20 * time.Second)
	spans := func(fail bool) []probes.Span {
		ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
		id := func(n int) string { return fmt.Sprintf("%016x", n) }
		list := []probes.Span{
			{ID: id(1), Name: "browser shebao-quanyi/page", Start: start, Took: ms(2040), Attrs: map[string]string{"gengfu.verdict": "down", "gengfu.probe": "shebao-quanyi/page", "gengfu.agent": "agent-lt-01", "user_agent.synthetic.type": "test"}},
			{ID: id(2), Parent: id(1), Name: "open https://www.rsj.example/si/qyjl", Start: start.Add(ms(40)), Took: ms(820), Attrs: map[string]string{"url.full": "https://www.rsj.example/si/qyjl"}},
			{ID: id(3), Parent: id(2), Name: "dns", Start: start.Add(ms(44)), Took: ms(6), Attrs: map[string]string{"dns.question.name": "www.rsj.example", "network.peer.address": "10.8.2.14"}},
			{ID: id(4), Parent: id(2), Name: "connect", Start: start.Add(ms(50)), Took: ms(11), Attrs: map[string]string{"server.address": "www.rsj.example", "server.port": "443"}},
			{ID: id(5), Parent: id(2), Name: "tls", Start: start.Add(ms(61)), Took: ms(38), Attrs: map[string]string{"tls.protocol.version": "1.3", "tls.cipher": "TLS_AES_128_GCM_SHA256"}},
			{ID: id(6), Parent: id(2), Name: "first_byte", Start: start.Add(ms(99)), Took: ms(412), Attrs: map[string]string{"http.response.status_code": "200"}},
			{ID: id(7), Parent: id(2), Name: "body", Start: start.Add(ms(511)), Took: ms(48), Attrs: map[string]string{"http.response.body.size": "18244"}},
		}
		for k := range 9 {
			list = append(list, probes.Span{ID: id(20 + k), Parent: id(2), Name: "resource", Start: start.Add(ms(560 + 21*k)), Took: ms(30 + 13*k), Attrs: map[string]string{"url.full": fmt.Sprintf("https://www.rsj.example/static/%d.js", k), "http.response.status_code": "200", "gengfu.resource.own": fmt.Sprint(k != 8), "gengfu.resource.kind": []string{"script", "stylesheet", "image", "xhr"}[k%4]}})
		}
		see := probes.Span{ID: id(40), Parent: id(1), Name: "see 个人权益记录", Start: start.Add(ms(860)), Took: ms(20)}
		fill := probes.Span{ID: id(41), Parent: id(1), Name: "fill #idno", Start: start.Add(ms(880)), Took: ms(90), Attrs: map[string]string{"gengfu.step.selector": "#idno", "gengfu.step.value": probes.Masked}}
		tap := probes.Span{ID: id(42), Parent: id(1), Name: "tap text=查询", Start: start.Add(ms(970)), Took: ms(510)}
		last := probes.Span{ID: id(43), Parent: id(1), Name: "see 缴费明细", Start: start.Add(ms(1480)), Took: ms(500)}
		if fail {
			last.Class, last.Error = probes.ClassStep, "step: text_missing: want 缴费明细, got 《系统维护中》请稍后再试"
			last.Finding = probes.Finding{Class: probes.ClassStep, Phrase: probes.PhraseTextMissing, Want: "缴费明细", Got: "《系统维护中》请稍后再试"}
		}
		return append(list, see, fill, tap, last, probes.Span{ID: id(44), Parent: id(1), Name: "screenshot", Start: start.Add(ms(1980)), Took: ms(60)})
	}
	run := probes.Run{
		Key: key, Slot: start.Add(-120 * time.Millisecond), Every: 5 * time.Minute, Channel: probes.ChannelPortal, Kind: "browser", Agent: "agent-lt-01", Vantage: unicom,
		Labels: map[string]string{"site": unicom, "isp": "联通", "network": "internet"}, Revision: f.catalog.Revision.Commit, Trigger: probes.TriggerSlot, Started: start, Took: 2040 * time.Millisecond, Late: 120 * time.Millisecond,
		TraceID: traceID("bad" + unicom),
		Result: probes.Result{
			Verdict: probes.Down, Class: probes.ClassMaintenancePage, Findings: []probes.Finding{finding, {Class: probes.ClassLatency, Phrase: probes.PhraseCheck, Want: "lcp < 1.5s", Got: "lcp = 1.62s"}},
			Checks:  []probes.Check{{Expr: "status == 200", OK: true, Saw: "status = 200"}, {Expr: "script_errors == 0", OK: true, Saw: "script_errors = 0"}, {Expr: "lcp < 1.5s", Warn: true, Saw: "lcp = 1.62s"}, {Expr: `text contains "缴费明细"`, Saw: `text = "系统维护中，请稍后再试。预计恢复时间 12:00"`}},
			Timings: probes.Timings{DNS: 6 * time.Millisecond, Connect: 11 * time.Millisecond, TLS: 38 * time.Millisecond, FirstByte: 412 * time.Millisecond, Body: 48 * time.Millisecond, Total: 2040 * time.Millisecond},
			Status:  200, URL: "https://www.rsj.example/si/qyjl", IP: "10.8.2.14", TLSUntil: now.AddDate(0, 0, 23), Steps: 5, Passed: 4, Title: "系统维护中",
			Measures: map[string]float64{"lcp_ms": 1620, "fcp_ms": 610, "ttfb_ms": 412, "load_ms": 1190, "bytes": 684123, "requests": 23, "script_errors": 0},
			Evidence: []probes.Evidence{{Kind: "screenshot", MIME: "image/jpeg", SHA256: digest("shot"), Size: 48211}, {Kind: "body", MIME: "text/html", SHA256: digest("body"), Size: 2210}},
		},
	}
	good := run
	good.TraceID, good.Started, good.Slot = traceID("good"+unicom), run.Started.Add(-100*time.Minute), run.Slot.Add(-100*time.Minute)
	good.Result = probes.Result{
		Verdict: probes.Up, Status: 200, URL: run.Result.URL, IP: "10.8.2.13", Title: "社会保险个人权益记录查询", Steps: 5, Passed: 5, TLSUntil: run.Result.TLSUntil,
		Timings:  probes.Timings{DNS: 5 * time.Millisecond, Connect: 10 * time.Millisecond, TLS: 35 * time.Millisecond, FirstByte: 118 * time.Millisecond, Body: 44 * time.Millisecond, Total: 1460 * time.Millisecond},
		Evidence: []probes.Evidence{{Kind: "screenshot", MIME: "image/jpeg", SHA256: digest("goodshot"), Size: 51200}},
		Parts: []probes.Part{
			{Name: "一号", Verdict: probes.Up, IP: "10.8.2.13", Status: 200, Took: 1460 * time.Millisecond},
			{Name: "二号", Verdict: probes.Down, Class: probes.ClassConnect, Took: 3 * time.Millisecond},
		},
	}
	slot := availability.Slot{Key: key, Start: run.Slot, Every: run.Every, Rule: availability.Rule{Count: 2, Quorum: 2}, Verdict: probes.Down, Class: probes.ClassMaintenancePage, Reason: availability.ReasonAgreed, Votes: f.services["shebao-quanyi"].Row.State.Vantages}
	f.runs[run.TraceID] = view.Run{Run: run, Service: "社会保险个人权益记录查询", Spans: spans(true), LastGood: good.TraceID, Slot: &slot}
	f.runs[good.TraceID] = view.Run{Run: good, Service: "社会保险个人权益记录查询", Spans: spans(false)}
}

func (f *fixture) richIncidents(inc, major, past incident.Incident) {
	delivery := func(id int64, i incident.Incident, e alert.Event, s alert.State, title string) alert.Delivery {
		d := alert.Delivery{ID: id, Route: "值班-企业微信", State: s, Attempts: 1, Created: i.Opened.Add(2 * time.Second), Notification: alert.Notification{Event: e, Incident: i, Title: title}}
		if s == alert.StateSent {
			d.Done = d.Created.Add(time.Second)
		}
		return d
	}
	sent := delivery(7, inc, alert.EventOpened, alert.StateSent, "【故障】社会保险个人权益记录查询：页面显示系统维护")
	retry := delivery(8, inc, alert.EventOpened, alert.StatePending, "【故障】社会保险个人权益记录查询：页面显示系统维护")
	retry.Route, retry.Attempts, retry.NextAttempt, retry.LastError = "应急-webhook", 4, now.Add(40*time.Second), "POST https://hook.rsj.example/…: 503 Service Unavailable"
	silenced := delivery(5, past, alert.EventOpened, alert.StateSilenced, "【故障】社会保险个人权益记录查询：返回错误状态码")
	failed := delivery(6, major, alert.EventMajor, alert.StateFailed, "【重大故障】办件状态反馈：访问超时")
	failed.Attempts, failed.LastError, failed.Done = 12, "钉钉返回 310000：关键词不匹配", now.Add(-20*time.Minute)
	f.alerts = []alert.Delivery{retry, sent, failed, silenced}

	var runs []view.RunRow
	runs = append(runs, f.services["shebao-quanyi"].Probes[0].Runs[:8]...)
	f.details[inc.ID] = view.Incident{
		Incident: inc, Now: now, Owner: "社保中心", Runbook: f.services["shebao-quanyi"].Runbook, Deliveries: []alert.Delivery{retry, sent}, Runs: runs,
		Notes: []incident.Note{
			{At: inc.Opened, By: "gengfu", Kind: "opened", Text: "联通机房、电信机房均看到「系统维护中」页面。"},
			{At: inc.Opened.Add(3 * time.Second), By: "gengfu", Kind: "alert", Text: "已通知 值班-企业微信。"},
			{At: now.Add(-80 * time.Minute), By: "王敏", Kind: "note", Text: "已电话联系业务系统值班，对方正在做未报备的版本发布，预计 12:00 完成。\n门户首页已挂出提示公告。"},
			{At: now.Add(-31 * time.Minute), By: "李强", Kind: "note", Text: "发布回退中。"},
		},
		Clocks: []view.Clock{
			{Name: "resolve_2h", Due: inc.Opened.Add(2 * time.Hour)},
			{Name: "respond_8h", Due: inc.Opened.Add(8 * time.Hour), Done: now.Add(-80 * time.Minute)},
			{Name: "major_resolve_12h", Due: inc.Opened.Add(12 * time.Hour)},
		},
	}
	f.details[major.ID] = view.Incident{Incident: major, Now: now, Owner: "信息中心", Deliveries: []alert.Delivery{failed}, Clocks: []view.Clock{{Name: "resolve_2h", Due: major.Opened.Add(2 * time.Hour), Late: true}}}
	f.details[past.ID] = view.Incident{Incident: past, Now: now, Owner: "社保中心", Clocks: []view.Clock{
		{Name: "resolve_2h", Due: past.Opened.Add(2 * time.Hour), Done: past.Resolved}, {Name: "report_24h", Due: past.Resolved.Add(24 * time.Hour), Late: true},
	}}
}

func (f *fixture) richRecords() {
	day := now.Format(time.DateOnly)
	columns := []record.Column{
		{Title: "序号"},
		{Title: "监控日期"},
		{Title: "轮次/时间"},
		{Title: "渠道"},
		{Title: "菜单路径"},
		{Title: "服务名称"},
		{Title: "服务编码"},
		{Title: "链接地址"},
		{Title: "监控方式"},
		{Title: "探针(正常/总数)", Group: "监测"},
		{Title: "状态码", Group: "监测"},
		{Title: "首字节ms", Group: "监测"},
		{Title: "完成ms", Group: "监测"},
		{Title: "关键内容校验", Group: "监测"},
		{Title: "业务步骤", Group: "监测"},
		{Title: "证书剩余天数", Group: "监测"},
		{Title: "监控结果", Group: "监测"},
		{Title: "异常类型", Group: "异常"},
		{Title: "异常描述", Group: "异常"},
		{Title: "发生时间", Group: "异常"},
		{Title: "恢复时间", Group: "异常"},
		{Title: "持续时长", Group: "异常"},
		{Title: "告警/故障编号", Group: "异常"},
		{Title: "处理人", Group: "处理"},
		{Title: "处理措施", Group: "处理"},
		{Title: "处理结果", Group: "处理"},
		{Title: "证据编号"},
		{Title: "监控人", Group: "人员"},
		{Title: "复核人", Group: "人员"},
		{Title: "备注"},
	}
	table := record.Table{Title: "门户", Columns: columns}
	n := 0
	for _, round := range []string{"09:00", "14:00"} {
		for _, s := range specs[:8] {
			n++
			row := s.id + "@" + round
			text := func(t string) record.Cell { return record.Cell{Text: t} }
			fill := func(field, t string) record.Cell { return record.Cell{Text: t, Field: field, Row: row} }
			cells := []record.Cell{
				text(fmt.Sprint(n)), text(day), text("第1轮 " + round), text("门户"), text("—"),
				{Text: s.name, Link: "/services/" + s.id},
				text(s.code),
				{Text: s.url, Link: s.url},
				text("HTTP+浏览器"),
				text("2/2"), text("200"), text("96"), text("312"), text("通过"), text("5/5"), text("23"),
				{Text: "正常", Tone: "ok"},
				text(""), text(""), text(""), text(""), text(""), text(""), text("—"), text("—"), text("—"), text(""), fill("monitor", "王敏"), fill("reviewer", record.ToFill), fill("remark", ""),
			}
			if s.id == "shebao-quanyi" && round == "09:00" {
				cells[16] = record.Cell{Text: "异常", Tone: "bad"}
				cells[9], cells[13], cells[14] = text("0/2"), record.Cell{Text: "未通过", Tone: "bad"}, text("4/5")
				cells[17], cells[18], cells[19], cells[20], cells[21], cells[22] = text("页面显示系统维护"), text("页面显示系统维护：《系统维护中》请稍后再试。预计恢复时间 12:00"), text("09:04:17"), text("未恢复"), text("1小时38分"), record.Cell{Text: "GZ-20261125-0003", Link: "/incidents/GZ-20261125-0003"}
				cells[23], cells[24], cells[25] = fill("handler", record.ToFill), fill("measure", record.ToFill), fill("outcome", record.ToFill)
				cells[26] = record.Cell{Text: "7fd2c0a1", Link: "/runs/" + traceID("bad"+unicom)}
			}
			if round == "14:00" {
				for k := 9; k <= 15; k++ {
					cells[k] = text("—")
				}
				cells[16] = record.Cell{Text: "未监控", Tone: "mute"}
			}
			table.Rows = append(table.Rows, cells)
		}
	}
	empty := record.Table{Title: "公众号 H5", Columns: columns}
	f.sheets["daily/"+day] = record.Sheet{
		Kind: "daily", Title: "服务发布日常监控记录", Number: "JK-RB-20261125", Period: record.Period{Name: day}, Digest: digest("sheet"),
		Head:    []record.Line{{Label: "统计周期", Text: day + " 00:00 至 24:00"}, {Label: "编制单位", Text: "信息中心运维组"}, {Label: "定义版本", Text: f.catalog.Revision.Commit[:10]}, {Label: "轮次", Text: "09:00、14:00、17:00"}},
		Summary: "截至 10:42，应监测 18 项服务、54 个轮次，已监测 18 个，覆盖率 100.00%；异常 2 项：社会保险个人权益记录查询、办件状态反馈；降级 2 项。",
		Tables:  []record.Table{table, empty},
		Foot:    []record.Line{{Label: "监控人签字", Text: "＿＿＿＿＿＿"}, {Label: "复核人签字", Text: "＿＿＿＿＿＿"}, {Label: "说明", Text: "14:00 之后的轮次尚未到时。"}},
	}
	for k := range 6 {
		d := now.AddDate(0, 0, -k)
		left := 0
		if k < 2 {
			left = 25 - 9*k
		}
		f.records = append(f.records, view.Record{Kind: "daily", Day: d.Format(time.DateOnly), Title: "服务发布日常监控记录", Rows: 54, ToFill: left, Updated: d.Add(-time.Minute)})
	}
}

// empty is a fleet that was just installed.
func empty() *fixture {
	day := now.Format(time.DateOnly)
	key := probes.Key{Service: "new", Probe: "page"}
	return &fixture{
		overview: view.Overview{Now: now, Counts: map[string]int{}},
		services: map[string]view.Service{
			"new":  {Now: now, Row: view.ServiceRow{ID: "new", Name: "新服务", Channel: probes.ChannelPortal}, Days: make([]view.Bar, 90), Hours: make([]view.Bar, 96), Probes: []view.ProbeView{{Key: key, Kind: "http"}}},
			"bare": {Row: view.ServiceRow{ID: "bare", Name: "空服务", Channel: probes.ChannelPortal}},
		},
		runs:    map[string]view.Run{traceID("x"): {Run: probes.Run{Key: key, TraceID: traceID("x"), Started: now}}},
		details: map[string]view.Incident{"GZ-1": {Incident: incident.Incident{ID: "GZ-1", Began: now, Opened: now, Grade: incident.GradeOrdinary}}},
		sheets:  map[string]record.Sheet{"daily/" + day: {Kind: "daily", Title: "服务发布日常监控记录"}},
		catalog: view.CatalogState{Source: "/srv/definitions"},
	}
}
