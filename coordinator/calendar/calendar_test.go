package calendar_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/coordinator/calendar"
)

func TestDayIsShanghaisWhateverTheZone(t *testing.T) {
	for _, c := range []struct{ at, from string }{
		{"2026-11-25T15:59:59.999999999Z", "2026-11-24T16:00:00Z"}, // a moment before midnight there
		{"2026-11-25T16:00:00Z", "2026-11-25T16:00:00Z"},
		{"2026-11-25T23:30:00-05:00", "2026-11-25T16:00:00Z"},
		{"2026-12-31T20:00:00Z", "2026-12-31T16:00:00Z"}, // the new year has begun there
	} {
		at, err := time.Parse(time.RFC3339Nano, c.at)
		require.NoError(t, err)
		from, to := calendar.Day(at)
		require.Equal(t, c.from, from.UTC().Format(time.RFC3339), c.at)
		require.Equal(t, 24*time.Hour, to.Sub(from))
	}
}

func TestParseDay(t *testing.T) {
	from, to, err := calendar.ParseDay("2026-02-28")
	require.NoError(t, err)
	require.Equal(t, "2026-02-28T00:00:00+08:00", from.Format(time.RFC3339))
	require.Equal(t, "2026-03-01T00:00:00+08:00", to.Format(time.RFC3339))
	for _, bad := range []string{"", "2026-02-30", "26-02-28", "2026-2-8", "2026-02-28T00:00:00Z"} {
		_, _, err := calendar.ParseDay(bad)
		require.ErrorContains(t, err, "want a date like 2026-11-25", bad)
	}
}
