package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/cmd/internal/buildinfo"
	"github.com/clarity-loop/clarity/cmd/internal/emulators"
	"github.com/clarity-loop/clarity/cmd/internal/serving"
	"github.com/clarity-loop/clarity/cmd/internal/settings"
)

// An exitError ends the process with its code. The reason is its word, where a
// command has one of its own for it.
type exitError struct {
	code   int
	err    error
	reason string
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// invalidf is input that can never be right.
func invalidf(format string, args ...any) error {
	return &exitError{code: worker.ExitInvalidInput, err: fmt.Errorf(format, args...)}
}

func exitCode(err error) int {
	var exit *exitError
	var usage *serving.UsageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &usage):
		return serving.ExitCode(err)
	case errors.As(err, &exit):
		return exit.code
	}
	return worker.ExitRetry
}

// A command is one word behind `worker`. It returns what goes into the
// termination message, and the error that decides the exit code.
type command struct {
	name, summary string
	run           func(ctx context.Context, c *call) (message any, err error)
}

// A call is one command line and its surroundings.
type call struct {
	command
	args           []string
	getenv         func(string) string
	stdout, stderr io.Writer

	development bool
	log         *slog.Logger
}

func help(w io.Writer, err error) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "Usage: worker COMMAND [FLAGS]\n\nCommands:")
	for _, c := range commands() {
		_, _ = fmt.Fprintf(tw, "  %s\t%s\n", c.name, c.summary)
	}
	_, _ = fmt.Fprintf(tw, "  %s\tMerge, analyse and erase until it is told to stop\n", serveName)
	_, _ = fmt.Fprintln(tw, "  version\tPrint what this binary was built from")
	_ = tw.Flush()
	_, _ = fmt.Fprintf(w, "\nExit status: 0 success, %d temporary failure (retry), %d invalid input (do not retry), %d wrong configuration; %d where version is given an argument, or serve a wrong configuration.\n", worker.ExitRetry, worker.ExitInvalidInput, worker.ExitConfiguration, buildinfo.ExitUsage)
	return err
}

// do runs the command and leaves its message where the cluster looks for it. A
// command that only showed its help is done and has none.
func (c command) do(ctx context.Context, l *call) error {
	message, err := c.run(ctx, l)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return errors.Join(err, l.leave(message))
}

// configure reads what the environment says of the worker as such. The call has
// a log from then on, whatever else is wrong.
func (c *call) configure() error {
	var faults []error
	var level slog.Level
	if s := c.getenv("CLARITY_LOG_LEVEL"); s != "" && level.UnmarshalText([]byte(s)) != nil {
		faults = append(faults, fmt.Errorf("CLARITY_LOG_LEVEL is debug, info, warn or error, not %.20q", s))
	}
	c.log = slog.New(settings.JSONLog(c.stderr, level)).With("command", c.name)
	var err error
	c.development, err = emulators.Development(c.getenv)
	if err := errors.Join(append(faults, err, emulators.Refuse(c.getenv, c.development))...); err != nil {
		return &exitError{code: worker.ExitConfiguration, err: err}
	}
	return nil
}

// duration is an environment variable's, or the default.
func (c *call) duration(name string, def, most time.Duration) (time.Duration, error) {
	s := c.getenv(name)
	if s == "" {
		return def, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > most {
		return 0, &exitError{code: worker.ExitConfiguration, err: fmt.Errorf("%s is a duration of at most %v, not %.20q", name, most, s)}
	}
	return d, nil
}

// isEndpoint holds what a flag says to the form of a server's address.
func isEndpoint(flag, s string) error {
	if host, port, err := net.SplitHostPort(strings.TrimPrefix(s, "dns:///")); err != nil || host == "" || port == "" {
		return invalidf("%s is HOST:PORT, not %.80q", flag, s)
	}
	return nil
}

// parsed reads the environment and the command's arguments. What is wrong with
// the arguments can never be right, except that help was asked for; what is wrong
// with the environment comes first, as it concerns every command.
func parsed[T any](c *call, parse func(args []string, help io.Writer) (T, error)) (T, error) {
	configuration := c.configure()
	a, err := parse(c.args, c.stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return a, err
	case configuration != nil:
		return a, configuration
	case err != nil:
		return a, &exitError{code: worker.ExitInvalidInput, err: err}
	}
	return a, nil
}

// scratch is a folder for what is fetched, and what removes it.
func (c *call) scratch() (dir string, done func(), err error) {
	dir, err = os.MkdirTemp("", "worker-")
	if err != nil {
		return "", nil, fmt.Errorf("make a scratch directory: %w", err)
	}
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			c.log.Warn("scratch directory not removed", "err", err)
		}
	}, nil
}
