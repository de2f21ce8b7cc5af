package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What lies in config is what is written, and nothing else.
func TestWhatIsWrittenIsThere(t *testing.T) {
	dir := t.TempDir()
	if err := run(dir); err != nil {
		t.Fatal(err)
	}
	written, there := tree(t, dir), map[string]string{}
	for name, content := range tree(t, "../../config") {
		if _, is := written[name]; is || filepath.Dir(filepath.Dir(name)) == "dashboards" {
			there[name] = content
		}
	}
	if diff := cmp.Diff(written, there); diff != "" {
		t.Errorf("config is not what hack/signals writes: make generate (-written +there):\n%.3000s", diff)
	}
}

// tree is every file below the folder, by its name.
func tree(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path) //nolint:gosec // of the repository, or of the test
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		files[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// No panel stands on another, in either grid, and each has its own number.
func TestPanelsStandBesideEachOther(t *testing.T) {
	for _, d := range dashboards() {
		taken, ids := map[[2]int]string{}, map[int]bool{}
		place := func(title string, x, y, width, height int) {
			for i := x; i < x+width; i++ {
				for j := y; j < y+height; j++ {
					if other := taken[[2]int{i, j}]; other != "" {
						t.Fatalf("%s: %q stands on %q", d.name, title, other)
					}
					taken[[2]int{i, j}] = title
				}
			}
		}
		for _, p := range grafana(d).(object)["panels"].([]any) {
			at, id := p.(object)["gridPos"].(object), p.(object)["id"].(int)
			if ids[id] {
				t.Errorf("%s has two panels of the number %d", d.name, id)
			}
			ids[id] = true
			place(p.(object)["title"].(string), at["x"].(int), at["y"].(int), at["w"].(int), at["h"].(int))
		}
		clear(taken)
		for _, tile := range google(d).(object)["mosaicLayout"].(object)["tiles"].([]any) {
			o := tile.(object)
			place(o["widget"].(object)["title"].(string), o["xPos"].(int), o["yPos"].(int), o["width"].(int), o["height"].(int))
		}
	}
}
