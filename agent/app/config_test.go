package app

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMistakesInSettingsAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // "" when there is none
	}{
		"as it should be": {func(c *Config) {
			c.Join = []string{"a.example.test:7946", "[::1]:7946"}
			c.Check = []string{"10.0.0.1:53"}
		}, ""},
		"an empty site":             {func(c *Config) { c.Site = "" }, "AGENT_SITE is empty"},
		"a blank site":              {func(c *Config) { c.Site = " \t" }, "AGENT_SITE is empty"},
		"an unknown profile":        {func(c *Config) { c.GossipProfile = "moon" }, `AGENT_GOSSIP_PROFILE: want one of lan, wan, local, got "moon"`},
		"an empty profile":          {func(c *Config) { c.GossipProfile = "" }, `AGENT_GOSSIP_PROFILE: want one of lan, wan, local, got ""`},
		"a target without port":     {func(c *Config) { c.Check = []string{"10.0.0.1:53", "10.0.0.2"} }, `AGENT_REFERENCE_TARGETS: want HOST:PORT separated by commas, e.g. host.example.test:7946, got "10.0.0.2"`},
		"a target that is a URL":    {func(c *Config) { c.Check = []string{"https://example.test/"} }, `AGENT_REFERENCE_TARGETS: want HOST:PORT`},
		"a target with empty port":  {func(c *Config) { c.Check = []string{"example.test:"} }, `got "example.test:"`},
		"a target with port 0":      {func(c *Config) { c.Check = []string{"example.test:0"} }, `got "example.test:0"`},
		"a target with a huge port": {func(c *Config) { c.Check = []string{"example.test:70000"} }, `got "example.test:70000"`},
		"a target without host":     {func(c *Config) { c.Check = []string{":53"} }, `AGENT_REFERENCE_TARGETS: want HOST:PORT`},
		"a seed without port":       {func(c *Config) { c.Join = []string{"a.example.test"} }, `AGENT_JOIN: want HOST:PORT separated by commas, e.g. host.example.test:7946, got "a.example.test"`},
		"an empty seed":             {func(c *Config) { c.Join = []string{"a.example.test:1", ""} }, `AGENT_JOIN: want HOST:PORT`},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{
				Name: "a", Site: "north", Weight: 1, MaxRuns: 64, GossipProfile: "lan",
				ClusterKey: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
			}
			c.change(&cfg)
			_, _, err := cfg.ready()
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}
