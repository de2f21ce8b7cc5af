package datadir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/clarity-loop/clarity/cmd/internal/embedded"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/internal/durable"
)

const (
	// versionName is the file that says which layout the data directory has. One
	// without it is of the first.
	versionName = "VERSION"
	// layout is what this program writes, and the newest that it reads.
	layout = 3
)

// readVersion is which layout the directory has. One that a later release has laid
// out is refused, and one that was put back by half: nothing of it is opened, or changed.
func readVersion(dir string) (version int, err error) {
	if err := half(dir); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(filepath.Join(dir, versionName)) //nolint:gosec // the data directory is the caller's own
	if errors.Is(err, fs.ErrNotExist) {
		return 1, nil
	}
	if err != nil {
		return 0, Sentence(dir, err)
	}
	said := strings.TrimSpace(string(text))
	version, err = strconv.Atoi(said)
	if err != nil || version < 1 || strconv.Itoa(version) != said {
		return 0, fmt.Errorf("the data directory %s has a file %s that names no version: it is damaged, or not this program's; restore the file from a backup", dir, versionName)
	}
	if version > layout {
		return 0, fmt.Errorf("the data directory %s was written by a newer program (version %d, this one knows %d): nothing of it was changed; run that program", dir, version, layout)
	}
	return version, nil
}

// upgrade brings a directory of a release before to this layout; its keys are where
// they belong.
func upgrade(ctx context.Context, dir string, b platform.Backends, e platform.Env) error {
	version, err := readVersion(dir)
	if err != nil || version == layout {
		return err
	}
	found, err := embedded.Upgrade(ctx, b, e.Now)
	if err != nil {
		return err
	}
	if found > 0 && e.Log != nil {
		e.Log.Info("uploads that a release before has not merged are on the agenda", "uploads", found)
	}
	return writeVersion(dir)
}

// writeVersion says that the directory has this layout.
func writeVersion(dir string) error {
	path := filepath.Join(dir, versionName)
	f, err := os.CreateTemp(dir, ".version-*")
	if err != nil {
		return Sentence(dir, err)
	}
	_, err = fmt.Fprintln(f, layout)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(Sentence(dir, err), os.Remove(f.Name()))
	}
	return syncEntries(dir)
}

// syncEntries makes the directory's entries durable, and its own in what it lies in,
// which may be somebody else's.
func syncEntries(dir string) error {
	if err := errors.Join(durable.SyncDir(dir), durable.SyncEntry(dir)); err != nil {
		return Sentence(dir, err)
	}
	return nil
}
