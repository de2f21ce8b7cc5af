package circadian

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/metric"
	"github.com/clarity-loop/clarity/services/metric/metrictest"
)

const week = 7

// cosine has its peak at 15:00: mesor 100, amplitude 60.
func cosine(i int) float64 { return 100 + 60*math.Cos(2*math.Pi*float64(i-900)/1440) }

// restless is a fixed signal without symmetry.
func restless(i int) float64 {
	x := uint32(i) * 2654435761
	x ^= x >> 15
	return cosine(i) * float64(x%1000) / 500
}

func values(t *testing.T, in *metric.Input) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	for _, d := range Definitions() {
		v, err := d.Compute(in)
		if err != nil {
			t.Fatalf("%s: %v", d.Name, err)
		}
		if v < d.Min || v > d.Max {
			t.Errorf("%s = %v is outside its range %v to %v", d.Name, v, d.Min, d.Max)
		}
		got[d.Name] = v
	}
	return got
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s = %.12g, want %.12g", what, got, want)
	}
}

func TestACosineIsFoundAsItIs(t *testing.T) {
	got := values(t, metrictest.Input(metrictest.Made(week, cosine)))
	near(t, "mesor", got["cosinor_mesor"], 100, 1e-9)
	near(t, "amplitude", got["cosinor_amplitude"], 60, 1e-9)
	near(t, "acrophase", got["cosinor_acrophase_minutes"], 900, 1e-7)
	// The least active five hours lie around 03:00, the most active ten around
	// 15:00: epochs 30 to 329 and 600 to 1199, or one earlier, which is equal.
	near(t, "L5 onset", got["l5_onset_minutes"], 30, 1)
	near(t, "M10 onset", got["m10_onset_minutes"], 600, 1)
	mean := func(first, n int) float64 {
		sum := 0.0
		for i := first; i < first+n; i++ {
			sum += cosine(i)
		}
		return sum / float64(n)
	}
	near(t, "L5", got["l5"], mean(30, 300), 1e-9)
	near(t, "M10", got["m10"], mean(600, 600), 1e-9)
	near(t, "RA", got["relative_amplitude"], (got["m10"]-got["l5"])/(got["m10"]+got["l5"]), 1e-12)
	// Seven equal days: the average day is each day, and of the two sample
	// variances one has 23 and the other 167 degrees of freedom.
	near(t, "IS", got["interdaily_stability"], (24.0/23)*(167.0/168), 1e-9)
	// Steps of a cosine of 24 hours: 2(1 − cos 15°) of its variance, over 167
	// steps of which the one from day to day is like the others.
	near(t, "IV", got["intradaily_variability"], 2*(1-math.Cos(math.Pi/12))*167.0/168, 1e-2)
}

func TestDaysOfNoiseHaveNoStability(t *testing.T) {
	got := values(t, metrictest.Input(metrictest.Made(28, func(i int) float64 {
		x := uint64(i/60)*0x9E3779B97F4A7C15 + 1
		x ^= x >> 31
		x *= 0xBF58476D1CE4E5B9
		x ^= x >> 29
		return float64(x % 1000)
	})))
	if is, iv := got["interdaily_stability"], got["intradaily_variability"]; is > 0.1 || math.Abs(iv-2) > 0.3 {
		t.Errorf("IS %v, IV %v: independent hours have IS near 1/28 and IV near 2", is, iv)
	}
}

func TestAScaleChangesLevelsOnly(t *testing.T) {
	one := values(t, metrictest.Input(metrictest.Made(week, restless)))
	ten := values(t, metrictest.Input(metrictest.Made(week, func(i int) float64 { return 10 * restless(i) })))
	for name, v := range one {
		want := v
		switch name {
		case "l5", "m10", "cosinor_mesor", "cosinor_amplitude":
			want = 10 * v
		}
		near(t, name, ten[name], want, 1e-9*(1+math.Abs(want)))
	}
}

func TestAShiftOfTheClockMovesOnsetsOnly(t *testing.T) {
	const shift = 180 // whole hours, so that the hours of IS and IV hold the same minutes
	daily := func(i int) float64 { return restless(i % 1440) }
	one := values(t, metrictest.Input(metrictest.Made(week, daily)))
	later := values(t, metrictest.Input(metrictest.Made(week, func(i int) float64 { return daily((i + 1440 - shift) % 1440) })))
	for name, v := range one {
		want, tolerance := v, 1e-9*(1+math.Abs(v))
		switch name {
		case "l5_onset_minutes", "m10_onset_minutes", "cosinor_acrophase_minutes":
			want = math.Mod(v+shift, 1440)
		case "intradaily_variability": // another hour is the first
			tolerance = 0.02
		}
		near(t, name, later[name], want, tolerance)
	}
}

