package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"github.com/clarity-loop/clarity/internal/durable"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/audit/internal/chain"
)

// segmentBytes is how long a segment's lines get: some 100,000 entries.
const segmentBytes = 32 << 20

// A segment is a part of the log, named by the index of its first entry. The
// first is of the name that the whole log had in the first release.
type segment int64

func (s segment) log() string {
	if s == 0 {
		return "log.jsonl"
	}
	return fmt.Sprintf("log-%012d.jsonl", int64(s))
}

func (s segment) checkpoints() string {
	if s == 0 {
		return "checkpoints"
	}
	return fmt.Sprintf("checkpoints-%012d", int64(s))
}

// segmentsOf lists the segments in dir; there is a first in any. One is there once
// its checkpoints are.
func segmentsOf(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	all := []segment{0}
	for _, e := range entries {
		var s segment
		if _, err := fmt.Sscanf(e.Name(), "checkpoints-%012d", &s); err == nil && s > 0 && s.checkpoints() == e.Name() {
			all = append(all, s)
		}
	}
	slices.Sort(all)
	return all, nil
}

// openSegment opens a segment to go on with it; the first is made.
func (l *Log) openSegment(s segment) (err error) {
	flags := os.O_RDWR
	if s == 0 {
		flags |= os.O_CREATE
	}
	l.at = s
	if l.entries, err = os.OpenFile(filepath.Join(l.dir, s.log()), flags, 0o600); err != nil { //nolint:gosec // a file of the log's directory
		return err
	}
	l.checkpoints, err = os.OpenFile(filepath.Join(l.dir, s.checkpoints()), flags|os.O_APPEND, 0o600) //nolint:gosec // as above
	return err
}

// roll begins a new segment, once the one at hand is long. It starts with all that
// was signed before; where it cannot be made the log goes on as it was.
func (l *Log) roll() error {
	if l.good < l.limit {
		return nil
	}
	next := segment(l.head.Size)
	begin, err := signBase(l.head, l.signer)
	if err != nil {
		return err
	}
	if err := fdatasync(l.checkpoints); err != nil { // the last of a segment is never torn
		return l.breaks(err)
	}
	if err := durable.Replace(filepath.Join(l.dir, next.log()), nil, 0o600); err != nil {
		return err
	}
	path := filepath.Join(l.dir, next.checkpoints())
	if err := durable.Create(path, begin, 0o600); err != nil {
		if _, there := os.Lstat(path); there == nil { // and whether it stays is not known
			return l.breaks(err)
		}
		return err
	}
	former := l.at
	if err := errors.Join(l.entries.Close(), l.checkpoints.Close(), l.openSegment(next)); err != nil {
		return l.breaks(err)
	}
	l.good, l.whole, l.unsynced = 0, int64(len(begin)), false
	return l.thinOut(former)
}

// thinOut leaves of a closed segment's checkpoints where it begins and where it
// ends: the others say nothing that these do not.
func (l *Log) thinOut(s segment) (err error) {
	path := filepath.Join(l.dir, s.checkpoints())
	f, err := os.Open(path) //nolint:gosec // a file of the log's directory
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	last, err := partOf(f, max(0, info.Size()-maxCheckpoint))
	if err != nil {
		return err
	}
	if i := bytes.LastIndex(bytes.TrimSuffix(last, []byte(separator)), []byte(separator)); i >= 0 {
		last = last[i+len(separator):]
	}
	keep := last
	if s > 0 {
		begin, err := partOf(f, 0)
		if err != nil {
			return err
		}
		begin, _, _ = bytes.Cut(begin, []byte(separator))
		keep = slices.Concat(begin, []byte(separator), last)
	}
	if int64(len(keep)) >= info.Size() {
		return nil
	}
	return durable.Replace(path, keep, 0o600)
}

// partOf is what a file of checkpoints has from there on, at most one and a part.
func partOf(f io.ReaderAt, off int64) ([]byte, error) {
	b := make([]byte, maxCheckpoint)
	n, err := f.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return b[:n], nil
}

// signBase is the checkpoint that a segment begins with: the tree head, and of
// what is before all that is needed to go on, so that nobody need read it.
func signBase(h chain.Head, signer note.Signer) ([]byte, error) {
	return sign(h.Tree()+h.State(), signer)
}

// beginning is the head of the log before the segment, as its first checkpoint has it.
func (s segment) beginning(f io.ReaderAt, verifier note.Verifier) (h chain.Head, err error) {
	if s == 0 {
		return h, nil
	}
	first, err := partOf(f, 0)
	if err != nil {
		return h, err
	}
	signed, _, whole := bytes.Cut(first, []byte(separator))
	text, err := chain.OpenNote(signed, verifier)
	h, is := chain.ParseHead(text)
	if !whole || err != nil || !is || h.Size != int64(s) {
		return h, &audit.BadEntry{Index: int64(s), Detail: "the checkpoint that its segment begins with is not signed by this log's key"}
	}
	return h, nil
}

// joins says what is wrong with a segment that begins with h behind one that ends
// with before.
func (s segment) joins(h, before chain.Head) error {
	switch {
	case h.Size > before.Size:
		return &audit.BadEntry{Index: before.Size, Detail: fmt.Sprintf("it is missing: the next segment begins with entry %d", h.Size)}
	case !h.Is(before):
		return &audit.BadEntry{Index: int64(s), Detail: "its segment is of another history than the one before"}
	}
	return nil
}

// missing names the first entry of a segment that has lost a file.
func (s segment) missing(err error) error {
	if s > 0 && errors.Is(err, fs.ErrNotExist) {
		return &audit.BadEntry{Index: int64(s), Detail: "a file of its segment is missing"}
	}
	return err
}
