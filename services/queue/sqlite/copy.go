package sqlite

import (
	"context"
	"path/filepath"

	"github.com/clarity-loop/clarity/services/internal/litedb"
)

// Copy writes the messages in one directory, as they are at one moment, into
// another, whether or not a process has them open.
func Copy(ctx context.Context, from, to string) error {
	return litedb.Copy(ctx, filepath.Join(from, FileName), filepath.Join(to, FileName))
}

// Check is the error of messages in a directory that are not whole. It changes
// nothing, and no process has them open.
func Check(ctx context.Context, dir string) error {
	return litedb.Check(ctx, filepath.Join(dir, FileName))
}
