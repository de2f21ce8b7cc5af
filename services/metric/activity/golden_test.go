package activity

import (
	"math"
	"testing"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/metric"
	"github.com/clarity-loop/clarity/services/metric/metrictest"
)

// TestVolumeAgreesWithArctools holds the numbers of arctools' README. Its wear
// rule has no spikes, and its valid day 1,296 worn minutes.
func TestVolumeAgreesWithArctools(t *testing.T) {
	rec := metrictest.Reference(t, "arctools/TAS1D47140221_2018-11-30_60sec.csv")
	in := metric.NewInput(rec, actigraphy.WearRule{Window: 90}.Worn(rec))
	valid := 0
	for i := range in.Days {
		if in.Days[i].Valid = in.Days[i].Worn >= 1296; in.Days[i].Valid {
			valid++
		}
	}
	if len(in.Days) != 8 || valid != 4 {
		t.Fatalf("%d valid days of %d, want 4 of 8", valid, len(in.Days))
	}
	got := Summarise(in, 1853)
	for name, v := range map[string][2]float64{
		"TAC": {got.TAC, 2826648}, "TLAC": {got.TLAC, 6429.838}, "LTAC": {math.Log(got.TAC), 14.8546},
		"ASTP": {*got.ASTP, 0.1781782}, "SATP": {*got.SATP, 0.09516215},
		"active minutes": {got.ActiveMinutes, 499.5}, "active bouts": {got.ActiveBouts, 89},
	} {
		// The README prints seven digits.
		if math.Abs(v[0]-v[1]) > 5e-7*v[1] {
			t.Errorf("%s = %.9g, want %.9g", name, v[0], v[1])
		}
	}
}
