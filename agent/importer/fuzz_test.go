package importer_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/agent/importer"
	"github.com/gengfu/gengfu/probes/kinds"
)

// seeds are the samples of one format.
func seeds(f *testing.F, pattern string) {
	f.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", pattern))
	require.NoError(f, err)
	require.NotEmpty(f, names)
	for _, name := range names {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(data)
	}
}

// fuzz holds that any file is refused or becomes definitions that compile.
func fuzz(t *testing.T, format string, src []byte, targets *importer.Source) {
	t.Helper()
	table := kinds.All()
	out, err := importer.Import(format, importer.Source{Name: "in", Data: src}, importer.Options{Kinds: table, Targets: targets})
	if err != nil {
		require.NotEmpty(t, err.Error())
		return
	}
	sound(t, out, table)
}

func FuzzGatus(f *testing.F) {
	seeds(f, "gatus/*.yaml")
	f.Fuzz(func(t *testing.T, src []byte) { fuzz(t, "gatus", src, nil) })
}

func FuzzKuma(f *testing.F) {
	seeds(f, "uptime-kuma/*.json")
	f.Fuzz(func(t *testing.T, src []byte) { fuzz(t, "uptime-kuma", src, nil) })
}

func FuzzBlackbox(f *testing.F) {
	targets, err := os.ReadFile("testdata/blackbox/prometheus.yml")
	require.NoError(f, err)
	seeds(f, "blackbox/blackbox.yml")
	f.Fuzz(func(t *testing.T, src []byte) {
		fuzz(t, "blackbox", src, &importer.Source{Name: "targets", Data: targets})
	})
}

func FuzzTargets(f *testing.F) {
	modules, err := os.ReadFile("testdata/blackbox/blackbox.yml")
	require.NoError(f, err)
	seeds(f, "blackbox/prometheus.yml")
	seeds(f, "blackbox/targets.txt")
	f.Fuzz(func(t *testing.T, src []byte) {
		fuzz(t, "blackbox", modules, &importer.Source{Name: "targets", Data: src})
	})
}
