package record

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/probes/wording"
)

// tally counts rows by result, for the summary.
type tally struct {
	rows, ok, bad, maintenance, unseen, ahead, absent int
	shown                                             map[string]bool // incidents that a row names
}

func (t *tally) count(r *row) {
	t.rows++
	switch r.result {
	case resultOK:
		t.ok++
	case resultBad:
		t.bad++
	case resultMaintenance:
		t.maintenance++
	case resultAhead:
		t.ahead++
	case resultAbsent:
		t.absent++
	default:
		t.unseen++
	}
	if r.incident != nil {
		t.shown[r.incident.ID] = true
	}
}

// summary is a paragraph in which every clause is a figure.
func summary(p Period, f Facts, n tally) string {
	if len(f.Services) == 0 {
		return p.Name + "：无数据，当日没有已发布且纳入监测的服务。"
	}
	var due, known, down, longest time.Duration
	var outages int
	worst := ""
	for _, s := range f.Services {
		due += s.Figure.Due()
		known += s.Figure.Known()
		down += s.Figure.Down
		outages += s.Figure.Outages
		if s.Figure.Longest > longest {
			longest, worst = s.Figure.Longest, s.Service.Name
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s 应监测服务 %d 项、%d 轮，共 %d 条：正常 %d、异常 %d、维护 %d、未监控 %d", p.Name, len(f.Services), len(f.Rounds), n.rows-n.absent, n.ok, n.bad, n.maintenance, n.unseen)
	if n.ahead > 0 {
		fmt.Fprintf(&b, "、未到时间 %d", n.ahead)
	}
	b.WriteString("。")
	if n.absent > 0 {
		fmt.Fprintf(&b, "另有 %d 条在该轮次时未纳入监测。", n.absent)
	}
	switch {
	case due <= 0:
		b.WriteString("可用率：无数据；监测覆盖率：无数据。")
	case known <= 0:
		b.WriteString("可用率：无数据；监测覆盖率 0.00%。")
	default:
		fmt.Fprintf(&b, "按拨测时隙统计，可用率 %s，监测覆盖率 %s", wording.Percent(float64(known-down)/float64(known)), wording.Percent(float64(known)/float64(due)))
		if outages == 0 {
			b.WriteString("，未见中断。")
		} else {
			fmt.Fprintf(&b, "；中断 %d 次，累计 %s，最长 %s（%s）。", outages, wording.Duration(wording.ZH, down), wording.Duration(wording.ZH, longest), worst)
		}
	}
	if len(f.Incidents) > 0 {
		open := 0
		for _, i := range f.Incidents {
			if i.Open() {
				open++
			}
		}
		fmt.Fprintf(&b, "涉及故障 %d 起，其中未恢复 %d 起。", len(f.Incidents), open)
	}
	return b.String()
}

func foot(p Period, f Facts, n tally) []Line {
	lines := []Line{
		{"轮次之外的故障", between(p, f, n)},
		{"未监控时段", unseen(f)},
		{"说明", "每一轮取前后十分钟内（间隔更长的取一个间隔内）最近的有结论的拨测时隙，其时刻写在轮次之后；个别监测点异常或响应缓慢记正常并写明；没有数据记未监控，不记正常；该轮次时监测定义中没有的服务记未纳入。时间均为北京时间。"},
	}
	if f.Now.Before(p.To) {
		text := "当日尚未结束，数据截至 " + stamp(f.Now)
		if n.ahead > 0 {
			text += fmt.Sprintf("，%d 条未到时间", n.ahead)
		}
		lines = append(lines, Line{"状态", text + "。"})
	}
	// Lines without a text are for pens and stamps.
	return append(lines, Line{"监控人签字", ""}, Line{"复核人签字", ""}, Line{"单位（盖章）", ""}, Line{"日期", ""})
}

// between lists the day's incidents that fell between the rounds: the rows say
// nothing of them, and a record that looks better than the day was is wrong.
func between(p Period, f Facts, n tally) string {
	var out []string
	for _, i := range slices.Backward(f.Incidents) { // they come newest first
		if n.shown[i.ID] {
			continue
		}
		end, until := "未恢复", f.Now
		if until.After(p.To) {
			until = p.To
		}
		if !i.Open() {
			end = i.Resolved.In(calendar.Zone).Format("01-02 15:04")
		}
		out = append(out, fmt.Sprintf("%s %s %s 至 %s（%s）", i.ID, i.Name, i.Began.In(calendar.Zone).Format("01-02 15:04"), end, wording.Duration(wording.ZH, i.Lasted(until))))
	}
	if len(out) == 0 {
		return "无"
	}
	return strings.Join(out, "；")
}

const (
	listedSpans = 6           // stretches that are written out for one service
	worthSaying = time.Minute // shorter stretches are left out
)

// unseen writes out when nothing was known, services with the same stretches together.
func unseen(f Facts) string {
	var order []string
	names := map[string][]string{}
	for _, s := range f.Services {
		if text := stretches(s.Unseen); text != "" {
			if names[text] == nil {
				order = append(order, text)
			}
			names[text] = append(names[text], s.Service.Name)
		}
	}
	var out []string
	for _, text := range order {
		who := strings.Join(names[text], "、")
		if len(names[text]) == len(f.Services) && len(f.Services) > 1 {
			who = "全部服务"
		}
		out = append(out, who+" "+text)
	}
	if len(out) == 0 {
		return "无"
	}
	return strings.Join(out, "；")
}

func stretches(list []availability.Span) string {
	var parts []string
	var total time.Duration
	n := 0
	for _, s := range list {
		d := s.To.Sub(s.From)
		if d < worthSaying {
			continue
		}
		n++
		total += d
		if n <= listedSpans {
			from, to := s.From.In(calendar.Zone).Format("15:04"), s.To.In(calendar.Zone).Format("15:04")
			if to == "00:00" {
				to = "24:00" // the end of the day, not of the one before
			}
			parts = append(parts, from+" 至 "+to)
		}
	}
	if n == 0 {
		return ""
	}
	text := strings.Join(parts, "、")
	if n > listedSpans {
		text += fmt.Sprintf("等 %d 段", n)
	}
	return text + "，共 " + wording.Duration(wording.ZH, total)
}
