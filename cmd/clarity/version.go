package main

import (
	"context"
	"fmt"
	"runtime/debug"
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
func describeBuild() string {
	v, commit, release := version, "unknown", "unknown go"
	if info, ok := debug.ReadBuildInfo(); ok {
		release = info.GoVersion
		if v == "" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				commit = s.Value[:min(12, len(s.Value))]
			case "vcs.modified":
				if s.Value == "true" {
					commit += "+changes"
				}
			}
		}
	}
	if v == "" {
		v = "(devel)"
	}
	return fmt.Sprintf("clarity %s (commit %s, %s)", v, commit, release)
}
