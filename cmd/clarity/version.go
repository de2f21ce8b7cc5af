package main

import (
	"context"

	"github.com/clarity-loop/clarity/cmd/internal/buildinfo"
)

func printVersion(_ context.Context, c *call) error {
	fs := c.flags("Prints the version, the commit and the Go release this binary was built with.")
	if err := c.parseNone(fs); err != nil {
		return err
	}
	say(c.stdout, "%s\n", describeBuild())
	return nil
}

// describeBuild is "clarity VERSION (commit REVISION, go1.x)".
func describeBuild() string { return buildinfo.Of(version).Line("clarity") }
