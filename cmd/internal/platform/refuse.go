package platform

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

func joinPlace(dir, place string) string { return filepath.Join(dir, place) }

// probe makes the data directory and writes to it what a platform needs at
// once, so that a disk that takes nothing is told of in one sentence.
func probe(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return sentence(dir, err)
	}
	f, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return sentence(dir, err)
	}
	_, err = f.Write(make([]byte, 256<<10))
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	if err != nil {
		return sentence(dir, err)
	}
	return nil
}

// lockName is the lock file of a data directory. The lock is the kernel's: it
// goes with the process that has it, however that ends.
const lockName = "clarity.lock"

var errInUse = errors.New("the data directory is in use by another process")

// lock takes the data directory; release gives it back.
func lock(dir string) (release func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600) //nolint:gosec // the data directory is the caller's own
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		closed := f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errInUse
		}
		return nil, errors.Join(&fs.PathError{Op: "flock", Path: f.Name(), Err: err}, closed)
	}
	return f.Close, nil
}

// sentence says what is wrong with a data directory, and what to do.
func sentence(dir string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errInUse):
		return fmt.Errorf("the data directory %s is in use by another process: stop that one, or say another --data", dir)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk of the data directory %s is full: make room, or say another --data", dir)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("the data directory %s is on a read-only disk: say another --data", dir)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		return fmt.Errorf("the data directory %s is not a directory: say another --data", dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the data directory %s may not be written by this user: say another --data", dir)
	}
	return fmt.Errorf("open the data directory %s: %w", dir, err)
}

// listenSentence says why an address cannot be listened on.
func listenSentence(address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("the address %s is taken by another process: say another --listen, or port 0 for a free one", address)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the address %s needs rights this user has not: say a port from 1024 on", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("this machine has no address %s: say another --listen", address)
	}
	return fmt.Errorf("listen on %s: %w", address, err)
}
