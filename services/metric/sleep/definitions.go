package sleep

import (
	"math"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/metric"
)

// leastNights is the fewest nights a mean is made of: 72 hours, as Ancoli-Israel
// et al. 2015 (Behav Sleep Med 13:S4–S38) ask for.
const leastNights = 3

// Definitions are the family's metrics, in order: means over the window's nights.
func Definitions() []metric.Definition {
	const (
		aasm = "Ancoli-Israel et al. 2015, Behav Sleep Med 13(S1):S4–S38"
		jupp = "Mardia & Jupp 2000, Directional Statistics (mean direction)"
		day  = actigraphy.MinutesPerDay
	)
	return []metric.Definition{
		define("total_sleep_time_minutes", "min", 0, day, aasm, "Time asleep between sleep onset and final awakening.",
			mean(func(n metric.Night) float64 { return n.Asleep })),
		define("time_in_bed_minutes", "min", 0, 3*day, aasm, "Time in bed; from sleep onset to final awakening where going to bed was not recorded.",
			mean(func(n metric.Night) float64 { return n.InBed })),
		define("sleep_onset_latency_minutes", "min", 0, 2*day, aasm, "Time from going to bed to falling asleep.", latency),
		define("wake_after_sleep_onset_minutes", "min", 0, day, aasm, "Time awake between sleep onset and final awakening.",
			mean(func(n metric.Night) float64 { return n.Wake })),
		define("sleep_efficiency_percent", "%", 0, 100, aasm, "Time asleep as percent of the time in bed.",
			mean(metric.Night.Efficiency)),
		define("awakenings_per_night", "{count}", 0, day, aasm, "Stretches awake of a minute or more between sleep onset and final awakening.",
			mean(func(n metric.Night) float64 { return float64(n.Awakenings) })),
		define("midpoint_minutes", "min", -day/2, day/2, jupp, "Middle between sleep onset and final awakening, minutes after local midnight (before it: negative); the circular mean.", midpoint),
	}
}

func define(name, unit string, lowest, highest float64, source, doc string, compute func(*metric.Input) (float64, error)) metric.Definition {
	return metric.Definition{Family: "sleep", Name: name, Unit: unit, Min: lowest, Max: highest, Doc: doc, Source: source, Compute: compute}
}

func enough(in *metric.Input) error {
	switch n := len(in.Nights); {
	case in.SleepSource == metric.NoSleep:
		return metric.Lacking(metric.NoSamples, "no sleep analysis and no activity counts in the window; sleep is not inferred from steps or energy")
	case n < leastNights:
		return metric.Lacking(metric.TooFewNights, "%d main sleep periods in the window, %d needed", n, leastNights)
	}
	return nil
}

func mean(of func(metric.Night) float64) func(*metric.Input) (float64, error) {
	return func(in *metric.Input) (float64, error) {
		if err := enough(in); err != nil {
			return 0, err
		}
		sum := 0.0
		for _, n := range in.Nights {
			sum += of(n)
		}
		return sum / float64(len(in.Nights)), nil
	}
}

func latency(in *metric.Input) (float64, error) {
	if err := enough(in); err != nil {
		return 0, err
	}
	sum, nights := 0.0, 0
	for _, n := range in.Nights {
		if n.Latency != nil {
			sum += *n.Latency
			nights++
		}
	}
	if nights < leastNights {
		return 0, metric.Lacking(metric.NoTimeInBed, "going to bed was recorded in %d nights, %d needed", nights, leastNights)
	}
	return sum / float64(nights), nil
}

func midpoint(in *metric.Input) (float64, error) {
	if err := enough(in); err != nil {
		return 0, err
	}
	var x, y float64
	for _, n := range in.Nights {
		sin, cos := math.Sincos(n.Midpoint(in.Recording.Start.Location()) * 2 * math.Pi / actigraphy.MinutesPerDay)
		x, y = x+cos, y+sin
	}
	if math.Hypot(x, y) < 1e-9*float64(len(in.Nights)) {
		return 0, metric.Lacking(metric.NoVariance, "the nights' midpoints are spread evenly around the clock and have no mean")
	}
	return math.Atan2(y, x) * actigraphy.MinutesPerDay / (2 * math.Pi), nil
}
