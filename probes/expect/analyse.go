package expect

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// functions are the library's functions that expressions may call. Left out are
// those that read the clock, so that a run can be judged again later.
var functions = []string{
	"abs", "all", "any", "ceil", "concat", "count", "duration", "filter", "find", "findIndex", "first",
	"flatten", "float", "floor", "hasPrefix", "hasSuffix", "indexOf", "int", "join", "keys", "last", "len",
	"lower", "map", "max", "mean", "median", "min", "none", "one", "replace", "round", "sort", "split",
	"string", "sum", "trim", "trimPrefix", "trimSuffix", "type", "uniq", "upper", "values",
}

// analyse parses the rewritten source, refuses what expectations do not offer
// and lists the parts whose values explain a failure, in order of appearance.
func analyse(src string, fields map[string]Field) ([]use, error) {
	tree, err := parser.Parse(src)
	if err != nil {
		return nil, err
	}
	a := &analysis{fields: fields}
	ast.Walk(&tree.Node, a)
	if a.err != nil {
		return nil, a.err
	}
	var uses []use
	for _, n := range a.parts {
		u := use{label: n.String(), field: root(n)}
		if !slices.ContainsFunc(uses, func(o use) bool { return o.label == u.label }) {
			uses = append(uses, u)
		}
	}
	return uses, nil
}

// analysis walks a tree, children first.
type analysis struct {
	fields map[string]Field
	parts  []ast.Node
	err    *SyntaxError
}

// Visit implements ast.Visitor.
func (a *analysis) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		if _, ok := a.fields[n.Value]; !ok {
			a.refuse(n, "unknown field %q; want %s", n.Value, a.offered(n.Value))
			return
		}
		a.parts = append(a.parts, n)
	case *ast.BuiltinNode:
		if !slices.Contains(functions, n.Name) {
			a.refuse(n, "function %q is not offered; want one of %s", n.Name, strings.Join(functions, ", "))
		}
		a.nesting(n)
	case *ast.VariableDeclaratorNode, *ast.SequenceNode:
		a.refuse(n, "want one expression, got several or a variable; write one condition an entry")
	case *ast.MemberNode:
		a.member(n)
		a.grow(n, n.Node)
	case *ast.ChainNode:
		a.grow(n, n.Node)
	case *ast.CallNode:
		a.grow(n, n.Callee)
	}
}

// member refuses an unknown member of a field whose members are documented.
func (a *analysis) member(n *ast.MemberNode) {
	parent, ok := n.Node.(*ast.IdentifierNode)
	name, literal := n.Property.(*ast.StringNode)
	if !ok || !literal {
		return
	}
	zero := a.fields[parent.Value].Zero
	if members, typed := zero.(map[string]any); typed {
		if _, known := members[name.Value]; !known {
			a.refuse(n, "unknown field %q; want one of %s", parent.Value+"."+name.Value, written(parent.Value, zero))
		}
	}
}

// grow makes n the part that stands in for its child.
func (a *analysis) grow(n, child ast.Node) {
	at := slices.Index(a.parts, child)
	if at < 0 || !fixed(n) {
		return
	}
	a.parts = append(slices.Delete(a.parts, at, at+1), n)
}

// nesting refuses a loop over a whole field inside a loop: its time would grow
// with the square of what a site sends. A loop over the element's own members is fine.
func (a *analysis) nesting(n *ast.BuiltinNode) {
	for _, arg := range n.Arguments {
		body, ok := arg.(*ast.PredicateNode)
		if !ok {
			continue
		}
		ast.Walk(&body.Node, visitFunc(func(node *ast.Node) {
			inner, ok := (*node).(*ast.BuiltinNode)
			if !ok || len(inner.Arguments) < 2 {
				return
			}
			if _, loops := inner.Arguments[len(inner.Arguments)-1].(*ast.PredicateNode); loops && fixed(inner.Arguments[0]) {
				a.refuse(inner, "%s loops over a whole field inside another loop; loop over the element's members, such as .items", inner.Name)
			}
		}))
	}
}

func (a *analysis) refuse(n ast.Node, format string, args ...any) {
	e := &SyntaxError{n.Location().From + 1, fmt.Sprintf(format, args...)}
	if a.err == nil || e.Column < a.err.Column {
		a.err = e
	}
}

type visitFunc func(*ast.Node)

// Visit implements ast.Visitor.
func (f visitFunc) Visit(node *ast.Node) { f(node) }

// fixed reports whether n means the same outside the loop it stands in.
func fixed(n ast.Node) bool {
	ok := true
	ast.Walk(&n, visitFunc(func(node *ast.Node) {
		if _, pointer := (*node).(*ast.PointerNode); pointer {
			ok = false
		}
	}))
	return ok
}

// root names the field that n starts from.
func root(n ast.Node) string {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return n.Value
	case *ast.MemberNode:
		return root(n.Node)
	case *ast.ChainNode:
		return root(n.Node)
	case *ast.CallNode:
		return root(n.Callee)
	}
	return ""
}

// offered lists the fields, the likeliest one first when name is a slip of it.
func (a *analysis) offered(name string) string {
	var names []string
	likely := ""
	for n, f := range a.fields {
		if distance(n, name) <= 2 && (likely == "" || n < likely) {
			likely = n
		}
		names = append(names, written(n, f.Zero))
	}
	slices.Sort(names)
	list := "one of " + strings.Join(names, ", ")
	if likely != "" {
		return fmt.Sprintf("%q? The fields are %s", likely, strings.TrimPrefix(list, "one of "))
	}
	return list
}

// written shows how a field is written in an expression.
func written(name string, zero any) string {
	if members, ok := zero.(map[string]any); ok && len(members) > 0 {
		var names []string
		for m := range members {
			names = append(names, name+"."+m)
		}
		slices.Sort(names)
		return strings.Join(names, ", ")
	}
	if zero != nil && reflect.TypeOf(zero).Kind() == reflect.Func {
		return name + "('…')"
	}
	return name
}

// distance is the edit distance between two short names, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
