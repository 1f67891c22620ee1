package alert

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/probes/wording"
)

// The contract's limits, in natural hours.
const (
	resolveWithin = 2 * time.Hour
	respondWithin = 8 * time.Hour
	reportWithin  = 24 * time.Hour
)

var grades = map[incident.Grade]string{
	incident.GradeOrdinary: "普通故障",
	incident.GradeMajor:    "重大故障",
}

// Compose writes the notification about what happened to an incident, for one
// route. base is the public address of the pages; without it there is no link.
// Title and text leave the house, so they hold neither addresses nor what a
// server said: those are behind the link.
func Compose(event Event, i incident.Incident, route, base string, at time.Time) Notification {
	n := Notification{Key: Key(i.ID, event, route), Event: event, At: at.UTC(), Incident: i}
	if base != "" {
		n.Link = strings.TrimSuffix(base, "/") + "/incidents/" + url.PathEscape(i.ID)
	}
	who := fmt.Sprintf("%s（%s）", i.Name, wording.Channel(wording.ZH, i.Channel))
	what := wording.Class(wording.ZH, i.Class)
	lines := []string{"服务：" + who, "级别：" + grades[i.Grade]}
	if what != "" {
		lines = append(lines, "现象："+what)
	}
	lines = append(lines, "开始："+clock(i.Began))
	switch event {
	case EventResolved:
		lasted := wording.Duration(wording.ZH, i.Lasted(at))
		n.Title = fmt.Sprintf("【%s恢复】%s已恢复正常，持续%s", grades[i.Grade], who, lasted)
		lines = append(lines, "恢复："+clock(i.Resolved), "持续："+lasted)
	case EventWithdrawn:
		lines = append(lines, "结束："+clock(i.Resolved), "说明：相关拨测已从监测定义中撤销，未见恢复，请人工核实服务状态")
		n.Title = fmt.Sprintf("【%s结束监测】%s的拨测已撤销，未见恢复", grades[i.Grade], who)
	case EventMajor:
		n.Title = fmt.Sprintf("【%s】%s持续无法访问已达 2 小时", grades[i.Grade], who)
		lines = append(lines, "已持续："+wording.Duration(wording.ZH, i.Lasted(at)))
	default:
		n.Title = fmt.Sprintf("【%s】%s无法访问", grades[i.Grade], who)
	}
	if what != "" && event != EventResolved && event != EventWithdrawn {
		n.Title += "：" + what
	}
	if len(i.Vantages) > 0 {
		lines = append(lines, "监测点："+strings.Join(i.Vantages, "、"))
	}
	lines = append(lines, "编号："+i.ID)
	switch event {
	case EventWithdrawn: // nobody is asked for a report on what nobody measures
	case EventResolved:
		lines = append(lines, fmt.Sprintf("请于 %s 前提交故障处理报告", clock(i.Resolved.Add(reportWithin))))
	default:
		lines = append(lines, fmt.Sprintf("时限：%s 前初步诊断，%s 前解决", clock(i.Opened.Add(respondWithin)), clock(i.Opened.Add(resolveWithin))))
	}
	if n.Link != "" {
		lines = append(lines, "详情："+n.Link)
	}
	n.Text = strings.Join(lines, "\n")
	return n
}

// Key names what happened to an incident on one route: the same key is the same
// message, sent once. It is plain ASCII, since it travels in a header.
func Key(incidentID string, event Event, route string) string {
	return incidentID + "/" + string(event) + "/" + url.PathEscape(route)
}

func clock(t time.Time) string { return t.In(calendar.Zone).Format("2006-01-02 15:04:05") }
