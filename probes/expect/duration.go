package expect

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// shift remembers one rewritten literal, in runes.
type shift struct {
	at       int // where the rewritten text begins, in the rewritten source
	long     int // its length there
	original int // where the literal begins in the source as written
	short    int // its length there
}

var durationLiteral = regexp.MustCompile(`^(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+`)

// rewriteDurations makes every duration literal outside strings and comments,
// such as 2s, 800ms or 1m30s, a call the expression library understands.
func rewriteDurations(src string) (string, []shift) {
	var (
		out            strings.Builder
		shifts         []shift
		runesIn, runes int // runes read and written so far
		before         rune
	)
	take := func(s string) {
		out.WriteString(s)
		n := utf8.RuneCountInString(s)
		runesIn, runes = runesIn+n, runes+n
		before, _ = utf8.DecodeLastRuneInString(s)
	}
	for i := 0; i < len(src); {
		if n := opaque(src[i:]); n > 0 {
			take(src[i : i+n])
			i += n
			continue
		}
		if literal := durationAt(src[i:], before); literal != "" {
			call := "duration('" + literal + "')"
			in, long := utf8.RuneCountInString(literal), utf8.RuneCountInString(call)
			shifts = append(shifts, shift{at: runes, long: long, original: runesIn, short: in})
			out.WriteString(call)
			runesIn, runes, before = runesIn+in, runes+long, ')'
			i += len(literal)
			continue
		}
		_, n := utf8.DecodeRuneInString(src[i:])
		take(src[i : i+n])
		i += n
	}
	return out.String(), shifts
}

// durationAt returns the duration literal at the start of s, or "". A number
// that continues a name or another number is not one.
func durationAt(s string, before rune) string {
	if wordRune(before) {
		return ""
	}
	literal := durationLiteral.FindString(s)
	if next, _ := utf8.DecodeRuneInString(s[len(literal):]); literal == "" || wordRune(next) && len(s) > len(literal) {
		return ""
	}
	return literal
}

func wordRune(r rune) bool { return r == '_' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// opaque returns the length of the string or comment at the start of s, or 0.
func opaque(s string) int {
	switch {
	case strings.HasPrefix(s, "//"):
		if end := strings.IndexByte(s, '\n'); end >= 0 {
			return end
		}
		return len(s)
	case strings.HasPrefix(s, "/*"):
		if end := strings.Index(s[2:], "*/"); end >= 0 {
			return end + 4
		}
		return len(s)
	case s[0] != '\'' && s[0] != '"' && s[0] != '`':
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && s[0] != '`':
			i++
		case s[i] == s[0]:
			return i + 1
		}
	}
	return len(s)
}

// original maps a rune offset of the rewritten source to the source as written.
func original(offset int, shifts []shift) int {
	moved := 0
	for _, s := range shifts {
		if offset < s.at {
			break
		}
		if offset < s.at+s.long {
			return s.original
		}
		moved += s.short - s.long
	}
	return offset + moved
}
