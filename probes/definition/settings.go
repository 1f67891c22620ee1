package definition

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// settings is a kind's part of one probe: it implements probes.Settings.
type settings struct {
	file    string
	probe   *node // the whole probe, for positions
	own     *node // the keys that are the kind's
	timeout time.Duration
	roots   map[string][]byte // the files in roots/, by path
}

var (
	_ probes.Settings = (*settings)(nil)
	_ probes.Files    = (*settings)(nil)
)

// Into decodes strictly into v, a pointer; its error is Mistakes.
func (s *settings) Into(v any) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("decoding settings: want a pointer, got %T", v)
	}
	d := &decoder{file: s.file, extra: probeKeys}
	d.decode(s.own, target.Elem(), "")
	if len(d.mistakes) > 0 {
		return d.mistakes
	}
	return nil
}

// Errorf makes a Mistake at the position of key, or of the nearest part of it
// that exists.
func (s *settings) Errorf(key, format string, args ...any) error {
	line, col := locate(s.probe, key)
	text := fmt.Sprintf(format, args...)
	if key != "" {
		text = key + ": " + text
	}
	return Mistake{File: s.file, Line: line, Column: col, Text: text}
}

// File returns a file in roots/.
func (s *settings) File(path string) ([]byte, error) {
	data, ok := s.roots[path]
	if !ok {
		known := slices.Sorted(maps.Keys(s.roots))
		if len(known) == 0 {
			return nil, errors.New("there is no file in roots/; put one there, named ….pem or ….crt")
		}
		return nil, fmt.Errorf("there is no such file in roots/; %s", offer(path, known))
	}
	return slices.Clone(data), nil
}

// Timeout returns the probe's timeout.
func (s *settings) Timeout() time.Duration { return s.timeout }

// locate follows a path such as "request.url", "steps[2].see" or "fill.#id.no".
func locate(n *node, path string) (line, col int) {
	line, col = n.line, n.col
	for path != "" {
		next, rest := step(n, path)
		if next == nil {
			return line, col
		}
		n, path = next, rest
		line, col = n.line, n.col
	}
	return line, col
}

// step takes one part off a path. The longest key that fits wins, because keys
// such as selectors and header names may hold dots and brackets themselves.
func step(n *node, path string) (next *node, rest string) {
	if strings.HasPrefix(path, "[") {
		number, after, ok := strings.Cut(path[1:], "]")
		i, err := strconv.Atoi(number)
		if !ok || err != nil || i < 0 || i >= len(n.items) {
			return nil, ""
		}
		return n.items[i], strings.TrimPrefix(after, ".")
	}
	longest := -1
	for _, p := range n.pairs {
		after, ok := strings.CutPrefix(path, p.key)
		if !ok || len(p.key) <= longest || after != "" && after[0] != '.' && after[0] != '[' {
			continue
		}
		longest, next, rest = len(p.key), p.value, strings.TrimPrefix(after, ".")
	}
	return next, rest
}
