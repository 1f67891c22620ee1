package view

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/probes"
)

// maxOpen bounds the open incidents of the overview. A service has at most one,
// so that it is beyond any fleet: a count that stopped at a page's length would
// be wrong on the day when it matters.
const maxOpen = 10_000

// Overview answers the first page.
func (b *Builder) Overview(ctx context.Context) (Overview, error) {
	now := b.Now()
	open, err := b.Store.Incidents(ctx, IncidentFilter{OpenOnly: true, Limit: maxOpen})
	if err != nil {
		return Overview{}, fmt.Errorf("reading open incidents: %w", err)
	}
	latest, err := b.Store.LatestSlots(ctx)
	if err != nil {
		return Overview{}, fmt.Errorf("reading the newest slots: %w", err)
	}
	catalog, err := b.CatalogState(ctx)
	if err != nil {
		return Overview{}, err
	}
	agents, err := b.Agents(ctx)
	if err != nil {
		return Overview{}, err
	}
	out := Overview{
		Now: now, Counts: map[string]int{}, Incidents: open, Catalog: catalog,
		Agents: AgentsSummary{Known: len(agents)}, Channels: []ChannelGroup{},
	}
	if open == nil {
		out.Incidents = []incident.Incident{}
	}
	for _, a := range agents {
		if a.Alive {
			out.Agents.Alive++
		}
	}
	if out.Warnings, err = b.warnings(ctx, agents, catalog); err != nil {
		return Overview{}, err
	}
	groups := map[probes.Channel]*ChannelGroup{}
	for _, s := range b.services() {
		if s.Life == probes.LifeRetired {
			continue
		}
		row, err := b.row(ctx, s, latest, open, now)
		if err != nil {
			return Overview{}, err
		}
		g := groups[s.Channel]
		if g == nil {
			g = &ChannelGroup{Channel: s.Channel, Counts: map[string]int{}}
			groups[s.Channel] = g
		}
		g.Services = append(g.Services, row)
		if s.Life == probes.LifeDraft { // no promise to the public yet
			g.Drafts++
			out.Drafts++
			continue
		}
		g.Counts[row.State.Verdict.String()]++
		out.Counts[row.State.Verdict.String()]++
	}
	for _, c := range probes.Channels() {
		if g := groups[c]; g != nil {
			sortWorstFirst(g.Services)
			out.Channels = append(out.Channels, *g)
		}
	}
	return out, nil
}

func draft(row ServiceRow) int {
	if row.Life == probes.LifeDraft {
		return 1
	}
	return 0
}

// sortWorstFirst puts what needs a person on top, and drafts, which need none at
// night, last. Equals keep their order by id.
func sortWorstFirst(rows []ServiceRow) {
	weight := map[probes.Verdict]int{probes.Down: 0, probes.Degraded: 1, probes.Unknown: 2, probes.Up: 3}
	slices.SortStableFunc(rows, func(x, y ServiceRow) int {
		return cmp.Or(draft(x)-draft(y), cmp.Compare(weight[x.State.Verdict], weight[y.State.Verdict]), cmp.Compare(x.ID, y.ID))
	})
}

// row is one service's line in the overview.
func (b *Builder) row(ctx context.Context, s probes.Service, latest map[probes.Key]availability.Slot, open []incident.Incident, now time.Time) (ServiceRow, error) {
	row := ServiceRow{
		ID: s.ID, Name: s.Name, Code: s.Code, Channel: s.Channel, Owner: s.Owner, URL: s.URL, Life: s.Life,
	}
	var states []State
	for _, p := range s.Probes {
		slot, judged := latest[p.Key]
		st, err := b.probeState(ctx, slot, judged, now)
		if err != nil {
			return ServiceRow{}, err
		}
		states = append(states, st)
		if took, ok := goodLatency(slot.Votes); ok && (row.Latency == 0 || took > row.Latency) {
			// The slowest probe is what the public waits for.
			row.Latency = took
		}
	}
	row.State = combine(states)
	for _, i := range open {
		if i.Service == s.ID {
			row.Incident = i.ID
			if row.State.Verdict == probes.Down {
				row.State.Since = i.Began
			}
			break
		}
	}
	hour := now.Truncate(time.Hour)
	today, _ := calendar.Day(now)
	var sum availability.Figure
	for k := 23; k >= 0; k-- {
		from := hour.Add(-time.Duration(k) * time.Hour)
		bar, err := b.bar(ctx, s.ID, from, from.Add(time.Hour), now)
		if err != nil {
			return ServiceRow{}, err
		}
		row.Recent = append(row.Recent, bar.bar)
		if !from.Before(today) {
			sum = add(sum, bar.raw)
		}
	}
	row.Today = toFigure(sum)
	return row, nil
}

