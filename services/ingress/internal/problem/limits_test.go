package problem

import (
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each limit that a reply may name is one that the document names.
func TestEveryLimitIsInTheDocument(t *testing.T) {
	field, _ := reflect.TypeFor[Limit]().FieldByName("What")
	named := strings.Split(field.Tag.Get("enum"), ",")
	call := regexp.MustCompile(`OverLimit\([^\n]*, "([a-z_]+)", `)
	found := map[string]bool{}
	rooms := os.DirFS("../..")
	err := fs.WalkDir(rooms, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := fs.ReadFile(rooms, path)
		for _, m := range call.FindAllSubmatch(data, -1) {
			if what := string(m[1]); !slices.Contains(named, what) {
				t.Errorf("%s: %q is not among %v", path, what, named)
			}
			found[string(m[1])] = true
		}
		return err
	})
	if err != nil || len(found) < 8 {
		t.Errorf("found %v, %v", found, err)
	}
}
