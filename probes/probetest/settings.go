// Package probetest holds what every kind of probe must pass, and what its
// tests need: settings from a piece of YAML, a recorder, a name server, an Env.
package probetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
)

// Settings makes settings from the kind's part of a definition, decoded
// strictly. Its mistakes begin with the key in place of a position.
func Settings(source string) probes.Settings { return settings(source) }

// Decode makes a prober, and ends the test when the definition has a mistake.
func Decode(t testing.TB, kind probes.Kind, source string) probes.Prober {
	t.Helper()
	p, err := kind.Decode(Settings(source))
	require.NoError(t, err)
	return p
}

type settings string

func (s settings) Into(v any) error {
	if err := yaml.UnmarshalWithOptions([]byte(s), v, yaml.Strict()); err != nil {
		return fmt.Errorf("decoding the settings: %w", err)
	}
	return nil
}

func (s settings) Errorf(key, format string, args ...any) error {
	return fmt.Errorf("%s: %w", key, fmt.Errorf(format, args...))
}

func (s settings) Timeout() time.Duration { return 30 * time.Second }