// add sums two figures of neighbouring stretches. An outage that crosses their
// border counts in both, so sums are for availability and coverage.
func add(x, y availability.Figure) availability.Figure {
	return availability.Figure{
		Up: x.Up + y.Up, Degraded: x.Degraded + y.Degraded, Down: x.Down + y.Down,
		Unknown: x.Unknown + y.Unknown, Maintenance: x.Maintenance + y.Maintenance,
		Outages: x.Outages + y.Outages, Longest: max(x.Longest, y.Longest),
	}
}

// goodLatency is the slowest working vantage's time.
func goodLatency(votes []availability.Vote) (time.Duration, bool) {
	var took time.Duration
	for _, v := range votes {
		if v.Verdict == probes.Up || v.Verdict == probes.Degraded {
			took = max(took, v.Took)
		}
	}
	return took, took > 0
}

// CatalogState answers which definitions are in use.
func (b *Builder) CatalogState(ctx context.Context) (CatalogState, error) {
	g := b.Git()
	st := CatalogState{Source: g.Source, Checked: g.Checked, Error: g.Error}
	if c := b.Catalog(); c != nil {
		st.Revision = c.Revision
	}
	refused, err := b.Store.Refusal(ctx)
	if err != nil {
		return CatalogState{}, fmt.Errorf("reading the refused revision: %w", err)
	}
	st.Refused = refused
	return st, nil
}

// warnings lists what is wrong with the fleet itself.
func (b *Builder) warnings(ctx context.Context, agents []Agent, c CatalogState) ([]Warning, error) {
	out := []Warning{}
	if b.Health != nil {
		out = append(out, b.Health()...)
	}
	if c.Refused != nil {
		out = append(out, Warning{Kind: "catalog_refused", Link: "/definitions", Text: fmt.Sprintf(
			"新的监测定义（%s）有 %d 处错误，未采用，仍按上一版拨测；请按提示修改后重新提交。", short(c.Refused.Commit), len(c.Refused.Mistakes))})
	}
	if c.Error != "" {
		text := "读取定义仓库失败："
		if c.Revision.Digest != "" {
			text = "读取定义仓库失败，暂用最近一版定义："
		}
		out = append(out, Warning{Kind: "git", Link: "/definitions", Text: text + c.Error})
	}
	if c.Revision.Digest == "" {
		out = append(out, Warning{Kind: "catalog_missing", Link: "/definitions", Text: "还没有可用的监测定义，请检查定义仓库的地址和内容。"})
	}
	alive := 0
	sites := map[string]bool{}
	for _, a := range agents {
		if !a.Alive {
			out = append(out, Warning{Kind: "agents_missing", Link: "/agents", Text: fmt.Sprintf(
				"探针 %s（%s）已失联，最近一次拨测在 %s；其任务已由其他探针接管，请检查该主机和网络。",
				a.Name, a.Site, a.LastRun.In(calendar.Zone).Format("2006-01-02 15:04:05"))})
			continue
		}
		alive++
		sites[a.Site] = true
		if a.Behind {
			out = append(out, Warning{Kind: "agent_behind", Link: "/agents", Text: fmt.Sprintf(
				"探针 %s 使用的定义不是最新版，可能读取不到本协调器，请检查网络。", a.Name)})
		}
	}
	if alive == 0 {
		out = append(out, Warning{Kind: "agents_missing", Link: "/agents", Text: "没有在线的探针，所有服务都未被监测；请启动探针并检查集群密钥是否一致。"})
	} else {
		need, which := 0, ""
		for _, s := range b.services() {
			for _, p := range s.Probes {
				if p.Quorum > need {
					need, which = p.Quorum, p.Key.String()
				}
			}
		}
		if len(sites) < need {
			out = append(out, Warning{Kind: "spread", Link: "/agents", Text: fmt.Sprintf(
				"在线探针只分布在 %d 个监测点，而拨测 %s 等要求 %d 个监测点确认；不足时无法判定异常，请增加探针。", len(sites), which, need)})
		}
	}
	failed, err := b.Store.Deliveries(ctx, "", 50)
	if err != nil {
		return nil, fmt.Errorf("reading deliveries: %w", err)
	}
	for _, d := range failed {
		if d.LastError != "" && d.Done.IsZero() || d.State == "failed" {
			out = append(out, Warning{Kind: "alert_failed", Link: "/alerts", Text: fmt.Sprintf(
				"告警通道 %s 发送失败（已尝试 %d 次）：%s", d.Route, d.Attempts, d.LastError)})
			break
		}
	}
	return out, nil
}

func short(commit string) string {
	if len(commit) > 10 {
		return commit[:10]
	}
	return commit
}
