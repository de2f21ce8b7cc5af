package keyringtest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/keyring"
)

// people seals something for so many.
func people(t *testing.T, k keyring.Keyring, n int) map[string][]byte {
	t.Helper()
	sealed := map[string][]byte{}
	for i := range n {
		uid := fmt.Sprint("person-", i)
		sealed[uid] = seal(t, k, uid, "n", []byte(uid))
	}
	return sealed
}

func opens(t *testing.T, k keyring.Keyring, sealed map[string][]byte) {
	t.Helper()
	for uid, c := range sealed {
		if got, err := k.Open(ctx, uid, "n", c); err != nil || string(got) != uid {
			t.Fatalf("Open = %q, %v", got, err)
		}
	}
}

func census(t *testing.T, k keyring.Keyring) keyring.Census {
	t.Helper()
	c, err := k.Census(ctx)
	if err != nil {
		t.Fatalf("Census: %v", err)
	}
	return c
}

// rewrap goes on until the end, and is how many parts there were.
func rewrap(t *testing.T, k keyring.Keyring, cursor string) (parts int) {
	t.Helper()
	for {
		p, err := k.Rewrap(ctx, cursor)
		if err != nil || p.Done > p.All || p.Cursor != "" && p.Cursor <= cursor || p.Cursor == "" && p.Done != p.All {
			t.Fatalf("Rewrap = %+v, %v", p, err)
		}
		parts++
		if cursor = p.Cursor; cursor == "" {
			return parts
		}
	}
}

func rotateKEK(t *testing.T, k keyring.Keyring) {
	t.Helper()
	if err := k.RotateKEK(ctx); err != nil {
		t.Fatalf("RotateKEK: %v", err)
	}
}

func rewrapped(t *testing.T, open func() keyring.Keyring) {
	first, old := open(), open()
	sealed := people(t, first, 40)
	opens(t, old, map[string][]byte{"person-0": sealed["person-0"]}) // and knows no other key
	name, err := first.Pseudonym(ctx, "person-0")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		rotateKEK(t, first)
		if c := census(t, old); c.KEKs != 2 || c.Older == 0 || c.Older != c.Wrapped || c.People != len(sealed) {
			t.Errorf("after a new key that wraps: %+v", c)
		}
		opens(t, open(), sealed)
		sealed["meanwhile"] = seal(t, old, "meanwhile", "n", []byte("meanwhile"))
		rewrap(t, first, "")
		if c := census(t, old); c.KEKs != 1 || c.Older != 0 || c.People != len(sealed) {
			t.Errorf("at the end: %+v", c)
		}
		for _, k := range []keyring.Keyring{first, old, open()} {
			opens(t, k, sealed)
			if again, err := k.Pseudonym(ctx, "person-0"); err != nil || again != name {
				t.Errorf("the pseudonym was %q, is %q, %v", name, again, err)
			}
		}
		sealed["newcomer"] = seal(t, old, "newcomer", "n", []byte("newcomer"))
		opens(t, open(), sealed)
	}
	if parts := rewrap(t, first, ""); parts == 0 || census(t, first).KEKs != 1 {
		t.Error("with nothing to wrap anew there is something")
	}
}

func rewrapCut(t *testing.T, open func() keyring.Keyring) {
	first := open()
	sealed := people(t, first, 150)
	rotateKEK(t, first)
	p, err := first.Rewrap(ctx, "")
	if err != nil || p.Cursor == "" {
		t.Fatalf("the first part is all: %+v, %v", p, err)
	}
	next := open() // the process has died
	rotateKEK(t, next)
	if c := census(t, next); c.KEKs != 2 || c.Older != c.Wrapped-p.Done {
		t.Errorf("taken up: %+v behind %+v", c, p)
	}
	opens(t, next, sealed)
	rewrap(t, next, "")
	opens(t, open(), sealed)
	rotateKEK(t, next)
	rewrap(t, next, p.Cursor) // of the rotation before: nothing may be left out
	if c := census(t, next); c.KEKs != 1 || c.Older != 0 {
		t.Errorf("behind a cursor of before: %+v", c)
	}
	opens(t, open(), sealed)
}

