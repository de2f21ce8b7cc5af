package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/clarity-loop/clarity/services/blob"
)

// eraseOp removes what has the name, whatever its generation.
func eraseOp(name string) *operation {
	return &operation{verb: verbDeleteAll, name: name, entries: []entry{{name: name}}}
}

func putOp(name string, data []byte) *operation {
	return &operation{verb: verbPut, name: name, data: data, crc: crc32.Checksum(data, castagnoli)}
}

func TestAFailingDisk(t *testing.T) {
	for _, c := range []struct {
		name, call string
		err        error
	}{
		{"a sync that fails", "sync", syscall.EIO},
		{"a short write", "write", syscall.EIO},
		{"a full disk", "write", syscall.ENOSPC},
		{"a full directory", "create", syscall.ENOSPC},
		{"a directory that cannot be synced", "syncdir", syscall.EIO},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer goleak.VerifyNone(t)
			dir := newMemoryDir()
			s, err := open(dir, fixedNow, worldSegment)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			ctx := context.Background()
			big := make([]byte, worldSegment) // fills the segment: the next put needs a new one
			first, err := s.Put(ctx, "before", big)
			if err != nil {
				t.Fatal(err)
			}
			failed := map[string]bool{} // files a call has failed on
			dir.mu.Lock()
			dir.fault = func(call, name string) error {
				if failed[name] && (call == "write" || call == "sync") {
					t.Errorf("%s is called again on %s, which has failed", call, name)
				}
				if call != c.call {
					return nil
				}
				if name != "" {
					failed[name] = true
				}
				return c.err
			}
			dir.mu.Unlock()
			for i := range 3 {
				if _, err := s.Put(ctx, fmt.Sprint("during/", i), []byte("x")); !errors.Is(err, c.err) {
					t.Errorf("put %d: %v, want %v", i, err, c.err)
				}
				if _, err := s.Get(ctx, fmt.Sprint("during/", i)); !errors.Is(err, blob.ErrNotFound) {
					t.Errorf("an object that was not acknowledged is there: %v", err)
				}
			}
			if err := s.Delete(ctx, "before", first); !errors.Is(err, c.err) {
				t.Errorf("delete: %v, want %v", err, c.err)
			}
			if got, err := s.Get(ctx, "before"); err != nil || !bytes.Equal(got, big) {
				t.Errorf("what was there before: %d bytes, %v", len(got), err)
			}
			dir.mu.Lock()
			dir.fault = nil
			dir.mu.Unlock()
			if _, err := s.Put(ctx, "after", []byte("x")); err != nil {
				t.Errorf("put when the disk works again: %v", err)
			}
		})
	}
}

func TestConcurrentPutsShareASync(t *testing.T) {
	dir := newMemoryDir()
	syncs := 0
	dir.fault = func(call, _ string) error {
		if call == "sync" {
			syncs++
			time.Sleep(time.Millisecond) // as a disk does; the next group gathers
		}
		return nil
	}
	s, err := open(dir, fixedNow, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const callers, each = 16, 10
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				if _, err := s.Put(context.Background(), fmt.Sprintf("%d/%d", c, i), []byte("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	dir.mu.Lock()
	defer dir.mu.Unlock()
	if syncs > callers*each/3 {
		t.Errorf("%d puts took %d syncs", callers*each, syncs)
	}
}

func TestSpaceOfDeletedObjectsComesBack(t *testing.T) {
	dir := newMemoryDir()
	s, err := open(dir, fixedNow, worldSegment)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	var generations []int64
	for i := range 400 { // a window of 10 objects moves on; one in 40 stays
		generation, err := s.Put(ctx, fmt.Sprint("o/", i), make([]byte, 300))
		if err != nil {
			t.Fatal(err)
		}
		generations = append(generations, generation)
		if i >= 10 && (i-10)%40 != 0 {
			if err := s.Delete(ctx, fmt.Sprint("o/", i-10), generations[i-10]); err != nil {
				t.Fatal(err)
			}
		}
	}
	var held int
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		dir.mu.Lock()
		held = 0
		for _, f := range dir.names {
			held += len(f.data)
		}
		dir.mu.Unlock()
		if held < 400*300/4 {
			break
		}
	}
	if held >= 400*300/4 {
		t.Errorf("20 objects of 300 bytes are alive, the segments hold %d bytes", held)
	}
	for i := range 400 {
		_, err := s.Get(ctx, fmt.Sprint("o/", i))
		if alive := i >= 390 || i%40 == 0; alive != (err == nil) {
			t.Errorf("o/%d: %v", i, err)
		}
	}
}

// A segment that a full disk has no room to compact is compacted once there is:
// after an hour, or at once where the clock was set back, and not before.
func TestASegmentIsCompactedOnceThereIsRoom(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	l := &log{now: func() time.Time { return now }, segments: map[uint32]*segment{7: {id: 7, size: 100, live: 10}}}
	is := func(when string, want bool) {
		t.Helper()
		if _, due := l.due(); due != want {
			t.Errorf("%s: due %t, want %t", when, due, want)
		}
	}
	is("at first", true)
	l.leaveAlone(7)
	is("when it has failed", false)
	now = now.Add(time.Hour - time.Second)
	is("within the hour", false)
	now = now.Add(time.Second)
	is("after an hour", true)
	l.leaveAlone(7)
	now = now.AddDate(0, 0, -1)
	is("of a clock that was ahead", true)
}
