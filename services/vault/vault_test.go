package vault_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/blob/blobtest"
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
	put, err := w.Put(ctx, blob.KindDays, anna, "2026-11-20/d1", []byte("62 beats"))
	name := put.Name
	if err != nil || !strings.HasPrefix(name, "days/") {
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
	if err := errors.Join(w.Delete(ctx, put), w.Delete(ctx, put), w.Remove(ctx, name)); err != nil {
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
			named, err := w.Put(t.Context(), blob.KindTombstones, anna, "x", nil)
			if err != nil || w.Remove(t.Context(), named.Name) != nil {
				t.Fatal(err)
			}
			tt.former(t, w, named.Name)
			name := named.Name
			if tt.replace {
				name, err = w.Replace(t.Context(), blob.KindTombstones, anna, "x", []byte("new"))
			} else {
				_, err = w.Put(t.Context(), blob.KindTombstones, anna, "x", []byte("new"))
			}
			if err != nil || name != named.Name {
				t.Fatal(name, err)
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
	if _, err := w.blobs.Put(t.Context(), name, []byte("not sealed at all, and long enough to be")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.keys.Seal(t.Context(), anna, "n", nil); err != nil { // there is a key
		t.Fatal(err)
	}
}

func TestADestroyedKeyEndsIt(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	there, err := w.Put(ctx, blob.KindDays, anna, "x", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.keys.Destroy(ctx, anna); err != nil {
		t.Fatal(err)
	}
	_, got := w.Get(ctx, anna, there.Name)
	_, put := w.Put(ctx, blob.KindDays, anna, "y", nil)
	_, replaced := w.Replace(ctx, blob.KindDays, anna, "x", nil)
	for what, err := range map[string]error{"get": got, "put": put, "replace": replaced} {
		faulttest.NamesNobody(t, what, err)
		if !errors.Is(err, keyring.ErrDestroyed) {
			t.Errorf("%s: %v, want ErrDestroyed", what, err)
		}
	}
}

// What whoever lists the bucket or reads its logs sees says neither who nor when,
// and the sweeper that knows the person reads the key in it.
func TestANameTellsNobodyWhoAndWhen(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	names := map[string]bool{}
	for _, rest := range []string{"2026-11-20/d1", "2026-11-20/d2", "2026-11-21/d1"} {
		for _, uid := range []string{anna, "bert"} {
			o, err := w.Put(ctx, blob.KindDays, uid, rest, []byte("x"))
			if err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{anna, "bert", "2026", "11-2", "d1"} {
				if strings.Contains(o.Name, secret) {
					t.Errorf("%q has %q in it", o.Name, secret)
				}
			}
			names[o.Name] = true
			prefix, err := w.Prefix(ctx, blob.KindDays, uid)
			behind, theirs := strings.CutPrefix(o.Name, prefix)
			if err != nil || !theirs {
				t.Errorf("%q does not begin with %q, %v", o.Name, prefix, err)
			}
			if key, err := w.Key(ctx, blob.KindDays, uid, behind); err != nil || key != rest[:10] {
				t.Errorf("the key is %q, %v", key, err)
			}
			if _, err := w.Key(ctx, blob.KindDays, uid+"x", behind); err == nil {
				t.Error("another person's key opens it")
			}
		}
	}
	if len(names) != 6 {
		t.Errorf("of six objects there are %d names", len(names))
	}
}

// Whoever finds the name taken makes it young: a sweeper that saw it old, and a
// writer that gives up what it put, leave it (pipeline 9).
func TestWhatIsPutAgainIsNobodyElses(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	first, err := w.Put(ctx, blob.KindUploads, anna, "upload-1/d", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.Put(ctx, blob.KindUploads, anna, "upload-1/d", []byte("x"))
	if err != nil || second.Name != first.Name || second.Generation != 0 {
		t.Fatalf("%+v, then %+v, %v", first, second, err)
	}
	if err := errors.Join(w.Delete(ctx, first), w.Delete(ctx, second)); err != nil {
		t.Fatal(err)
	}
	w.has(t, first.Name, "x")
	replaced, err := w.Replace(ctx, blob.KindUploads, anna, "upload-1/d", []byte("x"))
	if err != nil || w.Delete(ctx, first) != nil {
		t.Fatal(err)
	}
	w.has(t, replaced, "x")
}

// What is damaged does not stop who sends it once more: the answer is that of
// before.
func TestWhatIsDamagedIsThere(t *testing.T) {
	keys, err := tink.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	blobs := blobtest.Memory(time.Now)
	v := vault.New(blobs, keys)
	first, err := v.Put(t.Context(), blob.KindUploads, anna, "upload-1/d", []byte("x"))
	if err == nil {
		err = blobs.Damage(first.Name)
	}
	if err != nil {
		t.Fatal(err)
	}
	if again, err := v.Put(t.Context(), blob.KindUploads, anna, "upload-1/d", []byte("x")); err != nil || again.Name != first.Name {
		t.Errorf("%+v, %v", again, err)
	}
}
