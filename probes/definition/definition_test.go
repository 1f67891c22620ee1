package definition_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

var update = flag.Bool("update", false, "rewrite the golden messages")

const demo = "id: demo\nname: 演示\nchannel: portal\nprobes:\n  - {id: p, kind: fake, every: 30s}\n"

// TestInvalid compiles every file of testdata/invalid and compares all messages
// with the text beside it.
func TestInvalid(t *testing.T) {
	names, err := filepath.Glob("testdata/invalid/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			require.NoError(t, err)
			path := "services/x.yaml"
			if first, _, _ := strings.Cut(string(data), "\n"); strings.HasPrefix(first, "# path: ") {
				path = strings.TrimPrefix(first, "# path: ")
			}
			files := []definition.File{{Path: path, Data: data}, {Path: "services/demo.yaml", Data: []byte(demo)}}
			c, err := definition.Compile(definition.Revision{}, files, fakeKinds)
			require.Nil(t, c)
			var mistakes definition.Mistakes
			require.ErrorAs(t, err, &mistakes)
			require.NotEmpty(t, mistakes)
			golden := strings.TrimSuffix(name, ".yaml") + ".txt"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), mistakes.Error()+"\n")
		})
	}
}

func valid(t *testing.T) []definition.File {
	t.Helper()
	files, err := definition.ReadDir("testdata/valid")
	require.NoError(t, err)
	return files
}

func TestCompile(t *testing.T) {
	files := valid(t)
	rev := definition.Revision{Seq: 7, Commit: strings.Repeat("c", 40), Committed: time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)}
	c, err := definition.Compile(rev, files, fakeKinds)
	require.NoError(t, err)
	require.Equal(t, 2, c.Revision.ServiceIDs)
	require.Equal(t, 2, c.Revision.ProbeIDs)
	require.Len(t, c.Revision.Digest, 64)

	require.Equal(t, []string{"alt", "shebao-quanyi"}, []string{c.Services[0].ID, c.Services[1].ID})
	require.Equal(t, probes.LifeRetired, c.Services[0].Life)
	s, ok := c.Service("shebao-quanyi")
	require.True(t, ok)
	require.Equal(t, probes.LifePublished, s.Life)
	require.Equal(t, "services/wechat/quanyi.yaml:2", s.Source)
	require.Equal(t, "先看门户，\n再看接口。\n", s.Runbook)
	require.Equal(t, []string{"微办事", "社保"}, s.Menu)
	require.InDelta(t, 99.9, s.Target, 0)
	_, ok = c.Service("none")
	require.False(t, ok)

	page, ok := c.Probe(probes.Key{Service: "shebao-quanyi", Probe: "page"})
	require.True(t, ok)
	require.Equal(t, probes.Placement{Count: 3, Spread: "isp", Match: map[string]string{"network": "internet"}}, page.From)
	require.Equal(t, []probes.Capability{probes.CapabilityBrowser}, page.Needs)
	require.Equal(t, []string{"B", "TEST_ID"}, page.Secrets)
	require.Equal(t, "services/wechat/quanyi.yaml:15", page.Source)
	got := page.Prober.(fake)
	require.Equal(t, 30*time.Second, got.timeout)
	require.Equal(t, "https://h5.rsj.example.test/shebao/quanyi?a=1", got.Request.URL)
	require.Equal(t, "社保个人权益记录查询 shebao-quanyi 0012", got.Steps[0]["see"])
	require.Equal(t, "${literal} ${secret:TEST_ID} ${secret:B} ${secret:TEST_ID}", got.Steps[1]["see"])

	api, ok := c.Probe(probes.Key{Service: "shebao-quanyi", Probe: "api"})
	require.True(t, ok)
	require.Equal(t, probes.Placement{Count: 2, Spread: "site"}, api.From)
	require.Equal(t, 8*time.Second, api.Timeout)
	require.Equal(t, 2, api.Quorum)
	require.Empty(t, api.Secrets)
	got = api.Prober.(fake)
	require.Equal(t, map[string]any{"area": "110000", "n": []any{1, 2.5, true, nil}}, got.Body)
	require.Equal(t, yaml.MapSlice{{Key: "X.Y-Z", Value: "a"}, {Key: "b", Value: yaml.MapSlice{
		{Key: "z", Value: 1}, {Key: "a", Value: []any{yaml.MapSlice{{Key: "y", Value: 2}, {Key: "b", Value: 3}}}},
	}}}, got.Header)
	require.Equal(t, 90*time.Second, got.Wait)
	require.Equal(t, uint8(3), got.Tries)

	require.Equal(t, []string{"shebao-quanyi/api", "shebao-quanyi/page"}, []string{c.Probes()[0].Key.String(), c.Probes()[1].Key.String()})
	require.Equal(t, []time.Duration{9 * time.Hour, 14*time.Hour + 30*time.Minute}, c.Calendar.Rounds)
	require.Equal(t, definition.Maintenance{
		Services: []string{"alt"}, From: time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 25, 2, 0, 0, 0, time.UTC),
		Reason: "升级", Source: "calendar.yaml:3",
	}, c.Calendar.Maintenance[0])
	require.Equal(t, time.Date(2026, 11, 30, 16, 0, 30, 0, time.UTC), c.Calendar.Maintenance[1].From)
	require.Equal(t, definition.Route{
		Name: "duty", Channel: "webhook", URL: "https://hook.example.test/${secret:HOOK}", Secret: "${secret:SIGN}",
		Channels: []probes.Channel{probes.ChannelPortal, probes.ChannelWechat}, Source: "routes.yaml:2",
	}, c.Routes[0])
	require.Len(t, c.Routes, 2)
	require.Equal(t, []string{"shebao-quanyi"}, c.Silences[0].Services)
	require.Equal(t, "silences/2026.yaml:1", c.Silences[0].Source)
}

