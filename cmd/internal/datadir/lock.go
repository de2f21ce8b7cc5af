package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
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

// keysLockName is the file in a keyring that the platform holds which runs on it.
const keysLockName = "owner.lock"

// withKeys takes the keys, too, where they are there and the directory has documents of its
// own, and returns whether it did, and what gives both back: two directories on one ring
// would each destroy the keys of what the other holds. Where it fails the directory is
// still held.
func withKeys(dir string, b platform.Backends, release func() error) (held bool, both func() error, err error) {
	at := ownKeys(dir, b)
	if at == "" || !isThere(at) {
		return false, release, nil
	}
	both, err = takeKeys(dir, at, release)
	return err == nil, both, err
}

// withNewKeys is withKeys for keys that are to be made, unless they are held: of two
// platforms that would make them one does.
func withNewKeys(dir string, b platform.Backends, release func() error, held bool) (both func() error, err error) {
	at := ownKeys(dir, b)
	if at == "" || held {
		return release, nil
	}
	if err := os.MkdirAll(at, 0o700); err != nil {
		return release, Sentence(dir, &platform.OpenError{Of: "keys", Driver: "tink", At: at, Cause: err})
	}
	if both, err = takeKeys(dir, at, release); err != nil {
		return both, err
	}
	return orUnmade(at, both, keysLockName), nil
}

// ownKeys is where the keys are of a directory that has documents of its own; else "".
func ownKeys(dir string, b platform.Backends) string {
	at, keys := strings.CutPrefix(b.Keys, "tink:")
	documents, own := strings.CutPrefix(b.Store, "sqlite:")
	if !keys || !own || !within(documents, dir) {
		return ""
	}
	return at
}

func takeKeys(dir, at string, release func() error) (both func() error, err error) {
	leave, err := dirlock.LockFile(filepath.Join(at, keysLockName))
	var inUse *dirlock.InUseError
	if errors.As(err, &inUse) {
		return release, fmt.Errorf("the keys at %s are in use by a platform on another data directory, and whoever is erased there would be noise in %s: stop that one, or choose other --keys", at, dir)
	}
	if err != nil {
		return release, Sentence(dir, &platform.OpenError{Of: "keys", Driver: "tink", At: at, Cause: err})
	}
	return func() error { return errors.Join(leave(), release()) }, nil
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// orUnmade is release, which then removes a directory that was made for a platform
// that did not come to write anything but these files: one that could not start leaves
// no trace.
func orUnmade(dir string, release func() error, files ...string) func() error {
	return func() error {
		entries, err := os.ReadDir(dir)
		if err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !slices.Contains(files, e.Name()) }) {
			for _, e := range entries {
				err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
			}
			err = errors.Join(err, os.Remove(dir))
		}
		if errors.Is(err, fs.ErrNotExist) { // it was moved away
			err = nil
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
