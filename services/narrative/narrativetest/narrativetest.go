// Package narrativetest is the suite every narrative.Writer passes.
package narrativetest

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/narrative"
)

// Run holds a writer against the contract over many weeks of numbers; narrative.Check
// bounds the sentences, too.
func Run(t *testing.T, w narrative.Writer) {
	ctx := context.Background()
	if w.Name() == "" {
		t.Error("the writer has no name")
	}
	r := rand.New(rand.NewPCG(7, 7))
	for range 500 {
		before := Result(r)
		facts := narrative.Facts(Result(r), &before)
		claims, err := w.Write(ctx, facts)
		if err != nil {
			t.Fatalf("Write: %v", err)
		}
		if err := narrative.Check(facts, claims); err != nil {
			t.Fatalf("what was written does not pass: %v\nfacts: %+v\nclaims: %+v", err, facts, claims)
		}
	}
	t.Run("a week without any metric", func(t *testing.T) {
		facts := narrative.Facts(analysis.Result{Window: analysis.Window{Days: 7}}, nil)
		claims, err := w.Write(ctx, facts)
		if err == nil {
			err = narrative.Check(facts, claims)
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// Result is a week of made-up numbers; about a fifth of them is missing.
func Result(r *rand.Rand) analysis.Result {
	value := func(low, high float64) *float64 {
		if r.IntN(5) == 0 {
			return nil
		}
		v := low + r.Float64()*(high-low)
		return &v
	}
	return analysis.Result{
		Window: analysis.Window{Days: 1 + r.IntN(7)},
		Sleep: analysis.Family{
			"total_sleep_time_minutes": value(120, 700), "time_in_bed_minutes": value(300, 900),
			"sleep_efficiency_percent": value(40, 100), "sleep_onset_latency_minutes": value(0, 130),
			"wake_after_sleep_onset_minutes": value(0, 200), "midpoint_minutes": value(-720, 720),
		},
		Circadian: analysis.Family{
			"interdaily_stability": value(0, 1), "intradaily_variability": value(0, 2), "relative_amplitude": value(0, 1),
			"m10_onset_minutes": value(0, 1440), "l5_onset_minutes": value(0, 1440),
		},
		Activity: analysis.Family{"steps_per_day": value(0, 60_000), "active_energy_kcal_per_day": value(0, 4000)},
		Cardio: analysis.Family{
			"resting_heart_rate_bpm": value(35, 110), "heart_rate_nadir_bpm": value(30, 100), "hrv_sdnn_ms": value(5, 250),
			"respiratory_rate_per_minute": value(8, 25), "oxygen_saturation_percent": value(80, 100),
		},
	}
}
