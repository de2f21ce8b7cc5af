// Package keyringtest is the suite every keyring.Keyring passes.
package keyringtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/fault/faulttest"
	"github.com/clarity-loop/clarity/services/keyring"
)

// Run holds a driver against the contract. open opens the same empty keyring
// anew each time it is called within one subtest: what one instance did, the
// next must see.
func Run(t *testing.T, fresh func(t *testing.T) (open func() keyring.Keyring)) {
	tests := map[string]func(t *testing.T, open func() keyring.Keyring){
		"what was sealed opens, also in another process":     roundTrip,
		"a person without a key has none to open with":       noKey,
		"another name does not open":                         otherName,
		"another person does not open":                       otherPerson,
		"a uid and a name cannot trade bytes":                boundary,
		"any changed, added or missing byte is found":        everyByte,
		"the same plaintext never seals to the same bytes":   randomised,
		"a destroyed key is gone for good, everywhere":       destroyed,
		"a person without a key can be destroyed, and twice": destroyedTwice,
		"one person's destruction leaves others alone":       destroyedAlone,
		"many first seals at once agree on one key":          concurrentFirst,
		"sealing beside destruction never outlives it":       sealBesideDestroy,
		"who was destroyed comes back under a new key":       renewed,
		"a new key is for who was destroyed alone":           renewedEarly,
		"an empty plaintext is a plaintext":                  empty,
		"errors name neither the person nor what was sealed": errorsAreDiscreet,
		"everything opens while the key that wraps rotates":  rewrapped,
		"a rotation that was cut goes on":                    rewrapCut,
		"a rotated data key seals, and the ones before open": dataRotated,
		"who is destroyed while keys rotate stays destroyed": destroyedInRotation,
		"many seal while keys rotate":                        sealBesideRotation,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

var ctx = context.Background()

func seal(t *testing.T, k keyring.Keyring, uid, name string, plain []byte) []byte {
	t.Helper()
	c, err := k.Seal(ctx, uid, name, plain)
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	return c
}

func mustFail(t *testing.T, want error, k keyring.Keyring, uid, name string, cipher []byte) {
	t.Helper()
	plain, err := k.Open(ctx, uid, name, cipher)
	if !errors.Is(err, want) || plain != nil {
		t.Fatalf("Open = %d bytes, %v; want none, %v", len(plain), err, want)
	}
}

func roundTrip(t *testing.T, open func() keyring.Keyring) {
	secret := []byte("62 beats a minute")
	c := seal(t, open(), "anna", "days/1", secret)
	if bytes.Contains(c, secret) {
		t.Fatal("the ciphertext holds the plaintext")
	}
	got, err := open().Open(ctx, "anna", "days/1", c)
	if err != nil || !bytes.Equal(got, secret) {
		t.Fatalf("Open = %q, %v", got, err)
	}
}

func noKey(t *testing.T, open func() keyring.Keyring) {
	mustFail(t, keyring.ErrNoKey, open(), "anna", "x", make([]byte, 64))
}

func otherName(t *testing.T, open func() keyring.Keyring) {
	k := open()
	mustFail(t, keyring.ErrTampered, k, "anna", "days/2", seal(t, k, "anna", "days/1", []byte("a")))
}

func otherPerson(t *testing.T, open func() keyring.Keyring) {
	k := open()
	c := seal(t, k, "anna", "days/1", []byte("a"))
	seal(t, k, "bert", "days/1", []byte("b"))
	mustFail(t, keyring.ErrTampered, k, "bert", "days/1", c)
}

func boundary(t *testing.T, open func() keyring.Keyring) {
	k := open()
	mustFail(t, keyring.ErrTampered, k, "anna", "b/c", seal(t, k, "anna", "/c", []byte("a")))
}

func everyByte(t *testing.T, open func() keyring.Keyring) {
	k := open()
	c := seal(t, k, "anna", "n", []byte("forty-two"))
	for i := range c {
		for bit := range 8 {
			bad := bytes.Clone(c)
			bad[i] ^= 1 << bit
			mustFail(t, keyring.ErrTampered, k, "anna", "n", bad)
		}
		mustFail(t, keyring.ErrTampered, k, "anna", "n", c[:i])
	}
	mustFail(t, keyring.ErrTampered, k, "anna", "n", append(bytes.Clone(c), 0))
}

func randomised(t *testing.T, open func() keyring.Keyring) {
	k := open()
	if bytes.Equal(seal(t, k, "anna", "n", []byte("a")), seal(t, k, "anna", "n", []byte("a"))) {
		t.Fatal("two seals are equal")
	}
}

func destroyed(t *testing.T, open func() keyring.Keyring) {
	first, second := open(), open()
	c := seal(t, first, "anna", "n", []byte("a"))
	if _, err := second.Open(ctx, "anna", "n", c); err != nil { // second has the key cached
		t.Fatal(err)
	}
	if err := first.Destroy(ctx, "anna"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(first.Lag())
	for where, k := range map[string]keyring.Keyring{"the same": first, "one with a cached key": second, "a new": open()} {
		if _, err := k.Open(ctx, "anna", "n", c); !errors.Is(err, keyring.ErrDestroyed) {
			t.Errorf("Open in %s process: %v, want ErrDestroyed", where, err)
		}
		if _, err := k.Seal(ctx, "anna", "n", []byte("b")); !errors.Is(err, keyring.ErrDestroyed) {
			t.Errorf("Seal in %s process: %v, want ErrDestroyed", where, err)
		}
	}
}

func destroyedTwice(t *testing.T, open func() keyring.Keyring) {
	k := open()
	for range 2 {
		if err := k.Destroy(ctx, "anna"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.Seal(ctx, "anna", "n", nil); !errors.Is(err, keyring.ErrDestroyed) {
		t.Fatalf("Seal: %v, want ErrDestroyed", err)
	}
}

func renewed(t *testing.T, open func() keyring.Keyring) {
	first, second := open(), open()
	var before [][]byte
	for life := 1; life <= 3; life++ {
		c := seal(t, second, "anna", "n", fmt.Append(nil, "life ", life))
		for _, old := range before {
			mustFail(t, keyring.ErrTampered, open(), "anna", "n", old)
		}
		before = append(before, c)
		if err := first.Destroy(ctx, "anna"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := first.Renew(ctx, "anna", life); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(first.Lag())
		for _, k := range []keyring.Keyring{first, second, open()} {
			mustFail(t, keyring.ErrTampered, k, "anna", "n", c)
			if got, err := k.Open(ctx, "anna", "n", seal(t, k, "anna", "n", []byte("new"))); err != nil || string(got) != "new" {
				t.Errorf("life %d: %q, %v", life, got, err)
			}
		}
	}
}

func renewedEarly(t *testing.T, open func() keyring.Keyring) {
	k := open()
	c := seal(t, k, "anna", "n", []byte("a"))
	for _, life := range []int{1, 2} {
		if err := k.Renew(ctx, "anna", life); err == nil {
			t.Errorf("who is not destroyed has a key of life %d", life)
		}
	}
	if err := k.Destroy(ctx, "anna"); err != nil {
		t.Fatal(err)
	}
	if err := k.Renew(ctx, "anna", 2); err == nil {
		t.Error("a life is left out")
	}
	mustFail(t, keyring.ErrDestroyed, k, "anna", "n", c)
}

func destroyedAlone(t *testing.T, open func() keyring.Keyring) {
	k := open()
	c := seal(t, k, "bert", "n", []byte("b"))
	seal(t, k, "anna", "n", []byte("a"))
	if err := k.Destroy(ctx, "anna"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Open(ctx, "bert", "n", c); err != nil {
		t.Fatal(err)
	}
}

func concurrentFirst(t *testing.T, open func() keyring.Keyring) {
	instances := []keyring.Keyring{open(), open()}
	sealed := make([][]byte, 16)
	var wg sync.WaitGroup
	for i := range sealed {
		wg.Go(func() {
			c, err := instances[i%2].Seal(ctx, "anna", fmt.Sprint(i), []byte("a"))
			if err != nil {
				t.Errorf("Seal: %v", err)
			}
			sealed[i] = c
		})
	}
	wg.Wait()
	k := open()
	for i, c := range sealed {
		if _, err := k.Open(ctx, "anna", fmt.Sprint(i), c); err != nil {
			t.Errorf("seal %d does not open: %v", i, err)
		}
	}
}

func sealBesideDestroy(t *testing.T, open func() keyring.Keyring) {
	a, b := open(), open()
	var sealed []byte
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 50 {
			c, err := a.Seal(ctx, "anna", "n", []byte("a"))
			if errors.Is(err, keyring.ErrDestroyed) {
				return
			}
			if err != nil {
				t.Errorf("Seal: %v", err)
			}
			sealed = c
		}
	})
	wg.Go(func() {
		if err := b.Destroy(ctx, "anna"); err != nil {
			t.Errorf("Destroy: %v", err)
		}
	})
	wg.Wait()
	if sealed != nil {
		if _, err := open().Open(ctx, "anna", "n", sealed); !errors.Is(err, keyring.ErrDestroyed) {
			t.Errorf("Open after Destroy: %v", err)
		}
	}
}

func empty(t *testing.T, open func() keyring.Keyring) {
	k := open()
	got, err := k.Open(ctx, "anna", "n", seal(t, k, "anna", "n", nil))
	if err != nil || len(got) != 0 {
		t.Fatalf("Open = %q, %v", got, err)
	}
}

func errorsAreDiscreet(t *testing.T, open func() keyring.Keyring) {
	const uid, secret = "anna-4711", "sixty-two"
	k := open()
	_, missing := k.Open(ctx, uid, "n", []byte("x"))
	c := seal(t, k, uid, "n", []byte(secret))
	_, tampered := k.Open(ctx, uid, "other", c)
	if err := k.Destroy(ctx, uid); err != nil {
		t.Fatal(err)
	}
	_, gone := k.Open(ctx, uid, "n", c)
	for _, err := range []error{missing, tampered, gone} {
		if bytes.Contains([]byte(err.Error()), []byte(uid)) || bytes.Contains([]byte(err.Error()), []byte(secret)) {
			t.Errorf("the error %q tells who or what", err)
		}
	}
	faulttest.Of(t, tampered, "keyring", "open")
}
