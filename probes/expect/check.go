package expect

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"github.com/gengfu/gengfu/probes"
)

// absentValue stands for a value that was not there. It is no text, which would
// stand between quotes.
const absentValue = "—"

// Check evaluates the expression. A value that is absent or cannot be compared
// makes the check fail with an explanation, never panic. The explanation is
// data, as what operators read is made of it in more than one language.
func (e *Expr) Check(values map[string]any, warn bool) probes.Check {
	env := make(map[string]any, len(e.uses)) // every field in the source is among them
	for _, u := range e.uses {
		env[u.field] = fit(values[u.field], u.zero)
	}
	c := probes.Check{Expr: e.src, Warn: warn}
	var saw []string
	absent := false
	for _, u := range e.uses {
		value := absentValue
		switch v := env[u.field]; {
		case v == nil:
		case u.program == nil:
			value = show(v)
		default:
			// Where a field is, only what lies under it can be missing.
			if v, err := run(u.program, env); err == nil {
				value = show(v)
			}
		}
		absent = absent || value == absentValue
		saw = append(saw, u.label+" = "+value)
	}
	text := strings.Join(saw, ", ")
	got, err := run(e.program, env)
	switch ok, isBool := got.(bool); {
	case err != nil && !absent:
		text += " → " + reason(err)
	case err != nil:
	case isBool:
		c.OK = ok
	}
	c.Saw = probes.Excerpt(text)
	return c
}

// run evaluates p in a machine of its own.
func run(p *vm.Program, env map[string]any) (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, fmt.Errorf("%v", r)
		}
	}()
	m := vm.VM{MemoryBudget: maxMemory}
	return m.Run(p, env)
}

// reason is what the machine could not do, such as "string > int", or
// "bool(string)" for a value that is neither true nor false.
func reason(err error) string {
	text := err.Error()
	var at *file.Error
	if errors.As(err, &at) {
		text = at.Message
	}
	return strings.TrimPrefix(text, "invalid operation: ")
}

// showMax bounds one value, in bytes: several must fit into one explanation.
const showMax = 120

// show writes a value as an expression would: text quoted, lengths of time with
// their unit, no more digits than matter.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case string:
		return quote(v)
	case time.Duration:
		return round(v).String()
	case time.Time:
		return v.Format(time.RFC3339)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case json.Number:
		return v.String()
	}
	if reflect.TypeOf(v).Kind() == reflect.Func {
		return "a function"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return clip(fmt.Sprint(v))
	}
	return clip(string(b))
}

// quote puts text between quotes, keeps Chinese readable and shows the head.
func quote(s string) string {
	return strconv.Quote(clip(s))
}

func clip(s string) string {
	if len(s) <= showMax {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	cut := showMax
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strings.ToValidUTF8(s[:cut], "\uFFFD") + "…"
}

// round drops digits that no one reads: 1.234567s is 1.23s.
func round(d time.Duration) time.Duration {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit || d <= -unit {
			return d.Round(unit / 100)
		}
	}
	return d
}
