// Package panicked is what may be told of a panic: where, and never with what.
package panicked

import (
	"fmt"
	"path"
	"runtime"
	"strings"
)

// Place names the file and line that panicked, as " at folder/file.go:12". It is
// called by the deferred function that recovered.
func Place() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for panicking := false; ; {
		f, more := frames.Next()
		runtimeOwn := strings.HasPrefix(f.Function, "runtime.")
		if panicking && !runtimeOwn {
			return fmt.Sprintf(" at %s/%s:%d", path.Base(path.Dir(f.File)), path.Base(f.File), f.Line)
		}
		panicking = panicking || runtimeOwn
		if !more {
			return ""
		}
	}
}
