// Package expect holds expectations: one expression over the documented fields
// of a kind, such as
//
//	status == 200
//	json.code == '0'
//	latency < 2s
//	header('Content-Type') contains 'json'
//
// An expression is typed when it is compiled, so that an unknown field is a
// mistake in the definition and not a failure of the service, and it explains
// its own failure with the values it saw.
package expect

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"github.com/gengfu/gengfu/probes"
)

// The bounds of an expression.
const (
	MaxSource = 2000   // bytes of source
	maxNodes  = 200    // nodes of its tree
	maxMemory = 50_000 // what the machine may allocate, in its own units
)

// Field is one name that a kind offers to expressions.
type Field = probes.Field

// Expr is a compiled expectation: immutable and safe for concurrent use.
type Expr struct {
	src     string
	program *vm.Program
	uses    []use
}

// use is one field, member or call in the source, with its own program so that
// its value can be shown.
type use struct {
	label   string
	field   string
	zero    any         // of the field's type
	program *vm.Program // nil when it is the field itself
}

// SyntaxError says where an expression is wrong.
type SyntaxError struct {
	Column int    // in runes from 1, inside the expression
	Text   string // what was found, what was expected and how to mend it
}

// Error makes a SyntaxError an error.
func (e *SyntaxError) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Text) }

// Compile compiles src against the fields. An unknown field, a wrong type or a
// broken syntax is a *SyntaxError.
func Compile(src string, fields []Field) (*Expr, error) {
	if len(src) > MaxSource {
		return nil, &SyntaxError{1, fmt.Sprintf("want an expression of at most %d bytes, got %d; split it into several", MaxSource, len(src))}
	}
	if strings.TrimSpace(src) == "" {
		return nil, &SyntaxError{1, "want an expression such as \"" + example(fields) + "\", got nothing"}
	}
	e := &Expr{src: src}
	env := types.Map{}
	known := make(map[string]Field, len(fields))
	for _, f := range fields {
		known[f.Name] = f
		env[f.Name] = typeOf(f.Zero)
	}
	text, shifts := rewriteDurations(src)
	parts, err := analyse(text, known)
	if err == nil {
		e.program, err = compile(text, env, expr.AsBool())
	}
	if err != nil {
		return nil, located(err, shifts)
	}
	for i := range parts {
		p := &parts[i]
		p.zero = known[p.field].Zero
		if p.label == p.field {
			continue
		}
		if p.program, err = compile(p.label, env); err != nil {
			return nil, fmt.Errorf("compiling the part %s of %q: %w", p.label, src, err)
		}
	}
	e.uses = slices.Clip(parts)
	return e, nil
}

// compile guards against a panic inside the expression library: a definition
// must never take a coordinator down.
func compile(src string, env types.Map, options ...expr.Option) (p *vm.Program, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("the expression cannot be compiled: %v", r)
		}
	}()
	options = append(options, expr.Env(env), expr.MaxNodes(maxNodes))
	return expr.Compile(src, options...)
}

// located makes err a *SyntaxError in columns of the source as written.
func located(err error, shifts []shift) error {
	var own *SyntaxError
	if errors.As(err, &own) {
		return &SyntaxError{original(own.Column-1, shifts) + 1, own.Text}
	}
	var at *file.Error
	if errors.As(err, &at) {
		return &SyntaxError{original(at.From, shifts) + 1, hinted(at.Message)}
	}
	return &SyntaxError{1, err.Error()}
}

// hinted adds how to mend the two slips people make most.
func hinted(text string) string {
	switch {
	case strings.Contains(text, "mismatched types") && strings.Contains(text, "time.Duration"):
		return text + "; write a length of time with its unit, such as 2s or 800ms"
	case strings.Contains(text, "mismatched types int and string"):
		return text + "; write the number without quotes"
	case strings.Contains(text, "maximum allowed nodes"):
		return fmt.Sprintf("want an expression of at most %d parts; split it into several entries", maxNodes)
	}
	return text
}

func typeOf(zero any) types.Type {
	switch z := zero.(type) {
	case nil:
		return types.Any
	case map[string]any:
		m := types.Map{}
		for k, v := range z {
			m[k] = typeOf(v)
		}
		return m
	default:
		return types.TypeOf(z)
	}
}

func example(fields []Field) string {
	for _, f := range fields {
		if f.Name == "status" {
			return "status == 200"
		}
	}
	return "script_errors == 0"
}

// String returns the expression as written.
func (e *Expr) String() string { return e.src }

// Uses lists the names of the fields in the expression, sorted, so that a kind
// computes a costly field only when it is asked for.
func (e *Expr) Uses() []string {
	var names []string
	for _, u := range e.uses {
		names = append(names, u.field)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// fit converts a number of another width to the field's type, so that an int64
// status does not fail where an int was documented.
func fit(v, zero any) any {
	if v == nil || zero == nil {
		return v
	}
	from, to := reflect.ValueOf(v), reflect.TypeOf(zero)
	if from.Type() == to || !number(from.Kind()) || !number(to.Kind()) {
		return v
	}
	return from.Convert(to).Interface()
}

func number(k reflect.Kind) bool { return k >= reflect.Int && k <= reflect.Float64 }
