package tink_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/tink"
)

// records say how anna stands.
type records struct {
	life int
	over bool
}

func (r *records) of(context.Context, string) (int, bool, error) { return r.life, r.over, nil }

// back is a ring of somebody who came back from an erasure, whose key of now is away.
func back(t *testing.T) (k *tink.Keyring, r *records, dir, key, away string, sealed []byte) {
	t.Helper()
	dir = t.TempDir()
	k, r = open(t, dir), &records{}
	k.Follow(r.of)
	ctx := t.Context()
	_, err := k.Seal(ctx, "anna", "n", []byte("a"))
	if err = errors.Join(err, k.Destroy(ctx, "anna"), k.Renew(ctx, "anna", 1)); err != nil {
		t.Fatal(err)
	}
	r.life = 1
	if sealed, err = k.Seal(ctx, "anna", "n", []byte("b")); err != nil {
		t.Fatal(err)
	}
	key, away = filepath.Join(dir, tink.File("anna", 1)), filepath.Join(t.TempDir(), "away")
	move(t, key, away)
	k = open(t, dir)
	k.Follow(r.of)
	return k, r, dir, key, away, sealed
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// The mark of a life before and no key is a key that is away, and no erasure: unless
// the record says that this life was erased, too.
func TestAKeyOfALaterLifeThatIsAwayIsMissing(t *testing.T) {
	k, r, _, key, away, sealed := back(t)
	ctx := t.Context()
	_, opened := k.Open(ctx, "anna", "n", sealed)
	_, again := k.Seal(ctx, "anna", "n", nil)
	if !errors.Is(opened, keyring.ErrNoKey) || !errors.Is(again, keyring.ErrNoKey) {
		t.Errorf("while it is away: %v, %v", opened, again)
	}
	r.over = true
	if _, err := k.Open(ctx, "anna", "n", sealed); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("of who is erased by the record: %v", err)
	}
	r.over = false
	move(t, away, key)
	if text, err := k.Open(ctx, "anna", "n", sealed); err != nil || string(text) != "b" {
		t.Errorf("put back: %q, %v", text, err)
	}
}

// Who is erased while their key is away is erased: the key that comes back is destroyed,
// as it is seen and at a start, and they may come back.
func TestAKeyThatIsAwayIsDestroyed(t *testing.T) {
	for name, see := range map[string]func(t *testing.T, k *tink.Keyring, dir string, sealed []byte){
		"as it is seen": func(t *testing.T, k *tink.Keyring, _ string, sealed []byte) {
			t.Helper()
			if _, err := k.Open(t.Context(), "anna", "n", sealed); !errors.Is(err, keyring.ErrDestroyed) {
				t.Errorf("%v", err)
			}
		},
		"at a start": func(t *testing.T, _ *tink.Keyring, dir string, _ []byte) { t.Helper(); open(t, dir) },
	} {
		t.Run(name, func(t *testing.T) {
			k, r, dir, key, away, sealed := back(t)
			if err := k.Destroy(t.Context(), "anna"); err != nil {
				t.Fatal(err)
			}
			r.over = true
			if n, _, err := k.Destroyed(t.Context(), "anna"); n != 2 || err != nil {
				t.Fatalf("%d keys are destroyed, %v", n, err)
			}
			move(t, away, key)
			see(t, k, dir, sealed)
			if _, err := os.Lstat(key); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the key is there: %v", err)
			}
			if err := k.Renew(t.Context(), "anna", 2); err != nil {
				t.Errorf("come back: %v", err)
			}
		})
	}
}

// One who was erased so by a program that left no mark may come back, too; and a mark
// that is missing is made again.
func TestAMarkThatIsMissing(t *testing.T) {
	k, r, dir, _, _, _ := back(t)
	r.over = true
	if err := k.Renew(t.Context(), "anna", 2); err != nil {
		t.Errorf("come back: %v", err)
	}
	mark := filepath.Join(dir, tink.File("anna", 0))
	mark = mark[:len(mark)-len(".key")] + ".gone"
	if err := os.Remove(mark); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		if missing, err := k.Settle(t.Context(), "anna", 2); missing != want || err != nil {
			t.Errorf("missing %v, %v; want %v", missing, err, want)
		}
	}
	if _, err := os.Lstat(mark); err != nil {
		t.Error(err)
	}
}

// A keyring opens, and serves the others, whatever lies in the place of one key.
func TestAKeyThatCannotBeReadCostsNobodyElse(t *testing.T) {
	for name, harm := range map[string]func(key string) error{
		"a directory in its place": func(key string) error { return errors.Join(os.Remove(key), os.Mkdir(key, 0o700)) },
		"beside its mark": func(key string) error {
			mark := key[:len(key)-len(".key")] + ".gone"
			return errors.Join(os.Remove(key), os.MkdirAll(filepath.Join(key, "in"), 0o700), os.WriteFile(mark, nil, 0o600))
		},
		"a file in its shard's place": func(key string) error {
			shard := filepath.Dir(key)
			return errors.Join(os.RemoveAll(shard), os.WriteFile(shard, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, ctx := t.TempDir(), t.Context()
			if _, err := open(t, dir).Seal(ctx, "anna", "n", nil); err != nil {
				t.Fatal(err)
			}
			if err := harm(filepath.Join(dir, tink.File("anna", 0))); err != nil {
				t.Fatal(err)
			}
			k := open(t, dir)
			if _, err := k.Seal(ctx, "anna", "n", nil); err == nil {
				t.Error("sealed for whose key cannot be read")
			}
			if _, err := k.Seal(ctx, "bert", "n", nil); err != nil {
				t.Error(err)
			}
			if _, err := k.Census(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}
