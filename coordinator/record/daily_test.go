package record_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/record"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/wording"
)

// memory is a Source that holds one day.
type memory struct {
	due       []availability.Due
	slots     map[probes.Key][]availability.Slot
	runs      map[string]probes.Run
	incidents []incident.Incident
	filled    map[record.CellID]string
	fail      string // the read that fails
}

var errDisk = errors.New("disk gone")

func (m *memory) broken(read string) error {
	if m.fail == read {
		return errDisk
	}
	return nil
}

func (m *memory) Due(_ context.Context, from, to time.Time) ([]availability.Due, error) {
	var out []availability.Due
	for _, d := range m.due {
		if d.Span.From.Before(to) && (d.Span.To.IsZero() || d.Span.To.After(from)) {
			out = append(out, d)
		}
	}
	return out, m.broken("due")
}

func (m *memory) Slots(_ context.Context, key probes.Key, from, to time.Time) ([]availability.Slot, error) {
	var out []availability.Slot
	for _, s := range m.slots[key] {
		if s.Start.Before(to) && s.End().After(from) {
			out = append(out, s)
		}
	}
	return out, m.broken("slots")
}

func (m *memory) Verdicts(ctx context.Context, key probes.Key, from, to time.Time) ([]availability.Slot, error) {
	list, _ := m.Slots(ctx, key, from, to)
	out := slices.Clone(list)
	for i := range out {
		out[i].Votes = nil
	}
	return out, m.broken("verdicts")
}

func (m *memory) Run(_ context.Context, id string) (probes.Run, bool, error) {
	r, ok := m.runs[id]
	return r, ok, m.broken("run")
}

func (m *memory) Incidents(_ context.Context, from, to time.Time) ([]incident.Incident, error) {
	var out []incident.Incident
	for _, i := range slices.Backward(m.incidents) {
		if i.Began.Before(to) && (i.Open() || i.Resolved.After(from)) {
			out = append(out, i)
		}
	}
	return out, m.broken("incidents")
}

func (m *memory) AlertsOf(_ context.Context, id string) (int, error) {
	return len(id) % 7, m.broken("alerts")
}

func (m *memory) Filled(context.Context, string, string) (map[record.CellID]string, error) {
	return m.filled, m.broken("filled")
}

const dayName = "2026-11-25"

// at is a time of the day in Asia/Shanghai.
func at(clock string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04:05", dayName+" "+clock, calendar.Zone)
	if err != nil {
		panic(err)
	}
	return t
}

func key(service, probe string) probes.Key { return probes.Key{Service: service, Probe: probe} }

// watch makes a probe due from then on, with slots of every from "from" to "to",
// whose verdicts see decides.
func (m *memory) watch(k probes.Key, kind string, every time.Duration, from, to time.Time, see func(start time.Time) (probes.Verdict, probes.Class)) {
	m.due = append(m.due, availability.Due{Key: k, Span: availability.Span{From: from}, Every: every, Rule: availability.Rule{Count: 1, Quorum: 2}, Revision: "c0ffee"})
	for start := from; start.Before(to); start = start.Add(every) {
		verdict, class := see(start)
		if verdict == probes.Unknown && class == "" {
			continue // nobody ran it
		}
		s := availability.Slot{Key: k, Start: start.UTC(), Every: every, Verdict: verdict, Class: class, Reason: availability.ReasonAgreed}
		for i, vantage := range []string{"信息中心", "政务云"} {
			v := availability.Vote{Vantage: vantage, Agent: fmt.Sprintf("agent-%d", i+1), Verdict: verdict, Class: class, Started: start.Add(time.Second)}
			if verdict == probes.Degraded && class == probes.ClassConnect && i == 1 {
				v.Verdict, v.Class = probes.Up, "" // only the first sees it
			}
			if verdict == probes.Degraded && class == probes.ClassConnect && i == 0 {
				v.Verdict = probes.Down
			}
			v.TraceID = fmt.Sprintf("%016x%08x%08x", len(m.runs), start.Unix(), i)
			s.Votes = append(s.Votes, v)
			m.runs[v.TraceID] = run(k, kind, start, v)
		}
		m.slots[k] = append(m.slots[k], s)
	}
}

func run(k probes.Key, kind string, start time.Time, v availability.Vote) probes.Run {
	r := probes.Run{Key: k, Slot: start.UTC(), Kind: kind, Channel: probes.ChannelPortal, Started: v.Started.UTC(), TraceID: v.TraceID}
	r.Result = probes.Result{
		Verdict: v.Verdict, Class: v.Class, Status: 200, Steps: 1, Passed: 1,
		Timings: probes.Timings{FirstByte: 96 * time.Millisecond, Total: 312 * time.Millisecond},
		Checks:  []probes.Check{{Expr: "status == 200", OK: v.Verdict != probes.Down}, {Expr: "latency < 1ms", Warn: true}},
	}
	if kind == "browser" {
		r.Result.Steps, r.Result.Passed = 4, 4
	}
	if v.Verdict == probes.Down {
		r.Result.Status, r.Result.Passed = 500, 0
		r.Result.Evidence = []probes.Evidence{{Kind: "screenshot", SHA256: strings.Repeat("ab", 32)}}
	}
	if v.Verdict == probes.Down || v.Verdict == probes.Degraded {
		r.Result.Findings = []probes.Finding{{Class: v.Class, Want: "status < 400", Got: "status = 500"}}
	}
	return r
}

