package definition

import (
	"regexp"
	"slices"
	"strings"

	"github.com/gengfu/gengfu/probes"
)

var secretName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// offered lists what may stand between the braces.
func (x *expander) offered() string {
	if x.service == nil {
		return "${secret:NAME}"
	}
	return "${service.id}, ${service.name}, ${service.code}, ${service.url} or ${secret:NAME}"
}

// expander replaces ${service.…} in the texts of a probe and collects the names
// of secrets. ${secret:NAME} stays: only an agent knows its value. "$${" is a
// literal "${".
type expander struct {
	service  map[string]string
	file     string
	secrets  []string
	saved    []string // names that stay, as an earlier step gives their values
	mistakes Mistakes
}

// declare makes ${name} stay for every name that a "save" of the probe gives to
// a value of its own: only a run knows it.
func (x *expander) declare(n *node) {
	for _, item := range n.items {
		x.declare(item)
	}
	for _, p := range n.pairs {
		if p.key == "save" && p.value.shape == shapeMap {
			for _, saved := range p.value.pairs {
				x.saved = append(x.saved, saved.key)
			}
		}
		x.declare(p.value)
	}
}

// tree expands every text below n, in place.
func (x *expander) tree(n *node) {
	if n == nil {
		return
	}
	if n.shape == shapeText {
		n.text = x.text(n, n.text)
	}
	for _, item := range n.items {
		x.tree(item)
	}
	for _, p := range n.pairs {
		x.tree(p.value)
	}
}

func (x *expander) text(n *node, s string) string {
	if !strings.Contains(s, "${") {
		return s
	}
	var out strings.Builder
	for {
		before, after, ok := strings.Cut(s, "${")
		if !ok {
			out.WriteString(s)
			return out.String()
		}
		if literal, escaped := strings.CutSuffix(before, "$"); escaped {
			out.WriteString(literal + "${")
			s = after
			continue
		}
		out.WriteString(before)
		name, rest, closed := strings.Cut(after, "}")
		if !closed {
			x.wrong(n, "want %s, got \"${\" without \"}\"; close it, or write $${ for a literal ${", x.offered())
			out.WriteString("${" + after)
			return out.String()
		}
		out.WriteString(x.value(n, name))
		s = rest
	}
}

// value returns what stands for ${name}.
func (x *expander) value(n *node, name string) string {
	asWritten := "${" + name + "}"
	if secret, ok := strings.CutPrefix(name, "secret:"); ok {
		if !secretName.MatchString(secret) {
			x.wrong(n, "want a secret's name of letters, digits and \"_\" that begins with a letter, got %q; rename the secret", probes.Excerpt(secret))
		}
		x.secrets = append(x.secrets, secret)
		return asWritten
	}
	if slices.Contains(x.saved, name) {
		return asWritten
	}
	value, ok := x.service[name]
	switch {
	case !ok:
		x.wrong(n, "want %s, got %q; write $${ for a literal ${", x.offered(), probes.Excerpt(asWritten))
	case value == "":
		x.wrong(n, "%s is empty; give the service its %s", asWritten, strings.TrimPrefix(name, "service."))
	}
	return value
}

func (x *expander) wrong(n *node, format string, args ...any) {
	d := decoder{file: x.file}
	d.wrong(n.line, n.col, "", format, args...)
	x.mistakes = append(x.mistakes, d.mistakes...)
}
