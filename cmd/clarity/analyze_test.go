package main

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/analysis"
)

func TestAnalyzeAgreesWithPyActigraphy(t *testing.T) {
	file := reference(t, "actigraphy/pyactigraphy/example_01.AWD")
	data, err := os.ReadFile(reference(t, "actigraphy/pyactigraphy/golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Files map[string]struct {
			IS    float64 `json:"IS_1H_raw"`
			IV    float64 `json:"IV_1H_raw"`
			RA    float64 `json:"RA_raw"`
			L5    float64 `json:"L5_raw"`
			M10   float64 `json:"M10_raw"`
			Lstsq struct {
				Mesor, Amplitude float64
				Acrophase        float64 `json:"acrophase_minutes_after_first_sample"`
			} `json:"cosinor_lstsq_from_first_sample"`
		}
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	want, ok := golden.Files["example_01.AWD|start=1918-01-24T08:00,period=9d"]
	if !ok {
		t.Fatal("golden.json has no such recording")
	}
	var got analysis.Result
	out := must(t, "analyze", file, "--start", "1918-01-24T08:00", "--days", "9", "--json")
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]float64{
		"interdaily_stability": want.IS, "intradaily_variability": want.IV, "relative_amplitude": want.RA, "l5": want.L5, "m10": want.M10,
		"cosinor_mesor": want.Lstsq.Mesor, "cosinor_amplitude": want.Lstsq.Amplitude,
		"cosinor_acrophase_minutes": math.Mod(want.Lstsq.Acrophase+8*60, 1440), // from midnight
	} {
		v := got.Circadian[name]
		if v == nil || math.Abs(*v-w) > 1e-6*math.Abs(w) {
			t.Errorf("%s = %v, want %v", name, deref(v), w)
		}
	}
	if t.Failed() {
		t.Log(strings.TrimSpace(must(t, "analyze", file, "--start", "1918-01-24T08:00", "--days", "9")))
	}
}

func deref(v *float64) any {
	if v == nil {
		return nil
	}
	return *v
}
