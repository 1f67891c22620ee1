package definition

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/gengfu/gengfu/probes"
)

// MaxFiles bounds the files of one revision.
const MaxFiles = 5000

// place is which part of the definitions a file belongs to.
type place int

const (
	placeElsewhere place = iota // not ours: a README, a CI configuration
	placeService
	placeCalendar
	placeRoutes
	placeSilence
	placeRoot    // a certificate that probes name among their roots
	placeUnknown // a YAML file at the top that nobody reads
)

// placeOf decides by the path alone.
func placeOf(name string) place {
	ext := path.Ext(name)
	if (ext == ".pem" || ext == ".crt") && strings.HasPrefix(name, "roots/") && !hidden(name) {
		return placeRoot
	}
	if ext != ".yaml" && ext != ".yml" || hidden(name) {
		return placeElsewhere
	}
	dir, _, nested := strings.Cut(name, "/")
	switch {
	case !nested && strings.TrimSuffix(name, ext) == "calendar":
		return placeCalendar
	case !nested && strings.TrimSuffix(name, ext) == "routes":
		return placeRoutes
	case !nested:
		return placeUnknown
	case dir == "services":
		return placeService
	case dir == "silences":
		return placeSilence
	}
	return placeElsewhere
}

func hidden(name string) bool {
	return strings.HasPrefix(name, ".") || strings.Contains(name, "/.")
}

// Relevant reports whether the file at path (slash-separated, relative to the
// definitions' folder) is read by Compile. Everything else may be left behind.
func Relevant(path string) bool { return placeOf(path) != placeElsewhere }

// Compile makes a catalog of the files, or returns all their mistakes as
// Mistakes. The same files, revision and kinds always give the same catalog.
func Compile(rev Revision, files []File, kinds []probes.Kind) (*Catalog, error) {
	c := &compiler{
		kinds: kinds, catalog: &Catalog{Revision: rev, index: map[probes.Key]probes.Probe{}},
		services: map[string]string{}, singles: map[place]string{}, roots: map[string][]byte{},
	}
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	c.files(files)
	c.crossCheck()
	if len(c.mistakes) > 0 {
		return nil, c.mistakes.sorted()
	}
	return c.finish(files)
}

// compiler gathers one catalog and its mistakes.
type compiler struct {
	kinds    []probes.Kind
	catalog  *Catalog
	services map[string]string // where each id was defined
	singles  map[place]string  // calendar.yaml and routes.yaml exist once
	refs     []reference       // to services, checked when all are known
	roots    map[string][]byte // the files in roots/, by path
	mistakes Mistakes
}

// reference is a service's id used outside its definition.
type reference struct {
	id, file  string
	line, col int
	path      string
}

func (c *compiler) wrong(file string, line, col int, format string, args ...any) {
	c.mistakes = append(c.mistakes, Mistake{File: file, Line: line, Column: col, Text: fmt.Sprintf(format, args...)})
}

func (c *compiler) files(files []File) {
	if len(files) > MaxFiles {
		c.wrong("services", 0, 0, "want at most %d files, got %d; split the repository", MaxFiles, len(files))
		return
	}
	for _, f := range files {
		if placeOf(f.Path) == placeRoot {
			c.roots[f.Path] = f.Data
		}
	}
	total := 0
	for i, f := range files {
		at := placeOf(f.Path)
		switch {
		case at == placeElsewhere:
			continue
		case !fs.ValidPath(f.Path):
			c.wrong(f.Path, 0, 0, "want a path inside the definitions' folder")
			continue
		case i > 0 && files[i-1].Path == f.Path:
			c.wrong(f.Path, 0, 0, "the file is given twice")
			continue
		case at == placeUnknown:
			c.wrong(f.Path, 0, 0, "unknown file; want calendar.yaml, routes.yaml, services/….yaml or silences/….yaml: move it there or rename it")
			continue
		}
		if total += len(f.Data); total > MaxTotalSize {
			c.wrong(f.Path, 0, 0, "want at most %d bytes in all files together; split the repository", MaxTotalSize)
			return
		}
		if at == placeRoot {
			if len(f.Data) > MaxFileSize {
				c.wrong(f.Path, 0, 0, "want at most %d bytes; leave out what is no certificate", MaxFileSize)
			}
			continue
		}
		n, mistakes := parse(f)
		c.mistakes = append(c.mistakes, mistakes...)
		if n == nil {
			continue
		}
		c.file(at, f.Path, n)
	}
}

func (c *compiler) file(at place, name string, n *node) {
	if at == placeCalendar || at == placeRoutes {
		if first, twice := c.singles[at]; twice {
			c.wrong(name, 0, 0, "want one such file, got %s too; delete one", first)
			return
		}
		c.singles[at] = name
	}
	switch at {
	case placeService:
		c.service(name, n)
	case placeCalendar:
		c.calendar(name, n)
	case placeRoutes:
		c.routes(name, n)
	case placeSilence:
		c.silence(name, n)
	}
}

// crossCheck looks at what only all files together can tell.
func (c *compiler) crossCheck() {
	for _, r := range c.refs {
		if _, ok := c.services[r.id]; !ok {
			c.wrong(r.file, r.line, r.col, "%s: unknown service %q; %s", r.path, probes.Excerpt(r.id), offerServices(r.id, c.services))
		}
	}
	if len(c.services) == 0 && len(c.mistakes) == 0 {
		c.wrong("services", 0, 0, "no service is defined; put at least one file into services/, or correct the folder that was configured")
	}
}

func offerServices(got string, known map[string]string) string {
	ids := make([]string, 0, len(known))
	for id := range known {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if len(got) <= 64 && distance(id, got) <= 2 {
			return fmt.Sprintf("did you mean %q?", id)
		}
	}
	return "write the id of a service in services/"
}

func (c *compiler) finish(files []File) (*Catalog, error) {
	out := c.catalog
	slices.SortFunc(out.Services, func(a, b probes.Service) int { return strings.Compare(a.ID, b.ID) })
	if out.Calendar.Rounds == nil {
		out.Calendar.Rounds = slices.Clone(defaultRounds)
	}
	out.Revision.ServiceIDs, out.Revision.ProbeIDs = len(out.Services), 0
	for _, s := range out.Services {
		out.Revision.ProbeIDs += len(s.Probes)
		for _, p := range s.Probes {
			out.index[p.Key] = p
		}
	}
	if out.Revision.Digest == "" {
		_, digest, err := Pack(out.Revision, files)
		if err != nil {
			return nil, err
		}
		out.Revision.Digest = digest
	}
	return out, nil
}

// defaultRounds are those of the daily record when calendar.yaml names none.
var defaultRounds = []time.Duration{9 * time.Hour, 14 * time.Hour, 17 * time.Hour}
