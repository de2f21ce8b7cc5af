package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	storesqlite "github.com/clarity-loop/clarity/services/store/sqlite"
)

// CheckWhole is the error of a data directory whose keys or documents are not where they
// belong: of all that is wrong with it.
func CheckWhole(ctx context.Context, dir string, b platform.Backends) error {
	return errors.Join(checkKeys(ctx, dir, b), checkDocuments(dir, b))
}

// checkDocuments is the error of a data directory that holds objects and no documents:
// begun anew it would know nobody, and take what it holds of people for what nobody
// needs.
func checkDocuments(dir string, b platform.Backends) error {
	documents, objects := placeOf(b.Store, "sqlite"), placeOf(b.Blobs, "files")
	if documents == "" || objects == "" || filepath.Dir(objects) != documents {
		return nil
	}
	for _, name := range []string{storesqlite.FileName, storesqlite.FileName + "-wal"} {
		if info, err := os.Stat(filepath.Join(documents, name)); err == nil && info.Size() > 0 {
			return nil
		}
	}
	if there, err := hasSegments(objects); err != nil || !there {
		return err
	}
	return fmt.Errorf("the documents of the data directory %s, %s, are gone or empty, and its objects are there: put them back, or restore a backup; without them nothing of it is found", dir, storesqlite.FileName)
}

// hasSegments says whether there is any object in the directory.
func hasSegments(objects string) (bool, error) {
	segments, err := fs.Glob(os.DirFS(objects), "*.seg")
	return len(segments) > 0, err
}
