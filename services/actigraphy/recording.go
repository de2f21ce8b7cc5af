// Package actigraphy is the domain of epoch-by-epoch activity: recordings, gaps,
// wear and seven-day windows, and readers of the devices' files. It imports the
// standard library only.
package actigraphy

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// An InputKind says what the values of a recording are. Energy and steps are
// proxies for counts, and every result says so.
type InputKind string

// The kinds of input.
const (
	Counts       InputKind = "counts"       // an accelerometer's activity counts an epoch
	Energy       InputKind = "energy"       // active energy, kcal an epoch
	Steps        InputKind = "steps"        // steps an epoch
	Acceleration InputKind = "acceleration" // mean acceleration above gravity, mg: not a count
)

// A Recording is a run of equal epochs without holes: an epoch that was not
// measured is there, and marked missing.
type Recording struct {
	// Start is the first epoch's start, in the zone whose clock the wearer
	// lived by; devices without a zone are read as UTC.
	Start time.Time
	// Epoch is the length of one epoch, 1 s to 5 min; one minute in windows.
	Epoch time.Duration
	// Kind is what Values are.
	Kind InputKind
	// Values has one number from 0 to 1e9 an epoch; 0 where Missing.
	Values []float64
	// Missing marks epochs that were not measured. It is nil (nothing missing)
	// or as long as Values.
	Missing []bool
	// Device names the device model as its file tells it; never a serial number.
	Device string
	// Channel says which of the device's signals Values are: "vertical axis",
	// "vector magnitude" or "" where the device has one signal. Cut points
	// hold for one channel only.
	Channel string
}

// MinutesPerDay and WindowDays are the shape of an analysis window.
const (
	MinutesPerDay = 1440
	WindowDays    = 7
)

// The bounds that Check holds a recording to.
const (
	minEpoch  = time.Second
	maxEpoch  = 5 * time.Minute
	maxEpochs = 1 << 23 // 97 days of one-second epochs
	maxValue  = 1e9     // far above what any device counts, far below what sums cannot hold
)

// Check says what is wrong with the recording, if anything is.
func (r Recording) Check() error {
	switch {
	case r.Epoch < minEpoch || r.Epoch > maxEpoch:
		return fmt.Errorf("epoch of %v: want %v to %v", r.Epoch, minEpoch, maxEpoch)
	case len(r.Values) == 0:
		return errors.New("no epochs")
	case len(r.Values) > maxEpochs:
		return fmt.Errorf("%d epochs: at most %d", len(r.Values), maxEpochs)
	case r.Missing != nil && len(r.Missing) != len(r.Values):
		return fmt.Errorf("missing mask of %d epochs for %d values", len(r.Missing), len(r.Values))
	}
	for i, v := range r.Values {
		if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 || v > maxValue {
			return fmt.Errorf("epoch %d: a value must be a number from 0 to %.0g", i, maxValue)
		}
	}
	return nil
}

// At is the start of epoch i.
func (r Recording) At(i int) time.Time { return r.Start.Add(time.Duration(i) * r.Epoch) }

// End is the end of the last epoch.
func (r Recording) End() time.Time { return r.At(len(r.Values)) }

// Known says whether epoch i was measured.
func (r Recording) Known(i int) bool { return r.Missing == nil || !r.Missing[i] }

// MissingEpochs counts the epochs that were not measured.
func (r Recording) MissingEpochs() int {
	n := 0
	for _, m := range r.Missing {
		if m {
			n++
		}
	}
	return n
}

