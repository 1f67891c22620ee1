package httpprobe

import (
	"regexp"
	"strings"
)

// reference is what stands for a value in a text: a secret, or something that
// an earlier step saved.
var reference = regexp.MustCompile(`\$\{(?:secret:([A-Za-z][A-Za-z0-9_]*)|([a-z][a-z0-9_]*))\}`)

// template is a text with references, cut at them once so that a run only has
// to join its parts. A text without any has none.
type template struct {
	raw   string
	parts []part
}

type part struct {
	text   string
	secret string // the name of a secret, or …
	saved  string // … of a value that a step saved; text is then empty
}

// values are what references stand for in a run.
type values struct {
	secrets map[string]string
	saved   map[string]string
}

// cut makes a template of s. A name that known does not have is no reference.
func cut(s string, known func(saved string) bool) template {
	t := template{raw: s}
	if !strings.Contains(s, "${") {
		return t
	}
	at := 0
	for _, m := range reference.FindAllStringSubmatchIndex(s, -1) {
		p := part{}
		switch {
		case m[2] >= 0:
			p.secret = s[m[2]:m[3]]
		case known(s[m[4]:m[5]]):
			p.saved = s[m[4]:m[5]]
		default:
			continue
		}
		if m[0] > at {
			t.parts = append(t.parts, part{text: s[at:m[0]]})
		}
		t.parts, at = append(t.parts, p), m[1]
	}
	if len(t.parts) > 0 && at < len(s) {
		t.parts = append(t.parts, part{text: s[at:]})
	}
	return t
}

// fixed reports whether the text is the same in every run.
func (t template) fixed() bool { return len(t.parts) == 0 }

// fill puts the values in. A value is taken as it is: what it holds is never
// expanded in turn. escape, if given, fits each for where it stands.
func (t template) fill(v *values, escape func(string) string) string {
	if t.fixed() {
		return t.raw
	}
	var b strings.Builder
	for _, p := range t.parts {
		value := p.text
		switch {
		case p.secret != "":
			value = v.secrets[p.secret]
		case p.saved != "":
			value = v.saved[p.saved]
		}
		if escape != nil && (p.secret != "" || p.saved != "") {
			value = escape(value)
		}
		b.WriteString(value)
	}
	return b.String()
}

// sample is the text with a harmless value for every reference.
func (t template) sample() string {
	v := values{secrets: map[string]string{}, saved: map[string]string{}}
	for _, p := range t.parts {
		v.secrets[p.secret], v.saved[p.saved] = "secret", "saved"
	}
	return t.fill(&v, nil)
}
