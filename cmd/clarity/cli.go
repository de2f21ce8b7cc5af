package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/clarity-loop/clarity/cmd/internal/settings"
)

// A command is one word behind `clarity`.
type command struct {
	name, args, summary string
	run                 func(ctx context.Context, c *call) error
}

// A call is one command line and where its output goes.
type call struct {
	command
	args           []string
	getenv         func(string) string
	stdout, stderr io.Writer
	help           func()  // the command's; flags sets it
	data           *string // the data directory's flag, if the command has it
}

// errHelpShown ends a command that was only asked for its help.
var errHelpShown = errors.New("help was shown")

// usageError is a command line that asks for what cannot be.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

func printHelp(w io.Writer) {
	say(w, "Clarity Loop: a phone's health data in, sleep and rhythm results out.\n\nUsage: clarity COMMAND [FLAGS]\n\n")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range commands() {
		say(tw, "  %s\t%s\n", strings.TrimSpace(c.name+" "+c.args), c.summary)
	}
	_ = tw.Flush()
	say(w, "\n`clarity COMMAND --help` lists a command's flags. Exit status: 0 success, 1 failure, 2 usage error.\n")
}

// flags is a flag set whose help is about text.
func (c *call) flags(text string) *flag.FlagSet {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	c.help = func() {
		say(c.stdout, "Usage: clarity %s [FLAGS]\n\n%s\n", strings.TrimSpace(c.name+" "+c.command.args), strings.TrimSpace(text))
		tw := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
		first := true
		fs.VisitAll(func(f *flag.Flag) {
			if first {
				say(tw, "\nFlags:\n")
				first = false
			}
			name, usage := flag.UnquoteUsage(f)
			if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "0s" {
				usage += " (default " + f.DefValue + ")"
			}
			say(tw, "  --%s\t%s\n", strings.TrimSpace(f.Name+" "+name), usage)
		})
		_ = tw.Flush()
	}
	return fs
}

// parse reads flags before, between and after the other arguments, and returns
// the others. What follows "--" is never a flag.
func (c *call) parse(fs *flag.FlagSet) ([]string, error) {
	args, tail := c.args, []string(nil)
	if i := slices.Index(args, "--"); i >= 0 {
		args, tail = args[:i], args[i+1:]
	}
	var rest []string
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				c.help()
				return nil, errHelpShown
			}
			return nil, usagef("%s: %s; `clarity %s --help` tells the flags", c.name, flagFault(fs, err), c.name)
		}
		args = fs.Args()
		if len(args) == 0 {
			if c.data != nil && *c.data == "" {
				return nil, usagef("name the data directory")
			}
			return append(rest, tail...), nil
		}
		rest, args = append(rest, args[0]), args[1:]
	}
}

// flagFault is what the library says of a flag, with two dashes, and with what
// the flag asks for in the place of "parse error".
func flagFault(fs *flag.FlagSet, err error) string {
	text := strings.ReplaceAll(err.Error(), " -", " --")
	said, unread := strings.CutSuffix(text, ": parse error")
	_, name, _ := strings.Cut(said[strings.LastIndex(said, " "):], " --")
	if f := fs.Lookup(name); unread && f != nil {
		return said + ", which is " + settings.Asked(f)
	}
	return text
}

// parseNone is parse for commands without other arguments.
func (c *call) parseNone(fs *flag.FlagSet) error {
	rest, err := c.parse(fs)
	if err == nil && len(rest) > 0 {
		return usagef("%s takes no argument, got %q", c.name, rest[0])
	}
	return err
}

// dataDefault is the data directory of who names none.
const dataDefault = "clarity-data"

// say writes for a person; a closed terminal is not worth an error.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
