package kinds_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/kinds"
)

// TestSchemaCoversEveryKind: its keys, each with what it means.
func TestSchemaCoversEveryKind(t *testing.T) {
	text, err := definition.Schema("service", "en", kinds.All())
	require.NoError(t, err)
	var doc struct {
		Defs map[string]map[string]any `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal(text, &doc))
	for _, k := range kinds.All() {
		def := doc.Defs["kind."+k.Name]
		require.NotNil(t, def, k.Name)
		require.Greater(t, len(def["properties"].(map[string]any)), 7, "%s has no keys of its own", k.Name)
		if _, expects := def["properties"].(map[string]any)["expect"]; expects {
			if doc.Defs[k.Name+".expression"] == nil {
				t.Errorf("kind %s takes expectations: add Fields: Fields to its Kind", k.Name)
			}
		}
	}
	for name, def := range doc.Defs {
		described(t, name, def)
	}
}

// described fails for a key without a description.
func described(t *testing.T, path string, v any) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for _, part := range v {
			described(t, path, part)
		}
	case map[string]any:
		if properties, ok := v["properties"].(map[string]any); ok && v["type"] == "object" {
			for key, p := range properties {
				to, _ := p.(map[string]any)["$ref"].(string)
				if p.(map[string]any)["description"] == nil && !strings.HasPrefix(to, "#/$defs/probe/") {
					t.Errorf("%s.%s has no description: add a tag such as doc:\"…\" to its field", path, key)
				}
				described(t, path+"."+key, p)
			}
		}
		for key, part := range v {
			if key != "properties" {
				described(t, path, part)
			}
		}
	}
}
