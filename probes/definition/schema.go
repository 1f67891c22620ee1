package definition

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// SchemaAny is the schema of all files, told apart by their keys.
const SchemaAny = "any"

// Schemas lists what Schema can describe.
func Schemas() []string { return []string{SchemaAny, "service", "calendar", "routes", "silence"} }

// object is a JSON Schema, or a part of one.
type object = map[string]any

// Schema makes the JSON Schema (draft 2020-12) of one of Schemas, for editors. It
// is derived from the types that Compile decodes into and from the kinds'
// settings, so that it accepts what Compile accepts. It refuses less: what takes
// arithmetic or several files, such as a timeout above the interval or an id
// used twice, is for Compile to say. lang is "zh" or "en": the language of the
// descriptions, English where there is no Chinese.
func Schema(of, lang string, kinds []probes.Kind) ([]byte, error) {
	if !slices.Contains(Schemas(), of) {
		return nil, fmt.Errorf("making a schema: want one of %s, got %q", strings.Join(Schemas(), ", "), of)
	}
	b := &schemas{lang: lang, defs: object{"duration": durationSchema(lang)}}
	b.documents(kinds)
	if err := b.kinds(kinds); err != nil {
		return nil, fmt.Errorf("making a schema: %w", err)
	}
	root := object{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "gengfu " + of}
	if of == SchemaAny {
		maps.Copy(root, either("routes", []string{"routes"}, either("calendar", []string{"rounds", "maintenance"},
			either("silence", []string{"from", "to"}, ref("service")))))
	} else {
		maps.Copy(root, ref(of))
	}
	root["$defs"] = b.reached(root)
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("making a schema: %w", err)
	}
	return out, nil
}

func ref(def string) object { return object{"$ref": "#/$defs/" + def} }

// either is def for what has one of keys, and otherwise is for the rest.
func either(def string, keys []string, otherwise object) object {
	var has []object
	for _, k := range keys {
		has = append(has, object{"required": []string{k}})
	}
	return object{"if": object{"anyOf": has}, "then": ref(def), "else": otherwise}
}

// schemas gathers the definitions of one schema.
type schemas struct {
	lang string
	defs object
	kind *probes.Kind    // whose settings are described now, nil outside
	used map[string]bool // the paths of its choices that were found
}

const (
	durationPattern = `^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$`
	addressPattern  = `^[Hh][Tt][Tt][Pp][Ss]?://.`
	instantPattern  = `^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}`
	clockPattern    = `^([01]?[0-9]|2[0-3]):[0-5][0-9]$`
)

func durationSchema(lang string) object {
	text := "a length of time: a number with its unit, such as 30s, 5m or 1h30m"
	if lang == "zh" {
		text = "时长：数字加单位，如 30s、5m、1h30m"
	}
	return object{"type": "string", "pattern": durationPattern, "description": text, "examples": []string{"30s", "5m"}}
}

// limits are the rules that Compile has beside the types, by the path of the key.
func limits(kinds []probes.Kind) map[string]object {
	var names []string
	for _, k := range kinds {
		names = append(names, k.Name)
	}
	filled := object{"minLength": 1}
	id := object{"pattern": idPattern.String()}
	some := object{"minimum": 1, "maximum": maxCount}
	instant := object{"pattern": instantPattern, "examples": []string{"2026-11-25 08:00"}}
	lives := []string{string(probes.LifeDraft), string(probes.LifePublished), string(probes.LifeRetired)}
	return map[string]object{
		"service.id":           id,
		"service.name":         filled,
		"service.channel":      {"enum": channelNames()},
		"service.url":          {"pattern": addressPattern},
		"service.life":         {"enum": lives, "default": string(probes.LifePublished)},
		"service.target":       {"exclusiveMinimum": 0, "maximum": 100},
		"service.probes":       {"items": ref("probe")},
		"probe.id":             id,
		"probe.kind":           {"enum": names},
		"probe.from.count":     {"minimum": 1, "maximum": maxCount, "default": 2},
		"probe.from.spread":    {"pattern": labelPattern.String(), "default": "site"},
		"probe.from.match":     {"propertyNames": object{"pattern": labelPattern.String()}, "additionalProperties": object{"type": "string", "minLength": 1}},
		"probe.quorum":         some,
		"calendar.rounds":      {"maxItems": maxRounds, "items": object{"type": "string", "pattern": clockPattern, "examples": []string{"09:00"}}},
		"calendar.maintenance": {"items": ref("maintenance")},
		"maintenance.from":     instant,
		"maintenance.to":       instant,
		"maintenance.reason":   filled,
		"silence.from":         instant,
		"silence.to":           instant,
		"silence.reason":       filled,
		"silence.services":     {"minItems": 1},
		"routes.routes":        {"items": ref("route")},
		"route.name":           filled,
		"route.channel":        {"enum": alertChannels},
		"route.url":            filled,
		"route.channels":       {"items": object{"type": "string", "enum": channelNames()}},
	}
}

