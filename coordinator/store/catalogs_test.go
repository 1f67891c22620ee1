package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/coordinator/availability"
	"github.com/gengfu/gengfu/coordinator/store"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

func revision(seq uint64, at time.Time) definition.Revision {
	return definition.Revision{
		Seq: seq, Commit: fmt.Sprintf("%040x", seq), Author: "王工", Subject: "加一项", Accepted: at,
		Digest: fmt.Sprintf("%064x", seq), ServiceIDs: 2, ProbeIDs: 3,
	}
}

func due(probe string, every time.Duration, quorum int) availability.Due {
	return availability.Due{
		Key: probes.Key{Service: "shebao", Probe: probe}, Every: every, Timeout: 5 * time.Second,
		Rule: availability.Rule{Count: 2, Quorum: quorum}, Revision: "abc",
	}
}

func TestCatalogs(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, _, err := s.LatestCatalog(t.Context())
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = s.CatalogBody(t.Context(), "none")
	require.ErrorIs(t, err, store.ErrNotFound)

	first, second, back := revision(1, start), revision(2, start.Add(time.Hour)), revision(3, start.Add(2*time.Hour))
	back.Digest = first.Digest // a revert: the same files again
	require.NoError(t, s.AcceptCatalog(t.Context(), first, []byte("one"), nil))
	require.NoError(t, s.AcceptCatalog(t.Context(), second, []byte("two"), nil))
	require.NoError(t, s.AcceptCatalog(t.Context(), back, []byte("one"), nil))
	require.ErrorIs(t, s.AcceptCatalog(t.Context(), revision(2, start), []byte("two again"), nil), store.ErrInvalid, "a sequence number is given once")
	require.NoError(t, s.Close())

	s = open(t, dir)
	rev, body, err := s.LatestCatalog(t.Context())
	require.NoError(t, err)
	require.Equal(t, back, rev)
	require.Equal(t, "one", string(body))
	body, err = s.CatalogBody(t.Context(), second.Digest)
	require.NoError(t, err)
	require.Equal(t, "two", string(body))
}

func TestWhatWasEverKnown(t *testing.T) {
	s := open(t, t.TempDir())
	first, again := revision(1, start), revision(2, start.Add(time.Hour))
	again.Commit = first.Commit // with another folder
	require.NoError(t, s.AcceptCatalog(t.Context(), first, []byte("one"), []availability.Due{due("page", time.Minute, 2)}))
	require.NoError(t, s.AcceptCatalog(t.Context(), again, []byte("two"), nil))
	bodies, err := s.CatalogsOf(t.Context(), first.Commit)
	require.NoError(t, err)
	require.ElementsMatch(t, [][]byte{[]byte("one"), []byte("two")}, bodies)
	bodies, err = s.CatalogsOf(t.Context(), "none")
	require.NoError(t, err)
	require.Empty(t, bodies)
	for probe, want := range map[string]bool{"page": true, "other": false} {
		got, err := s.EverDue(t.Context(), probes.Key{Service: "shebao", Probe: probe})
		require.NoError(t, err)
		require.Equal(t, want, got, probe)
	}
}

func TestLedgerOfWhatWasDue(t *testing.T) {
	s := open(t, t.TempDir())
	accept := func(seq uint64, at time.Time, list ...availability.Due) {
		t.Helper()
		require.NoError(t, s.AcceptCatalog(t.Context(), revision(seq, at), nil, list))
	}
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Hour) }
	accept(1, at(0), due("page", time.Minute, 2), due("api", time.Minute, 2), due("gone", time.Minute, 2))
	unchanged := due("page", time.Minute, 2)
	unchanged.Revision = "def" // a commit about something else
	accept(2, at(1), unchanged, due("api", time.Minute, 1))
	accept(3, at(2), due("page", time.Minute, 2), due("api", 5*time.Minute, 1), due("gone", time.Minute, 2))

	line := func(from, to time.Time) (out []string) {
		t.Helper()
		list, err := s.Due(t.Context(), from, to)
		require.NoError(t, err)
		for _, d := range list {
			end := "still"
			if !d.Span.To.IsZero() {
				end = fmt.Sprint(d.Span.To.Sub(start).Hours())
			}
			out = append(out, fmt.Sprintf("%s %v-%s %v %d", d.Key.Probe, d.Span.From.Sub(start).Hours(), end, d.Every, d.Rule.Quorum))
		}
		return out
	}
	require.Equal(t, []string{
		"api 0-1 1m0s 2", "api 1-2 1m0s 1", "api 2-still 5m0s 1",
		"gone 0-1 1m0s 2", "gone 2-still 1m0s 2",
		"page 0-still 1m0s 2",
	}, line(at(-9), at(9)))
	require.Equal(t, []string{"api 1-2 1m0s 1", "page 0-still 1m0s 2"}, line(at(1), at(2)), "an end is not part of a span")
	require.Empty(t, line(at(-2), at(0)))

	// Two revisions at one instant, and a clock that went back: no row of no length stays.
	accept(4, at(2), due("api", time.Minute, 2))
	accept(5, at(1), due("page", time.Second, 2))
	require.Equal(t, []string{"page 1-still 1s 2"}, line(at(5), at(6)))
	list, err := s.Due(t.Context(), at(-9), at(9))
	require.NoError(t, err)
	for _, d := range list {
		require.True(t, d.Span.To.IsZero() || d.Span.From.Before(d.Span.To), "%v", d)
	}
}

func TestRefusals(t *testing.T) {
	s := open(t, t.TempDir())
	_, err := s.LatestRefusal(t.Context())
	require.ErrorIs(t, err, store.ErrNotFound)
	refuse := func(commit string, at time.Time, mistakes ...string) {
		t.Helper()
		require.NoError(t, s.RefuseCatalog(t.Context(), commit, "王工", "改", at, mistakes))
	}
	refuse("aaa", start, "services/a.yaml:1:1: no")
	refuse("bbb", start.Add(time.Minute), "services/b.yaml:1:1: no", "and no")
	got, err := s.LatestRefusal(t.Context())
	require.NoError(t, err)
	require.Equal(t, store.Refusal{
		Commit: "bbb", Author: "王工", Subject: "改", At: start.Add(time.Minute), Mistakes: []string{"services/b.yaml:1:1: no", "and no"},
	}, got)

	require.NoError(t, s.AcceptCatalog(t.Context(), revision(1, start.Add(time.Hour)), nil, nil))
	_, err = s.LatestRefusal(t.Context())
	require.ErrorIs(t, err, store.ErrNotFound, "a good commit followed")
	refuse("aaa", start.Add(2*time.Hour), "pushed again")
	got, err = s.LatestRefusal(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"pushed again"}, got.Mistakes)
}
