package narrative

import (
	"testing"

	"github.com/clarity-loop/clarity/services/analysis"
)

// Whatever a fact's value is, its own text says it: the halves between two
// roundings included.
func TestAFactAsItIsWrittenIsGrounded(t *testing.T) {
	for _, unit := range []string{UnitDays, UnitMinutes, UnitClock, UnitPercent, UnitCount, UnitRatio, UnitKcal, UnitBPM, UnitMs} {
		for half := range 2 * 1500 {
			value := float64(half) / 2
			f := analysis.Fact{ID: "f", Value: value, Unit: unit, Text: format(value, unit)}
			if err := checkNumbers("It was "+f.Text+".", []analysis.Fact{f}); err != nil {
				t.Errorf("%v in %q is written %q, and refused: %v", value, unit, f.Text, err)
			}
		}
	}
}
