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
		if _, err := fresh.Seal(ctx, uid, "n", []byte("a")); errors.Is(err, keyring.ErrTampered) {
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
