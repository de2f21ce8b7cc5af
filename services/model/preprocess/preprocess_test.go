package preprocess_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/model"
	"github.com/clarity-loop/clarity/services/model/bundle"
	"github.com/clarity-loop/clarity/services/model/preprocess"
)

func apply(t *testing.T, s preprocess.Spec, w model.Window) (preprocess.Stats, *preprocess.Scratch, error) {
	t.Helper()
	scratch, z := preprocess.NewScratch(), make([]float32, model.Minutes)
	stats, err := s.Apply(w, scratch, z)
	if err == nil {
		for i, v := range scratch.Z() {
			if z[i] != float32(v) {
				t.Fatalf("minute %d is %v, rounded from %v", i, z[i], v)
			}
		}
	}
	return stats, scratch, err
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-9*(1+math.Abs(want))) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func sums(z []float64) (sum, abs float64) {
	for _, v := range z {
		sum += v
		abs += math.Abs(v)
	}
	return sum, abs
}

// steps is a kind for which the zero-run rule is off.
func kind(auto bool) actigraphy.InputKind {
	if auto {
		return actigraphy.Counts
	}
	return actigraphy.Steps
}

// testdata/simact.json holds what the training code's own preprocessing makes
// of simulated weeks.
func TestSimactAgreesWithTheTrainingCode(t *testing.T) {
	raw, err := os.ReadFile("testdata/simact.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Seed            uint64
		Auto, Spoilt    bool
		Worn            int
		Scale, Mean, SD float64
		Sum             float64 `json:"z_sum"`
		Abs             float64 `json:"z_abs_sum"`
		Z               []float64
	}
	if err := json.Unmarshal(raw, &cases); err != nil || len(cases) != 12 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, c := range cases {
		w := bundle.SimulatedWeek(c.Seed).Window()
		w.Kind = kind(c.Auto)
		if c.Spoilt {
			for i := 1000; i < 1300; i++ {
				w.Counts[i] = math.NaN()
			}
			w.Counts[5000], w.Counts[77] = -1, 1e9
		}
		st, scratch, err := apply(t, preprocess.Spec{ID: preprocess.Simact}, w)
		if err != nil || st.Worn != c.Worn {
			t.Errorf("seed %d: %d worn minutes, want %d (%v)", c.Seed, st.Worn, c.Worn, err)
			continue
		}
		near(t, "scale", st.Scale, c.Scale)
		near(t, "mean", st.Mean, c.Mean)
		near(t, "deviation", st.SD, c.SD)
		sum, abs := sums(scratch.Z())
		near(t, "sum", sum, c.Sum)
		near(t, "absolute sum", abs, c.Abs)
		for i, v := range c.Z {
			near(t, "a minute", scratch.Z()[i*504], v)
		}
	}
}

func week(f func(i int) float64) model.Window {
	w := model.Window{Kind: actigraphy.Counts, Counts: make([]float64, model.Minutes)}
	for i := range w.Counts {
		w.Counts[i] = f(i)
	}
	return w
}

func TestSimactRefuses(t *testing.T) {
	busy := func(i int) float64 { return float64(i%50 + 1) }
	tests := map[string]struct {
		window model.Window
		kind   actigraphy.InputKind
		want   string // "" is an answer
	}{
		"all zero":                           {week(func(int) float64 { return 0 }), actigraphy.Counts, "too few worn minutes"},
		"all zero, of steps":                 {week(func(int) float64 { return 0 }), actigraphy.Steps, "no activity"},
		"constant":                           {week(func(int) float64 { return 5 }), actigraphy.Counts, "constant record"},
		"5,039 minutes":                      {week(func(i int) float64 { return when(i < 5039, busy(i), math.NaN()) }), actigraphy.Counts, "too few worn minutes"},
		"5,040 minutes":                      {week(func(i int) float64 { return when(i < 5040, busy(i), math.NaN()) }), actigraphy.Counts, ""},
		"59 minutes of movement":             {week(func(i int) float64 { return when(i%10 == 0 && i < 590, busy(i), 0) }), actigraphy.Steps, "no activity"},
		"60 minutes of movement":             {week(func(i int) float64 { return when(i%10 == 0 && i < 600, busy(i), 0) }), actigraphy.Steps, ""},
		"infinite counts":                    {week(func(int) float64 { return math.Inf(1) }), actigraphy.Counts, "too few worn minutes"},
		"counts at the edge of what numbers": {week(func(i int) float64 { return when(i%2 == 0, 1e308, 1e-308) }), actigraphy.Counts, "constant record"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.window.Kind = tt.kind
			_, scratch, err := apply(t, preprocess.Spec{ID: preprocess.Simact}, tt.window)
			if tt.want != "" && (!errors.Is(err, model.TooLittleData) || !strings.Contains(err.Error(), tt.want)) || tt.want == "" && err != nil {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if sum, _ := sums(scratch.Z()); err == nil && math.IsNaN(sum) {
				t.Error("a minute is not a number")
			}
		})
	}
}

