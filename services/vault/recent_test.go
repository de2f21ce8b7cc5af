package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/vault"
)

// counted are blobs that count what is got.
type counted struct {
	vault.Blobs
	got map[string]int
}

func (c counted) Get(ctx context.Context, name string) ([]byte, error) {
	c.got[name]++
	return c.Blobs.Get(ctx, name)
}

func TestADayThatWasJustWrittenIsNotGot(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	blobs := counted{w.blobs, map[string]int{}}
	of := func(most int) *vault.Vault { return vault.New(vault.Recent(blobs, most), w.keys) }
	v := of(1000)
	put := func(v *vault.Vault, kind, rest string, size int) string {
		t.Helper()
		name, err := v.Replace(ctx, kind, anna, rest, bytes.Repeat([]byte{1}, size))
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	read := func(v *vault.Vault, name string, want int) {
		t.Helper()
		for range 2 {
			if _, err := v.Get(ctx, anna, name); err != nil {
				t.Fatal(err)
			}
		}
		if got := blobs.got[name]; got != want {
			t.Errorf("got %d times, want %d", got, want)
		}
		blobs.got[name] = 0
	}
	day := put(v, blob.KindDays, "2026-11-20/d1", 340)
	read(v, day, 0)
	read(of(1000), day, 1) // another process, the first time
	read(v, put(v, blob.KindUploads, "upload-1/d1", 300), 2)
	read(v, put(v, blob.KindDays, "2026-11-20/large", 2000), 2)
	for i := range 3 { // the second is used all the while
		put(v, blob.KindDays, fmt.Sprintf("2026-11-2%d/d1", i+1), 340)
		if i == 1 {
			read(v, day, 1) // it had gone
		}
	}
}

// What is kept is sealed: it is nothing without the key.
func TestNothingIsReadOfWhoIsErased(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	v := vault.New(vault.Recent(w.blobs, 1000), w.keys)
	name, err := v.Replace(ctx, blob.KindDays, anna, "2026-11-20/d1", []byte("62 beats"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.keys.Destroy(ctx, anna); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Get(ctx, anna, name); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("read all the same: %v", err)
	}
}

func TestWhatIsDeletedIsForgotten(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	v := vault.New(vault.Recent(w.blobs, 1000), w.keys)
	put, err := v.Put(ctx, blob.KindDays, anna, "2026-11-20/d1", []byte("62 beats"))
	if err == nil {
		err = v.Delete(ctx, put)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Get(ctx, anna, put.Name); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("it is there: %v", err)
	}
}
