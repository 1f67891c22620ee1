package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"unicode/utf8"
)

// readJSON reads one JSON text with positions.
func readJSON(file string, data []byte) (*value, error) {
	src, err := checkText(file, data)
	if err != nil {
		return nil, err
	}
	r := &jsonReader{file: file, src: []byte(src)}
	for i, b := range r.src {
		if b == '\n' {
			r.breaks = append(r.breaks, i)
		}
	}
	r.dec = json.NewDecoder(bytes.NewReader(r.src))
	r.dec.UseNumber()
	root, err := r.value()
	if err != nil {
		return nil, err
	}
	r.last = int(r.dec.InputOffset())
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, r.at(r.start(), "this is not JSON: want the end of the file, got more")
	}
	return root, nil
}

// jsonReader makes values of JSON tokens: without recursion in the decoder, and
// bounded in this one.
type jsonReader struct {
	file   string
	src    []byte
	breaks []int // offsets of line feeds
	dec    *json.Decoder
	last   int // where the token before ended
	seen   int // the offset that place was asked for, and …
	runes  int // … how many runes stand before it on its line
	values int
	depth  int
}

// start is where the token that was read last begins.
func (r *jsonReader) start() int {
	i := r.last
	for i < len(r.src) && bytes.IndexByte([]byte(" \t\r\n,:"), r.src[i]) >= 0 {
		i++
	}
	return min(i, max(len(r.src)-1, 0))
}

// place counts on from where it was asked before: a file may be one long line.
func (r *jsonReader) place(offset int) (line, col int) {
	line = sort.SearchInts(r.breaks, offset)
	from, runes := 0, 0
	if line > 0 {
		from = r.breaks[line-1] + 1
	}
	if from <= r.seen && r.seen <= offset {
		from, runes = r.seen, r.runes
	}
	runes += utf8.RuneCount(r.src[from:max(from, min(offset, len(r.src)))])
	r.seen, r.runes = max(from, offset), runes
	return line + 1, runes + 1
}

func (r *jsonReader) at(offset int, text string) error {
	line, col := r.place(offset)
	return &ReadError{r.file, line, col, text}
}

func (r *jsonReader) syntax(err error) error {
	var at *json.SyntaxError
	switch {
	case errors.As(err, &at):
		// The decoder counts up to the character, its scanner the character too.
		offset := int(at.Offset)
		if offset >= len(r.src) || !strings.Contains(err.Error(), "character '"+string(r.src[offset])+"'") {
			offset = max(offset-1, 0)
		}
		return r.at(offset, "this is not JSON: "+clip(err.Error()))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return r.at(len(r.src), "this is not JSON: the file ends too early")
	}
	return r.at(int(r.dec.InputOffset()), "this is not JSON: "+clip(err.Error()))
}

// token reads the next token and where it begins.
func (r *jsonReader) token() (json.Token, int, error) {
	r.last = int(r.dec.InputOffset())
	t, err := r.dec.Token()
	if err != nil {
		return nil, 0, r.syntax(err)
	}
	return t, r.start(), nil
}

func (r *jsonReader) value() (*value, error) {
	t, offset, err := r.token()
	if err != nil {
		return nil, err
	}
	return r.rest(t, offset)
}

// rest reads the value that begins with t.
func (r *jsonReader) rest(t json.Token, offset int) (*value, error) {
	if r.values++; r.values > maxValues {
		return nil, r.at(offset, fmt.Sprintf("want at most %d values, got more", maxValues))
	}
	if r.depth++; r.depth > maxDepth {
		return nil, r.at(offset, fmt.Sprintf("want at most %d levels, got more", maxDepth))
	}
	defer func() { r.depth-- }()
	line, col := r.place(offset)
	out := &value{line: line, col: col, weight: 1}
	switch t := t.(type) {
	case nil:
	case string:
		out.shape, out.text, out.quoted = shapeScalar, t, true
	case json.Number:
		out.shape, out.text = shapeScalar, t.String()
	case bool:
		out.shape, out.text = shapeScalar, fmt.Sprint(t)
	case json.Delim:
		if t == '{' {
			return out, r.object(out)
		}
		return out, r.array(out)
	}
	return out, nil
}

func (r *jsonReader) array(out *value) error {
	out.shape = shapeList
	for {
		t, offset, err := r.token()
		if err != nil {
			return err
		}
		if t == json.Delim(']') {
			return nil
		}
		item, err := r.rest(t, offset)
		if err != nil {
			return err
		}
		out.items = append(out.items, item)
	}
}

func (r *jsonReader) object(out *value) error {
	out.shape = shapeMap
	keys := map[string]int{}
	for {
		t, offset, err := r.token()
		if err != nil {
			return err
		}
		if t == json.Delim('}') {
			return nil
		}
		key, ok := t.(string)
		if !ok {
			return r.at(offset, "this is not JSON: want a name between quotes")
		}
		line, _ := r.place(offset)
		v, err := r.value()
		if err != nil {
			return err
		}
		if i, twice := keys[key]; twice { // the last one counts, as everywhere
			out.pairs[i] = pair{key, line, v}
			continue
		}
		keys[key] = len(out.pairs)
		out.pairs = append(out.pairs, pair{key, line, v})
	}
}
