package httpprobe

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/andybalholm/cascadia"
	"github.com/theory/jsonpath"
	"golang.org/x/net/html"
	"golang.org/x/net/http/httpguts"

	"github.com/gengfu/gengfu/probes"
)

// The bounds of what a step takes out of a reply, in bytes.
const (
	maxSaved  = 4 << 10 // one value
	maxParsed = 1 << 20 // of a page in which a selector is looked for
)

// saving says where in a reply a value stands.
type saving struct {
	JSON   string `yaml:"json" doc:"a path such as data.list[0].id, or RFC 9535 when it begins with $" zh:"JSON 路径，如 data.list[0].id；以 $ 开头时按 RFC 9535"`
	Regexp string `yaml:"regexp" doc:"a regular expression over the body; its first group, or all of it" zh:"对应答体的正则表达式，取第一个分组，没有分组取全部"`
	CSS    string `yaml:"css" doc:"a selector; the text of the first element, or its value or content" zh:"CSS 选择器，取第一个元素的文字（input 取 value，meta 取 content）"`
	Attr   string `yaml:"attr" doc:"an attribute of the element that css finds, in place of its text" zh:"取该元素的哪个属性，代替文字"`
	Header string `yaml:"header" doc:"a header's name" zh:"应答头的名称"`
	Cookie string `yaml:"cookie" doc:"a cookie's name" zh:"Cookie 的名称"`
	Show   bool   `yaml:"show" doc:"the value is no secret: results may show it" zh:"取到的值不是秘密，结果中可以显示"`
}

// UnmarshalYAML takes the short form, a JSON path alone, too.
func (s *saving) UnmarshalYAML(unmarshal func(any) error) error {
	var path string
	if unmarshal(&path) == nil {
		s.JSON = strings.TrimPrefix(path, "json.")
		return nil
	}
	type plain saving
	return unmarshal((*plain)(s))
}

// saver takes one value out of a reply.
type saver struct {
	name string
	show bool
	from string // what was looked for, for people
	find func(s *session, got *reply, p page) (string, bool)
	kind savedBy
}

type savedBy int

const (
	byJSON savedBy = iota
	byText
	byCSS
	byHeader
	byCookie
)

var savedName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// savers compiles what a step saves, in order of the names.
func (c *checker) savers(key string, all map[string]saving) []saver {
	var out []saver
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !savedName.MatchString(name) {
			c.mistake(key+"."+name, "want a name of lower-case letters, digits and \"_\" that begins with a letter, got %q", name)
			continue
		}
		if s, ok := c.saver(key+"."+name, all[name]); ok {
			s.name, s.show = name, all[name].Show
			s.from = name + " (" + s.from + ")"
			out = append(out, s)
		}
	}
	return out
}

func (c *checker) saver(key string, s saving) (saver, bool) {
	given := 0
	for _, v := range []string{s.JSON, s.Regexp, s.CSS, s.Header, s.Cookie} {
		if v != "" {
			given++
		}
	}
	switch {
	case given != 1:
		c.mistake(key, "want one of json, regexp, css, header and cookie, got %d of them; say where the value stands", given)
	case s.Attr != "" && s.CSS == "":
		c.mistake(key+".attr", "want css beside it, got none; say of which element")
	case s.JSON != "":
		return c.byJSON(key, s.JSON)
	case s.Regexp != "":
		re, err := regexp.Compile(s.Regexp)
		if err != nil {
			c.mistake(key+".regexp", "want a regular expression (RE2), got %q: %v", s.Regexp, err)
			return saver{}, false
		}
		return saver{from: "regexp " + s.Regexp, kind: byText, find: func(_ *session, _ *reply, p page) (string, bool) {
			m := re.FindStringSubmatch(p.text)
			if m == nil {
				return "", false
			}
			return m[min(1, len(m)-1)], true
		}}, true
	case s.CSS != "":
		sel, err := cascadia.ParseGroup(s.CSS)
		if err != nil {
			c.mistake(key+".css", "want a selector such as input[name=token], got %q: %v", s.CSS, err)
			return saver{}, false
		}
		return saver{from: strings.TrimSpace("css " + s.CSS + " " + s.Attr), kind: byCSS, find: func(_ *session, _ *reply, p page) (string, bool) {
			return element(p.text, sel, s.Attr)
		}}, true
	case s.Header != "":
		if !httpguts.ValidHeaderFieldName(s.Header) {
			c.mistake(key+".header", "want a header's name such as Location, got %q", s.Header)
		}
		return saver{from: "header " + s.Header, kind: byHeader, find: func(_ *session, got *reply, _ page) (string, bool) {
			return got.header.Get(s.Header), len(got.header.Values(s.Header)) > 0
		}}, true
	case s.Cookie != "":
		return saver{from: "cookie " + s.Cookie, kind: byCookie, find: func(sn *session, got *reply, _ page) (string, bool) {
			v := sn.cookieValue(got, s.Cookie)
			return v, v != ""
		}}, true
	}
	return saver{}, false
}

