package actigraphy_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/actigraphy"
)

var monday = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

func counts(values ...float64) actigraphy.Recording {
	return actigraphy.Recording{Start: monday, Epoch: time.Minute, Kind: actigraphy.Counts, Values: values}
}

// repeat is n values of v.
func repeat(n int, v float64) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = v
	}
	return values
}

func join(parts ...[]float64) (all []float64) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestSliceHasBothEnds(t *testing.T) {
	rec := counts(0, 1, 2, 3, 4, 5)
	tests := map[string]struct {
		start  time.Duration
		period time.Duration
		want   []float64 // nil: an error
	}{
		"the epoch at the end is in it":              {time.Minute, 2 * time.Minute, []float64{1, 2, 3}},
		"without a period it reaches to the end":     {4 * time.Minute, 0, []float64{4, 5}},
		"a start within an epoch takes the next":     {90 * time.Second, time.Minute, []float64{2}},
		"a start before the recording is its start":  {-time.Hour, 61 * time.Minute, []float64{0, 1}},
		"a period behind the end stops there":        {4 * time.Minute, time.Hour, []float64{4, 5}},
		"before the recording there is nothing":      {-time.Hour, time.Minute, nil},
		"after the recording there is nothing":       {6 * time.Minute, time.Minute, nil},
		"a negative period is none":                  {0, -time.Minute, nil},
		"the whole, to the instant where it ends":    {0, 6 * time.Minute, []float64{0, 1, 2, 3, 4, 5}},
		"the whole, to the start of its last minute": {0, 5 * time.Minute, []float64{0, 1, 2, 3, 4, 5}},
		"a start an instant behind takes the next":   {time.Minute + 1, time.Minute, []float64{2}},
		"a period of an instant is one epoch":        {0, 1, []float64{0}},
		"an end just before the recording":           {-90 * time.Second, time.Minute, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := rec.Slice(monday.Add(tt.start), tt.period)
			if (err != nil) != (tt.want == nil) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if diff := cmp.Diff(tt.want, got.Values); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
			if err == nil && !got.Start.Equal(monday.Add(time.Duration(tt.want[0])*time.Minute)) {
				t.Errorf("starts at %v", got.Start)
			}
		})
	}
}

func TestSliceTakesWhatIsMissingAlong(t *testing.T) {
	got, err := missing(counts(0, 1, 2, 3, 4), 0, 3).Slice(monday.Add(2*time.Minute), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]bool{false, true}, got.Missing); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
}

func TestResampleAddsUpWhatWasMeasured(t *testing.T) {
	type epochs struct {
		Values  []float64
		Missing []bool
	}
	tests := map[string]struct {
		rec  actigraphy.Recording
		want epochs
	}{
		"whole epochs are sums":                    {counts(1, 2, 3, 4, 5, 6, 7, 8), epochs{[]float64{10, 26}, nil}},
		"the last, cut short, holds what there is": {counts(1, 2, 3, 4, 5), epochs{[]float64{10, 5}, nil}},
		"a hole of a quarter is scaled up":         {missing(counts(1, 2, 0, 3), 2), epochs{[]float64{8}, nil}},
		"a hole of half is scaled up":              {missing(counts(1, 0, 0, 3), 1, 2), epochs{[]float64{8}, nil}},
		"a hole of more than half is missing":      {missing(counts(1, 0, 0, 0, 5, 5, 5, 5), 1, 2, 3), epochs{[]float64{0, 20}, []bool{true, false}}},
		"a hole in a later epoch, too":             {missing(counts(9, 9, 9, 9, 1, 2, 0, 3), 6), epochs{[]float64{36, 8}, nil}},
		"what is cut short is scaled to itself":    {missing(counts(9, 9, 9, 9, 1, 0), 5), epochs{[]float64{36, 2}, nil}},
		"acceleration is averaged":                 {acceleration(counts(1, 2, 3, 6)), epochs{[]float64{3}, nil}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.rec.Resample(4 * time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, epochs{got.Values, got.Missing}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.Epoch != 4*time.Minute || !got.Start.Equal(monday) {
				t.Errorf("epoch %v from %v", got.Epoch, got.Start)
			}
		})
	}
	if _, err := counts(1, 2).Resample(90 * time.Second); err == nil {
		t.Error("90 s is no multiple of a minute, and was taken")
	}
	if _, err := counts(1, 2).Resample(30 * time.Second); err == nil {
		t.Error("a shorter epoch was taken")
	}
}

