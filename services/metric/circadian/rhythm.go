// Package circadian describes the daily rhythm of activity: how stable it is
// from day to day, how broken within the day, how strong and when.
package circadian

import (
	"math"
	"time"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/metric"
)

const (
	minutes = actigraphy.MinutesPerDay
	hours   = 24
	// leastDays is the fewest valid days that tell habitual activity (Trost,
	// McIver & Pate 2005, Med Sci Sports Exerc 37:S531–S543, ask for 3 to 5).
	leastDays = 3
	// covered is the part of a stretch of the average day that must have been
	// measured on some day.
	covered = 0.9
)

// hourly is the activity of each hour from the first epoch on, the hour of the
// local day it falls into (counted from the first), and whether it is missing.
type hourly struct {
	value   []float64
	missing []bool
	hour    []int
}

// byHour adds up 60 epochs at a time from the first, as pyActigraphy does: a
// last hour that the recording's end cuts short holds what there is.
func byHour(in *metric.Input) (hourly, error) {
	rec, err := in.Masked().Resample(time.Hour)
	if err != nil {
		return hourly{}, err
	}
	h := hourly{value: rec.Values, missing: rec.Missing, hour: make([]int, len(rec.Values))}
	if h.missing == nil {
		h.missing = make([]bool, len(h.value))
	}
	for b := range h.value {
		h.hour[b] = (int(in.Clock[b*60]) - int(in.Clock[0]) + minutes) % minutes / 60
	}
	return h, nil
}

// moments are the number, the mean and the sum of squared deviations of what
// is not missing.
func moments(value []float64, missing []bool) (n int, mean, squares float64) {
	for i, v := range value {
		if !missing[i] {
			n++
			mean += v
		}
	}
	if n == 0 {
		return 0, 0, 0
	}
	mean /= float64(n)
	for i, v := range value {
		if !missing[i] {
			squares += (v - mean) * (v - mean)
		}
	}
	return n, mean, squares
}

func interdailyStability(in *metric.Input) (float64, error) {
	h, total, n, err := hourlyVariance(in)
	if err != nil {
		return 0, err
	}
	var sum, count [hours]float64
	for b, v := range h.value {
		if !h.missing[b] {
			sum[h.hour[b]] += v
			count[h.hour[b]]++
		}
	}
	for k := range sum {
		if count[k] == 0 {
			return 0, metric.Lacking(metric.TooFewEpochs, "an hour of the day was not measured on any day; every hour is needed")
		}
		sum[k] /= count[k]
	}
	_, _, between := moments(sum[:], make([]bool, hours))
	return (between / (hours - 1)) / (total / float64(n-1)), nil
}

func intradailyVariability(in *metric.Input) (float64, error) {
	h, total, n, err := hourlyVariance(in)
	if err != nil {
		return 0, err
	}
	steps, pairs := 0.0, 0
	for b := 1; b < len(h.value); b++ {
		if !h.missing[b] && !h.missing[b-1] {
			d := h.value[b] - h.value[b-1]
			steps += d * d
			pairs++
		}
	}
	if pairs < hours {
		return 0, metric.Lacking(metric.TooFewEpochs, "%d pairs of successive measured hours, %d needed", pairs, hours)
	}
	return (steps / float64(pairs)) / (total / float64(n-1)), nil
}

// hourlyVariance is the hourly series and its sum of squared deviations.
func hourlyVariance(in *metric.Input) (h hourly, squares float64, n int, err error) {
	if err = in.NeedActivity(leastDays); err != nil {
		return h, 0, 0, err
	}
	if h, err = byHour(in); err != nil {
		return h, 0, 0, err
	}
	n, mean, squares := moments(h.value, h.missing)
	if flat(squares, mean, n) {
		return h, 0, 0, metric.Lacking(metric.NoVariance, "activity is the same in every hour")
	}
	return h, squares, n, nil
}

// flat says that deviations are nothing but rounding.
func flat(squares, mean float64, n int) bool {
	return squares <= 1e-18*mean*mean*float64(n)
}

// A profile is the average day, minute by minute of the local clock.
type profile struct {
	sum, count [minutes]float64
}

func averageDay(in *metric.Input) *profile {
	p := new(profile)
	for i, v := range in.Recording.Values {
		if in.Worn[i] {
			p.sum[in.Clock[i]] += v
			p.count[in.Clock[i]]++
		}
	}
	return p
}

// extreme finds the stretch of the average day, length minutes long, with the
// lowest (sign 1) or highest (sign −1) mean; the earliest of equals. onset is
// in minutes after local midnight.
func (p *profile) extreme(length int, sign float64) (mean float64, onset int, err error) {
	var sums [2*minutes + 1]float64
	var known [2*minutes + 1]int
	for i := range 2 * minutes {
		k := i % minutes
		sums[i+1], known[i+1] = sums[i], known[i]
		if p.count[k] > 0 {
			sums[i+1] += p.sum[k] / p.count[k]
			known[i+1]++
		}
	}
	if float64(known[minutes]) < covered*minutes {
		return 0, 0, metric.Lacking(metric.TooFewEpochs, "%d minutes of the day were never measured; at most %.0f may be", minutes-known[minutes], (1-covered)*minutes)
	}
	best, found := math.Inf(1), false
	for start := range minutes {
		n := known[start+length] - known[start]
		if float64(n) < covered*float64(length) {
			continue
		}
		// Differences of one prefix sum may differ in the last digits between
		// equal stretches: a later one must be clearly lower.
		if m := (sums[start+length] - sums[start]) / float64(n); !found || sign*m < best-1e-9*math.Abs(best) {
			best, onset, found = sign*m, start, true
		}
	}
	if !found {
		return 0, 0, metric.Lacking(metric.TooFewEpochs, "no %d minutes of the average day are measured well enough", length)
	}
	return max(0, sign*best), onset, nil
}

const (
	leastActive = 5 * 60
	mostActive  = 10 * 60
)

func l5(in *metric.Input) (mean float64, onset int, err error) {
	if err := in.NeedActivity(leastDays); err != nil {
		return 0, 0, err
	}
	return averageDay(in).extreme(leastActive, 1)
}

func m10(in *metric.Input) (mean float64, onset int, err error) {
	if err := in.NeedActivity(leastDays); err != nil {
		return 0, 0, err
	}
	return averageDay(in).extreme(mostActive, -1)
}

func relativeAmplitude(in *metric.Input) (float64, error) {
	low, _, err := l5(in)
	if err != nil {
		return 0, err
	}
	high, _, err := m10(in)
	if err != nil {
		return 0, err
	}
	if low+high == 0 {
		return 0, metric.Lacking(metric.NoVariance, "no activity in the window")
	}
	return max(0, (high-low)/(high+low)), nil // rounding can put an even day below 0
}
