package ingress_test

import (
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
)

// No room outgrows what a reader keeps in mind.
func TestNoRoomIsOver900Lines(t *testing.T) {
	lines := map[string]int{}
	err := fs.WalkDir(os.DirFS("."), ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		source, err := os.ReadFile(file)
		lines[path.Dir(file)] += strings.Count(string(source), "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) < 10 {
		t.Errorf("looked at %d rooms", len(lines))
	}
	for room, n := range lines {
		if n > 900 {
			t.Errorf("%s has %d lines", room, n)
		}
	}
}
