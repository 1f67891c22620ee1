package definition_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/kinds"
)

func compileSchema(t *testing.T, of string, kinds []probes.Kind) *jsonschema.Schema {
	t.Helper()
	text, err := definition.Schema(of, "zh", kinds)
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("schema.json", doc))
	s, err := c.Compile("schema.json") // the meta-schema of draft 2020-12 included
	require.NoError(t, err)
	require.Equal(t, 2020, s.DraftVersion)
	return s
}

// schemaOf is the name of the schema for the file at path.
func schemaOf(path string) string {
	base := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	switch {
	case strings.Contains(path, "services/"):
		return "service"
	case strings.Contains(path, "silences/"):
		return "silence"
	}
	return base
}

// value is YAML as an editor hands it to a validator.
func value(t *testing.T, data []byte) (any, bool) {
	t.Helper()
	var v any
	if yaml.Unmarshal(data, &v) != nil {
		return nil, false
	}
	b, err := json.Marshal(v)
	require.NoError(t, err)
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	require.NoError(t, err)
	return out, true
}

func TestSchemaAcceptsWhatCompileAccepts(t *testing.T) {
	for name, c := range map[string]struct {
		dir   string
		kinds []probes.Kind
		least int
	}{
		"the examples":          {"../examples", kinds.All(), 30},
		"all that can be there": {"testdata/valid", fakeKinds, 5},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := definition.ReadDir(c.dir)
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(files), c.least)
			schemas := map[string]*jsonschema.Schema{}
			for _, of := range definition.Schemas() {
				schemas[of] = compileSchema(t, of, c.kinds)
			}
			for _, f := range files {
				v, ok := value(t, f.Data)
				require.True(t, ok, f.Path)
				require.NoError(t, schemas[schemaOf(f.Path)].Validate(v), f.Path)
				require.NoError(t, schemas[definition.SchemaAny].Validate(v), f.Path)
			}
		})
	}
	data, err := os.ReadFile("../kinds/testdata/example.yaml")
	require.NoError(t, err)
	v, ok := value(t, data)
	require.True(t, ok)
	require.NoError(t, compileSchema(t, "service", kinds.All()).Validate(v))
}

// beyondSchema are the mistakes that take arithmetic, several files, or a look at
// the file as it is written. All others the schema must find.
var beyondSchema = []string{
	"anchor", "merge", "tag", "octal", "too-deep", "tab", "only-a-comment", "gbk", "duplicate-key", "two-documents", // as it is written
	"every-too-short", "timeout-over-interval", "timeout-too-short", "calendar-bad-round", "calendar-bad-window", // arithmetic
	"duplicate-probe-id", "silence-unknown-service", "unknown-top-file", // what else there is
	"bad-secret-name", "unknown-reference", "empty-reference", "reference-in-service", "reference-in-key", // ${…}
	"kind-own-mistakes", // what only the kind knows
}

func TestSchemaRefusesWhatItCanTell(t *testing.T) {
	names, err := filepath.Glob("testdata/invalid/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	refused, schemas := 0, map[string]*jsonschema.Schema{}
	for _, of := range definition.Schemas() {
		schemas[of] = compileSchema(t, of, fakeKinds)
	}
	for _, name := range names {
		short := strings.TrimSuffix(filepath.Base(name), ".yaml")
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		path := "services/x.yaml"
		if first, _, _ := strings.Cut(string(data), "\n"); strings.HasPrefix(first, "# path: ") {
			path = strings.TrimPrefix(first, "# path: ")
		}
		v, ok := value(t, data)
		if !ok || !slices.Contains(definition.Schemas(), schemaOf(path)) {
			continue // an editor says so itself, or has no schema for it
		}
		err = schemas[schemaOf(path)].Validate(v)
		if slices.Contains(beyondSchema, short) {
			continue
		}
		require.Error(t, err, short)
		refused++
	}
	require.GreaterOrEqual(t, refused, 30)
}

func TestSchemaNamesWhatIsWrong(t *testing.T) {
	const head = "id: a\nname: 甲\nchannel: portal\nprobes:\n"
	s := compileSchema(t, "service", kinds.All())
	for name, c := range map[string]struct{ text, at string }{
		"a kind's key at another kind": {head + "  - {id: p, kind: http, every: 30s, request: \"http://a.test/\", device: desktop}\n", "/probes/0"},
		"an unknown kind":              {head + "  - {id: p, kind: htp, every: 30s}\n", "/probes/0/kind"},
		"no kind":                      {head + "  - {id: p, every: 30s}\n", "/probes/0"},
		"a number for a duration":      {head + "  - {id: p, kind: http, every: 30, request: \"http://a.test/\"}\n", "/probes/0/every"},
		"an unknown device":            {head + "  - {id: p, kind: browser, every: 1m, device: nokia, steps: [{open: \"http://a.test/\"}]}\n", "/probes/0/device"},
		"an unknown operation":         {head + "  - {id: p, kind: browser, every: 1m, steps: [{opne: \"http://a.test/\"}]}\n", "/probes/0/steps/0"},
		"a published one, no probes":   {"id: a\nname: 甲\nchannel: portal\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			v, ok := value(t, []byte(c.text))
			require.True(t, ok)
			err := s.Validate(v)
			var invalid *jsonschema.ValidationError
			require.ErrorAs(t, err, &invalid)
			require.Contains(t, places(invalid), c.at, "%v", err)
		})
	}
	for _, fine := range []string{"id: a\nname: 甲\nchannel: portal\nlife: draft\n", "id: a\nname: 甲\nchannel: portal\nlife: retired\nprobes: []\n"} {
		v, ok := value(t, []byte(fine))
		require.True(t, ok)
		require.NoError(t, s.Validate(v))
	}
}

