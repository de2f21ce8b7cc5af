package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	// versionName is the file that says which layout the data directory has. One
	// without it is of the first.
	versionName = "VERSION"
	// layout is what this program writes, and the newest that it reads.
	layout = 1
)

// checkVersion refuses a directory that a later release has laid out: nothing
// of it is opened, or changed.
func checkVersion(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, versionName)) //nolint:gosec // the data directory is the caller's own
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return Sentence(dir, err)
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("the data directory %s has a file %s that names no version", dir, versionName)
	}
	if version > layout {
		return fmt.Errorf("the data directory %s was written by a newer program (version %d, this one knows %d): nothing of it was changed; run that program", dir, version, layout)
	}
	return nil
}

// writeVersion says which layout the directory has, where nothing does.
func writeVersion(dir string) error {
	path := filepath.Join(dir, versionName)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // as above
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return Sentence(dir, err)
	}
	_, err = fmt.Fprintln(f, layout)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(Sentence(dir, err), os.Remove(path))
	}
	return syncEntries(dir)
}

// syncEntries makes the directory's entries durable, and its own in what it lies in,
// which may be somebody else's.
func syncEntries(dir string) error {
	for _, d := range []string{dir, filepath.Dir(filepath.Clean(dir))} {
		f, err := os.Open(d) //nolint:gosec // the data directory is the caller's own
		if d != dir && errors.Is(err, fs.ErrPermission) {
			return nil
		}
		if err != nil {
			return Sentence(dir, err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return Sentence(dir, err)
		}
	}
	return nil
}
