package importer

import (
	"fmt"
	"strings"

	"github.com/gengfu/gengfu/probes"
)

// The bounds of a source file. A file beyond them cannot be read.
const (
	MaxSize    = 8 << 20 // bytes
	MaxEntries = 2000    // endpoints, monitors or targets: more become no definitions and are said
	maxLines   = 20_000  // of YAML, whose parser takes time by the square
	maxTokens  = 100_000 // of YAML
	maxValues  = 300_000 // with aliases counted as what they stand for
	maxDepth   = 64
)

// ReadError says where a source file cannot be read.
type ReadError struct {
	File         string
	Line, Column int // from 1; 0 when it is about the whole file
	Text         string
}

// Error returns "file:line:column: text".
func (e *ReadError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Text
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Text)
}

// shape is what a value is.
type shape uint8

const (
	shapeNull shape = iota
	shapeScalar
	shapeList
	shapeMap
)

// value is one value of a source file, whatever its format. Values behind
// aliases are shared, so a value is never changed.
type value struct {
	shape     shape
	line, col int
	text      string // of a scalar, as it reads
	quoted    bool   // the scalar stood between quotes, or is a JSON string
	items     []*value
	pairs     []pair
	weight    int  // how many values it is, itself included
	named     bool // an alias may stand for it
}

type pair struct {
	key   string
	line  int
	value *value
}

// get returns the value of key, nil when there is none.
func (v *value) get(key string) *value {
	if v == nil {
		return nil
	}
	for _, p := range v.pairs {
		if p.key == key {
			return p.value
		}
	}
	return nil
}

// scalar returns the text of a scalar, else "".
func (v *value) scalar() string {
	if v == nil || v.shape != shapeScalar {
		return ""
	}
	return v.text
}

// list returns the items of a list; a scalar stands for a list of one.
func (v *value) list() []*value {
	switch {
	case v == nil || v.shape == shapeNull:
		return nil
	case v.shape == shapeList:
		return v.items
	}
	return []*value{v}
}

// true reports whether the scalar says yes, in any of the ways sources have.
func (v *value) true() bool {
	switch strings.ToLower(v.scalar()) {
	case "true", "1", "yes", "on":
		return true
	}
	return false
}

// empty reports whether the value says nothing: null, "", false, 0, [] or {}.
func (v *value) empty() bool {
	switch {
	case v == nil:
		return true
	case v.shape == shapeScalar:
		return v.text == "" || !v.quoted && (v.text == "0" || strings.EqualFold(v.text, "false"))
	}
	return len(v.items) == 0 && len(v.pairs) == 0
}

// found describes the value in a note. Texts are not shown: any could be secret.
func (v *value) found() string {
	switch v.shape {
	case shapeNull:
		return "nothing"
	case shapeList:
		return "a list"
	case shapeMap:
		return "a map"
	}
	return "a text or number"
}

// fields reads one map and remembers which keys were asked for, so that what
// nobody asked for is said and not forgotten.
type fields struct {
	of    *value
	asked map[string]bool
}

func read(v *value) *fields { return &fields{of: v, asked: map[string]bool{}} }

// take returns the value of key, nil when there is none.
func (f *fields) take(key string) *value {
	f.asked[key] = true
	return f.of.get(key)
}

// text returns the scalar of key, "" when there is none.
func (f *fields) text(key string) string { return f.take(key).scalar() }

// line is where key stands, or where the map begins.
func (f *fields) line(key string) int {
	for _, p := range f.of.pairs {
		if p.key == key {
			return p.line
		}
	}
	return f.of.line
}

// rest lists the pairs that nobody asked for, in the order of the file.
func (f *fields) rest() []pair {
	var out []pair
	for _, p := range f.of.pairs {
		if !f.asked[p.key] {
			out = append(out, p)
		}
	}
	return out
}

// clip bounds a text of a note and keeps it on one line.
func clip(s string) string {
	return probes.Excerpt(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }), " "))
}
