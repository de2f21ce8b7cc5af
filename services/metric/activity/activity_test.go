package activity

import (
	"errors"
	"math"
	"testing"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/metric"
	"github.com/clarity-loop/clarity/services/metric/metrictest"
)

// actigraph is two days of an ActiGraph's vertical axis: each hour 30 minutes
// of 50 counts, 15 of 100, 10 of 2020 and 5 of 5999.
func actigraph() actigraphy.Recording {
	rec := metrictest.Made(2, func(i int) float64 {
		switch m := i % 60; {
		case m < 30:
			return 50
		case m < 45:
			return 100
		case m < 55:
			return 2020
		}
		return 5999
	})
	rec.Device, rec.Channel = "ActiGraph wGT3X", "vertical axis"
	return rec
}

func values(t *testing.T, in *metric.Input) (got map[string]float64, lacking map[string]metric.Reason) {
	t.Helper()
	got, lacking = map[string]float64{}, map[string]metric.Reason{}
	for _, d := range Definitions() {
		v, err := d.Compute(in)
		var why *metric.Insufficient
		switch {
		case errors.As(err, &why):
			lacking[d.Name] = why.Reason
		case err != nil || math.IsNaN(v) || v < d.Min || v > d.Max:
			t.Errorf("%s = %v, %v", d.Name, v, err)
		default:
			got[d.Name] = v
		}
	}
	return got, lacking
}

func TestADayOfCountsByHand(t *testing.T) {
	got, _ := values(t, metrictest.Input(actigraph()))
	const hour = 30*50 + 15*100 + 10*2020 + 5*5999
	for name, want := range map[string]float64{
		"total_activity_counts_per_day":     24 * hour,
		"log_total_activity_counts_per_day": math.Log(24 * hour),
		"total_log_activity_counts_per_day": 24 * (30*math.Log(51) + 15*math.Log(101) + 10*math.Log(2021) + 5*math.Log(6000)),
		"sedentary_minutes_per_day":         24 * 30,
		"light_minutes_per_day":             24 * 15,
		"moderate_minutes_per_day":          24 * 10,
		"vigorous_minutes_per_day":          24 * 5,
		// All bouts are 30 minutes long: 48 of each kind in two days.
		"active_to_sedentary_transition_probability": 1.0 / 30,
		"sedentary_to_active_transition_probability": 1.0 / 30,
	} {
		if math.Abs(got[name]-want) > 1e-9*want {
			t.Errorf("%s = %v, want %v", name, got[name], want)
		}
	}
}

func TestUnwornMinutesOfAValidDayGetTheAverageDays(t *testing.T) {
	rec := actigraph()
	rec.Missing = make([]bool, len(rec.Values))
	for i := 600; i < 720; i++ { // two hours of the first day
		rec.Missing[i], rec.Values[i] = true, 0
	}
	got, _ := values(t, metrictest.Input(rec))
	whole, _ := values(t, metrictest.Input(actigraph()))
	for _, name := range []string{"total_activity_counts_per_day", "total_log_activity_counts_per_day"} {
		if math.Abs(got[name]-whole[name]) > 1e-9*whole[name] {
			t.Errorf("%s = %v, want %v as with the two hours", name, got[name], whole[name])
		}
	}
	if got, want := got["sedentary_minutes_per_day"], whole["sedentary_minutes_per_day"]-30; got != want {
		t.Errorf("sedentary minutes %v, want %v: only worn ones", got, want)
	}
}

func TestADayWithTooLittleWearDoesNotCount(t *testing.T) {
	rec := actigraph()
	rec.Missing = make([]bool, len(rec.Values))
	for i := 0; i < 481; i++ {
		rec.Missing[i], rec.Values[i] = true, 0
	}
	in := metrictest.Input(rec)
	if in.Days[0].Valid || !in.Days[1].Valid || in.ValidDays() != 1 {
		t.Fatalf("days %+v", in.Days)
	}
	got, _ := values(t, in)
	if got["total_activity_counts_per_day"] != 24*(30*50+15*100+10*2020+5*5999) {
		t.Errorf("TAC %v is not that of the second day", got["total_activity_counts_per_day"])
	}
}

func TestWhatCutPointsHoldFor(t *testing.T) {
	tests := map[string]struct {
		change func(*actigraphy.Recording)
		counts metric.Reason // of TAC
		levels metric.Reason // of the intensity minutes
	}{
		"an ActiGraph's vector magnitude":   {func(r *actigraphy.Recording) { r.Channel = "vector magnitude" }, "", ""},
		"an Actiwatch has no cut points":    {func(r *actigraphy.Recording) { r.Device, r.Channel = "Actiwatch", "" }, "", metric.NotApplicable},
		"energy is a proxy":                 {func(r *actigraphy.Recording) { r.Kind = actigraphy.Energy }, metric.NotApplicable, metric.NotApplicable},
		"steps are a proxy":                 {func(r *actigraphy.Recording) { r.Kind = actigraphy.Steps }, metric.NotApplicable, metric.NotApplicable},
		"acceleration in mg is no count":    {func(r *actigraphy.Recording) { r.Kind = actigraphy.Acceleration }, metric.NotApplicable, metric.NotApplicable},
		"no activity at all":                {func(r *actigraphy.Recording) { r.Kind = "" }, metric.NoSamples, metric.NoSamples},
		"a few hours are not a day of wear": {func(r *actigraphy.Recording) { r.Values = r.Values[:900] }, metric.TooFewValidDays, metric.TooFewValidDays},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			rec := actigraph()
			tt.change(&rec)
			_, lacking := values(t, metrictest.Input(rec))
			if lacking["total_activity_counts_per_day"] != tt.counts || lacking["light_minutes_per_day"] != tt.levels {
				t.Errorf("lacking %v, want counts %q, levels %q", lacking, tt.counts, tt.levels)
			}
			if lacking["steps_per_day"] != metric.NoSamples {
				t.Errorf("steps: %q", lacking["steps_per_day"])
			}
		})
	}
}

func TestStepsAreMeantOverTheDaysThatHaveAny(t *testing.T) {
	in := metrictest.Input(actigraph())
	steps, none := 8000.0, 0.0
	in.Days[0].Steps, in.Days[0].ActiveEnergy, in.Days[1].ActiveEnergy = &steps, &steps, &none
	got, _ := values(t, in)
	if got["steps_per_day"] != 8000 || got["active_energy_kcal_per_day"] != 4000 {
		t.Errorf("steps %v, energy %v", got["steps_per_day"], got["active_energy_kcal_per_day"])
	}
}
