package imports

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/gengfu/gengfu"

type pkg struct {
	ImportPath   string
	Name         string
	Doc          string
	Dir          string
	GoFiles      []string
	Imports      []string
	Deps         []string
	TestImports  []string
	XTestImports []string
}

// rule says what the packages that match may not reach, or what alone may import something.
type rule struct {
	why  string
	from string // regexp over the package's path inside the module
	not  string // regexp over what it imports: inside the module "./…", else the full path
	deep bool   // also through others
}

var rules = []rule{
	{"probes holds nouns: standard library only", `^probes$`, `\.`, false},
	{"an agent never knows a coordinator", `^agent(/|$)`, `^\./coordinator(/|$)`, true},
	{"a coordinator never knows an agent", `^coordinator(/|$)`, `^\./agent(/|$)`, true},
	{"what both programs share knows neither", `^probes(/|$)`, `^\./(agent|coordinator|dashboards|deploy)(/|$)`, true},
	{"pages show; they do not store, ingest or evaluate", `^dashboards(/|$)`, `^\./coordinator/(store|ingest|evaluate|app|api|catalog)(/|$)`, false},
	{"gossip knows nothing of probes", `^probes/cluster$`, `^\./`, false},
	{"chromedp lives in probes/chrome alone", `^(?!probes/chrome$)`, `^github\.com/chromedp/`, false},
	{"memberlist lives in probes/cluster alone", `^(?!probes/cluster$)`, `^github\.com/hashicorp/memberlist`, false},
	{"SQL lives in coordinator/store alone", `^(?!coordinator/store$)`, `^(database/sql|modernc\.org/sqlite|github\.com/pressly/goose)`, false},
	{"the coordinator checks steps as data, without a browser", `^coordinator(/|$)`, `^\./probes/chrome$`, true},
	{"pure rooms do no I/O", `^(agent/(ownership|importer)|coordinator/(availability|incident|calendar|record))$`, `^(net|net/http|os|database/sql|log/slog|io/fs)$`, false},
	{"kinds never import OpenTelemetry", `^probes/[a-z]+probe$`, `^go\.opentelemetry\.io/`, false},
	{"testing stays in tests", `^(?!.*(test|imports)$)`, `^(testing|github\.com/stretchr/testify/.*)$`, false},
	{"only the wiring knows the table of kinds", `^(?!(agent|coordinator)(/app)?$|deploy/)`, `^\./probes/kinds$`, false},
}

// Rooms beside each other meet through interfaces declared by their user; only app
// knows both. These pairs are types of pure rooms or of the read model.
var neighbours = map[string][]string{
	"coordinator/catalog":       {"coordinator/availability"},
	"agent/confirm":             {"agent/ownership"},
	"coordinator/availability":  {"coordinator/calendar"},
	"coordinator/incident":      {"coordinator/availability", "coordinator/calendar"},
	"coordinator/evaluate":      {"coordinator/availability", "coordinator/incident", "coordinator/calendar", "coordinator/alert"},
	"coordinator/alert":         {"coordinator/incident", "coordinator/calendar", "coordinator/availability"},
	"coordinator/record":        {"coordinator/availability", "coordinator/incident", "coordinator/calendar"},
	"coordinator/record/render": {"coordinator/record"},
	"coordinator/store":         {"coordinator/availability", "coordinator/incident", "coordinator/alert", "coordinator/calendar"},
	"coordinator/view":          {"coordinator/availability", "coordinator/incident", "coordinator/alert", "coordinator/calendar"},
	"coordinator/api":           {"coordinator/view", "coordinator/incident", "coordinator/alert", "coordinator/record", "coordinator/calendar", "coordinator/availability"},
	"coordinator/view/viewtest": {"coordinator/view", "coordinator/store", "coordinator/availability", "coordinator/incident", "coordinator/alert"},
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Name,Doc,Dir,GoFiles,Imports,Deps,TestImports,XTestImports", "./...")
	cmd.Dir = "../.."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	var list []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if inside(p.ImportPath) {
			list = append(list, p)
		}
	}
	require.Greater(t, len(list), 20)
	return list
}

func inside(p string) bool { return p == module || strings.HasPrefix(p, module+"/") }

// short is "./x/y" for our own packages and the full path for others.
func short(p string) string {
	if inside(p) {
		return "./" + strings.TrimPrefix(strings.TrimPrefix(p, module), "/")
	}
	return p
}

// matches understands one extension over RE2: a leading (?!x) negates.
func matches(expr, s string) bool {
	if rest, ok := strings.CutPrefix(expr, "^(?!"); ok {
		depth := 1
		for i, r := range rest {
			switch r {
			case '(':
				depth++
			case ')':
				depth--
			}
			if depth == 0 {
				return !regexp.MustCompile("^(?:" + rest[:i] + ")").MatchString(s)
			}
		}
	}
	return regexp.MustCompile(expr).MatchString(s)
}

func TestDirections(t *testing.T) {
	list := packages(t)
	for _, r := range rules {
		t.Run(r.why, func(t *testing.T) {
			applied := false
			for _, p := range list {
				from := strings.TrimPrefix(short(p.ImportPath), "./")
				if !matches(r.from, from) {
					continue
				}
				applied = true
				reach := p.Imports
				if r.deep {
					reach = p.Deps
				}
				for _, i := range reach {
					require.False(t, matches(r.not, short(i)), "%s imports %s", from, i)
				}
			}
			require.True(t, applied, "the rule applies to no package: mend its pattern")
		})
	}
}

func TestNeighboursMeetThroughTheApps(t *testing.T) {
	for _, p := range packages(t) {
		from := strings.TrimPrefix(short(p.ImportPath), "./")
		program, room, ok := strings.Cut(from, "/")
		if !ok || room == "app" || program != "agent" && program != "coordinator" {
			continue
		}
		for _, i := range p.Imports {
			to := strings.TrimPrefix(short(i), "./")
			if strings.HasPrefix(to, program+"/") {
				require.Contains(t, neighbours[from], to, "%s imports its neighbour %s; declare an interface in %s and join them in %s/app", from, to, from, program)
			}
		}
	}
}

func TestPackagesSayWhatTheyOwn(t *testing.T) {
	banned := []string{"util", "utils", "common", "helpers", "manager", "misc", "base"}
	for _, p := range packages(t) {
		require.NotContains(t, banned, path.Base(p.ImportPath))
		if len(p.GoFiles) == 0 {
			continue
		}
		require.NotEmpty(t, p.Doc, "%s has no package comment", p.ImportPath)
		commented := 0
		for _, f := range p.GoFiles {
			src, err := os.ReadFile(path.Join(p.Dir, f))
			require.NoError(t, err)
			if regexp.MustCompile(`(?m)^(//.*|\*/)\npackage `).Match(src) {
				commented++
			}
		}
		require.Equal(t, 1, commented, "%s: want exactly one package comment", p.ImportPath)
	}
}

func TestModuleReplacesNothing(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	require.NotRegexp(t, `(?m)^\s*replace\b`, string(mod))
	require.False(t, slices.Contains(strings.Fields(string(mod)), "exclude"))
}
