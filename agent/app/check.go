package app

import (
	"errors"
	"fmt"
	"io"

	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/kinds"
)

// Check validates a folder of definitions and prints every mistake as
// file:line:column: text. It returns the exit code: 0 without mistakes, else 1.
func Check(dir string, stdout, stderr io.Writer) int {
	c, err := load(dir)
	var mistakes definition.Mistakes
	switch {
	case errors.As(err, &mistakes):
		for _, m := range mistakes {
			fmt.Fprintln(stderr, m.Error())
		}
		fmt.Fprintf(stderr, "%d mistakes\n", len(mistakes))
		return 1
	case err != nil:
		fmt.Fprintln(stderr, "agent check:", err)
		return 1
	}
	fmt.Fprintf(stdout, "ok: %d services, %d probes\n", len(c.Services), len(c.Probes()))
	return 0
}

func load(dir string) (*definition.Catalog, error) {
	files, err := definition.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the definitions: %w", err)
	}
	c, err := definition.Compile(definition.Revision{}, files, kinds.All())
	if err != nil {
		return nil, fmt.Errorf("checking the definitions: %w", err)
	}
	return c, nil
}
