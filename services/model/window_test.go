package model_test

import (
	"errors"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/model"
)

func recording(start time.Time, n int) actigraphy.Recording {
	r := actigraphy.Recording{Start: start, Epoch: time.Minute, Kind: actigraphy.Counts, Values: make([]float64, n)}
	for i := range r.Values {
		r.Values[i] = float64(i)
	}
	return r
}

func TestWindowOf(t *testing.T) {
	start := time.Date(2026, 3, 2, 22, 30, 0, 0, time.UTC)
	tests := map[string]struct {
		minutes int
		clock   int     // of the window's start
		first   float64 // value of the last minute
		missing int
	}{
		"a week":                                     {10080, 22*60 + 30, 0, 0},
		"a week in which the clock went back":        {10140, 23*60 + 30, 60, 0},
		"a week in which the clock went forward":     {10020, 21*60 + 30, 0, 60},
		"a day is a window that is mostly not there": {1440, 22*60 + 30, 0, 8640},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, err := model.WindowOf(recording(start, tt.minutes), nil)
			if err != nil || w.Check() != nil {
				t.Fatal(err, w.Check())
			}
			missing := 0
			for i := range w.Counts {
				if !w.Known(i) {
					missing++
				}
			}
			if w.StartMinute != tt.clock || missing != tt.missing || w.Counts[missing] != tt.first || w.Counts[model.Minutes-1] != float64(tt.minutes-1) {
				t.Errorf("starts at %d, %d missing, from %v to %v", w.StartMinute, missing, w.Counts[missing], w.Counts[model.Minutes-1])
			}
		})
	}
}

func TestWindowOfTakesMasks(t *testing.T) {
	r := recording(time.Now(), model.Minutes)
	r.Missing = make([]bool, model.Minutes)
	r.Missing[3] = true
	worn := make([]bool, model.Minutes)
	for i := range worn {
		worn[i] = i != 5
	}
	w, err := model.WindowOf(r, worn)
	if err != nil {
		t.Fatal(err)
	}
	for i, known := range map[int]bool{2: true, 3: false, 4: true, 5: false} {
		if w.Known(i) != known {
			t.Errorf("minute %d known: %v", i, w.Known(i))
		}
	}
}

func TestWindowOfRefuses(t *testing.T) {
	half := recording(time.Now(), 20160)
	half.Epoch = 30 * time.Second
	if _, err := model.WindowOf(half, nil); err == nil {
		t.Error("epochs of half a minute became a window")
	}
	if _, err := model.WindowOf(recording(time.Now(), 0), nil); err == nil {
		t.Error("nothing became a window")
	}
	if _, err := model.WindowOf(recording(time.Now(), 10), make([]bool, 9)); err == nil {
		t.Error("a mask of another length was taken")
	}
}

func TestRefusalIsItsReason(t *testing.T) {
	err := model.Refuse(model.NoWeights, "looked in %s", "vain")
	if !errors.Is(err, model.NoWeights) || errors.Is(err, model.Malformed) || err.Error() != "no weights: looked in vain" {
		t.Errorf("refusal %v", err)
	}
}
