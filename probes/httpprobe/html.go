package httpprobe

import (
	"bytes"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// The bounds of what is read out of a page, in bytes.
const (
	maxText  = 64 << 10
	maxTitle = 200
)

// isHTML reports whether a reply is a page: by its type or, where that is
// missing or plain, by its first characters.
func isHTML(contentType, text string) bool {
	kind, _, _ := mime.ParseMediaType(contentType)
	switch kind {
	case "text/html", "application/xhtml+xml":
		// JSON under a page's type is JSON.
		return !startsJSON(text)
	}
	head := strings.ToLower(strings.TrimLeft(text[:min(len(text), 512)], " \t\r\n\ufeff"))
	return strings.HasPrefix(head, "<!doctype html") || strings.HasPrefix(head, "<html")
}

func startsJSON(text string) bool {
	t := strings.TrimLeft(text, " \t\r\n\ufeff")
	return strings.HasPrefix(t, "{") || strings.HasPrefix(t, "[")
}

// unseen are the elements whose text nobody sees.
var unseen = map[atom.Atom]bool{
	atom.Script: true, atom.Style: true, atom.Noscript: true, atom.Template: true, atom.Iframe: true,
	atom.Noembed: true, atom.Noframes: true, atom.Textarea: true, atom.Object: true, atom.Svg: true,
}

// inline are the elements that do not break a line.
var inline = map[atom.Atom]bool{
	atom.A: true, atom.B: true, atom.Em: true, atom.Font: true, atom.I: true, atom.Span: true,
	atom.Strong: true, atom.Sub: true, atom.Sup: true, atom.U: true, atom.Small: true, atom.Label: true,
}

var void = map[atom.Atom]bool{
	atom.Area: true, atom.Base: true, atom.Br: true, atom.Col: true, atom.Embed: true, atom.Hr: true, atom.Img: true,
	atom.Input: true, atom.Link: true, atom.Meta: true, atom.Param: true, atom.Source: true, atom.Track: true, atom.Wbr: true,
}

// reader walks a document's tokens: linear in its size, whatever its nesting.
type reader struct {
	title, text strings.Builder
	titled      bool   // a title was read; a second one is not seen
	inTitle     bool   //
	skip        string // inside this unseen or hidden element
	depth       int    // and that many elements of its name
}

// titleWithin is where a title is looked for when nobody asks for the text, in bytes.
const titleWithin = 16 << 10

// readHTML returns the title of a document and, where it is wanted, the visible
// text. It runs no script and knows no style sheet, only hidden attributes and
// inline styles.
func readHTML(document string, wanted bool) (title, text string) {
	var r reader
	if !wanted {
		document = clip(document, titleWithin)
	}
	z := html.NewTokenizer(strings.NewReader(document))
	for r.text.Len() < maxText && (wanted || !r.titled) {
		switch z.Next() {
		case html.ErrorToken:
			return r.done()
		case html.TextToken:
			if r.skip == "" {
				r.chars(z.Text())
			}
		case html.StartTagToken:
			name, attributes := z.TagName()
			r.open(z, name, attributes)
		case html.EndTagToken:
			name, _ := z.TagName()
			r.close(name)
		case html.SelfClosingTagToken:
			name, _ := z.TagName()
			r.breakLine(atom.Lookup(name))
		}
	}
	return r.done()
}

func (r *reader) done() (title, text string) {
	title = strings.Join(strings.Fields(r.title.String()), " ")
	return clip(title, maxTitle), clip(strings.TrimSpace(r.text.String()), maxText)
}

func (r *reader) chars(s []byte) {
	if r.inTitle {
		r.title.WriteString(clip(string(s), 4*maxTitle))
		return
	}
	words := false
	for word := range bytes.FieldsSeq(s) {
		switch {
		case words:
			r.text.WriteByte(' ')
		case s[0] <= ' ':
			r.space(' ')
		}
		words = true
		r.text.Write(word)
	}
	if words && s[len(s)-1] <= ' ' {
		r.space(' ')
	}
}

func (r *reader) open(z *html.Tokenizer, name []byte, attributes bool) {
	a := atom.Lookup(name)
	switch {
	case r.skip != "":
		if string(name) == r.skip {
			r.depth++
		}
	case a == atom.Title && !r.titled:
		r.inTitle = true
	case (unseen[a] || a == atom.Title || attributes && hidden(z)) && !void[a]:
		r.skip, r.depth = string(name), 1
	default:
		r.breakLine(a)
	}
}

func (r *reader) close(name []byte) {
	a := atom.Lookup(name)
	switch {
	case r.skip != "":
		if string(name) == r.skip {
			if r.depth--; r.depth == 0 {
				r.skip = ""
			}
		}
	case a == atom.Title:
		r.titled = r.titled || r.inTitle
		r.inTitle = false
	default:
		r.breakLine(a)
	}
}

func (r *reader) breakLine(a atom.Atom) {
	if !inline[a] {
		r.space('\n')
	}
}

// space writes at most one separator between two pieces of text.
func (r *reader) space(c byte) {
	s := r.text.String()
	if s == "" || s[len(s)-1] == '\n' || s[len(s)-1] == ' ' {
		return
	}
	r.text.WriteByte(c)
}

// hidden reports whether the attributes of the tag just read hide its element.
func hidden(z *html.Tokenizer) bool {
	for {
		key, value, more := z.TagAttr()
		switch string(key) {
		case "hidden":
			return true
		case "style":
			style := strings.ToLower(strings.Join(strings.Fields(string(value)), ""))
			if strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden") {
				return true
			}
		}
		if !more {
			return false
		}
	}
}

// clip cuts s to n bytes on a character's edge.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