func when(is bool, a, b float64) float64 {
	if is {
		return a
	}
	return b
}

func TestZeroRuns(t *testing.T) {
	for n, worn := range map[int]int{179: model.Minutes, 180: model.Minutes - 180, 181: model.Minutes - 181} {
		w := week(func(i int) float64 { return when(i >= 2000 && i < 2000+n, 0, float64(i%50+1)) })
		if st, _, err := apply(t, preprocess.Spec{ID: preprocess.Simact}, w); err != nil || st.Worn != worn {
			t.Errorf("a run of %d zeros leaves %d worn minutes, want %d (%v)", n, st.Worn, worn, err)
		}
	}
	// A run goes on through minutes that were masked already.
	w := week(func(i int) float64 { return when(i >= 2000 && i < 2180, 0, float64(i%50+1)) })
	w.Missing = make([]bool, model.Minutes)
	w.Counts[2090], w.Missing[2090] = 70, true
	if st, _, err := apply(t, preprocess.Spec{ID: preprocess.Simact}, w); err != nil || st.Worn != model.Minutes-180 {
		t.Errorf("a run with a masked minute leaves %d worn minutes (%v)", st.Worn, err)
	}
}

func TestSimactDoesNotDependOnTheUnit(t *testing.T) {
	w, scaled := bundle.SimulatedWeek(1).Window(), bundle.SimulatedWeek(1).Window()
	scaled.Counts = slices.Clone(scaled.Counts)
	for i := range scaled.Counts {
		scaled.Counts[i] *= 1000
	}
	_, a, _ := apply(t, preprocess.Spec{ID: preprocess.Simact}, w)
	_, b, _ := apply(t, preprocess.Spec{ID: preprocess.Simact}, scaled)
	for i := range a.Z() {
		near(t, "a minute", b.Z()[i], a.Z()[i])
	}
}

func TestCohortAndRecord(t *testing.T) {
	w := week(func(i int) float64 { return float64(i % 4) })
	w.Missing = make([]bool, model.Minutes)
	w.Missing[1441] = true
	_, got, err := apply(t, preprocess.Spec{ID: preprocess.Cohort, Mean: []float64{1}, SD: []float64{2}}, w)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "minute 3", got.Z()[3], 1)
	near(t, "a missing minute, whose like have z 0", got.Z()[1441], 0)
	if got.Worn()[1441] {
		t.Error("a missing minute is worn")
	}
	st, got, err := apply(t, preprocess.Spec{ID: preprocess.Record}, w)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "minute 0", got.Z()[0], -st.Mean/st.SD)

	mean, sd := make([]float64, model.Minutes), make([]float64, model.Minutes)
	for i := range mean {
		mean[i], sd[i] = float64(i), 2
	}
	_, got, err = apply(t, preprocess.Spec{ID: preprocess.Cohort, Mean: mean, SD: sd}, w)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "minute 9", got.Z()[9], -4)
}