func TestCompileDoesNotDependOnOrder(t *testing.T) {
	files := valid(t)
	a, err := definition.Compile(definition.Revision{Commit: "c"}, files, fakeKinds)
	require.NoError(t, err)
	slices.Reverse(files)
	b, err := definition.Compile(definition.Revision{Commit: "c"}, files, fakeKinds)
	require.NoError(t, err)
	require.Equal(t, a, b)
}

func TestPackAndUnpack(t *testing.T) {
	files := valid(t)
	rev := definition.Revision{Seq: 3, Commit: "abc", Subject: "改", Accepted: time.Now()}
	c, err := definition.Compile(rev, files, fakeKinds)
	require.NoError(t, err)
	body, digest, err := definition.Pack(c.Revision, append(files, definition.File{Path: "README.md"}, definition.File{Path: "charts/x.yaml"}))
	require.NoError(t, err)
	require.Equal(t, c.Revision.Digest, digest)
	require.NotContains(t, string(body), "README.md")
	require.NotContains(t, string(body), "charts")

	gotRev, gotFiles, err := definition.Unpack(body)
	require.NoError(t, err)
	require.Equal(t, digest, gotRev.Digest)
	again, err := definition.Compile(gotRev, gotFiles, fakeKinds)
	require.NoError(t, err)
	require.Equal(t, c.Services, again.Services)
	require.Equal(t, digest, again.Revision.Digest)
	require.True(t, c.Revision.Accepted.Equal(again.Revision.Accepted))

	slices.Reverse(files)
	body2, _, err := definition.Pack(gotRev, files)
	require.NoError(t, err)
	require.Equal(t, body, body2)

	for name, bad := range map[string]string{
		"cut off": string(body[:len(body)/2]), "more": string(body) + "x", "empty": "",
		"version": `{"version":9}`, "path": `{"version":1,"files":[{"path":"../x"}]}`,
	} {
		_, _, err = definition.Unpack([]byte(bad))
		require.Error(t, err, name)
	}
}

