package importer

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// readYAML reads one YAML document. Aliases and merges, which sources use and
// our own definitions do not offer, are followed; what they stand for counts.
func readYAML(file string, data []byte) (root *value, err error) {
	defer func() {
		// A source file must not take the program down, whatever the parser does.
		if r := recover(); r != nil {
			root, err = nil, &ReadError{File: file, Text: fmt.Sprintf("this is not YAML that can be read: %v", r)}
		}
	}()
	src, err := checkText(file, data)
	if err != nil {
		return nil, err
	}
	if lines := strings.Count(src, "\n"); lines > maxLines {
		return nil, &ReadError{File: file, Text: fmt.Sprintf("want at most %d lines, got %d; import the file in parts", maxLines, lines)}
	}
	tokens := lexer.Tokenize(src)
	if err := checkTokens(file, tokens); err != nil {
		return nil, err
	}
	parsed, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, syntaxError(file, err)
	}
	var docs []ast.Node
	for _, d := range parsed.Docs {
		if d.Body != nil {
			docs = append(docs, d.Body)
		}
	}
	if len(docs) == 0 {
		return nil, &ReadError{File: file, Text: "the file is empty"}
	}
	if len(docs) > 1 {
		line, col := position(docs[1])
		return nil, &ReadError{file, line, col, "want one document, got several; import the part after --- from a file of its own"}
	}
	c := &yamlReader{file: file, anchors: map[string]*value{}}
	root = c.value(docs[0])
	if c.err != nil {
		return nil, c.err
	}
	return root, nil
}

// checkText refuses what is too large or no text.
func checkText(file string, data []byte) (string, error) {
	if len(data) > MaxSize {
		return "", &ReadError{File: file, Text: fmt.Sprintf("want at most %d bytes, got %d", MaxSize, len(data))}
	}
	src := strings.TrimPrefix(string(data), "\ufeff")
	line, col := 1, 1
	for i, r := range src {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(src[i:]); n == 1 {
				return "", &ReadError{file, line, col, "want UTF-8, got other bytes (GBK?); save the file as UTF-8"}
			}
		}
		if col++; r == '\n' {
			line, col = line+1, 1
		}
	}
	return src, nil
}

// checkTokens refuses depth that would exhaust the parser's stack.
func checkTokens(file string, tokens token.Tokens) error {
	at := func(t *token.Token, text string) error {
		return &ReadError{file, t.Position.Line, max(t.Position.Column, 1), text}
	}
	if len(tokens) > maxTokens {
		return at(tokens[maxTokens], fmt.Sprintf("want at most %d parts in a file, got %d", maxTokens, len(tokens)))
	}
	flow, line, inLine := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, inLine = t.Position.Line, 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.TagType, token.AnchorType:
			inLine++
		}
		if flow > maxDepth || inLine > maxDepth || t.Position.IndentNum > 8*maxDepth {
			return at(t, fmt.Sprintf("want at most %d levels, got more", maxDepth))
		}
	}
	return nil
}

func syntaxError(file string, err error) error {
	var at interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if errors.As(err, &at) && at.GetToken() != nil {
		p := at.GetToken().Position
		return &ReadError{file, p.Line, max(p.Column, 1), "this is not YAML: " + clip(at.GetMessage())}
	}
	return &ReadError{File: file, Text: "this is not YAML: " + clip(err.Error())}
}

// position is where a person would look for the node.
func position(n ast.Node) (line, col int) {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return position(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return position(n.Key)
	case *ast.AnchorNode:
		if n.Value != nil {
			return position(n.Value)
		}
	case *ast.TagNode:
		if n.Value != nil {
			return position(n.Value)
		}
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line, max(t.Position.Column, 1)
	}
	return 1, 1
}

// yamlReader makes values of the parser's tree. It stops at the first error.
type yamlReader struct {
	file    string
	anchors map[string]*value
	values  int
	depth   int
	err     error
}

