package definition

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/gengfu/gengfu/probes"
)

// The bounds of one file. Lines and depth are bounded because the time and the
// stack of parsing grow faster than the size.
const (
	MaxFileSize = 1 << 20
	maxLines    = 10_000
	maxTokens   = 100_000
	maxDepth    = 32
)

// shape is what a node is.
type shape uint8

const (
	shapeNull shape = iota
	shapeBool
	shapeInt
	shapeFloat
	shapeText
	shapeList
	shapeMap
)

// node is one value of a file with its position: YAML without anchors, tags,
// merges and whatever else would let a file mean more than it shows.
type node struct {
	shape     shape
	line, col int
	text      string  // of a text; as written of any other scalar
	value     any     // bool, int64 or float64
	items     []*node // of a list
	pairs     []pair  // of a map, in order, keys unique
}

type pair struct {
	key       string
	line, col int
	value     *node
}

// get returns the value of key, nil when there is none.
func (n *node) get(key string) *node {
	for _, p := range n.pairs {
		if p.key == key {
			return p.value
		}
	}
	return nil
}

// found describes a node in a message: what was found.
func (n *node) found() string {
	switch n.shape {
	case shapeNull:
		return "nothing"
	case shapeText:
		return fmt.Sprintf("the text %q", probes.Excerpt(n.text))
	case shapeBool:
		return n.text
	case shapeList:
		return "a list"
	case shapeMap:
		return "a map"
	default:
		return "the number " + probes.Excerpt(n.text)
	}
}

// parse reads one file into a node. It returns nil when the file cannot be read at all.
func parse(f File) (*node, Mistakes) {
	whole := func(format string, args ...any) (*node, Mistakes) {
		return nil, Mistakes{{File: f.Path, Text: fmt.Sprintf(format, args...)}}
	}
	if len(f.Data) > MaxFileSize {
		return whole("want at most %d bytes, got %d; split the file", MaxFileSize, len(f.Data))
	}
	if !utf8.Valid(f.Data) {
		line, col := invalidAt(f.Data)
		return nil, Mistakes{{File: f.Path, Line: line, Column: col, Text: "want UTF-8, got other bytes (GBK?); save the file as UTF-8"}}
	}
	src := strings.TrimPrefix(string(f.Data), "\ufeff")
	if lines := strings.Count(src, "\n"); lines > maxLines {
		return whole("want at most %d lines, got %d; split the file", maxLines, lines)
	}
	tokens := lexer.Tokenize(src)
	if m := refuseTokens(f.Path, tokens); len(m) > 0 {
		return nil, m
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, Mistakes{syntaxMistake(f.Path, err)}
	}
	var docs []ast.Node
	for _, d := range file.Docs {
		if d.Body != nil {
			docs = append(docs, d.Body)
		}
	}
	switch len(docs) {
	case 0:
		return whole("the file is empty; write a definition or delete it")
	case 1:
		c := &converter{file: f.Path}
		n := c.convert(docs[0])
		return n, c.mistakes
	}
	line, col := position(docs[1])
	return nil, Mistakes{{File: f.Path, Line: line, Column: col, Text: "want one document a file, got several; move what follows --- into a file of its own"}}
}

func invalidAt(b []byte) (line, col int) {
	line, col = 1, 1
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if col++; r == '\n' {
			line, col = line+1, 1
		}
		b = b[n:]
	}
	return line, col
}

// refuseTokens refuses what must not reach the parser: depth that would exhaust
// its stack, and the parts of YAML by which a small file becomes a large one.
func refuseTokens(path string, tokens token.Tokens) Mistakes {
	at := func(t *token.Token, text string) Mistakes {
		return Mistakes{{File: path, Line: t.Position.Line, Column: max(t.Position.Column, 1), Text: text}}
	}
	if len(tokens) > maxTokens {
		return at(tokens[maxTokens], fmt.Sprintf("want at most %d parts in a file, got %d; split the file", maxTokens, len(tokens)))
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
		case token.SequenceEntryType:
			inLine++
		case token.MappingKeyType:
			return at(t, "want \"key: value\", got a complex key \"?\"; write the key as plain text")
		case token.AnchorType, token.AliasType:
			return at(t, "anchors and aliases (& and *) are not offered; write the value out, or put a text that begins with & or * between quotes")
		case token.TagType:
			return at(t, "tags (!) are not offered; put a text that begins with ! between quotes")
		case token.MergeKeyType:
			return at(t, "merges (<<) are not offered; write the keys out")
		case token.DirectiveType:
			return at(t, "directives (%) are not offered; put a text that begins with % between quotes")
		}
		if flow > maxDepth || inLine > maxDepth || t.Position.IndentNum > 8*maxDepth {
			return at(t, fmt.Sprintf("want at most %d levels, got more; write it flatter", maxDepth))
		}
	}
	return nil
}

