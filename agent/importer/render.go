package importer

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// page writes YAML and remembers what stands on which line.
type page struct {
	strings.Builder
	line  int // from 1
	where map[int]any
}

// put writes one line.
func (p *page) put(indent int, text string, what any) {
	if _, taken := p.where[p.line]; !taken && what != nil {
		p.where[p.line] = what
	}
	p.WriteString(strings.Repeat(" ", indent))
	p.WriteString(text)
	p.WriteByte('\n')
	p.line++
}

// render writes a service. The map leads from lines to the *probeDraft, *entry
// or *condition that stands there.
func render(d *draft) ([]byte, map[int]any) {
	p := &page{line: 1, where: map[int]any{}}
	for _, c := range d.comment {
		p.put(0, "# "+clip(c), nil)
	}
	p.put(0, "id: "+d.id, nil)
	p.put(0, "name: "+quote(d.name), nil)
	p.put(0, "channel: "+string(d.channel), nil)
	if d.owner != "" {
		p.put(0, "owner: "+quote(d.owner), nil)
	}
	if d.url != "" {
		p.put(0, "url: "+quote(d.url), nil)
	}
	if len(d.menu) > 0 {
		p.list(0, "menu", d.menu, nil)
	}
	if d.retired {
		p.put(0, "life: retired", nil)
	}
	p.put(0, "probes:", nil)
	for _, b := range d.probes {
		p.put(2, "- id: "+b.id, b)
		if b.name != "" {
			p.put(4, "name: "+quote(b.name), nil)
		}
		p.put(4, "kind: "+b.kind, nil)
		p.put(4, "every: "+short(b.every), nil)
		p.put(4, "timeout: "+short(b.timeout), nil)
		p.table(4, b.own)
		p.conditions("expect", b.expect)
		p.conditions("warn", b.warn)
	}
	return []byte(p.String()), p.where
}

func (p *page) conditions(key string, list []*condition) {
	if len(list) == 0 {
		return
	}
	p.put(4, key+":", nil)
	for _, c := range list {
		p.put(6, "- "+quote(c.expr), c)
	}
}

func (p *page) list(indent int, key string, items []string, what any) {
	p.put(indent, key+":", what)
	for _, item := range items {
		p.put(indent+2, "- "+quote(item), what)
	}
}

func (p *page) table(indent int, t table) {
	for _, e := range t {
		key := quote(e.key) + ":"
		switch v := e.value.(type) {
		case table:
			if len(v) > 0 {
				p.put(indent, key, e)
				p.table(indent+2, v)
			}
		case []table:
			p.put(indent, key, e)
			for _, item := range v {
				p.item(indent+2, item)
			}
		case []string:
			p.list(indent, quote(e.key), v, e)
		case string:
			p.put(indent, key+" "+quote(v), e)
		default:
			p.put(indent, key+" "+fmt.Sprint(v), e)
		}
	}
}

// item writes a table as an entry of a list: its first key after the dash.
func (p *page) item(indent int, t table) {
	inner := &page{line: p.line, where: p.where}
	inner.table(indent+2, t)
	text := inner.String()
	if text == "" {
		return
	}
	p.WriteString(strings.Repeat(" ", indent) + "- " + strings.TrimLeft(text, " "))
	p.line = inner.line
}

// quote writes a text so that every reader of YAML takes it for the same text.
func quote(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r <= 0xff && (r < ' ' || r >= 0x7f):
			fmt.Fprintf(&b, `\x%02x`, r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// plain reports whether s may stand without quotes.
func plain(s string) bool {
	if s == "" || len(s) > 200 || strings.Contains(s, ": ") || strings.Contains(s, " #") || strings.Contains(s, "<<") || strings.HasSuffix(s, ":") {
		return false
	}
	first := rune(0)
	for i, r := range s {
		if i == 0 {
			first = r
		}
		if !unicode.IsPrint(r) || r > 0xffff || r < ' ' || r == '"' || r == '\\' {
			return false
		}
	}
	if !unicode.IsLetter(first) && !strings.HasPrefix(s, "${") || strings.TrimSpace(s) != s {
		return false
	}
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return false
	}
	_, err := strconv.ParseFloat(s, 64) // inf, nan, infinity
	return err != nil
}
