package vault_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/blob/files"
	"github.com/clarity-loop/clarity/services/fault/faulttest"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/tink"
	"github.com/clarity-loop/clarity/services/vault"
)

const anna = "anna-" + faulttest.Mark

// world is a vault over the embedded drivers.
type world struct {
	*vault.Vault
	blobs *files.Store
	keys  *tink.Keyring
}

func newWorld(t *testing.T) world {
	t.Helper()
	blobs, err := files.Open(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := blobs.Close(); err != nil {
			t.Error(err)
		}
	})
	keys, err := tink.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return world{vault.New(blobs, keys), blobs, keys}
}

func (w world) has(t *testing.T, name, want string) {
	t.Helper()
	got, err := w.Get(context.Background(), anna, name)
	if err != nil || string(got) != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestAnObjectIsThePersonsAndSealed(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	name, err := w.Put(ctx, blob.KindDays, anna, "2026-11-20/d1", []byte("62 beats"))
	if err != nil || !strings.HasPrefix(name, blob.PersonPrefix(blob.KindDays, anna)) {
		t.Fatalf("%q, %v", name, err)
	}
	w.has(t, name, "62 beats")
	raw, err := w.blobs.Get(ctx, name)
	if err != nil || bytes.Contains(raw, []byte("beats")) {
		t.Errorf("the blobs hold %q, %v", raw, err)
	}
	if _, err := w.keys.Seal(ctx, "bert", "n", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Get(ctx, "bert", name); !errors.Is(err, keyring.ErrTampered) {
		t.Errorf("another person: %v, want ErrTampered", err)
	}
	if err := errors.Join(w.Delete(ctx, name), w.Delete(ctx, name)); err != nil {
		t.Error(err)
	}
	_, err = w.Get(ctx, anna, name)
	faulttest.NamesNobody(t, "get", err)
	if !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("a deleted object: %v, want ErrNotFound", err)
	}
}

func TestPutAndReplaceOfWhatIsThere(t *testing.T) {
	tests := map[string]struct {
		former  func(t *testing.T, w world, name string)
		replace bool
		want    string
	}{
		"put again":                  {same, false, "new"},
		"put leaves what is there":   {another, false, "old"},
		"replace again":              {same, true, "new"},
		"replace another":            {another, true, "new"},
		"replace another's seal":     {tampered, true, "new"},
		"replace what was not there": {func(*testing.T, world, string) {}, true, "new"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tt.former(t, w, blob.PersonPrefix(blob.KindTombstones, anna)+"x")
			put := w.Put
			if tt.replace {
				put = w.Replace
			}
			name, err := put(t.Context(), blob.KindTombstones, anna, "x", []byte("new"))
			if err != nil {
				t.Fatal(err)
			}
			w.has(t, name, tt.want)
		})
	}
}

func same(t *testing.T, w world, _ string)    { before(t, w, "new") }
func another(t *testing.T, w world, _ string) { before(t, w, "old") }

func before(t *testing.T, w world, text string) {
	t.Helper()
	if _, err := w.Put(t.Context(), blob.KindTombstones, anna, "x", []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func tampered(t *testing.T, w world, name string) {
	t.Helper()
	if err := w.blobs.Put(t.Context(), name, []byte("not sealed at all, and long enough to be")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.keys.Seal(t.Context(), anna, "n", nil); err != nil { // there is a key
		t.Fatal(err)
	}
}

func TestADestroyedKeyEndsIt(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	name, err := w.Put(ctx, blob.KindDays, anna, "x", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.keys.Destroy(ctx, anna); err != nil {
		t.Fatal(err)
	}
	_, got := w.Get(ctx, anna, name)
	_, put := w.Put(ctx, blob.KindDays, anna, "y", nil)
	_, replaced := w.Replace(ctx, blob.KindDays, anna, "x", nil)
	for what, err := range map[string]error{"get": got, "put": put, "replace": replaced} {
		faulttest.NamesNobody(t, what, err)
		if !errors.Is(err, keyring.ErrDestroyed) {
			t.Errorf("%s: %v, want ErrDestroyed", what, err)
		}
	}
}
