package file

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/clarity-loop/clarity/services/internal/durable"
)

// Copy copies the log in one directory into another, which is there, whether or
// not a process appends to it. The checkpoints go first: what they vouch for is in
// the entries by then.
func Copy(from, to string) error {
	for _, name := range []string{"keys.json", "verifier", "checkpoints", "log.jsonl"} {
		if err := copyFile(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return fmt.Errorf("copy audit log: %w", err)
		}
	}
	return durable.SyncDir(to)
}

func copyFile(from, to string) error {
	source, err := os.Open(from) //nolint:gosec // a file of the log's directory
	if err != nil {
		return err
	}
	defer source.Close()
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // as above
	if err != nil {
		return err
	}
	_, err = io.Copy(f, source)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
