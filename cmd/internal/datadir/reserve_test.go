package datadir

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A smallDisk has blocks of a byte; what the reserve holds is not free.
type smallDisk struct {
	dir         string
	total, room uint64 // without the reserve
}

func (d *smallDisk) held() uint64 {
	info, err := os.Stat(filepath.Join(d.dir, reserveName))
	if err != nil {
		return 0
	}
	return uint64(info.Size())
}

func (d *smallDisk) ask(_ string, s *syscall.Statfs_t) error {
	s.Bsize, s.Blocks, s.Bavail = 1, d.total, d.room-min(d.room, d.held())
	return nil
}

// The last of a disk is taken before another program can, given up when that has filled it,
// and taken back when there is room. Only where that is used up, too, nothing goes on.
func TestTheLastOfADiskIsHeld(t *testing.T) {
	var log bytes.Buffer
	disk := &smallDisk{dir: t.TempDir(), total: 40 << 20, room: 30 << 20}
	r := &reserve{dir: disk.dir, log: slog.New(slog.NewTextHandler(&log, nil)), ask: disk.ask}
	full := size(disk.total)
	for _, step := range []struct {
		what string
		room uint64 // with what is held
		held uint64
		out  bool
	}{
		{"there is room", 30 << 20, full, false},
		{"there is less", 3 << 20, full, false},
		{"another program filled it", full, 0, false},
		{"it was used for reads", full / 2, 0, false},
		{"it is used up", full/16 - 1, 0, true},
		{"there is a little more", 2 << 20, 0, false},
		{"there is room again", 30 << 20, full, false},
	} {
		disk.room = step.room
		r.look()
		if err := r.left(); disk.held() != step.held || errors.Is(err, errSpent) != step.out {
			t.Errorf("%s: %d bytes are held, want %d; %v, want an error %t", step.what, disk.held(), step.held, err, step.out)
		}
	}
	if !strings.Contains(log.String(), "reserve is given up") {
		t.Errorf("the log has %q", log.String())
	}
	content, err := os.ReadFile(r.path())
	if err != nil || bytes.Count(content, []byte{0}) > len(content)/2 {
		t.Errorf("it is empty room, which a disk may not keep: %v", err)
	}
}

// A start on a disk that is full goes on with the reserve, and on one with room leaves it.
func TestAStartOnAFullDisk(t *testing.T) {
	disk := &smallDisk{dir: t.TempDir(), total: 40 << 20, room: 30 << 20}
	r := &reserve{dir: disk.dir, log: slog.New(slog.DiscardHandler), ask: disk.ask}
	r.look()
	makeRoom(disk.dir, disk.ask)
	if disk.held() == 0 {
		t.Fatal("there is room, and the reserve is given up")
	}
	disk.room = disk.held()
	makeRoom(disk.dir, disk.ask)
	if _, err := os.Stat(r.path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the disk is full: %v", err)
	}
}
