package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/clarity-loop/clarity/cmd/internal/phone/phonetest"
)

// contents is everything in a directory, by path.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // a file of the test's
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What is not whole is told of, in a backup and in a data directory, and nothing is
// started on it; looking changes no backup.
func TestWhatIsNotWholeIsTold(t *testing.T) {
	root := t.TempDir()
	dir, copied := filepath.Join(root, "data"), filepath.Join(root, "copy")
	p := startPlatform(t, dir, "--unlimited")
	c := crashClient(t, p.url, dir, phonetest.Load(0))
	if err := grantConsent(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	putAll(t, c, phonetest.Load(0), 0, 2)
	p.stop(t, syscall.SIGTERM)
	must(t, "backup", copied, "--data", dir)
	keys := "tink:" + dir + ".keys"
	before := contents(t, copied)
	must(t, "fsck", "--data", copied, "--keys", keys)
	after := contents(t, copied)
	for path := range after {
		if after[path] != before[path] || len(after) != len(before) {
			t.Errorf("fsck has changed %s, of %d files %d are left", path, len(before), len(after))
		}
	}

	for _, lost := range []string{"queue.db", "identity/issuer.json", "audit/keys.json"} {
		spoilt := filepath.Join(root, "spoilt")
		if err := os.CopyFS(spoilt, os.DirFS(copied)); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(spoilt, lost)); err != nil {
			t.Fatal(err)
		}
		if stdout, _, code := clarity(t, "fsck", "--data", spoilt, "--keys", keys); code != 1 || !strings.Contains(stdout, lost+" is missing or changed") {
			t.Errorf("without %s: exit %d, %s", lost, code, stdout)
		}
		if err := os.RemoveAll(spoilt); err != nil {
			t.Fatal(err)
		}
	}

	half := filepath.Join(root, "half")
	must(t, "restore", copied, "--data", half, "--keys", keys)
	if err := os.WriteFile(filepath.Join(half, "RESTORING"), nil, 0o600); err != nil { // as one that was killed has left it
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(half, "store.db")); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := clarity(t, "up", "--data", half, "--keys", keys, "--listen", "127.0.0.1:0"); code != 1 || !strings.Contains(stderr, "is half of a backup") {
		t.Errorf("a start on half of a backup: exit %d, %s", code, stderr)
	}
	must(t, "restore", copied, "--data", half, "--keys", keys)
	must(t, "fsck", "--data", half, "--keys", keys)

	if err := os.Rename(filepath.Join(half, "audit", "keys.json"), filepath.Join(root, "audit.json")); err != nil {
		t.Fatal(err)
	}
	if stdout, _, code := clarity(t, "fsck", "--data", half, "--keys", keys); code != 1 || !strings.Contains(stdout, "bad: the audit log: its keys.json is not there") {
		t.Errorf("an audit log without its keys: exit %d, %s", code, stdout)
	}
	if err := os.WriteFile(filepath.Join(half, "VERSION"), []byte("2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := clarity(t, "fsck", "--data", half, "--keys", keys); code != 1 || !strings.Contains(stderr, "is of a release before") {
		t.Errorf("a directory of a release before: exit %d, %s", code, stderr)
	}

	if err := os.Rename(filepath.Join(dir, "blobs"), filepath.Join(root, "away")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "blobs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := clarity(t, "up", "--data", dir, "--listen", "127.0.0.1:0"); code != 1 || !strings.Contains(stderr, "the objects of the data directory "+dir+" are not at ") {
		t.Errorf("a start without the objects: exit %d, %s", code, stderr)
	}
}
