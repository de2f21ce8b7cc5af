// Clarity is the laptop binary: the whole platform in one process, and the
// tools to use it. `clarity help` lists the commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // days are local, also where the machine has no zones of its own
)

// version is set by the linker; without it the build's own information serves.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(exitCode(err, os.Stderr))
}

// commands is the written-out list, in the order of the help.
func commands() []command {
	return []command{
		{"demo", "", "Start a platform, upload four weeks, show the week's results", demo},
		{"up", "", "Run the platform in one process", up},
		{"token", "--user NAME", "Print a token of the local issuer, or revoke a person's", token},
		{"subject", "--user NAME", "Print the pseudonym that names a person in analysis jobs", subject},
		{"upload", "FILE…", "Upload exports as a phone would, with a verdict for each record", uploadFiles},
		{"analyze", "FILE", "Analyse a recording or an export offline, without a server", analyze},
		{"audit", "verify", "Check the audit log, entry by entry", auditVerify},
		{"model", "VERB", "Import, inspect, verify and export model versions", modelTool},
		{"dead", "", "List, replay or drop the messages that could not be handled", dead},
		{"keys", "VERB", "Count keys, and rotate them while the platform runs", keys},
		{"backup", "DIR", "Copy the data directory while the platform runs, without the keys", makeBackup},
		{"restore", "DIR", "Put a backup back, with everyone erased who was since", restore},
		{"fsck", "", "Look whether everything in a data directory is whole", fsck},
		{"version", "", "Print what this binary is made of", printVersion},
	}
}

// run does what the arguments say; main only adds the process around it.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		printHelp(stderr)
		return usagef("no command given")
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		if len(args) == 1 {
			printHelp(stdout)
			return nil
		}
		args = []string{args[1], "--help"}
	case "--version", "-version":
		args[0] = "version"
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, &call{command: c, args: args[1:], getenv: getenv, stdout: stdout, stderr: stderr})
		}
	}
	return usagef("there is no command %q; `clarity help` lists them", args[0])
}

// A notWholeError is something that was done, of which not all is whole.
type notWholeError struct{ text string }

// Error says what was done, and what of it is not whole.
func (e *notWholeError) Error() string { return e.text }

// exitCode prints the error, if any: 0 is success, 1 is failure, 2 is a usage error, 3 is
// that it was done and is not whole.
func exitCode(err error, stderr io.Writer) int {
	var usage *usageError
	var partly *notWholeError
	switch {
	case err == nil || errors.Is(err, errHelpShown):
		return 0
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(stderr, "clarity: %v\n", err)
		return 2
	case errors.As(err, &partly):
		_, _ = fmt.Fprintf(stderr, "clarity: %v\n", err)
		return 3
	case errors.Is(err, context.Canceled):
		_, _ = fmt.Fprintln(stderr, "clarity: interrupted")
	default:
		_, _ = fmt.Fprintf(stderr, "clarity: %v\n", err)
	}
	return 1
}
