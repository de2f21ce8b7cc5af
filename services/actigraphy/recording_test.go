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

func TestGapsAreTheRunsOfMissingEpochs(t *testing.T) {
	rec := missing(counts(repeat(10, 1)...), 0, 1, 4, 7, 8, 9)
	if diff := cmp.Diff([]actigraphy.Gap{{0, 2}, {7, 3}}, rec.Gaps(2)); diff != "" {
		t.Error(diff)
	}
	if got := counts(1, 2).Gaps(1); got != nil {
		t.Errorf("gaps %v where nothing is missing", got)
	}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	tests := map[string]actigraphy.Recording{
		"no epochs":              counts(),
		"a value that is none":   counts(1, math.NaN()),
		"a value without bound":  counts(math.Inf(1)),
		"a value below zero":     counts(-1),
		"a value beyond devices": counts(1.1e9),
		"an epoch of no time":    {Start: monday, Values: []float64{1}},
		"an epoch of an hour":    {Start: monday, Epoch: time.Hour, Values: []float64{1}},
		"a mask of other size":   {Start: monday, Epoch: time.Minute, Values: []float64{1, 2}, Missing: []bool{true}},
	}
	for name, rec := range tests {
		t.Run(name, func(t *testing.T) {
			if rec.Check() == nil {
				t.Error("passed")
			}
		})
	}
	if err := counts(0, 1).Check(); err != nil {
		t.Errorf("a good recording: %v", err)
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
