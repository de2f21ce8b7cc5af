package sqlite

import (
	"context"
	"path/filepath"

	"github.com/clarity-loop/clarity/services/internal/litedb"
)

// Copy writes the documents in one directory, as they are at one moment, into
// another, whether or not a process has them open.
func Copy(ctx context.Context, from, to string) error {
	return litedb.Copy(ctx, filepath.Join(from, FileName), filepath.Join(to, FileName))
}
