package wording

import (
	"strconv"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// Finding is the sentence that explains f; empty for no finding. It is written
// to be understood alone, by somebody who was asleep a minute ago.
func Finding(l Lang, f probes.Finding) string {
	if f == (probes.Finding{}) {
		return ""
	}
	s, known := sentences[f.Phrase]
	if !known {
		s = sentences[""]
	}
	text, whole := fill(l, s.in(l), f)
	if !whole {
		// An argument is missing, as when an agent of another version means
		// something else by the phrase: what there is, is said plainly.
		s = sentences[""]
		text, _ = fill(l, s.in(l), f)
	}
	if step := s.step(l, f.Step); step != "" {
		return pair{"步骤「" + step + "」：", "step \"" + step + "\": "}.in(l) + text
	}
	return text
}

// Needs reports which arguments the sentence of a phrase cannot do without.
func Needs(p probes.Phrase) (want, got bool) {
	s, ok := sentences[p]
	if !ok {
		return false, false
	}
	_, without := fill(ZH, s.zh, probes.Finding{Class: probes.ClassStep, Got: "x"})
	_, within := fill(ZH, s.zh, probes.Finding{Class: probes.ClassStep, Want: "x"})
	return !without, !within
}

// fill puts the arguments into a sentence. {want} and {got} are replaced, also
// as {got:span}, {got:time} and {want:name}; a part in square brackets is left
// out when an argument in it is missing. It reports false when one is missing
// elsewhere.
func fill(l Lang, sentence string, f probes.Finding) (text string, whole bool) {
	var b strings.Builder
	whole = true
	for sentence != "" {
		at := strings.IndexAny(sentence, "[{")
		if at < 0 {
			b.WriteString(sentence)
			break
		}
		before, open, inner := sentence[:at], sentence[at], ""
		inner, sentence, _ = strings.Cut(sentence[at+1:], map[byte]string{'[': "]", '{': "}"}[open])
		if open == '[' {
			part, ok := fill(l, inner, f)
			if !ok {
				part = ""
			}
			b.WriteString(before + part)
			continue
		}
		value := argument(l, inner, f)
		whole = whole && value != ""
		if strings.HasPrefix(value, "「") {
			// Chinese quotes bring their own space.
			before, sentence = strings.TrimSuffix(before, " "), strings.TrimPrefix(sentence, " ")
		}
		b.WriteString(before + value)
	}
	return b.String(), whole
}

func argument(l Lang, name string, f probes.Finding) string {
	name, form, _ := strings.Cut(name, ":")
	value := map[string]string{"want": f.Want, "got": f.Got, "class": Class(l, f.Class)}[name]
	switch form {
	case "span":
		return span(l, value)
	case "time":
		return clock(value)
	case "name":
		return selector(l, value)
	}
	return value
}

// span is a length of time to a tenth of a second, or s itself if it is none.
func span(l Lang, s string) string {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return s
	}
	if d < time.Second || d >= time.Minute {
		return Duration(l, d)
	}
	return strconv.FormatFloat(d.Round(100*time.Millisecond).Seconds(), 'f', -1, 64) + pair{"秒", " s"}.in(l)
}

// beijing is the zone of every time that people read; it knows no summer time.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// clock is an instant in Beijing's time, or s itself if it is none.
func clock(s string) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return s
	}
	return t.In(beijing).Format("2006-01-02 15:04")
}

// selector is what a selector names: the words of one that goes by words.
func selector(l Lang, s string) string {
	words := worded.ReplaceAllString(s, "$1")
	if words == s || words == "" {
		return s
	}
	return pair{"「" + words + "」", strconv.Quote(words)}.in(l)
}
