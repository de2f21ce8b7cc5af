// Worker is what runs in the cluster's pods: it verifies, fetches and validates
// model versions for the operator, computes the shards of analysis jobs, and serves.
// `worker help` lists the commands; docs/operations/worker.md is about them.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // days are local, also where the image has no zones of its own

	"github.com/clarity-loop/clarity/api/worker"
	"github.com/clarity-loop/clarity/cmd/internal/buildinfo"
)

// version is set by the linker; without it the build's own information serves.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "worker: %v\n", err)
	}
	os.Exit(exitCode(err))
}

// commands is the written-out list, in the order in which a version and a job meet them.
func commands() []command {
	return []command{
		{worker.Verify, "Check a bundle and its golden set against what was declared", verify},
		{worker.Fetch, "Write a bundle into a server's model repository", fetch},
		{worker.Validate, "Ask a version's server for its golden vectors", validate},
		{worker.Shard, "Compute one shard of an analysis job", shardOf},
	}
}

// run does what the arguments say; main only adds the process around it.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return help(stderr, invalidf("no command given"))
	}
	switch args[0] {
	case "help", "-h", "--help":
		return help(stdout, nil)
	case "version", "-version", "--version":
		if err := buildinfo.Refuse(args[1:]); err != nil {
			return &exitError{code: buildinfo.ExitUsage, err: err}
		}
		_, err := fmt.Fprintln(stdout, buildinfo.Of(version).Line("worker"))
		return err
	}
	if args[0] == serveName {
		return serve(ctx, args[1:], getenv, stdout, stderr)
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.do(ctx, &call{command: c, args: args[1:], getenv: getenv, stdout: stdout, stderr: stderr})
		}
	}
	return help(stderr, invalidf("there is no command %.40q", args[0]))
}
