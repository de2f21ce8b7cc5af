package files_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/blob/blobtest"
	"github.com/clarity-loop/clarity/services/blob/files"
)

func open(t testing.TB, dir string) *files.Store {
	t.Helper()
	s, err := files.Open(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	defer goleak.VerifyNone(t)
	blobtest.Run(t, func(t *testing.T) blobtest.Opener {
		dir := t.TempDir()
		var s *files.Store
		shut := func() {
			if s != nil {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		t.Cleanup(shut)
		return func() blob.Store {
			shut()
			s = open(t, dir)
			return s
		}
	})
}
