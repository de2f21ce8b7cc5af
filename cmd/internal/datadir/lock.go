package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/clarity-loop/clarity/internal/dirlock"
)

// lockName is the lock file of a data directory as a whole; drivers have locks
// of their own beside it, of the same kind.
const lockName = "clarity.lock"

// ErrInUse says that another process has the data directory.
var ErrInUse = errors.New("the data directory is in use by another process")

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

// mustExist keeps a mistyped directory from becoming a new, empty one.
func mustExist(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no data directory %s: `clarity up --data %s` makes one, or choose another --data", dir, dir)
	case err == nil && !info.IsDir():
		return Sentence(dir, fs.ErrExist)
	}
	return Sentence(dir, err)
}

// Sentence says what is wrong with a data directory, and what to do.
func Sentence(dir string, err error) error {
	var inUse *dirlock.InUseError
	switch {
	case err == nil, errors.Is(err, ErrInUse):
		return err
	case errors.As(err, &inUse) && !within(inUse.Dir, dir): // a driver's own place
		return &inUseError{inUse.Dir}
	case errors.As(err, &inUse):
		return &inUseError{dir}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk of the data directory %s is full: make room, or choose another --data", dir)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("the data directory %s is on a read-only disk: choose another --data", dir)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		return fmt.Errorf("the data directory %s is not a directory: choose another --data", dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the data directory %s may not be written by this user: choose another --data", dir)
	}
	return fmt.Errorf("open the data directory %s: %w", dir, err)
}

func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

// inUseError is ErrInUse in a sentence.
type inUseError struct{ dir string }

func (e *inUseError) Error() string {
	return fmt.Sprintf("the data directory %s is in use by another process: stop that one, or choose another --data", e.dir)
}

// Is has the sentence be ErrInUse.
func (*inUseError) Is(target error) bool { return target == ErrInUse }
