package app

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/coordinator/calendar"
	"github.com/gengfu/gengfu/coordinator/record"
	"github.com/gengfu/gengfu/coordinator/store"
	"github.com/gengfu/gengfu/coordinator/view"
	"github.com/gengfu/gengfu/coordinator/view/viewtest"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// plain is what the list has to say: every day's whole sheet, counted.
func plain(t testing.TB, r *records) (out []view.Record) {
	t.Helper()
	today, _ := calendar.Day(r.now())
	for k := range listed {
		day := today.AddDate(0, 0, -k)
		to := day.AddDate(0, 0, 1)
		if to.After(r.now()) {
			to = r.now()
		}
		due, err := r.store.Due(t.Context(), day, to)
		require.NoError(t, err)
		if len(due) == 0 {
			continue
		}
		row := view.Record{Kind: "daily", Day: day.Format("2006-01-02"), Title: record.Daily.Title}
		sheet, err := r.Sheet(t.Context(), row.Kind, row.Day)
		require.NoError(t, err)
		for _, table := range sheet.Tables {
			row.Rows += len(table.Rows)
			for _, cells := range table.Rows {
				for _, c := range cells {
					if c.Text == record.ToFill {
						row.ToFill++
					}
				}
			}
		}
		fills, err := r.store.Filled(t.Context(), row.Kind, row.Day)
		require.NoError(t, err)
		for _, f := range fills {
			if f.At.After(row.Updated) {
				row.Updated = f.At
			}
		}
		out = append(out, row)
	}
	return out
}

func recordsOf(b *viewtest.Bureau) *records {
	return &records{store: b.Store, catalog: func() *definition.Catalog { return b.Catalog }, now: func() time.Time { return b.Now }}
}

// Whatever happens, in whatever order, the list says what the sheets say.
func TestListSaysWhatTheSheetsSay(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	b := viewtest.New(t, viewtest.Service("a", probes.ChannelPortal, "p", "q"), viewtest.Service("b", probes.ChannelWechat, "p"))
	r := recordsOf(b)
	verdicts := probes.Verdicts()
	rounds := []time.Duration{9 * time.Hour, 14 * time.Hour, 17 * time.Hour}
	round := func() time.Time { // of today or of the days before
		today, _ := calendar.Day(b.Now)
		return today.AddDate(0, 0, -dice.IntN(3)).Add(rounds[dice.IntN(3)])
	}
	kept := 0
	for step := range 120 {
		before := fmt.Sprint(r.counts)
		switch dice.IntN(8) {
		case 0: // a slot near a round, or judged anew, in time or late
			s := viewtest.Slot(probes.Key{Service: []string{"a", "b"}[dice.IntN(2)], Probe: []string{"p", "q"}[dice.IntN(2)]},
				round().Add(time.Duration(dice.IntN(40)-20)*time.Minute), verdicts[dice.IntN(len(verdicts))])
			b.Put(s)
		case 1: // one of a longer interval than any that is due now
			s := viewtest.Slot(probes.Key{Service: "b", Probe: "p"}, round().Add(-time.Duration(dice.IntN(24))*time.Hour), probes.Down)
			s.Every = 24 * time.Hour
			b.Put(s)
		case 2: // a person writes, or clears
			at := round()
			require.NoError(t, b.Store.FillCell(t.Context(), store.Fill{
				Kind: "daily", Day: at.In(calendar.Zone).Format("2006-01-02"), Row: "a@" + at.In(calendar.Zone).Format("15:04"),
				Field: []string{"watcher", "handler", "reviewer"}[dice.IntN(3)], Value: []string{"王敏", ""}[dice.IntN(2)], By: "王敏", At: b.Now,
			}))
		case 3:
			b.Now = b.Now.Add(time.Duration(dice.IntN(300)) * time.Minute)
		case 4: // other services, as of now
			services := []probes.Service{viewtest.Service("a", probes.ChannelPortal, "p", "q"), viewtest.Service("b", probes.ChannelWechat, "p"), viewtest.Service("c", probes.ChannelApp, "p")}
			b.Now = b.Now.Add(time.Second)
			b.Define(services[dice.IntN(3):]...)
		case 5: // the same services, other rounds or maintenance
			c := *b.Catalog
			c.Calendar.Rounds = rounds[:1+dice.IntN(3)]
			at := round()
			c.Calendar.Maintenance = []definition.Maintenance{{From: at.Add(-time.Hour), To: at.Add(time.Hour), Reason: "升级"}}
			b.Catalog = &c
		default: // nothing
		}
		list, err := r.List(t.Context())
		require.NoError(t, err)
		require.Equal(t, plain(t, r), list, "after step %d", step)
		if fmt.Sprint(r.counts) == before {
			kept++
		}
	}
	require.Greater(t, kept, 20, "what did not change is not counted again")
}