func up(time.Time) (probes.Verdict, probes.Class) { return probes.Up, "" }

func newMemory() *memory {
	return &memory{slots: map[probes.Key][]availability.Slot{}, runs: map[string]probes.Run{}, filled: map[record.CellID]string{}}
}

func service(id, name string, channel probes.Channel, kinds ...string) probes.Service {
	s := probes.Service{ID: id, Name: name, Code: strings.ToUpper(id), Channel: channel, URL: "http://www.rsj.example/" + id, Menu: []string{"办事", name}, Life: probes.LifePublished}
	for i, k := range kinds {
		s.Probes = append(s.Probes, probes.Probe{Key: key(id, fmt.Sprintf("p%d", i)), Kind: k})
	}
	return s
}

func setting(now time.Time, services ...probes.Service) record.Setting {
	return record.Setting{
		Now: now, Commit: "0123456789abcdef0123456789abcdef01234567", Client: "某市局信息中心", Compiler: "某运维项目组",
		Rounds: []time.Duration{17 * time.Hour, 9 * time.Hour, 14 * time.Hour}, Services: services,
	}
}

func compose(t *testing.T, m *memory, s record.Setting) record.Sheet {
	t.Helper()
	p, err := record.Daily.Period(dayName)
	require.NoError(t, err)
	f, err := record.Load(t.Context(), m, "daily", p, s)
	require.NoError(t, err)
	sheet, err := record.Daily.Compose(p, f)
	require.NoError(t, err)
	require.Len(t, sheet.Tables, 1)
	for _, row := range sheet.Tables[0].Rows {
		require.Len(t, row, len(sheet.Tables[0].Columns))
	}
	return sheet
}

// cell finds the cell of a service's round under a title.
func cell(t *testing.T, s record.Sheet, service, round, title string) record.Cell {
	t.Helper()
	tb := s.Tables[0]
	col := slices.IndexFunc(tb.Columns, func(c record.Column) bool { return c.Title == title })
	require.GreaterOrEqual(t, col, 0, "no column %s", title)
	name := slices.IndexFunc(tb.Columns, func(c record.Column) bool { return c.Title == "服务名称" })
	when := slices.IndexFunc(tb.Columns, func(c record.Column) bool { return c.Title == "轮次/时间" })
	for _, row := range tb.Rows {
		if row[name].Link == "/services/"+service && strings.HasPrefix(row[when].Text, round) {
			return row[col]
		}
	}
	t.Fatalf("no row of %s at %s", service, round)
	return record.Cell{}
}

func line(t *testing.T, list []record.Line, label string) string {
	t.Helper()
	for _, l := range list {
		if l.Label == label {
			return l.Text
		}
	}
	t.Fatalf("no line %s in %v", label, list)
	return ""
}

func TestColumnsAreTheForm(t *testing.T) {
	s := compose(t, newMemory(), setting(at("18:00:00")))
	var titles []string
	for _, c := range s.Tables[0].Columns {
		titles = append(titles, c.Title)
		require.Positive(t, c.Width, c.Title)
	}
	require.Equal(t, "序号·监控日期·轮次/时间·渠道·菜单路径(一级/二级)·服务名称·服务编码·链接地址·监控方式·探针(正常/总数)·状态码·首字节ms·完成ms·关键内容校验·"+
		"业务步骤(通过/总)·证书剩余天数·监控结果·异常类型·异常描述·发生时间·恢复时间·持续时长·告警/故障编号·处理人·处理措施·处理结果·证据编号·监控人·复核人·备注",
		strings.Join(titles, "·"))
	require.Equal(t, "服务发布日常监控记录", s.Title)
}

