package datadir

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// reserveName is the file that holds a part of the disk for the time when another program
// has filled it: what is left to us then is what we have taken before.
const reserveName = "reserve"

const (
	heldMost  = 4 << 20
	heldShare = 40 // of the whole disk, one part
	lowShare  = 4  // of the file: with less than that left it is given up
	spent     = 16 // of the file: with less than that left, and without it, nothing goes on
	watched   = 200 * time.Millisecond
)

// errSpent says that not even the reserve is left.
var errSpent = errors.New("the disk of the data directory is full, and its reserve is used up")

// reserve holds room of a disk: it is given up when the disk is full, so that reads, which
// are audited, withdrawals and erasures go on, and taken back when there is room.
type reserve struct {
	dir string
	log *slog.Logger
	ask func(string, *syscall.Statfs_t) error

	out  atomic.Bool // nothing is left
	stop chan struct{}
	gone chan struct{}
}

// size is how large the file is on a disk of so many bytes.
func size(total uint64) uint64 { return min(heldMost, total/heldShare) }

// watch takes the reserve and looks after it until the closer is closed. The file stays:
// it is what the next start on a full disk goes on with.
func (r *reserve) watch() {
	r.stop, r.gone = make(chan struct{}), make(chan struct{})
	r.look()
	go func() {
		defer close(r.gone)
		tick := time.NewTicker(watched)
		defer tick.Stop()
		for {
			select {
			case <-r.stop:
				return
			case <-tick.C:
				r.look()
			}
		}
	}()
}

// Close ends the watch.
func (r *reserve) Close() error {
	close(r.stop)
	<-r.gone
	return nil
}

// left says why nothing can be written any more.
func (r *reserve) left() error {
	if r.out.Load() {
		return errSpent
	}
	return nil
}

// look gives the file up or takes it, as the disk is.
func (r *reserve) look() {
	free, total, known := roomy(r.dir, r.ask)
	if !known {
		return
	}
	info, err := os.Lstat(r.path())
	held := err == nil && info.Mode().IsRegular()
	switch want := size(total); {
	case held && free < want/lowShare:
		if r.giveUp() {
			r.log.Warn("the disk is full: its reserve is given up for reads, withdrawals and erasures; make room", "bytes", info.Size())
		}
	case !held && errors.Is(err, fs.ErrNotExist):
		r.out.Store(free < want/spent)
		if free >= mark(total)+want {
			if err := r.take(want); err != nil {
				r.log.Warn("no reserve of the disk is held", "err", err)
			}
		}
	default:
		r.out.Store(false)
	}
}

func (r *reserve) path() string { return filepath.Join(r.dir, reserveName) }

func (r *reserve) giveUp() bool { return os.Remove(r.path()) == nil }

// take writes the file, of what no disk keeps in less room than it has.
func (r *reserve) take(bytes uint64) error {
	content := make([]byte, bytes)
	_, _ = rand.Read(content) // never fails
	err := os.WriteFile(r.path(), content, 0o600)
	if err != nil {
		r.giveUp()
	}
	return err
}

// makeRoom gives the reserve up for a start on a disk that is full.
func makeRoom(dir string, ask func(string, *syscall.Statfs_t) error) {
	if free, total, known := roomy(dir, ask); known && free < size(total)/2 {
		(&reserve{dir: dir}).giveUp()
	}
}
