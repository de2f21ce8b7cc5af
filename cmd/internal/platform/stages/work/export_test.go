package work

import "io"

// Closing is a Close that cannot fail.
func Closing(c func()) io.Closer { return closing(c) }
