package settings

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sethvargo/go-envconfig"
	"github.com/stretchr/testify/require"
)

type example struct {
	Site  string        `env:"SITE,required" help:"where this agent stands"`
	Poll  time.Duration `env:"POLL,default=30s" help:"how often"`
	Times []string      `env:"TIMES,default=a,b" help:"a default with a comma"`
}

func TestLoadSaysEveryMistakeAtOnce(t *testing.T) {
	var c example
	env := map[string]string{"X_POL": "1s", "X_SECRET_A": "kept", "OTHER": "x"}
	var list []string
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	err := load(context.Background(), "X_", &c, list, envconfig.MapLookuper(env))
	require.ErrorContains(t, err, "X_POL: no such setting, did you mean X_POLL")
	require.ErrorContains(t, err, "SITE")
	require.NotContains(t, err.Error(), "X_SECRET_A")
}

func TestLoadFillsDefaults(t *testing.T) {
	var c example
	env := map[string]string{"X_SITE": "east"}
	require.NoError(t, load(context.Background(), "X_", &c, []string{"X_SITE=east"}, envconfig.MapLookuper(env)))
	require.Equal(t, example{Site: "east", Poll: 30 * time.Second, Times: []string{"a", "b"}}, c)
}

func TestLoadOrFillsOnlyWhatIsNotSet(t *testing.T) {
	t.Setenv("X_POLL", "7s")
	var c example
	require.NoError(t, LoadOr(context.Background(), "X_", &c, map[string]string{"SITE": "local", "POLL": "9s"}))
	require.Equal(t, example{Site: "local", Poll: 7 * time.Second, Times: []string{"a", "b"}}, c)
	t.Setenv("X_SIT", "east")
	require.ErrorContains(t, LoadOr(context.Background(), "X_", &c, map[string]string{"SITE": "local"}), "X_SIT: no such setting, did you mean X_SITE")
}

func TestDescribeShowsDefaultsAndMeaning(t *testing.T) {
	var b strings.Builder
	require.NoError(t, Describe(&b, "X_", &example{}))
	require.Contains(t, b.String(), "X_SITE (required)\n        where this agent stands\n")
	require.Contains(t, b.String(), "X_POLL (30s)\n")
	require.Contains(t, b.String(), "X_TIMES (a,b)\n")
}

func TestKeyReadsBase64AndHexAndNeverShowsTheText(t *testing.T) {
	for _, text := range []string{strings.Repeat("ab", 32), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="} {
		key, err := Key("K", text)
		require.NoError(t, err, text)
		require.Len(t, key, 32)
	}
	_, err := Key("K", "hunter2")
	require.ErrorContains(t, err, "K: want 16, 24 or 32 bytes")
	require.NotContains(t, err.Error(), "hunter2")
}

func TestSecretsComeFromEnvironmentThenFolder(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "IN_FILE"), []byte("from-file\n"), 0o600))
	t.Setenv("X_SECRET_IN_ENV", "from-env")
	s := NewSecrets("X_", dir)
	v, err := s.Value("IN_FILE")
	require.NoError(t, err)
	require.Equal(t, "from-file", v)
	v, err = s.Value("IN_ENV")
	require.NoError(t, err)
	require.Equal(t, "from-env", v)
	_, err = s.Value("NOWHERE")
	require.EqualError(t, err, "secret NOWHERE is not set here: set X_SECRET_NOWHERE or put it into the file "+dir+"/NOWHERE")
	_, err = s.Value("../../etc/passwd")
	require.ErrorContains(t, err, "is not set here")
	require.ElementsMatch(t, []string{"from-env", "from-file"}, s.Values())
}

func TestLoopback(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, ":8080": false, "0.0.0.0:1": false, "10.0.0.1:1": false, "x": false} {
		require.Equal(t, want, Loopback(addr), addr)
	}
}