func TestGoodDay(t *testing.T) {
	m := newMemory()
	m.watch(key("pt-01", "p0"), "http", 30*time.Second, at("00:00:00"), at("18:00:00"), up)
	m.watch(key("pt-01", "p1"), "browser", 2*time.Minute, at("00:00:00"), at("18:00:00"), up)
	m.watch(key("wx-01", "p0"), "http", 30*time.Second, at("00:00:00"), at("18:00:00"), up)
	s := compose(t, m, setting(at("18:00:00"), service("wx-01", "社保查询", probes.ChannelWechat, "http"), service("pt-01", "门户首页", probes.ChannelPortal, "http", "browser")))

	rows := s.Tables[0].Rows
	require.Len(t, rows, 6)
	for i, want := range []string{"门户首页 09:00", "社保查询 09:00", "门户首页 14:00", "社保查询 14:00", "门户首页 17:00", "社保查询 17:00"} {
		require.Equal(t, want, rows[i][5].Text+" "+rows[i][2].Text[:5], "portal before WeChat, round after round")
		require.Equal(t, fmt.Sprint(i+1), rows[i][0].Text)
	}
	for title, want := range map[string]string{
		"监控日期": dayName, "轮次/时间": "09:00 / 09:00:01", "渠道": "门户", "菜单路径(一级/二级)": "办事/门户首页", "服务编码": "PT-01",
		"监控方式": "HTTP+浏览器", "探针(正常/总数)": "2/2", "状态码": "200", "首字节ms": "96", "完成ms": "312", "关键内容校验": "通过",
		"业务步骤(通过/总)": "4/4", "证书剩余天数": "—", "监控结果": "✓ 正常", "异常类型": "—", "异常描述": "—", "发生时间": "—", "告警/故障编号": "—",
		"处理人": "—", "监控人": record.ToFill, "复核人": record.ToFill, "备注": "",
	} {
		require.Equal(t, want, cell(t, s, "pt-01", "09:00", title).Text, title)
	}
	require.Equal(t, "ok", cell(t, s, "pt-01", "09:00", "监控结果").Tone)
	require.True(t, strings.HasPrefix(cell(t, s, "pt-01", "09:00", "完成ms").Link, "/runs/"))

	require.Contains(t, s.Summary, "应监测服务 2 项、3 轮，共 6 条：正常 6、异常 0、维护 0、未监控 0。")
	require.Contains(t, s.Summary, "可用率 100.00%，监测覆盖率 100.00%，未见中断。")
	require.Equal(t, "无", line(t, s.Foot, "未监控时段"))
	require.Equal(t, []record.Line{{Label: "监控人签字"}, {Label: "复核人签字"}, {Label: "单位（盖章）"}, {Label: "日期"}}, s.Foot[len(s.Foot)-4:], "pens come last")
	require.Contains(t, line(t, s.Foot, "状态"), "数据截至 2026-11-25 18:00:00")
	require.Equal(t, "0123456789abcdef0123456789abcdef01234567", line(t, s.Head, "定义版本"))
	require.Equal(t, "某运维项目组/"+record.ToFill, line(t, s.Head, "编制单位/人"))
	require.Equal(t, "某市局信息中心 "+record.ToFill, line(t, s.Head, "确认人(信息中心)"))
	require.Len(t, line(t, s.Head, "数据校验码"), 64)
}

// bad is a day with an outage over the first round and a short one between rounds.
func bad() *memory {
	m := newMemory()
	m.watch(key("pt-01", "p0"), "http", 30*time.Second, at("00:00:00"), at("23:59:59"), func(s time.Time) (probes.Verdict, probes.Class) {
		switch {
		case !s.Before(at("08:50:00")) && s.Before(at("10:20:00")), !s.Before(at("11:00:00")) && s.Before(at("11:05:00")):
			return probes.Down, probes.ClassStatus
		}
		return probes.Up, ""
	})
	m.incidents = []incident.Incident{
		{ID: "GZ-20261125-0001", Service: "pt-01", Name: "门户首页", Channel: probes.ChannelPortal, Began: at("08:50:01"), Opened: at("08:50:09"), Resolved: at("10:20:01")},
		{ID: "GZ-20261125-0002", Service: "pt-01", Name: "门户首页", Channel: probes.ChannelPortal, Began: at("11:00:01"), Opened: at("11:00:09"), Resolved: at("11:05:01")},
	}
	return m
}

func TestOutage(t *testing.T) {
	m := bad()
	m.filled[record.CellID{Row: "pt-01@09:00", Field: "handler"}] = "王敏"
	s := compose(t, m, setting(at("23:59:59").Add(time.Second), service("pt-01", "门户首页", probes.ChannelPortal, "http")))
	for title, want := range map[string]string{
		"监控结果": "✕ 异常", "探针(正常/总数)": "0/2", "状态码": "500", "关键内容校验": "✕ 1 项未通过", "异常类型": "返回错误状态码",
		"异常描述": wording.Finding(wording.ZH, probes.Finding{Class: probes.ClassStatus, Want: "status < 400", Got: "status = 500"}), "发生时间": "2026-11-25 08:50:01", "恢复时间": "2026-11-25 10:20:01",
		"持续时长": "1小时30分", "告警/故障编号": "GZ-20261125-0001（告警 2 次）", "处理人": "王敏", "处理措施": record.ToFill, "处理结果": record.ToFill, "证据编号": "abababababab",
	} {
		require.Equal(t, want, cell(t, s, "pt-01", "09:00", title).Text, title)
	}
	require.Equal(t, record.Cell{Text: "王敏", Field: "handler", Row: "pt-01@09:00"}, cell(t, s, "pt-01", "09:00", "处理人"))
	require.Equal(t, "/incidents/GZ-20261125-0001", cell(t, s, "pt-01", "09:00", "告警/故障编号").Link)
	require.Equal(t, "/incidents/GZ-20261125-0001", cell(t, s, "pt-01", "09:00", "持续时长").Link)
	require.Equal(t, "/api/v1/evidence/"+strings.Repeat("ab", 32), cell(t, s, "pt-01", "09:00", "证据编号").Link)
	require.Equal(t, "✓ 正常", cell(t, s, "pt-01", "14:00", "监控结果").Text)
	require.Contains(t, s.Summary, "正常 2、异常 1")
	require.Contains(t, s.Summary, "中断 2 次，累计 1小时35分，最长 1小时30分（门户首页）。")
	require.Contains(t, s.Summary, "涉及故障 2 起，其中未恢复 0 起。")
	require.Equal(t, "GZ-20261125-0002 门户首页 11-25 11:00 至 11-25 11:05（5分）", line(t, s.Foot, "轮次之外的故障"))
	for _, l := range s.Foot {
		require.NotEqual(t, "状态", l.Label, "the day is over")
	}
}