// A slot of one day leaves the counts of the others alone.
func TestListCountsOnlyWhatChanged(t *testing.T) {
	b := viewtest.New(t, viewtest.Service("a", probes.ChannelPortal, "p"))
	b.Now = b.Now.AddDate(0, 0, 3)
	r := recordsOf(b)
	_, err := r.List(t.Context())
	require.NoError(t, err)
	require.Len(t, r.counts, 5)
	slots := map[string]uint64{}
	for day, n := range r.counts {
		slots[day] = n.basis.slots
	}
	today, _ := calendar.Day(b.Now)
	b.Put(viewtest.Slot(probes.Key{Service: "a", Probe: "p"}, today.AddDate(0, 0, -1).Add(17*time.Hour), probes.Down))
	b.Put(viewtest.Slot(probes.Key{Service: "a", Probe: "p"}, today.AddDate(0, 0, -2).Add(20*time.Hour), probes.Down))
	_, err = r.List(t.Context())
	require.NoError(t, err)
	var changed []string
	for day, n := range r.counts {
		if n.basis.slots != slots[day] {
			changed = append(changed, day)
		}
	}
	slices.Sort(changed)
	require.Equal(t, []string{"2026-11-27", "2026-11-28"}, changed, "that of the 28th may have been one of a day's length")
}

// BenchmarkList shows 500 services on 31 days, with a slot an hour: "sheets"
// composes every sheet, "first" counts every day, "again" finds all as it was,
// "live" finds a slot of the present hour judged.
func BenchmarkList(b *testing.B) {
	var services []probes.Service
	for n := range 500 {
		s := viewtest.Service(fmt.Sprintf("s-%03d", n), probes.ChannelPortal, "p")
		s.Probes[0].Every = time.Hour
		services = append(services, s)
	}
	bureau := viewtest.New(b)
	bureau.Now = viewtest.Noon.AddDate(0, 0, -listed)
	bureau.Define(services...)
	bureau.Now = viewtest.Noon
	for k := range listed {
		from := viewtest.Noon.AddDate(0, 0, -k)
		require.NoError(b, bureau.Store.Update(b.Context(), func(tx *store.Tx) error {
			for _, s := range services {
				for hour := range 24 {
					slot := viewtest.Slot(s.Probes[0].Key, from.Add(-time.Duration(hour)*time.Hour), probes.Up)
					slot.Every = time.Hour
					if err := tx.PutSlot(b.Context(), slot); err != nil {
						return err
					}
				}
			}
			return nil
		}))
	}
	r := recordsOf(bureau)
	list := func(b *testing.B, r *records) {
		got, err := r.List(b.Context())
		require.NoError(b, err)
		require.Len(b, got, listed)
		require.Equal(b, 1500, got[0].Rows)
	}
	b.Run("sheets", func(b *testing.B) {
		for b.Loop() {
			require.Len(b, plain(b, r), listed)
		}
	})
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			list(b, recordsOf(bureau))
		}
	})
	b.Run("again", func(b *testing.B) {
		list(b, r)
		for b.Loop() {
			list(b, r)
		}
	})
	b.Run("live", func(b *testing.B) {
		for b.Loop() {
			bureau.Put(viewtest.Slot(services[0].Probes[0].Key, bureau.Now, probes.Up))
			list(b, r)
		}
	})
}
