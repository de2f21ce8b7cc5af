package file

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/audit/internal/chain"
)

// Verify checks the log in dir, which another process may have open: every
// line's MAC and index, the tree against every checkpoint, and every
// checkpoint's signature. Memory does not grow with the log. A *audit.BadEntry
// names the first entry that is wrong; for a log that was cut it is the first
// that is missing, for a log that was forked the first behind the last
// checkpoint that still matches.
func Verify(ctx context.Context, dir string) (entries int64, err error) {
	good, err := verifyDir(ctx, dir)
	if err != nil {
		return good.Size, fmt.Errorf("verify audit log: %w", err)
	}
	return good.Size, nil
}

// Signed says whether there is something in each file of checkpoints of the log in dir.
// Of entries that were acknowledged there is; without, their MACs alone vouch for them,
// and not for how many there were.
func Signed(dir string) (bool, error) {
	all, err := segmentsOf(dir)
	if err != nil {
		return false, fmt.Errorf("look at the audit log's checkpoints: %w", err)
	}
	for _, s := range all {
		info, err := os.Stat(filepath.Join(dir, s.checkpoints()))
		if err != nil {
			return false, fmt.Errorf("look at the audit log's checkpoints: %w", err)
		}
		if info.Size() == 0 {
			return false, nil
		}
	}
	return true, nil
}

func verifyDir(ctx context.Context, dir string) (good verified, err error) {
	k, err := readKeys(dir)
	if err == nil {
		_, err = k.signer() // without one nothing is appended
	}
	if err != nil {
		return good, err
	}
	// Only what is vouched for now: the log may grow meanwhile.
	all, err := segmentsOf(dir)
	if err != nil {
		return good, err
	}
	for _, s := range all {
		if good, err = verifySegment(ctx, dir, k, s, good.Head); err != nil {
			return good, err
		}
	}
	return good, nil
}