// TestHoursByHand is small enough for a pencil: three days whose hours are 60
// at 12:00 and 0 else, but 120 at 12:00 on the second day.
func TestHoursByHand(t *testing.T) {
	in := metrictest.Input(metrictest.Made(3, func(i int) float64 {
		if i%1440/60 != 12 {
			return 0
		}
		if i/1440 == 1 {
			return 2
		}
		return 1
	}))
	// 72 hours: sum 240, mean 10/3, squares 3600+14400+3600 − 72·(10/3)² = 20800.
	total := 20800.0 / 71
	// The average day: 80 at 12:00; squares 6400 − 24·(10/3)² = 18400/3.
	is, err := interdailyStability(in)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "IS", is, 18400.0/3/23/total, 1e-12)
	// 71 steps, six of them not 0: 2·(3600+14400+3600).
	iv, err := intradailyVariability(in)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "IV", iv, 43200.0/71/total, 1e-12)
}

func TestMissingEpochsAreLeftOut(t *testing.T) {
	whole := values(t, metrictest.Input(metrictest.Made(week, cosine)))
	holed := metrictest.Made(week, cosine)
	holed.Missing = make([]bool, len(holed.Values))
	for i := range holed.Values {
		// Two hours of each day, at another time each day, and a whole day.
		if start := i / 1440 * 190; i%1440 >= start && i%1440 < start+120 || i/1440 == 3 {
			holed.Missing[i], holed.Values[i] = true, 0
		}
	}
	got := values(t, metrictest.Input(holed))
	for name, tolerance := range map[string]float64{
		"cosinor_mesor": 1e-9, "cosinor_amplitude": 1e-9, "cosinor_acrophase_minutes": 1e-7, "l5": 1e-9, "m10": 1e-9,
		"relative_amplitude": 1e-9, "interdaily_stability": 0.05, "intradaily_variability": 0.01,
	} {
		near(t, name, got[name], whole[name], tolerance)
	}
}

func TestWhatTheRhythmNeeds(t *testing.T) {
	unworn := func(first, end int) *metric.Input {
		rec := metrictest.Made(week, cosine)
		worn := make([]bool, len(rec.Values))
		for i := range worn {
			worn[i] = i%1440 < first || i%1440 >= end
		}
		return metric.NewInput(rec, worn)
	}
	tests := map[string]struct {
		in   *metric.Input
		want map[string]metric.Reason
	}{
		"two days": {metrictest.Input(metrictest.Made(2, cosine)), map[string]metric.Reason{
			"interdaily_stability": metric.TooFewValidDays, "m10": metric.TooFewValidDays, "cosinor_mesor": metric.TooFewValidDays}},
		"the device is off in the same three hours of every day": {unworn(120, 300), map[string]metric.Reason{
			"interdaily_stability": metric.TooFewEpochs, "l5": metric.TooFewEpochs}},
		"a level that never changes": {metrictest.Input(metrictest.Made(week, func(int) float64 { return 7 })), map[string]metric.Reason{
			"interdaily_stability": metric.NoVariance, "intradaily_variability": metric.NoVariance, "cosinor_amplitude": metric.NoVariance}},
		"no movement at all": {metrictest.Input(metrictest.Made(week, func(int) float64 { return 0 })), map[string]metric.Reason{
			"relative_amplitude": metric.NoVariance, "cosinor_amplitude": metric.NoVariance}},
		"nothing was measured": {metrictest.Input(actigraphy.Recording{Start: time.Unix(0, 0).UTC(), Epoch: time.Minute, Values: make([]float64, 1440)}), map[string]metric.Reason{
			"interdaily_stability": metric.NoSamples, "m10_onset_minutes": metric.NoSamples}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, d := range Definitions() {
				want, ok := tt.want[d.Name]
				if !ok {
					continue
				}
				var lacking *metric.Insufficient
				if v, err := d.Compute(tt.in); !errors.As(err, &lacking) || lacking.Reason != want {
					t.Errorf("%s = %v, %v; want %s", d.Name, v, err, want)
				}
			}
		})
	}
}

// FuzzRhythm: whatever is measured and whatever is missing, every metric is a
// number in its range or says why not.
func FuzzRhythm(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3}, uint8(4), 1.0)
	f.Add([]byte{255, 0}, uint8(7), 1e300)
	f.Add([]byte{1}, uint8(3), 1e-300)
	f.Add([]byte{9, 128, 7}, uint8(5), 5e-324)
	f.Fuzz(func(t *testing.T, data []byte, days uint8, scale float64) {
		if len(data) == 0 || days%9 == 0 || math.IsNaN(scale) || math.IsInf(scale, 0) {
			return
		}
		rec := metrictest.Made(int(days%9), func(i int) float64 {
			return math.Min(math.Abs(float64(data[i*31%len(data)]))*math.Abs(scale), 1e9)
		})
		rec.Missing = make([]bool, len(rec.Values))
		for i := range rec.Missing {
			rec.Missing[i] = data[i/60%len(data)]%5 == 4
		}
		in := metrictest.Input(rec)
		for _, d := range Definitions() {
			v, err := d.Compute(in)
			var lacking *metric.Insufficient
			if err != nil && !errors.As(err, &lacking) {
				t.Fatalf("%s: %v", d.Name, err)
			}
			if err == nil && (math.IsNaN(v) || v < d.Min || v > d.Max) {
				t.Fatalf("%s = %v is outside %v to %v", d.Name, v, d.Min, d.Max)
			}
		}
	})
}
