package definition

import (
	"encoding"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/gengfu/gengfu/probes"
)

// schemer is implemented by a type of a kind's settings that can say more about
// itself than its Go type does.
type schemer interface {
	// JSONSchema returns a part of a JSON Schema, draft 2020-12.
	JSONSchema() map[string]any
}

// maxSchemaDepth ends the description of types that hold themselves.
const maxSchemaDepth = 12

func typeOf(v any) reflect.Type { return reflect.TypeOf(v) }

// settingsOf is the type that k decodes its settings into. It lets k decode and
// listens, so that a kind need not say it twice.
func settingsOf(k probes.Kind) (t reflect.Type, err error) {
	l := &listener{}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("kind %s: asking for the type of its settings: it panicked: %v", k.Name, v)
		}
	}()
	// The error is the listener's own.
	_, _ = k.Decode(l)
	t = reflect.TypeOf(l.into)
	if t == nil || t.Kind() != reflect.Pointer {
		return nil, fmt.Errorf("kind %s: want it to decode its settings into a pointer before all else, got %v", k.Name, t)
	}
	return t.Elem(), nil
}

// value describes what decode takes for t. path is without indexes.
func (b *schemas) value(t reflect.Type, path string, depth int) object {
	if depth > maxSchemaDepth {
		return object{}
	}
	s := b.plain(t, path, depth)
	if b.kind != nil {
		if list, ok := b.kind.Choices[path]; ok {
			b.used[path] = true
			choose(s, list)
		}
	}
	return s
}

func (b *schemas) plain(t reflect.Type, path string, depth int) object {
	if t == nodeType {
		return object{} // the documents say what it is
	}
	pointer := reflect.New(t).Interface()
	switch u := pointer.(type) {
	case schemer:
		return maps.Clone(u.JSONSchema())
	case unmarshaler:
		return b.forms(u, path, depth)
	case encoding.TextUnmarshaler:
		return object{"type": "string"}
	}
	switch t {
	case durationType:
		return ref("duration")
	case orderedType:
		return object{"type": "object"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return b.value(t.Elem(), path, depth+1)
	case reflect.Struct:
		return b.object(t, path, depth)
	case reflect.Map:
		return object{"type": "object", "additionalProperties": b.value(t.Elem(), path, depth+1)}
	case reflect.Slice:
		if b.expects(t, path[strings.LastIndexByte(path, '.')+1:]) {
			return object{"type": "array", "items": ref(b.kind.Name + ".expression")}
		}
		return object{"type": "array", "items": b.value(t.Elem(), path, depth+1)}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Interface:
		return object{}
	}
	return whole(t)
}

// expectations are the keys of expressions, which all kinds call alike.
var expectations = map[string]map[string]string{
	"expect": {"en": "expressions that must hold", "zh": "必须成立的表达式"},
	"warn":   {"en": "expressions that should hold: else the probe is degraded", "zh": "应当成立的表达式，不成立时判为降级"},
}

// expects reports whether a key holds expressions over the kind's fields.
func (b *schemas) expects(t reflect.Type, key string) bool {
	return b.kind != nil && b.kind.Fields != nil && expectations[key] != nil && t == reflect.TypeFor[[]string]()
}

// whole describes whole numbers by what their type holds.
func whole(t reflect.Type) object {
	s := object{"type": "integer"}
	switch v := reflect.New(t).Elem(); {
	case v.CanUint():
		s["minimum"] = 0
		if t.Bits() < 64 {
			s["maximum"] = uint64(math.MaxUint64) >> (64 - t.Bits())
		}
	case v.CanInt() && t.Bits() < 64:
		s["minimum"], s["maximum"] = int64(math.MinInt64)>>(64-t.Bits()), int64(math.MaxInt64)>>(64-t.Bits())
	}
	return s
}

// forms describes a type that decodes itself by what it tries: a text or a map,
// for example. Every try fails, so that it goes on to the next.
func (b *schemas) forms(u unmarshaler, path string, depth int) object {
	var tried []reflect.Type
	func() {
		defer func() {
			if recover() != nil {
				tried = nil // it cannot be asked
			}
		}()
		// The error is the listener's own.
		_ = u.UnmarshalYAML(func(into any) error {
			if t := reflect.TypeOf(into); t != nil && t.Kind() == reflect.Pointer && !slices.Contains(tried, t.Elem()) {
				tried = append(tried, t.Elem())
			}
			return errListening
		})
	}()
	var parts []object
	for _, t := range tried {
		s := b.value(t, path, depth+1)
		if len(s) == 0 {
			return object{} // it takes anything
		}
		parts = append(parts, s)
	}
	switch len(parts) {
	case 0:
		return object{}
	case 1:
		return parts[0]
	}
	return object{"anyOf": parts}
}

// object describes a struct: its keys, and no others.
func (b *schemas) object(t reflect.Type, path string, depth int) object {
	properties := object{}
	b.properties(t, path, depth, properties)
	return object{"type": "object", "properties": properties, "additionalProperties": false}
}

// properties is collect, for types.
func (b *schemas) properties(t reflect.Type, path string, depth int, into object) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == "-":
			continue
		case options == "inline" && f.Type.Kind() == reflect.Struct:
			b.properties(f.Type, path, depth+1, into)
			continue
		case !f.IsExported():
			continue
		case name == "":
			name = strings.ToLower(f.Name)
		}
		s := b.value(f.Type, join(path, name), depth+1)
		text := f.Tag.Get("doc")
		if zh := f.Tag.Get("zh"); b.lang == "zh" && zh != "" {
			text = zh
		}
		if text == "" && b.expects(f.Type, name) {
			text = expectations[name][b.lang]
		}
		if text != "" {
			s["description"] = text
		}
		into[name] = s
	}
}

// choose adds a closed list to the texts that s takes.
func choose(s object, list []string) {
	if forms, ok := s["anyOf"].([]object); ok {
		for _, form := range forms {
			choose(form, list)
		}
	}
	if items, ok := s["items"].(object); ok {
		choose(items, list)
	}
	if s["type"] == "string" {
		s["enum"] = list
	}
}
