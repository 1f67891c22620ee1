package pagerules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gengfu/gengfu/probes"
)

// Own is a rule that a definition brings for pages of its own site. Every group
// that is given must hold: any of its titles, any of its texts, any part of the
// address, any status. Case and spaces do not count in titles and texts.
type Own struct {
	Name    string       `yaml:"name" doc:"what people call it" zh:"名称，给人看"`
	Class   probes.Class `yaml:"class" doc:"the failure class that a match means" zh:"命中后的故障类别"` // see OwnClasses
	Title   []string     `yaml:"title" doc:"any of these is in the title" zh:"标题含其中之一"`
	Text    []string     `yaml:"text" doc:"any of these is in the text" zh:"正文含其中之一"`
	URL     []string     `yaml:"url" doc:"any of these is in the address" zh:"地址含其中之一"`
	Status  []int        `yaml:"status" doc:"any of these is the HTTP status" zh:"HTTP 状态码是其中之一"`
	MaxText int          `yaml:"max_text" doc:"characters of text beyond which it never matches; 0 for no bound" zh:"正文超过这么多字就不算命中；0 为不限"`
}

// Bounds of a definition's own rules.
const (
	MaxOwn      = 20 // rules of one probe
	maxPatterns = 50 // texts of one group
	maxPattern  = 200
)

// OwnClasses are the classes that an own rule may have.
func OwnClasses() []probes.Class {
	return []probes.Class{
		probes.ClassMaintenancePage, probes.ClassSoft404, probes.ClassRedirect, probes.ClassContent,
		probes.ClassBlocked, probes.ClassChallenge, probes.ClassWechatOnly,
	}
}

// OwnClassNames lists them as texts.
func OwnClassNames() []string {
	var out []string
	for _, c := range OwnClasses() {
		out = append(out, string(c))
	}
	return out
}

// OwnRules makes the rules of a probe's "pages" and tells every mistake with its
// key in the probe's settings.
func OwnRules(list []Own, mistake func(key, format string, args ...any)) []Rule {
	if len(list) > MaxOwn {
		mistake("pages", "want at most %d rules, got %d", MaxOwn, len(list))
		return nil
	}
	var out []Rule
	for i, o := range list {
		out = append(out, o.Rule(func(key, text string) {
			mistake(strings.TrimSuffix(fmt.Sprintf("pages[%d].%s", i, key), "."), "%s", text)
		}))
	}
	return out
}

// Rule makes a rule of o. wrong is told of every mistake with the key it is at.
func (o Own) Rule(wrong func(key, text string)) Rule {
	if o.Name == "" {
		wrong("name", "want a name that people understand, such as 夜间割接公告")
	}
	if slices.Contains(Names(), o.Name) {
		wrong("name", fmt.Sprintf("%q is the name of a rule that exists; want another", o.Name))
	}
	if !slices.Contains(OwnClasses(), o.Class) {
		wrong("class", fmt.Sprintf("want one of %s, got %q", strings.Join(OwnClassNames(), ", "), o.Class))
	}
	if len(o.Title)+len(o.Text)+len(o.URL) == 0 {
		wrong("", "want title, text or url: without them the rule would match every page")
	}
	r := Rule{
		Name: o.Name, Class: o.Class, Doc: o.Name, Phrase: probes.PhraseOwnPage, Verdict: probes.Down,
		statuses: o.Status, maxText: o.MaxText,
		titles: patterns("title", o.Title, squeeze, wrong),
		texts:  patterns("text", o.Text, squeeze, wrong),
		urls:   patterns("url", o.URL, strings.ToLower, wrong),
	}
	switch o.Class {
	case probes.ClassBlocked, probes.ClassChallenge, probes.ClassWechatOnly:
		r.Verdict = probes.Unknown
	}
	if o.MaxText < 0 {
		wrong("max_text", fmt.Sprintf("want 1 or more characters, or 0 for no bound, got %d", o.MaxText))
	}
	for n, s := range o.Status {
		if s < 100 || s > 999 {
			wrong(fmt.Sprintf("status[%d]", n), fmt.Sprintf("want an HTTP status such as 200, got %d", s))
		}
	}
	return r
}

func patterns(key string, list []string, fit func(string) string, wrong func(key, text string)) []string {
	if len(list) > maxPatterns {
		wrong(key, fmt.Sprintf("want at most %d, got %d", maxPatterns, len(list)))
		return nil
	}
	var out []string
	for n, s := range list {
		at := fmt.Sprintf("%s[%d]", key, n)
		switch fitted := fit(s); {
		case strings.TrimSpace(fitted) == "":
			wrong(at, "want a text; an empty one is on every page")
		case len(s) > maxPattern:
			wrong(at, fmt.Sprintf("want at most %d bytes, got %d", maxPattern, len(s)))
		default:
			out = append(out, fitted)
		}
	}
	return out
}
