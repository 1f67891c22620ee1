// Package examples_test holds the example definitions to what the programs take.
package examples_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/kinds"
)

func load(t *testing.T) *definition.Catalog {
	t.Helper()
	files, err := definition.ReadDir(".")
	require.NoError(t, err)
	c, err := definition.Compile(definition.Revision{}, files, kinds.All())
	require.NoError(t, err)
	return c
}

func TestExamplesCompile(t *testing.T) {
	c := load(t)
	require.Len(t, c.Services, 31)
	require.Equal(t, []time.Duration{9 * time.Hour, 14 * time.Hour, 17 * time.Hour}, c.Calendar.Rounds)
	require.Len(t, c.Routes, 1)

	browsers, channels := 0, map[probes.Channel]int{}
	for _, s := range c.Services {
		channels[s.Channel]++
		file, _, _ := strings.Cut(s.Source, ":")
		require.Equal(t, "services/"+string(s.Channel)+"/"+s.ID+".yaml", file, "a service's file is named after it")
		require.NotEmpty(t, s.Probes, s.ID)
		if s.ID == "wx-07" {
			require.Equal(t, probes.LifeDraft, s.Life)
		} else {
			require.Equal(t, probes.LifePublished, s.Life, s.ID)
		}
		for _, p := range s.Probes {
			require.Equal(t, "site", p.From.Spread, p.Key)
			require.Equal(t, 2, p.Quorum, "a failure of %s needs a second site", p.Key)
			if p.Kind == "browser" {
				browsers++
			}
		}
	}
	require.Equal(t, 8, browsers)
	require.Len(t, channels, len(probes.Channels()))
}
