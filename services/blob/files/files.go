// Package files keeps blobs in the segments of a log: the embedded driver.
//
// Concurrent puts and deletes are appended together and share one sync of the
// disk. What is where is held in memory, about 120 bytes an object, and read from
// the heads of the records when the store is opened. A segment of which less than
// half is alive is copied to the end and removed.
//
// After a failed write or sync nothing more is written through that descriptor,
// and what it was to hold is not acknowledged: the next group opens a new
// segment, or is refused. What lies behind the last acknowledged byte of a
// segment does not count, however much of it reached the disk.
//
// A record that was damaged on the disk is ErrCorrupt and costs no other. When
// the machine loses power during a group, damage to that group cannot be told
// from writes that never came: its records are cut off from the first damaged
// one on.
package files

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/internal/dirlock"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/internal/batch"
)

// MaxObject is the most bytes an object may have.
const MaxObject = 64 << 20

const (
	segmentBytes = 8 << 20
	maxGroup     = 128
)

// ErrClosed is returned after Close.
var ErrClosed = errors.New("blob: store is closed")

// A Store is a blob.Store over a directory.
type Store struct {
	log    *log
	group  *batch.Committer[*operation]
	unlock func() error

	compact   chan struct{} // one token: a segment may want compaction
	quit      context.CancelFunc
	compactor sync.WaitGroup
	close     sync.Once
}

var _ blob.Store = (*Store)(nil)

// Open opens the store in the directory, which it creates where it is not there.
// The error is a *dirlock.InUseError where another process has it open.
func Open(dir string, now func() time.Time) (*Store, error) {
	unlock, err := dirlock.Lock(dir)
	if err != nil {
		return nil, fmt.Errorf("open blobs: %w", err)
	}
	s, err := open(osDir(dir), now, segmentBytes)
	if err != nil {
		return nil, fmt.Errorf("open blobs in %s: %w", filepath.Base(dir), errors.Join(err, unlock()))
	}
	s.unlock = unlock
	return s, nil
}

func open(dir fileSystem, now func() time.Time, segmentBytes int64) (*Store, error) {
	l, err := openLog(dir, now, segmentBytes)
	if err != nil {
		return nil, err
	}
	s := &Store{log: l, compact: make(chan struct{}, 1), unlock: func() error { return nil }}
	s.group = batch.New(maxGroup, s.commit)
	ctx, quit := context.WithCancel(context.Background())
	s.quit = quit
	s.compactor.Go(func() { s.compactWhenAsked(ctx) })
	s.compact <- struct{}{}
	return s, nil
}

// A Cut is the end of a segment that was cut off when the store was opened: it
// was not whole, as after a loss of power, and nobody was told that it was kept.
type Cut struct {
	Segment     string
	Bytes, Left int64 // that were cut off, and that are left
}

// Cuts are the ends that were cut off when the store was opened.
func (s *Store) Cuts() []Cut { return s.log.cuts }

// Close commits what waits and closes the store.
func (s *Store) Close() error {
	var err error
	s.close.Do(func() {
		s.quit()
		s.compactor.Wait()
		s.group.Close()
		if err = errors.Join(s.log.close(), s.unlock()); err != nil {
			err = fmt.Errorf("close blobs: %w", err)
		}
	})
	return err
}

func (s *Store) do(ctx context.Context, op *operation) error {
	err := s.group.Do(ctx, op)
	if errors.Is(err, batch.ErrClosed) {
		return ErrClosed
	}
	return err
}

// Put stores a new object; see blob.Store.
func (s *Store) Put(ctx context.Context, name string, data []byte) (generation int64, err error) {
	if err := blob.CheckName(name); err != nil {
		return 0, fmt.Errorf("put blob: %w", err)
	}
	if len(data) > MaxObject {
		return 0, fmt.Errorf("put blob: %d bytes are over the limit of %d", len(data), MaxObject)
	}
	op := &operation{verb: verbPut, name: name, data: data, crc: crc32.Checksum(data, castagnoli)}
	if err := s.do(ctx, op); err != nil {
		return 0, blob.Fault("put", err)
	}
	return op.generation, nil
}

// Renew has an object be as if it had just been put.
func (s *Store) Renew(ctx context.Context, name string) (generation int64, err error) {
	if err := blob.CheckName(name); err != nil {
		return 0, fmt.Errorf("renew blob: %w", err)
	}
	op := &operation{verb: verbRenew, name: name}
	if err := s.do(ctx, op); err != nil {
		return 0, blob.Fault("renew", err)
	}
	return op.generation, nil
}

// Delete removes the object of the generation; where it is not there it is nil.
func (s *Store) Delete(ctx context.Context, name string, generation int64) error {
	if err := blob.CheckName(name); err != nil {
		return fmt.Errorf("delete blob: %w", err)
	}
	return blob.Fault("delete", s.do(ctx, &operation{verb: verbDelete, name: name, generation: generation}))
}

// Stat describes an object, or is blob.ErrNotFound.
func (s *Store) Stat(ctx context.Context, name string) (blob.Info, error) {
	if err := blob.CheckName(name); err != nil {
		return blob.Info{}, fmt.Errorf("stat blob: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return blob.Info{}, blob.Fault("stat", err)
	}
	e, found := s.log.lookup(name)
	if !found {
		return blob.Info{}, fmt.Errorf("stat blob: %w", blob.ErrNotFound)
	}
	return e.info(), nil
}

// Get returns the object's bytes, checked against their CRC.
func (s *Store) Get(ctx context.Context, name string) ([]byte, error) {
	if err := blob.CheckName(name); err != nil {
		return nil, fmt.Errorf("get blob: %w", err)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, blob.Fault("get", err)
		}
		e, found := s.log.lookup(name)
		if !found {
			return nil, fmt.Errorf("get blob: %w", blob.ErrNotFound)
		}
		data, err := s.log.read(e)
		if errors.Is(err, fs.ErrNotExist) {
			if again, _ := s.log.lookup(name); again.at != e.at {
				continue // its segment was compacted meanwhile
			}
			err = fmt.Errorf("%w: its segment is not there", blob.ErrUnavailable) // as of a disk that is away
		}
		if err != nil {
			return nil, blob.Fault("get", err)
		}
		return data, nil
	}
}

// List describes at most limit objects with the prefix, after the name given, in
// byte order of names.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) ([]blob.Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, blob.Fault("list", err)
	}
	if limit < 1 {
		return nil, fmt.Errorf("list blobs: limit %d is less than 1", limit)
	}
	entries := s.log.list(prefix, after, limit)
	infos := make([]blob.Info, len(entries))
	for i, e := range entries {
		infos[i] = e.info()
	}
	return infos, nil
}

// commit appends a group and asks for a compaction where one is due.
func (s *Store) commit(ops []*operation) []error {
	errs := s.log.commit(ops)
	if _, due := s.log.due(); due {
		select {
		case s.compact <- struct{}{}:
		default:
		}
	}
	return errs
}

// compactWhenAsked compacts one segment after the other, each in a group with
// what else is written then. An error marks the segment, which is left alone for a
// while: nothing is lost with it but space.
func (s *Store) compactWhenAsked(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.compact:
		}
		for {
			id, due := s.log.due()
			if !due {
				break
			}
			if err := s.group.Do(ctx, &operation{verb: verbCompact, segment: id}); err != nil {
				if ctx.Err() != nil || errors.Is(err, batch.ErrClosed) {
					return
				}
				s.log.leaveAlone(id)
			}
		}
	}
}
