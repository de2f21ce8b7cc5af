package file

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/audit/internal/chain"
)

// separator stands behind each checkpoint.
const separator = "\f\n"

// maxCheckpoint bounds one checkpoint with its separator; ours have some 200 bytes.
const maxCheckpoint = 4 << 10

// checkpoint signs the head.
func checkpoint(h chain.Head, signer note.Signer) ([]byte, error) { return sign(h.Tree(), signer) }

// sign is a checkpoint of the text.
func sign(text string, signer note.Signer) ([]byte, error) {
	signed, err := chain.Sign(text, signer)
	return append(signed, separator...), err
}

// checkpoints reads the signed tree heads in order, one at a time.
type checkpoints struct {
	from     *bufio.Reader
	verifier note.Verifier
	vouched  int64 // how many entries the last one read vouches for
}

func readCheckpoints(r io.Reader, verifier note.Verifier) *checkpoints {
	return &checkpoints{from: bufio.NewReaderSize(r, maxCheckpoint), verifier: verifier}
}

// next is the next tree head; ok is false behind the last whole one: what a
// crash cut short does not count.
func (c *checkpoints) next() (tree tlog.Tree, ok bool, err error) {
	var signed []byte
	for !bytes.HasSuffix(signed, []byte(separator)) {
		line, err := c.from.ReadSlice('\n')
		signed = append(signed, line...)
		if errors.Is(err, io.EOF) {
			return tree, false, nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return tree, false, fmt.Errorf("read checkpoints: %w", err)
		}
		if len(signed) > maxCheckpoint {
			return tree, false, c.foreign()
		}
	}
	tree, err = openCheckpoint(bytes.TrimSuffix(signed, []byte(separator)), c.verifier)
	if err != nil || tree.N < c.vouched {
		return tree, false, c.foreign()
	}
	c.vouched = tree.N
	return tree, true, nil
}

func (c *checkpoints) foreign() error {
	return &audit.BadEntry{Index: c.vouched, Detail: "the checkpoint behind it is not signed by this log's key"}
}

// newest is the last whole tree head of the file, read from its end, and where
// it ends. No checkpoint at all is the tree of nothing.
func newest(f io.ReaderAt, size int64, verifier note.Verifier) (tree tlog.Tree, whole int64, err error) {
	if size, err = withoutTear(f, size); err != nil {
		return tree, 0, err
	}
	tail := make([]byte, min(size, 2*maxCheckpoint))
	from := size - int64(len(tail))
	if _, err := f.ReadAt(tail, from); err != nil && !errors.Is(err, io.EOF) {
		return tree, 0, fmt.Errorf("read checkpoints: %w", err)
	}
	end := bytes.LastIndex(tail, []byte(separator))
	if end < 0 {
		if size > maxCheckpoint {
			return tree, 0, errors.New("read checkpoints: there is none in the last part of the file")
		}
		return tree, 0, nil
	}
	start := bytes.LastIndex(tail[:end], []byte(separator))
	if start >= 0 {
		start += len(separator)
	}
	tree, err = openCheckpoint(tail[max(start, 0):end], verifier)
	return tree, from + int64(end+len(separator)), err
}

func openCheckpoint(signed []byte, verifier note.Verifier) (tree tlog.Tree, err error) {
	text, err := chain.OpenNote(signed, verifier)
	if err != nil {
		return tree, err
	}
	return tlog.ParseTree([]byte(text))
}

// sectorBytes is what a disk writes whole.
const sectorBytes = 512

// withoutTear is the size of the checkpoints without what a loss of power has
// made of the last: its place is there, and some of its sectors are zeros, which a
// signed note never holds. More than one cannot be lost so.
func withoutTear(f io.ReaderAt, size int64) (int64, error) {
	tail := make([]byte, min(size, maxCheckpoint))
	from := size - int64(len(tail))
	if _, err := f.ReadAt(tail, from); err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("read checkpoints: %w", err)
	}
	zero := bytes.IndexByte(tail, 0)
	if zero < 0 {
		return size, nil
	}
	start := 0
	if end := bytes.LastIndex(tail[:zero], []byte(separator)); end >= 0 {
		start = end + len(separator)
	} else if from > 0 {
		return size, nil
	}
	if !torn(tail[start:], from+int64(start)) {
		return size, nil
	}
	return from + int64(start), nil
}

// torn says whether the bytes are of one checkpoint that has lost a sector; off is
// where they are.
func torn(b []byte, off int64) bool {
	if i := bytes.Index(b, []byte(separator)); i >= 0 && i+len(separator) < len(b) {
		return false
	}
	for len(b) > 0 {
		n := min(int64(len(b)), sectorBytes-off%sectorBytes)
		if !bytes.ContainsFunc(b[:n], func(r rune) bool { return r != 0 }) {
			return true
		}
		b, off = b[n:], off+n
	}
	return false
}
