package file

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/clarity-loop/clarity/internal/durable"
)

// Copy copies the log in one directory into another, which is there, whether or
// not a process appends to it. A segment's checkpoints go first: what they vouch for
// is in the entries by then.
func Copy(from, to string) error {
	all, err := segmentsOf(from)
	if err != nil {
		return fmt.Errorf("copy audit log: %w", err)
	}
	names := []string{"keys.json", "verifier"}
	for _, s := range all {
		names = append(names, s.checkpoints(), s.log())
	}
	for _, name := range names {
		if err := durable.Copy(filepath.Join(from, name), filepath.Join(to, name), os.O_EXCL); err != nil {
			return fmt.Errorf("copy audit log: %w", err)
		}
	}
	return durable.SyncDir(to)
}
