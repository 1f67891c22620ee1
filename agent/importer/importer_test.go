package importer_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/agent/importer"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/kinds"
)

var update = flag.Bool("update", false, "write the golden files anew")

// samples are whole files as people have them.
var samples = []struct{ format, file, targets string }{
	{"gatus", "gatus/config.yaml", ""},
	{"gatus", "gatus/small.yaml", ""},
	{"blackbox", "blackbox/blackbox.yml", "blackbox/prometheus.yml"},
	{"blackbox", "blackbox/blackbox.yml", "blackbox/targets.txt"},
	{"uptime-kuma", "uptime-kuma/backup.json", ""},
}

func source(t testing.TB, name string) importer.Source {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return importer.Source{Name: filepath.Base(name), Data: data}
}

// only is the table of kinds without those that are not named.
func only(names ...string) []probes.Kind {
	return slices.DeleteFunc(kinds.All(), func(k probes.Kind) bool { return !slices.Contains(names, k.Name) })
}

// show is all that an import made, as one text.
func show(out importer.Output) []byte {
	var b bytes.Buffer
	for _, n := range out.Notes {
		left := "changed"
		if n.Left {
			left = "left"
		}
		fmt.Fprintf(&b, "[%s] %s\n", left, n)
	}
	fmt.Fprintf(&b, "services %d, probes %d, assumed channels %d, secrets %v\n", out.Services, out.Probes, out.Assumed, out.Secrets)
	for _, f := range out.Files {
		fmt.Fprintf(&b, "-- %s --\n%s", f.Path, f.Data)
	}
	return b.Bytes()
}

func TestSamples(t *testing.T) {
	for _, s := range samples {
		for suffix, table := range map[string][]probes.Kind{
			".golden":     only("browser", "dns", "http", "tcp", "tls", "websocket"),
			".web.golden": only("browser", "http"), // a version without the other kinds says so
		} {
			golden := filepath.Join("testdata", s.file+suffix)
			if s.targets != "" {
				golden = filepath.Join("testdata", s.targets+suffix)
			}
			t.Run(golden, func(t *testing.T) {
				got := show(imported(t, s.format, s.file, s.targets, table))
				if *update {
					require.NoError(t, os.WriteFile(golden, got, 0o644))
				}
				want, err := os.ReadFile(golden)
				require.NoError(t, err)
				require.Equal(t, string(want), string(got))
			})
		}
	}
}

// imported is what one sample becomes; it is sound and holds no secret.
func imported(t *testing.T, format, file, targets string, table []probes.Kind) importer.Output {
	t.Helper()
	o := importer.Options{Kinds: table}
	if targets != "" {
		src := source(t, targets)
		o.Targets = &src
	}
	out, err := importer.Import(format, source(t, file), o)
	require.NoError(t, err)
	sound(t, out, table)
	require.NotContains(t, string(show(out)), "of-test", "a secret was written")
	return out
}

// sound holds what must be true of every import.
func sound(t testing.TB, out importer.Output, table []probes.Kind) {
	t.Helper()
	require.Len(t, out.Files, out.Services)
	for _, n := range out.Notes {
		require.NotEmpty(t, n.What)
		require.NotEmpty(t, n.Why)
		require.NotContains(t, n.String(), "\n")
	}
	if len(out.Files) == 0 {
		return
	}
	c, err := definition.Compile(definition.Revision{}, out.Files, table)
	require.NoError(t, err)
	require.Len(t, c.Services, out.Services)
	require.Len(t, c.Probes(), out.Probes)
	secrets := map[string]bool{}
	for _, p := range c.Probes() {
		for _, name := range p.Secrets {
			secrets[name] = true
		}
	}
	require.Len(t, out.Secrets, len(secrets))
	for _, name := range out.Secrets {
		require.True(t, secrets[name], name)
	}
}

func TestAnImportIsStable(t *testing.T) {
	for _, s := range samples {
		before := show(imported(t, s.format, s.file, s.targets, kinds.All()))
		require.Equal(t, string(before), string(show(imported(t, s.format, s.file, s.targets, kinds.All()))))
	}
}

func TestTheChannelOfServicesThatNameNone(t *testing.T) {
	src := importer.Source{Name: "g.yaml", Data: []byte("endpoints:\n  - {name: a, url: 'http://a.example/'}\n  - {name: b, group: wechat, url: 'http://b.example/'}\n")}
	out, err := importer.Import("gatus", src, importer.Options{Kinds: kinds.All(), Channel: probes.ChannelApp})
	require.NoError(t, err)
	require.Equal(t, 1, out.Assumed)
	require.Contains(t, string(out.Files[0].Data), "channel: app\n")
	require.Contains(t, string(out.Files[1].Data), "channel: wechat\n")
}

