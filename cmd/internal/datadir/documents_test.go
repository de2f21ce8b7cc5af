package datadir_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/datadir"
	"github.com/clarity-loop/clarity/cmd/internal/platform"
)

// Where the documents are gone, what a directory holds of people would be what nobody
// needs, and go within a day: it is neither started nor looked at as if it were new.
func TestObjectsWithoutDocumentsAreNoNewDirectory(t *testing.T) {
	for name, lose := range map[string]func(file string) error{
		"gone":  os.Remove,
		"empty": func(file string) error { return os.Truncate(file, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			start(t, dir)
			furnish(t, dir)
			if err := lose(filepath.Join(dir, "store.db")); err != nil {
				t.Fatal(err)
			}
			_ = os.Remove(filepath.Join(dir, "store.db-wal"))
			if err := os.MkdirAll(filepath.Join(dir, "blobs"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "blobs", "00000001.seg"), []byte("CLG1"), 0o600); err != nil {
				t.Fatal(err)
			}
			const want = "the documents of the data directory"
			if _, err := datadir.Open(t.Context(), dir, config(), drivers(), table(whole), env()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("it starts: %v", err)
			}
			l := datadir.Lease{Dir: dir, Drivers: drivers(), Needs: whole, Env: platform.Env{Now: time.Now, Log: slog.New(slog.DiscardHandler)}}
			if _, _, err := l.Acquire(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("it is looked at: %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "blobs", "00000001.seg")); err != nil {
				t.Error(err)
			}
		})
	}
}