// verifySegment checks a segment of the log behind the head before.
func verifySegment(ctx context.Context, dir string, k keys, s segment, before chain.Head) (good verified, err error) {
	good.Head = before
	signed, err := os.Open(filepath.Join(dir, s.checkpoints())) //nolint:gosec // a file of the log's directory
	if err != nil {
		return good, err
	}
	defer func() { err = errors.Join(err, signed.Close()) }()
	info, err := signed.Stat()
	if err != nil {
		return good, err
	}
	log, err := os.Open(filepath.Join(dir, s.log())) //nolint:gosec // a file of the log's directory
	if err != nil {
		return good, s.missing(err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	v, err := newVerification(k, signed, s)
	if err == nil {
		err = s.joins(v.from, before)
	}
	if err != nil {
		return good, err
	}
	size, err := withoutTear(signed, info.Size())
	if err != nil {
		return good, err
	}
	return v.run(ctx, log, v.trees(size))
}

// verification is one pass over a segment.
type verification struct {
	macs     *chain.MACs
	verifier note.Verifier
	signed   *os.File   // the checkpoints
	from     chain.Head // what is before the segment
}

// verified is how far a log is good.
type verified struct {
	chain.Head
	bytes int64
}

func newVerification(k keys, signed *os.File, of segment) (*verification, error) {
	verifier, err := note.NewVerifier(k.Verifier)
	if err != nil {
		return nil, errors.New("read keys.json: not a verifier key")
	}
	from, err := of.beginning(signed, verifier)
	if err != nil {
		return nil, err
	}
	return &verification{macs: chain.NewMACs(k.MAC), verifier: verifier, signed: signed, from: from}, nil
}

// resume finds where the log goes on: good is behind its last entry, whole
// behind the last whole checkpoint. A log whose tree is that of the newest
// checkpoint is, entry for entry, the one that was signed: its MACs and the
// checkpoints before need no look. Any other is verified in full, to say what
// is wrong with it.
func (v *verification) resume(log io.ReadSeeker) (good verified, whole int64, err error) {
	info, err := v.signed.Stat()
	if err != nil {
		return good, 0, err
	}
	size, err := withoutTear(v.signed, info.Size())
	if err != nil {
		return good, 0, err
	}
	tree, whole, err := newest(v.signed, size, v.verifier)
	if err == nil {
		good, err = v.quick(log, tree)
	}
	if err == nil {
		return good, whole, nil
	}
	if _, full := v.run(context.Background(), log, v.trees(size)); full != nil {
		return good, whole, full
	}
	return good, whole, err
}

// errDiffers is quick's finding; run says where.
var errDiffers = errors.New("the log is not the one that was signed")

// quick holds the log's tree against one checkpoint. Behind it, lines count as
// long as their MACs follow; from the first that does not, all was never acknowledged.
func (v *verification) quick(log io.ReadSeeker, tree tlog.Tree) (good verified, err error) {
	good.Head = v.from.Clone()
	lines, err := newLines(log)
	if err != nil {
		return good, err
	}
	for {
		line, ok, err := lines.next()
		if err != nil {
			return good, err
		}
		if ok && good.Size < tree.N {
			good.take(line)
			if good.Size < tree.N {
				continue
			}
			mac, cut := chain.MACOf(line)
			if !cut || good.Root() != tree.Hash {
				return good, errDiffers
			}
			good.MAC = mac
			continue
		}
		if !ok || !v.follows(&good.Head, line) {
			break
		}
		good.take(line)
	}
	if good.Size < tree.N {
		return good, errDiffers
	}
	return good, nil
}

// trees reads the first bytes of the checkpoints, one signed tree head a call.
func (v *verification) trees(size int64) nextTree {
	return readCheckpoints(io.NewSectionReader(v.signed, 0, size), v.verifier).next
}

// A nextTree tells the next tree head; ok is false behind the last.
type nextTree func() (tree tlog.Tree, ok bool, err error)

// run reads the log and the checkpoints from their starts, side by side.
func (v *verification) run(ctx context.Context, log io.ReadSeeker, next nextTree) (good verified, err error) {
	good.Head = v.from.Clone()
	lines, err := newLines(log)
	if err != nil {
		return good, err
	}
	tree, more, err := next()
	matched := v.from.Size // entries covered by a checkpoint that matched
	for err == nil {
		for more && tree.N == good.Size && err == nil {
			if tree.Hash != good.Root() {
				return good, &audit.BadEntry{Index: matched, Detail: "the checkpoint behind it is of another history"}
			}
			matched = good.Size
			tree, more, err = next()
		}
		if err != nil {
			break
		}
		if good.Size%1024 == 0 && ctx.Err() != nil {
			return good, ctx.Err()
		}
		line, ok, readErr := lines.next()
		if readErr != nil {
			return good, readErr
		}
		switch {
		case !ok && more:
			return good, &audit.BadEntry{Index: good.Size, Detail: fmt.Sprintf("it is missing: a checkpoint vouches for %d entries", tree.N)}
		case !ok:
			return good, nil
		case v.follows(&good.Head, line):
			good.take(line)
		case !more && bytes.IndexByte(line, 0) >= 0:
			return good, nil // a loss of power has torn it: nobody has vouched for it
		default:
			return good, &audit.BadEntry{Index: good.Size, Detail: "it was changed, moved or does not follow the one before"}
		}
	}
	return good, err
}

// follows reports whether the line is the one behind h; then h has its MAC.
func (v *verification) follows(h *chain.Head, line []byte) bool {
	mac, ok := v.macs.Follows(*h, line)
	if ok {
		h.MAC = mac
	}
	return ok
}

// take grows the tree by a line.
func (g *verified) take(line []byte) {
	g.Grow(line)
	g.bytes += int64(len(line)) + 1
}

// lines reads a log line by line. What has no end, and what is too long to be
// an entry, is never a line that follows.
type lines struct{ from *bufio.Reader }

func newLines(log io.ReadSeeker) (*lines, error) {
	if _, err := log.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	return &lines{bufio.NewReaderSize(log, chain.MaxLine)}, nil
}

// next is the next line without its end; ok is false where there is none.
func (l *lines) next() (line []byte, ok bool, err error) {
	line, err = l.from.ReadSlice('\n')
	switch {
	case err == nil:
		return line[:len(line)-1], true, nil
	case errors.Is(err, io.EOF): // what is left has no end: never acknowledged
		return nil, false, nil
	case errors.Is(err, bufio.ErrBufferFull):
		return line, true, nil
	}
	return nil, false, fmt.Errorf("read log: %w", err)
}
