package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/coordinator/alert"
	"github.com/gengfu/gengfu/coordinator/api"
	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/incident"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/probes"
)

var update = flag.Bool("update", false, "write the schemas of openapi.json anew from the types")

// named are the schemas whose names are not their types'.
var named = map[reflect.Type]string{
	reflect.TypeFor[view.Service](): "ServicePage", reflect.TypeFor[view.Run](): "RunPage", reflect.TypeFor[view.Incident](): "IncidentPage",
	reflect.TypeFor[probes.Key](): "ProbeKey", reflect.TypeFor[alert.State](): "DeliveryState", reflect.TypeFor[alert.Event](): "AlertEvent",
}

// closed are the values of types that have a closed list of them.
var closed = map[reflect.Type][]any{
	reflect.TypeFor[probes.Verdict]():      {"unknown", "up", "degraded", "down"},
	reflect.TypeFor[probes.Channel]():      {"portal", "wechat", "app", "platform", "runtime"},
	reflect.TypeFor[probes.Life]():         {"draft", "published", "retired"},
	reflect.TypeFor[probes.Trigger]():      {"slot", "catch_up", "confirm", "manual"},
	reflect.TypeFor[availability.Reason](): {"agreed", "partial", "too_few", "tie", "no_voice", "pending"},
	reflect.TypeFor[incident.Grade]():      {"ordinary", "major"},
	reflect.TypeFor[alert.State]():         {"pending", "sent", "silenced", "failed"},
	reflect.TypeFor[alert.Event]():         {"incident.opened", "incident.major", "incident.resolved", "incident.withdrawn", "test"},
}

type schema = map[string]any

// schemas makes JSON Schemas of the types that the API answers with.
type schemas struct {
	t     *testing.T
	made  schema
	owner map[string]reflect.Type
	says  map[string]map[string]string // "package dir.Type" → field → comment
}

func (s *schemas) ref(v reflect.Type) schema {
	name := v.Name()
	if n := named[v]; n != "" {
		name = n
	}
	name = strings.ToUpper(name[:1]) + name[1:]
	if other, ok := s.owner[name]; ok {
		require.Equal(s.t, other, v, "two types named %s", name)
	} else {
		s.owner[name] = v
		s.made[name] = nil // a type may hold itself
		s.made[name] = s.define(v)
	}
	return schema{"$ref": "#/components/schemas/" + name}
}

func (s *schemas) define(v reflect.Type) schema {
	if values := closed[v]; values != nil {
		return schema{"type": "string", "enum": values}
	}
	if v == reflect.TypeFor[probes.Key]() {
		return schema{"type": "string", "pattern": "^[^/]+/[^/]+$", "description": "service/probe"}
	}
	out, required := schema{}, []any{}
	says := s.comments(v)
	for i := range v.NumField() {
		f := v.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		p := s.of(f.Type, !optional)
		if text := says[f.Name]; text != "" {
			p["description"] = text
		}
		out[name] = p
		if !optional {
			required = append(required, name)
		}
	}
	return schema{"type": "object", "required": required, "additionalProperties": false, "properties": out}
}

// of is the schema of a value; null is one where Go's nil would be written.
func (s *schemas) of(v reflect.Type, null bool) schema {
	kind := func(name string) any {
		if null {
			return []any{name, "null"}
		}
		return name
	}
	switch {
	case v == reflect.TypeFor[time.Time]():
		return schema{"type": "string", "format": "date-time"}
	case v == reflect.TypeFor[time.Duration]():
		return schema{"type": "integer"}
	case v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct:
		if !null {
			return s.of(v.Elem(), false)
		}
		return schema{"anyOf": []any{s.of(v.Elem(), false), schema{"type": "null"}}}
	case v.Kind() == reflect.Pointer:
		e := s.of(v.Elem(), false)
		e["type"] = kind(e["type"].(string))
		return e
	case v.Kind() == reflect.Slice:
		return schema{"type": kind("array"), "items": s.of(v.Elem(), true)}
	case v.Kind() == reflect.Map:
		return schema{"type": kind("object"), "additionalProperties": s.of(v.Elem(), true)}
	case v.Kind() == reflect.Struct, closed[v] != nil:
		return s.ref(v)
	case v.Kind() == reflect.String:
		return schema{"type": "string"}
	case v.Kind() == reflect.Bool:
		return schema{"type": "boolean"}
	case v.Kind() == reflect.Float64:
		return schema{"type": "number"}
	case v.Kind() >= reflect.Int && v.Kind() <= reflect.Uint64:
		return schema{"type": "integer"}
	}
	s.t.Fatalf("no schema for %s", v)
	return nil
}

