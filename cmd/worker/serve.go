package main

import (
	"context"
	"io"

	"github.com/clarity-loop/clarity/cmd/internal/embedded/plans"
	"github.com/clarity-loop/clarity/cmd/internal/google"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages/work"
	"github.com/clarity-loop/clarity/cmd/internal/serving"
)

// serveName is the command that stays: it leaves no last words, and has exit codes of
// its own.
const serveName = "serve"

// serve merges, analyses and erases until ctx ends.
func serve(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	return serving.Binary{
		Name: "worker " + serveName, Version: version,
		Does:     "Merges uploads, analyses weeks, sees to what is due, and erases people.",
		Form:     serving.Form{Table: work.Stages(), Examples: google.Examples(), Models: modelForms},
		Defaults: serving.Defaults(false), Drivers: drivers(getenv), Find: plans.FindModel,
	}.Run(ctx, args, getenv, stdout, stderr)
}
