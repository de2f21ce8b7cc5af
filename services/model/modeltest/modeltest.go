// Package modeltest is the conformance suite of the model contract.
package modeltest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/model"
)

// Run holds a driver to the contract. open returns a model that takes counts;
// it is closed by the caller.
func Run(t *testing.T, open func(t *testing.T) model.Model) {
	m := open(t)
	for name, test := range map[string]func(*testing.T, model.Model){
		"an identity says what the version is":               identity,
		"each inference carries its origin":                  origin,
		"the same window gives the same bytes":               repeatable,
		"a window does not depend on its batch":              batch,
		"what the mask covers does not matter":               mask,
		"minutes that are no numbers count as missing":       notNumbers,
		"too little data is refused, and costs others none":  tooLittle,
		"a window of another shape is refused alone":         shape,
		"an ended context ends the call":                     ended,
		"windows and inferences of different number are not": lengths,
		"calls may be concurrent":                            concurrent,
	} {
		t.Run(name, func(t *testing.T) { test(t, m) })
	}
}

// Week is a made-up window of counts; seeds differ.
func Week(seed int) model.Window {
	w := model.Window{Kind: actigraphy.Counts, StartMinute: seed * 97 % actigraphy.MinutesPerDay,
		Counts: make([]float64, model.Minutes), Missing: make([]bool, model.Minutes)}
	state := uint64(seed)*2654435761 + 1
	for i := range w.Counts {
		state = state*6364136223846793005 + 1442695040888963407
		u := float64(state>>40) / (1 << 24)
		clock := float64((i+w.StartMinute)%1440) / 1440
		w.Counts[i] = math.Floor(400 * u * u * max(0, 0.15-math.Cos(2*math.Pi*clock)))
	}
	for i := 2000 + 100*seed%1000; i < 2090+100*seed%1000; i++ {
		w.Missing[i], w.Counts[i] = true, 0
	}
	return w
}

func infer(t *testing.T, m model.Model, windows ...model.Window) []model.Inference {
	t.Helper()
	into := make([]model.Inference, len(windows))
	if err := m.Infer(context.Background(), windows, into); err != nil {
		t.Fatal(err)
	}
	return into
}

// answer infers windows that must not be refused.
func answer(t *testing.T, m model.Model, windows ...model.Window) []model.Inference {
	t.Helper()
	into := infer(t, m, windows...)
	for i := range into {
		if into[i].Refused != nil {
			t.Fatalf("window %d is refused: %v", i, into[i].Refused)
		}
	}
	return into
}

func identity(t *testing.T, m model.Model) {
	id := m.Identity()
	if id.Name == "" || !strings.HasPrefix(id.Digest, "sha256:") || len(id.Digest) != 71 || id.Preprocessing == "" || id.Scaling == "" {
		t.Errorf("identity lacks something: %+v", id)
	}
	for _, o := range id.Outputs {
		if o.Name == "" || o.Length < 1 || o.Unit == "" || o.Doc == "" || o.Visibility == "" {
			t.Errorf("output lacks something: %+v", o)
		}
		if o.Visibility == model.Preview && id.Label == "" {
			t.Errorf("output %s is a preview without a label", o.Name)
		}
	}
	if len(id.Outputs) == 0 {
		t.Error("no outputs")
	}
}

func origin(t *testing.T, m model.Model) {
	id, w := m.Identity(), Week(1)
	got := answer(t, m, w)[0]
	if got.Version != id.Digest || got.Preprocessing != id.Preprocessing || got.Scaling != id.Scaling || got.Kind != string(w.Kind) {
		t.Errorf("origin %q %q %q %q of %+v", got.Version, got.Preprocessing, got.Scaling, got.Kind, id)
	}
	if len(got.Values) != len(id.Outputs) || len(got.Worn) != model.Minutes {
		t.Fatalf("%d outputs and a mask of %d", len(got.Values), len(got.Worn))
	}
	worn := 0
	for i, on := range got.Worn {
		if on {
			worn++
		}
		if on && w.Missing[i] {
			t.Fatalf("minute %d is missing and counts as worn", i)
		}
	}
	if worn != got.WornMinutes {
		t.Errorf("%d worn minutes in the mask, %d told", worn, got.WornMinutes)
	}
	for i, o := range id.Outputs {
		if len(got.Values[i]) != o.Length || !slices.Equal(got.Value(id, o.Name), got.Values[i]) {
			t.Errorf("output %s has %d values, want %d", o.Name, len(got.Values[i]), o.Length)
		}
		for _, v := range got.Values[i] {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				t.Fatalf("output %s is not finite", o.Name)
			}
		}
	}
	if got.Value(id, "no such output") != nil {
		t.Error("an output that is not there has a value")
	}
}

