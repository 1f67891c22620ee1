package probes

import (
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

var secretRef = regexp.MustCompile(`\$\{secret:([A-Za-z][A-Za-z0-9_]*)\}`)

// SecretNames lists the names used by ${secret:NAME} in s, sorted, each once.
func SecretNames(s string) []string {
	var names []string
	for _, m := range secretRef.FindAllStringSubmatch(s, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Expand replaces every ${secret:NAME} in s by its value. A value is taken as it
// is: what it holds is never expanded in turn.
func Expand(s string, secret func(name string) (string, error)) (string, error) {
	if !strings.Contains(s, "${secret:") {
		return s, nil
	}
	values := map[string]string{}
	for _, name := range SecretNames(s) {
		value, err := secret(name)
		if err != nil {
			return "", fmt.Errorf("expanding ${secret:%s}: %w", name, err)
		}
		values[name] = value
	}
	return secretRef.ReplaceAllStringFunc(s, func(ref string) string {
		return values[secretRef.FindStringSubmatch(ref)[1]]
	}), nil
}

// Masked replaces secret values in texts.
const Masked = "***"

// A Redactor removes secret values, also as they stand in URLs, JSON and HTML.
type Redactor struct{ values []string }

// NewRedactor hides the given values. Values shorter than 4 bytes are not
// hidden: masking "1" everywhere would tell more than it hides.
func NewRedactor(values []string) *Redactor {
	r := &Redactor{}
	for _, v := range values {
		if len(v) < 4 {
			continue
		}
		r.values = append(r.values, v)
		for _, escaped := range forms(v) {
			if escaped != v && !slices.Contains(r.values, escaped) {
				r.values = append(r.values, escaped)
			}
		}
	}
	// The longest first, so that a secret that holds another is hidden whole.
	slices.SortFunc(r.values, func(a, b string) int { return len(b) - len(a) })
	return r
}

// forms are the ways in which sites and programs write v back.
func forms(v string) []string {
	out := []string{url.QueryEscape(v), url.PathEscape(v), html.EscapeString(v)}
	for _, safe := range []bool{true, false} {
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(safe)
		if e.Encode(v) == nil {
			out = append(out, strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(b.String()), `"`), `"`))
		}
	}
	return out
}

var identity = regexp.MustCompile(`\b\d{17}[\dXx]\b|\b1[3-9]\d{9}\b`)

// Text returns s without secret values, and with identity-card and mobile
// numbers masked but for their first and last two characters.
func (r *Redactor) Text(s string) string {
	s = r.Secrets(s)
	if !numbered(s) {
		return s
	}
	return identity.ReplaceAllStringFunc(s, func(m string) string { return m[:2] + Masked + m[len(m)-2:] })
}

// numbered reports whether s holds as many digits in a row as the shortest of the
// numbers that identity looks for. Most texts of a run do not, and the expression
// takes thirty times as long to say so.
func numbered(s string) bool {
	row := 0
	for i := range len(s) {
		if c := s[i]; c < '0' || c > '9' {
			row = 0
		} else if row++; row == 11 {
			return true
		}
	}
	return false
}

// Secrets returns s without secret values and otherwise as it is.
func (r *Redactor) Secrets(s string) string {
	if r != nil {
		for _, v := range r.values {
			s = strings.ReplaceAll(s, v, Masked)
		}
	}
	return s
}
