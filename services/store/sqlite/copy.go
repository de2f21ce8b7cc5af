package sqlite

import (
	"context"
	"path/filepath"

	"github.com/clarity-loop/clarity/services/internal/litedb"
)

// Named says whether there are documents in the directory that lie under pseudonyms. It
// changes nothing, and a process may have them open.
func Named(ctx context.Context, dir string) (bool, error) {
	return litedb.Holds(ctx, filepath.Join(dir, FileName), `SELECT EXISTS (SELECT 1 FROM documents) AND EXISTS (SELECT 1 FROM names WHERE renamed > 0)`)
}

// Copy writes the documents in one directory, as they are at one moment, into
// another, whether or not a process has them open.
func Copy(ctx context.Context, from, to string) error {
	return litedb.Copy(ctx, filepath.Join(from, FileName), filepath.Join(to, FileName))
}
