package analyse_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
)

func marshal(t testing.TB, r analysis.Result) []byte {
	t.Helper()
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestMissingDataIsSaidNeverMadeUp: every metric is a number or has exactly
// one entry that says why not.
func TestMissingDataIsSaidNeverMadeUp(t *testing.T) {
	const q = "HKQuantityTypeIdentifier"
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		write   func(d *diary)
		reasons map[string]string
	}{
		"a week without a sample": {
			func(*diary) {},
			map[string]string{"wear.valid_days": "no_samples", "sleep.midpoint_minutes": "no_samples", "circadian.l5": "no_samples", "activity.steps_per_day": "no_samples", "cardio.hrv_sdnn_ms": "no_samples", "cardio.resting_heart_rate_bpm": "no_samples"},
		},
		"two days of wear": {
			func(d *diary) { d.day(24); d.day(25); d.night(25) },
			map[string]string{"circadian.interdaily_stability": "too_few_valid_days", "sleep.total_sleep_time_minutes": "too_few_nights", "cardio.respiratory_rate_per_minute": "too_few_samples"},
		},
		"a watch's energy is no count": {
			func(d *diary) {
				for day := 23; day < 30; day++ {
					d.day(day)
				}
			},
			map[string]string{"activity.total_activity_counts_per_day": "not_applicable", "activity.vigorous_minutes_per_day": "not_applicable", "sleep.time_in_bed_minutes": "no_samples"},
		},
		"a phone's steps only, carried in the daytime": {
			func(d *diary) {
				for day := 23; day < 30; day++ {
					for h := 9; h < 18; h++ {
						d.add(q+"StepCount", phone, d.at(day, h, 0), 10*time.Minute, 500)
					}
				}
			},
			map[string]string{"circadian.m10": "too_few_valid_days"},
		},
		"an activity that never changes": {
			func(d *diary) {
				for at := d.at(23, 0, 0); at.Before(d.at(30, 0, 0)); at = at.Add(time.Minute) {
					d.add(q+"ActiveEnergyBurned", watch, at, time.Minute, 1)
				}
			},
			map[string]string{"circadian.interdaily_stability": "no_variance", "circadian.intradaily_variability": "no_variance", "circadian.cosinor_amplitude": "no_variance"},
		},
		"nights without a time in bed": {
			func(d *diary) {
				for day := 23; day < 30; day++ {
					d.add("HKCategoryTypeIdentifierSleepAnalysis", watch, d.at(day, 0, 0), 7*time.Hour, 1)
				}
			},
			map[string]string{"sleep.sleep_onset_latency_minutes": "no_time_in_bed", "circadian.l5": "no_samples"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := &diary{zone: berlin}
			tt.write(d)
			r := compute(t, input(t, d))
			marshal(t, r)
			said := map[string]string{}
			for _, i := range r.Insufficient {
				if _, twice := said[i.Metric]; twice || i.Detail == "" {
					t.Errorf("%s is said twice, or without a detail", i.Metric)
				}
				said[i.Metric] = i.Reason
			}
			if !slices.IsSortedFunc(r.Insufficient, func(a, b analysis.Insufficient) int {
				if a.Metric < b.Metric {
					return -1
				}
				return 1
			}) {
				t.Error("insufficient is not sorted")
			}
			for family, metrics := range map[string]analysis.Family{"wear": r.Wear, "sleep": r.Sleep, "circadian": r.Circadian, "activity": r.Activity, "cardio": r.Cardio} {
				for metric, value := range metrics {
					if (value == nil) != (said[family+"."+metric] != "") {
						t.Errorf("%s.%s is %v and insufficient says %q", family, metric, text(value), said[family+"."+metric])
					}
				}
			}
			for metric, reason := range tt.reasons {
				if said[metric] != reason {
					t.Errorf("%s: reason %q, want %q", metric, said[metric], reason)
				}
			}
		})
	}
}
