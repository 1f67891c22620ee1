package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
)

// TestAFullDiskLosesNothing lets SQLite run out of pages, as it would out of a
// disk's blocks, and gives it room again.
func TestAFullDiskLosesNothing(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir()})
	require.NoError(t, err)
	defer s.Close()
	trace := func(id string, size int) []probes.Trace {
		noise := make([]byte, size)
		x := uint32(len(id))
		for i := range noise { // nothing that compresses
			x = x*1664525 + 1013904223
			noise[i] = byte(x >> 24)
		}
		return []probes.Trace{{OTLP: noise, Run: probes.Run{
			Key: probes.Key{Service: "a", Probe: "b"}, Slot: time.Unix(60, 0), Every: time.Minute, TraceID: id, Started: time.Unix(61, 0),
		}}}
	}
	const first, second = "00000000000000000000000000000001", "00000000000000000000000000000002"
	_, err = s.Ingest(t.Context(), trace(first, 10))
	require.NoError(t, err)

	limit := func(pages int) {
		t.Helper()
		_, err := s.write.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages))
		require.NoError(t, err)
	}
	limit(1) // SQLite takes what is in use already as the least
	_, err = s.Ingest(t.Context(), trace(second, 1<<20))
	require.ErrorIs(t, err, ErrDiskFull)
	require.ErrorContains(t, err, "storing results: the disk is full: free space under "+s.dir)
	_, err = s.Run(t.Context(), first)
	require.NoError(t, err, "what was acknowledged is still there")
	_, err = s.Run(t.Context(), second)
	require.ErrorIs(t, err, ErrNotFound)

	limit(1_000_000)
	fresh, err := s.Ingest(t.Context(), trace(second, 1<<20))
	require.NoError(t, err)
	require.Equal(t, 1, fresh)
}