func TestCheckRefuses(t *testing.T) {
	tests := map[string]struct {
		spec preprocess.Spec
		want model.Reason
	}{
		"unknown steps":           {preprocess.Spec{ID: "wavelet/2"}, model.UnknownPreprocessing},
		"no steps":                {preprocess.Spec{}, model.UnknownPreprocessing},
		"a scaler for simact":     {preprocess.Spec{ID: preprocess.Simact, Mean: []float64{1}}, model.Malformed},
		"a cohort without scaler": {preprocess.Spec{ID: preprocess.Cohort}, model.Malformed},
		"two means":               {preprocess.Spec{ID: preprocess.Cohort, Mean: []float64{1, 2}, SD: []float64{1, 2}}, model.Malformed},
		"a deviation of zero":     {preprocess.Spec{ID: preprocess.Cohort, Mean: []float64{1}, SD: []float64{0}}, model.Malformed},
		"a mean that is no number": {preprocess.Spec{ID: preprocess.Cohort, Mean: []float64{math.NaN()}, SD: []float64{1}},
			model.Malformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := tt.spec.Check(); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// Three real weeks and nine edge cases that lie beside the preview model's source.
func TestSimactAgreesWithThePublishedGolden(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(models(t), "golden-pat-s-sim.json"))
	if err != nil {
		t.Fatal(err)
	}
	type stats struct {
		Name, Result    string
		Counts, Z       []float64
		Worn            int `json:"worn_minutes"`
		WornEdge        int `json:"worn"`
		Scale, Mean, SD float64
		Sum             float64   `json:"z_sum"`
		Abs             float64   `json:"z_abs_sum"`
		First           []float64 `json:"z_first8"`
	}
	var g struct {
		Cases []stats
		Edge  []stats `json:"preprocess_edge_cases_on_case0_counts"`
	}
	if err := json.Unmarshal(raw, &g); err != nil || len(g.Cases) != 3 || len(g.Edge) != 9 {
		t.Fatalf("%d cases, %d edge cases, %v", len(g.Cases), len(g.Edge), err)
	}
	spec := preprocess.Spec{ID: preprocess.Simact}
	for _, c := range g.Cases {
		st, scratch, err := apply(t, spec, model.Window{Kind: actigraphy.Counts, Counts: c.Counts})
		if err != nil || st.Worn != c.Worn {
			t.Fatalf("%d worn minutes, want %d (%v)", st.Worn, c.Worn, err)
		}
		near(t, "scale", st.Scale, c.Scale)
		near(t, "mean", st.Mean, c.Mean)
		near(t, "deviation", st.SD, c.SD)
		for i, z := range c.Z {
			near(t, "a minute", scratch.Z()[i], z)
		}
	}
	edges := map[string]func(c []float64){
		"spike 1e9 at 77":                        func(c []float64) { c[77] = 1e9 },
		"NaN 1000:1300 and -1 at 5000, auto":     spoil,
		"same, auto off":                         spoil,
		"counts times 1000 (scale invariance)":   func(c []float64) { each(c, func(v float64) float64 { return 1000 * v }) },
		"180 zero run at 2000":                   func(c []float64) { clear(c[2000:2180]) },
		"all zero":                               func(c []float64) { clear(c) },
		"constant 5":                             func(c []float64) { each(c, func(float64) float64 { return 5 }) },
		"5041 NaN minutes -> 5039 worn or fewer": func(c []float64) { each(c[:5041], func(float64) float64 { return math.NaN() }) },
	}
	for _, e := range g.Edge {
		change, ok := edges[e.Name]
		if !ok {
			continue // its input is not given exactly
		}
		w := model.Window{Kind: kind(!strings.HasSuffix(e.Name, "auto off")), Counts: slices.Clone(g.Cases[0].Counts)}
		change(w.Counts)
		st, scratch, err := apply(t, spec, w)
		if reason, refused := strings.CutPrefix(e.Result, "refuse: "); refused {
			if err == nil || !strings.Contains(err.Error(), reason) {
				t.Errorf("%s: %v, want %q", e.Name, err, reason)
			}
			continue
		}
		if err != nil || st.Worn != e.WornEdge {
			t.Errorf("%s: %d worn minutes, want %d (%v)", e.Name, st.Worn, e.WornEdge, err)
			continue
		}
		near(t, e.Name+": scale", st.Scale, e.Scale)
		near(t, e.Name+": deviation", st.SD, e.SD)
		sum, abs := sums(scratch.Z())
		near(t, e.Name+": sum", sum, e.Sum)
		near(t, e.Name+": absolute sum", abs, e.Abs)
		for i, z := range e.First {
			near(t, e.Name+": a minute", scratch.Z()[i], z)
		}
	}
}

func each(c []float64, f func(float64) float64) {
	for i, v := range c {
		c[i] = f(v)
	}
}

func spoil(c []float64) {
	each(c[1000:1300], func(float64) float64 { return math.NaN() })
	c[5000] = -1
}

// models is the folder of the preview model's source beside the repository.
func models(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "shared/models/README.md")); err == nil {
			return filepath.Join(dir, "shared/models")
		}
	}
	t.Skip("no model source beside the repository")
	return ""
}