// documents describes the files and what they are made of.
func (b *schemas) documents(kinds []probes.Kind) {
	rules := limits(kinds)
	for _, d := range []struct {
		name     string
		doc      any
		required []string
	}{
		{"service", serviceDoc{}, []string{"id", "name", "channel"}},
		{"calendar", calendarDoc{}, nil},
		{"maintenance", windowDoc{}, []string{"from", "to", "reason"}},
		{"silence", windowDoc{}, []string{"services", "from", "to", "reason"}},
		{"routes", routesDoc{}, nil},
		{"route", routeDoc{}, []string{"name", "channel", "url"}},
		{"probe", probeDoc{}, []string{"id", "kind", "every"}},
	} {
		s := b.value(typeOf(d.doc), d.name, 0)
		constrain(s, d.name, rules)
		if d.required != nil {
			s["required"] = d.required
		}
		b.defs[d.name] = s
	}
	service := b.defs["service"].(object)
	unpublished := []string{string(probes.LifeDraft), string(probes.LifeRetired)}
	service["if"] = object{"required": []string{"life"}, "properties": object{"life": object{"enum": unpublished}}}
	service["else"] = object{"required": []string{"probes"}, "properties": object{"probes": object{"minItems": 1}}}
}

// constrain adds the rules to the properties below s.
func constrain(s object, path string, rules map[string]object) {
	properties, _ := s["properties"].(object)
	for key, p := range properties {
		at := path + "." + key
		constrain(p.(object), at, rules)
		maps.Copy(p.(object), rules[at])
	}
}

// kinds describes a probe: the keys common to all, and those of its kind.
func (b *schemas) kinds(kinds []probes.Kind) error {
	probe := b.defs["probe"].(object)
	common := probe["properties"].(object)
	var branches []object
	for _, k := range kinds {
		own, err := settingsOf(k)
		if err != nil {
			return err
		}
		b.kind, b.used = &k, map[string]bool{}
		if k.Fields != nil {
			b.defs[k.Name+".expression"] = b.expression(k.Fields())
		}
		s := b.value(own, "", 0)
		for path := range k.Choices {
			if !b.used[path] {
				return fmt.Errorf("kind %s: it has choices for %q, and no such key", k.Name, path)
			}
		}
		properties, ok := s["properties"].(object)
		if !ok {
			return fmt.Errorf("kind %s: want settings that are a struct, got %s", k.Name, own)
		}
		for key := range common {
			if _, twice := properties[key]; twice {
				return fmt.Errorf("kind %s: its key %q is one of all probes", k.Name, key)
			}
			properties[key] = object{"$ref": "#/$defs/probe/properties/" + key}
		}
		properties["kind"] = object{"const": k.Name, "description": k.Doc}
		s["description"] = k.Doc
		b.defs["kind."+k.Name] = s
		branches = append(branches, object{
			"if":   object{"required": []string{"kind"}, "properties": object{"kind": object{"const": k.Name}}},
			"then": ref("kind." + k.Name),
		})
		b.kind = nil
	}
	probe["allOf"] = branches
	delete(probe, "additionalProperties") // each kind says what it takes beside these
	return nil
}

// expression describes what an expectation of a kind may speak of.
func (b *schemas) expression(fields []probes.Field) object {
	text := "an expression over:"
	if b.lang == "zh" {
		text = "表达式，可用字段："
	}
	for _, f := range fields {
		text += "\n" + f.Name + ": " + f.Doc
	}
	return object{"type": "string", "minLength": 1, "description": text}
}

// reached is the definitions that root refers to, through others as well.
func (b *schemas) reached(root object) object {
	out := object{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case object:
			if to, ok := v["$ref"].(string); ok {
				name, _, _ := strings.Cut(strings.TrimPrefix(to, "#/$defs/"), "/")
				if _, done := out[name]; !done {
					out[name] = b.defs[name]
					walk(b.defs[name])
				}
			}
			for _, part := range v {
				walk(part)
			}
		case []object:
			for _, part := range v {
				walk(part)
			}
		}
	}
	walk(root)
	return out
}

// errListening ends a decoding that only asked for the types.
var errListening = errors.New("nothing is decoded, the types are asked for")

// listener is a Settings that hears into what a kind decodes.
type listener struct{ into any }

func (l *listener) Into(v any) error {
	if l.into == nil {
		l.into = v
	}
	return errListening
}

func (l *listener) Errorf(_, format string, args ...any) error { return fmt.Errorf(format, args...) }

func (l *listener) Timeout() time.Duration { return MinTimeout }
