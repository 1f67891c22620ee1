package importer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// draft is a service to be, with where it comes from.
type draft struct {
	at      place
	id      string
	name    string
	menu    []string
	dir     string
	channel probes.Channel
	assumed bool // the channel is a guess
	owner   string
	url     string
	retired bool
	comment []string
	hidden  []string // values of its secrets
	probes  []*probeDraft
}

// probeDraft is a probe to be.
type probeDraft struct {
	at      place
	id      string
	name    string
	kind    string
	every   time.Duration
	timeout time.Duration
	own     table // the kind's own keys
	expect  []*condition
	warn    []*condition
}

// condition is one expression with where it comes from.
type condition struct {
	at   place
	what string // as the source had it
	expr string
}

// table is a map in the order in which it is written.
type table []*entry

// entry is one key. Its value is a string, bool, int, []string, table or []table.
type entry struct {
	key   string
	value any
	// droppable says that the probe makes sense without the key when the
	// compiler refuses it; at and what then make the note.
	droppable bool
	at        place
	what      string
	why       string // in place of the compiler's words
}

func (t *table) set(key string, value any) { *t = append(*t, &entry{key: key, value: value}) }

// offer sets a key that may be dropped again.
func (t *table) offer(key string, value any, at place, what string) {
	*t = append(*t, &entry{key: key, value: value, droppable: true, at: at, what: what})
}

// expects adds an expectation, unless it holds a secret: expectations name none.
func (j *job) expects(d *draft, p *probeDraft, at place, what, expr string) {
	if d.tells(expr) {
		j.left(at, what, comparesSecret)
		return
	}
	p.expect = append(p.expect, &condition{at, what, expr})
}

func (p *probeDraft) warns(at place, what, expr string) {
	p.warn = append(p.warn, &condition{at, what, expr})
}

// ip sets the family of addresses, 4 or 6.
func (t *table) ip(family int, at place, what string) {
	*t = append(*t, &entry{key: "ip", value: family, droppable: true, at: at, what: what, why: "the family of the address is not chosen here"})
}

// known reports whether the table of kinds has the kind, and notes when it has not.
func (j *job) known(kind string, at place, what string) bool {
	if slices.ContainsFunc(j.Kinds, func(k probes.Kind) bool { return k.Name == kind }) {
		return true
	}
	j.left(at, what, "it needs a probe of kind %s, which this version does not have", kind)
	return false
}

// schedule sets interval and timeout inside the bounds of definitions.
func (j *job) schedule(p *probeDraft, every, timeout time.Duration, everyAt, timeoutAt place) {
	p.every = min(max(every, definition.MinEvery), definition.MaxEvery).Round(time.Millisecond)
	if p.every != every {
		j.changed(everyAt, "interval "+short(every), "set to %s; want %s to %s", short(p.every), short(definition.MinEvery), short(definition.MaxEvery))
	}
	p.timeout = max(timeout, definition.MinTimeout).Round(time.Millisecond)
	if p.timeout != timeout {
		j.changed(timeoutAt, "timeout "+short(timeout), "set to %s, the least", short(p.timeout))
	}
	if p.timeout > p.every {
		j.changed(timeoutAt, "timeout "+short(p.timeout), "set to %s, the interval: a run ends before the next begins", short(p.every))
		p.timeout = p.every
	}
}

// verify writes the draft and compiles it. What the compiler refuses is noted
// and taken out: a condition or a key alone where possible, else the probe.
func (j *job) verify(d *draft) (definition.File, *definition.Catalog, bool) {
	for len(d.probes) > 0 {
		text, where := render(d)
		f := definition.File{Path: "services/" + d.dir + "/" + d.id + ".yaml", Data: text}
		c, err := definition.Compile(definition.Revision{}, []definition.File{f}, j.Kinds)
		if err == nil {
			if d.tells(string(text)) {
				j.left(d.at, "service "+d.name, "it repeats a secret's value where none can stand; write it by hand")
				return f, nil, false
			}
			return f, c, true
		}
		var mistakes definition.Mistakes
		if !errors.As(err, &mistakes) || !j.mend(d, where, mistakes) {
			j.left(d.at, "service "+d.name, "the compiler refuses what would come of it: %s", clip(err.Error()))
			return f, nil, false
		}
	}
	return definition.File{}, nil, false
}

// mend takes out what the mistakes are about. It reports whether it found any of it.
func (j *job) mend(d *draft, where map[int]any, mistakes definition.Mistakes) bool {
	mended, gone := false, map[any]bool{}
	for _, m := range mistakes {
		var owner *probeDraft
		for line := m.Line; line > 0 && owner == nil; line-- {
			owner, _ = where[line].(*probeDraft)
		}
		if owner == nil {
			return false // the service's own keys
		}
		mended = true
		if gone[where[m.Line]] {
			continue // another mistake of the same line
		}
		gone[where[m.Line]] = true
		switch at := where[m.Line].(type) {
		case *condition:
			owner.drop(at)
			j.left(at.at, at.what, "%s", m.Text)
		case *entry:
			if at = owner.own.holder(at); at == nil {
				j.refuse(d, owner, m)
				continue
			}
			owner.own.drop(at)
			j.left(at.at, at.what, "%s", cmp.Or(at.why, m.Text))
		default:
			j.refuse(d, owner, m)
		}
	}
	return mended
}

// refuse takes a whole probe out.
func (j *job) refuse(d *draft, p *probeDraft, m definition.Mistake) {
	if i := slices.Index(d.probes, p); i >= 0 {
		d.probes = slices.Delete(d.probes, i, i+1)
		j.left(p.at, fmt.Sprintf("%s probe of %s", p.kind, d.name), "the compiler refuses it: %s", m.Text)
	}
}

func (p *probeDraft) drop(c *condition) {
	same := func(o *condition) bool { return o == c }
	p.expect, p.warn = slices.DeleteFunc(p.expect, same), slices.DeleteFunc(p.warn, same)
}

// holder is e, or the nearest entry around it, that may be dropped; nil when none may.
func (t table) holder(e *entry) *entry {
	for _, o := range t {
		found := o == e
		var held *entry
		for _, inner := range o.tables() {
			if !found && inner.has(e) {
				found, held = true, inner.holder(e)
			}
		}
		switch {
		case found && held != nil:
			return held
		case found && o.droppable:
			return o
		}
	}
	return nil
}

// has reports whether e stands in t, however deep.
func (t table) has(e *entry) bool {
	for _, o := range t {
		if o == e {
			return true
		}
		for _, inner := range o.tables() {
			if inner.has(e) {
				return true
			}
		}
	}
	return false
}

// tables are the tables in the entry's value.
func (e *entry) tables() []table {
	switch v := e.value.(type) {
	case table:
		return []table{v}
	case []table:
		return v
	}
	return nil
}

// drop takes e out, however deep it stands.
func (t *table) drop(e *entry) bool {
	for i, o := range *t {
		if o == e {
			*t = slices.Delete(*t, i, i+1)
			return true
		}
		if inner, ok := o.value.(table); ok && inner.drop(e) {
			o.value = inner
			return true
		}
	}
	return false
}

// short is a duration as people write it: 1m30s, 5m, 24h.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
