package api_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/coordinator/api"
)

// document is the OpenAPI document as a client reads it.
type document struct {
	Paths map[string]map[string]operation `json:"paths"`

	compiler *jsonschema.Compiler
	mu       sync.Mutex
}

type operation struct {
	Parameters []struct{ Name, In string } `json:"parameters"`
	Responses  map[string]struct {
		Content map[string]struct {
			Schema any `json:"schema"`
		} `json:"content"`
	} `json:"responses"`
}

func loadDocument(t *testing.T) *document {
	t.Helper()
	d := &document{compiler: jsonschema.NewCompiler()}
	require.NoError(t, json.Unmarshal(api.OpenAPI(), d))
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(api.OpenAPI()))
	require.NoError(t, err)
	d.compiler.AssertFormat()
	require.NoError(t, d.compiler.AddResource("gengfu:openapi.json", whole))
	return d
}

// template is the document's path for a request's; a literal one goes before one
// with a parameter.
func (d *document) template(path string) string {
	parts := strings.Split(path, "/")
	best, holes := "", len(parts)+1
	for t := range d.Paths {
		want := strings.Split(t, "/")
		if len(want) != len(parts) {
			continue
		}
		n, ok := 0, true
		for i, w := range want {
			if strings.HasPrefix(w, "{") {
				n++
			} else if w != parts[i] {
				ok = false
			}
		}
		if ok && n < holes {
			best, holes = t, n
		}
	}
	return best
}

// check holds an answer against what the document says of it.
func (d *document) check(t *testing.T, r *http.Request, a answer) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	path := d.template(r.URL.Path)
	op, ok := d.Paths[path][strings.ToLower(r.Method)]
	if !ok {
		require.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed}, a.status, "%s %s is not in the document: %s", r.Method, r.URL.Path, a.body)
		d.validate(t, "#/components/schemas/Problem", a)
		return
	}
	status := http.StatusText(a.status)
	key := string([]byte{byte('0' + a.status/100), byte('0' + a.status/10%10), byte('0' + a.status%10)})
	res, ok := op.Responses[key]
	if !ok {
		require.GreaterOrEqual(t, a.status, 400, "%s %s answered %s, which the document does not know", r.Method, path, status)
		key, res = "default", op.Responses["default"]
	}
	media, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if len(res.Content) == 0 {
		require.Empty(t, a.body, "%s %s has no content by the document", r.Method, path)
		return
	}
	require.NoError(t, err)
	content, ok := res.Content[media]
	require.True(t, ok, "%s %s answered %s with %s; the document knows %v", r.Method, path, status, media, slices.Collect(maps.Keys(res.Content)))
	if content.Schema != nil && strings.HasSuffix(media, "json") {
		escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
		d.validate(t, "#/paths/"+escape.Replace(path)+"/"+strings.ToLower(r.Method)+"/responses/"+key+"/content/"+escape.Replace(media)+"/schema", a)
	}
}

func (d *document) validate(t *testing.T, at string, a answer) {
	t.Helper()
	s, err := d.compiler.Compile("gengfu:openapi.json" + at)
	require.NoError(t, err)
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(a.body))
	require.NoError(t, err, a.body)
	require.NoError(t, s.Validate(v), a.body)
}

// elsewhere are the paths that the coordinator serves beside the API.
var elsewhere = []string{"GET /healthz", "GET /readyz", "GET /metrics"}

func TestDocumentAndRoutesAgree(t *testing.T) {
	d := loadDocument(t)
	var written []string
	for path, methods := range d.Paths {
		for method := range methods {
			written = append(written, strings.ToUpper(method)+" "+path)
		}
	}
	registered, query := api.Patterns()
	require.ElementsMatch(t, slices.Concat(registered, elsewhere), written)
	for _, pattern := range registered {
		method, path, _ := strings.Cut(pattern, " ")
		var names, holes []string
		for _, p := range d.Paths[path][strings.ToLower(method)].Parameters {
			switch p.In {
			case "query":
				names = append(names, p.Name)
			case "path":
				holes = append(holes, "{"+p.Name+"}")
			}
		}
		require.ElementsMatch(t, query[pattern], names, "query parameters of %s", pattern)
		want := slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return !strings.HasPrefix(s, "{") })
		require.ElementsMatch(t, want, holes, "path parameters of %s", pattern)
	}
}

// Every reference leads somewhere and every schema is one.
func TestDocumentIsSound(t *testing.T) {
	d := loadDocument(t)
	var all struct {
		Components struct{ Schemas map[string]any } `json:"components"`
	}
	require.NoError(t, json.Unmarshal(api.OpenAPI(), &all))
	require.NotEmpty(t, all.Components.Schemas)
	for name := range all.Components.Schemas {
		_, err := d.compiler.Compile("gengfu:openapi.json#/components/schemas/" + name)
		require.NoError(t, err)
		require.Contains(t, string(api.OpenAPI()), `"#/components/schemas/`+name+`"`, "a schema that nothing refers to")
	}
	for path, methods := range d.Paths {
		for method, op := range methods {
			require.Contains(t, op.Responses, "default", "%s %s", method, path)
		}
	}
}
