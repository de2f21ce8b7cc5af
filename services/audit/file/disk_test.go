package file_test

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/audit/file"
)

// A disk without room costs what is appended meanwhile, and no more: where there
// is room again the log goes on, and half a line is not in it.
func TestALogGoesOnWhenThereIsRoomAgain(t *testing.T) {
	dir := t.TempDir()
	l, err := file.Open(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	event := audit.Event{Action: audit.DataRead, UID: "anna", ActorUID: "anna", Object: "2026-11-20", Outcome: "ok"}
	for range 3 {
		if err := l.Append(context.Background(), event); err != nil {
			t.Fatal(err)
		}
	}
	before := size(t, filepath.Join(dir, "log.jsonl"))
	for name, room := range map[string]int64{"for half a line": before + 100, "for no byte": before} {
		limitFiles(t, room, func() {
			for range 3 {
				if err := l.Append(context.Background(), event); err == nil {
					t.Errorf("room %s: appended", name)
				}
			}
		})
		if err := l.Broken(); err != nil {
			t.Errorf("room %s: a full disk breaks the log: %v", name, err)
		}
		if now := size(t, filepath.Join(dir, "log.jsonl")); now != before {
			t.Errorf("room %s: the log has %d bytes, before %d", name, now, before)
		}
	}
	if err := l.Append(context.Background(), event); err != nil {
		t.Errorf("with room: %v", err)
	}
	if n, err := l.Verify(context.Background()); err != nil || n != 4 {
		t.Errorf("%d entries, %v", n, err)
	}
}

// limitFiles runs f while no file can be larger.
func limitFiles(t *testing.T, most int64, f func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(most), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// A loss of power may leave zeros where the newest checkpoint was to be: its
// entries follow, and are not vouched for yet. Anything else is tampering.
func TestATornCheckpointIsNoTampering(t *testing.T) {
	dir := t.TempDir()
	event := audit.Event{Action: audit.DataRead, UID: "anna", Outcome: "ok"}
	l, err := file.Open(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "checkpoints")
	var sizes []int64
	for range 3 {
		if err := l.Append(context.Background(), event); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, size(t, path))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		from, to int64
		by       byte
		torn     bool
	}{
		"the last is zeros":                {sizes[1], sizes[2], 0, true},
		"half of the last is zeros":        {(sizes[1] + sizes[2]) / 2, sizes[2], 0, true},
		"the one before the last is zeros": {sizes[0], sizes[1], 0, false},
		"the one before the last is noise": {sizes[0], sizes[1], 'x', false},
		"zeros in the last":                {sizes[1] + 20, sizes[1] + 40, 0, false},
		"a sector of the last is lost":     {sizes[1], 512, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			damaged := bytes.Clone(whole)
			for i := tt.from; i < tt.to; i++ {
				damaged[i] = tt.by
			}
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			n, err := file.Verify(context.Background(), dir)
			if !tt.torn {
				if err == nil {
					t.Errorf("%d entries verify", n)
				}
				return
			}
			if err != nil || n != 3 {
				t.Errorf("verify: %d entries, %v", n, err)
			}
			l, err := file.Open(dir, time.Now)
			if err != nil {
				t.Fatalf("it does not open: %v", err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
