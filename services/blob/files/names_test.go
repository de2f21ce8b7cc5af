package files

import (
	"bytes"
	"fmt"
	"testing"
)

const erasedUID = "anna-c0ffee"

// named furnishes a log of several segments, in each of them something of a person.
func named(t *testing.T, dir *memoryDir) *Store {
	t.Helper()
	s, err := open(dir, fixedNow, worldSegment)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		for _, name := range []string{"days/55/" + erasedUID + "/2026-11-", "days/55/ben/2026-11-"} {
			if _, err := s.Put(t.Context(), fmt.Sprint(name, i), bytes.Repeat([]byte{byte(i)}, 100)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

// readable fails where the name is in a file, or what is another's is not.
func readable(t *testing.T, dir *memoryDir, s *Store) {
	t.Helper()
	dir.mu.Lock()
	for name, f := range dir.names {
		if bytes.Contains(f.data, []byte(erasedUID)) {
			t.Errorf("%s has the name of who is erased", name)
		}
	}
	dir.mu.Unlock()
	for i := range 40 {
		if got, err := s.Get(t.Context(), fmt.Sprint("days/55/ben/2026-11-", i)); err != nil || !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, 100)) {
			t.Errorf("what is another's: %d bytes, %v", len(got), err)
		}
	}
}

func TestOfAnErasedPrefixNothingIsInAnyFile(t *testing.T) {
	dir := newMemoryDir()
	s := named(t, dir)
	defer s.Close()
	info, err := s.Stat(t.Context(), "days/55/"+erasedUID+"/2026-11-3")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), info.Name, info.Generation); err != nil { // long before
		t.Fatal(err)
	}
	for range 2 {
		if err := s.DeletePrefix(t.Context(), "days/55/"+erasedUID+"/"); err != nil {
			t.Fatal(err)
		}
	}
	readable(t, dir, s)
}

// The process dies behind the deletes, and before what they have left is gone.
func TestAnErasedPrefixIsFinishedByTheNextProcess(t *testing.T) {
	dir := newMemoryDir()
	s := named(t, dir)
	entries := s.log.list("days/55/"+erasedUID+"/", "", 100)
	s.quit() // so that nothing is compacted
	s.compactor.Wait()
	if err := s.do(t.Context(), &operation{verb: verbDeleteAll, entries: entries}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := open(dir, fixedNow, worldSegment)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.DeletePrefix(t.Context(), "days/55/"+erasedUID+"/"); err != nil {
		t.Fatal(err)
	}
	readable(t, dir, s)
}
