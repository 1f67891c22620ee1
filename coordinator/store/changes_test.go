package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/store"
	"github.com/gengfu/gengfu/probes"
)

func TestSlotsChanged(t *testing.T) {
	s := open(t, t.TempDir())
	hour := start.Truncate(time.Hour)
	judge := func(at time.Time, err error) {
		t.Helper()
		got := s.Update(t.Context(), func(tx *store.Tx) error {
			require.NoError(t, tx.PutSlot(t.Context(), availability.Slot{Key: key, Start: at, Every: time.Minute, Verdict: probes.Up, Reason: availability.ReasonPending}))
			return err
		})
		require.ErrorIs(t, got, err)
	}
	ask := func(hours int) uint64 {
		from := hour.Add(time.Duration(hours) * time.Hour)
		return s.SlotsChanged(from, from.Add(time.Hour))
	}
	require.Zero(t, ask(0))
	judge(hour.Add(59*time.Minute), nil)
	first := ask(0)
	require.NotZero(t, first)
	require.Zero(t, ask(1))
	require.Zero(t, ask(-1), "the hour's own beginning is not the one's before")
	judge(hour.Add(2*time.Hour), nil)
	require.Equal(t, first, ask(0), "another hour's slot is no change")
	require.Greater(t, s.SlotsChanged(hour, hour.Add(2*time.Hour+time.Nanosecond)), first)
	judge(hour.Add(59*time.Minute), nil)
	require.Greater(t, ask(0), first, "judged anew")
	before := ask(5)
	judge(hour.Add(5*time.Hour), errors.ErrUnsupported)
	require.Greater(t, ask(5), before, "what failed may have been written")
	judge(time.Unix(-1, 0), nil)
	require.NotZero(t, s.SlotsChanged(time.Unix(-3600, 0), time.Unix(0, 0)))
	require.Zero(t, s.SlotsChanged(time.Unix(0, 0), time.Unix(3600, 0)))
}
