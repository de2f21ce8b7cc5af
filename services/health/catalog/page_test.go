package catalog

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/api/types.md anew")

const typesPage = "../../../docs/api/types.md"

// The page is generated: go test ./services/health/catalog -run TypesPage -update.
func TestTypesPageIsTheCatalog(t *testing.T) {
	want := typesMarkdown()
	if *update {
		if err := os.MkdirAll("../../../docs/api", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(typesPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(typesPage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/api/types.md is not the catalog; run: go test ./services/health/catalog -run TypesPage -update\n%s", diff)
	}
}

func typesMarkdown() string {
	var b strings.Builder
	b.WriteString(`# Types

<!-- Generated from services/health/catalog: go test ./services/health/catalog -run TypesPage -update -->

Every type that an upload is checked against. A sample of a type that is not here is kept as it was sent. Routes,
heartbeat series and electrocardiograms are [series](README.md#series).

- **Unit** is the canonical UCUM unit of stored values and results. An upload may use any unit of the same dimension, spelled as HealthKit or UCUM spell it.
- **Percent**: in an upload ` + "`%`" + ` is HealthKit's fraction (0.97); in results it is UCUM's, per hundred (97).
- **Range** is what one sample can be, inclusive; a value outside is rejected as ` + "`out_of_range`" + `.
- **Longest** is the longest that one sample can last; beyond it is rejected as ` + "`too_long`" + `.
- *cumulative* values are summed over time, *discrete* ones are averaged or read as they are.

## Quantities

| HKQuantityTypeIdentifier… | name | unit | how | range | longest | LOINC |
|---|---|---|---|---|---|---|
`)
	categories := false
	for _, t := range All() {
		if t.Kind == Category && !categories {
			categories = true
			b.WriteString("\n## Categories\n\nA category sample has no unit; its value is the code.\n\n| HKCategoryTypeIdentifier… | name | values | longest |\n|---|---|---|---|\n")
		}
		days := fmt.Sprintf("%g d", t.MaxDuration.Hours()/24)
		if t.Kind == Quantity {
			fmt.Fprintf(&b, "| %s | %s | `%s` | %s | %v to %v | %s | %s |\n", strings.TrimPrefix(t.Identifier, "HKQuantityTypeIdentifier"),
				t.Display, t.Unit, t.Aggregation, t.Min, t.Max, days, t.LOINC)
			continue
		}
		var values []string
		for _, v := range t.Values {
			values = append(values, fmt.Sprintf("%d %s", v.Code, v.Name))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", strings.TrimPrefix(t.Identifier, "HKCategoryTypeIdentifier"), t.Display, strings.Join(values, ", "), days)
	}
	return b.String()
}
