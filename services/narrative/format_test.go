package narrative

import (
	"testing"

	"github.com/clarity-loop/clarity/services/analysis"
)

// Whatever a fact's value is, its own text says it: the halves between two
// roundings included.
func TestAFactAsItIsWrittenIsGrounded(t *testing.T) {
	for _, unit := range []string{unitDays, unitMinutes, unitClock, unitPercent, unitCount, unitRatio, unitKcal, unitBPM, unitMs} {
		for half := range 2 * 1500 {
			value := float64(half) / 2
			id, what := "f", "it"
			switch unit { // these are told beside their names alone
			case unitClock:
				id, what = midpoint, "the middle"
			case unitKcal:
				id = "activity.active_energy_kcal_per_day"
			case unitRatio:
				id, what = "circadian.interdaily_stability", "the regularity"
			}
			f := analysis.Fact{ID: id, Value: value, Unit: unit, Text: format(value, unit)}
			if err := checkNumbers(readingOf(what+" was "+f.Text+"."), []analysis.Fact{f}); err != nil {
				t.Errorf("%v in %q is written %q, and refused: %v", value, unit, f.Text, err)
			}
		}
	}
}
