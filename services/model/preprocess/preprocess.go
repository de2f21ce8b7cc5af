// Package preprocess turns a window's minutes into a model's input. The steps a
// model was trained with are part of its version; they are known here by name,
// or the model is refused.
package preprocess

import (
	"math"
	"slices"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/model"
)

// The preprocessings that are known.
const (
	// Simact is the preview model's: log of counts over their own median,
	// standardised within the record, clipped.
	Simact = "simact-pre/1"
	// Cohort standardises by a cohort's mean and standard deviation, a pair for
	// all minutes or one for each minute of the window (scikit-learn's
	// StandardScaler, as PAT was trained; arXiv 2411.15240, section 4.3).
	Cohort = "cohort-zscore/1"
	// Record standardises by the record's own mean and standard deviation: what
	// is left where a model's cohort scaler was not published.
	Record = "record-zscore/1"
)

// A Spec is the preprocessing part of an artifact.
type Spec struct {
	ID string `json:"id"`
	// Mean and SD are the scaler of Cohort: one value each, or one a minute.
	Mean []float64 `json:"mean,omitempty"`
	SD   []float64 `json:"sd,omitempty"`
}

// The constants of simact-pre/1.
const (
	minWorn  = 5040
	minMoved = 60
	zeroRun  = 180
	gain     = 10
	clip     = 4
	minSD    = 1e-6
)

// Check refuses a spec that is not known or whose scaler cannot be used.
func (s Spec) Check() error {
	switch s.ID {
	case Simact, Record:
		if len(s.Mean)+len(s.SD) > 0 {
			return model.Refuse(model.Malformed, "%s has no scaler, but one is given", s.ID)
		}
	case Cohort:
		if n := len(s.Mean); n != len(s.SD) || n != 1 && n != model.Minutes {
			return model.Refuse(model.Malformed, "scaler of %d means and %d deviations: want 1 or %d of each", len(s.Mean), len(s.SD), model.Minutes)
		}
		for i := range s.Mean {
			if !finite(s.Mean[i]) || !finite(s.SD[i]) || s.SD[i] <= 0 {
				return model.Refuse(model.Malformed, "scaler entry %d is not a finite mean and a positive deviation", i)
			}
		}
	default:
		return model.Refuse(model.UnknownPreprocessing, "%.60q", s.ID)
	}
	return nil
}

