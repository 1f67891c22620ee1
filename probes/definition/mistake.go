package definition

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Mistake is one thing wrong in a definition. Its text says what was found,
// what was expected and how to mend it.
type Mistake struct {
	File   string
	Line   int // from 1; 0 when the mistake is about the whole file
	Column int // in characters, from 1
	Text   string
}

// Error returns "file:line:column: text".
func (m Mistake) Error() string {
	if m.Line == 0 {
		return m.File + ": " + m.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.Text)
}

// Mistakes are all mistakes of one revision, ordered by file, line and column.
type Mistakes []Mistake

// Error returns one mistake a line.
func (ms Mistakes) Error() string { return strings.Join(ms.Texts(), "\n") }

// Texts returns each mistake as "file:line:column: text".
func (ms Mistakes) Texts() []string {
	out := make([]string, 0, len(ms))
	for _, m := range ms {
		out = append(out, m.Error())
	}
	return out
}

// maxMistakes bounds what a refused revision carries through the fleet.
const maxMistakes = 500

// sorted orders and bounds the mistakes and drops exact repetitions.
func (ms Mistakes) sorted() Mistakes {
	slices.SortStableFunc(ms, func(a, b Mistake) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column, strings.Compare(a.Text, b.Text))
	})
	ms = slices.Compact(ms)
	if more := len(ms) - maxMistakes; more > 0 {
		last := ms[maxMistakes-1]
		ms = append(ms[:maxMistakes:maxMistakes], Mistake{File: last.File, Line: last.Line, Column: last.Column, Text: fmt.Sprintf("and %d more mistakes; mend these first", more)})
	}
	return ms
}

// flatten takes the mistakes out of what a kind returned: mistakes, joined or
// wrapped. An error without a position gets that of fallback.
func flatten(err error, fallback Mistake) Mistakes {
	if err == nil {
		return nil
	}
	switch e := err.(type) { //nolint:errorlint // the tree is walked by hand, branch by branch
	case Mistake:
		return Mistakes{e}
	case Mistakes:
		return e
	case interface{ Unwrap() []error }:
		var all Mistakes
		for _, part := range e.Unwrap() {
			all = append(all, flatten(part, fallback)...)
		}
		return all
	}
	var one Mistake
	var many Mistakes
	switch {
	case errors.As(err, &many):
		return many
	case errors.As(err, &one):
		return Mistakes{one}
	}
	fallback.Text = err.Error()
	return Mistakes{fallback}
}
