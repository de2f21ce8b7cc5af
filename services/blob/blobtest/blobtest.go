// Package blobtest is the suite every blob.Store passes.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/blob"
)

// An Opener opens the driver over one place. Called again it closes the former
// driver and opens the same place anew.
type Opener func() blob.Store

// Run tests a driver against the contract. fresh returns the opener of a place
// that is empty; what it opened is closed when the test ends.
func Run(t *testing.T, fresh func(t *testing.T) Opener) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, open Opener)
	}{
		{"an object comes back as it was put", testRoundTrip},
		{"an object is not replaced", testCreateOnly},
		{"one of many who put the same name wins", testRace},
		{"what was put and deleted is so after the store is opened again", testDurable},
		{"a deleted object is gone, and its name is free", testDelete},
		{"a generation is of one object, for good", testGenerations},
		{"nobody deletes what another has just taken", testDeleteWhatWasSeen},
		{"a renewed object is young, and never away", testRenew},
		{"a prefix goes whole, and nothing beside it", testDeletePrefix},
		{"illegal names are refused", testNames},
		{"a list is in byte order of names, within its prefix", testList},
		{"pages meet every object once", testPages},
		{"many concurrent callers do not disturb each other", testConcurrent},
		{"the caller may reuse its memory", testMemory},
		{"a context that has ended stops a call", testContext},
		{"errors are faults of the room and name no person", testFaults},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, fresh(t)) })
	}
}

func put(t *testing.T, s blob.Store, name string, data []byte) {
	t.Helper()
	if _, err := s.Put(context.Background(), name, data); err != nil {
		t.Fatalf("put %s: %v", name, err)
	}
}

// remove deletes what is there.
func remove(t *testing.T, s blob.Store, name string) {
	t.Helper()
	if err := s.Delete(context.Background(), name, generation(t, s, name)); err != nil {
		t.Fatalf("delete %s: %v", name, err)
	}
}

func generation(t *testing.T, s blob.Store, name string) int64 {
	t.Helper()
	info, err := s.Stat(context.Background(), name)
	if err != nil || info.Generation <= 0 || info.Name != name {
		t.Fatalf("stat %s: %+v, %v", name, info, err)
	}
	return info.Generation
}