func TestAnEpochOfWhichLessThanHalfWasMeasuredIsMissing(t *testing.T) {
	got, err := missing(counts(5, 5, 0, 0, 0), 2, 3, 4).Resample(5 * time.Minute)
	if err != nil || got.MissingEpochs() != 1 {
		t.Errorf("two of five were measured: %v, %v", got.Values, err)
	}
}

func missing(r actigraphy.Recording, which ...int) actigraphy.Recording {
	r.Missing = make([]bool, len(r.Values))
	for _, i := range which {
		r.Missing[i] = true
	}
	return r
}

func acceleration(r actigraphy.Recording) actigraphy.Recording {
	r.Kind = actigraphy.Acceleration
	return r
}

func TestMinutesOfLongerEpochsKeepTheSum(t *testing.T) {
	rec := missing(counts(10, 0, 4), 1)
	rec.Epoch = 2 * time.Minute
	got, err := rec.Minutes()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float64{5, 5, 0, 0, 2, 2}, got.Values); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]bool{false, false, true, true, false, false}, got.Missing); diff != "" {
		t.Error(diff)
	}
	if got.MissingEpochs() != 2 || !got.End().Equal(rec.End()) {
		t.Errorf("%d missing, ends %v", got.MissingEpochs(), got.End())
	}
}

func TestMinutesOfOtherEpochs(t *testing.T) {
	of := func(epoch time.Duration, r actigraphy.Recording) actigraphy.Recording {
		r.Epoch = epoch
		return r
	}
	tests := map[string]struct {
		rec  actigraphy.Recording
		want []float64 // nil: an error
	}{
		"half minutes are joined":              {of(30*time.Second, counts(1, 2, 3, 4)), []float64{3, 7}},
		"minutes stay":                         {counts(1, 2), []float64{1, 2}},
		"acceleration is the same all through": {of(2*time.Minute, acceleration(counts(3, 5))), []float64{3, 3, 5, 5}},
		"minutes and a half have no minutes":   {of(90*time.Second, counts(1, 2)), nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.rec.Minutes()
			if (err != nil) != (tt.want == nil) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if diff := cmp.Diff(tt.want, got.Values); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
			if err == nil && got.Epoch != time.Minute {
				t.Errorf("epochs of %v", got.Epoch)
			}
		})
	}
}

