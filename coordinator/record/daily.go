package record

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/probes"
)

// Daily is 《服务发布日常监控记录》: a day, one row per published service and round.
var Daily = Document{Kind: "daily", Title: dailyTitle, Period: dayPeriod, Compose: composeDaily}

const dailyTitle = "服务发布日常监控记录"

// column is one column of the form: how a row's cell is made.
type column struct {
	Column
	cell func(*row) Cell
}

// The columns of the form. Their widths are in characters of a workbook's standard
// font, and as narrow as they can be: thirty columns on one A3 sheet leave each
// letter less than seven points, and a wider column makes all letters smaller.
var dailyColumns = []column{
	{Column{Title: "序号", Width: 3.7}, func(r *row) Cell { return Cell{Text: fmt.Sprint(r.n)} }},
	{Column{Title: "监控日期", Width: 9}, func(r *row) Cell { return Cell{Text: r.period.Name} }},
	{Column{Title: "轮次/时间", Width: 7.5}, (*row).time},
	{Column{Title: "渠道", Width: 5.6}, (*row).channel},
	{Column{Title: "菜单路径(一级/二级)", Width: 8.9}, func(r *row) Cell { return r.text(strings.Join(r.service.Service.Menu, "/")) }},
	{Column{Title: "服务名称", Width: 12.3}, func(r *row) Cell {
		return Cell{Text: r.service.Service.Name, Link: "/services/" + r.service.Service.ID}
	}},
	{Column{Title: "服务编码", Width: 6.3}, func(r *row) Cell { return r.text(cmp.Or(r.service.Service.Code, r.service.Service.ID)) }},
	{Column{Title: "链接地址", Width: 20.8}, func(r *row) Cell {
		return Cell{Text: cmp.Or(r.service.Service.URL, nothing), Link: r.service.Service.URL}
	}},
	{Column{Title: "监控方式", Width: 5.6}, (*row).ways},
	{Column{Title: "探针(正常/总数)", Width: 5.6}, (*row).agents},
	{Column{Title: "状态码", Width: 5.6}, (*row).status},
	{Column{Title: "首字节ms", Width: 5.6}, (*row).firstByte},
	{Column{Title: "完成ms", Width: 5.6}, (*row).total},
	{Column{Title: "关键内容校验", Width: 7.3}, (*row).checks},
	{Column{Title: "业务步骤(通过/总)", Width: 7.3}, (*row).steps},
	{Column{Title: "证书剩余天数", Width: 5.6}, (*row).certificate},
	{Column{Title: "监控结果", Width: 8.2}, func(r *row) Cell { return Cell{Text: r.result.text, Tone: r.result.tone} }},
	{Column{Title: "异常类型", Width: 7.3}, (*row).class},
	{Column{Title: "异常描述", Width: 31}, func(r *row) Cell { return r.text(r.trouble()) }},
	{Column{Title: "发生时间", Width: 9}, (*row).began},
	{Column{Title: "恢复时间", Width: 9}, (*row).resolved},
	{Column{Title: "持续时长", Width: 9}, (*row).lasted},
	{Column{Title: "告警/故障编号", Width: 14.2}, (*row).number},
	{Column{Title: "处理人", Width: 7.3}, func(r *row) Cell { return r.fill("handler", r.result == resultBad) }},
	{Column{Title: "处理措施", Width: 10.6}, func(r *row) Cell { return r.fill("measure", r.result == resultBad) }},
	{Column{Title: "处理结果", Width: 9}, func(r *row) Cell { return r.fill("outcome", r.result == resultBad) }},
	{Column{Title: "证据编号", Width: 11.8}, (*row).evidence},
	{Column{Title: "监控人", Width: 7.3}, func(r *row) Cell { return r.fill("watcher", r.watched()) }},
	{Column{Title: "复核人", Width: 7.3}, func(r *row) Cell { return r.fill("reviewer", r.watched()) }},
	{Column{Title: "备注", Width: 7.3}, (*row).remark},
}

// result is what the form's column 监控结果 says, with a sign beside the word so
// that a black-and-white print tells as much.
type result struct{ text, tone string }

var (
	resultOK          = result{"✓ 正常", "ok"}
	resultBad         = result{"✕ 异常", "bad"}
	resultMaintenance = result{"▣ 维护", "mute"}
	resultUnseen      = result{"？ 未监控", "warn"}
	resultAhead       = result{"… 未到时间", "mute"}
	resultAbsent      = result{"— 未纳入", "mute"} // not watched at that round, by definition: nobody failed to look
)

