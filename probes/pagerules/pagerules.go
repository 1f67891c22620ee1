// Package pagerules recognises pages that are not what was asked for although
// HTTP says 200, or that a firewall put in place of the site's own: soft 404,
// maintenance, block, challenge, 「请在微信客户端打开」. The rules are a table of
// data; one more page is one more row in rules.go.
//
// A rule scores. A phrase in the title counts more than one in the text, and a
// short page more than a long one, so that a news item about 「系统升级公告」 on a
// healthy page is no maintenance page.
package pagerules

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gengfu/gengfu/probes"
)

// Page is what a probe saw.
type Page struct {
	Status int                 // HTTP status
	Title  string              //
	Text   string              // visible text
	Source string              // the document's source, for script challenges; may be empty
	Header map[string][]string // of the reply; names in any case
	URL    string              // the final address
	// Asked is the address that was asked for at first; empty when the definition
	// itself says where that leads, so that nothing can be the wrong place.
	Asked string
	// Expected says that the definition expects certain text and that the page
	// has it: the page must then look much worse to be taken for another.
	Expected bool
}

// Rule is one kind of page that is not the service's own.
type Rule struct {
	Name  string       // as used in a definition's "rules:"
	Class probes.Class //
	Doc   string       // one line, for documentation
	// Phrase says it to people; its argument is what the page showed.
	Phrase probes.Phrase
	// Verdict is Down when the public sees the same page, and Unknown when a
	// firewall or a client check kept only the probe from seeing the service.
	Verdict probes.Verdict

	// A rule matches when every group of conditions that it has holds.
	statuses []int    // any of them
	headers  []header // any of them, or any of source
	source   []string // any of them, in the source's head
	urls     []string // any of them, in the final address
	phrases  []phrase // together they reach need; see score
	support  []string // words that strengthen a phrase in the text by one
	need     int      // the score to reach
	maxText  int      // runes of text beyond which the rule never matches; 0 for no bound
	unless   []string // none of them in the title or text
	moved    bool     // asked for another place, without being content with this one
	titles   []string // any of them in the title
	texts    []string // any of them in the text
}

type header struct{ name, contains string }

// phrase is a text with its weight in a title and in the page's text. Where
// whole is set, a title counts only when it is the phrase, apart from the
// site's name behind a separator.
type phrase struct {
	text    string
	inTitle int
	inText  int
	whole   bool
}

// The lengths of text, in runes, that the score turns on, and what they count.
const (
	shortText  = 300
	longText   = 1500
	shortBonus = 2
	longFine   = 2
	asExpected = 2 // taken off when the page holds the text the definition expects
	headBytes  = 64 << 10
)

// Rules lists every rule in the order in which they are tried.
func Rules() []Rule { return slices.Clone(rules) }

// Names lists the names of the rules.
func Names() []string {
	names := make([]string, 0, len(rules))
	for _, r := range rules {
		names = append(names, r.Name)
	}
	return names
}

// Match returns the first rule that p matches, passing over those named in off.
func Match(p Page, off ...string) (Rule, bool) { return MatchOwn(p, nil, off...) }

// MatchOwn is Match with a definition's own rules tried first.
func MatchOwn(p Page, own []Rule, off ...string) (Rule, bool) {
	v := viewOf(p)
	for i := range own {
		if own[i].matches(&v) {
			return own[i], true
		}
	}
	known := known()
	v.inTitle, v.inText = known.find(v.title), known.find(v.text)
	for i := range rules {
		if r := &rules[i]; !slices.Contains(off, r.Name) && r.matches(&v) {
			return *r, true
		}
	}
	return Rule{}, false
}

// Finding says what the rule saw on p.
func (r Rule) Finding(p Page) probes.Finding {
	f := probes.Finding{Class: r.Class, Phrase: r.Phrase, Got: probes.Shown(clip(p.Title, 1000), clip(p.Text, 2000))}
	switch r.Phrase {
	case probes.PhraseScriptCheck:
		f.Want = strconv.Itoa(p.Status)
	case probes.PhraseOwnPage:
		f.Want = r.Name
	}
	return f
}

