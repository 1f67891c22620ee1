package app

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/agent/ownership"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

func TestTooFewSitesAreToldOnceAChange(t *testing.T) {
	probe := func(name string, quorum int) probes.Probe {
		return probes.Probe{Key: probes.Key{Service: "s", Probe: name}, Quorum: quorum, From: probes.Placement{Count: 9}}
	}
	gone := probes.Service{ID: "gone", Life: probes.LifeRetired, Probes: []probes.Probe{probe("gone", 9)}}
	catalog := &definition.Catalog{Services: []probes.Service{
		{ID: "s", Life: probes.LifePublished, Probes: []probes.Probe{probe("one", 1), probe("two", 2), probe("two-more", 2)}}, gone,
	}}
	fleet := func(sites ...string) (members []ownership.Member) {
		for i, site := range sites {
			members = append(members, ownership.Member{Name: string(rune('a' + i)), Labels: map[string]string{"site": site}})
		}
		return members
	}
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	var last voices
	said := func(c *definition.Catalog, members []ownership.Member) string {
		out.Reset()
		last = countVoices("a", c, members).tell(last, log)
		return out.String()
	}
	require.Empty(t, said(nil, fleet("n")), "no catalog yet")
	line := said(catalog, fleet("n", "n"))
	require.Contains(t, line, "level=WARN")
	require.Contains(t, line, "lacking=2 owned=3 example=s/two sites=1 quorum=2")
	require.Empty(t, said(catalog, fleet("n", "n")), "said already")
	require.Empty(t, said(catalog, fleet("n", "n", "n")), "nothing changed for it")
	more := &definition.Catalog{Services: append(catalog.Services, probes.Service{ID: "t", Probes: []probes.Probe{probe("one", 1)}})}
	require.Empty(t, said(more, fleet("n")), "one more that lacks nothing")
	require.Contains(t, said(catalog, fleet("n", "s")), "level=INFO")
	require.Empty(t, said(catalog, fleet("n", "s", "e")))
	require.Contains(t, said(catalog, fleet("n")), "level=WARN")
	// What others own is theirs to tell.
	for i := range catalog.Services[0].Probes {
		catalog.Services[0].Probes[i].From.Match = map[string]string{"site": "s"}
	}
	require.Zero(t, countVoices("a", catalog, fleet("n", "s")))
}
