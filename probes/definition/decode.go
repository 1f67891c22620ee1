package definition

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/gengfu/gengfu/probes"
)

// decoder fills Go values from nodes, strictly, and notes every mistake.
type decoder struct {
	file     string
	extra    []string // keys allowed at the top beside the value's own; for messages only
	mistakes Mistakes
}

func (d *decoder) wrong(line, col int, path, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if path != "" {
		text = path + ": " + text
	}
	d.mistakes = append(d.mistakes, Mistake{File: d.file, Line: line, Column: col, Text: text})
}

// want notes that n is of another type.
func (d *decoder) want(n *node, path, want, mend string) {
	if n.shape == shapeNull {
		mend = "write a value or remove the key"
	}
	d.wrong(n.line, n.col, path, "want %s, got %s; %s", want, n.found(), mend)
}

// unmarshaler lets a kind's type take several forms, such as a text or a map.
type unmarshaler interface {
	UnmarshalYAML(unmarshal func(any) error) error
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	nodeType     = reflect.TypeFor[*node]()
	orderedType  = reflect.TypeFor[yaml.MapSlice]()
)

// decode fills v, which is settable, from n.
func (d *decoder) decode(n *node, v reflect.Value, path string) {
	if v.Type() == nodeType {
		v.Set(reflect.ValueOf(n))
		return
	}
	if d.custom(n, v, path) {
		return
	}
	switch v.Type() {
	case durationType:
		d.duration(n, v, path)
		return
	case orderedType:
		d.ordered(n, v, path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, v.Elem(), path)
	case reflect.Interface:
		if plain := plain(n); plain != nil {
			v.Set(reflect.ValueOf(plain))
		}
	case reflect.Struct:
		d.object(n, v, path)
	case reflect.Map:
		d.table(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.String:
		if n.shape != shapeText {
			d.want(n, path, "a text", "put it between quotes")
			return
		}
		v.SetString(n.text)
	case reflect.Bool:
		b, ok := n.value.(bool)
		if !ok {
			d.want(n, path, "true or false", "write true or false without quotes")
			return
		}
		v.SetBool(b)
	case reflect.Float32, reflect.Float64:
		d.float(n, v, path)
	default:
		d.integer(n, v, path)
	}
}

// custom lets v decode itself when it can.
func (d *decoder) custom(n *node, v reflect.Value, path string) bool {
	if !v.CanAddr() || !v.Addr().CanInterface() {
		return false
	}
	switch u := v.Addr().Interface().(type) {
	case unmarshaler:
		err := u.UnmarshalYAML(func(into any) error {
			inner := &decoder{file: d.file}
			inner.decode(n, reflect.ValueOf(into).Elem(), path)
			if len(inner.mistakes) > 0 {
				return inner.mistakes
			}
			return nil
		})
		for _, m := range flatten(err, Mistake{Line: n.line, Column: n.col}) {
			if m.File == "" { // the type's own words, without a position
				d.wrong(m.Line, m.Column, path, "%s", m.Text)
				continue
			}
			d.mistakes = append(d.mistakes, m)
		}
		return true
	case encoding.TextUnmarshaler:
		if n.shape != shapeText {
			d.want(n, path, "a text", "put it between quotes")
		} else if err := u.UnmarshalText([]byte(n.text)); err != nil {
			d.wrong(n.line, n.col, path, "%v", err)
		}
		return true
	}
	return false
}

func (d *decoder) duration(n *node, v reflect.Value, path string) {
	if n.shape == shapeInt {
		d.want(n, path, "a duration", fmt.Sprintf("write it with its unit, such as \"%ss\"", strings.TrimLeft(n.text, "+-")))
		return
	}
	length, err := time.ParseDuration(n.text)
	if n.shape != shapeText || err != nil {
		d.want(n, path, "a duration", "write a number with its unit, such as 30s, 5m or 1h30m")
		return
	}
	v.SetInt(int64(length))
}

func (d *decoder) float(n *node, v reflect.Value, path string) {
	switch value := n.value.(type) {
	case int64:
		v.SetFloat(float64(value))
	case float64:
		v.SetFloat(value)
	default:
		d.want(n, path, "a number", "write a number without quotes")
	}
}

func (d *decoder) integer(n *node, v reflect.Value, path string) {
	i, ok := n.value.(int64)
	if f, isFloat := n.value.(float64); isFloat && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		i, ok = int64(f), true
	}
	if !ok {
		d.want(n, path, "a whole number", "write a whole number without quotes")
		return
	}
	switch {
	case v.CanInt() && !v.OverflowInt(i):
		v.SetInt(i)
	case v.CanUint() && i >= 0 && !v.OverflowUint(uint64(i)):
		v.SetUint(uint64(i))
	case v.CanInt() || v.CanUint():
		d.want(n, path, "a number that fits "+v.Kind().String(), "write a smaller one, not negative where that makes no sense")
	default:
		// A kind's struct holds a type that no definition can fill.
		d.wrong(n.line, n.col, path, "cannot be decoded into %s", v.Type())
	}
}

