package pagerules

import (
	"fmt"
	"slices"
	"strings"
)

// Choice says which rules do not apply to a probe: "off" for all, or a list of
// names. Its zero value lets all apply.
type Choice struct {
	Off   bool
	Names []string
	bad   string // a word that is none of these
}

// JSONSchema names the rules.
func (Choice) JSONSchema() map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"type": "boolean"},
		map[string]any{"enum": []string{"on", "off"}},
		map[string]any{"type": "array", "items": map[string]any{"enum": Names()}},
	}}
}

// UnmarshalYAML takes a word, a boolean or a list.
func (c *Choice) UnmarshalYAML(unmarshal func(any) error) error {
	var on bool
	var word string
	switch {
	case unmarshal(&on) == nil:
		c.Off = !on
	case unmarshal(&word) == nil:
		switch word {
		case "off":
			c.Off = true
		case "on":
		default:
			c.bad = word
		}
	default:
		return unmarshal(&c.Names)
	}
	return nil
}

// Check tells every mistake with its key in the probe's settings.
func (c Choice) Check(mistake func(key, format string, args ...any)) {
	if c.bad != "" {
		mistake("rules", "want off, or a list of rules that do not apply, got %q; the rules are %s", c.bad, strings.Join(Names(), ", "))
	}
	for i, name := range c.Names {
		if !slices.Contains(Names(), name) {
			mistake(fmt.Sprintf("rules[%d]", i), "want one of %s, got %q", strings.Join(Names(), ", "), name)
		}
	}
}
