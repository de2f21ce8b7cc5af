// Package serving is the command line of the binaries that run stages of the platform
// until they are told to stop, and what it shares with `clarity up`: the flags, and
// the list of what would run.
package serving

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/buildinfo"
	"github.com/clarity-loop/clarity/cmd/internal/emulators"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
	"github.com/clarity-loop/clarity/cmd/internal/settings"
)

// A Binary is one that runs stages. Its Form's table is all that it can run.
type Binary struct {
	Form
	Name    string // as it is called
	Does    string // in a line
	Version string // that the linker was told
	// Defaults are what nobody has to say; the stages are all of the table's.
	Defaults platform.Config
	Drivers  platform.Drivers
	// Find says whether the model that a reference names is there, and is asked where a
	// stage needs one. Nil finds all.
	Find func(model string) error
	// Tools are what else it does, beside `audit verify`, which it has where a stage needs
	// the audit log.
	Tools []Tool
}

// Defaults are those of a process of many: in a pod, behind what sees to TLS. lingers is
// whether others send it requests.
func Defaults(lingers bool) platform.Config {
	c := platform.Config{
		Backends: platform.Backends{Model: "none", Writer: "template"},
		Listen:   platform.Listen{API: ":8080", Open: true, Admin: ":9090"},
		Worker:   platform.Worker{Look: time.Second}, // documents are billed, also of looks at nothing
		Erasure:  platform.Erasure{Look: 10 * time.Second},
		Stop:     platform.Stop{Grace: 50 * time.Second},
		Log:      platform.Log{Format: "json", Level: "info"},
		Traces:   platform.Traces{Ratio: .01},
	}
	if lingers {
		c.Stop.Linger = 10 * time.Second
	}
	return c
}

const help = `Configured by flags, over the environment ($CLARITY_STORE is --store), over the YAML
file of --config. Every fault is told at once; --check tells them, or what would
run, and opens nothing. The first line on standard output is "ready"; the log goes
to standard error. SIGTERM stops it within --grace.

Exit status: 0 a clean stop, 1 failure, 2 a wrong configuration or command line.
`

// A UsageError is a command line or a configuration that asks for what cannot be.
type UsageError struct{ Text string }

func (e *UsageError) Error() string { return e.Text }

// ExitCode is what a process with the error ends with.
func ExitCode(err error) int {
	var usage *UsageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		return buildinfo.ExitUsage
	}
	return 1
}

// said is what the command line asked for.
type said struct {
	config                 platform.Config
	check, version, helped bool
	tool                   *Tool  // nil serves
	argument               string // the tool's
	faults                 []error
	log                    *slog.Logger
}

