package blobtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/blob"
)

// told is the generation that every way to ask for it says.
func told(t *testing.T, s blob.Store, name string) int64 {
	t.Helper()
	infos, err := s.List(context.Background(), name, "", 1)
	if err != nil || len(infos) != 1 {
		t.Fatalf("list %s: %v, %v", name, infos, err)
	}
	info, err := s.Stat(context.Background(), name)
	if diff := cmp.Diff(infos[0], info); err != nil || diff != "" {
		t.Errorf("%s, %v (-listed +stat):\n%s", name, err, diff)
	}
	return info.Generation
}

func testGenerations(t *testing.T, open Opener) {
	s := open()
	ctx := context.Background()
	seen := map[int64]string{}
	for i := range 12 {
		generation, err := s.Put(ctx, "a", []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		for n, how := range []string{"put", "renewed"} {
			if former, twice := seen[generation]; twice || generation <= 0 {
				t.Fatalf("generation %d of the object that was %s is that of one that was %s", generation, how, former)
			}
			seen[generation] = how
			if got := told(t, s, "a"); got != generation {
				t.Fatalf("%s: %d, and it is told %d", how, generation, got)
			}
			if i%3 == 2 {
				s = open()
				if got := told(t, s, "a"); got != generation {
					t.Fatalf("%s: %d, and after the store is opened again %d", how, generation, got)
				}
			}
			if n > 0 {
				break
			}
			if generation, err = s.Renew(ctx, "a"); err != nil {
				t.Fatal(err)
			}
		}
		remove(t, s, "a")
	}
}

func testDeleteWhatWasSeen(t *testing.T, open Opener) {
	s := open()
	ctx := context.Background()
	first, err := s.Put(ctx, "a", []byte("first"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Renew(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Delete(ctx, "a", first); err != nil {
			t.Errorf("delete of what is there no more: %v", err)
		}
		has(t, s, "a", []byte("first"))
		s = open()
	}
	remove(t, s, "a")
	put(t, s, "a", []byte("second"))
	if err := s.Delete(ctx, "a", first); err != nil {
		t.Errorf("delete of what is there no more: %v", err)
	}
	has(t, s, "a", []byte("second"))
}

func testRenew(t *testing.T, open Opener) {
	s := open()
	ctx := context.Background()
	if _, err := s.Renew(ctx, "a"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("renew of nothing: %v, want ErrNotFound", err)
	}
	data := noise(30_000)
	put(t, s, "a", data)
	before, err := s.Stat(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 10 {
				if _, err := s.Renew(ctx, "a"); err != nil {
					t.Errorf("renew: %v", err)
				}
			}
		})
		wg.Go(func() {
			for range 50 {
				if _, err := s.Get(ctx, "a"); err != nil {
					t.Errorf("get beside it: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for range 2 {
		has(t, s, "a", data)
		after, err := s.Stat(ctx, "a")
		if err != nil || !after.Created.After(before.Created) || after.Size != before.Size {
			t.Errorf("%+v, %v; before %+v", after, err, before)
		}
		s = open()
	}
	remove(t, s, "a")
	missing(t, s, "a")
	missing(t, open(), "a")
}

func testDeletePrefix(t *testing.T, open Opener) {
	s := open()
	ctx := context.Background()
	const n = 700
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for _, prefix := range []string{"days/4f/anna/", "days/4f/annab/"} {
				if _, err := s.Put(ctx, fmt.Sprintf("%s%03d", prefix, i), noise(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for range 2 {
		if err := s.DeletePrefix(ctx, "days/4f/anna/"); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		infos, err := s.List(ctx, "days/", "", 2*n)
		if err != nil || len(infos) != n || infos[0].Name != "days/4f/annab/000" {
			t.Fatalf("%d objects are left, %v", len(infos), err)
		}
		has(t, s, "days/4f/annab/699", noise(699))
		s = open()
	}
	put(t, s, "days/4f/anna/000", []byte("of who has come back"))
	has(t, s, "days/4f/anna/000", []byte("of who has come back"))
}
