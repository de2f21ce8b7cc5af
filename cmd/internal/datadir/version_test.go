package datadir_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/cmd/internal/platform/capability"
)

func TestADirectoryOfALaterReleaseIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	start(t, dir)
	path := filepath.Join(dir, "VERSION")
	if text, err := os.ReadFile(path); err != nil || string(text) != "1\n" {
		t.Fatalf("%q, %v", text, err)
	}
	start(t, dir)
	for text, want := range map[string]string{"2\n": "was written by a newer program (version 2, this one knows 1)", "x": "names no version"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		before := names(t, dir)
		_, opened := open(t, dir, capability.Queue)
		_, _, leased := lease(dir, 0).Acquire(t.Context())
		for _, err := range []error{opened, leased} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v", text, err)
			}
		}
		if after := names(t, dir); after != before {
			t.Errorf("%q: %s became %s", text, before, after)
		}
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}