// comments are what the source says of a type's fields.
func (s *schemas) comments(v reflect.Type) map[string]string {
	path := strings.TrimSuffix(v.PkgPath(), "_test")
	dir := filepath.Join("..", "..", strings.TrimPrefix(path, "github.com/gengfu/gengfu/"))
	if s.says[path+"."+v.Name()] == nil {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(s.t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.SkipObjectResolution)
			require.NoError(s.t, err)
			ast.Inspect(f, func(n ast.Node) bool {
				spec, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				if st, ok := spec.Type.(*ast.StructType); ok {
					says := map[string]string{}
					for _, field := range st.Fields.List {
						text := field.Comment.Text()
						if text == "" {
							text = field.Doc.Text()
						}
						for _, id := range field.Names {
							says[id.Name] = strings.Join(strings.Fields(text), " ")
						}
					}
					s.says[path+"."+spec.Name.Name] = says
				}
				return true
			})
		}
	}
	return s.says[path+"."+v.Name()]
}

func generate(t *testing.T) schema {
	s := &schemas{t: t, made: schema{}, owner: map[string]reflect.Type{}, says: map[string]map[string]string{}}
	for _, v := range api.Answers() {
		s.ref(v)
	}
	return s.made
}

// The document's schemas are those of the types that are encoded, with -update
// they are written anew.
func TestSchemasFollowTheTypes(t *testing.T) {
	want, err := json.Marshal(generate(t))
	require.NoError(t, err)
	var doc schema
	require.NoError(t, json.Unmarshal(api.OpenAPI(), &doc))
	have := doc["components"].(schema)["schemas"]
	if *update {
		var made schema
		require.NoError(t, json.Unmarshal(want, &made))
		doc["components"].(schema)["schemas"] = made
		var out bytes.Buffer
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", " ")
		require.NoError(t, enc.Encode(doc))
		require.NoError(t, os.WriteFile("openapi.json", out.Bytes(), 0o644))
		return
	}
	got, err := json.Marshal(have)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got), "run go test ./coordinator/api -run TestSchemasFollowTheTypes -update")
}

// Closed lists grow in code; the document must not stay behind.
func TestClosedListsAreWhole(t *testing.T) {
	for _, c := range probes.Channels() {
		require.Contains(t, closed[reflect.TypeFor[probes.Channel]()], string(c))
	}
	for _, v := range probes.Verdicts() {
		require.Contains(t, closed[reflect.TypeFor[probes.Verdict]()], v.String())
	}
	for v, dir := range map[reflect.Type]string{
		reflect.TypeFor[availability.Reason](): "../availability", reflect.TypeFor[incident.Grade](): "../incident", reflect.TypeFor[alert.State](): "../alert",
		reflect.TypeFor[alert.Event](): "../alert", reflect.TypeFor[probes.Life](): "../../probes", reflect.TypeFor[probes.Trigger](): "../../probes",
	} {
		require.ElementsMatch(t, constants(t, dir, v.Name()), closed[v], v.String())
	}
}

// constants are the values of a string type's constants in a package.
func constants(t *testing.T, dir, name string) (values []any) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && fmt.Sprint(spec.Type) == name && len(spec.Values) == 1 {
				if lit, ok := spec.Values[0].(*ast.BasicLit); ok && !slices.Contains(values, any(strings.Trim(lit.Value, `"`))) {
					values = append(values, strings.Trim(lit.Value, `"`))
				}
			}
			return true
		})
	}
	return values
}
