package kinds_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/kinds"
	"github.com/gengfu/gengfu/probes/wording"
)

// TestEveryKindIsInTheTable compares the packages that declare a Kind with those
// that the table's source names.
func TestEveryKindIsInTheTable(t *testing.T) {
	dirs, err := filepath.Glob("../*probe")
	require.NoError(t, err)
	var declared []string
	for _, dir := range dirs {
		if declaresKind(t, dir) {
			declared = append(declared, filepath.Base(dir)+".Kind")
		}
	}
	require.NotEmpty(t, declared)
	src, err := os.ReadFile("kinds.go")
	require.NoError(t, err)
	named := regexp.MustCompile(`\w+probe\.Kind\b`).FindAllString(string(src), -1)
	slices.Sort(named)
	require.Equal(t, declared, named, "add the missing kind to kinds.All, or drop what is gone")
	require.Len(t, kinds.All(), len(declared))
}

// TestEveryKindHasItsWord, since documents and pages name it.
func TestEveryKindHasItsWord(t *testing.T) {
	for _, k := range kinds.All() {
		for _, lang := range []wording.Lang{wording.ZH, wording.EN} {
			if word := wording.Kind(lang, k.Name); k.Name == "http" {
				require.Equal(t, "HTTP", word)
			} else {
				require.False(t, word == k.Name && lang == wording.ZH, "%s has no Chinese word in package wording", k.Name)
			}
		}
	}
	require.Equal(t, "own", wording.Kind(wording.ZH, "own"))
}

func declaresKind(t *testing.T, dir string) bool {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".go" || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, e.Name()), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
				for _, s := range g.Specs {
					if slices.ContainsFunc(s.(*ast.ValueSpec).Names, func(n *ast.Ident) bool { return n.Name == "Kind" }) {
						return true
					}
				}
			}
		}
	}
	return false
}

func TestTable(t *testing.T) {
	all := kinds.All()
	require.True(t, slices.IsSortedFunc(all, func(a, b probes.Kind) int { return strings.Compare(a.Name, b.Name) }))
	seen := map[string]bool{}
	for _, k := range all {
		require.NotEmpty(t, k.Name)
		require.NotEmpty(t, k.Doc, k.Name)
		require.NotNil(t, k.Decode, k.Name)
		require.False(t, seen[k.Name], k.Name)
		seen[k.Name] = true
	}
	all[0] = probes.Kind{}
	require.NotEmpty(t, kinds.All()[0].Name, "the table is the caller's own copy")
}

// TestDocumentedExample compiles the example that the documentation shows, with
// the real kinds.
func TestDocumentedExample(t *testing.T) {
	data, err := os.ReadFile("testdata/example.yaml")
	require.NoError(t, err)
	c, err := definition.Compile(definition.Revision{}, []definition.File{{Path: "services/example.yaml", Data: data}}, kinds.All())
	require.NoError(t, err)
	require.Len(t, c.Probes(), strings.Count(string(data), "kind: "))
	for _, p := range c.Probes() {
		require.NotNil(t, p.Prober)
	}

	// A mistake in an expectation is found at its own place.
	bad := strings.Replace(string(data), "status == 200", "statu == 200", 1)
	_, err = definition.Compile(definition.Revision{}, []definition.File{{Path: "services/example.yaml", Data: []byte(bad)}}, kinds.All())
	require.ErrorContains(t, err, "unknown field \"statu\"")
	require.Regexp(t, `^services/example\.yaml:\d+:14: expect\[0\]: `, err.Error())
}