func (d *decoder) list(n *node, v reflect.Value, path string) {
	if n.shape != shapeList {
		d.want(n, path, "a list", "begin each entry with \"- \", or write [a, b]")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		d.decode(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
}

func (d *decoder) table(n *node, v reflect.Value, path string) {
	if n.shape != shapeMap {
		d.want(n, path, "a map", "write \"key: value\" lines below it, or {key: value}")
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.pairs)))
	for _, p := range n.pairs {
		value := reflect.New(v.Type().Elem()).Elem()
		d.decode(p.value, value, join(path, p.key))
		v.SetMapIndex(reflect.ValueOf(p.key).Convert(v.Type().Key()), value)
	}
}

// ordered fills a map whose order matters, such as the fields of a form. Maps
// inside it are ordered too.
func (d *decoder) ordered(n *node, v reflect.Value, path string) {
	if n.shape != shapeMap {
		d.want(n, path, "a map", "write \"key: value\" lines below it, or {key: value}")
		return
	}
	v.Set(reflect.ValueOf(inOrder(n)))
}

// inOrder is plain, with yaml.MapSlice for every map.
func inOrder(n *node) any {
	switch n.shape {
	case shapeMap:
		items := make(yaml.MapSlice, 0, len(n.pairs))
		for _, p := range n.pairs {
			items = append(items, yaml.MapItem{Key: p.key, Value: inOrder(p.value)})
		}
		return items
	case shapeList:
		out := make([]any, 0, len(n.items))
		for _, item := range n.items {
			out = append(out, inOrder(item))
		}
		return out
	}
	return plain(n)
}

func (d *decoder) object(n *node, v reflect.Value, path string) {
	if n.shape != shapeMap {
		d.want(n, path, "a map", "write \"key: value\" lines below it, or {key: value}")
		return
	}
	fields := map[string]reflect.Value{}
	collect(v, fields)
	for _, p := range n.pairs {
		field, ok := fields[p.key]
		if !ok {
			var keys []string
			for k := range fields {
				keys = append(keys, k)
			}
			if path == "" {
				keys = append(keys, d.extra...)
			}
			d.wrong(p.line, p.col, join(path, probes.Excerpt(p.key)), "unknown key; %s", offer(p.key, keys))
			continue
		}
		d.decode(p.value, field, join(path, p.key))
	}
}

// collect lists the fields of a struct by their keys, inlined ones included.
func collect(v reflect.Value, fields map[string]reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-":
		case options == "inline" && f.Type.Kind() == reflect.Struct:
			collect(v.Field(i), fields)
		case !f.IsExported():
		case name == "":
			fields[strings.ToLower(f.Name)] = v.Field(i)
		default:
			fields[name] = v.Field(i)
		}
	}
}

// plain is a node as bool, int, float64, string, []any, map[string]any or nil.
func plain(n *node) any {
	switch n.shape {
	case shapeText:
		return n.text
	case shapeInt:
		return int(n.value.(int64))
	case shapeList:
		out := make([]any, 0, len(n.items))
		for _, item := range n.items {
			out = append(out, plain(item))
		}
		return out
	case shapeMap:
		out := make(map[string]any, len(n.pairs))
		for _, p := range n.pairs {
			out[p.key] = plain(p.value)
		}
		return out
	}
	return n.value
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// offer names what could have been meant.
func offer(got string, known []string) string {
	known = slices.Clone(known)
	slices.Sort(known)
	known = slices.Compact(known)
	for _, k := range known {
		if len(got) <= 64 && distance(k, got) <= 2 {
			return fmt.Sprintf("did you mean %q? The choices are %s", k, strings.Join(known, ", "))
		}
	}
	return "want one of " + strings.Join(known, ", ")
}

// distance is the edit distance between two short names, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
