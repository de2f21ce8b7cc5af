package actigraphy

import "fmt"

// ValidDayMinutes is how many worn minutes make a day count: 16 hours, GGIR's
// default for recordings around the clock (review: Migueles et al. 2017, Sports Med
// 47:1821–1845). arctools asks for 1,296 (90 %).
const ValidDayMinutes = 960

// A WearRule finds the epochs in which a device was not worn.
type WearRule struct {
	// Name is the rule's, for results and documentation.
	Name string
	// Window is how many minutes without movement are non-wear.
	Window int
	// Spike is the longest interruption, in minutes, that does not end them.
	Spike int
	// Quiet is how many minutes around a spike must be without movement; 0 for none.
	Quiet int
	// SpikeMax is the highest count of a spike; 0 for any.
	SpikeMax float64
	// Constant takes any value that repeats for no movement, not only 0.
	Constant bool
}

// Choi2011 is the rule of Choi et al. 2011 (Med Sci Sports Exerc 43:357–364):
// 90 minutes of zeros; up to 2 minutes of movement are passed over where the
// 30 minutes before and the 30 after them are zeros. Choi et al. 2012 (44:2009)
// validate it for the wrist.
func Choi2011() WearRule { return WearRule{Name: "choi_2011", Window: 90, Spike: 2, Quiet: 30} }

// Troiano2008 is the rule of Troiano et al. 2008 (Med Sci Sports Exerc
// 40:181–188): 60 minutes of zeros; up to 2 minutes of 1 to 100 counts are
// passed over.
func Troiano2008() WearRule {
	return WearRule{Name: "troiano_2008", Window: 60, Spike: 2, SpikeMax: 100}
}

// ConstantRun takes a run of one repeating value, of at least the minutes
// given, for non-wear: a stuck sensor as well as a device on a table.
func ConstantRun(minutes int) WearRule {
	return WearRule{Name: fmt.Sprintf("constant_run_%d", minutes), Window: minutes, Constant: true}
}

// Worn marks the measured epochs of a minute recording in which the device was
// worn. A missing epoch is never worn, and ends a run.
func (w WearRule) Worn(r Recording) []bool {
	worn := make([]bool, len(r.Values))
	for i := range worn {
		worn[i] = r.Known(i)
	}
	if w.Constant {
		w.constantRuns(r, worn)
		return worn
	}
	still := make([]bool, len(r.Values))
	for i := range still {
		still[i] = r.Known(i) && r.Values[i] == 0
	}
	passed := w.passSpikes(r, still)
	for i := 0; i < len(passed); i++ {
		first := i
		for i < len(passed) && passed[i] {
			i++
		}
		end := i
		for ; first < end && !still[first]; first++ { // a run begins and ends with stillness, not with a spike
		}
		for ; end > first && !still[end-1]; end-- {
		}
		if end-first >= w.Window {
			clear(worn[first:end])
		}
	}
	return worn
}

// passSpikes is still with the spikes that the rule passes over filled in.
func (w WearRule) passSpikes(r Recording, still []bool) []bool {
	passed := append([]bool(nil), still...)
	for i := 0; i < len(still); i++ {
		first := i
		small := true
		for i < len(still) && !still[i] && r.Known(i) {
			small = small && (w.SpikeMax == 0 || r.Values[i] <= w.SpikeMax)
			i++
		}
		if i == first || i-first > w.Spike || !small {
			continue
		}
		if all(still, first-w.Quiet, first) && all(still, i, i+w.Quiet) {
			for j := first; j < i; j++ {
				passed[j] = true
			}
		}
	}
	return passed
}

// all says whether mask is true from first to end, as far as there is a mask.
func all(mask []bool, first, end int) bool {
	for i := max(0, first); i < min(end, len(mask)); i++ {
		if !mask[i] {
			return false
		}
	}
	return true
}

func (w WearRule) constantRuns(r Recording, worn []bool) {
	for i := 0; i < len(worn); {
		first := i
		for i++; i < len(worn) && r.Known(i) && r.Known(first) && r.Values[i] == r.Values[first]; i++ {
		}
		if i-first >= w.Window {
			clear(worn[first:i])
		}
	}
}
