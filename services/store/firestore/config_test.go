package firestore_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func deployed(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "..", "config", "firestore", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// The indexes that are deployed are those of the shapes written, of single fields, in
// one collection, and nothing else of a document has one.
func TestWhatIsIndexedIsWhatQueriesNeed(t *testing.T) {
	var file struct {
		Indexes        []any
		FieldOverrides []struct {
			CollectionGroup, FieldPath string
			TTL                        bool
			Indexes                    []struct{ Order, QueryScope string }
		}
	}
	if err := json.Unmarshal(deployed(t, "firestore.indexes.json"), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Indexes) != 0 {
		t.Errorf("%d composite indexes", len(file.Indexes))
	}
	need := []string{"documents * none", "feeds * none"} // times that rise take 500 writes a second
	for _, kept := range []string{"events", "insights", "results"} {
		need = append(need, kept+" * none", kept+" expires ttl")
	}
	for _, s := range shapes {
		parts := strings.Split(s, "; ") // documents: k>, k<; k up; limit
		collection, _, _ := strings.Cut(parts[0], ":")
		field, way, _ := strings.Cut(parts[1], " ")
		need = append(need, collection+" "+field+" "+map[string]string{"up": "ASCENDING", "down": "DESCENDING"}[way]+" COLLECTION")
	}
	slices.Sort(need)
	var have []string
	for _, o := range file.FieldOverrides {
		at := o.CollectionGroup + " " + o.FieldPath + " "
		switch {
		case o.TTL:
			have = append(have, at+"ttl")
		case len(o.Indexes) == 0:
			have = append(have, at+"none")
		}
		for _, i := range o.Indexes {
			have = append(have, at+i.Order+" "+i.QueryScope)
		}
	}
	slices.Sort(have)
	if diff := cmp.Diff(slices.Compact(need), have); diff != "" {
		t.Errorf("(-needed +deployed):\n%s", diff)
	}
}
