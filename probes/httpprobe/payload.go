package httpprobe

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
)

// payload is a request's body as defined.
type payload struct {
	fixed   []byte // the body when no reference stands in it
	ctype   string // its Content-Type; empty without a body
	private bool   // a reference stands in it
	make    func(*values) ([]byte, string, error)
}

// fill makes the body and its Content-Type.
func (p *payload) fill(v *values) ([]byte, string, error) {
	if p.make == nil {
		return p.fixed, p.ctype, nil
	}
	return p.make(v)
}

// settle makes the body now where every run would make the same.
func (p *payload) settle() error {
	if p.make == nil || p.private {
		return nil
	}
	var err error
	p.fixed, p.ctype, err = p.make(&values{})
	p.make = nil
	return err
}

const (
	typeJSON = "application/json; charset=utf-8"
	typeForm = "application/x-www-form-urlencoded"
	typeText = "text/plain; charset=utf-8"
)

// payload compiles the one body that a request has.
func (c *checker) payload(key string, r *request) payload {
	var p payload
	note := func(t template) template {
		p.private = p.private || !t.fixed()
		return t
	}
	switch {
	case r.JSON != nil:
		tree := c.tree(key+".json", r.JSON, note)
		p.make = func(v *values) ([]byte, string, error) {
			b, err := json.Marshal(grow(tree, v))
			if err != nil {
				return nil, "", fmt.Errorf("encoding request.json: %w", err)
			}
			return b, typeJSON, nil
		}
	case len(r.Form) > 0:
		form := map[string]template{}
		for name, value := range r.Form {
			form[name] = note(c.template(key+".form."+name, value))
		}
		p.make = func(v *values) ([]byte, string, error) {
			all := url.Values{}
			for name, t := range form {
				all.Set(name, t.fill(v, nil))
			}
			return []byte(all.Encode()), typeForm, nil
		}
	case len(r.Multipart) > 0:
		parts := c.multipart(key+".multipart", r.Multipart, note)
		p.make = func(v *values) ([]byte, string, error) { return writeParts(parts, v) }
	case r.Body != "":
		text := note(c.template(key+".body", r.Body))
		kind := cmp.Or(r.Type, typeText)
		p.make = func(v *values) ([]byte, string, error) { return []byte(text.fill(v, nil)), kind, nil }
	}
	if err := p.settle(); err != nil {
		c.mistake(key, "want a body that can be encoded: %v", err)
	}
	return p
}

// tree compiles every text inside v.
func (c *checker) tree(key string, v any, note func(template) template) any {
	switch v := v.(type) {
	case string:
		if t := note(c.template(key, v)); !t.fixed() {
			return t
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = c.tree(fmt.Sprintf("%s[%d]", key, i), v[i], note)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = c.tree(key+"."+k, v[k], note)
		}
		return out
	}
	return v
}

// grow fills the templates of a tree in.
func grow(tree any, v *values) any {
	switch t := tree.(type) {
	case template:
		return t.fill(v, nil)
	case []any:
		out := make([]any, len(t))
		for i := range t {
			out[i] = grow(t[i], v)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(t))
		for k := range t {
			out[k] = grow(t[k], v)
		}
		return out
	}
	return tree
}
