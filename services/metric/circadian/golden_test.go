package circadian

import (
	"math"
	"testing"

	"github.com/clarity-loop/clarity/services/metric"
	"github.com/clarity-loop/clarity/services/metric/metrictest"
)

// TestRhythmAgreesWithPyActigraphy holds the definitions that are the same to
// 1e-6, on recordings nobody here made. No wear rule is applied: pyActigraphy
// was not asked for one either.
func TestRhythmAgreesWithPyActigraphy(t *testing.T) {
	for name, want := range metrictest.Golden(t) {
		t.Run(name, func(t *testing.T) {
			in := metrictest.Input(metrictest.Reference(t, "pyactigraphy/"+name))
			if n := float64(len(in.Worn)); n != want["n"] {
				t.Fatalf("%v epochs, want %v", n, want["n"])
			}
			computed := map[string]func(*metric.Input) (float64, error){
				"IS_1H_raw": interdailyStability, "IV_1H_raw": intradailyVariability, "RA_raw": relativeAmplitude,
				"L5_raw":  func(in *metric.Input) (float64, error) { v, _, err := l5(in); return v, err },
				"M10_raw": func(in *metric.Input) (float64, error) { v, _, err := m10(in); return v, err },
			}
			for key, compute := range computed {
				got, err := compute(in)
				if err != nil {
					t.Errorf("%s: %v", key, err)
				} else if w := want[key].(float64); math.Abs(got-w) > 1e-6*math.Abs(w) {
					t.Errorf("%s = %.12g, want %.12g", key, got, w)
				}
			}
			fit, err := Fit(in)
			if err != nil {
				t.Fatal(err)
			}
			lstsq := want["cosinor_lstsq_from_first_sample"].(map[string]any)
			// Its time starts with the first epoch, ours with midnight.
			acrophase := math.Mod(fit.AcrophaseMinutes-float64(in.Clock[0])+minutes, minutes)
			for key, got := range map[string]float64{"mesor": fit.Mesor, "amplitude": fit.Amplitude, "acrophase_minutes_after_first_sample": acrophase} {
				if w := lstsq[key].(float64); math.Abs(got-w) > 1e-6*math.Abs(w) {
					t.Errorf("cosinor %s = %.12g, want %.12g", key, got, w)
				}
			}
		})
	}
}
