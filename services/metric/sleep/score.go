// Package sleep tells sleep from wake in activity counts, finds nights in
// scored epochs or in HealthKit's stages, and sums them up.
package sleep

import (
	"math"

	"github.com/clarity-loop/clarity/services/actigraphy"
)

// A State is what an epoch was scored.
type State uint8

// The states of an epoch.
const (
	Unknown State = iota // not measured, or too close to epochs that were not
	Wake
	Asleep
)

// coleKripke are the weights of Cole et al. 1992 for the mean activity of a
// minute: four minutes before, the minute, two after it.
func coleKripke() [7]float64 { return [7]float64{106, 54, 58, 76, 230, 74, 67} }

const (
	coleKripkeScale = 0.001
	// The weights are for the mean of two-second epochs.
	epochsPerMinute = 30
	// pyActigraphy's window is symmetric: the first and last four minutes of a
	// stretch cannot be scored. They count as wake.
	coleKripkeMargin = 4
	sadehMargin      = 5
)

// ColeKripke scores a minute recording of counts (Cole et al. 1992, Sleep
// 15:461–469): sleep where D = 0.001·Σ wᵢ·(countᵢ/30) < 1. An epoch within
// four minutes of one that was not measured is Unknown.
//
// rescore applies Webster's rules (Webster et al. 1982, Sleep 5:389–399) after
// it, which turn short sleep after or within long wakefulness to wake.
func ColeKripke(rec actigraphy.Recording, rescore bool) []State {
	weights := coleKripke()
	states := score(rec, coleKripkeMargin, func(v []float64, i int) bool {
		d := 0.0
		for k, w := range weights {
			d += w * (v[i-4+k] / epochsPerMinute)
		}
		return coleKripkeScale*d < 1
	})
	if rescore {
		webster(states)
	}
	return states
}

// Sadeh scores a minute recording of counts (Sadeh, Sharkey & Carskadon 1994,
// Sleep 17:201–207): sleep where 7.601 − 0.065·mean of 11 − 1.08·NAT −
// 0.056·SD of the last 6 − 0.703·ln(1 + next) > 0. NAT counts the epochs of
// the 11 with more than 50 and fewer than 100 counts. As in pyActigraphy, NAT
// leaves 50 itself out and the logarithm is of the epoch that follows.
func Sadeh(rec actigraphy.Recording) []State {
	return score(rec, sadehMargin, func(v []float64, i int) bool {
		sum, nat := 0.0, 0.0
		for _, x := range v[i-5 : i+6] {
			sum += x
			if x > 50 && x < 100 {
				nat++
			}
		}
		return 7.601-0.065*sum/11-1.08*nat-0.056*deviation(v[i-5:i+1])-0.703*math.Log1p(v[i+1]) > 0
	})
}

// score asks asleep for each epoch whose neighbours, margin to each side, are known.
func score(rec actigraphy.Recording, margin int, asleep func(v []float64, i int) bool) []State {
	states := make([]State, len(rec.Values))
	missing := 0 // epochs of the window i−margin … i+margin that are missing
	for i := -margin; i < len(states); i++ {
		if j := i + margin; j < len(states) && !rec.Known(j) {
			missing++
		}
		if j := i - margin - 1; j >= 0 && !rec.Known(j) {
			missing--
		}
		switch {
		case i < 0 || missing > 0:
		case i < margin || i >= len(states)-margin:
			states[i] = Wake
		case asleep(rec.Values, i):
			states[i] = Asleep
		default:
			states[i] = Wake
		}
	}
	return states
}

// deviation is the sample standard deviation.
func deviation(v []float64) float64 {
	mean, squares := 0.0, 0.0
	for _, x := range v {
		mean += x
	}
	mean /= float64(len(v))
	for _, x := range v {
		squares += (x - mean) * (x - mean)
	}
	return math.Sqrt(squares / float64(len(v)-1))
}

// A run is a stretch of equal states, end exclusive.
type run struct {
	state      State
	first, end int
}

func runs(states []State) []run {
	var out []run
	for i := 0; i < len(states); {
		first := i
		for i++; i < len(states) && states[i] == states[first]; i++ {
		}
		out = append(out, run{states[first], first, i})
	}
	return out
}

// webster applies the five rules to the scores as they were:
//   - after 4, 10 or 15 minutes of wake the first 1, 3 or 4 minutes of a sleep
//     at least so long are wake;
//   - what lies between two stretches of at least 10 (20) minutes of wake is
//     wake if it is 6 (10) minutes or shorter.
func webster(states []State) {
	scored := runs(states)
	for i, r := range scored {
		if r.state != Asleep || i == 0 || scored[i-1].state != Wake {
			continue
		}
		awake := scored[i-1].end - scored[i-1].first
		for _, rule := range [3]struct{ awake, asleep int }{{4, 1}, {10, 3}, {15, 4}} {
			if awake >= rule.awake && r.end-r.first >= rule.asleep {
				wake(states[r.first : r.first+rule.asleep])
			}
		}
	}
	for _, rule := range [2]struct{ around, between int }{{10, 6}, {20, 10}} {
		before := -1
		for i, r := range scored {
			if r.state == Unknown {
				before = -1
			}
			if r.state != Wake || r.end-r.first < rule.around {
				continue
			}
			if before >= 0 && r.first-scored[before].end <= rule.between {
				wake(states[scored[before].end:r.first])
			}
			before = i
		}
	}
}

func wake(states []State) {
	for i := range states {
		states[i] = Wake
	}
}
