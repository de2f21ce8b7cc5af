// Package cardio describes heart, breath and blood oxygen from a watch's series.
package cardio

import (
	"slices"
	"sort"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/metric"
)

const (
	// leastSamples is the fewest values a median is made of.
	leastSamples = 3
	// leastAsleep is the fewest heart rates of one night that tell its low end.
	leastAsleep = 10
	// restingPercentile of the heart rates asleep stands in where HealthKit has
	// no resting heart rate.
	restingPercentile = 10
	// nadirMinutes are averaged for the lowest heart rate of a night.
	nadirMinutes = 5
)

// Definitions are the family's metrics, in order.
func Definitions() []metric.Definition {
	const (
		apple  = "Apple HealthKit, HKQuantityTypeIdentifier"
		hrvRef = "Task Force of the ESC and NASPE 1996, Circulation 93:1043–1065; " + apple + "HeartRateVariabilitySDNN"
		own    = "docs/analysis/cardio.md"
	)
	return []metric.Definition{
		define("resting_heart_rate_bpm", "/min", 0, 300, apple+"RestingHeartRate; else "+own,
			"Median of HealthKit's resting heart rates; without any, median over nights of the 10th percentile asleep.", resting),
		define("heart_rate_nadir_bpm", "/min", 0, 400, own, "Median over nights of the lowest 5-minute mean heart rate between sleep onset and final awakening.", nadir),
		define("hrv_sdnn_ms", "ms", 0, 2000, hrvRef, "Median of the heart rate variability samples (SDNN).",
			median("heart rate variability", func(in *metric.Input) []metric.Point { return in.HeartRateVariability })),
		define("respiratory_rate_per_minute", "/min", 0, 200, apple+"RespiratoryRate", "Median of the respiratory rate samples.",
			median("respiratory rate", func(in *metric.Input) []metric.Point { return in.RespiratoryRate })),
		define("oxygen_saturation_percent", "%", 0, 100, apple+"OxygenSaturation", "Median of the oxygen saturation samples.",
			median("oxygen saturation", func(in *metric.Input) []metric.Point { return in.OxygenSaturation })),
	}
}

func define(name, unit string, lowest, highest float64, source, doc string, compute func(*metric.Input) (float64, error)) metric.Definition {
	return metric.Definition{Family: "cardio", Name: name, Unit: unit, Min: lowest, Max: highest, Doc: doc, Source: source, Compute: compute}
}

func median(what string, of func(*metric.Input) []metric.Point) func(*metric.Input) (float64, error) {
	return func(in *metric.Input) (float64, error) {
		points := of(in)
		switch {
		case len(points) == 0:
			return 0, metric.Lacking(metric.NoSamples, "no %s in the window", what)
		case len(points) < leastSamples:
			return 0, metric.Lacking(metric.TooFewSamples, "%d samples of %s in the window, %d needed", len(points), what, leastSamples)
		}
		return percentile(values(points), 50), nil
	}
}

// resting is one value a day at most in HealthKit, so that a single one counts.
func resting(in *metric.Input) (float64, error) {
	if len(in.RestingHeartRate) > 0 {
		return percentile(values(in.RestingHeartRate), 50), nil
	}
	return overNights(in, func(points []metric.Point) float64 { return percentile(values(points), restingPercentile) })
}

func nadir(in *metric.Input) (float64, error) {
	return overNights(in, lowest)
}

// overNights is the median of a number over the nights with enough heart rates.
func overNights(in *metric.Input, of func([]metric.Point) float64) (float64, error) {
	if len(in.HeartRate) == 0 {
		return 0, metric.Lacking(metric.NoSamples, "no heart rate in the window")
	}
	var nights []float64
	for _, n := range in.Nights {
		if asleep := between(in.HeartRate, n.Onset, n.Offset); len(asleep) >= leastAsleep {
			nights = append(nights, of(asleep))
		}
	}
	if len(nights) == 0 {
		return 0, metric.Lacking(metric.TooFewNights, "%d nights in the window, none of them with %d heart rates", len(in.Nights), leastAsleep)
	}
	return percentile(nights, 50), nil
}

// lowest is the lowest mean over nadirMinutes from any sample on.
func lowest(points []metric.Point) float64 {
	least, sum, first := 0.0, 0.0, 0
	for last, p := range points {
		sum += p.Value
		for p.At-points[first].At >= nadirMinutes*60_000 {
			sum -= points[first].Value
			first++
		}
		if m := sum / float64(last-first+1); last == 0 || m < least {
			least = m
		}
	}
	return least
}

func between(points []metric.Point, from, to health.Instant) []metric.Point {
	first := sort.Search(len(points), func(i int) bool { return points[i].At >= from })
	end := sort.Search(len(points), func(i int) bool { return points[i].At >= to })
	return points[first:max(first, end)]
}

func values(points []metric.Point) []float64 {
	v := make([]float64, len(points))
	for i, p := range points {
		v[i] = p.Value
	}
	return v
}

// percentile interpolates between the closest ranks (Hyndman & Fan 1996, type
// 7). It sorts v.
func percentile(v []float64, p float64) float64 {
	slices.Sort(v)
	at := p / 100 * float64(len(v)-1)
	low := int(at)
	if low+1 >= len(v) {
		return v[len(v)-1]
	}
	return v[low] + (at-float64(low))*(v[low+1]-v[low])
}