func TestWhatCannotBeRead(t *testing.T) {
	deep := strings.Repeat("[", 5000)
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", 'b'+i, 'b'+i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c, ", 'a'+i), 10), ", "))
	}
	for _, c := range []struct{ name, format, data, want string }{
		{"nothing", "gatus", "", "in: the file is empty"},
		{"no endpoints", "gatus", "web:\n  port: 80\n", "in:1:1: want a Gatus configuration with endpoints, got none"},
		{"not YAML", "gatus", "endpoints:\n  - name: 'a\n", "in:2:11: this is not YAML"},
		{"a key twice", "gatus", "endpoints:\n  - name: a\n    url: x\n    name: b\n", "in:4:5: "},
		{"two documents", "gatus", "endpoints: []\n---\nendpoints: []\n", "in:3:1: want one document"},
		{"GBK", "gatus", "endpoints:\n  - name: \xc3\xc5\n", "in:2:11: want UTF-8"},
		{"depth", "gatus", "endpoints: " + deep, "want at most 64 levels"},
		{"an alias bomb", "gatus", bomb + "endpoints: *j\n", "aliases counted as what they stand for"},
		{"an alias of nothing", "gatus", "endpoints: *x\n", "in:1:12: the alias *x stands for nothing"},
		{"an alias inside itself", "gatus", "endpoints: &x [*x]\n", "in:1:16: the alias *x stands for nothing"},
		{"a merge of no map", "gatus", "x-a: &a 1\nendpoints:\n  - <<: *a\n", "want a map to merge"},
		{"no modules", "blackbox", "scrape_configs: []\n", "in:1:1: want a blackbox configuration with modules"},
		{"no targets", "blackbox", "modules:\n  a: {prober: http}\n", "give the targets by -targets"},
		{"not JSON", "uptime-kuma", "{\"monitorList\": [\n  {\"id\": 1,}\n]}", "in:2:12: this is not JSON"},
		{"JSON cut off", "uptime-kuma", "{\"monitorList\": [\n  {\"id\": 1", "in:2:11: this is not JSON: the file ends too early"},
		{"more than JSON", "uptime-kuma", "{\"monitorList\": []}\n{}", "in:2:1: this is not JSON: want the end of the file"},
		{"no monitors", "uptime-kuma", "{\"version\": \"1\"}", "in:1:1: want a backup with monitorList"},
		{"depth of JSON", "uptime-kuma", strings.Repeat("[", 5000), "want at most 64 levels"},
		{"an unknown format", "nagios", "", "unknown format \"nagios\"; want one of gatus, blackbox, uptime-kuma"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := importer.Import(c.format, importer.Source{Name: "in", Data: []byte(c.data)}, importer.Options{Kinds: kinds.All()})
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestSizeIsBounded(t *testing.T) {
	big := bytes.Repeat([]byte("# a comment that is long enough to count\n"), importer.MaxSize/40)
	_, err := importer.Import("gatus", importer.Source{Name: "in", Data: big}, importer.Options{Kinds: kinds.All()})
	require.ErrorContains(t, err, "want at most 8388608 bytes")

	_, err = importer.Import("gatus", importer.Source{Name: "in", Data: bytes.Repeat([]byte("#\n"), 20_001)}, importer.Options{})
	require.ErrorContains(t, err, "want at most 20000 lines, got 20001")

	var many strings.Builder
	many.WriteString("endpoints:\n")
	for i := range importer.MaxEntries + 2 {
		fmt.Fprintf(&many, "  - {name: n, url: 'http://h%d.example/'}\n", i)
	}
	out, err := importer.Import("gatus", importer.Source{Name: "in", Data: []byte(many.String())}, importer.Options{Kinds: kinds.All()})
	require.NoError(t, err)
	require.Equal(t, importer.MaxEntries, out.Services)
	require.Equal(t, 1, out.Left())
	last := out.Notes[len(out.Notes)-1]
	require.Equal(t, "in:2002: this entry and all after it: want at most 2000, got more; import the file in parts", last.String())
	require.Contains(t, out.Files[0].Path, "services/portal/n-", "ids are made unique")
}
