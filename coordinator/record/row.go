package record

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/wording"
)

// nothing is printed where there is nothing to say.
const nothing = "—"

func (r *row) text(s string) Cell { return Cell{Text: cmp.Or(s, nothing)} }

// seen links a figure to the run that it is from.
func (r *row) seen(s string) Cell {
	if r.run == nil || s == "" {
		return Cell{Text: nothing}
	}
	return Cell{Text: s, Link: "/runs/" + r.run.TraceID}
}

// fill is a cell for people: empty ones ask for a text only where one is due.
func (r *row) fill(field string, due bool) Cell {
	empty := nothing
	if due {
		empty = ToFill
	}
	return Cell{Text: cmp.Or(r.facts.Filled[CellID{r.id, field}], empty), Field: field, Row: r.id}
}

func (r *row) remark() Cell {
	return Cell{Text: r.facts.Filled[CellID{r.id, "remark"}], Field: "remark", Row: r.id}
}

// time is the round and, where something was seen, when.
func (r *row) time() Cell {
	s := r.round.At.In(calendar.Zone).Format("15:04")
	switch {
	case r.run != nil:
		s += " / " + r.run.Started.In(calendar.Zone).Format("15:04:05")
	case r.worst != nil && r.worst.Slot != nil:
		s += " / " + r.worst.Slot.Start.In(calendar.Zone).Format("15:04:05")
	}
	return Cell{Text: s}
}

func (r *row) channel() Cell {
	return r.text(wording.Channel(wording.ZH, r.service.Service.Channel))
}

