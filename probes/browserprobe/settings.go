package browserprobe

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/expect"
	"github.com/gengfu/gengfu/probes/pagerules"
)

// The bounds of a definition.
const (
	maxSteps        = 50
	maxValue        = 8 << 10 // bytes of one text in a step
	maxName         = 80      // runes of a step's name
	defaultPatience = 10 * time.Second
	minPatience     = time.Second
)

// settings are the keys of the kind.
type settings struct {
	Device      string           `yaml:"device" doc:"what the browser pretends to be" zh:"浏览器扮成什么设备"`
	Steps       []entry          `yaml:"steps" doc:"what a person would do, one operation a step; the first opens an address" zh:"操作步骤，一步一个动作；第一步打开地址"`
	StepTimeout time.Duration    `yaml:"step_timeout" doc:"how long a step may take to come true, 10s by default" zh:"一步最多等多久，默认 10s"`
	Expect      []string         `yaml:"expect" doc:"expressions that must hold" zh:"必须成立的表达式"`
	Warn        []string         `yaml:"warn" doc:"expressions that should hold: else the probe is degraded" zh:"应当成立的表达式，不成立时判为降级"`
	Rules       pagerules.Choice `yaml:"rules" doc:"off, or the page rules that do not apply" zh:"off 关闭全部页面规则，或列出不适用的规则"`
	Pages       []pagerules.Own  `yaml:"pages" doc:"page rules of this probe" zh:"本拨测自己的页面规则"`
}

// entry is one step: an operation with what stands after it.
type entry map[string]value

// JSONSchema says which operations there are, and what stands after each.
func (entry) JSONSchema() map[string]any {
	text := map[string]any{"type": "string", "minLength": 1}
	fields := map[string]any{"type": "object", "minProperties": 1, "additionalProperties": map[string]any{"type": []string{"string", "null"}}}
	of := func(what string) any {
		return map[string]any{"type": "string", "minLength": 1, "description": "waits until " + what}
	}
	wait := map[string]any{"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false, "properties": map[string]any{
		"selector": of("something is there"), "text": of("the text is visible"), "url": of("the address holds this"),
	}}
	properties := map[string]any{}
	for op, what := range map[probes.Op]struct {
		says  string
		takes any
	}{
		probes.OpOpen:   {"opens an address", text},
		probes.OpSee:    {"waits until the text is visible", text},
		probes.OpNotSee: {"waits until the text is not visible", text},
		probes.OpTap:    {"taps what the selector finds: CSS, or text=…, label=…, role=button:…", text},
		probes.OpFill:   {"fills in fields: {selector: value}", fields},
		probes.OpSelect: {"chooses of lists: {selector: choice}", fields},
		probes.OpPress:  {"presses a key", text},
		probes.OpWait:   {"waits for a selector, or for {text: …} or {url: …}", map[string]any{"anyOf": []any{text, wait}}},
		probes.OpRun:    {"runs a script", text},
	} {
		properties[string(op)] = map[string]any{"description": what.says, "allOf": []any{what.takes}}
	}
	return map[string]any{"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false, "properties": properties}
}

// value is what stands after an operation: a text, or pairs in the order in
// which they were written, so that fields are filled in that order.
type value struct {
	pairs yaml.MapSlice
	plain any
}

// UnmarshalYAML takes a mapping or anything else.
func (v *value) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&v.pairs) == nil && v.pairs != nil {
		return nil
	}
	v.pairs = nil
	return unmarshal(&v.plain)
}

func (v value) String() string {
	if v.pairs != nil {
		return fmt.Sprintf("%d fields", len(v.pairs))
	}
	return fmt.Sprint(v.plain)
}

func decode(s probes.Settings) (probes.Prober, error) {
	var d settings
	if err := s.Into(&d); err != nil {
		return nil, err
	}
	c := checker{Settings: s}
	p := &prober{
		steps:    c.steps(d.Steps),
		patience: d.StepTimeout,
		expect:   c.compile("expect", d.Expect),
		warn:     c.compile("warn", d.Warn),
		rules:    !d.Rules.Off,
		rulesOff: d.Rules.Names,
	}
	p.own = pagerules.OwnRules(d.Pages, c.mistake)
	var ok bool
	if p.device, ok = device(d.Device); !ok {
		c.mistake("device", "want one of %s, got %q", strings.Join(deviceNames(), ", "), d.Device)
	}
	switch {
	case p.patience == 0:
		p.patience = min(defaultPatience, s.Timeout())
	case p.patience < minPatience || p.patience > s.Timeout():
		c.mistake("step_timeout", "want %s to the probe's timeout of %s, got %s", minPatience, s.Timeout(), p.patience)
	}
	d.Rules.Check(c.mistake)
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	return p, nil
}

// checker gathers the mistakes of one definition.
type checker struct {
	probes.Settings
	errs []error
}

func (c *checker) mistake(key, format string, args ...any) {
	c.errs = append(c.errs, c.Errorf(key, format, args...))
}

func (c *checker) compile(key string, sources []string) []*expect.Expr {
	var out []*expect.Expr
	for i, src := range sources {
		e, err := expect.Compile(src, Fields())
		if err != nil {
			c.mistake(fmt.Sprintf("%s[%d]", key, i), "%v", err)
			continue
		}
		out = append(out, e)
	}
	return out
}

const operations = "open, see, not_see, tap, fill, select, press, wait or run"

