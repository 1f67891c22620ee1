package httpprobe

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gengfu/gengfu/probes"
)

// maxEvidence bounds the excerpt of a body that is kept, in bytes.
const maxEvidence = 16 << 10

// page is a reply read as text, without secret values.
type page struct {
	decoded
	html    bool
	title   string
	visible string // the text of an HTML page, otherwise the body
	json    any
	jsonErr error
}

// page is what was read of a reply; empty when none came.
func (r *reply) page() page {
	if r == nil || r.read == nil {
		return page{}
	}
	return *r.read
}

// readPage makes a reply text, and does no more than the definition asks for.
// Secret values that a site echoes are taken out here, before anything is cut,
// so that no half of one is left either.
func (s *session) readPage(got *reply) page {
	contentType := got.header.Get("Content-Type")
	declared := s.charset
	if declared == "" {
		declared = declaredCharset(contentType, got.body, isHTML(contentType, string(got.body[:min(len(got.body), prescan)])))
	}
	if isJSON(contentType) && utf8.Valid(got.body) && s.charset == "" {
		// JSON is UTF-8, and is read as such, whatever the label says.
		declared = ""
	}
	p := page{decoded: decodeText(got.body, declared, got.cut)}
	if s.readsJSON(got.of) {
		p.json, p.jsonErr = s.decodeJSON(p.text)
	}
	p.text = s.redact.Secrets(p.text)
	p.html = isHTML(contentType, p.text)
	p.visible = p.text
	if p.html {
		p.title, p.visible = readHTML(p.text, s.readsText(got))
	}
	return p
}

// readsText reports whether somebody wants to know what a page shows.
func (s *session) readsText(got *reply) bool {
	return s.rules || got.of.content != nil || got.of.uses["text"] || s.uses["text"] || got.status >= 400
}

// readsJSON reports whether a step's reply is to be JSON.
func (s *session) readsJSON(st *step) bool {
	return st.json || s.uses["json"] && st == s.steps[len(s.steps)-1]
}

func isJSON(contentType string) bool {
	if contentType == "" || strings.HasPrefix(contentType, "text/html") {
		return false
	}
	kind, _, _ := mime.ParseMediaType(contentType)
	return kind == "application/json" || kind == "text/json" || strings.HasSuffix(kind, "+json")
}

var (
	errEmptyBody    = errors.New("an empty body")
	errNotJSON      = errors.New("not JSON")
	errMoreThanJSON = errors.New("more after the JSON")
)

func (s *session) decodeJSON(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(strings.TrimLeft(text, "\ufeff \t\r\n")))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errEmptyBody
		}
		return nil, errNotJSON
	}
	if d.More() {
		return nil, errMoreThanJSON
	}
	return s.tidy(v), nil
}

// tidy makes numbers int where they are whole and takes secrets out of texts.
func (s *session) tidy(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.Atoi(v.String()); err == nil {
			return i
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case string:
		return s.redact.Secrets(v)
	case []any:
		for i := range v {
			v[i] = s.tidy(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = s.tidy(v[k])
		}
	}
	return v
}

// evidence keeps the head of a text body.
func (s *session) evidence(p page) []probes.Evidence {
	head := p.text[:min(len(p.text), 1024)]
	if strings.TrimSpace(p.text) == "" || strings.ContainsRune(head, 0) {
		return nil
	}
	text := clip(s.redact.Text(clip(p.text, 2*maxEvidence)), maxEvidence)
	return []probes.Evidence{{Kind: "body", MIME: "text/plain; charset=utf-8", Size: len(text), Data: []byte(text)}}
}

// clean takes secrets and people's numbers out of every text of a result.
func (s *session) clean(res probes.Result) probes.Result {
	res.URL = s.redact.Text(res.URL)
	res.Title = clip(s.redact.Text(res.Title), maxTitle)
	for i := range res.Findings {
		f := &res.Findings[i]
		f.Want, f.Got = probes.Excerpt(s.redact.Text(f.Want)), probes.Excerpt(s.redact.Text(f.Got))
	}
	for i := range res.Checks {
		res.Checks[i].Saw = probes.Excerpt(s.redact.Text(res.Checks[i].Saw))
	}
	return res
}
