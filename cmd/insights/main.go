// Insights puts Results into words, over drivers that any number of processes share. As the
// one with the least rights it is also what an operator says: dead letters, keys, pseudonyms.
// docs/operations/binaries.md is about it and the two beside it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // days are local, also where the image has no zones of its own

	"github.com/clarity-loop/clarity/cmd/internal/google"
	"github.com/clarity-loop/clarity/cmd/internal/operate"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/words"
	"github.com/clarity-loop/clarity/cmd/internal/serving"
)

// version is set by the linker; without it the build's own information serves.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "insights: %v\n", err)
	}
	os.Exit(serving.ExitCode(err))
}

// run does what the arguments say; main only adds the process around it.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) error {
	return serving.Binary{
		Name: "insights", Version: version,
		Does:     "Puts Results into words.",
		Form:     serving.Form{Table: words.Stages(), Examples: google.Examples()},
		Defaults: serving.Defaults(false), Drivers: drivers(getenv), Tools: operate.Tools("insights", stdin),
	}.Run(ctx, args, getenv, stdout, stderr)
}
