package store

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHotQueriesUseTheirKeys asks SQLite how it would run what is asked often:
// each must cost what it returns, not what is stored.
func TestHotQueriesUseTheirKeys(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir()})
	require.NoError(t, err)
	defer s.Close()
	for name, c := range map[string]struct{ query, want string }{
		"votes":    {votesQuery, "SEARCH results USING PRIMARY KEY (probe=? AND slot=?)"},
		"touched":  {touchedQuery, "SCAN dirty_slots USING COVERING INDEX dirty_slots_start"},
		"runs":     {runsQuery, "SEARCH r USING COVERING INDEX results_started (probe=? AND started>? AND started<?)"},
		"older":    {runsBeforeQuery, "SEARCH r USING COVERING INDEX results_started (probe=? AND started>? AND started<?)"},
		"lastGood": {lastGoodQuery, "INDEX results_good (probe=? AND started<?)"},
		"latest":   {latestQuery, "SEARCH s USING PRIMARY KEY (probe=? AND start=?)"},
		"slots":    {slotsQuery, "SEARCH s USING PRIMARY KEY (probe=? AND start>? AND start<?)"},
		"verdicts": {verdictsQuery, "SEARCH s USING PRIMARY KEY (probe=? AND start>? AND start<?)"},
		"claim":    {claimQuery, "INDEX deliveries_pending (next_attempt<?)"},
		"open":     {openQuery, "INDEX incidents_open"},
		"agents":   {agentRunsQuery, "SEARCH m USING PRIMARY KEY (agent=? AND minute>?)"},
	} {
		args := make([]any, strings.Count(c.query, "?"))
		rows, err := s.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+c.query, args...)
		require.NoError(t, err, name)
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
			plan = append(plan, detail)
		}
		require.NoError(t, rows.Err())
		require.NoError(t, rows.Close())
		require.Contains(t, strings.Join(plan, "; "), c.want, name)
	}
}
