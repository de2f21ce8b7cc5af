// Package file keeps the audit log in one directory.
//
//	log.jsonl          one entry a line: JSON, a tab, the chain's MAC in hexadecimal
//	checkpoints        signed tree heads, one after each group of entries (signed notes)
//	log-N.jsonl, checkpoints-N   the same from entry N on, once a segment was full
//	keys.json          the MAC key and the Ed25519 signing key, mode 0600
//	verifier           the public key that checks the checkpoints, for everyone
//	LOCK               held by the one process that may append; reading needs it not
//
// There is one writer: processes that share the directory take turns, and each
// continues the chain of the one before.
//
// Every line's MAC covers the line and the MAC before it, so an edited, dropped
// or moved line is found where it is. The checkpoints sign the RFC 6962 tree of
// all lines, so a log that was cut, or continued from an older copy, does not
// match them. A segment's first checkpoint signs the state of the whole log
// before it, so that opening reads the newest segment alone. Whoever holds keys.json
// can write another history: keep a copy of the checkpoints elsewhere to find that, too.
package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/clarity-loop/clarity/internal/dirlock"
	"github.com/clarity-loop/clarity/internal/durable"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/audit/internal/chain"
	"github.com/clarity-loop/clarity/services/internal/batch"
)

// groupLimit bounds the entries that share one sync.
const groupLimit = 256

// A Log is an audit.Log over a directory. One process may have it open.
type Log struct {
	dir    string
	unlock func() error // nil until the directory is ours
	now    func() time.Time
	keys   keys
	signer note.Signer
	macs   *chain.MACs // of the committing goroutine

	limit       int64   // how long a segment gets
	at          segment // the newest
	entries     *os.File
	checkpoints *os.File
	head        chain.Head
	good, whole int64 // bytes of the two files that count
	unsynced    bool  // the newest checkpoint is not known to be on the disk

	// broken is set once a sync failed: what the disk holds is not known, and
	// nothing is acknowledged any more.
	broken atomic.Pointer[error]

	group *batch.Committer[*pending]
	buf   bytes.Buffer
}

// pending is one entry on its way.
type pending struct {
	event audit.Event
}

// Open opens the log in dir, making the directory and keys at first. It reads
// the newest segment and holds its tree against the newest checkpoint; a
// *audit.BadEntry is returned where they differ. What a crash left half-written
// was never acknowledged and is dropped. The error is a *dirlock.InUseError where
// another process has the log open: two that continue one log break it for good.
func Open(dir string, now func() time.Time) (*Log, error) {
	return openIn(dir, now, segmentBytes)
}

func openIn(dir string, now func() time.Time, limit int64) (*Log, error) {
	l := &Log{dir: dir, now: now, limit: limit}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("open audit log: %w", errors.Join(err, l.closeFiles()))
	}
	l.group = batch.New(groupLimit, l.commit)
	return l, nil
}

func (l *Log) open() (err error) {
	if l.unlock, err = dirlock.Lock(l.dir); err != nil {
		return err
	}
	if l.keys, l.signer, err = openKeys(l.dir); err != nil {
		return err
	}
	l.macs = chain.NewMACs(l.keys.MAC)
	all, err := segmentsOf(l.dir)
	if err != nil {
		return err
	}
	newest := all[len(all)-1]
	if err := l.openSegment(newest); err != nil {
		return newest.missing(err)
	}
	// What was just made is there after a loss of power, too.
	if err := errors.Join(durable.SyncDir(l.dir), durable.SyncEntry(l.dir)); err != nil {
		return err
	}
	return l.recover()
}

// recover checks what is there and cuts off what was never acknowledged.
func (l *Log) recover() error {
	v, err := newVerification(l.keys, l.checkpoints, l.at)
	if err != nil {
		return err
	}
	good, whole, err := v.resume(l.entries)
	if err != nil {
		return err
	}
	if err := errors.Join(l.entries.Truncate(good.bytes), l.checkpoints.Truncate(whole)); err != nil {
		return err
	}
	if _, err := l.entries.Seek(good.bytes, io.SeekStart); err != nil {
		return err
	}
	l.head, l.good, l.whole = good.Head, good.bytes, whole
	return nil
}

// Broken is the error after which nothing is appended any more, until the log is
// opened anew: of a sync of the disk. A full disk is none.
func (l *Log) Broken() error {
	if err := l.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// Append adds an entry; entries appended at the same time share a sync.
func (l *Log) Append(ctx context.Context, e audit.Event) error {
	return audit.Fault("append", l.group.Do(ctx, &pending{event: e}))
}

// Verify reads the whole log as it is on disk now.
func (l *Log) Verify(ctx context.Context) (int64, error) { return Verify(ctx, l.dir) }

// Close signs nothing more and closes the files; what was appended is durable already.
func (l *Log) Close() error {
	l.group.Close()
	return errors.Join(l.checkpoints.Sync(), l.closeFiles())
}

func (l *Log) closeFiles() error {
	var errs []error
	for _, f := range []*os.File{l.entries, l.checkpoints} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	if l.unlock != nil {
		errs = append(errs, l.unlock())
	}
	return errors.Join(errs...)
}

// commit writes a group: the lines, one sync, one checkpoint.
func (l *Log) commit(group []*pending) []error {
	err := l.Broken()
	if err == nil {
		err = l.roll()
	}
	if err == nil {
		err = l.write(group)
	}
	if err == nil {
		return nil
	}
	errs := make([]error, len(group))
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// write appends the group, or leaves the log as it was. The checkpoint is synced
// with the next group's lines: a loss of power costs one checkpoint at most, whose
// entries are there, and follow.
func (l *Log) write(group []*pending) error {
	next := l.head.Clone()
	l.buf.Reset()
	if err := l.lines(&next, group); err != nil {
		return err
	}
	signed, err := checkpoint(next, l.signer)
	if err != nil {
		return err
	}
	if _, err := l.entries.Write(l.buf.Bytes()); err != nil {
		return l.cutBack(err)
	}
	if err := l.sync(); err != nil {
		return l.breaks(err)
	}
	if _, err := l.checkpoints.Write(signed); err != nil {
		return l.cutBack(err)
	}
	l.head, l.unsynced = next, true
	l.good, l.whole = l.good+int64(l.buf.Len()), l.whole+int64(len(signed))
	return nil
}

// sync makes the lines durable, and the checkpoint before them.
func (l *Log) sync() error {
	before := make(chan error, 1)
	go func() {
		if !l.unsynced {
			before <- nil
			return
		}
		before <- fdatasync(l.checkpoints)
	}()
	return errors.Join(fdatasync(l.entries), <-before)
}

// cutBack removes what a write that failed has left behind what counts, so that
// the next can go on: a full disk may have room again.
func (l *Log) cutBack(failed error) error {
	err := errors.Join(l.entries.Truncate(l.good), l.checkpoints.Truncate(l.whole))
	if err == nil {
		_, err = l.entries.Seek(l.good, io.SeekStart)
	}
	if err != nil {
		return l.breaks(errors.Join(failed, err))
	}
	return failed
}

func (l *Log) breaks(err error) error {
	l.broken.Store(&err)
	return err
}

// lines writes the group's lines into the buffer, behind h.
func (l *Log) lines(h *chain.Head, group []*pending) error {
	for _, p := range group {
		if err := h.Add(l.macs, &l.buf, l.macs.Entry(p.event, h.Size, l.now())); err != nil {
			return err
		}
	}
	return nil
}
