package file

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/clarity-loop/clarity/services/audit"
)

// maxLine bounds one entry's line.
const maxLine = 64 << 10

// Verify checks the log in dir, which another process may have open: every
// line's MAC and index, and the tree against every checkpoint. Memory does not
// grow with the log. A *audit.BadEntry names the first entry that is wrong; for
// a log that was cut it is the first that is missing, for a log that was forked
// the first behind the last checkpoint that still matches.
func Verify(_ context.Context, dir string) (entries int64, err error) {
	k, err := readKeys(dir)
	if err != nil {
		return 0, fmt.Errorf("verify audit log: %w", err)
	}
	v, err := newVerification(dir, k.MAC) // checkpoints first: the log may grow meanwhile
	if err != nil {
		return 0, fmt.Errorf("verify audit log: %w", err)
	}
	f, err := os.Open(filepath.Join(dir, "log.jsonl"))
	if err != nil {
		return 0, fmt.Errorf("verify audit log: %w", err)
	}
	defer f.Close()
	good, err := v.run(f)
	if err != nil {
		return good.size, fmt.Errorf("verify audit log: %w", err)
	}
	return good.size, nil
}

// verification is one pass over a log.
type verification struct {
	mac   []byte
	trees []tlog.Tree // the checkpoints, by size
	bytes int64       // of the checkpoints that are whole
}

// verified is how far a log is good.
type verified struct {
	head
	bytes int64
}

func newVerification(dir string, mac []byte) (*verification, error) {
	k, err := readKeys(dir)
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(k.Verifier)
	if err != nil {
		return nil, errors.New("read keys.json: not a verifier key")
	}
	data, err := os.ReadFile(filepath.Join(dir, "checkpoints"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	v := &verification{mac: mac}
	for len(data) > 0 {
		signed, rest, whole := bytes.Cut(data, []byte(separator))
		if !whole { // a crash cut the last one short
			break
		}
		data = rest
		v.bytes += int64(len(signed) + len(separator))
		tree, err := openCheckpoint(signed, verifier)
		if err != nil || v.vouched() > tree.N {
			return nil, &audit.BadEntry{Index: v.vouched(), Detail: "the checkpoint behind it is not signed by this log's key"}
		}
		v.trees = append(v.trees, tree)
	}
	return v, nil
}

func openCheckpoint(signed []byte, verifier note.Verifier) (tlog.Tree, error) {
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	return tlog.ParseTree([]byte(n.Text))
}

// vouched is how many entries the newest checkpoint vouches for.
func (v *verification) vouched() int64 {
	if len(v.trees) == 0 {
		return 0
	}
	return v.trees[len(v.trees)-1].N
}

// run reads the log from its start.
func (v *verification) run(r io.ReadSeeker) (good verified, err error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return good, err
	}
	reader := bufio.NewReaderSize(r, maxLine)
	trees := v.trees
	matched := int64(0) // entries covered by a checkpoint that matched
	for {
		line, err := reader.ReadSlice('\n')
		if errors.Is(err, io.EOF) { // what is left has no end: never acknowledged
			break
		}
		next := good.head.clone()
		if err != nil || !v.follows(&next, line[:len(line)-1]) {
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				return good, fmt.Errorf("read log: %w", err)
			}
			return good, &audit.BadEntry{Index: good.size, Detail: "it was changed, moved or does not follow the one before"}
		}
		good.head = next
		good.bytes += int64(len(line))
		for len(trees) > 0 && trees[0].N == good.size {
			if trees[0].Hash != good.root() {
				return good, &audit.BadEntry{Index: matched, Detail: "the checkpoint behind it is of another history"}
			}
			matched, trees = good.size, trees[1:]
		}
	}
	if good.size < v.vouched() {
		return good, &audit.BadEntry{Index: good.size, Detail: fmt.Sprintf("it is missing: a checkpoint vouches for %d entries", v.vouched())}
	}
	return good, nil
}

// follows reports whether the line is the one that follows h, and adds it.
func (v *verification) follows(h *head, line []byte) bool {
	tab := len(line) - hex.EncodedLen(macSize) - 1
	if tab < 0 || line[tab] != '\t' {
		return false
	}
	entry := line[:tab]
	h.chain = chained(v.mac, h.chain, entry)
	if !bytes.Equal(hex.AppendEncode(nil, h.chain[:]), line[tab+1:]) {
		return false
	}
	var e audit.Entry
	if err := json.Unmarshal(entry, &e); err != nil || e.Index != h.size {
		return false
	}
	h.grow(line)
	return true
}
