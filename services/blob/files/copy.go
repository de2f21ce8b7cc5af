package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/clarity-loop/clarity/internal/durable"
)

// copyTries is how often a copy begins again because segments were compacted
// meanwhile.
const copyTries = 50

// Copy copies the objects in one directory into another, which is there and
// empty, whether or not a process has them open. Every object that was there when
// Copy began, and is not deleted meanwhile, is in the copy. It is durable.
func Copy(from, to string) error {
	for range copyTries {
		whole, err := copySegments(osDir(from), from, to)
		if err != nil {
			return fmt.Errorf("copy blobs: %w", err)
		}
		if whole {
			return osDir(to).SyncDir()
		}
	}
	return errors.New("copy blobs: segments go faster than they can be copied")
}

// copySegments copies every segment of one listing. Of those all but the last are
// full, and do not change; it is not whole where one has gone meanwhile.
func copySegments(dir fileSystem, from, to string) (whole bool, err error) {
	ids, err := segmentIDs(dir)
	if err != nil {
		return false, err
	}
	listed := map[string]bool{}
	for _, id := range ids {
		name := segmentName(id)
		listed[name] = true
		err := durable.Copy(filepath.Join(from, name), filepath.Join(to, name), os.O_TRUNC)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	there, err := segmentIDs(osDir(to))
	if err != nil {
		return false, err
	}
	for _, id := range there { // what a former try has copied, and is elsewhere now
		if name := segmentName(id); !listed[name] {
			if err := os.Remove(filepath.Join(to, name)); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}