func repeatable(t *testing.T, m model.Model) {
	first := answer(t, m, Week(1), Week(2))
	again := first
	values := clone(first)
	if err := m.Infer(context.Background(), []model.Window{Week(1), Week(2)}, again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(values, clone(again)); diff != "" {
		t.Errorf("the second time (-first +second):\n%.2000s", diff)
	}
	if d := distance(values[0], values[1]); d == 0 {
		t.Error("two different weeks have the same outputs")
	}
}

func clone(in []model.Inference) [][][]float32 {
	out := make([][][]float32, len(in))
	for i := range in {
		for _, v := range in[i].Values {
			out[i] = append(out[i], slices.Clone(v))
		}
	}
	return out
}

// distance is the largest difference of outputs, relative to each output's largest value.
func distance(a, b [][]float32) float64 {
	worst := 0.0
	for i := range a {
		far, size := 0.0, 1e-9
		for j, v := range a[i] {
			far, size = max(far, math.Abs(float64(v-b[i][j]))), max(size, math.Abs(float64(v)))
		}
		worst = max(worst, far/size)
	}
	return worst
}

func batch(t *testing.T, m model.Model) {
	var windows []model.Window
	for i := range 9 {
		windows = append(windows, Week(i))
	}
	together := answer(t, m, windows...)
	for i, w := range windows {
		if d := distance(answer(t, m, w)[0].Values, together[i].Values); d > 1e-5 {
			t.Errorf("window %d alone is %g from itself in a batch", i, d)
		}
	}
}

func mask(t *testing.T, m model.Model) {
	plain, spoilt := Week(3), Week(3)
	for i := range spoilt.Counts {
		if spoilt.Missing[i] {
			spoilt.Counts[i] = 5000
		}
	}
	got := answer(t, m, plain, spoilt)
	if d := distance(got[0].Values, got[1].Values); d > 0 {
		t.Errorf("counts under the mask change outputs by %g", d)
	}
	seen := spoilt
	seen.Missing = nil
	if d := distance(got[0].Values, answer(t, m, seen)[0].Values); d == 0 {
		t.Error("the mask has no effect")
	}
}

func notNumbers(t *testing.T, m model.Model) {
	masked, broken := Week(4), Week(4)
	for i, v := range []float64{math.NaN(), -1, math.Inf(1), math.Inf(-1)} {
		masked.Missing[500+i], broken.Counts[500+i] = true, v
	}
	got := answer(t, m, masked, broken)
	if d := distance(got[0].Values, got[1].Values); d > 0 || got[0].WornMinutes != got[1].WornMinutes {
		t.Errorf("impossible counts are %g from missing ones; %d and %d worn minutes", d, got[0].WornMinutes, got[1].WornMinutes)
	}
}

func tooLittle(t *testing.T, m model.Model) {
	empty := Week(5)
	for i := range empty.Missing {
		empty.Missing[i] = true
	}
	flat := Week(5)
	for i := range flat.Counts {
		flat.Counts[i] = 5
	}
	got := infer(t, m, Week(1), empty, Week(2), flat)
	for i, refused := range []bool{false, true, false, true} {
		if is := errors.Is(got[i].Refused, model.TooLittleData); is != refused {
			t.Errorf("window %d: refused for too little data is %v, want %v (%v)", i, is, refused, got[i].Refused)
		}
		if refused && len(got[i].Values) > 0 {
			t.Errorf("window %d is refused, and has values", i)
		}
	}
	if d := distance(got[2].Values, answer(t, m, Week(2))[0].Values); d > 1e-5 {
		t.Errorf("a refused neighbour changes a window by %g", d)
	}
}

func shape(t *testing.T, m model.Model) {
	short, ragged, odd := Week(1), Week(1), Week(1)
	short.Counts, ragged.Missing, odd.StartMinute = short.Counts[1:], ragged.Missing[1:], 1440
	got := infer(t, m, short, Week(2), ragged, odd)
	for i, refused := range []bool{true, false, true, true} {
		if (got[i].Refused != nil) != refused {
			t.Errorf("window %d: refused %v, want %v", i, got[i].Refused, refused)
		}
	}
}

func ended(t *testing.T, m model.Model) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := m.Infer(ctx, []model.Window{Week(1)}, make([]model.Inference, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context's end: %v", err)
	}
}

func lengths(t *testing.T, m model.Model) {
	if err := m.Infer(context.Background(), []model.Window{Week(1)}, nil); err == nil {
		t.Error("no error")
	}
	if err := m.Infer(context.Background(), nil, nil); err != nil {
		t.Errorf("no windows at all: %v", err)
	}
}

func concurrent(t *testing.T, m model.Model) {
	var all sync.WaitGroup
	want := answer(t, m, Week(0), Week(1), Week(2))
	for i := range want {
		all.Go(func() {
			into := make([]model.Inference, 1)
			for range 3 {
				err := m.Infer(context.Background(), []model.Window{Week(i)}, into)
				if err == nil && distance(into[0].Values, want[i].Values) > 1e-5 {
					err = fmt.Errorf("outputs differ from those of a quiet call")
				}
				if err != nil {
					t.Errorf("week %d: %v", i, err)
				}
			}
		})
	}
	all.Wait()
}
