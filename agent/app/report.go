package app

import (
	"fmt"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/wording"
)

// beijing is the zone of every time that people read; it knows no summer time.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// pair is a text in both languages.
type pair struct{ zh, en string }

func (p pair) in(l wording.Lang) string {
	if l == wording.EN {
		return p.en
	}
	return p.zh
}

var (
	labelProbe   = pair{"拨测", "probe"}
	labelVerdict = pair{"判定", "verdict"}
	labelTook    = pair{"用时", "took"}
	labelReply   = pair{"响应", "reply"}
	labelURL     = pair{"地址", "address"}
	labelCert    = pair{"证书", "cert"}
	labelSteps   = pair{"步骤", "steps"}
	labelAt      = pair{"时间", "time"}
	labelTrace   = pair{"追踪", "trace"}

	wordCertUntil = pair{"有效期至 %s，剩余 %d 天", "valid until %s, %d days left"}
	wordSteps     = pair{"通过 %d/%d", "%d of %d passed"}
	wordAt        = pair{"%s（北京时间），探针 %s，监测点 %s", "%s (UTC+8), agent %s, vantage %s"}
	wordTitle     = pair{"，《%s》", ", %q"}
	wordFindings  = pair{"问题", "findings"}
	wordChecks    = pair{"检查", "checks"}
	wordMet       = pair{"符合", "met"}
	wordWarned    = pair{"提醒", "warning"}
	wordFailed    = pair{"不符", "failed"}
	wordSaw       = pair{"实际：", "saw "}
	wordSummary   = pair{"共 %d 次：", "%d runs: "}
)

// The widest that the columns of a report become.
const (
	maxExprColumns = 56
	maxTextColumns = 160
)

// report is a run as a person reads it and pastes it into a ticket.
func report(l wording.Lang, s probes.Service, p probes.Probe, run probes.Run, spans []probes.Span) string {
	var b strings.Builder
	r := run.Result
	name := oneLine(s.Name)
	if p.Name != "" {
		name += " · " + oneLine(p.Name)
	}
	verdict := wording.Verdict(l, r.Verdict)
	if class := wording.Class(l, r.Class); class != "" {
		verdict += " · " + class
	}
	rows := [][2]string{
		{labelProbe.in(l), run.Key.String() + "  " + name + "  (" + wording.Kind(l, run.Kind) + ")"},
		{labelVerdict.in(l), verdict},
		{labelTook.in(l), millis(run.Took) + " ms"},
	}
	if reply := replyOf(l, r); reply != "" {
		rows = append(rows, [2]string{labelReply.in(l), reply})
	}
	if r.URL != "" {
		rows = append(rows, [2]string{labelURL.in(l), oneLine(r.URL)})
	}
	if !r.TLSUntil.IsZero() {
		days := int(r.TLSUntil.Sub(run.Started).Hours() / 24)
		rows = append(rows, [2]string{labelCert.in(l), fmt.Sprintf(wordCertUntil.in(l), r.TLSUntil.In(beijing).Format("2006-01-02"), days)})
	}
	if r.Steps > 0 {
		rows = append(rows, [2]string{labelSteps.in(l), fmt.Sprintf(wordSteps.in(l), r.Passed, r.Steps)})
	}
	rows = append(rows,
		[2]string{labelAt.in(l), fmt.Sprintf(wordAt.in(l), run.Started.In(beijing).Format("2006-01-02 15:04:05.000"), run.Agent, run.Vantage)},
		[2]string{labelTrace.in(l), run.TraceID},
	)
	var labels []string
	for _, row := range rows {
		labels = append(labels, row[0])
	}
	for _, row := range rows {
		fmt.Fprintf(&b, "%s  %s\n", pad(row[0], widest(20, labels...)), row[1])
	}
	findings(&b, l, r.Findings)
	checks(&b, l, r.Checks)
	b.WriteByte('\n')
	b.WriteString(waterfall(l, spans))
	b.WriteByte('\n')
	return b.String()
}

func replyOf(l wording.Lang, r probes.Result) string {
	var parts []string
	if r.Status != 0 {
		parts = append(parts, fmt.Sprintf("HTTP %d", r.Status))
	}
	if r.IP != "" {
		parts = append(parts, oneLine(r.IP))
	}
	out := strings.Join(parts, "  ")
	if title := oneLine(r.Title); title != "" && out != "" {
		out += fmt.Sprintf(wordTitle.in(l), title)
	}
	return out
}

func findings(b *strings.Builder, l wording.Lang, list []probes.Finding) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", wordFindings.in(l))
	for _, f := range list {
		fmt.Fprintf(b, "  ! %s\n", oneLine(wording.Finding(l, f)))
	}
}

func checks(b *strings.Builder, l wording.Lang, list []probes.Check) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", wordChecks.in(l))
	marks, exprs := make([]string, len(list)), make([]string, len(list))
	for i, c := range list {
		exprs[i] = oneLine(c.Expr)
		switch {
		case c.OK:
			marks[i] = wordMet.in(l)
		case c.Warn:
			marks[i] = wordWarned.in(l)
		default:
			marks[i] = wordFailed.in(l)
		}
	}
	for i, c := range list {
		saw := ""
		if c.Saw != "" {
			saw = "  " + wordSaw.in(l) + clip(oneLine(c.Saw), maxTextColumns)
		}
		fmt.Fprintln(b, strings.TrimRight(fmt.Sprintf("  %s  %s%s", pad(marks[i], widest(20, marks...)), pad(exprs[i], widest(maxExprColumns, exprs...)), saw), " "))
	}
}

// summary is the last line after several runs.
func summary(l wording.Lang, total int, tally map[probes.Verdict]int) string {
	var parts []string
	for _, v := range []probes.Verdict{probes.Up, probes.Degraded, probes.Down, probes.Unknown} {
		if n := tally[v]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", wording.Verdict(l, v), n))
		}
	}
	return fmt.Sprintf(wordSummary.in(l), total) + strings.Join(parts, ", ") + "\n"
}

// millis is d in milliseconds to a tenth.
func millis(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/1e6) }
