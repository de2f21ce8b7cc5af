package tink_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/keyringtest"
	"github.com/clarity-loop/clarity/services/keyring/tink"
)

func TestContract(t *testing.T) {
	keyringtest.Run(t, func(t *testing.T) func() keyring.Keyring {
		dir := t.TempDir()
		return func() keyring.Keyring { return open(t, dir) }
	})
}

func TestFilesAreForTheOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	if _, err := open(t, dir).Seal(context.Background(), "anna", "n", []byte("a")); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		info, err := d.Info()
		if err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", d.Name(), info.Mode().Perm())
		}
		return err
	})
	if err != nil || files != 4 {
		t.Fatalf("found %d files (%v), want the KEK, a shard's key, a person's and the lock", files, err)
	}
}

func TestDestroyedKeyIsNotInTheFile(t *testing.T) {
	dir := t.TempDir()
	k := open(t, dir)
	if _, err := k.Seal(context.Background(), "anna", "n", []byte("a")); err != nil {
		t.Fatal(err)
	}
	keys, err := filepath.Glob(filepath.Join(dir, "people", "*", "*.key"))
	if err != nil || len(keys) != 1 {
		t.Fatalf("wrapped keys = %v, %v", keys, err)
	}
	// A hard link stands for whoever still has the file open.
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Link(keys[0], link); err != nil {
		t.Skip("the file system has no hard links")
	}
	if err := k.Destroy(context.Background(), "anna"); err != nil {
		t.Fatal(err)
	}
	rest, err := os.ReadFile(link)
	if err != nil || len(bytes.Trim(rest, "\x00")) != 0 {
		t.Errorf("the wrapped key's bytes are still there (%v)", err)
	}
}

func TestAKeyOfAnotherPersonDoesNotUnwrap(t *testing.T) {
	dir := t.TempDir()
	k := open(t, dir)
	ctx := context.Background()
	for _, uid := range []string{"anna", "bert"} {
		if _, err := k.Seal(ctx, uid, "n", []byte("a")); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := filepath.Glob(filepath.Join(dir, "people", "*", "*.key"))
	if err != nil || len(keys) != 2 {
		t.Fatalf("wrapped keys = %v, %v", keys, err)
	}
	swapped, err := os.ReadFile(keys[0])
	if err == nil {
		err = os.WriteFile(keys[1], swapped, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	fresh, refused := open(t, dir), 0
	for _, uid := range []string{"anna", "bert"} {
		if _, err := fresh.Seal(ctx, uid, "n", []byte("a")); errors.Is(err, keyring.ErrNoKey) {
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("%d of the two people were refused, want the one with the other's key", refused)
	}
}

func BenchmarkSeal500Samples(b *testing.B) {
	k := open(b, b.TempDir())
	body := make([]byte, 30<<10)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Seal(context.Background(), "anna", "uploads/55/anna/u", body); err != nil {
			b.Fatal(err)
		}
	}
}

func open(t testing.TB, dir string) *tink.Keyring {
	t.Helper()
	k, err := tink.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func hashOf(uid string) []byte {
	sum := sha256.Sum256([]byte(uid))
	return sum[:]
}

// Where a key of somebody for whom something is sealed is missing, or is no key any
// more, nobody makes another: what that sealed would be lost once it is put back.
func TestAKeyThatIsMissingIsNotMadeAnew(t *testing.T) {
	ctx := t.Context()
	for name, harm := range map[string]func(person, shard string) error{
		"no key":             func(person, _ string) error { return os.Remove(person) },
		"an empty key":       func(person, _ string) error { return os.Truncate(person, 0) },
		"no shard's key":     func(_, shard string) error { return os.Remove(shard) },
		"a shard's is empty": func(_, shard string) error { return os.Truncate(shard, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			guarded := func() *tink.Keyring {
				k := open(t, dir)
				k.Guard(func(_ context.Context, uid string) (bool, error) { return uid == "anna", nil })
				return k
			}
			sealed, err := open(t, dir).Seal(ctx, "anna", "n", []byte("a"))
			if err != nil {
				t.Fatal(err)
			}
			whole := t.TempDir()
			if err := os.CopyFS(whole, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			only := func(pattern string) string {
				found, err := filepath.Glob(filepath.Join(dir, pattern))
				if err != nil || len(found) != 1 {
					t.Fatal(found, err)
				}
				return found[0]
			}
			person, shard := only("people/*/*.key"), only("shards/*.key")
			if err := harm(person, shard); err != nil {
				t.Fatal(err)
			}
			k := guarded()
			for range 2 {
				_, sealing := k.Seal(ctx, "anna", "n", []byte("b"))
				_, opening := k.Open(ctx, "anna", "n", sealed)
				for _, err := range []error{sealing, opening} {
					var f *fault.Error
					if !errors.Is(err, keyring.ErrNoKey) || !errors.As(err, &f) || f.Class != fault.Unavailable {
						t.Errorf("%v", err)
					}
				}
			}
			if has, err := k.Has(ctx, "anna"); has || err != nil {
				t.Errorf("has a key: %v, %v", has, err)
			}
			if _, err := k.Seal(ctx, "bert", "n", nil); err != nil {
				t.Errorf("somebody else: %v", err)
			}
			for _, file := range []string{person, shard} {
				part, err := filepath.Rel(dir, file)
				if err != nil {
					t.Fatal(err)
				}
				data, err := os.ReadFile(filepath.Join(whole, part))
				if err == nil {
					err = os.WriteFile(file, data, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if plain, err := k.Open(ctx, "anna", "n", sealed); err != nil || string(plain) != "a" {
				t.Errorf("put back: %q, %v", plain, err)
			}
		})
	}
}

func TestKeysThatAreAwayAreNotReady(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	k := open(t, dir)
	if err := k.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	if k.Ready(t.Context()) == nil {
		t.Error("ready without keys")
	}
}