// Slice is the part that starts at start, or with the recording, whichever is
// later, and reaches for period, its last instant included: the epoch that
// begins at start+period is in it, as the reference tools have it (nine days
// of minutes are 12,961 epochs). A period of 0 reaches to the end.
// The values are shared with r.
func (r Recording) Slice(start time.Time, period time.Duration) (Recording, error) {
	first := 0
	if start.After(r.Start) {
		first = int((start.Sub(r.Start) + r.Epoch - 1) / r.Epoch)
	}
	end := len(r.Values)
	if period > 0 && start.Add(period).Before(r.End()) {
		end = int(start.Add(period).Sub(r.Start)/r.Epoch) + 1
		if start.Add(period).Before(r.Start) {
			end = 0
		}
	}
	if period < 0 || first >= end {
		return Recording{}, fmt.Errorf("slice from %s for %v: the recording has no epoch there; it runs from %s to %s",
			start.Format(time.DateTime), period, r.Start.Format(time.DateTime), r.End().Format(time.DateTime))
	}
	part := r
	part.Start, part.Values = r.At(first), r.Values[first:end:end]
	if r.Missing != nil {
		part.Missing = r.Missing[first:end:end]
	}
	return part, nil
}

// Resample joins epochs into longer ones, from the first epoch on: counts,
// energy and steps are added up, acceleration is averaged. epoch must be a
// multiple of the recording's. A new epoch of which more than half was not
// measured is missing; of one with a smaller hole the measured part is scaled
// up to the whole. The last, cut by the recording's end, holds what there is.
func (r Recording) Resample(epoch time.Duration) (Recording, error) {
	if epoch == r.Epoch {
		return r, nil
	}
	if epoch < r.Epoch || epoch%r.Epoch != 0 {
		return Recording{}, fmt.Errorf("resample epochs of %v to %v: want a multiple", r.Epoch, epoch)
	}
	out := r
	out.Epoch = epoch
	out.Values, out.Missing = r.joined(int(epoch / r.Epoch))
	return out, nil
}

func (r Recording) joined(per int) (values []float64, missing []bool) {
	bins := (len(r.Values) + per - 1) / per
	values, missing = make([]float64, bins), make([]bool, bins)
	holes := false
	for b := range bins {
		first, end := b*per, min((b+1)*per, len(r.Values))
		sum, known := 0.0, 0
		for i := first; i < end; i++ {
			if r.Known(i) {
				sum += r.Values[i]
				known++
			}
		}
		switch {
		case 2*known < end-first || known == 0:
			missing[b], holes = true, true
		case r.Kind == Acceleration:
			values[b] = sum / float64(known)
		case known == end-first:
			values[b] = sum
		default:
			values[b] = sum * float64(end-first) / float64(known)
		}
	}
	if !holes {
		missing = nil
	}
	return values, missing
}

// Minutes is the recording in epochs of one minute: what windows are made of.
// Epochs longer than a minute are spread evenly over their minutes.
func (r Recording) Minutes() (Recording, error) {
	if r.Epoch <= time.Minute {
		return r.Resample(time.Minute)
	}
	if r.Epoch%time.Minute != 0 {
		return Recording{}, fmt.Errorf("spread epochs of %v over minutes: want whole minutes", r.Epoch)
	}
	per := int(r.Epoch / time.Minute)
	out := r
	out.Epoch = time.Minute
	out.Values = make([]float64, per*len(r.Values))
	if r.Missing != nil {
		out.Missing = make([]bool, len(out.Values))
	}
	for i := range out.Values {
		out.Values[i] = r.Values[i/per]
		if r.Kind != Acceleration {
			out.Values[i] /= float64(per)
		}
		if r.Missing != nil {
			out.Missing[i] = r.Missing[i/per]
		}
	}
	return out, nil
}

// A Gap is a run of epochs that were not measured.
type Gap struct{ First, Epochs int }

// Gaps are the runs of missing epochs that are no shorter than least, in order.
func (r Recording) Gaps(least int) []Gap {
	var gaps []Gap
	for i := 0; i < len(r.Missing); i++ {
		first := i
		for i < len(r.Missing) && r.Missing[i] {
			i++
		}
		if i > first && i-first >= least {
			gaps = append(gaps, Gap{first, i - first})
		}
	}
	return gaps
}