func places(e *jsonschema.ValidationError) []string {
	at := ""
	if len(e.InstanceLocation) > 0 {
		at = "/" + strings.Join(e.InstanceLocation, "/")
	}
	out := []string{at}
	for _, c := range e.Causes {
		out = append(out, places(c)...)
	}
	return out
}

func TestSchemaSpeaksBothLanguages(t *testing.T) {
	han := regexp.MustCompile(`\p{Han}`)
	for _, of := range []string{"calendar", "routes", "silence"} {
		zh, err := definition.Schema(of, "zh", fakeKinds)
		require.NoError(t, err)
		en, err := definition.Schema(of, "en", fakeKinds)
		require.NoError(t, err)
		require.True(t, han.Match(zh), of)
		require.False(t, han.Match(en), of)
	}
}

// deaf decodes without asking for its settings.
func deaf(probes.Settings) (probes.Prober, error) { return nil, errors.New("no") }

func TestSchemaSaysWhichKindItCannotDescribe(t *testing.T) {
	into := func(v any) func(s probes.Settings) (probes.Prober, error) {
		return func(s probes.Settings) (probes.Prober, error) { return nil, s.Into(v) }
	}
	for name, c := range map[string]struct {
		kind probes.Kind
		want string
	}{
		"it asks for nothing":    {probes.Kind{Name: "k", Decode: deaf}, "kind k: want it to decode its settings into a pointer"},
		"it panics":              {probes.Kind{Name: "k"}, "kind k: asking for the type of its settings: it panicked"},
		"no struct":              {probes.Kind{Name: "k", Decode: into(new(int))}, "kind k: want settings that are a struct, got int"},
		"a key that all have":    {probes.Kind{Name: "k", Decode: into(&struct{ Every int }{})}, `kind k: its key "every" is one of all probes`},
		"choices for no key":     {probes.Kind{Name: "k", Decode: into(&struct{ A string }{}), Choices: map[string][]string{"b": {"x"}}}, `kind k: it has choices for "b", and no such key`},
		"a file that is unknown": {probes.Kind{}, `want one of any, service, calendar, routes, silence, got "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			of := "service"
			if c.kind.Name == "" {
				of = "x"
			}
			_, err := definition.Schema(of, "zh", []probes.Kind{c.kind})
			require.ErrorContains(t, err, c.want)
		})
	}
}

// shapes has a field of every sort that settings may have.
type shapes struct {
	Word    word           `yaml:"word"`
	Either  either         `yaml:"either"`
	Tree    *tree          `yaml:"tree"`
	Small   int8           `yaml:"small"`
	Byte    uint8          `yaml:"byte"`
	Any     any            `yaml:"any"`
	Hidden  string         `yaml:"-"`
	Level   level          `yaml:"level"`
	Map     map[string]int `yaml:"map"`
	Own     own            `yaml:"own"`
	inline  `yaml:",inline"`
	Inlined inline `yaml:",inline"`
	unseen  int
}

type (
	word   string
	inline struct {
		Deep string `yaml:"deep"`
	}
	tree struct {
		Below []tree `yaml:"below"`
	}
	level struct{ n int }
	own   struct{}
	// either is a text or a map.
	either struct {
		Text string
		Size int `yaml:"size"`
	}
)

func (l *level) UnmarshalText(b []byte) error { l.n = len(b); return nil }

func (own) JSONSchema() map[string]any { return map[string]any{"const": 7} }

func (e *either) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&e.Text) == nil {
		return nil
	}
	type plain either
	return unmarshal((*plain)(e))
}

func TestSchemaOfEverySortOfSetting(t *testing.T) {
	kind := probes.Kind{Name: "k", Doc: "for tests", Choices: map[string][]string{"word": {"a", "b"}}, Decode: func(s probes.Settings) (probes.Prober, error) {
		var v shapes
		if err := s.Into(&v); err != nil {
			return nil, err
		}
		_ = v.unseen
		return fake{}, nil
	}}
	s := compileSchema(t, "service", []probes.Kind{kind})
	for text, fine := range map[string]bool{
		"word: a": true, "word: c": false, "word: 1": false,
		"either: x": true, "either: {size: 1}": true, "either: {siz: 1}": false, "either: [1]": false,
		"tree: {below: [{below: []}]}": true, "tree: {below: [{belo: []}]}": false,
		"small: -128": true, "small: 128": false, "byte: 255": true, "byte: -1": false, "byte: 1.5": false,
		"any: [1, {a: b}]": true, "level: high": true, "level: 1": false,
		"map: {a: 1}": true, "map: {a: b}": false, "own: 7": true, "own: 8": false,
		"deep: x": true, "hidden: x": false, "unseen: 1": false, "inlined: x": false,
	} {
		file := "id: a\nname: 甲\nchannel: portal\nprobes:\n  - id: p\n    kind: k\n    every: 30s\n    " + text + "\n"
		v, ok := value(t, []byte(file))
		require.True(t, ok)
		_, err := definition.Compile(definition.Revision{}, []definition.File{{Path: "services/a.yaml", Data: []byte(file)}}, []probes.Kind{kind})
		if text != "own: 8" && text != "own: 7" && text != "word: c" { // what the schema says beyond the types
			require.Equal(t, fine, err == nil, "%s: Compile says %v", text, err)
		}
		require.Equal(t, fine, s.Validate(v) == nil, "%s: the schema says %v", text, s.Validate(v))
	}
}