func TestGapsAreTheRunsOfMissingEpochs(t *testing.T) {
	rec := missing(counts(repeat(10, 1)...), 0, 1, 4, 7, 8, 9)
	if diff := cmp.Diff([]actigraphy.Gap{{0, 2}, {7, 3}}, rec.Gaps(2)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]actigraphy.Gap{{0, 2}, {4, 1}, {7, 3}}, rec.Gaps(0)); diff != "" {
		t.Errorf("of any length: %s", diff)
	}
	if got := counts(1, 2).Gaps(1); got != nil {
		t.Errorf("gaps %v where nothing is missing", got)
	}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	of := func(epoch time.Duration) actigraphy.Recording {
		return actigraphy.Recording{Start: monday, Epoch: epoch, Values: []float64{1}}
	}
	const value = "a value must be a number from 0 to 1e+09"
	tests := map[string]struct {
		rec  actigraphy.Recording
		want string
	}{
		"no epochs":                   {counts(), "no epochs"},
		"a value that is none":        {counts(1, math.NaN()), "epoch 1: " + value},
		"a value without bound":       {counts(math.Inf(1)), "epoch 0: " + value},
		"a value below all bounds":    {counts(math.Inf(-1)), "epoch 0: " + value},
		"a value below zero":          {counts(-1), "epoch 0: " + value},
		"a value beyond devices":      {counts(1, 2, math.Nextafter(1e9, 2e9)), "epoch 2: " + value},
		"an epoch of no time":         {of(0), "epoch of 0s: want 1s to 5m0s"},
		"an epoch just too short":     {of(time.Second - 1), "epoch of 999.999999ms: want 1s to 5m0s"},
		"an epoch just too long":      {of(5*time.Minute + 1), "epoch of 5m0.000000001s: want 1s to 5m0s"},
		"one epoch too many":          {actigraphy.Recording{Start: monday, Epoch: time.Minute, Values: make([]float64, 1<<23+1)}, "8388609 epochs: at most 8388608"},
		"a mask of other size":        {actigraphy.Recording{Start: monday, Epoch: time.Minute, Values: []float64{1, 2}, Missing: []bool{true}}, "missing mask of 1 epochs for 2 values"},
		"good: the shortest epoch":    {of(time.Second), ""},
		"good: the longest epoch":     {of(5 * time.Minute), ""},
		"good: as many as there may":  {actigraphy.Recording{Start: monday, Epoch: time.Minute, Values: make([]float64, 1<<23)}, ""},
		"good: small and large value": {counts(0, 0.5, 1, 1e9), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := tt.rec.Check(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWearRules(t *testing.T) {
	choi, troiano := actigraphy.Choi2011(), actigraphy.Troiano2008()
	tests := map[string]struct {
		rule   actigraphy.WearRule
		values []float64
		want   int // epochs not worn
	}{
		"Choi: 90 zeros are non-wear":                            {choi, join(repeat(5, 300), repeat(90, 0), repeat(5, 300)), 90},
		"Choi: 89 zeros are not":                                 {choi, join(repeat(5, 300), repeat(89, 0), repeat(5, 300)), 0},
		"Choi: a spike of 2 between 30 quiet minutes is passed":  {choi, join(repeat(44, 0), repeat(2, 900), repeat(44, 0), repeat(5, 300)), 90},
		"Choi: a spike of 3 is not":                              {choi, join(repeat(60, 0), repeat(3, 900), repeat(60, 0), repeat(5, 300)), 0},
		"Choi: a spike without 30 quiet minutes behind is not":   {choi, join(repeat(70, 0), repeat(1, 900), repeat(29, 0), repeat(5, 300)), 0},
		"Choi: a spike at the end of the zeros is worn":          {choi, join(repeat(95, 0), repeat(1, 900)), 95},
		"Choi: 30 quiet minutes on each side are enough":         {choi, join(repeat(5, 300), repeat(30, 0), repeat(1, 900), repeat(59, 0), repeat(5, 300)), 90},
		"Choi: 29 before are not":                                {choi, join(repeat(5, 300), repeat(29, 0), repeat(1, 900), repeat(60, 0), repeat(5, 300)), 0},
		"Choi: the recording's first minute is looked at":        {choi, join(repeat(1, 300), repeat(19, 0), repeat(1, 900), repeat(89, 0)), 0},
		"Troiano: one large minute of two ends it":               {troiano, join(repeat(30, 0), []float64{101, 50}, repeat(30, 0), repeat(5, 300)), 0},
		"Troiano: whichever of the two it is":                    {troiano, join(repeat(30, 0), []float64{50, 101}, repeat(30, 0), repeat(5, 300)), 0},
		"constant: a run from the very start":                    {actigraphy.ConstantRun(20), join(repeat(20, 5), []float64{1, 2, 3}), 20},
		"Troiano: 60 zeros are non-wear":                         {troiano, join(repeat(5, 300), repeat(60, 0), repeat(5, 300)), 60},
		"Troiano: 59 zeros are not":                              {troiano, join(repeat(5, 300), repeat(59, 0), repeat(5, 300)), 0},
		"Troiano: 2 minutes up to 100 counts are passed over":    {troiano, join(repeat(30, 0), repeat(2, 100), repeat(28, 0), repeat(5, 300)), 60},
		"Troiano: 101 counts end it":                             {troiano, join(repeat(30, 0), repeat(1, 101), repeat(30, 0), repeat(5, 300)), 0},
		"Troiano: 3 minutes of movement end it":                  {troiano, join(repeat(30, 0), repeat(3, 50), repeat(30, 0), repeat(5, 300)), 0},
		"constant: a stuck sensor is non-wear at any value":      {actigraphy.ConstantRun(30), join(repeat(5, 1), repeat(30, 777), repeat(29, 0)), 30},
		"constant: a run shorter than the rule's is worn":        {actigraphy.ConstantRun(31), join(repeat(5, 1), repeat(30, 777), repeat(29, 0)), 0},
		"constant: a run to the very end":                        {actigraphy.ConstantRun(20), join([]float64{1, 2, 3}, repeat(20, 5)), 20},
		"a day without a single count is non-wear by every rule": {troiano, repeat(1440, 0), 1440},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			unworn := 0
			for _, worn := range tt.rule.Worn(counts(tt.values...)) {
				if !worn {
					unworn++
				}
			}
			if unworn != tt.want {
				t.Errorf("%d epochs not worn, want %d", unworn, tt.want)
			}
		})
	}
	t.Run("a missing epoch is never worn and ends a run", func(t *testing.T) {
		rec := missing(counts(repeat(120, 0)...), 60)
		for _, rule := range []actigraphy.WearRule{choi, actigraphy.ConstantRun(61)} {
			worn := rule.Worn(rec)
			if worn[60] || !worn[59] || !worn[61] {
				t.Errorf("%s: worn around the hole: %v", rule.Name, worn[58:63])
			}
		}
	})
}
