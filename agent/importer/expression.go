package importer

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// text writes s as a text of an expression. A "${" in it is doubled, as
// definitions expand what begins with it.
func text(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range literal(s) {
		switch {
		case r == '\'' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '$' || unicode.IsPrint(r):
			b.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

var (
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	pathPart   = regexp.MustCompile(`^\.?([^.\[\]]+)|^\[([0-9]{1,6})\]|^\[["']([^"'\]]+)["']\]`)
)

// jsonPath writes a dotted path such as user.name, data[0].id or ["a-b"] below
// json. Parts beside those are not understood. optional makes what is missing
// nil instead of an error.
func jsonPath(path string, optional bool) (string, bool) {
	var b strings.Builder
	b.WriteString("json")
	path = strings.TrimPrefix(path, "$")
	for path != "" {
		m := pathPart.FindStringSubmatch(path)
		if m == nil {
			return "", false
		}
		path = path[len(m[0]):]
		name := m[1] + m[3]
		if strings.ContainsAny(name, "*?@()\n$") || strings.TrimSpace(name) != name {
			return "", false
		}
		switch {
		case m[2] != "":
			fmt.Fprintf(&b, "[%s]", m[2])
		case identifier.MatchString(name) && optional:
			b.WriteString("?." + name)
		case identifier.MatchString(name):
			b.WriteString("." + name)
		case optional:
			b.WriteString("?.[" + text(name) + "]")
		default:
			b.WriteString("[" + text(name) + "]")
		}
	}
	return b.String(), true
}

// numeric reports whether s is a number as expressions write them.
func numeric(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil && strings.Trim(s, "+-0123456789.") == ""
}

// equals compares a value of unknown type with what a source wrote as text: 1 and
// "1" are one, as they are in the sources.
func equals(left, op, want string) string {
	if numeric(want) || want == "true" || want == "false" {
		return fmt.Sprintf("string(%s) %s %s", left, op, text(want))
	}
	return fmt.Sprintf("%s %s %s", left, op, text(want))
}

// glob writes a pattern of * and ? over a text. Other patterns are not understood.
func glob(left, pattern string) (string, bool) {
	if strings.ContainsAny(pattern, `[]\`) {
		return "", false
	}
	inner := strings.Trim(pattern, "*")
	if strings.ContainsAny(inner, "*?") {
		var b strings.Builder
		b.WriteString("(?s)^")
		for _, r := range pattern {
			switch r {
			case '*':
				b.WriteString(".*")
			case '?':
				b.WriteString(".")
			default:
				b.WriteString(regexp.QuoteMeta(string(r)))
			}
		}
		b.WriteString("$")
		return left + " matches " + text(b.String()), true
	}
	head, tail := strings.HasPrefix(pattern, "*"), strings.HasSuffix(pattern, "*")
	switch {
	case head && tail && inner == "":
		return left + " startsWith ''", true
	case head && tail:
		left = strings.TrimSuffix(strings.TrimPrefix(left, "trim("), ")") // no matter here
		return left + " contains " + text(inner), true
	case head:
		return left + " endsWith " + text(inner), true
	case tail:
		return left + " startsWith " + text(inner), true
	}
	return left + " == " + text(inner), true
}

// statusIn writes a list of codes and ranges such as 200-299 or 2xx.
func statusIn(list []string) (string, bool) {
	var codes, parts []string
	for _, s := range list {
		s = strings.ToLower(strings.TrimSpace(s))
		if len(s) == 3 && strings.HasSuffix(s, "xx") && s[0] >= '1' && s[0] <= '5' {
			s = s[:1] + "00-" + s[:1] + "99"
		}
		from, to, isRange := strings.Cut(s, "-")
		from, to = strings.TrimSpace(from), strings.TrimSpace(to)
		if !code(from) || isRange && !code(to) {
			return "", false
		}
		if isRange {
			parts = append(parts, fmt.Sprintf("status in %s..%s", from, to))
		} else {
			codes = append(codes, from)
		}
	}
	switch {
	case len(codes) == 1:
		parts = append(parts, "status == "+codes[0])
	case len(codes) > 1:
		parts = append(parts, "status in ["+strings.Join(codes, ", ")+"]")
	}
	return strings.Join(parts, " or "), len(parts) > 0
}

func code(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && len(s) == 3 && n >= 100 && n <= 999
}
