package blobtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/blob/blobtest"
	"github.com/clarity-loop/clarity/services/blob/files"
	"github.com/clarity-loop/clarity/services/fault"
)

func calm(t *testing.T) *files.Store {
	t.Helper()
	s, err := files.Open(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A driver to which nothing happens is the driver: it passes the suite.
func TestACalmHostileDriverKeepsTheContract(t *testing.T) {
	blobtest.Run(t, func(t *testing.T) blobtest.Opener {
		dir := t.TempDir()
		var s *files.Store
		shut := func() {
			if s != nil {
				_ = s.Close()
			}
		}
		t.Cleanup(shut)
		return func() blob.Store {
			shut()
			var err error
			if s, err = files.Open(dir, time.Now); err != nil {
				t.Fatal(err)
			}
			return blobtest.Hostile(s, blobtest.Options{Now: time.Now})
		}
	})
}

// trace puts, reads and deletes, and tells what came of it.
func trace(t *testing.T, seed uint64) (lines []string, happened map[string]int) {
	t.Helper()
	s := calm(t)
	h := blobtest.Hostile(s, blobtest.Options{Seed: seed, Worst: 0.3, Now: time.Now})
	ctx := t.Context()
	for i := range 400 {
		name, data := fmt.Sprint("days/", i%7), fmt.Append(nil, "bytes ", i%7)
		var err error
		switch i / 7 % 3 {
		case 0:
			_, err = h.Put(ctx, name, data)
		case 1:
			var got []byte
			if got, err = h.Get(ctx, name); err == nil && !bytes.Equal(got, data) {
				t.Fatalf("call %d: other bytes than were put", i)
			}
		default:
			err = remove(ctx, h, name)
		}
		_, there := s.Get(ctx, name)
		switch {
		case err == nil && i/7%3 == 0 && there != nil:
			t.Fatalf("call %d: a put is acknowledged and is not there", i)
		case err == nil && i/7%3 == 2 && there == nil:
			t.Fatalf("call %d: a delete is acknowledged and it is there", i)
		}
		lines = append(lines, fmt.Sprintf("%d %v %v", i, err, there))
	}
	return lines, h.Happened()
}

func remove(ctx context.Context, s blob.Store, name string) error {
	info, err := s.Stat(ctx, name)
	if errors.Is(err, blob.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.Delete(ctx, name, info.Generation)
}

func TestAHostileDriverKeepsEveryWord(t *testing.T) {
	all := map[string]int{}
	for seed := range uint64(5) {
		_, happened := trace(t, seed)
		for what, n := range happened {
			all[what] += n
		}
	}
	for _, what := range []string{"put away", "get away", "delete away", "put and failed", "not put and failed", "put later and failed",
		"exists by its own hand", "deleted and failed"} {
		if all[what] < 10 {
			t.Errorf("%q happened %d times: the driver is not as bad as it may be", what, all[what])
		}
	}
}

func TestASeedIsARun(t *testing.T) {
	first, _ := trace(t, 7)
	again, _ := trace(t, 7)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("(-first +again):\n%s", diff)
	}
	if other, _ := trace(t, 8); slices.Equal(first, other) {
		t.Error("another seed is the same run")
	}
}

func TestADriverThatIsAway(t *testing.T) {
	h := blobtest.Hostile(calm(t), blobtest.Options{Now: time.Now})
	h.Away(true)
	_, err := h.Put(t.Context(), "a", nil)
	var f *fault.Error
	if !errors.As(err, &f) || f.Class != fault.Unavailable {
		t.Errorf("put: %v", err)
	}
	h.Away(false)
	if _, err := h.Put(t.Context(), "a", nil); err != nil {
		t.Errorf("back again: %v", err)
	}
}
