package app

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const oneEndpoint = "endpoints:\n  - name: portal\n    url: http://www.rsj.example/\n    conditions: [\"[STATUS] == 200\"]\n"

// imports runs the command in a folder of its own, with the sources in it.
func imports(t *testing.T, sources map[string]string, args ...string) (code int, out, errs string) {
	t.Helper()
	for name, text := range sources {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	var stdout, stderr bytes.Buffer
	code = Import(args, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestImport(t *testing.T) {
	t.Chdir(t.TempDir())
	code, out, errs := imports(t, map[string]string{"g.yaml": oneEndpoint}, "gatus", "g.yaml", "-o", "defs", "-owner", "值班组")
	require.Empty(t, errs)
	require.Equal(t, 0, code, out)
	require.Contains(t, out, "wrote to defs: 1 services, 1 probes; not carried over: 0, changed: 0\n")
	require.Contains(t, out, "channel: nothing names it for 1 of 1 services")
	written, err := os.ReadFile("defs/services/portal/portal.yaml")
	require.NoError(t, err)
	require.Contains(t, string(written), "owner: 值班组\n")
	require.Contains(t, string(written), "status == 200")
	var check bytes.Buffer
	require.Equal(t, 0, Check([]string{"defs"}, &check, &check), check.String())

	// What exists stays, unless it is to go.
	require.NoError(t, os.WriteFile("defs/services/portal/portal.yaml", append(written, "# by hand\n"...), 0o600))
	code, _, errs = imports(t, nil, "gatus", "g.yaml", "-o", "defs")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "defs/services/portal/portal.yaml exists")
	kept, err := os.ReadFile("defs/services/portal/portal.yaml")
	require.NoError(t, err)
	require.Contains(t, string(kept), "# by hand")
	code, _, errs = imports(t, nil, "gatus", "-force", "g.yaml", "-o", "defs", "-owner", "值班组")
	require.Equal(t, 0, code, errs)
	kept, err = os.ReadFile("defs/services/portal/portal.yaml")
	require.NoError(t, err)
	require.Equal(t, string(written), string(kept))

	// An id that another service has is refused before anything is written.
	code, _, errs = imports(t, nil, "gatus", "g.yaml", "-o", "defs", "-channel", "wechat")
	require.Equal(t, 1, code)
	require.Contains(t, errs, `"portal" is already the id of the service in services/portal/portal.yaml`)
	require.NoDirExists(t, "defs/services/wechat")
}

func TestImportSaysWhatIsLeft(t *testing.T) {
	t.Chdir(t.TempDir())
	source := "endpoints:\n  - name: portal\n    url: http://www.rsj.example/?key=kept-away\n    conditions:\n      - \"[STATUS] == 200\"\n      - \"[DOMAIN_EXPIRATION] > 720h\"\n"
	code, out, _ := imports(t, map[string]string{"g.yaml": source}, "gatus", "g.yaml", "-n", "-o", "defs")
	require.Equal(t, 3, code)
	require.Contains(t, out, "g.yaml:6: condition [DOMAIN_EXPIRATION] > 720h: ")
	require.Contains(t, out, "secrets: set on the agents: AGENT_SECRET_PORTAL_KEY\n")
	require.NotContains(t, out, "kept-away")
	require.NoDirExists(t, "defs", "-n writes nothing")
}

func TestImportOfBlackboxWithListedTargets(t *testing.T) {
	t.Chdir(t.TempDir())
	code, out, errs := imports(t, map[string]string{"b.yml": "modules:\n  http_2xx: {prober: http}\n  other: {prober: http}\n"},
		"blackbox", "b.yml", "-targets", "https://www.rsj.example/,http://oa.rsj.example/", "-module", "other", "-o", "defs")
	require.Equal(t, 0, code, errs)
	require.Contains(t, out, "b.yml:2: module http_2xx: no target uses it")
	require.FileExists(t, "defs/services/portal/www-rsj-example.yaml")
	require.FileExists(t, "defs/services/portal/oa-rsj-example.yaml")
}

func TestImportThatCannotBe(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		name string
		code int
		want string
		args []string
	}{
		{"no file", 2, "want a format and a file", []string{"gatus"}},
		{"no such format", 2, "gatus|blackbox|uptime-kuma", []string{"nagios", "g.yaml"}},
		{"no such channel", 2, `got "tv"`, []string{"gatus", "g.yaml", "-channel", "tv"}},
		{"no such option", 2, "-x", []string{"gatus", "g.yaml", "-x"}},
		{"a file that is not there", 1, "opening the source", []string{"gatus", "none.yaml"}},
		{"a folder", 1, "reading the source", []string{"gatus", "."}},
		{"targets that are not there", 1, "opening the source", []string{"blackbox", "g.yaml", "-targets", "none"}},
		{"a file that is not YAML", 1, "bad.yaml:2:3: this is not YAML", []string{"gatus", "bad.yaml"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, _, errs := imports(t, map[string]string{"g.yaml": oneEndpoint, "bad.yaml": "endpoints:\n  ]\n"}, c.args...)
			require.Equal(t, c.code, code)
			require.Contains(t, errs, c.want)
		})
	}
}

func TestImportNeverLeavesItsFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	outside := t.TempDir()
	require.NoError(t, os.MkdirAll("defs/services", 0o755))
	require.NoError(t, os.Symlink(outside, "defs/services/portal"))
	code, _, errs := imports(t, map[string]string{"g.yaml": oneEndpoint}, "gatus", "g.yaml", "-o", "defs", "-force")
	require.Equal(t, 1, code)
	require.NotEmpty(t, errs)
	left, err := filepath.Glob(filepath.Join(outside, "*"))
	require.NoError(t, err)
	require.Empty(t, left)
}