func (c *checker) steps(list []entry) []step {
	if len(list) == 0 {
		c.mistake("steps", "want at least one step, got none; write steps: [{open: ${service.url}}]")
		return nil
	}
	if len(list) > maxSteps {
		c.mistake("steps", "want at most %d steps, got %d; split the journey into several probes", maxSteps, len(list))
		return nil
	}
	var out []step
	for i, m := range list {
		key := fmt.Sprintf("steps[%d]", i)
		if len(m) != 1 {
			c.mistake(key, "want one operation in a step, got %d; begin each with its own dash", len(m))
			continue
		}
		for name, v := range m { // the only one
			op := probes.Op(name)
			if i == 0 && op != probes.OpOpen {
				c.mistake(key, "want the first step to open an address, got %q; write open: ${service.url} before it", name)
			}
			actions := c.step(key, op, v)
			out = append(out, step{name: nameOf(op, actions), op: op, actions: actions})
		}
	}
	return out
}

// step makes the actions of one entry, or notes its mistake.
func (c *checker) step(key string, op probes.Op, v value) []probes.Action {
	switch op {
	case probes.OpFill, probes.OpSelect:
		return c.pairs(key, op, v)
	case probes.OpWait:
		if v.pairs != nil {
			return c.wait(key, v.pairs)
		}
	case probes.OpOpen, probes.OpSee, probes.OpNotSee, probes.OpTap, probes.OpPress, probes.OpRun:
	default:
		c.mistake(key, "want an operation, one of %s, got %q", operations, string(op))
		return nil
	}
	plain := v.plain
	if v.pairs != nil {
		plain = v
	}
	s, ok := c.text(key, string(op), plain)
	if !ok {
		return nil
	}
	a := probes.Action{Op: op, Value: s}
	switch op {
	case probes.OpOpen:
		c.address(key, s)
	case probes.OpTap, probes.OpWait:
		c.selector(key, s)
		a.Selector, a.Value = s, ""
	case probes.OpPress:
		if !probes.KnownKey(s) {
			c.mistake(key, "want a key, one character or one of %s, got %q", strings.Join(probes.Keys(), ", "), s)
		}
	}
	return []probes.Action{a}
}

// text takes a value that must be a text. A number would lose its zeros.
func (c *checker) text(key, what string, v any) (string, bool) {
	s, ok := v.(string)
	switch {
	case v == nil || ok && strings.TrimSpace(s) == "":
		c.mistake(key, "want a text after %s, got nothing", what)
	case !ok:
		c.mistake(key, "want a text after %s, got %v; write it in quotes", what, v)
	case len(s) > maxValue:
		c.mistake(key, "want at most %d bytes after %s, got %d", maxValue, what, len(s))
	default:
		return s, true
	}
	return "", false
}

func (c *checker) pairs(key string, op probes.Op, v value) []probes.Action {
	if len(v.pairs) == 0 {
		c.mistake(key, "want fields with their values after %s, got %v; write %s: {\"#id\": \"value\"}", op, v, op)
		return nil
	}
	var out []probes.Action
	for _, item := range v.pairs {
		sel, ok := item.Key.(string)
		if !ok {
			c.mistake(key, "want a selector, got %v; write it in quotes", item.Key)
			continue
		}
		c.selector(key, sel)
		value, ok := item.Value.(string)
		switch {
		case !ok && item.Value != nil:
			c.mistake(key, "want a text for %s, got %v; write it in quotes", sel, item.Value)
		case len(value) > maxValue:
			c.mistake(key, "want at most %d bytes for %s, got %d", maxValue, sel, len(value))
		}
		out = append(out, probes.Action{Op: op, Selector: sel, Value: value})
	}
	return out
}

func (c *checker) wait(key string, m yaml.MapSlice) []probes.Action {
	if len(m) != 1 {
		c.mistake(key, "want one of selector, text and url after wait, got %d of them", len(m))
		return nil
	}
	a := probes.Action{Op: probes.OpWait}
	for _, item := range m {
		what := fmt.Sprint(item.Key)
		s, ok := c.text(key, "wait: "+what, item.Value)
		switch what {
		case "selector":
			if ok {
				c.selector(key, s)
			}
			a.Selector = s
		case "text":
			a.Value = s
		case "url":
			a.Extra = map[string]string{"url": s}
		default:
			c.mistake(key, "want one of selector, text and url after wait, got %q", what)
		}
	}
	return []probes.Action{a}
}

func (c *checker) selector(key, s string) {
	if strings.TrimSpace(s) == "" {
		c.mistake(key, "want a selector, got nothing; write CSS such as \"#id\", or text=…, label=…, role=button:…")
		return
	}
	for _, prefix := range []string{"text=", "label=", "role=", "css="} {
		if rest, ok := strings.CutPrefix(s, prefix); ok && strings.Trim(rest, " :") == "" {
			c.mistake(key, "want something after %s, got nothing", prefix)
		}
	}
}

func (c *checker) address(key, address string) {
	// Any value will do to see whether the rest of the address is well formed.
	plain, err := probes.Expand(address, func(string) (string, error) { return "secret", nil })
	if err != nil {
		c.mistake(key, "want an address such as https://host/path, got %q: %v", address, err)
		return
	}
	u, err := url.Parse(plain)
	switch {
	case err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https"):
		c.mistake(key, "want an address such as https://host/path, got %q", address)
	case u.User != nil:
		c.mistake(key, "want an address without user and password, got one with them; browsers do not send them")
	}
}

// nameOf names a step after what it does. Filled values are not in it.
func nameOf(op probes.Op, actions []probes.Action) string {
	var parts []string
	for _, a := range actions {
		switch {
		case a.Selector != "":
			parts = append(parts, a.Selector)
		case a.Extra["url"] != "":
			parts = append(parts, a.Extra["url"])
		default:
			parts = append(parts, a.Value)
		}
	}
	s := strings.Join(strings.Fields(string(op)+" "+strings.Join(parts, ", ")), " ")
	if utf8.RuneCountInString(s) > maxName {
		s = string([]rune(s)[:maxName-1]) + "…"
	}
	return s
}
