package hosts

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseNamesEveryBadRule(t *testing.T) {
	_, err := Parse([]string{"a.test=127.0.0.1", "b.test", "*.*.test=127.0.0.1", "c.test=nowhere"})
	require.ErrorContains(t, err, `got "b.test"`)
	require.ErrorContains(t, err, `got "*.*.test=127.0.0.1"`)
	require.ErrorContains(t, err, `got "c.test=nowhere"`)
}

func TestLookupMatchesNamesAndWildcards(t *testing.T) {
	m, err := Parse([]string{"www.a.test=127.0.2.9", "*.a.test=127.0.2.1", ""})
	require.NoError(t, err)
	for host, want := range map[string]string{"WWW.A.test.": "127.0.2.9", "x.a.test": "127.0.2.1", "x.y.a.test": "127.0.2.1", "a.test": "invalid IP", "xa.test": "invalid IP"} {
		got, _ := m.Lookup(host)
		require.Equal(t, want, got.String(), host)
	}
	require.Equal(t, "MAP www.a.test 127.0.2.9,MAP *.a.test 127.0.2.1", m.ChromiumRules())
}

func TestResolverAnswersFromTheMap(t *testing.T) {
	m, err := Parse([]string{"*.a.test=127.0.2.1"})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	addrs, err := m.Resolver().LookupHost(ctx, "mp.a.test")
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.2.1"}, addrs)
}
