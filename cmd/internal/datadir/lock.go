package datadir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/clarity-loop/clarity/internal/dirlock"
)

// lockName is the lock file of a data directory as a whole; drivers have locks
// of their own beside it, of the same kind.
const lockName = "clarity.lock"

// probe makes the data directory and writes to it what a platform needs at
// once, so that a disk that takes nothing is told of in one sentence.
func probe(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Sentence(dir, err)
	}
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return Sentence(dir, err)
	}
	_, err = f.Write(make([]byte, 256<<10))
	if err == nil {
		err = f.Sync()
	}
	return Sentence(dir, errors.Join(err, f.Close(), os.Remove(f.Name())))
}

// lock takes the data directory; release gives it back.
func lock(dir string) (release func() error, err error) {
	release, err = dirlock.LockFile(filepath.Join(dir, lockName))
	return release, Sentence(dir, err)
}

// orUnmade is release, which then removes a directory that was made for a platform
// that did not come to write anything: one that could not start leaves no trace.
func orUnmade(dir string, release func() error) func() error {
	return func() error {
		entries, err := os.ReadDir(dir)
		if err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() != lockName && e.Name() != versionName }) {
			for _, e := range entries {
				err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
			}
			err = errors.Join(err, os.Remove(dir))
		}
		return errors.Join(err, release())
	}
}

// mustExist keeps a mistyped directory from becoming a new, empty one.
func mustExist(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Fault{Path: dir, Told: dataFlag, Cause: err}
	case err == nil && !info.IsDir():
		return Sentence(dir, fs.ErrExist)
	}
	return Sentence(dir, err)
}
