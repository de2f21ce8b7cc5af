// Package dirlock makes sure that one process at a time uses a data directory.
// The lock is the kernel's (flock): it goes with the process that held it,
// however that died, so that who holds it knows every former holder is dead.
package dirlock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Name is the lock file's name inside the directory.
const Name = "LOCK"

// An InUseError says that another process uses the directory.
type InUseError struct{ Dir string }

func (e *InUseError) Error() string {
	return fmt.Sprintf("the data directory %s is in use by another process", e.Dir)
}

// Lock takes the directory, which it creates (mode 0700) where it is not there.
// It does not wait: where another holds the lock the error is an *InUseError.
// unlock may be called more than once.
func Lock(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	return LockFile(filepath.Join(dir, Name))
}

// LockFile is Lock with a lock file of the caller's name; its directory is there.
func LockFile(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		closed := f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &InUseError{Dir: filepath.Dir(path)}
		}
		return nil, errors.Join(&fs.PathError{Op: "flock", Path: path, Err: err}, closed)
	}
	return sync.OnceValue(f.Close), nil
}
