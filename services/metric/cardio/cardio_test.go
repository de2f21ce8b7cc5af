package cardio

import (
	"errors"
	"math"
	"testing"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/metric"
)

const minute = health.Instant(60_000)

// series is a value every step from at on.
func series(at, step health.Instant, values ...float64) []metric.Point {
	points := make([]metric.Point, len(values))
	for i, v := range values {
		points[i] = metric.Point{At: at + health.Instant(i)*step, Value: v}
	}
	return points
}

func compute(name string, in *metric.Input) (float64, metric.Reason) {
	for _, d := range Definitions() {
		if d.Name == name {
			v, err := d.Compute(in)
			var lacking *metric.Insufficient
			if errors.As(err, &lacking) {
				return 0, lacking.Reason
			}
			if err != nil || v < d.Min || v > d.Max {
				return math.NaN(), "broken"
			}
			return v, ""
		}
	}
	return math.NaN(), "no such metric"
}

func TestCardio(t *testing.T) {
	night := []metric.Night{{Onset: 0, Offset: 400 * minute}}
	falling := series(0, 5*minute, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50)
	tests := map[string]struct {
		metric string
		in     metric.Input
		want   float64
		reason metric.Reason
	}{
		"HealthKit's resting heart rate is taken as it is": {"resting_heart_rate_bpm",
			metric.Input{RestingHeartRate: series(0, minute, 58, 52, 54), HeartRate: falling, Nights: night}, 54, ""},
		"one of them is enough": {"resting_heart_rate_bpm", metric.Input{RestingHeartRate: series(0, minute, 58)}, 58, ""},
		"without any it is the tenth percentile asleep": {"resting_heart_rate_bpm",
			metric.Input{HeartRate: falling, Nights: night}, 51, ""},
		"and the median over nights": {"resting_heart_rate_bpm",
			metric.Input{HeartRate: append(falling, series(1000*minute, minute, 70, 70, 70, 70, 70, 70, 70, 70, 70, 70)...),
				Nights: append(night, metric.Night{Onset: 1000 * minute, Offset: 1400 * minute})}, (51 + 70) / 2.0, ""},
		"nine heart rates in a night are too few": {"resting_heart_rate_bpm",
			metric.Input{HeartRate: falling[:9], Nights: night}, 0, metric.TooFewNights},
		"heart rates of the day do not tell it": {"resting_heart_rate_bpm",
			metric.Input{HeartRate: series(500*minute, minute, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60), Nights: night}, 0, metric.TooFewNights},
		"no heart rate": {"heart_rate_nadir_bpm", metric.Input{Nights: night}, 0, metric.NoSamples},
		"the nadir is the lowest mean of five minutes": {"heart_rate_nadir_bpm",
			metric.Input{HeartRate: series(0, minute, 60, 60, 60, 60, 60, 50, 40, 50, 50, 60, 60, 60, 60, 60), Nights: night}, 50, ""},
		"a lone sample stands for its five minutes": {"heart_rate_nadir_bpm", metric.Input{HeartRate: falling, Nights: night}, 50, ""},
		"variability is the median":                 {"hrv_sdnn_ms", metric.Input{HeartRateVariability: series(0, minute, 20, 100, 40, 60)}, 50, ""},
		"two samples are too few":                   {"hrv_sdnn_ms", metric.Input{HeartRateVariability: series(0, minute, 20, 100)}, 0, metric.TooFewSamples},
		"breath":                                    {"respiratory_rate_per_minute", metric.Input{RespiratoryRate: series(0, minute, 14, 15, 13)}, 14, ""},
		"oxygen":                                    {"oxygen_saturation_percent", metric.Input{OxygenSaturation: series(0, minute, 97, 99, 96)}, 97, ""},
		"no oxygen":                                 {"oxygen_saturation_percent", metric.Input{}, 0, metric.NoSamples},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, reason := compute(tt.metric, &tt.in)
			if math.Abs(got-tt.want) > 1e-9 || reason != tt.reason {
				t.Errorf("%s = %v (%s), want %v (%s)", tt.metric, got, reason, tt.want, tt.reason)
			}
		})
	}
}