func TestMistakesAcrossFiles(t *testing.T) {
	other := strings.ReplaceAll(demo, "演示", "又一个")
	for _, tt := range []struct {
		name  string
		files []definition.File
		want  string
	}{
		{"no service", nil, "services: no service is defined; put at least one file into services/, or correct the folder that was configured"},
		{
			"same id",
			[]definition.File{{Path: "services/b.yaml", Data: []byte(other)}, {Path: "services/a.yaml", Data: []byte(demo)}},
			`services/b.yaml:1:5: id: "demo" is already the id of the service in services/a.yaml:1; ids are unique in the whole repository: rename one`,
		},
		{"same file", []definition.File{{Path: "services/a.yaml", Data: []byte(demo)}, {Path: "services/a.yaml", Data: []byte(demo)}}, "services/a.yaml: the file is given twice"},
		{"same file thrice", []definition.File{{Path: "services/a.yaml", Data: []byte(demo)}, {Path: "services/a.yaml", Data: []byte(demo)}, {Path: "services/a.yaml", Data: []byte(demo)}}, "services/a.yaml: the file is given twice"},
		{
			"no time at all",
			[]definition.File{{Path: "services/a.yaml", Data: []byte(demo)}, {Path: "silences/a.yaml", Data: []byte("services: [demo]\nfrom: 2026-11-25 08:00\nto: 2026-11-25T00:00:00Z\nreason: x")}},
			"silences/a.yaml:3:5: to: want a time after from (2026-11-25 08:00), got 2026-11-25T00:00:00Z",
		},
		{
			"two calendars",
			[]definition.File{{Path: "services/a.yaml", Data: []byte(demo)}, {Path: "calendar.yaml", Data: []byte("rounds: []")}, {Path: "calendar.yml", Data: []byte("rounds: []")}},
			"calendar.yml: want one such file, got calendar.yaml too; delete one",
		},
		{"too large", []definition.File{{Path: "services/a.yaml", Data: make([]byte, definition.MaxFileSize+1)}}, "services/a.yaml: want at most 1048576 bytes, got 1048577; split the file"},
		{"too many lines", []definition.File{{Path: "services/a.yaml", Data: []byte(strings.Repeat("\n", 30_000))}}, "services/a.yaml: want at most 10000 lines, got 30000; split the file"},
		{"outside", []definition.File{{Path: "services//a.yaml", Data: []byte(demo)}}, "services//a.yaml: want a path inside the definitions' folder"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := definition.Compile(definition.Revision{}, tt.files, fakeKinds)
			require.EqualError(t, err, tt.want)
		})
	}
	_, err := definition.Compile(definition.Revision{}, make([]definition.File, definition.MaxFiles+1), fakeKinds)
	require.EqualError(t, err, "services: want at most 5000 files, got 5001; split the repository")
}

func TestTimeouts(t *testing.T) {
	for schedule, want := range map[string]time.Duration{
		"every: 5s": 4 * time.Second, "every: 30s": 24 * time.Second, "every: 1h": 30 * time.Second,
		"every: 10s, timeout: 10s": 10 * time.Second, "every: 5m, timeout: 1s": time.Second,
	} {
		src := strings.Replace(demo, "every: 30s", schedule, 1)
		c, err := definition.Compile(definition.Revision{}, []definition.File{{Path: "services/a.yaml", Data: []byte(src)}}, fakeKinds)
		require.NoError(t, err, schedule)
		require.Equal(t, want, c.Probes()[0].Timeout, schedule)
		require.Equal(t, want, c.Probes()[0].Prober.(fake).timeout, schedule)
	}
}

func TestMistakesAreBounded(t *testing.T) {
	bad := demo + strings.Repeat("  - {id: p, kind: fake, every: 1s}\n", 1000)
	_, err := definition.Compile(definition.Revision{}, []definition.File{{Path: "services/a.yaml", Data: []byte(bad)}}, fakeKinds)
	var mistakes definition.Mistakes
	require.ErrorAs(t, err, &mistakes)
	require.Len(t, mistakes, 501)
	require.Contains(t, mistakes[500].Text, "and 1500 more mistakes")
}

func TestHostileFilesCostLittle(t *testing.T) {
	for name, data := range map[string]string{
		"brackets": strings.Repeat("[", 1<<20), "braces": strings.Repeat("{a: ", 1<<18), "dashes": strings.Repeat("- ", 1<<19),
		"questions": strings.Repeat("? ", 1<<19), "anchors": strings.Repeat("&a ", 1<<18), "keys": strings.Repeat("a: b\n", 9_900),
		"stairs": stairs(1400), "quotes": strings.Repeat("'", 1<<20), "bangs": strings.Repeat("! ", 1<<19), "colons": strings.Repeat("a: ", 1<<18),
		"commas": "a: [" + strings.Repeat("1,", 1<<18) + "]",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := definition.Compile(definition.Revision{}, []definition.File{{Path: "services/a.yaml", Data: []byte(data)}}, fakeKinds)
			require.Error(t, err)
			require.Less(t, len(err.Error()), 200_000)
		})
	}
}

