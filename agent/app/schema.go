package app

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/kinds"
)

const schemaUsage = `[FILE] [flags]

Prints the JSON Schema (draft 2020-12) of definitions, for editors: of all their
files, told apart by their keys, or of the one FILE named: service, calendar,
routes or silence.

`

// Schema runs "agent schema" and returns the exit code.
func Schema(args []string, stdout, stderr io.Writer) int {
	c := newCommand("schema", schemaUsage, stdout, stderr)
	lang := c.flags.String("lang", "zh", "`language` of the descriptions where there is one: zh or en")
	words, code, ok := c.words(args)
	if !ok {
		return code
	}
	of := definition.SchemaAny
	switch {
	case len(words) > 1:
		return c.wrong("want one file's name, got %d", len(words))
	case len(words) == 1:
		of = words[0]
	}
	switch {
	case !slices.Contains(definition.Schemas(), of):
		return c.wrong("want one of %s, got %q", strings.Join(definition.Schemas(), ", "), of)
	case *lang != "zh" && *lang != "en":
		return c.wrong("-lang: want zh or en, got %q", *lang)
	}
	schema, err := definition.Schema(of, *lang, kinds.All())
	if err == nil {
		_, err = fmt.Fprintf(stdout, "%s\n", schema)
	}
	if err != nil {
		return c.failed(exitFailed, err)
	}
	return 0
}
