package results

import (
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
)

func TestLines(t *testing.T) {
	got, err := lines([]analysis.Claim{{Text: "a < b"}, {Text: "c", Facts: []string{"d"}}}, lastLine{Done: true, Writer: "w", FellBack: "timeout"})
	want := "{\"text\":\"a < b\",\"facts\":[]}\n{\"text\":\"c\",\"facts\":[\"d\"]}\n{\"done\":true,\"writer\":\"w\",\"fellBack\":\"timeout\"}\n"
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMedianAndDistance(t *testing.T) {
	for text, tt := range map[string]struct {
		values []float64
		want   float64
	}{"one": {[]float64{7}, 7}, "odd": {[]float64{9, 1, 5}, 5}, "even": {[]float64{4, 1, 3, 2}, 2.5}, "far apart": {[]float64{-math.MaxFloat64 / 4, math.MaxFloat64 / 4}, 0}} {
		if got := median(tt.values); got != tt.want {
			t.Errorf("%s: %v, want %v", text, got, tt.want)
		}
	}
	one := 1.0
	huge, tiny := math.MaxFloat64, math.SmallestNonzeroFloat64
	for name, tt := range map[string]struct {
		b      *baseline
		newest *float64
		want   string
	}{
		"as it is":       {&baseline{Median: 0, MAD: 0.6745}, &one, "1"},
		"no baseline":    {nil, &one, "none"},
		"no value":       {&baseline{MAD: 1}, nil, "none"},
		"no spread":      {&baseline{}, &one, "none"},
		"infinitely far": {&baseline{MAD: tiny}, &huge, "none"},
		"minus infinity": {&baseline{Median: huge, MAD: tiny}, &one, "none"},
		"not a number":   {&baseline{Median: math.Inf(1), MAD: math.Inf(1)}, &one, "none"},
	} {
		got := "none"
		if z := robustZ(tt.b, tt.newest); z != nil {
			got = fmt.Sprint(*z)
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
