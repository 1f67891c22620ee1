package app

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/gengfu/gengfu/agent/importer"
	"github.com/gengfu/gengfu/probes"
	"github.com/gengfu/gengfu/probes/definition"
	"github.com/gengfu/gengfu/probes/kinds"
)

// Import runs "agent import FORMAT FILE": it writes definitions, and prints line
// by line what it could not carry over. It returns the exit code: 0 when all was
// carried over, 3 when something was left, 1 when the file cannot be read or a
// definition not be written, 2 for a wrong command.
func Import(args []string, stdout, stderr io.Writer) int {
	c := importCommand{out: stdout}
	flags := flag.NewFlagSet("agent import", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&c.dir, "o", ".", "the definitions' `folder`; files go below services/")
	flags.BoolVar(&c.force, "force", false, "overwrite files that exist")
	flags.BoolVar(&c.dry, "n", false, "print the report, write nothing")
	flags.StringVar(&c.targets, "targets", "", "of blackbox: a prometheus.yml, a `file` of \"TARGET [MODULE]\" lines, or targets separated by commas")
	flags.StringVar(&c.module, "module", "", "of blackbox: the `module` of listed targets that name none (http_2xx)")
	flags.StringVar(&c.channel, "channel", "", "the `channel` of services whose group names none (portal for web addresses, else runtime)")
	flags.StringVar(&c.owner, "owner", "", "the `office` in charge of the services")
	var words []string
	for len(args) > 0 { // flags may stand before and after the words
		if err := flags.Parse(args); err != nil {
			return 2
		}
		if args = flags.Args(); len(args) > 0 {
			words, args = append(words, args[0]), args[1:]
		}
	}
	if len(words) != 2 || !slices.Contains(importer.Formats(), words[0]) {
		fmt.Fprintf(stderr, "agent import: want a format and a file: agent import %s FILE [-o DIR]\n", strings.Join(importer.Formats(), "|"))
		return 2
	}
	if c.channel != "" && !probes.Channel(c.channel).Known() {
		fmt.Fprintf(stderr, "agent import: -channel: want one of %v, got %q\n", probes.Channels(), c.channel)
		return 2
	}
	c.format, c.file = words[0], words[1]
	code, err := c.run()
	if err != nil {
		fmt.Fprintln(stderr, "agent import:", err)
	}
	return code
}

// importCommand is one import with its options.
type importCommand struct {
	out                           io.Writer
	format, file                  string
	dir, targets, module, channel string
	owner                         string
	force, dry                    bool
}

func (c *importCommand) run() (int, error) {
	src, err := readSource(c.file)
	if err != nil {
		return 1, err
	}
	o := importer.Options{Kinds: kinds.All(), Channel: probes.Channel(c.channel), Owner: c.owner, Module: c.module}
	if c.targets != "" {
		t, err := c.readTargets()
		if err != nil {
			return 1, err
		}
		o.Targets = &t
	}
	made, err := importer.Import(c.format, src, o)
	if err != nil {
		return 1, err
	}
	for _, n := range made.Notes {
		fmt.Fprintln(c.out, n)
	}
	if len(made.Files) > 0 && !c.dry {
		if err := c.write(made.Files); err != nil {
			return 1, err
		}
	}
	c.summary(made)
	if made.Left() > 0 {
		return 3, nil
	}
	return 0, nil
}

func (c *importCommand) summary(made importer.Output) {
	if len(made.Secrets) > 0 {
		fmt.Fprint(c.out, "secrets: set on the agents:")
		for _, name := range made.Secrets {
			fmt.Fprintf(c.out, " %sSECRET_%s", Prefix, name)
		}
		fmt.Fprintln(c.out)
	}
	if made.Assumed > 0 {
		fmt.Fprintf(c.out, "channel: nothing names it for %d of %d services; it was set by -channel or by the kind of address: check it\n", made.Assumed, made.Services)
	}
	did := "wrote to " + c.dir
	if c.dry {
		did = "would write to " + c.dir
	}
	fmt.Fprintf(c.out, "%s: %d services, %d probes; not carried over: %d, changed: %d\n", did, made.Services, made.Probes, made.Left(), len(made.Notes)-made.Left())
}

// readSource reads a file, one byte more than can be imported at most, so that
// the importer says by how much a file is too large.
func readSource(name string) (importer.Source, error) {
	f, err := os.Open(name)
	if err != nil {
		return importer.Source{}, fmt.Errorf("opening the source: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, importer.MaxSize+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return importer.Source{}, fmt.Errorf("reading the source: %w", err)
	}
	return importer.Source{Name: name, Data: data}, nil
}

// readTargets reads -targets, which is a file unless it looks like addresses.
func (c *importCommand) readTargets() (importer.Source, error) {
	if _, err := os.Stat(c.targets); err != nil && strings.ContainsAny(c.targets, ":,") {
		return importer.Source{Name: "-targets", Data: []byte(strings.ReplaceAll(c.targets, ",", "\n"))}, nil
	}
	return readSource(c.targets)
}

// write puts the files into the definitions' folder. It writes none when one
// exists already or clashes with what is there.
func (c *importCommand) write(files []definition.File) error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return fmt.Errorf("making the definitions' folder: %w", err)
	}
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return fmt.Errorf("opening the definitions' folder: %w", err)
	}
	defer root.Close()
	var errs []error
	for _, f := range files {
		switch _, err := root.Lstat(f.Path); {
		case err == nil && !c.force:
			errs = append(errs, fmt.Errorf("%s exists; move it away, or overwrite it by -force", path.Join(c.dir, f.Path)))
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			errs = append(errs, fmt.Errorf("looking for %s: %w", f.Path, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := c.clashes(files); err != nil {
		return err
	}
	for _, f := range files {
		if err := c.put(root, f); err != nil {
			return fmt.Errorf("writing %s: %w", path.Join(c.dir, f.Path), err)
		}
	}
	return nil
}

func (c *importCommand) put(root *os.Root, f definition.File) error {
	if err := root.MkdirAll(path.Dir(f.Path), 0o755); err != nil {
		return err
	}
	how := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if c.force {
		how = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	out, err := root.OpenFile(f.Path, how, 0o644)
	if err != nil {
		return err
	}
	_, err = out.Write(f.Data)
	return errors.Join(err, out.Close())
}

// clashes compiles what is there with what would be, and returns the mistakes
// that come of it, such as an id that another service has.
func (c *importCommand) clashes(files []definition.File) error {
	there, err := definition.ReadDir(c.dir)
	if err != nil {
		return fmt.Errorf("reading the definitions' folder: %w", err)
	}
	before := map[string]bool{}
	for _, m := range mistakesOf(there) {
		before[m.Error()] = true
	}
	replaced := map[string]bool{}
	for _, f := range files {
		replaced[f.Path] = true
	}
	all := slices.DeleteFunc(there, func(f definition.File) bool { return replaced[f.Path] })
	var errs []error
	for _, m := range mistakesOf(append(all, files...)) {
		if !before[m.Error()] {
			errs = append(errs, m)
		}
	}
	return errors.Join(errs...)
}

func mistakesOf(files []definition.File) definition.Mistakes {
	var out definition.Mistakes
	if _, err := definition.Compile(definition.Revision{}, files, kinds.All()); err != nil {
		errors.As(err, &out)
	}
	return out
}
