package datadir

import (
	"errors"
	"sync"
	"syscall"
	"time"
)

// The reserve of a disk is kept for what must go on, of which the last part lies in a file,
// lest another program takes it. Nothing is taken in by it; the
// upper half is for merges of what was acked, and the lower for reads, which are
// audited, for withdrawals and for erasures.
const (
	reserveMost  = 64 << 20
	reserveShare = 20 // of the whole disk, one part
	whole        = 1  // of the reserve
	lowerHalf    = 2
	spaceBelief  = time.Second
)

// errNoSpace says that only the reserve is left.
var errNoSpace = errors.New("the disk of the data directory has no more room than is kept in reserve")

// space watches the disk of a directory, for a part of the reserve.
type space struct {
	dir string
	of  uint64 // that part, by what it is the reserve is divided
	now func() time.Time

	mu    sync.Mutex
	asked time.Time
	err   error
}

// left is nil where there is more room than the part of the reserve; it asks the disk once a
// second at most.
func (s *space) left() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); now.Sub(s.asked) >= spaceBelief || now.Before(s.asked) {
		s.asked, s.err = now, roomOn(s.dir, s.of, syscall.Statfs)
	}
	return s.err
}

// roomOn is nil where the disk cannot be asked: a write tells.
func roomOn(dir string, of uint64, ask func(string, *syscall.Statfs_t) error) error {
	if free, total, known := roomy(dir, ask); known && free < mark(total)/of {
		return errNoSpace
	}
	return nil
}

// mark is the reserve of a disk of so many bytes.
func mark(total uint64) uint64 { return min(reserveMost, total/reserveShare) }

// roomy is how many bytes a disk has, and how many of them are free.
func roomy(dir string, ask func(string, *syscall.Statfs_t) error) (free, total uint64, known bool) {
	var disk syscall.Statfs_t
	if err := ask(dir, &disk); err != nil || disk.Bsize <= 0 {
		return 0, 0, false
	}
	block := uint64(disk.Bsize)
	return disk.Bavail * block, disk.Blocks * block, true
}