// view is a page made ready for comparison: no spaces, lower case.
type view struct {
	Page
	title, text, head string
	runes             int
	// What the table's own rules speak of and was found; nil while others are tried.
	inTitle, inText found
}

func (v *view) titleHas(text string) bool { return v.inTitle.has(v.title, text) }
func (v *view) textHas(text string) bool  { return v.inText.has(v.text, text) }

func viewOf(p Page) view {
	head := p.Source
	if len(head) > headBytes {
		head = head[:headBytes]
	}
	v := view{Page: p, title: squeeze(clip(p.Title, 1000)), text: squeeze(clip(p.Text, headBytes)), head: head}
	v.runes = utf8.RuneCountInString(v.text)
	return v
}

func (r *Rule) matches(v *view) bool {
	switch {
	case len(r.statuses) > 0 && !slices.Contains(r.statuses, v.Status):
		return false
	case r.maxText > 0 && v.runes > r.maxText:
		return false
	case len(r.urls) > 0 && !containsAny(strings.ToLower(v.URL), r.urls):
		return false
	case r.moved && (v.Expected || !v.movedFrom(r.urls)):
		return false
	case len(r.titles) > 0 && !slices.ContainsFunc(r.titles, v.titleHas), len(r.texts) > 0 && !slices.ContainsFunc(r.texts, v.textHas):
		return false
	case slices.ContainsFunc(r.unless, v.titleHas), slices.ContainsFunc(r.unless, v.textHas):
		return false
	case len(r.headers)+len(r.source) > 0 && !v.hasHeader(r.headers) && !containsAny(v.head, r.source):
		return false
	case len(r.phrases) > 0 && v.score(r) < r.need:
		return false
	}
	return true
}

// movedFrom reports that another place was asked for, and none that is known by
// the same signs.
func (v *view) movedFrom(signs []string) bool {
	asked, err := url.Parse(v.Asked)
	if err != nil || v.Asked == "" || containsAny(strings.ToLower(v.Asked), signs) {
		return false
	}
	now, err := url.Parse(v.URL)
	return err == nil && (!strings.EqualFold(asked.Host, now.Host) || strings.TrimSuffix(asked.Path, "/") != strings.TrimSuffix(now.Path, "/"))
}

// score adds the best title phrase, the best text phrase and the page's length.
// Without a phrase there is no score, however short the page is.
func (v *view) score(r *Rule) int {
	title, text := 0, 0
	for _, p := range r.phrases {
		if v.titled(p) {
			title = max(title, p.inTitle)
		}
		if v.textHas(p.text) {
			text = max(text, p.inText)
		}
	}
	if text > 0 && slices.ContainsFunc(r.support, v.textHas) {
		text++
	}
	score := title + text
	switch {
	case score == 0:
		return 0
	case v.runes <= shortText:
		score += shortBonus
	case v.runes > longText:
		score -= longFine
	}
	if v.Expected {
		score -= asExpected
	}
	return score
}

func (v *view) titled(p phrase) bool {
	if !v.titleHas(p.text) {
		return false
	}
	return !p.whole || slices.Contains(strings.FieldsFunc(v.title, separator), p.text)
}

func separator(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }

func (v *view) hasHeader(wanted []header) bool {
	for name, values := range v.Header {
		for _, w := range wanted {
			if strings.EqualFold(name, w.name) && slices.ContainsFunc(values, func(s string) bool {
				return strings.Contains(strings.ToLower(s), w.contains)
			}) {
				return true
			}
		}
	}
	return false
}

func containsAny(s string, parts []string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(s, p) })
}

// squeeze drops white space and lowers case: pages put spaces and line breaks
// between the characters of a headline.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		if r > 0x3000 && r < 0xa640 {
			return r // Chinese and Japanese: neither space nor capitals, and most of a page
		}
		if unicode.IsSpace(r) || r == '\u200b' || r == '\ufeff' {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// clip cuts s to n bytes on a rune's edge.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