func TestOpenIncident(t *testing.T) {
	m := newMemory()
	down := func(s time.Time) (probes.Verdict, probes.Class) {
		if s.Before(at("13:30:00")) {
			return probes.Up, ""
		}
		return probes.Down, probes.ClassTimeout
	}
	m.watch(key("pt-01", "p0"), "http", time.Minute, at("00:00:00"), at("23:59:59"), down)
	m.incidents = []incident.Incident{{ID: "GZ-1", Service: "pt-01", Began: at("13:30:00")}}
	svc := service("pt-01", "门户首页", probes.ChannelPortal, "http")

	running := compose(t, m, setting(at("15:00:00"), svc))
	require.Equal(t, "✕ 未恢复", cell(t, running, "pt-01", "14:00", "恢复时间").Text)
	require.Equal(t, "已 1小时30分", cell(t, running, "pt-01", "14:00", "持续时长").Text)
	require.Contains(t, running.Summary, "其中未恢复 1 起")

	next := compose(t, m, setting(at("00:00:00").AddDate(0, 0, 1), svc))
	later := compose(t, m, setting(at("00:00:00").AddDate(0, 0, 3), svc))
	require.Equal(t, "至当日24时 10小时30分", cell(t, next, "pt-01", "14:00", "持续时长").Text)
	require.Equal(t, next.Digest, later.Digest)
	require.Equal(t, next.Tables, later.Tables, "a finished day says the same whenever it is read")
	require.Equal(t, next.Foot, later.Foot)
}

func TestDegraded(t *testing.T) {
	m := newMemory()
	m.watch(key("wx-06", "p0"), "http", 30*time.Second, at("00:00:00"), at("18:00:00"), func(time.Time) (probes.Verdict, probes.Class) {
		return probes.Degraded, probes.ClassConnect
	})
	m.watch(key("pt-03", "p0"), "http", 30*time.Second, at("00:00:00"), at("18:00:00"), func(time.Time) (probes.Verdict, probes.Class) {
		return probes.Degraded, probes.ClassLatency
	})
	s := compose(t, m, setting(at("18:00:00"), service("wx-06", "岗位招聘", probes.ChannelWechat, "http"), service("pt-03", "法人办事", probes.ChannelPortal, "http")))
	require.Equal(t, "✓ 正常", cell(t, s, "wx-06", "09:00", "监控结果").Text)
	require.Equal(t, "1/2", cell(t, s, "wx-06", "09:00", "探针(正常/总数)").Text)
	require.Equal(t, "连接失败", cell(t, s, "wx-06", "09:00", "异常类型").Text)
	require.True(t, strings.HasPrefix(cell(t, s, "wx-06", "09:00", "异常描述").Text, "区域异常（仅 信息中心）：连接失败"), cell(t, s, "wx-06", "09:00", "异常描述").Text)
	require.Equal(t, "—", cell(t, s, "wx-06", "09:00", "处理人").Text, "nothing to handle, yet a person may write")
	require.Equal(t, "handler", cell(t, s, "wx-06", "09:00", "处理人").Field)
	require.True(t, strings.HasPrefix(cell(t, s, "pt-03", "09:00", "异常描述").Text, "响应缓慢"), cell(t, s, "pt-03", "09:00", "异常描述").Text)
}

func TestNothingKnown(t *testing.T) {
	m := newMemory()
	none := func(time.Time) (probes.Verdict, probes.Class) { return probes.Unknown, "" }
	m.watch(key("pt-01", "p0"), "http", 30*time.Second, at("00:00:00"), at("18:00:00"), none)
	m.watch(key("pt-02", "p0"), "http", 30*time.Second, at("00:00:00"), at("18:00:00"), none)
	s := compose(t, m, setting(at("18:00:00"), service("pt-01", "门户首页", probes.ChannelPortal, "http"), service("pt-02", "个人办事", probes.ChannelPortal, "http")))
	require.Equal(t, "？ 未监控", cell(t, s, "pt-01", "09:00", "监控结果").Text)
	require.Equal(t, "该轮次前后没有拨测结果", cell(t, s, "pt-01", "09:00", "异常描述").Text)
	require.Equal(t, "09:00", cell(t, s, "pt-01", "09:00", "轮次/时间").Text)
	require.Equal(t, "HTTP", cell(t, s, "pt-01", "09:00", "监控方式").Text, "the definition says how")
	require.Contains(t, s.Summary, "未监控 6")
	require.Contains(t, s.Summary, "可用率：无数据；监测覆盖率 0.00%。")
	require.Equal(t, "全部服务 00:00 至 18:00，共 18小时0分", line(t, s.Foot, "未监控时段"))

	empty := compose(t, newMemory(), setting(at("18:00:00")))
	require.Empty(t, empty.Tables[0].Rows)
	require.Equal(t, dayName+"：无数据，当日没有已发布且纳入监测的服务。", empty.Summary)
}

