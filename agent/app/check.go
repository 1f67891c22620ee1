package app

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/kinds"
)

const checkUsage = `DIR [flags]

Validates a folder of definitions. Every mistake is printed at once as
file:line:column: text, every warning as file:line: warning: text, both on the
standard error, and a summary on the standard output.
Exit code: 0 no mistakes, 1 mistakes (with -strict warnings, too), 2 wrong use.

`

// The formats of "agent check".
const (
	formatText   = "text"
	formatJSON   = "json"
	formatGitHub = "github" // GitHub and Gitea show these beside the lines
)

// checked is what "agent check -json" prints.
type checked struct {
	OK       bool           `json:"ok"` // no mistakes, and with -strict no warnings
	Mistakes []remark       `json:"mistakes"`
	Warnings []remark       `json:"warnings"`
	Services int            `json:"services"`
	Probes   int            `json:"probes"`
	Kinds    map[string]int `json:"kinds"`    // probes by kind
	Channels map[string]int `json:"channels"` // services by channel
	Secrets  []string       `json:"secrets"`  // names that agents must provide
	Keys     []string       `json:"keys"`     // "service/probe" of all probes
}

// remark is a mistake or a warning. Line and column count from 1; 0 is unknown.
type remark struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Text   string `json:"text"`
}

// Check runs "agent check" and returns the exit code.
func Check(args []string, stdout, stderr io.Writer) int {
	c := newCommand("check", checkUsage, stdout, stderr)
	format := c.flags.String("format", formatText, "text, json, or github for annotations of GitHub and Gitea")
	asJSON := c.flags.Bool("json", false, "the same as -format json")
	strict := c.flags.Bool("strict", false, "let warnings count as mistakes")
	words, code, ok := c.words(args)
	if !ok {
		return code
	}
	if *asJSON {
		*format = formatJSON
	}
	switch {
	case len(words) != 1:
		return c.wrong("want one folder: agent check DIR")
	case !slices.Contains([]string{formatText, formatJSON, formatGitHub}, *format):
		return c.wrong("-format: want text, json or github, got %q", *format)
	}
	found, err := check(words[0])
	if err != nil {
		return c.failed(exitFailed, err)
	}
	found.OK = len(found.Mistakes) == 0 && (!*strict || len(found.Warnings) == 0)
	switch *format {
	case formatJSON:
		enc := json.NewEncoder(stdout)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(found)
	case formatGitHub:
		err = found.annotate(stdout, words[0])
	default:
		err = found.print(stdout, stderr)
	}
	if err != nil {
		return c.failed(exitFailed, fmt.Errorf("printing what was found: %w", err))
	}
	if !found.OK {
		return exitFailed
	}
	return 0
}

// check reads and compiles the folder. An error means that it cannot be read.
func check(dir string) (checked, error) {
	found := checked{
		Mistakes: []remark{}, Warnings: []remark{}, Kinds: map[string]int{}, Channels: map[string]int{}, Secrets: []string{}, Keys: []string{},
	}
	files, err := definition.ReadDir(dir)
	var mistakes definition.Mistakes
	if err != nil && !errors.As(err, &mistakes) {
		return found, fmt.Errorf("reading the definitions: %w", err)
	}
	var c *definition.Catalog
	if err == nil {
		c, err = definition.Compile(definition.Revision{}, files, kinds.All())
	}
	if err != nil && !errors.As(err, &mistakes) {
		return found, fmt.Errorf("checking the definitions: %w", err)
	}
	for _, m := range mistakes {
		found.Mistakes = append(found.Mistakes, remark(m))
	}
	if c == nil {
		c = sound(files, mistakes)
	}
	if c != nil {
		found.count(c)
		found.Warnings = append(found.Warnings, warnings(c, len(mistakes) == 0)...)
	}
	return found, nil
}

// sound compiles the service files that have no mistakes, so that one mistake
// does not hide the warnings about the others. It returns nil when there are none.
func sound(files []definition.File, mistakes definition.Mistakes) *definition.Catalog {
	wrong := map[string]bool{}
	for _, m := range mistakes {
		wrong[m.File] = true
	}
	var rest []definition.File
	for _, f := range files {
		if !wrong[f.Path] && strings.HasPrefix(f.Path, "services/") {
			rest = append(rest, f)
		}
	}
	c, err := definition.Compile(definition.Revision{}, rest, kinds.All())
	if err != nil {
		return nil
	}
	return c
}

func (f *checked) count(c *definition.Catalog) {
	secrets := map[string]bool{}
	for _, s := range c.Services {
		f.Channels[string(s.Channel)]++
	}
	for _, p := range c.Probes() {
		f.Kinds[p.Kind]++
		f.Keys = append(f.Keys, p.Key.String())
		for _, name := range p.Secrets {
			secrets[name] = true
		}
	}
	f.Services, f.Probes = len(c.Services), len(f.Keys)
	f.Secrets = slices.AppendSeq(f.Secrets, maps.Keys(secrets))
	slices.Sort(f.Secrets)
}

// summary says in one line what there is.
func (f *checked) summary() string {
	var kinds []string
	for _, k := range slices.Sorted(maps.Keys(f.Kinds)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", k, f.Kinds[k]))
	}
	out := fmt.Sprintf("%s, %s", many(f.Services, "service"), many(f.Probes, "probe"))
	if len(kinds) > 0 {
		out += " (" + strings.Join(kinds, ", ") + ")"
	}
	switch {
	case len(f.Mistakes) > 0:
		// What has a mistake is not counted: nobody knows what it would be.
		return fmt.Sprintf("%s, %s; without mistakes: %s", many(len(f.Mistakes), "mistake"), many(len(f.Warnings), "warning"), out)
	case len(f.Warnings) > 0:
		return fmt.Sprintf("ok with %s: %s", many(len(f.Warnings), "warning"), out)
	}
	return "ok: " + out
}

func many(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (f *checked) print(stdout, stderr io.Writer) error {
	for _, m := range f.Mistakes {
		if _, err := fmt.Fprintln(stderr, definition.Mistake(m).Error()); err != nil {
			return err
		}
	}
	for _, w := range f.Warnings {
		if _, err := fmt.Fprintf(stderr, "%s:%d: warning: %s\n", w.File, w.Line, w.Text); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(stdout, f.summary())
	return err
}

// annotate prints workflow commands, with paths from where the command runs.
func (f *checked) annotate(w io.Writer, dir string) error {
	// The values of a workflow command are escaped like this.
	text := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	for _, list := range []struct {
		as      string
		remarks []remark
	}{{"error", f.Mistakes}, {"warning", f.Warnings}} {
		for _, r := range list.remarks {
			file := path.Join(filepath.ToSlash(dir), r.File)
			if _, err := fmt.Fprintf(w, "::%s file=%s,line=%d,col=%d::%s\n", list.as, property.Replace(file), max(r.Line, 1), max(r.Column, 1), text.Replace(r.Text)); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintln(w, f.summary())
	return err
}

func load(dir string) (*definition.Catalog, error) {
	files, err := definition.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the definitions: %w", err)
	}
	c, err := definition.Compile(definition.Revision{}, files, kinds.All())
	var mistakes definition.Mistakes
	if errors.As(err, &mistakes) {
		return nil, fmt.Errorf("the definitions have mistakes:\n%w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("checking the definitions: %w", err)
	}
	return c, nil
}

func byPlace(a, b remark) int {
	return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, strings.Compare(a.Text, b.Text))
}