func syntaxMistake(path string, err error) Mistake {
	var at interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if errors.As(err, &at) && at.GetToken() != nil {
		p := at.GetToken().Position
		return Mistake{File: path, Line: p.Line, Column: max(p.Column, 1), Text: "this is not YAML: " + at.GetMessage() + "; check indentation, colons and quotes"}
	}
	return Mistake{File: path, Text: "this is not YAML: " + probes.Excerpt(err.Error())}
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
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line, max(t.Position.Column, 1)
	}
	return 1, 1
}

// converter makes nodes of the parser's tree.
type converter struct {
	file     string
	mistakes Mistakes
	depth    int
}

func (c *converter) wrong(line, col int, format string, args ...any) {
	c.mistakes = append(c.mistakes, Mistake{File: c.file, Line: line, Column: col, Text: fmt.Sprintf(format, args...)})
}

func (c *converter) convert(n ast.Node) *node {
	line, col := position(n)
	out := &node{line: line, col: col}
	if c.depth++; c.depth > maxDepth {
		c.wrong(line, col, "want at most %d levels, got more; write it flatter", maxDepth)
		c.depth--
		return out
	}
	defer func() { c.depth-- }()
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.BoolNode:
		out.shape, out.value, out.text = shapeBool, n.Value, n.GetToken().Value
	case *ast.IntegerNode:
		c.integer(out, n)
	case *ast.FloatNode:
		out.shape, out.value, out.text = shapeFloat, n.Value, n.GetToken().Value
	case *ast.StringNode:
		out.shape, out.text = shapeText, n.Value
	case *ast.LiteralNode:
		out.shape, out.text = shapeText, n.Value.Value
	case *ast.SequenceNode:
		out.shape = shapeList
		for _, v := range n.Values {
			out.items = append(out.items, c.convert(v))
		}
	case *ast.MappingNode:
		out.shape = shapeMap
		for _, v := range n.Values {
			c.pair(out, v)
		}
	case *ast.MappingValueNode:
		out.shape = shapeMap
		c.pair(out, n)
	default:
		c.wrong(line, col, "want a text, a number, a list or a map, got %s; put it between quotes", strings.ToLower(n.Type().YAMLName()))
	}
	return out
}

func (c *converter) integer(out *node, n *ast.IntegerNode) {
	out.shape, out.text = shapeInt, n.GetToken().Value
	digits := strings.TrimLeft(out.text, "+-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		// YAML 1.1 reads 010000 as octal; an area code must not become 4096.
		c.wrong(out.line, out.col, "want a number or a text, got %s, which YAML may read as octal; put it between quotes", probes.Excerpt(out.text))
	}
	switch v := n.Value.(type) {
	case int64:
		out.value = v
	case uint64:
		out.value = int64(v)
		if v > 1<<63-1 {
			c.wrong(out.line, out.col, "want a number below 2^63, got %s; put it between quotes", probes.Excerpt(out.text))
		}
	default:
		out.value = int64(0)
		c.wrong(out.line, out.col, "want a whole number, got %s; put it between quotes", probes.Excerpt(out.text))
	}
}

func (c *converter) pair(out *node, v *ast.MappingValueNode) {
	line, col := position(v.Key)
	p := pair{line: line, col: col}
	switch k := v.Key.(type) {
	case *ast.StringNode:
		p.key = k.Value
	case ast.ScalarNode:
		p.key = k.GetToken().Value
	default:
		c.wrong(line, col, "want a text as key; put the key between quotes")
		return
	}
	if strings.Contains(p.key, "${") {
		c.wrong(line, col, "%s: ${…} is not expanded in keys; write it in a value", probes.Excerpt(p.key))
	}
	p.value = c.convert(v.Value)
	if p.value.shape == shapeNull {
		p.value.line, p.value.col = line, col
	}
	if first := out.get(p.key); first != nil {
		c.wrong(line, col, "%s: want each key once, got it again (first on line %d); delete one", probes.Excerpt(p.key), first.line)
		return
	}
	out.pairs = append(out.pairs, p)
}