func TestUnknownSlots(t *testing.T) {
	for name, tt := range map[string]struct {
		reason availability.Reason
		want   string
	}{
		"the agents could not look": {availability.ReasonNoVoice, "没有监测点能够判定：探针自身异常"},
		"too few spoke":             {availability.ReasonTooFew, "有监测点见到异常，但作答的监测点不足以确认：探针自身异常"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			m.watch(key("pt-01", "p0"), "http", time.Hour, at("00:00:00"), at("18:00:00"), func(time.Time) (probes.Verdict, probes.Class) {
				return probes.Unknown, probes.ClassAgent
			})
			for i := range m.slots[key("pt-01", "p0")] {
				m.slots[key("pt-01", "p0")][i].Reason = tt.reason
			}
			for id, r := range m.runs {
				r.Result.Findings = []probes.Finding{{Class: probes.ClassAgent}}
				m.runs[id] = r
			}
			s := compose(t, m, setting(at("18:00:00"), service("pt-01", "门户首页", probes.ChannelPortal, "http")))
			require.Equal(t, "？ 未监控", cell(t, s, "pt-01", "09:00", "监控结果").Text)
			require.Equal(t, tt.want, cell(t, s, "pt-01", "09:00", "异常描述").Text)
			require.Equal(t, "0/2", cell(t, s, "pt-01", "09:00", "探针(正常/总数)").Text)
		})
	}
}

func TestOneProbeOfTwoIsMissing(t *testing.T) {
	m := newMemory()
	m.watch(key("pt-01", "p0"), "http", 30*time.Second, at("00:00:00"), at("18:00:00"), up)
	m.watch(key("pt-01", "p1"), "browser", 5*time.Minute, at("00:00:00"), at("18:00:00"), func(time.Time) (probes.Verdict, probes.Class) { return probes.Unknown, "" })
	s := compose(t, m, setting(at("18:00:00"), service("pt-01", "门户首页", probes.ChannelPortal, "http", "browser")))
	require.Equal(t, "？ 未监控", cell(t, s, "pt-01", "09:00", "监控结果").Text, "half of it is not all of it")
	require.Equal(t, "拨测「p1」在该轮次前后没有结果", cell(t, s, "pt-01", "09:00", "异常描述").Text)
	require.Equal(t, "200", cell(t, s, "pt-01", "09:00", "状态码").Text, "what is known is shown")
}

func TestRoundsAhead(t *testing.T) {
	m := newMemory()
	m.watch(key("pt-01", "p0"), "http", 30*time.Second, at("00:00:00"), at("13:55:00"), up)
	s := compose(t, m, setting(at("13:55:00"), service("pt-01", "门户首页", probes.ChannelPortal, "http")))
	require.Equal(t, "✓ 正常", cell(t, s, "pt-01", "09:00", "监控结果").Text)
	// There are slots near 14:00; the round has not come all the same.
	require.Equal(t, "… 未到时间", cell(t, s, "pt-01", "14:00", "监控结果").Text)
	for _, title := range []string{"状态码", "异常描述", "处理人", "监控人"} {
		require.Equal(t, "—", cell(t, s, "pt-01", "14:00", title).Text, title)
	}
	require.Contains(t, s.Summary, "正常 1、异常 0、维护 0、未监控 0、未到时间 2。")
	require.Contains(t, line(t, s.Foot, "状态"), "2 条未到时间")
}

func TestMaintenance(t *testing.T) {
	m := bad()
	svc := service("pt-01", "门户首页", probes.ChannelPortal, "http")
	set := setting(at("18:00:00"), svc)
	set.Windows = []record.Window{
		{Services: []string{"pt-01"}, From: at("08:00:00"), To: at("10:30:00"), Reason: "数据库升级"},
		{From: at("08:00:00").AddDate(0, 0, 1), To: at("10:30:00").AddDate(0, 0, 1), Reason: "次日"},
	}
	s := compose(t, m, set)
	require.Equal(t, record.Cell{Text: "▣ 维护", Tone: "mute"}, cell(t, s, "pt-01", "09:00", "监控结果"))
	require.Equal(t, "计划维护：数据库升级", cell(t, s, "pt-01", "09:00", "异常描述").Text)
	require.Contains(t, s.Summary, "维护 1")
	require.Contains(t, s.Summary, "中断 1 次，累计 5分", "what happened inside the window is told apart")

	other := setting(at("18:00:00"), svc)
	other.Windows = []record.Window{{Services: []string{"pt-09"}, From: at("08:00:00"), To: at("10:30:00")}}
	require.Equal(t, "✕ 异常", cell(t, compose(t, m, other), "pt-01", "09:00", "监控结果").Text)
}

