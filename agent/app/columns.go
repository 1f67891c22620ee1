package app

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// What is printed here is pasted into tickets and read in Chinese fonts, where
// "█", "│", "✓" and "…" may be one column wide or two. So all lines are drawn in
// ASCII, and only letters that are two columns wide in every font count as two.

// oneLine is s fit for a terminal: on one line, and without the control
// characters by which a page's text could move the cursor or turn what follows.
func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.In(r, unicode.Zl, unicode.Zp):
			return ' '
		case unicode.In(r, unicode.Cf):
			return -1
		case unicode.IsControl(r), r == utf8.RuneError:
			return '?'
		}
		return r
	}, s))
}

// columns is how many columns s takes in a fixed-width font.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// clip cuts s to n columns and says so.
func clip(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	const mark = ".."
	used := 0
	for i, r := range s {
		if used += runeColumns(r); used > n-len(mark) {
			return s[:i] + mark
		}
	}
	return s
}

// pad fills s to n columns, and clips it to them.
func pad(s string, n int) string {
	s = clip(s, n)
	return s + strings.Repeat(" ", n-columns(s))
}

// widest is the width of the widest text, at most n columns.
func widest(n int, texts ...string) int {
	w := 0
	for _, s := range texts {
		w = max(w, columns(s))
	}
	return min(w, n)
}