func (c *yamlReader) fail(n ast.Node, format string, args ...any) *value {
	if c.err == nil {
		line, col := position(n)
		c.err = &ReadError{c.file, line, col, fmt.Sprintf(format, args...)}
	}
	return &value{weight: 1}
}

// count adds what a value weighs to the file's total.
func (c *yamlReader) count(n ast.Node, weight int) {
	if c.values += weight; c.values > maxValues {
		c.fail(n, "want at most %d values, aliases counted as what they stand for, got more", maxValues)
	}
}

func (c *yamlReader) value(n ast.Node) *value {
	if c.err != nil {
		return &value{weight: 1}
	}
	if c.depth++; c.depth > maxDepth {
		c.depth--
		return c.fail(n, "want at most %d levels, got more", maxDepth)
	}
	defer func() { c.depth-- }()
	c.count(n, 1)
	line, col := position(n)
	out := &value{line: line, col: col, weight: 1}
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.AnchorNode:
		v := c.value(n.Value)
		v.named = true
		c.anchors[n.Name.GetToken().Value] = v
		return v
	case *ast.AliasNode:
		return c.alias(n)
	case *ast.TagNode:
		return c.value(n.Value)
	case *ast.StringNode:
		out.shape, out.text, out.quoted = shapeScalar, n.Value, n.GetToken().Type != token.StringType
	case *ast.LiteralNode:
		out.shape, out.text, out.quoted = shapeScalar, n.Value.Value, true
	case *ast.SequenceNode:
		out.shape = shapeList
		for _, item := range n.Values {
			c.item(out, item)
		}
	case *ast.MappingNode:
		c.object(out, n.Values)
	case *ast.MappingValueNode:
		c.object(out, []*ast.MappingValueNode{n})
	case ast.ScalarNode:
		out.shape, out.text = shapeScalar, n.GetToken().Value
	default:
		return c.fail(n, "want a text, a number, a list or a map, got %s", strings.ToLower(n.Type().YAMLName()))
	}
	return out
}

func (c *yamlReader) item(out *value, n ast.Node) {
	v := c.value(n)
	out.items = append(out.items, v)
	out.weight += v.weight
}

func (c *yamlReader) alias(n *ast.AliasNode) *value {
	name := n.Value.GetToken().Value
	v, ok := c.anchors[name]
	if !ok {
		return c.fail(n, "the alias *%s stands for nothing that was named before it", clip(name))
	}
	c.count(n, v.weight)
	return v
}

// object reads a map. What is merged in (<<) gives way to the map's own keys,
// wherever those stand.
func (c *yamlReader) object(out *value, entries []*ast.MappingValueNode) {
	out.shape = shapeMap
	at := map[string]int{} // where each key is in out.pairs
	own := map[string]bool{}
	put := func(p pair, isOwn bool) {
		i, known := at[p.key]
		switch {
		case !known:
			at[p.key] = len(out.pairs)
			out.pairs = append(out.pairs, p)
		case isOwn:
			out.pairs[i] = p
		default:
			return
		}
		own[p.key] = own[p.key] || isOwn
		out.weight += p.value.weight
	}
	for _, n := range entries {
		if c.err != nil {
			return
		}
		line, _ := position(n.Key)
		var key string
		switch k := n.Key.(type) {
		case *ast.MergeKeyNode:
			for _, m := range c.value(n.Value).list() {
				if m.shape != shapeMap {
					c.fail(n, "want a map to merge, got %s", m.found())
					return
				}
				for _, p := range m.pairs {
					put(p, false)
				}
			}
			continue
		case *ast.StringNode:
			key = k.Value
		case ast.ScalarNode:
			key = k.GetToken().Value
		default:
			c.fail(n, "want a text as key")
			return
		}
		if own[key] {
			c.fail(n.Key, "the key %s stands twice in one map", clip(key))
			return
		}
		put(pair{key, line, c.value(n.Value)}, true)
	}
}
