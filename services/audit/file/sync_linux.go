package file

import (
	"os"

	"golang.org/x/sys/unix"
)

// fdatasync makes the file's bytes durable, and its length, but not its times.
func fdatasync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err != unix.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
