package catalog_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/coordinator/catalog"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

func runOf(service, commit string) probes.Run {
	return probes.Run{Key: probes.Key{Service: service, Probe: "p"}, Revision: commit, Trigger: probes.TriggerSlot}
}

// TestNothingHonestIsStrange goes through what an agent may have measured while
// definitions come and go.
func TestNothingHonestIsStrange(t *testing.T) {
	r := newRepository(t)
	r.write("services/a.yaml", service("a"))
	r.write("services/gone.yaml", service("gone"))
	r.write("services/draft.yaml", service("draft", "life: draft\n"))
	first := r.commit("x")
	store, fleet := &memory{}, definition.NewNewest()
	dir := t.TempDir()
	f := follow(t, store, catalog.Options{URL: r.dir, Dir: dir, Heard: fleet.Current})
	f.untilCommit(first)
	r.git("rm", "--quiet", "services/gone.yaml", "services/draft.yaml")
	second := r.commit("y")
	f.untilCommit(second)
	ours := f.State().Revision
	fleet.Set(definition.Announcement{Seq: ours.Seq, Commit: ours.Commit, Digest: ours.Digest})

	strange := func(run probes.Run) bool {
		t.Helper()
		odd, err := f.Strange(t.Context(), run)
		require.NoError(t, err)
		return odd
	}
	manual := runOf("never", second)
	manual.Trigger = probes.TriggerManual
	for name, run := range map[string]probes.Run{
		"in use":                              runOf("a", second),
		"in use, of an earlier revision":      runOf("a", first),
		"removed, under the revision with it": runOf("gone", first),
		"removed, in flight while it went":    runOf("gone", second),
		"a draft, which is in no ledger":      runOf("draft", first),
		"a revision that is not known here":   runOf("never", strings.Repeat("c", 40)),
		"a plain directory":                   runOf("never", ""),
		"on demand":                           manual,
	} {
		require.False(t, strange(run), name)
		require.False(t, strange(run), "again: %s", name)
	}
	require.True(t, strange(runOf("never", first)))
	require.True(t, strange(runOf("never", second)))
	require.True(t, strange(runOf("draft", second)), "the revision after the draft knows it no more")

	store.setFail(errors.New("disk I/O error"))
	_, err := f.Strange(t.Context(), runOf("never", second))
	require.ErrorContains(t, err, "disk I/O error", "in doubt agents keep it")
	store.setFail(nil)

	fleet.Set(definition.Announcement{Seq: ours.Seq + 5, Commit: second, Digest: strings.Repeat("f", 64)})
	require.False(t, strange(runOf("never", second)), "the fleet follows other files of the commit")
	f.stop()

	// A restart forgets nothing, and reads what it needs.
	f = follow(t, store, catalog.Options{URL: r.dir, Dir: dir})
	f.untilCommit(second)
	require.False(t, strange(runOf("draft", first)))
	require.True(t, strange(runOf("never", first)))
	store.mu.Lock()
	store.bodies[first] = [][]byte{[]byte("of another release")}
	store.mu.Unlock()
	f.stop()
	f = follow(t, store, catalog.Options{URL: r.dir, Dir: dir})
	f.untilCommit(second)
	require.False(t, strange(runOf("never", first)), "what cannot be read cannot speak against it")
}

func TestNothingIsReadyBeforeTheFirstCatalog(t *testing.T) {
	r := newRepository(t)
	r.write("services/a.yaml", "id: [")
	r.commit("x")
	f := follow(t, &memory{}, catalog.Options{URL: r.dir})
	f.until(func() bool { return len(f.store.refused()) > 0 })
	require.False(t, f.Ready())
	r.write("services/a.yaml", service("a"))
	f.untilCommit(r.commit("y"))
	require.True(t, f.Ready())
}