func stairs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestReadDir(t *testing.T) {
	files := valid(t)
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Path)
	}
	require.Equal(t, []string{"calendar.yaml", "routes.yaml", "services/old.yml", "services/wechat/quanyi.yaml", "silences/2026.yaml"}, paths)

	_, err := definition.ReadDir(filepath.Join(t.TempDir(), "none"))
	require.ErrorContains(t, err, "opening the definitions' folder")

	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret.yaml")
	require.NoError(t, os.WriteFile(outside, []byte(demo), 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "services"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "charts"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "charts", "x.yaml"), []byte("a: 1"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "services", "x.yaml")))
	_, err = definition.ReadDir(dir)
	require.EqualError(t, err, "services/x.yaml: want a file, got a symbolic link; put the file itself there")

	require.NoError(t, os.Remove(filepath.Join(dir, "services", "x.yaml")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "services", "big.yaml"), make([]byte, definition.MaxFileSize+500), 0o600))
	files, err = definition.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.Len(t, files[0].Data, definition.MaxFileSize+1)
}

type anyMode struct{ mode string }

// UnmarshalYAML takes a text or a map.
func (m *anyMode) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&m.mode) == nil {
		return nil
	}
	var long struct {
		Mode string `yaml:"mode"`
	}
	if err := unmarshal(&long); err != nil {
		return err
	}
	if long.Mode == "" {
		return errors.New("want a mode, got nothing")
	}
	m.mode = long.Mode
	return nil
}

func TestKindsMayTakeSeveralForms(t *testing.T) {
	var got []string
	kinds := []probes.Kind{{Name: "fake", Decode: func(s probes.Settings) (probes.Prober, error) {
		var v struct {
			Modes []anyMode `yaml:"modes"`
		}
		err := s.Into(&v)
		for _, m := range v.Modes {
			got = append(got, m.mode)
		}
		return fake{}, err
	}}}
	src := strings.Replace(demo, "every: 30s", "every: 30s, modes: [a, {mode: b}]", 1)
	_, err := definition.Compile(definition.Revision{}, []definition.File{{Path: "services/a.yaml", Data: []byte(src)}}, kinds)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, got)

	src = strings.Replace(demo, "every: 30s", "every: 30s, modes: [{mode: ''}, {mod: b}]", 1)
	_, err = definition.Compile(definition.Revision{}, []definition.File{{Path: "services/a.yaml", Data: []byte(src)}}, kinds)
	require.EqualError(t, err, "services/a.yaml:5:45: modes[0]: want a mode, got nothing\n"+
		`services/a.yaml:5:58: modes[1].mod: unknown key; did you mean "mode"? The choices are mode`)
}

func FuzzCompile(f *testing.F) {
	names, err := filepath.Glob("testdata/*/*.yaml")
	require.NoError(f, err)
	more, err := filepath.Glob("testdata/valid/services/*/*.yaml")
	require.NoError(f, err)
	for _, name := range append(names, more...) {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, path := range []string{"services/x.yaml", "calendar.yaml", "routes.yaml", "silences/x.yaml"} {
			c, err := definition.Compile(definition.Revision{}, []definition.File{{Path: path, Data: data}, {Path: "services/demo.yaml", Data: []byte(demo)}}, fakeKinds)
			if err != nil {
				var mistakes definition.Mistakes
				require.ErrorAs(t, err, &mistakes)
				for _, m := range mistakes {
					require.NotEmpty(t, m.Text)
					require.Equal(t, m.Line == 0, m.Column == 0, m.Error())
				}
				continue
			}
			for _, p := range c.Probes() {
				require.NotNil(t, p.Prober)
				require.Positive(t, p.Timeout)
				require.LessOrEqual(t, p.Timeout, p.Every)
			}
		}
	})
}
