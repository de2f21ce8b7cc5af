// Package powerloss tells what a loss of power may leave of a directory.
//
// A Recording is what processes did to the directory, system call by system
// call, as strace prints it. Cut rebuilds the directory as a disk could hold it
// at a moment of the recording: what was synced is there; of what was only
// written, each sector has what some moment since the last sync left there, sizes
// and the entries of directories likewise. A file's entry counts as synced once
// its directory was, not once the file was: POSIX says no more.
//
// Mapped memory isn't recorded; SQLite's index of its write-ahead log is the
// one file that is written so, and is rebuilt by whoever opens it first.
package powerloss

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Recording is what was done below one directory.
type Recording struct {
	root  string
	top   *node
	lines int         // of all traces
	times []time.Time // when each line was printed
	nodes []*node
}

// New is the recording of a directory that is there, and empty.
func New(root string) *Recording {
	r := &Recording{root: filepath.Clean(root)}
	r.top = r.newNode(true)
	return r
}

// Lines is how many moments there are.
func (r *Recording) Lines() int { return r.lines }

// After is the first moment behind the time: what had been answered by then had
// been done before that moment.
func (r *Recording) After(t time.Time) int {
	for i, at := range r.times {
		if at.After(t) {
			return i
		}
	}
	return r.lines
}

// Time is when the moment was.
func (r *Recording) Time(moment int) time.Time { return r.times[min(moment, r.lines-1)] }

// A node is a file or a directory; its names are the entries that lead to it.
type node struct {
	dir     bool
	changes []change
	syncs   []span
	entries map[string]*node // of a directory, now
	size    int64            // of a file, now
}

// A span is the lines at which a call began and had ended.
type span struct{ began, ended int }

// A change is one that a call made to a node: bytes, a size, or an entry.
type change struct {
	span
	call int // the same for all changes that a call made
	// of a file
	data []byte // nil: the size alone changes
	off  int64
	size int64 // behind it
	cuts bool  // a truncation
	// of a directory
	name string
	to   *node // nil: the entry goes
}

func (r *Recording) newNode(dir bool) *node {
	n := &node{dir: dir}
	if dir {
		n.entries = map[string]*node{}
	}
	r.nodes = append(r.nodes, n)
	return n
}

// find is the node of a path, nil where there is none; parent and name say where
// it is or would be. All are nil of a path outside the directory.
func (r *Recording) find(path string) (n, parent *node, name string) {
	rel, within := strings.CutPrefix(filepath.Clean(path), r.root)
	if !within || rel != "" && rel[0] != filepath.Separator {
		return nil, nil, ""
	}
	n = r.top
	for part := range strings.SplitSeq(strings.Trim(rel, "/"), "/") {
		if part == "" {
			return r.top, nil, ""
		}
		if n == nil || !n.dir {
			return nil, nil, ""
		}
		parent, name, n = n, part, n.entries[part]
	}
	return n, parent, name
}

// set changes an entry of a directory.
func (n *node) set(name string, to *node, at span, call int) {
	n.changes = append(n.changes, change{span: at, call: call, name: name, to: to})
	if to == nil {
		delete(n.entries, name)
		return
	}
	n.entries[name] = to
}

// write changes bytes of a file.
func (n *node) write(data []byte, off int64, at span) {
	n.size = max(n.size, off+int64(len(data)))
	n.changes = append(n.changes, change{span: at, data: data, off: off, size: n.size})
}

// truncate changes the size of a file.
func (n *node) truncate(size int64, at span) {
	n.size = size
	n.changes = append(n.changes, change{span: at, size: size, cuts: true})
}

// Differs says where the directory is not as the recording has left it, and
// nothing where it is: then the recording is whole. ignore tells files that are
// written by other means than calls.
func (r *Recording) Differs(ignore func(path string) bool) error {
	var errs []error
	for path, want := range whole(r.top, r.root) {
		got, err := os.ReadFile(path) //nolint:gosec // the recorded directory
		switch {
		case ignore(path):
		case err != nil:
			errs = append(errs, err)
		case !bytes.Equal(got, want):
			errs = append(errs, fmt.Errorf("%s has %d bytes, and other ones than the %d recorded", path, len(got), len(want)))
		}
	}
	errs = append(errs, filepath.WalkDir(r.root, func(path string, d fs.DirEntry, err error) error {
		if n, _, _ := r.find(path); err == nil && n == nil && d.Type()&fs.ModeSocket == 0 {
			return fmt.Errorf("%s was made by no recorded call", path)
		}
		return err
	}))
	return errors.Join(errs...)
}

// whole is every file below the directory with all that was written.
func whole(dir *node, path string) map[string][]byte {
	files := map[string][]byte{}
	for name, n := range dir.entries {
		at := filepath.Join(path, name)
		if !n.dir {
			files[at] = all(n.changes)
			continue
		}
		for inner, data := range whole(n, at) {
			files[inner] = data
		}
	}
	return files
}

// all is a file's bytes after the changes.
func all(changes []change) []byte {
	var b []byte
	for _, c := range changes {
		b = resized(b, c.size)
		copy(b[min(c.off, c.size):], c.data)
	}
	return b
}

// resized is b with the size, with zeros behind what it had.
func resized(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size:size]
	}
	if size <= int64(cap(b)) {
		return b[:size]
	}
	grown := make([]byte, size, size+size/4)
	copy(grown, b)
	return grown
}
