package services_test

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

	gocmp "github.com/google/go-cmp/cmp"
)

// destroyers are the folders whose shipped code names Destroy, or a thing that
// has it.
func destroyers() map[string][]string {
	return map[string][]string{
		// The contract, its suite and drivers, and the one stage that erases a person.
		"Destroy": {"services/erasure", "services/keyring", "services/keyring/keyringtest", "services/keyring/kms", "services/keyring/tink"},
		// Who hands it on: the platform to that stage.
		"Eraser": {"cmd/internal/platform", "services/keyring"},
		// The whole of it: who opens a driver, and the suites.
		"Keyring": {"cmd/clarity", "cmd/ingress", "cmd/insights", "cmd/internal/embedded", "cmd/internal/google", "cmd/internal/platform", "cmd/worker",
			"services/ingress/internal/ingresstest", "services/keyring", "services/keyring/keyringtest", "services/keyring/kms", "services/keyring/tink", "services/stage/stagetest"},
	}
}

// naming are the folders in whose shipped files the name is written at all:
// called, taken as a value, or asked for in an interface.
func naming(t *testing.T, root fs.FS, word string) []string {
	t.Helper()
	var found []string
	for _, top := range []string{"cmd", "controllers", "internal", "services"} {
		err := fs.WalkDir(root, top, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return skipMissing(file, top, err)
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
				if name, ok := n.(*ast.Ident); ok && name.Name == word {
					found = append(found, path.Dir(file))
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func TestOnlyWhoErasesAPersonDestroysKeys(t *testing.T) {
	for word, want := range destroyers() {
		if diff := gocmp.Diff(want, naming(t, os.DirFS(".."), word)); diff != "" {
			t.Errorf("folders that name %s (-want +got):\n%s", word, diff)
		}
	}
}

func TestAPlantedDestroyIsFoundAnywhere(t *testing.T) {
	for _, folder := range []string{"cmd/clarity", "cmd/internal/platform/stages", "services/worker/intake", "services/ingress"} {
		for word := range destroyers() {
			got := naming(t, fstest.MapFS{
				folder + "/planted.go":      {Data: []byte("package planted\n\nfunc f(k keys) { _ = k." + word + "(nil, \"x\") }\n")},
				"cmd/other/planted_test.go": {Data: []byte("package planted\n\nvar _ = keys." + word + "\n")},
			}, word)
			if diff := gocmp.Diff([]string{folder}, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", word, diff)
			}
		}
	}
}

func TestEveryWayToNameDestroyIsFound(t *testing.T) {
	tests := map[string]string{
		"called":            "func f(k keyring.Keyring) { _ = k.Destroy(nil, \"x\") }",
		"taken as a value":  "func f(k keyring.Keyring) any { return k.Destroy }",
		"in an interface":   "type keys interface{ Destroy(string) error }",
		"of the type":       "var f = keyring.Keyring.Destroy",
		"a word in a text":  "var text = \"Destroy\"",
		"a word in comment": "// Destroy\nvar x int",
	}
	const room = "services/ingress/internal/results"
	for name, source := range tests {
		t.Run(name, func(t *testing.T) {
			var want []string
			if !strings.HasPrefix(name, "a word") {
				want = []string{room}
			}
			got := naming(t, fstest.MapFS{
				room + "/planted.go":      {Data: []byte("package results\n\n" + source + "\n")},
				room + "/planted_test.go": {Data: []byte("package results\n\nvar _ = keyring.Keyring.Destroy\n")},
			}, "Destroy")
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("rooms (-want +got):\n%s", diff)
			}
		})
	}
}
