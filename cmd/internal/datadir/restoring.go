package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/clarity-loop/clarity/internal/durable"
)

// restoringName is the file of a directory that is being put back: as long as it is
// there, what else is there is not whole.
const restoringName = "RESTORING"

// Restoring has a directory, which is not there or empty, be one that is being put
// back, and the caller's alone: nobody opens it until done has said that it is whole.
// What a restore that was cut has left is removed first. leave gives it back.
func Restoring(dir string) (done, leave func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, Sentence(dir, err)
	}
	// Before its lock is made in it, which would be something.
	if entries, err := os.ReadDir(dir); err != nil || taken(entries) {
		return nil, nil, errors.Join(Sentence(dir, err), fmt.Errorf("the data directory %s is there already: move it away, or choose another --data", dir))
	}
	leave, err = lock(dir)
	if err != nil {
		return nil, nil, err
	}
	mark := filepath.Join(dir, restoringName)
	if err = clearHalf(dir); err == nil {
		err = os.WriteFile(mark, nil, 0o600)
	}
	if err == nil {
		err = syncEntries(dir)
	}
	if err != nil {
		return nil, nil, errors.Join(Sentence(dir, err), leave())
	}
	done = func() error { return errors.Join(os.Remove(mark), durable.SyncDir(dir)) }
	return done, leave, nil
}

// taken says whether there is more than a lock in the directory that no restore has left.
func taken(entries []fs.DirEntry) bool {
	named := func(name string) func(fs.DirEntry) bool {
		return func(e fs.DirEntry) bool { return e.Name() == name }
	}
	if slices.ContainsFunc(entries, named(restoringName)) {
		return false
	}
	return len(slices.DeleteFunc(entries, named(lockName))) > 0
}

// clearHalf removes what a restore that was cut has left, but for its mark and the lock.
func clearHalf(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != lockName && e.Name() != restoringName {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// half is the error of a directory that was not put back whole.
func half(dir string) error {
	_, err := os.Stat(filepath.Join(dir, restoringName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, fmt.Errorf("the data directory %s is half of a backup: say `clarity restore` again, with the same --data", dir))
}
