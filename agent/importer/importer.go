// Package importer turns the configuration of other monitors into definitions,
// and says line by line what it could not carry over. It is pure: bytes in,
// files and notes out. What it writes has been compiled by the same compiler
// that every agent and coordinator uses; what that refuses is said, not written.
package importer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
)

// Source is one file to import from.
type Source struct {
	Name string // as the notes show it
	Data []byte
}

// Options say what the source cannot.
type Options struct {
	Kinds   []probes.Kind  // the table of kinds: what is not in it is not carried over
	Channel probes.Channel // of services whose group names none; "" is portal for web addresses, else runtime
	Owner   string         // of all services
	Targets *Source        // of blackbox: a Prometheus configuration, or a list with "TARGET [MODULE]" a line
	Module  string         // of blackbox: the module of listed targets that name none
}

// Output is what an import made.
type Output struct {
	Files    []definition.File // services/<group>/<id>.yaml, ordered by path
	Services int
	Probes   int
	Notes    []Note   // in the order of the source's lines
	Secrets  []string // names that the definitions use, sorted; agents need AGENT_SECRET_<name>
	Assumed  int      // services whose channel is Options.Channel or its default
}

// Left counts the notes about what was not carried over.
func (o Output) Left() int {
	n := 0
	for _, note := range o.Notes {
		if note.Left {
			n++
		}
	}
	return n
}

// Note is one line of the report.
type Note struct {
	File string
	Line int
	What string // what was found; never a value that could be secret
	Why  string // why it was not carried over, or what was changed
	Left bool   // it was not carried over
}

// String returns "file:line: what: why".
func (n Note) String() string { return fmt.Sprintf("%s:%d: %s: %s", n.File, n.Line, n.What, n.Why) }

// formats is the table of sources.
var formats = []struct {
	name string
	read func(*job) error
}{
	{"gatus", gatus},
	{"blackbox", blackbox},
	{"uptime-kuma", kuma},
}

// Formats lists the names of the sources.
func Formats() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

// Import reads src, which is of the named format. Its error, often a *ReadError,
// means that the source cannot be read at all; what can only not be carried over
// is a note.
func Import(format string, src Source, o Options) (Output, error) {
	for _, f := range formats {
		if f.name != format {
			continue
		}
		j := &job{src: src, Options: o, ids: map[string]bool{}, noted: map[Note]bool{}, secrets: newVault()}
		if err := f.read(j); err != nil {
			return Output{}, err
		}
		return j.finish(), nil
	}
	return Output{}, fmt.Errorf("unknown format %q; want one of %s", format, strings.Join(Formats(), ", "))
}

// job is one import under way.
type job struct {
	Options
	src     Source
	drafts  []*draft
	ids     map[string]bool
	secrets *vault
	notes   []Note
	noted   map[Note]bool
	over    int // entries beyond MaxEntries
}

// left notes what is not carried over.
func (j *job) left(at place, what, why string, args ...any) {
	j.note(at, what, fmt.Sprintf(why, args...), true)
}

// changed notes what is carried over in another way.
func (j *job) changed(at place, what, why string, args ...any) {
	j.note(at, what, fmt.Sprintf(why, args...), false)
}

func (j *job) note(at place, what, why string, left bool) {
	if what = clip(what); what == "" {
		what = "an empty key"
	}
	n := Note{File: at.file, Line: at.line, What: what, Why: clip(why), Left: left}
	if !j.noted[n] { // a module is read again for each of its targets
		j.noted[n] = true
		j.notes = append(j.notes, n)
	}
}

// place is where in a source something stands.
type place struct {
	file string
	line int
}

// at is a place in the main source.
func (j *job) at(line int) place { return place{j.src.Name, line} }

// room reports whether there is room for one more entry, and notes the first that finds none.
func (j *job) room(at place) bool {
	if len(j.drafts) < MaxEntries {
		return true
	}
	if j.over++; j.over == 1 {
		j.left(at, "this entry and all after it", "want at most %d, got more; import the file in parts", MaxEntries)
	}
	return false
}

// finish compiles the drafts and orders what came of them.
func (j *job) finish() Output {
	var out Output
	used := map[string]bool{}
	for _, d := range j.drafts {
		f, c, ok := j.verify(d)
		if !ok {
			continue
		}
		out.Files = append(out.Files, f)
		out.Services++
		out.Probes += len(c.Probes())
		if d.assumed {
			out.Assumed++
		}
		for _, p := range c.Probes() {
			for _, name := range p.Secrets {
				used[name] = true
			}
		}
	}
	slices.SortFunc(out.Files, func(a, b definition.File) int { return strings.Compare(a.Path, b.Path) })
	out.Secrets = slices.Sorted(maps.Keys(used))
	out.Notes = j.secrets.redact(j.notes)
	slices.SortStableFunc(out.Notes, func(a, b Note) int {
		// The main source first, then the targets.
		return cmp.Or(order(a.File == j.src.Name, b.File == j.src.Name), strings.Compare(a.File, b.File), a.Line-b.Line)
	})
	return out
}

func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