func TestWhatWasDueDecides(t *testing.T) {
	m := newMemory()
	m.watch(key("new", "p0"), "http", 30*time.Second, at("15:00:00"), at("18:00:00"), up)
	m.watch(key("old", "p0"), "http", 30*time.Second, at("00:00:00"), at("10:00:00"), up)
	m.due[1].Span.To = at("10:00:00")
	// A draft is in the definitions and was never due; the old service is in them no more.
	s := compose(t, m, setting(at("18:00:00"), service("new", "新服务", probes.ChannelApp, "http"), service("draft", "草稿", probes.ChannelPortal, "http")))
	require.Len(t, s.Tables[0].Rows, 6)
	require.Equal(t, "— 未纳入", cell(t, s, "new", "09:00", "监控结果").Text)
	require.Equal(t, "该轮次时服务尚未纳入监测", cell(t, s, "new", "09:00", "异常描述").Text)
	require.Equal(t, "—", cell(t, s, "new", "09:00", "监控人").Text, "nobody watched, and nobody should have")
	require.Equal(t, "✓ 正常", cell(t, s, "new", "17:00", "监控结果").Text)
	require.Equal(t, "✓ 正常", cell(t, s, "old", "09:00", "监控结果").Text)
	require.Equal(t, "— 未纳入", cell(t, s, "old", "14:00", "监控结果").Text)
	require.Equal(t, "该轮次时服务已退出监测", cell(t, s, "old", "14:00", "异常描述").Text)
	require.Contains(t, s.Summary, "应监测服务 2 项、3 轮，共 2 条：正常 2、异常 0、维护 0、未监控 0。另有 4 条在该轮次时未纳入监测。")
	early := compose(t, m, setting(at("13:00:00"), service("old", "旧服务", probes.ChannelPortal, "http")))
	require.Equal(t, "— 未纳入", cell(t, early, "old", "17:00", "监控结果").Text, "its time will not come")
	require.Equal(t, "old", cell(t, s, "old", "09:00", "服务名称").Text)
	require.Equal(t, "门户", cell(t, s, "old", "09:00", "渠道").Text, "its runs remember")
	require.Contains(t, s.Summary, "监测覆盖率 100.00%", "time before and after does not count")
}

// A probe that came later in the day must not spoil the rounds before.
func TestProbeAddedLater(t *testing.T) {
	m := newMemory()
	m.watch(key("pt-01", "p0"), "http", 30*time.Second, at("00:00:00"), at("18:00:00"), up)
	m.watch(key("pt-01", "p1"), "browser", 5*time.Minute, at("12:00:00"), at("18:00:00"), up)
	s := compose(t, m, setting(at("18:00:00"), service("pt-01", "门户首页", probes.ChannelPortal, "http", "browser")))
	require.Equal(t, "✓ 正常", cell(t, s, "pt-01", "09:00", "监控结果").Text)
	require.Equal(t, "HTTP", cell(t, s, "pt-01", "09:00", "监控方式").Text)
	require.Equal(t, "HTTP+浏览器", cell(t, s, "pt-01", "14:00", "监控方式").Text)
}

func TestNearestSlot(t *testing.T) {
	for name, tt := range map[string]struct {
		every        time.Duration
		from, to     string
		result, when string
	}{
		"9 minutes before":                {time.Minute, "08:00:00", "08:51:30", "✓ 正常", "09:00 / 08:51:01"},
		"more than 10 minutes before":     {time.Minute, "08:00:00", "08:50:00", "？ 未监控", "09:00"},
		"within one long interval":        {2 * time.Hour, "07:10:00", "08:00:00", "✓ 正常", "09:00 / 07:10:01"},
		"the nearer of two":               {20 * time.Minute, "08:50:00", "10:00:00", "✓ 正常", "09:00 / 08:50:01"},
		"after the round, none before it": {time.Minute, "09:10:00", "10:00:00", "✓ 正常", "09:00 / 09:10:01"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			m.watch(key("pt-01", "p0"), "http", tt.every, at(tt.from), at(tt.to), up)
			m.due[0].Span.From = at("00:00:00")
			s := compose(t, m, setting(at("18:00:00"), service("pt-01", "门户首页", probes.ChannelPortal, "http")))
			require.Equal(t, tt.result, cell(t, s, "pt-01", "09:00", "监控结果").Text)
			require.Equal(t, tt.when, cell(t, s, "pt-01", "09:00", "轮次/时间").Text)
		})
	}
	t.Run("one that knows before one that does not", func(t *testing.T) {
		m := newMemory()
		m.watch(key("pt-01", "p0"), "http", time.Minute, at("08:00:00"), at("10:00:00"), func(s time.Time) (probes.Verdict, probes.Class) {
			if s.Before(at("08:55:00")) {
				return probes.Up, ""
			}
			return probes.Unknown, probes.ClassAgent
		})
		s := compose(t, m, setting(at("18:00:00"), service("pt-01", "门户首页", probes.ChannelPortal, "http")))
		require.Equal(t, "09:00 / 08:54:01", cell(t, s, "pt-01", "09:00", "轮次/时间").Text)
	})
}

