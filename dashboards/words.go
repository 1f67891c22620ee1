package dashboards

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/wording"
)

// T is a text of the table, with its arguments put in. An unknown key is an
// error, so that no page ever shows a key.
func (p *page) T(key string, args ...any) (string, error) {
	m, ok := messages[key]
	if !ok {
		return "", fmt.Errorf("no text %q", key)
	}
	text := m.zh
	if p.Lang == wording.EN {
		text = m.en
	}
	if len(args) > 0 {
		text = fmt.Sprintf(text, args...)
	}
	return text, nil
}

// t is T for keys that are known to be there; a test holds that they are.
func (p *page) t(key string, args ...any) string {
	s, err := p.T(key, args...)
	if err != nil {
		return key
	}
	return s
}

// word is the text prefix+id, or id itself when the table has none: for lists
// that other rooms may extend.
func (p *page) word(prefix, id string) string {
	if _, ok := messages[prefix+id]; !ok {
		return id
	}
	return p.t(prefix + id)
}

// English reports whether the page is in English.
func (p *page) English() bool { return p.Lang == wording.EN }

// Verdict is the word for a verdict, or for a verdict's name.
func (p *page) Verdict(v any) string {
	switch v := v.(type) {
	case probes.Verdict:
		return wording.Verdict(p.Lang, v)
	case string:
		if known, err := probes.ParseVerdict(v); err == nil {
			return wording.Verdict(p.Lang, known)
		}
	}
	return wording.Verdict(p.Lang, probes.Unknown)
}

// Class is the word for a failure class.
func (p *page) Class(c probes.Class) string { return wording.Class(p.Lang, c) }

// Channel is the word for a channel.
func (p *page) Channel(c probes.Channel) string { return wording.Channel(p.Lang, c) }

// Kind is the word for a kind of probe.
func (p *page) Kind(kind string) string { return wording.Kind(p.Lang, kind) }

// Trigger is the word for a trigger.
func (p *page) Trigger(t probes.Trigger) string { return wording.Trigger(p.Lang, t) }

// Finding is the sentence for a finding.
func (p *page) Finding(f probes.Finding) string { return wording.Finding(p.Lang, f) }

// Reason says why a slot has its verdict; empty for none.
func (p *page) Reason(r availability.Reason) string {
	if r == "" {
		return ""
	}
	return p.word("reason.", string(r))
}

// Grade is the word for a grade.
func (p *page) Grade(g incident.Grade) string { return p.word("grade.", string(g)) }

// Word is the text prefix+id, or id itself when there is none.
func (p *page) Word(prefix string, id any) string { return p.word(prefix, fmt.Sprint(id)) }

// Dur is a length as people say it; 「—」 for none.
func (p *page) Dur(d time.Duration) string {
	if d == 0 {
		return none
	}
	return wording.Duration(p.Lang, d)
}

// Secs is Dur for seconds.
func (p *page) Secs(s float64) string { return p.Dur(time.Duration(s * float64(time.Second))) }

// none stands where there is no value.
const none = "—"

// MS is a latency: "320 ms", "1.25 s", 「—」 for none.
func (p *page) MS(d time.Duration) string { return millis(float64(d) / float64(time.Millisecond)) }

func millis(ms float64) string {
	switch {
	case ms <= 0:
		return none
	case ms < 1:
		return "<1 ms"
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	case ms < 10_000:
		return fmt.Sprintf("%.2f s", ms/1000)
	default:
		return fmt.Sprintf("%.1f s", ms/1000)
	}
}

// Pct is a share to two decimals, rounded down; 「无数据」 for nil.
func (p *page) Pct(share *float64) string {
	if share == nil {
		return p.t("figure.none")
	}
	return wording.Percent(*share)
}

// moment is a time for people: Text in words, Exact to the second, ISO for machines.
type moment struct{ ISO, Exact, Text string }

const exact = "2006-01-02 15:04:05"

func at(t time.Time) moment {
	return moment{ISO: t.UTC().Format(time.RFC3339), Exact: t.In(calendar.Zone).Format(exact)}
}

// Ago is a time as people say it: 「3分钟前」. It keeps up with the clock on the page.
func (p *page) Ago(t time.Time) moment {
	if t.IsZero() {
		return moment{Text: none}
	}
	m := at(t)
	d := p.Now.Sub(t)
	key := "ago."
	if d < 0 {
		d, key = -d, "in."
	}
	switch {
	case d < 5*time.Second:
		m.Text = p.t("ago.now")
	case d < time.Minute:
		m.Text = p.t(key+"seconds", int(d/time.Second))
	case d < time.Hour:
		m.Text = p.t(key+"minutes", int(d/time.Minute))
	case d < 24*time.Hour:
		m.Text = p.t(key+"hours", int(d/time.Hour))
	default:
		m.Text = p.t(key+"days", int(d/(24*time.Hour)))
	}
	return m
}

// At is a time on the clock: 「08:05:03」 today, 「11-24 08:05」 on other days.
func (p *page) At(t time.Time) moment {
	if t.IsZero() {
		return moment{Text: none}
	}
	m := at(t)
	local, now := t.In(calendar.Zone), p.Now.In(calendar.Zone)
	switch {
	case local.Format(time.DateOnly) == now.Format(time.DateOnly):
		m.Text = local.Format(time.TimeOnly)
	case local.Year() == now.Year():
		m.Text = local.Format("01-02 15:04")
	default:
		m.Text = local.Format("2006-01-02 15:04")
	}
	return m
}

// Until is how long t is away, for countdowns; behind is true once it has passed.
func (p *page) Until(t time.Time) moment {
	m := at(t)
	d := t.Sub(p.Now)
	if d < 0 {
		m.Text = p.t("clock.over", wording.Duration(p.Lang, (-d).Truncate(time.Second)))
	} else {
		m.Text = p.t("clock.left", wording.Duration(p.Lang, d.Truncate(time.Second)))
	}
	return m
}

// Short shortens a commit or digest.
func (p *page) Short(commit string) string {
	if len(commit) > 10 {
		return commit[:10]
	}
	return commit
}

// Web returns u when it is an http or https address that a page may link to,
// and "" otherwise: then it is shown as text.
func (p *page) Web(u string) string {
	parsed, err := url.Parse(u)
	if err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
		return ""
	}
	return u
}

// Local returns link when it is a path of ours, and "" otherwise.
func (p *page) Local(link string) string {
	if strings.HasPrefix(link, "/") && !strings.HasPrefix(link, "//") && !strings.HasPrefix(link, `/\`) {
		return link
	}
	return ""
}

// Join writes a list with the language's comma.
func (p *page) Join(list []string) string { return strings.Join(list, p.t("list.comma")) }

// DocTitle is the title of the browser's tab; what is wrong comes first.
func (p *page) DocTitle() string {
	title := p.Title + " · " + p.t("brand")
	if p.Org != "" {
		title += " · " + p.Org
	}
	if p.Alarm > 0 {
		title = fmt.Sprintf("(%d) %s", p.Alarm, title)
	}
	return title
}