func dataRotated(t *testing.T, open func() keyring.Keyring) {
	first, second := open(), open()
	sealed := people(t, first, 3)
	opens(t, second, sealed)
	for rotation := 1; rotation <= 3; rotation++ {
		if err := first.RotateData(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(first.Lag())
		if c := census(t, second); c.Data != rotation || c.People != len(sealed) || c.Behind != c.People {
			t.Errorf("after rotation %d: %+v", rotation, c)
		}
		opens(t, open(), sealed)
		anew := seal(t, second, "person-1", "n", []byte("person-1"))
		if c := census(t, first); c.Behind != c.People-1 {
			t.Errorf("after one has sealed: %+v", c)
		}
		for _, k := range []keyring.Keyring{first, second, open()} {
			opens(t, k, sealed)
			opens(t, k, map[string][]byte{"person-1": anew})
		}
		sealed[fmt.Sprint("newcomer-", rotation)] = seal(t, first, fmt.Sprint("newcomer-", rotation), "n", fmt.Append(nil, "newcomer-", rotation))
	}
}

func destroyedInRotation(t *testing.T, open func() keyring.Keyring) {
	first, second := open(), open()
	sealed := people(t, first, 4)
	opens(t, second, sealed)
	gone := func(k keyring.Keyring, uid string, want error) {
		t.Helper()
		mustFail(t, want, k, uid, "n", sealed[uid])
	}
	destroy := func(uid string) {
		t.Helper()
		if err := second.Destroy(ctx, uid); err != nil {
			t.Fatal(err)
		}
		time.Sleep(second.Lag())
	}
	rotateKEK(t, first)
	destroy("person-0")
	if err := errors.Join(first.RotateData(ctx), second.Renew(ctx, "person-0", 1)); err != nil {
		t.Fatal(err)
	}
	destroy("person-1")
	rewrap(t, first, "")
	time.Sleep(first.Lag())
	anew := seal(t, first, "person-2", "n", []byte("person-2"))
	destroy("person-2")
	for _, k := range []keyring.Keyring{first, second, open()} {
		gone(k, "person-0", keyring.ErrTampered) // who came back has another key
		gone(k, "person-1", keyring.ErrDestroyed)
		gone(k, "person-2", keyring.ErrDestroyed)
		mustFail(t, keyring.ErrDestroyed, k, "person-2", "n", anew)
		opens(t, k, map[string][]byte{"person-3": sealed["person-3"], "person-0": seal(t, k, "person-0", "n", []byte("person-0"))})
	}
	if c := census(t, open()); c.Destroyed != 3 || c.People != 2 {
		t.Errorf("at the end: %+v", c)
	}
}

func sealBesideRotation(t *testing.T, open func() keyring.Keyring) {
	instances := []keyring.Keyring{open(), open(), open()}
	type one struct {
		uid    string
		sealed []byte
	}
	results := make([][]one, len(instances))
	var wg sync.WaitGroup
	for i, k := range instances {
		wg.Go(func() {
			for n := range 60 {
				uid := fmt.Sprint("person-", n%7)
				c, err := k.Seal(ctx, uid, "n", []byte(uid))
				if err != nil {
					t.Errorf("Seal: %v", err)
					return
				}
				results[i] = append(results[i], one{uid, c})
			}
		})
	}
	rotator := open()
	for range 3 {
		if err := rotator.RotateData(ctx); err != nil {
			t.Errorf("RotateData: %v", err)
		}
		rotateKEK(t, rotator)
		rewrap(t, rotator, "")
	}
	wg.Wait()
	for _, k := range append(instances, open()) {
		for _, some := range results {
			for _, o := range some {
				opens(t, k, map[string][]byte{o.uid: o.sealed})
			}
		}
	}
}
