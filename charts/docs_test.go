package charts_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The values that the pages show are taken, and install what they say.
func TestTheValuesOfThePagesAreTaken(t *testing.T) {
	pages, err := filepath.Glob("../docs/operations/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range pages {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range strings.Split(string(content), "```yaml\n# values\n")[1:] {
			values, _, closed := strings.Cut(block, "```")
			if !closed {
				t.Fatalf("%s: a block is not closed", page)
			}
			seen++
			file := filepath.Join(t.TempDir(), "mine.yaml")
			if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
				t.Fatal(err)
			}
			objects := render(t, "--values="+file)
			for _, name := range []string{"clarity-ingress", "clarity-worker", "clarity-insights"} {
				find(t, objects, "Deployment", name)
			}
			find(t, objects, "Gateway", "clarity")
			find(t, objects, "FirestoreDatabase", "clarity-documents")
		}
	}
	if seen == 0 {
		t.Error("no page shows values")
	}
}
