package ingress_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// destroying are the packages of this folder's shipped files in which the name
// Destroy is written at all: called, taken as a value, or asked for in an
// interface. Whoever lacks the name cannot destroy a key.
func destroying(t *testing.T, root fs.FS) []string {
	t.Helper()
	found := map[string]bool{}
	err := fs.WalkDir(root, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		source, err := fs.ReadFile(root, file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if name, ok := n.(*ast.Ident); ok && name.Name == "Destroy" {
				found[path.Dir(file)] = true
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var rooms []string
	for room := range found {
		rooms = append(rooms, room)
	}
	slices.Sort(rooms)
	return rooms
}

func TestOnlyTheAccountRoomDestroysKeys(t *testing.T) {
	if diff := cmp.Diff([]string{"internal/account"}, destroying(t, os.DirFS("."))); diff != "" {
		t.Errorf("rooms that name Destroy (-want +got):\n%s", diff)
	}
}

func TestAPlantedDestroyIsFound(t *testing.T) {
	tests := map[string]string{
		"called":            "func f(k keyring.Keyring) { _ = k.Destroy(nil, \"x\") }",
		"taken as a value":  "func f(k keyring.Keyring) any { return k.Destroy }",
		"in an interface":   "type keys interface{ Destroy(string) error }",
		"of the type":       "var f = keyring.Keyring.Destroy",
		"a word in a text":  "var text = \"Destroy\"",
		"a word in comment": "// Destroy\nvar x int",
	}
	for name, source := range tests {
		t.Run(name, func(t *testing.T) {
			var want []string
			if !strings.HasPrefix(name, "a word") {
				want = []string{"internal/results"}
			}
			got := destroying(t, fstest.MapFS{
				"internal/results/planted.go":      {Data: []byte("package results\n\n" + source + "\n")},
				"internal/results/planted_test.go": {Data: []byte("package results\n\nvar _ = keyring.Keyring.Destroy\n")},
			})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("rooms (-want +got):\n%s", diff)
			}
		})
	}
}

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
