package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/internal/dirlock"
	"github.com/clarity-loop/clarity/services/fault"
)

// ErrInUse says that another process has the data directory.
var ErrInUse = errors.New("the data directory is in use by another process")

// dataFlag is what names the data directory where nobody says otherwise.
const dataFlag = "--data"

// A Fault is what is wrong with a data directory, or with the place of one of its
// backends that is elsewhere, in a sentence that says what to do.
type Fault struct {
	// Path is the directory.
	Path string
	// Of is the backend whose place it is; "" for the data directory.
	Of string
	// Told is what the user says to name another: --data, or what a program has
	// in its place.
	Told string
	// Cause is why, one of those that Error has words for.
	Cause error

	damaged string // the database that cannot be read, if it is that
}

// Unwrap is the cause.
func (f *Fault) Unwrap() error { return f.Cause }

// Is has the sentence be ErrInUse.
func (f *Fault) Is(target error) bool {
	var inUse *dirlock.InUseError
	return target == ErrInUse && errors.As(f.Cause, &inUse)
}

// Lasting says whether another try meets the same fault, until somebody has
// chosen or set up another place. What is not there yet may come, a disk may have
// room again, and another process ends.
func (f *Fault) Lasting() bool {
	return f.damaged != "" || isAny(f.Cause, syscall.EROFS, syscall.ENOTDIR, fs.ErrExist, fs.ErrPermission)
}

// Error is the sentence.
func (f *Fault) Error() string {
	what := "the data directory " + f.Path
	if f.Of != "" {
		what = "the " + f.Of + " directory " + f.Path
	}
	switch {
	case f.damaged != "":
		return fmt.Sprintf("%s of %s is damaged or cut: put a backup back with `clarity restore`; `clarity fsck` says of a directory or a backup whether it is whole", f.damaged, what)
	case errors.Is(f, ErrInUse):
		return fmt.Sprintf("%s is in use by another process: stop that one, or choose another %s", what, f.Told)
	case isAny(f.Cause, syscall.ENOSPC, syscall.EDQUOT):
		return fmt.Sprintf("the disk of %s is full: make room, or choose another %s", what, f.Told)
	case errors.Is(f.Cause, syscall.EROFS):
		return fmt.Sprintf("%s is on a read-only disk: choose another %s", what, f.Told)
	case isAny(f.Cause, syscall.ENOTDIR, fs.ErrExist):
		return fmt.Sprintf("%s is not a directory: choose another %s", what, f.Told)
	case errors.Is(f.Cause, fs.ErrPermission):
		return fmt.Sprintf("this user may not use %s: run as its owner, or choose another %s", what, f.Told)
	}
	return fmt.Sprintf("there is no data directory %s: `clarity up --data %s` makes one, or choose another %s", f.Path, f.Path, f.Told)
}

// Sentence says what is wrong with a data directory, or with a backend's place,
// and what to do: a Fault where there are words for it.
func Sentence(dir string, err error) error {
	f := &Fault{Path: dir, Told: dataFlag, Cause: err}
	var known *Fault
	var inUse *dirlock.InUseError
	var opening *platform.OpenError
	used := errors.As(err, &inUse)
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, ErrInUse):
		return err
	case errors.As(err, &opening) && opening.At != "" && !within(opening.At, dir):
		f.Path, f.Of, f.Told = opening.At, opening.Of, "--"+opening.Of
	case used && opening == nil && !within(inUse.Dir, dir):
		f.Path = inUse.Dir
	}
	f.damaged = damaged(err)
	if used || f.Lasting() || isAny(err, syscall.ENOSPC, syscall.EDQUOT) {
		return f
	}
	if f.Of != "" {
		return err
	}
	return fmt.Errorf("open the data directory %s: %w", dir, err)
}

// describe is the sentence for what the disk, another process or another place
// is to blame for; what a driver finds in its own place it says itself.
func describe(dir string, err error) error {
	s := Sentence(dir, err)
	var f *Fault
	if errors.As(s, &f) && (f.Of != "" || f.damaged != "" || errors.Is(f, ErrInUse) || isAny(err, syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS)) {
		return s
	}
	return err
}

// damaged is the database that SQLite finds to be none, or not whole; "" where it is
// something else.
func damaged(err error) string {
	const corrupt, noDatabase = 11, 26 // SQLite's primary result codes
	var code interface{ Code() int }
	if !errors.As(err, &code) || code.Code()&0xff != corrupt && code.Code()&0xff != noDatabase {
		return ""
	}
	var opening *platform.OpenError
	var met *fault.Error
	if errors.As(err, &opening) && opening.Of == "queue" || errors.As(err, &met) && met.Room == "queue" {
		return "queue.db"
	}
	return "store.db"
}

func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}
