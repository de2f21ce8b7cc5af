package files_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/blob/files"
)

// A directory that is away, as with its disk, is no damage: what is in it is there
// again with it.
func TestADirectoryThatIsAwayIsNoDamage(t *testing.T) {
	dir := t.TempDir() + "/blobs"
	s, err := files.Open(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.Put(t.Context(), "a", []byte("b")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, blob.ErrUnavailable) || errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("while it is away: %v", err)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), "a"); string(got) != "b" {
		t.Errorf("behind it: %q, %v", got, err)
	}
}
