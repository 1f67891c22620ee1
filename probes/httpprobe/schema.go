package httpprobe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/gengfu/gengfu/probes"
)

// maxBroken bounds the findings of one reply that does not follow its schema.
const maxBroken = 5

// schema compiles a JSON Schema that stands in the definition.
func (c *checker) schema(key string, doc any) *jsonschema.Schema {
	if doc == nil {
		return nil
	}
	schema, err := compileSchema(doc)
	if err != nil {
		c.mistake(key, "want a JSON Schema: %s", strings.ReplaceAll(err.Error(), schemaURL, ""))
	}
	return schema
}

// schemaURL is where the definition's schema is said to be.
const schemaURL = "gengfu:schema"

func compileSchema(doc any) (schema *jsonschema.Schema, err error) {
	// A definition must never take a coordinator down.
	defer func() {
		if r := recover(); r != nil {
			schema, err = nil, fmt.Errorf("it cannot be compiled: %v", r)
		}
	}()
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("encoding it: %w", err)
	}
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("decoding it: %w", err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(nowhere{})
	compiler.AssertFormat()
	if err := compiler.AddResource(schemaURL, plain); err != nil {
		return nil, err
	}
	return compiler.Compile(schemaURL)
}

// nowhere loads no schema: what a definition means does not depend on other
// hosts or files.
type nowhere struct{}

func (nowhere) Load(url string) (any, error) {
	return nil, fmt.Errorf("$ref %s: want a schema inside the definition; write it below $defs", url)
}

// follows adds a finding for each place at which the JSON does not follow its
// schema.
func follows(res *probes.Result, schema *jsonschema.Schema, v any) {
	err := schema.Validate(v)
	var broken *jsonschema.ValidationError
	if err == nil {
		return
	}
	if !errors.As(err, &broken) {
		res.Fail(probes.Finding{Class: probes.ClassContent, Phrase: probes.PhraseSchema, Want: "/", Got: probes.Excerpt(err.Error())})
		return
	}
	printer := message.NewPrinter(language.English)
	for i, leaf := range leaves(broken) {
		if i == maxBroken {
			return
		}
		res.Fail(probes.Finding{
			Class: probes.ClassContent, Phrase: probes.PhraseSchema,
			Want: probes.Excerpt("/" + strings.Join(leaf.InstanceLocation, "/") + " " + strings.Join(leaf.ErrorKind.KeywordPath(), "/")),
			Got:  probes.Excerpt(leaf.ErrorKind.LocalizedString(printer)),
		})
	}
}

// leaves are the errors that have no further cause, at most a few.
func leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	var out []*jsonschema.ValidationError
	for _, cause := range e.Causes {
		if out = append(out, leaves(cause)...); len(out) > maxBroken {
			break
		}
	}
	return out
}