var indexed = regexp.MustCompile(`\[(\d+)\]`)

func (c *checker) byJSON(key, path string) (saver, bool) {
	out := saver{from: "json " + path, kind: byJSON}
	if strings.HasPrefix(path, "$") {
		query, err := jsonpath.Parse(path)
		if err != nil {
			c.mistake(key, "want a JSON path such as $.data.list[0].id (RFC 9535), got %q: %v", path, err)
			return saver{}, false
		}
		out.find = func(_ *session, _ *reply, p page) (string, bool) {
			if p.json == nil {
				return "", false
			}
			for node := range query.Select(p.json).All() {
				return flat(node), true
			}
			return "", false
		}
		return out, true
	}
	dots := strings.TrimPrefix(indexed.ReplaceAllString(path, ".$1"), ".")
	if !dotted.MatchString(dots) {
		c.mistake(key, "want a path into the JSON such as data.list[0].id, got %q", path)
		return saver{}, false
	}
	parts := strings.Split(dots, ".")
	out.find = func(_ *session, _ *reply, p page) (string, bool) {
		v, ok := at(p.json, parts)
		if !ok || v == nil {
			return "", false
		}
		return flat(v), true
	}
	return out, true
}

// flat is a JSON value as text.
func flat(v any) string {
	switch v.(type) {
	case map[string]any, []any:
		b, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		return string(b)
	}
	return plain(v)
}

// element is what the first element that sel finds says: an attribute, or what
// it holds.
func element(document string, sel cascadia.SelectorGroup, attr string) (string, bool) {
	root, err := html.Parse(strings.NewReader(clip(document, maxParsed)))
	if err != nil {
		return "", false // nested deeper than any page
	}
	n := cascadia.Query(root, sel)
	if n == nil {
		return "", false
	}
	if attr == "" {
		switch n.Data {
		case "input":
			attr = "value"
		case "meta":
			attr = "content"
		}
	}
	if attr == "" {
		var b strings.Builder
		for d := range n.Descendants() {
			if d.Type == html.TextNode && b.Len() <= maxSaved {
				b.WriteString(d.Data)
			}
		}
		return strings.Join(strings.Fields(b.String()), " "), true
	}
	for _, a := range n.Attr {
		if strings.EqualFold(a.Key, attr) {
			return a.Val, true
		}
	}
	return "", false
}

// save keeps what later steps need, or says what was missing.
func (s *session) save(got *reply, p page) *probes.Failure {
	for _, from := range got.of.save {
		value, ok := from.find(s, got, p)
		if !ok || !usable(value) {
			return &probes.Failure{
				Class: probes.ClassContent, Phrase: probes.PhraseNotFound,
				Want: probes.Excerpt(from.from), Got: probes.Excerpt(s.instead(from, got, p, value)),
			}
		}
		if s.values.saved == nil {
			s.values.saved = map[string]string{}
		}
		s.values.saved[from.name] = value
		if !from.show {
			s.hide(value)
		}
	}
	return nil
}

// usable reports whether a value can stand in a request.
func usable(v string) bool {
	return v != "" && len(v) <= maxSaved && utf8.ValidString(v) && !strings.ContainsFunc(v, unicode.IsControl)
}

// instead is what a reply had where a value was looked for.
func (s *session) instead(from saver, got *reply, p page, value string) string {
	switch {
	case value != "":
		return fmt.Sprintf("%q", clip(value, 200))
	case from.kind == byHeader:
		return strings.Join(slices.Sorted(maps.Keys(got.header)), ", ")
	case from.kind == byCookie:
		var names []string
		for _, c := range s.cookies(false).Cookies(got.ask.url) {
			names = append(names, c.Name)
		}
		return strings.Join(names, ", ")
	case p.html:
		return probes.Shown(p.title, p.visible)
	}
	return p.text
}

// shown are the saved values as expectations see them.
func (s *session) shown() map[string]any {
	out := make(map[string]any, len(s.values.saved))
	for name, value := range s.values.saved {
		out[name] = s.redact.Secrets(value)
	}
	return out
}