// Scaling says whose spread the spec standardises by.
func (s Spec) Scaling() model.Scaling {
	if s.ID == Cohort {
		return model.ByCohort
	}
	return model.ByRecord
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// Stats are what a record was standardised by.
type Stats struct {
	Worn            int
	Scale, Mean, SD float64
}

// A Scratch is room for one window at a time; reuse it, and nothing is allocated.
type Scratch struct {
	counts, y, positive []float64
	worn                []bool
}

// NewScratch makes room.
func NewScratch() *Scratch {
	return &Scratch{
		counts:   make([]float64, model.Minutes),
		y:        make([]float64, model.Minutes),
		positive: make([]float64, 0, model.Minutes),
		worn:     make([]bool, model.Minutes),
	}
}

// Worn is the mask of the window that was applied last: measured, worn, and
// not taken for non-wear.
func (s *Scratch) Worn() []bool { return s.worn }

// Z is the standardised window that was applied last, before rounding to float32.
func (s *Scratch) Z() []float64 { return s.y }

// Begin writes the model's input into z and all that is known of the window
// before the model has run into in, with room for the outputs. It is false
// where the window is refused, and then in says why.
func (s Spec) Begin(id *model.Identity, w model.Window, scratch *Scratch, z []float32, in *model.Inference) bool {
	stats, err := s.Apply(w, scratch, z)
	in.Refused, in.WornMinutes, in.Kind = err, stats.Worn, string(w.Kind)
	in.Version, in.Preprocessing, in.Scaling = id.Digest, id.Preprocessing, id.Scaling
	in.Worn = in.Worn[:0]
	if w.Check() == nil {
		in.Worn = append(in.Worn, scratch.Worn()...)
	}
	if err != nil {
		in.Values = in.Values[:0]
		return false
	}
	if cap(in.Values) < len(id.Outputs) {
		in.Values = make([][]float32, len(id.Outputs))
	}
	in.Values = in.Values[:len(id.Outputs)]
	for i, o := range id.Outputs {
		if cap(in.Values[i]) < o.Length {
			in.Values[i] = make([]float32, o.Length)
		}
		in.Values[i] = in.Values[i][:o.Length]
	}
	return true
}

// Apply writes the model's input into z, which has model.Minutes values.
func (s Spec) Apply(w model.Window, scratch *Scratch, z []float32) (Stats, error) {
	if err := w.Check(); err != nil {
		return Stats{}, err
	}
	scratch.load(w)
	// Steps are zero for hours in a chair; for them a run of zeros is no sign of non-wear.
	if s.ID == Simact && w.Kind != actigraphy.Steps {
		scratch.dropZeroRuns()
	}
	st := Stats{Worn: count(scratch.worn)}
	if st.Worn < minWorn {
		return st, model.Refuse(model.TooLittleData, "too few worn minutes: %d, at least %d needed", st.Worn, minWorn)
	}
	var err error
	switch s.ID {
	case Simact:
		err = scratch.simact(&st)
	case Record:
		copy(scratch.y, scratch.counts)
		err = scratch.standardise(&st)
	case Cohort:
		scratch.cohort(s)
	default:
		err = s.Check()
	}
	if err != nil {
		return st, err
	}
	scratch.fill(st.Worn)
	for i, v := range scratch.y {
		z[i] = float32(v)
	}
	return st, nil
}

func (s *Scratch) load(w model.Window) {
	for i := range s.counts {
		s.worn[i] = w.Known(i)
		s.counts[i] = w.Counts[i]
		if v := s.counts[i]; !(v >= 0) || math.IsInf(v, 0) {
			s.counts[i] = 0
		}
	}
}

// dropZeroRuns marks runs of zeros not worn; they run on through masked minutes.
func (s *Scratch) dropZeroRuns() {
	for i := 0; i < len(s.counts); i++ {
		first := i
		for i < len(s.counts) && (!s.worn[i] || s.counts[i] == 0) {
			i++
		}
		if i-first >= zeroRun {
			clear(s.worn[first:i])
		}
	}
}

func count(mask []bool) int {
	n := 0
	for _, m := range mask {
		if m {
			n++
		}
	}
	return n
}

func (s *Scratch) simact(st *Stats) error {
	s.positive = s.positive[:0]
	for i, c := range s.counts {
		if s.worn[i] && c > 0 {
			s.positive = append(s.positive, c)
		}
	}
	n := len(s.positive)
	if n < minMoved {
		return model.Refuse(model.TooLittleData, "no activity: %d minutes of movement, at least %d needed", n, minMoved)
	}
	slices.Sort(s.positive)
	st.Scale = s.positive[n/2]
	if n%2 == 0 {
		st.Scale = (s.positive[n/2-1] + s.positive[n/2]) / 2
	}
	for i, c := range s.counts {
		s.y[i] = math.Log1p(gain * c / st.Scale)
	}
	if err := s.standardise(st); err != nil {
		return err
	}
	for i, v := range s.y {
		s.y[i] = min(max(v, -clip), clip)
	}
	return nil
}

// standardise scales y by its own mean and deviation over the worn minutes.
func (s *Scratch) standardise(st *Stats) error {
	n := float64(st.Worn)
	for i, w := range s.worn {
		if w {
			st.Mean += s.y[i]
		}
	}
	st.Mean /= n
	for i, w := range s.worn {
		if w {
			st.SD += (s.y[i] - st.Mean) * (s.y[i] - st.Mean)
		}
	}
	st.SD = math.Sqrt(st.SD / n)
	if !(st.SD >= minSD) || math.IsInf(st.SD, 0) {
		return model.Refuse(model.TooLittleData, "constant record: every worn minute is alike")
	}
	for i := range s.y {
		s.y[i] = (s.y[i] - st.Mean) / st.SD
	}
	return nil
}

func (s *Scratch) cohort(spec Spec) {
	for i, c := range s.counts {
		j := i % len(spec.Mean)
		s.y[i] = (c - spec.Mean[j]) / spec.SD[j]
	}
}

// fill gives a minute without data the mean of the same minute of the other
// days, or 0, which is the mean of everything.
func (s *Scratch) fill(worn int) {
	if worn == model.Minutes {
		return
	}
	for m := range actigraphy.MinutesPerDay {
		sum, n := 0.0, 0
		for i := m; i < model.Minutes; i += actigraphy.MinutesPerDay {
			if s.worn[i] {
				sum += s.y[i]
				n++
			}
		}
		if n > 0 {
			sum /= float64(n)
		}
		for i := m; i < model.Minutes; i += actigraphy.MinutesPerDay {
			if !s.worn[i] {
				s.y[i] = sum
			}
		}
	}
}