// Run does what the arguments say, until ctx ends.
func (b Binary) Run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	s, err := b.read(args, getenv, stdout, stderr)
	switch {
	case err != nil || s.helped:
		return err
	case s.version:
		_, err := fmt.Fprintln(stdout, buildinfo.Of(b.Version).Line(b.Name))
		return err
	}
	if err := errors.Join(s.faults...); err != nil {
		return &UsageError{strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	switch {
	case s.check:
		tw := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
		if s.tool == nil {
			b.Print(tw, s.config)
		} else {
			printDrivers(tw, s.config.Backends, s.tool.Needs)
		}
		return tw.Flush()
	case s.tool != nil:
		return b.use(ctx, s, stdout)
	}
	return b.serve(ctx, s, stdout)
}

// read reads the command line, and what it leaves open.
func (b Binary) read(args []string, getenv func(string) string, stdout, stderr io.Writer) (*said, error) {
	s := &said{config: b.Defaults}
	s.config.Stages = b.names()
	flags := flag.NewFlagSet(b.Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	b.Flags(flags, &s.config)
	if b.Drivers.Traces != nil {
		flags.StringVar(&s.config.Traces.To, "traces", s.config.Traces.To, "`URL` of the collector that traces go to, by OTLP/gRPC: http://HOST:PORT in the clear, or https://HOST:PORT; none if empty")
		flags.Float64Var(&s.config.Traces.Ratio, "traces-ratio", s.config.Traces.Ratio, "which `RATIO` of the traces is kept, 0 to 1, beside all that failed")
	}
	file := flags.String("config", getenv(settings.Variable("config")), "YAML `FILE` of what the flags say, and of what only it can say")
	flags.BoolVar(&s.check, "check", false, "tell what is wrong, or what would run, and open nothing")
	flags.BoolVar(&s.version, "version", false, "print what this program was built from, and end")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) || err == nil && flags.NArg() == 1 && flags.Arg(0) == "help" {
		s.helped = true
		return s, b.help(flags, stdout)
	}
	if err != nil {
		return nil, &UsageError{err.Error() + "; --help tells the flags"}
	}
	rest := flags.Args()
	if len(rest) > 0 && rest[0] == "version" {
		s.version, rest = true, rest[1:]
	}
	if s.version {
		if err := buildinfo.Refuse(rest); err != nil {
			return nil, &UsageError{err.Error()}
		}
		return s, nil
	}
	if s.tool, s.argument, err = b.tool(rest); err != nil {
		return nil, err
	}
	reading := settings.Read(flags, &s.config, *file, getenv, "config", "check", "version")
	development, developing := emulators.Development(getenv)
	var logging error
	s.log, logging = s.config.Log.Logger(stderr, b.program(), buildinfo.Of(b.Version).Version)
	s.faults = append([]error{reading, developing, emulators.Refuse(getenv, development), logging}, b.faults(s, reading)...)
	return s, nil
}

// faults are those of what was said, for what is to be done with it.
func (b Binary) faults(s *said, reading error) []error {
	switch {
	case errors.As(reading, new(*fs.PathError)): // what is missing elsewhere stands in the file
		return nil
	case s.tool != nil:
		return []error{b.Drivers.Check(s.config.Backends, s.tool.Needs)}
	}
	faults := []error{s.config.Validate(b.Drivers, b.Table)}
	if b.Find != nil && s.config.Needs(b.Table).Has(capability.Model) {
		faults = append(faults, b.Find(s.config.Backends.Model))
	}
	return faults
}

// program is the file's name, without the command behind it.
func (b Binary) program() string {
	name, _, _ := strings.Cut(b.Name, " ")
	return name
}

func (b Binary) help(fs *flag.FlagSet, w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(tw, "Usage: %s [FLAGS]\n", b.Name)
	for _, tool := range b.tools() {
		_, _ = fmt.Fprintf(tw, "       %s [FLAGS] %s\t%s\n", b.Name, tool.line(), tool.Does)
	}
	_, _ = fmt.Fprintf(tw, "\n%s\n\n%s\nFlags:\n", b.Does, help)
	fs.VisitAll(func(f *flag.Flag) {
		name, usage := flag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0s" {
			usage += " (default " + f.DefValue + ")"
		}
		_, _ = fmt.Fprintf(tw, "  --%s\t%s\n", strings.TrimSpace(f.Name+" "+name), usage)
	})
	return tw.Flush()
}

// serve opens the platform and runs it.
func (b Binary) serve(ctx context.Context, s *said, stdout io.Writer) error {
	env := platform.Env{Now: time.Now, Log: s.log, Name: b.program(), Version: buildinfo.Of(b.Version).Line(b.Name)}
	p, err := platform.Open(ctx, s.config, b.Drivers, b.Table, env)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil { // a clean stop, as after ready
		s.log.Info("stopped")
		return nil //nolint:nilerr // being told to stop is no error
	}
	if err != nil {
		return err
	}
	if _, err := io.WriteString(stdout, strings.TrimSpace("ready "+p.URL())+"\n"); err != nil {
		s.log.Warn("standard output is closed", "err", err)
	}
	return p.Run(ctx)
}