func has(t *testing.T, s blob.Store, name string, want []byte) {
	t.Helper()
	got, err := s.Get(context.Background(), name)
	if err != nil {
		t.Fatalf("get %s: %v", name, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s has %d bytes, not the %d that were put", name, len(got), len(want))
	}
}

func missing(t *testing.T, s blob.Store, name string) {
	t.Helper()
	if _, err := s.Get(context.Background(), name); !errors.Is(err, blob.ErrNotFound) {
		t.Fatalf("get %s: %v, want ErrNotFound", name, err)
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	_, _ = r.Read(b) // never fails
	return b
}

func testRoundTrip(t *testing.T, open Opener) {
	s := open()
	missing(t, s, "a/b")
	before := time.Now()
	sizes := []int{0, 1, 100, 4096, 30_057, 255 << 10, 256 << 10, 1<<20 + 1, 12 << 20}
	for _, n := range sizes {
		name := fmt.Sprintf("size/%09d", n)
		put(t, s, name, noise(n))
		has(t, s, name, noise(n))
	}
	infos, err := s.List(context.Background(), "size/", "", 100)
	if err != nil || len(infos) != len(sizes) {
		t.Fatalf("list: %d objects, %v", len(infos), err)
	}
	for i, info := range infos {
		if info.Size != int64(sizes[i]) {
			t.Errorf("%s has size %d", info.Name, info.Size)
		}
		if info.Created.Before(before.Add(-time.Minute)) || info.Created.After(time.Now().Add(time.Minute)) {
			t.Errorf("%s was created at %v, now is %v", info.Name, info.Created, before)
		}
	}
}

func testCreateOnly(t *testing.T, open Opener) {
	s := open()
	put(t, s, "a", []byte("first"))
	for _, data := range [][]byte{[]byte("second"), []byte("first"), nil} {
		if _, err := s.Put(context.Background(), "a", data); !errors.Is(err, blob.ErrExists) {
			t.Errorf("put again: %v, want ErrExists", err)
		}
	}
	has(t, s, "a", []byte("first"))
	put(t, s, "a/b", []byte("a name may be the prefix of another"))
	has(t, s, "a", []byte("first"))
}

func testRace(t *testing.T, open Opener) {
	s := open()
	for round := range 20 {
		name := fmt.Sprintf("race/%d", round)
		won := make(chan []byte, 8)
		var wg sync.WaitGroup
		for racer := range 8 {
			wg.Go(func() {
				data := []byte(fmt.Sprintf("racer %d", racer))
				switch _, err := s.Put(context.Background(), name, data); {
				case err == nil:
					won <- data
				case !errors.Is(err, blob.ErrExists):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		close(won)
		winner := <-won
		if len(won) != 0 {
			t.Fatalf("round %d has %d winners", round, len(won)+1)
		}
		has(t, s, name, winner)
	}
}

func testDurable(t *testing.T, open Opener) {
	s := open()
	put(t, s, "kept", noise(1000))
	put(t, s, "large", noise(1<<20))
	put(t, s, "gone", noise(1000))
	put(t, s, "again", []byte("old"))
	for _, name := range []string{"gone", "again"} {
		remove(t, s, name)
	}
	put(t, s, "again", []byte("new"))
	before, err := s.List(context.Background(), "", "", 10)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s = open()
		has(t, s, "kept", noise(1000))
		has(t, s, "large", noise(1<<20))
		has(t, s, "again", []byte("new"))
		missing(t, s, "gone")
		after, err := s.List(context.Background(), "", "", 10)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("the list after opening again (-before +after):\n%s", diff)
		}
		if _, err := s.Put(context.Background(), "kept", nil); !errors.Is(err, blob.ErrExists) {
			t.Errorf("put again: %v, want ErrExists", err)
		}
	}
}

func testDelete(t *testing.T, open Opener) {
	s := open()
	ctx := context.Background()
	if err := s.Delete(ctx, "nothing", 1); err != nil {
		t.Errorf("delete of nothing: %v, want nil", err)
	}
	if _, err := s.Stat(ctx, "nothing"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("stat of nothing: %v, want ErrNotFound", err)
	}
	for i := range 3 {
		data := []byte(fmt.Sprint("time ", i))
		put(t, s, "a", data)
		has(t, s, "a", data)
		seen := generation(t, s, "a")
		for range 2 {
			if err := s.Delete(ctx, "a", seen); err != nil {
				t.Fatal(err)
			}
			missing(t, s, "a")
		}
		if i == 1 {
			s = open()
			missing(t, s, "a")
		}
	}
}

func testNames(t *testing.T, open Opener) {
	s := open()
	ctx := context.Background()
	for _, name := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "a/./b", "a/../b", "../a", "a b", "a\x00", "a\n", "ä", "a:b", "a@b", "a\\b", "a*", "%2e%2e",
		strings.Repeat("a", 513), "a/" + strings.Repeat("b/", 255) + "c",
	} {
		if _, err := s.Put(ctx, name, []byte("x")); !errors.Is(err, blob.ErrName) {
			t.Errorf("put %q: %v, want ErrName", name, err)
		}
		if _, err := s.Get(ctx, name); !errors.Is(err, blob.ErrName) {
			t.Errorf("get %q: %v, want ErrName", name, err)
		}
		if err := s.Delete(ctx, name, 1); !errors.Is(err, blob.ErrName) {
			t.Errorf("delete %q: %v, want ErrName", name, err)
		}
		if _, err := s.Stat(ctx, name); !errors.Is(err, blob.ErrName) {
			t.Errorf("stat %q: %v, want ErrName", name, err)
		}
		if _, err := s.Renew(ctx, name); !errors.Is(err, blob.ErrName) {
			t.Errorf("renew %q: %v, want ErrName", name, err)
		}
	}
	for _, name := range []string{"a", "...", "..a", "a.", "-", "=", "_", "A/Z/0/9", strings.Repeat("a", 512), strings.Repeat("b/", 255) + "cc"} {
		put(t, s, name, []byte(name))
		has(t, s, name, []byte(name))
	}
}

func names(infos []blob.Info) []string {
	var ns []string
	for _, i := range infos {
		ns = append(ns, i.Name)
	}
	return ns
}

func testList(t *testing.T, open Opener) {
	s := open()
	ordered := []string{"-", "a", "a-b", "a.b", "a/a", "a/b", "a/b/c", "a0", "aa", "b", "b/a"}
	for _, i := range []int{5, 0, 9, 3, 7, 1, 10, 4, 8, 2, 6} {
		put(t, s, ordered[i], []byte(ordered[i]))
	}
	for _, c := range []struct {
		name, prefix, after string
		limit               int
		want                []string
	}{
		{"everything", "", "", 100, ordered},
		{"the first", "", "", 2, ordered[:2]},
		{"after a name", "", "a/a", 2, []string{"a/b", "a/b/c"}},
		{"after a name that is not there", "", "a/aa", 2, []string{"a/b", "a/b/c"}},
		{"a prefix", "a/", "", 100, []string{"a/a", "a/b", "a/b/c"}},
		{"a prefix that is a name", "a/b", "", 100, []string{"a/b", "a/b/c"}},
		{"a prefix after a name", "a/", "a/a", 100, []string{"a/b", "a/b/c"}},
		{"a prefix after a name before it", "b", "a", 100, []string{"b", "b/a"}},
		{"a prefix after a name behind it", "a/", "b", 100, nil},
		{"a prefix of nothing", "c", "", 100, nil},
		{"after the last", "", "b/a", 100, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			infos, err := s.List(context.Background(), c.prefix, c.after, c.limit)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, names(infos)); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := s.List(context.Background(), "", "", 0); err == nil {
		t.Error("a list of at most 0 objects succeeds")
	}
}

func testPages(t *testing.T, open Opener) {
	s := open()
	const n = 1000
	var want []string
	var wg sync.WaitGroup
	for i := range n {
		name := fmt.Sprintf("p/%04d", i*7919%n)
		want = append(want, name)
		wg.Go(func() {
			if _, err := s.Put(context.Background(), name, []byte(name)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	slices.Sort(want)
	for i, name := range want {
		if i%3 == 0 {
			seen := generation(t, s, name)
			wg.Go(func() {
				if err := s.Delete(context.Background(), name, seen); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	var left []string
	for i, name := range want {
		if i%3 != 0 {
			left = append(left, name)
		}
	}
	for _, size := range []int{1, 99, 2000} {
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			page, err := s.List(context.Background(), "p/", after, size)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			got = append(got, names(page)...)
		}
		if diff := cmp.Diff(left, got); diff != "" {
			t.Errorf("%d a page (-want +got):\n%s", size, diff)
		}
	}
}

func testConcurrent(t *testing.T, open Opener) {
	s := open()
	ctx := context.Background()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 40 {
				name, data := fmt.Sprintf("w%d/%d", w, i), noise(w*1000+i)
				seen, err := s.Put(ctx, name, data)
				if err != nil {
					t.Error(err)
				}
				if got, err := s.Get(ctx, name); err != nil || !bytes.Equal(got, data) {
					t.Errorf("get %s: %d bytes, %v", name, len(got), err)
				}
				if i%2 == 1 {
					if err := s.Delete(ctx, name, seen); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	s = open()
	for w := range 8 {
		for i := range 40 {
			if name := fmt.Sprintf("w%d/%d", w, i); i%2 == 1 {
				missing(t, s, name)
			} else {
				has(t, s, name, noise(w*1000+i))
			}
		}
	}
}

func testMemory(t *testing.T, open Opener) {
	s := open()
	data := []byte("as it was put")
	put(t, s, "a", data)
	copy(data, "xxxxxxxxxxxxx")
	got, err := s.Get(context.Background(), "a")
	if err != nil {
		t.Fatal(err)
	}
	copy(got, "yyyyyyyyyyyyy")
	has(t, s, "a", []byte("as it was put"))
}

func testContext(t *testing.T, open Opener) {
	s := open()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Put(ctx, "a", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v, want context.Canceled", err)
	}
	missing(t, s, "a")
	if _, err := s.Get(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v, want context.Canceled", err)
	}
}
