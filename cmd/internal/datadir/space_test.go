package datadir

import (
	"errors"
	"syscall"
	"testing"
	"time"
)

func TestTheReserveOfADisk(t *testing.T) {
	disk := func(free, all uint64) func(string, *syscall.Statfs_t) error {
		return func(_ string, d *syscall.Statfs_t) error {
			d.Bsize, d.Bavail, d.Blocks = 4096, free, all
			return nil
		}
	}
	const large, small = 1 << 28, 6000 // blocks: 1 TiB and 24 MB
	for name, tt := range map[string]struct {
		ask     func(string, *syscall.Statfs_t) error
		full    bool
		working bool // what was taken in is worked on
	}{
		"a large disk with 64 MiB":                {disk(16384, large), false, true},
		"a large disk with less":                  {disk(16383, large), true, true},
		"a small disk with a twentieth":           {disk(300, small), false, true},
		"a small disk with less than a twentieth": {disk(299, small), true, true},
		"a large disk with half of the reserve":   {disk(8192, large), true, true},
		"a large disk with less than that":        {disk(8191, large), true, false},
		"a full disk":                             {disk(0, small), true, false},
		"a disk that does not say":                {func(string, *syscall.Statfs_t) error { return syscall.EIO }, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := roomOn("d", whole, tt.ask); errors.Is(err, errNoSpace) != tt.full {
				t.Errorf("%v, want full: %v", err, tt.full)
			}
			if err := roomOn("d", lowerHalf, tt.ask); (err == nil) != tt.working {
				t.Errorf("%v, want work: %v", err, tt.working)
			}
		})
	}
}

// What was heard is believed for a second, so that each upload may ask.
func TestADiskIsAskedOnceASecond(t *testing.T) {
	now := time.Unix(1000, 0)
	s := &space{dir: t.TempDir(), of: whole, now: func() time.Time { return now }}
	if err := s.left(); err != nil {
		t.Skip("this disk is full")
	}
	s.err = errNoSpace
	now = now.Add(spaceBelief - 1)
	if err := s.left(); !errors.Is(err, errNoSpace) {
		t.Errorf("within a second: %v", err)
	}
	now = now.Add(1)
	if err := s.left(); err != nil {
		t.Errorf("a second later: %v", err)
	}
}
