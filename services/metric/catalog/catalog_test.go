package catalog_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/metric"
	"github.com/clarity-loop/clarity/services/metric/catalog"
	"github.com/clarity-loop/clarity/services/metric/metrictest"
)

func TestEveryDefinitionIsComplete(t *testing.T) {
	snake := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	seen := map[string]bool{}
	for _, d := range catalog.Definitions() {
		switch {
		case seen[d.ID()]:
			t.Errorf("%s is there twice", d.ID())
		case !snake.MatchString(d.Name):
			t.Errorf("%s is not snake_case", d.ID())
		case !strings.HasSuffix(d.Doc, ".") || d.Source == "" || d.Compute == nil:
			t.Errorf("%s has no doc, source or function", d.ID())
		case !(d.Min < d.Max):
			t.Errorf("%s has no range", d.ID())
		}
		seen[d.ID()] = true
	}
}

// TestEveryDefinitionIsDocumented: each metric has its line, with its unit's
// source, on its family's page.
func TestEveryDefinitionIsDocumented(t *testing.T) {
	for _, d := range catalog.Definitions() {
		page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "analysis", d.Family+".md"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), "| `"+d.Name+"` |") {
			t.Errorf("docs/analysis/%s.md has no row for %s", d.Family, d.Name)
		}
	}
}

func TestValuesComeInTheCatalogsOrderAndInRange(t *testing.T) {
	in := metrictest.Input(metrictest.Made(7, func(i int) float64 { return float64(i % 1440 / 10) }))
	values, err := catalog.Compute(in)
	if err != nil {
		t.Fatal(err)
	}
	definitions := catalog.Definitions()
	if len(values) != len(definitions) {
		t.Fatalf("%d values of %d metrics", len(values), len(definitions))
	}
	numbers := 0
	for i, v := range values {
		if v.ID() != definitions[i].ID() {
			t.Errorf("value %d is %s, want %s", i, v.ID(), definitions[i].ID())
		}
		if v.Lacking != nil {
			continue
		}
		numbers++
		if v.Number < v.Min || v.Number > v.Max {
			t.Errorf("%s = %v is outside %v to %v", v.ID(), v.Number, v.Min, v.Max)
		}
	}
	if numbers < 16 { // wear 3, circadian 10, activity 3
		t.Errorf("%d numbers", numbers)
	}
}

func TestAnOverflowIsSaid(t *testing.T) {
	in := metrictest.Input(metrictest.Made(7, func(i int) float64 { return float64(i%1440) * 1e305 }))
	values, err := catalog.Compute(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		if v.ID() == "circadian.interdaily_stability" && (v.Lacking == nil || v.Lacking.Reason != metric.NotFinite) {
			t.Errorf("%s = %v, %v", v.ID(), v.Number, v.Lacking)
		}
	}
}