func (r *row) ways() Cell {
	var out []string
	for _, p := range r.round.Probes {
		word := wording.Kind(wording.ZH, p.Kind)
		if word != "" && !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return r.text(strings.Join(out, "+"))
}

// agents counts those that looked, and those of them for whom all went well.
func (r *row) agents() Cell {
	good := map[string]bool{}
	for _, p := range r.round.Probes {
		if p.Slot == nil {
			continue
		}
		for _, v := range p.Slot.Votes {
			fine := v.Verdict == probes.Up || v.Verdict == probes.Degraded
			was, known := good[v.Agent]
			good[v.Agent] = fine && (was || !known)
		}
	}
	if len(good) == 0 {
		return Cell{Text: nothing}
	}
	n := 0
	for _, ok := range good {
		if ok {
			n++
		}
	}
	return Cell{Text: fmt.Sprintf("%d/%d", n, len(good))}
}

func (r *row) status() Cell {
	if r.run == nil || r.run.Result.Status == 0 {
		return Cell{Text: nothing}
	}
	return r.seen(fmt.Sprint(r.run.Result.Status))
}

// firstByte is empty when nothing was answered: the wait for a first byte that
// did not come is no time to the first byte.
func (r *row) firstByte() Cell {
	if r.run == nil || r.run.Result.Status == 0 {
		return Cell{Text: nothing}
	}
	return r.milliseconds(r.run.Result.Timings.FirstByte)
}

func (r *row) total() Cell {
	if r.run == nil {
		return Cell{Text: nothing}
	}
	return r.milliseconds(r.run.Result.Timings.Total)
}

func (r *row) milliseconds(d time.Duration) Cell {
	if d <= 0 {
		return Cell{Text: nothing}
	}
	if d < time.Millisecond {
		return r.seen("<1")
	}
	return r.seen(fmt.Sprint(d.Milliseconds()))
}

// checks sums the expectations of all probes up; warnings are not meant.
func (r *row) checks() Cell {
	all, failed := 0, 0
	for _, p := range r.round.Probes {
		if p.Run == nil {
			continue
		}
		for _, c := range p.Run.Result.Checks {
			if c.Warn {
				continue
			}
			all++
			if !c.OK {
				failed++
			}
		}
	}
	switch {
	case all == 0:
		return Cell{Text: nothing}
	case failed > 0:
		return Cell{Text: fmt.Sprintf("✕ %d 项未通过", failed), Tone: "bad"}
	}
	return Cell{Text: "通过"}
}

// steps are those of the longest journey: an HTTP probe's only step is no business.
func (r *row) steps() Cell {
	var longest probes.Result
	link := ""
	for _, p := range r.round.Probes {
		if p.Run != nil && p.Run.Result.Steps > longest.Steps {
			longest, link = p.Run.Result, "/runs/"+p.Run.TraceID
		}
	}
	if longest.Steps == 0 {
		return Cell{Text: nothing}
	}
	return Cell{Text: fmt.Sprintf("%d/%d", longest.Passed, longest.Steps), Link: link}
}

// certificate is the time left of the certificate that ends first.
func (r *row) certificate() Cell {
	var first *probes.Run
	for _, p := range r.round.Probes {
		if p.Run != nil && !p.Run.Result.TLSUntil.IsZero() && (first == nil || p.Run.Result.TLSUntil.Before(first.Result.TLSUntil)) {
			first = p.Run
		}
	}
	if first == nil {
		return Cell{Text: nothing}
	}
	left := first.Result.TLSUntil.Sub(first.Started)
	days := int(left / (24 * time.Hour))
	if left < 0 {
		return Cell{Text: fmt.Sprintf("✕ 已过期 %d 天", -days), Tone: "bad", Link: "/runs/" + first.TraceID}
	}
	return Cell{Text: fmt.Sprint(days), Link: "/runs/" + first.TraceID}
}

func (r *row) class() Cell {
	if r.result != resultBad && !r.degraded() {
		return Cell{Text: nothing}
	}
	return r.text(wording.Class(wording.ZH, r.worst.Slot.Class))
}

// trouble is what was wrong, or why nothing is known; empty when all went well.
func (r *row) trouble() string {
	finding := ""
	if r.run != nil && len(r.run.Result.Findings) > 0 {
		finding = wording.Finding(wording.ZH, r.run.Result.Findings[0])
	}
	switch {
	case r.result == resultBad:
		return finding
	case r.degraded():
		return r.regional(finding)
	case r.result == resultMaintenance:
		return r.maintenance()
	case r.result == resultUnseen:
		return r.unseen(finding)
	case r.result == resultAbsent && r.round.Ended:
		return "该轮次时服务已退出监测"
	case r.result == resultAbsent:
		return "该轮次时服务尚未纳入监测"
	}
	return ""
}

// regional says where a failure was seen that others did not see.
func (r *row) regional(finding string) string {
	var where []string
	for _, v := range r.worst.Slot.Votes {
		if v.Verdict == probes.Down {
			where = append(where, v.Vantage)
		}
	}
	if len(where) == 0 {
		return finding
	}
	return strings.TrimSuffix("区域异常（仅 "+strings.Join(where, "、")+"）："+finding, "：")
}

func (r *row) maintenance() string {
	for _, w := range r.facts.Windows {
		if w.covers(r.service.Service.ID) && !r.round.At.Before(w.From) && r.round.At.Before(w.To) {
			return "计划维护：" + w.Reason
		}
	}
	return ""
}

func (r *row) unseen(finding string) string {
	switch {
	case r.worst == nil:
		return "该轮次前后没有拨测结果"
	case r.worst.Slot == nil:
		return fmt.Sprintf("拨测「%s」在该轮次前后没有结果", r.worst.Key.Probe)
	case r.worst.Slot.Reason == availability.ReasonTooFew:
		return strings.TrimSuffix("有监测点见到异常，但作答的监测点不足以确认："+finding, "：")
	default:
		return strings.TrimSuffix("没有监测点能够判定："+finding, "：")
	}
}

func (r *row) began() Cell {
	if r.incident == nil {
		return Cell{Text: nothing}
	}
	return Cell{Text: stamp(r.incident.Began)}
}

func (r *row) resolved() Cell {
	switch {
	case r.incident == nil:
		return Cell{Text: nothing}
	case r.incident.Open():
		return Cell{Text: "✕ 未恢复", Tone: "bad"}
	}
	return Cell{Text: stamp(r.incident.Resolved)}
}

// lasted ends an incident that is still open with the day, so that a finished
// day's document says the same whenever it is read.
func (r *row) lasted() Cell {
	if r.incident == nil {
		return Cell{Text: nothing}
	}
	if !r.incident.Open() {
		return r.about(wording.Duration(wording.ZH, r.incident.Lasted(r.facts.Now)))
	}
	if r.facts.Now.Before(r.period.To) {
		return r.about("已 " + wording.Duration(wording.ZH, r.incident.Lasted(r.facts.Now)))
	}
	return r.about("至当日24时 " + wording.Duration(wording.ZH, r.incident.Lasted(r.period.To)))
}

func (r *row) number() Cell {
	if r.incident == nil {
		return Cell{Text: nothing}
	}
	return r.about(fmt.Sprintf("%s（告警 %d 次）", r.incident.ID, r.facts.Alerts[r.incident.ID]))
}

// about links a text to the row's incident.
func (r *row) about(s string) Cell { return Cell{Text: s, Link: "/incidents/" + r.incident.ID} }

// short is how much of a digest or trace id is printed; the link has all of it.
const short = 12

func (r *row) evidence() Cell {
	if r.run == nil {
		return Cell{Text: nothing}
	}
	if e := r.run.Result.Evidence; len(e) > 0 && e[0].SHA256 != "" {
		return Cell{Text: e[0].SHA256[:min(short, len(e[0].SHA256))], Link: "/api/v1/evidence/" + e[0].SHA256}
	}
	return r.seen(r.run.TraceID[:min(short, len(r.run.TraceID))])
}
