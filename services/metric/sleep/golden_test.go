package sleep

import (
	"testing"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/metric/metrictest"
)

// TestScoresAgreeWithPyActigraphy counts the minutes scored as sleep in
// recordings nobody here made: exactly as many.
func TestScoresAgreeWithPyActigraphy(t *testing.T) {
	scorers := map[string]func(actigraphy.Recording) []State{
		"sleepwake_CK_mean":           func(r actigraphy.Recording) []State { return ColeKripke(r, true) },
		"sleepwake_CK_mean_norescore": func(r actigraphy.Recording) []State { return ColeKripke(r, false) },
		"sleepwake_Sadeh":             Sadeh,
	}
	for name, want := range metrictest.Golden(t) {
		t.Run(name, func(t *testing.T) {
			rec := metrictest.Reference(t, "pyactigraphy/"+name)
			for key, scorer := range scorers {
				asleep := 0.0
				for _, s := range scorer(rec) {
					if s == Asleep {
						asleep++
					}
				}
				if w := want[key].(map[string]any)["sum"]; asleep != w {
					t.Errorf("%s: %v minutes of sleep, want %v", key, asleep, w)
				}
			}
		})
	}
}
