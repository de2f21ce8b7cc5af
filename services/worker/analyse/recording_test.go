package analyse_test

import (
	"math"
	"testing"

	"github.com/clarity-loop/clarity/services/metric/metrictest"
	"github.com/clarity-loop/clarity/services/worker/analyse"
)

// TestARecordingsResultAgreesWithPyActigraphy goes through the whole of what
// `clarity analyze` computes, the wear rule included. It finds nothing to leave
// out in these recordings; where it does (the device lay on a table for days
// at the end of the whole example_01), the numbers must differ.
func TestARecordingsResultAgreesWithPyActigraphy(t *testing.T) {
	golden := metrictest.Golden(t)
	for _, name := range []string{"example_01.AWD|start=1918-01-24T08:00,period=9d"} {
		t.Run(name, func(t *testing.T) {
			result, err := analyse.ComputeRecording(metrictest.Reference(t, "pyactigraphy/"+name))
			if err != nil {
				t.Fatal(err)
			}
			for ours, theirs := range map[string]string{
				"interdaily_stability": "IS_1H_raw", "intradaily_variability": "IV_1H_raw",
				"relative_amplitude": "RA_raw", "l5": "L5_raw", "m10": "M10_raw",
			} {
				got, want := result.Circadian[ours], golden[name][theirs].(float64)
				if got == nil || math.Abs(*got-want) > 1e-6*want {
					t.Errorf("%s = %v, want %v", ours, got, want)
				}
			}
		})
	}
}
