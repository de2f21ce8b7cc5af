package tink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// How a process has the ring: with others that make and destroy keys, or alone, to
// replace some.
const (
	withOthers = unix.LOCK_SH
	alone      = unix.LOCK_EX
)

// lock takes the ring for a moment, in this process and every other, and returns
// what gives it back. It waits: nobody has it for longer than a few files take to
// be written.
func (k *Keyring) lock(how int) (unlock func(), err error) {
	path := filepath.Join(k.dir, "ring.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600) //nolint:gosec // a file of our directory
	if err != nil {
		return nil, fmt.Errorf("lock the keyring: %w", err)
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(&fs.PathError{Op: "flock", Path: path, Err: err}, f.Close())
	}
	return func() { _ = f.Close() }, nil // which gives it back, whatever it says
}