func TestCertificate(t *testing.T) {
	for name, tt := range map[string]struct {
		left time.Duration
		want string
	}{
		"valid":   {23*24*time.Hour + time.Hour, "23"},
		"expired": {-49 * time.Hour, "✕ 已过期 2 天"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			m.watch(key("pt-04", "p0"), "http", time.Hour, at("08:00:00"), at("10:00:00"), up)
			for id, r := range m.runs {
				r.Result.TLSUntil = r.Started.Add(tt.left)
				m.runs[id] = r
			}
			s := compose(t, m, setting(at("18:00:00"), service("pt-04", "统一登录入口", probes.ChannelPortal, "http")))
			require.Equal(t, tt.want, cell(t, s, "pt-04", "09:00", "证书剩余天数").Text)
		})
	}
}

// A wait for a first byte that never came is no figure, and a quick answer is
// not one of no time.
func TestTimings(t *testing.T) {
	for name, tt := range map[string]struct {
		status    int
		firstByte time.Duration
		want      string
	}{
		"answered":             {200, 96 * time.Millisecond, "96"},
		"answered at once":     {200, 400 * time.Microsecond, "<1"},
		"no such phase":        {200, 0, "—"},
		"waited, not answered": {0, 9999 * time.Millisecond, "—"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			m.watch(key("pt-01", "p0"), "http", time.Hour, at("08:00:00"), at("10:00:00"), up)
			for id, r := range m.runs {
				r.Result.Status, r.Result.Timings.FirstByte = tt.status, tt.firstByte
				m.runs[id] = r
			}
			s := compose(t, m, setting(at("18:00:00"), service("pt-01", "门户首页", probes.ChannelPortal, "http")))
			require.Equal(t, tt.want, cell(t, s, "pt-01", "09:00", "首字节ms").Text)
		})
	}
}

func TestDigest(t *testing.T) {
	svc := service("pt-01", "门户首页", probes.ChannelPortal, "http")
	end := at("00:00:00").AddDate(0, 0, 1)
	first := compose(t, bad(), setting(end, svc)).Digest
	require.Equal(t, first, compose(t, bad(), setting(end, svc)).Digest)
	for name, change := range map[string]func(*memory, *record.Setting){
		"a cell": func(m *memory, _ *record.Setting) {
			m.filled[record.CellID{Row: "pt-01@09:00", Field: "watcher"}] = "李"
		},
		"a name": func(_ *memory, s *record.Setting) { s.Services[0].Name = "首页" },
		"commit": func(_ *memory, s *record.Setting) { s.Commit = "f00" },
		"a slot": func(m *memory, _ *record.Setting) { m.slots[key("pt-01", "p0")][1000].Verdict = probes.Unknown },
		"a run": func(m *memory, _ *record.Setting) {
			for id, r := range m.runs {
				r.Result.Status = 418
				m.runs[id] = r
			}
		},
		"an incident": func(m *memory, _ *record.Setting) { m.incidents[1].Resolved = at("11:06:00") },
		"a window": func(_ *memory, s *record.Setting) {
			s.Windows = []record.Window{{Services: []string{"x"}, From: at("01:00:00"), To: at("02:00:00")}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, s := bad(), setting(end, svc)
			change(m, &s)
			require.NotEqual(t, first, compose(t, m, s).Digest)
		})
	}
}

func TestUnseenStretches(t *testing.T) {
	m := newMemory()
	m.watch(key("pt-01", "p0"), "http", time.Minute, at("00:00:00"), at("23:59:59"), func(s time.Time) (probes.Verdict, probes.Class) {
		hour := s.In(calendar.Zone).Hour()
		if hour == 3 || hour == 23 {
			return probes.Unknown, ""
		}
		return probes.Up, ""
	})
	m.watch(key("pt-02", "p0"), "http", time.Minute, at("00:00:00"), at("23:59:59"), func(s time.Time) (probes.Verdict, probes.Class) {
		if s.In(calendar.Zone).Minute() == 30 {
			return probes.Unknown, ""
		}
		return probes.Up, ""
	})
	s := compose(t, m, setting(at("00:00:00").AddDate(0, 0, 1), service("pt-01", "门户首页", probes.ChannelPortal, "http"), service("pt-02", "个人办事", probes.ChannelPortal, "http")))
	require.Equal(t, "门户首页 03:00 至 04:00、23:00 至 24:00，共 2小时0分；"+
		"个人办事 00:30 至 00:31、01:30 至 01:31、02:30 至 02:31、03:30 至 03:31、04:30 至 04:31、05:30 至 05:31等 24 段，共 24分", line(t, s.Foot, "未监控时段"))
}

func TestLoadSaysWhatItWasReading(t *testing.T) {
	p, err := record.Daily.Period(dayName)
	require.NoError(t, err)
	for read, want := range map[string]string{
		"due": "what was due on " + dayName, "slots": "slots of pt-01/p0", "verdicts": "verdicts of pt-01/p0", "run": "the run of pt-01/p0",
		"incidents": "the incidents of " + dayName, "alerts": "the alerts of GZ-20261125-0002", "filled": "what was filled in on " + dayName,
	} {
		m := bad()
		m.fail = read
		_, err := record.Load(t.Context(), m, "daily", p, setting(at("18:00:00"), service("pt-01", "门户首页", probes.ChannelPortal, "http")))
		require.ErrorIs(t, err, errDisk)
		require.ErrorContains(t, err, want)
	}
}

