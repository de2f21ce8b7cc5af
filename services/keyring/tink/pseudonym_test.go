package tink_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/tink"
)

func pseudonym(t *testing.T, k *tink.Keyring, uid string) string {
	t.Helper()
	s, err := k.Pseudonym(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openDir(t *testing.T, dir string) *tink.Keyring {
	t.Helper()
	k, err := tink.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestAPseudonymIsOnePersonsForGood(t *testing.T) {
	dir := t.TempDir()
	k := openDir(t, dir)
	anna := pseudonym(t, k, "anna")
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString(anna) || strings.Contains(anna, "anna") {
		t.Errorf("pseudonym %q", anna)
	}
	if again := pseudonym(t, openDir(t, dir), "anna"); again != anna {
		t.Errorf("another process says %q, the first said %q", again, anna)
	}
	if ben := pseudonym(t, k, "ben"); ben == anna {
		t.Error("two people have one pseudonym")
	}
	if elsewhere := pseudonym(t, openDir(t, t.TempDir()), "anna"); elsewhere == anna {
		t.Error("another platform has the same pseudonym")
	}
	if err := k.Destroy(t.Context(), "anna"); err != nil {
		t.Fatal(err)
	}
	if after := pseudonym(t, k, "anna"); after != anna {
		t.Errorf("after the key was destroyed: %q, before: %q", after, anna)
	}
}

func TestTheFirstOfManyProcessesMakesTheKeyOfPseudonyms(t *testing.T) {
	dir := t.TempDir()
	openDir(t, dir) // the KEK
	var all sync.WaitGroup
	pseudonyms := make([]string, 8)
	for i := range pseudonyms {
		k := openDir(t, dir)
		all.Go(func() {
			s, err := k.Pseudonym(t.Context(), "anna")
			if err != nil {
				t.Error(err)
			}
			pseudonyms[i] = s
		})
	}
	all.Wait()
	for _, s := range pseudonyms {
		if s != pseudonyms[0] {
			t.Errorf("pseudonyms %q", pseudonyms)
		}
	}
}

func TestAKeyOfPseudonymsThatWasChangedIsFoundOut(t *testing.T) {
	dir := t.TempDir()
	pseudonym(t, openDir(t, dir), "anna")
	path := filepath.Join(dir, "tokens.key")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(raw)
	changed[len(changed)/2] ^= 1
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openDir(t, dir).Pseudonym(t.Context(), "anna"); !errors.Is(err, keyring.ErrTampered) {
		t.Errorf("%v, want it refused", err)
	}
}
