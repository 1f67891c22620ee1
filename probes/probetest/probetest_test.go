package probetest_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/probetest"
)

func TestResolverKnowsItsNamesAlone(t *testing.T) {
	r := probetest.Resolver(t, map[string]netip.Addr{"a.test": netip.MustParseAddr("127.0.0.9")})
	addrs, err := r.LookupNetIP(t.Context(), "ip", "a.test")
	require.NoError(t, err)
	require.Equal(t, "127.0.0.9", addrs[0].Unmap().String())
	_, err = r.LookupNetIP(t.Context(), "ip", "b.test")
	require.Equal(t, probes.ClassDNS, probes.Classify(err))
}

func TestRecorderNestsSpans(t *testing.T) {
	var r probetest.Recorder
	broken := errors.New("broken")
	err := r.Step(t.Context(), "request", func(ctx context.Context) error {
		r.Phase(ctx, probes.Phase{Name: "dns", Attrs: []probes.Attr{{Key: "k", Value: "in phase"}}})
		r.Annotate(ctx, probes.Attr{Key: "k", Value: "in step"})
		return broken
	})
	require.Equal(t, broken, err)
	require.Equal(t, []string{"request", "request/dns"}, r.Names())
	require.Equal(t, "in step", r.Spans()[0].Attrs["k"])
	require.Contains(t, r.Text(), "in phase")
	require.Contains(t, r.Text(), "broken")
}