func TestFind(t *testing.T) {
	d, err := record.Find("daily")
	require.NoError(t, err)
	require.Equal(t, "服务发布日常监控记录", d.Title)
	_, err = record.Find("weekly")
	require.ErrorIs(t, err, record.ErrKind)
	require.ErrorContains(t, err, "want one of daily")
	for _, d := range record.Documents() {
		require.NotEmpty(t, d.Kind)
		require.NotEmpty(t, d.Title)
		_, err := d.Period("yesterday")
		require.ErrorContains(t, err, "yesterday")
	}
}

func TestBetweenTheRounds(t *testing.T) {
	m := newMemory()
	m.watch(key("pt-01", "p0"), "http", time.Minute, at("00:00:00"), at("23:59:59"), up)
	m.incidents = []incident.Incident{
		{ID: "GZ-1", Service: "pt-01", Name: "门户首页", Began: at("10:00:00"), Resolved: at("10:04:00")},
		{ID: "GZ-2", Service: "pt-01", Name: "门户首页", Began: at("20:00:00")},
	}
	s := compose(t, m, setting(at("09:00:00").AddDate(0, 0, 2), service("pt-01", "门户首页", probes.ChannelPortal, "http")))
	require.Equal(t, "GZ-1 门户首页 11-25 10:00 至 11-25 10:04（4分）；GZ-2 门户首页 11-25 20:00 至 未恢复（4小时0分）", line(t, s.Foot, "轮次之外的故障"))
}

func TestLongestOutageNamesItsService(t *testing.T) {
	m := newMemory()
	lost := func(from, to string) func(time.Time) (probes.Verdict, probes.Class) {
		return func(s time.Time) (probes.Verdict, probes.Class) {
			if !s.Before(at(from)) && s.Before(at(to)) {
				return probes.Down, probes.ClassReset
			}
			return probes.Up, ""
		}
	}
	m.watch(key("pt-01", "p0"), "http", time.Minute, at("00:00:00"), at("18:00:00"), lost("10:00:00", "10:09:00"))
	m.watch(key("pt-02", "p0"), "http", time.Minute, at("00:00:00"), at("18:00:00"), lost("10:00:00", "10:02:00"))
	s := compose(t, m, setting(at("18:00:00"), service("pt-01", "门户首页", probes.ChannelPortal, "http"), service("pt-02", "个人办事", probes.ChannelPortal, "http")))
	require.Contains(t, s.Summary, "中断 2 次，累计 11分，最长 9分（门户首页）。")
}

// The run that explains a verdict is one that agrees with it, wherever it stands.
func TestTellingRun(t *testing.T) {
	m := newMemory()
	m.watch(key("wx-06", "p0"), "http", time.Minute, at("00:00:00"), at("18:00:00"), func(time.Time) (probes.Verdict, probes.Class) {
		return probes.Degraded, probes.ClassConnect
	})
	for _, s := range m.slots[key("wx-06", "p0")] {
		slices.Reverse(s.Votes)
	}
	s := compose(t, m, setting(at("18:00:00"), service("wx-06", "岗位招聘", probes.ChannelWechat, "http")))
	require.Equal(t, "500", cell(t, s, "wx-06", "09:00", "状态码").Text)
	require.Contains(t, cell(t, s, "wx-06", "09:00", "异常描述").Text, "status = 500")
}

func TestFiguresOfSeveralProbes(t *testing.T) {
	m := newMemory()
	m.watch(key("pt-01", "p0"), "browser", time.Hour, at("08:00:00"), at("18:00:00"), up)
	m.watch(key("pt-01", "p1"), "http", time.Hour, at("08:00:00"), at("18:00:00"), up)
	for id, r := range m.runs {
		r.Result.TLSUntil = r.Started.AddDate(0, 0, 40)
		if r.Key.Probe == "p1" {
			r.Result.TLSUntil = r.Started.AddDate(0, 0, 9)
		}
		m.runs[id] = r
	}
	s := compose(t, m, setting(at("18:00:00"), service("pt-01", "门户首页", probes.ChannelPortal, "browser", "http")))
	require.Equal(t, "9", cell(t, s, "pt-01", "09:00", "证书剩余天数").Text, "the one that ends first")
	require.Equal(t, "4/4", cell(t, s, "pt-01", "09:00", "业务步骤(通过/总)").Text, "the journey, not the request")
}

func TestMaintenanceIsNotUnseen(t *testing.T) {
	m := newMemory()
	m.watch(key("pt-01", "p0"), "http", time.Minute, at("00:00:00"), at("18:00:00"), func(s time.Time) (probes.Verdict, probes.Class) {
		if h := s.In(calendar.Zone).Hour(); h >= 8 && h < 12 {
			return probes.Unknown, ""
		}
		return probes.Up, ""
	})
	set := setting(at("18:00:00"), service("pt-01", "门户首页", probes.ChannelPortal, "http"))
	set.Windows = []record.Window{{From: at("08:30:00"), To: at("11:00:00"), Reason: "升级"}}
	s := compose(t, m, set)
	require.Equal(t, "门户首页 08:00 至 08:30、11:00 至 12:00，共 1小时30分", line(t, s.Foot, "未监控时段"))
}
