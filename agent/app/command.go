package app

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// The exit codes that all commands share.
const (
	exitFailed = 1 // what was asked for could not be done, or found mistakes
	exitUsage  = 2 // the command or a setting is wrong
)

// command reads a subcommand's arguments.
type command struct {
	name   string // "probe"
	usage  string // what stands after "agent probe", and what it does
	flags  *flag.FlagSet
	stdout io.Writer
	stderr io.Writer
}

func newCommand(name, usage string, stdout, stderr io.Writer) *command {
	c := &command{name: name, usage: usage, flags: flag.NewFlagSet(name, flag.ContinueOnError), stdout: stdout, stderr: stderr}
	c.flags.SetOutput(io.Discard)
	return c
}

// words parses args, in which flags may stand before and after the words. When
// ok is false there is nothing left to do and code is the exit code: -help was
// asked for, or a mistake was told.
func (c *command) words(args []string) (words []string, code int, ok bool) {
	for {
		err := c.flags.Parse(args)
		switch {
		case errors.Is(err, flag.ErrHelp):
			fmt.Fprintf(c.stdout, "agent %s %s\n", c.name, c.usage)
			c.flags.SetOutput(c.stdout)
			c.flags.PrintDefaults()
			return nil, 0, false
		case err != nil:
			return nil, c.wrong("%v", err), false
		}
		if args = c.flags.Args(); len(args) == 0 {
			return words, 0, true
		}
		words, args = append(words, args[0]), args[1:]
	}
}

// wrong tells a mistake in the command itself and returns its exit code.
func (c *command) wrong(format string, args ...any) int {
	fmt.Fprintf(c.stderr, "agent %s: %s; agent %s -help says more\n", c.name, fmt.Sprintf(format, args...), c.name)
	return exitUsage
}

// failed tells what went wrong and returns code.
func (c *command) failed(code int, err error) int {
	fmt.Fprintf(c.stderr, "agent %s: %v\n", c.name, err)
	return code
}
