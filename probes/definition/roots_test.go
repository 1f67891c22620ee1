package definition_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

func TestRootsTravelWithTheDefinitions(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"services/demo.yaml": demo, "roots/ca.pem": "certificate", "roots/deep/ca.crt": "another",
		"roots/README.md": "not read", "roots/.hidden.pem": "not read", "elsewhere/ca.pem": "not read",
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	files, err := definition.ReadDir(dir)
	require.NoError(t, err)
	body, _, err := definition.Pack(definition.Revision{}, files)
	require.NoError(t, err)
	_, files, err = definition.Unpack(body)
	require.NoError(t, err)

	decoded := false
	kind := probes.Kind{Name: "fake", Doc: "for tests", Decode: func(s probes.Settings) (probes.Prober, error) {
		decoded = true
		f, ok := s.(probes.Files)
		require.True(t, ok)
		data, err := f.File("roots/ca.pem")
		require.NoError(t, err)
		require.Equal(t, "certificate", string(data))
		data, err = f.File("roots/deep/ca.crt")
		require.NoError(t, err)
		require.Equal(t, "another", string(data))
		for _, name := range []string{"roots/c.pem", "roots/README.md", "roots/.hidden.pem", "elsewhere/ca.pem", "services/demo.yaml", "../secret", ""} {
			_, err = f.File(name)
			require.ErrorContains(t, err, "there is no such file in roots/; ", name)
		}
		require.ErrorContains(t, err, "want one of roots/ca.pem, roots/deep/ca.crt")
		return fake{}, nil
	}}
	_, err = definition.Compile(definition.Revision{}, files, []probes.Kind{kind})
	require.NoError(t, err)
	require.True(t, decoded)

	files = append(files, definition.File{Path: "roots/huge.pem", Data: make([]byte, definition.MaxFileSize+1)})
	_, err = definition.Compile(definition.Revision{}, files, []probes.Kind{kind})
	require.EqualError(t, err, "roots/huge.pem: want at most 1048576 bytes; leave out what is no certificate")
}