func composeDaily(p Period, f Facts) (Sheet, error) {
	digest, err := digestOf(p, f)
	if err != nil {
		return Sheet{}, err
	}
	s := Sheet{
		Kind: "daily", Title: dailyTitle, Period: p, Digest: digest,
		Number: "FWJK-" + strings.ReplaceAll(p.Name, "-", ""),
	}
	s.Head = []Line{
		{"文档编号", s.Number},
		{"统计周期", fmt.Sprintf("%s 00:00 至 24:00（北京时间）", p.Name)},
		{"编制单位/人", cmp.Or(f.Compiler, ToFill) + "/" + ToFill},
		{"审核人", ToFill},
		{"确认人(信息中心)", strings.TrimSpace(f.Client + " " + ToFill)},
		{"定义版本", cmp.Or(f.Commit, "无数据")},
		{"数据校验码", digest},
		{"生成时间", stamp(f.Now)},
	}
	t := Table{Title: dailyTitle}
	for _, c := range dailyColumns {
		t.Columns = append(t.Columns, c.Column)
	}
	sum := tally{shown: map[string]bool{}}
	for i, at := range f.Rounds {
		for _, sv := range f.Services {
			r := newRow(len(t.Rows)+1, p, f, sv, sv.Rounds[i], at)
			sum.count(r)
			cells := make([]Cell, 0, len(dailyColumns))
			for _, c := range dailyColumns {
				cells = append(cells, c.cell(r))
			}
			t.Rows = append(t.Rows, cells)
		}
	}
	s.Tables = []Table{t}
	s.Summary = summary(p, f, sum)
	s.Foot = foot(p, f, sum)
	return s, nil
}

// row is one service at one round, with what decides its cells.
type row struct {
	n        int
	id       string // names the row for filling
	period   Period
	facts    Facts
	service  ServiceFacts
	round    RoundFacts
	result   result
	worst    *ProbeFacts // the probe that decides; nil when none was seen
	run      *probes.Run // its run, or another's where it has none
	incident *incident.Incident
}

func newRow(n int, p Period, f Facts, sv ServiceFacts, round RoundFacts, at time.Duration) *row {
	r := &row{n: n, id: sv.Service.ID + "@" + clock(at), period: p, facts: f, service: sv, round: round}
	r.worst = worstProbe(round.Probes)
	if r.worst != nil {
		r.run = r.worst.Run
		for i := 0; r.run == nil && i < len(round.Probes); i++ {
			r.run = round.Probes[i].Run
		}
	}
	r.result = r.judge()
	if r.result == resultBad || r.degraded() {
		r.incident = incidentIn(f.Incidents, sv.Service.ID, r.worst)
	}
	return r
}

// judge says what the round's result is. No data is never 正常.
func (r *row) judge() result {
	if len(r.round.Probes) == 0 {
		return resultAbsent
	}
	if r.round.At.After(r.facts.Now) {
		return resultAhead
	}
	for _, w := range r.facts.Windows {
		if w.covers(r.service.Service.ID) && !r.round.At.Before(w.From) && r.round.At.Before(w.To) {
			return resultMaintenance
		}
	}
	if r.worst == nil || r.worst.Slot == nil {
		return resultUnseen
	}
	switch r.worst.Slot.Verdict {
	case probes.Down:
		return resultBad
	case probes.Up, probes.Degraded:
		return resultOK
	default:
		return resultUnseen
	}
}

// watched reports whether the row is about something that somebody watched, or
// should have.
func (r *row) watched() bool { return r.result != resultAhead && r.result != resultAbsent }

func (r *row) degraded() bool {
	return r.result == resultOK && r.worst.Slot.Verdict == probes.Degraded
}

// worstProbe is the probe that decides for its service: down before unknown
// before degraded before up, as in availability; a probe without a slot near
// the round is unknown. Nil when none has a slot.
func worstProbe(list []ProbeFacts) *ProbeFacts {
	if !slices.ContainsFunc(list, func(p ProbeFacts) bool { return p.Slot != nil }) {
		return nil
	}
	weight := func(p ProbeFacts) int {
		if p.Slot == nil {
			return 2
		}
		return [...]int{probes.Up: 0, probes.Degraded: 1, probes.Unknown: 2, probes.Down: 3}[p.Slot.Verdict]
	}
	worst := &list[0]
	for i := range list {
		if weight(list[i]) > weight(*worst) {
			worst = &list[i]
		}
	}
	return worst
}

// incidentIn is the service's incident that lasted during the probe's slot.
func incidentIn(list []incident.Incident, service string, p *ProbeFacts) *incident.Incident {
	for i := range list {
		in := &list[i]
		if in.Service == service && in.Began.Before(p.Slot.End()) && (in.Open() || in.Resolved.After(p.Slot.Start)) {
			return in
		}
	}
	return nil
}

func clock(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d/time.Hour), int(d%time.Hour/time.Minute))
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "—"
	}
	return t.In(calendar.Zone).Format("2006-01-02 15:04:05")
}
