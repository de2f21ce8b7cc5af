// Package buildinfo says what a program was built from: what the linker was told,
// and what the Go toolchain writes into every binary.
package buildinfo

import (
	"fmt"
	"runtime/debug"
)

// A Build is what a program was built from.
type Build struct {
	// Version is the release; "(devel)" where nobody said one.
	Version string `json:"version"`
	// Commit is the revision's first twelve digits, with "+changes" behind it
	// where the tree was not the commit's; "unknown" outside of a repository.
	Commit string `json:"commit"`
	// Go is the release of Go.
	Go string `json:"go"`
}

// Of is this program's build. linked is the version that the linker was told;
// without it the module's own serves.
func Of(linked string) Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{GoVersion: "unknown go"}
	}
	return of(linked, info)
}

func of(linked string, info *debug.BuildInfo) Build {
	b := Build{Version: linked, Commit: "unknown", Go: info.GoVersion}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "(devel)"
	}
	changes := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				changes = "+changes"
			}
		}
	}
	b.Commit += changes
	return b
}

// ExitUsage is what a program ends with that refuses the arguments of version.
const ExitUsage = 2

// Refuse is the error for what stands behind the word version; nil for nothing.
func Refuse(arguments []string) error {
	if len(arguments) == 0 {
		return nil
	}
	return fmt.Errorf("version takes no argument, got %.40q", arguments[0])
}

// Line is "PROGRAM VERSION (commit REVISION, go1.x)".
func (b Build) Line(program string) string {
	return fmt.Sprintf("%s %s (commit %s, %s)", program, b.Version, b.Commit, b.Go)
}
