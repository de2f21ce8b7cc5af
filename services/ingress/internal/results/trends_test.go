package results

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// weeksOf is a result a day, oldest first, with the values as one sleep metric.
func weeksOf(values ...float64) []store.Record[record.Result] {
	var all []store.Record[record.Result]
	for i, v := range values {
		r := analysis.Result{Sleep: analysis.Family{"m": nil}}
		if !math.IsNaN(v) {
			r.Sleep["m"] = &v
		}
		all = append(all, store.Record[record.Result]{Key: health.Day(20000 + i).String(), Value: record.Result{Result: r}})
	}
	return all
}

func TestTrends(t *testing.T) {
	nan := math.NaN()
	z := func(v float64) *float64 { return &v }
	tests := map[string]struct {
		values   []float64
		baseline *baseline
		z        *float64
	}{
		"the newest is not part of its baseline": {[]float64{1, 2, 3, 4, 5, 6, 7, 100}, &baseline{"2024-10-04", "2024-10-10", 7, 4, 2}, z(0.6745 * 96 / 2)},
		"six values are too few":                 {[]float64{1, 2, 3, 4, 5, 6, 7}, nil, nil},
		"a null is no value":                     {[]float64{1, 2, 3, nan, 5, 6, 7, 8}, nil, nil},
		"an even number takes the mean of two":   {[]float64{1, 2, 3, 4, 5, 6, 7, 8, 9}, &baseline{"2024-10-04", "2024-10-11", 8, 4.5, 2}, z(0.6745 * 4.5 / 2)},
		"no spread, no distance":                 {[]float64{5, 5, 5, 5, 5, 5, 5, 9}, &baseline{"2024-10-04", "2024-10-10", 7, 5, 0}, nil},
		"a newest null has no distance":          {[]float64{1, 2, 3, 4, 5, 6, 7, nan}, &baseline{"2024-10-04", "2024-10-10", 7, 4, 2}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := trends(weeksOf(tt.values...), 90, "")
			if len(got) != 1 || got[0].Metric != "sleep.m" || len(got[0].Points) != len(tt.values) {
				t.Fatalf("%+v", got)
			}
			if diff := cmp.Diff(tt.baseline, got[0].Baseline); diff != "" {
				t.Errorf("baseline (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.z, got[0].RobustZ); diff != "" {
				t.Errorf("robustZ (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("what is older than 28 days is no baseline", func(t *testing.T) {
		values := make([]float64, 40)
		for i := range values {
			values[i] = float64(i)
		}
		if b := trends(weeksOf(values...), 5, "sleep.m")[0]; b.Baseline.Values != 28 || b.Baseline.From != health.Day(20011).String() || len(b.Points) != 5 {
			t.Errorf("%+v, %d points", b.Baseline, len(b.Points))
		}
	})
	if got := trends(weeksOf(1, 2), 5, "sleep.other"); len(got) != 0 {
		t.Errorf("another metric: %+v", got)
	}
}
