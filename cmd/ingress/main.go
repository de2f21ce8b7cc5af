// Ingress answers people's devices, over drivers that any number of processes share:
// the API, what devices are told, and the copies of what is held of a person.
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

	"github.com/clarity-loop/clarity/cmd/internal/embedded/plans"
	"github.com/clarity-loop/clarity/cmd/internal/google"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/edge"
	"github.com/clarity-loop/clarity/cmd/internal/serving"
)

// version is set by the linker; without it the build's own information serves.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "ingress: %v\n", err)
	}
	os.Exit(serving.ExitCode(err))
}

// run does what the arguments say; main only adds the process around it.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	return serving.Binary{
		Name: "ingress", Version: version,
		Does: "Answers people's devices: the API, what devices are told, and exports.",
		Form: serving.Form{Table: edge.Stages(), Examples: google.Examples(), Models: models},
		// Requests come until the last load balancer knows.
		Defaults: serving.Defaults(true), Drivers: drivers(getenv), Find: plans.FindModel,
	}.Run(ctx, args, getenv, stdout, stderr)
}
