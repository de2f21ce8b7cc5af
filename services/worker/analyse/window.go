package analyse

import (
	"cmp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/sources"
	"github.com/clarity-loop/clarity/services/metric"
	"github.com/clarity-loop/clarity/services/metric/sleep"
)

// The HealthKit types that a Result is made of.
const (
	quantity         = "HKQuantityTypeIdentifier"
	stepCount        = quantity + "StepCount"
	activeEnergy     = quantity + "ActiveEnergyBurned"
	basalEnergy      = quantity + "BasalEnergyBurned"
	heartRate        = quantity + "HeartRate"
	restingHeartRate = quantity + "RestingHeartRate"
	heartVariability = quantity + "HeartRateVariabilitySDNN"
	respiratoryRate  = quantity + "RespiratoryRate"
	oxygenSaturation = quantity + "OxygenSaturation"
	sleepAnalysis    = "HKCategoryTypeIdentifierSleepAnalysis"
)

const (
	minute = health.Instant(60_000)
	// lookBack is how far before the window samples matter: the first night
	// begins on the evening before.
	lookBack = 24 * 60 * minute
	// longest is the longest sample that tells what happened in a minute. A
	// longer one counts in the day's totals only.
	longest = 60 * minute
	// bridge is the longest time between two signs of the device that still
	// counts as worn: a watch at rest measures the heart every few minutes.
	bridge = 60
)

// A window collects the samples of one window by what they are for.
type window struct {
	in         Input
	priority   sources.Priority
	start, end health.Instant
	minutes    int
	measured   int // samples that start in the window and that a number can be made of
	byType     map[string][]health.Sample
	energy     cumulative
	steps      cumulative
}

func newWindow(in Input) *window {
	w := &window{in: in, priority: sources.PreferProducts(in.Preferred...), byType: map[string][]health.Sample{}}
	w.start, _ = in.Start.Bounds(in.Zone)
	_, w.end = in.End.Bounds(in.Zone)
	w.minutes = int((w.end - w.start) / minute)
	for _, typ := range slices.DeleteFunc(in.View.Types(), func(typ string) bool { return !analysis.Measures(typ) }) {
		for i, samples := 0, in.View.Samples(typ); i < len(samples); i++ {
			if at := samples[i].Start; at >= w.start && at < w.end {
				w.measured++
			}
		}
	}
	for _, typ := range []string{stepCount, activeEnergy, basalEnergy, heartRate, restingHeartRate, heartVariability, respiratoryRate, oxygenSaturation, sleepAnalysis} {
		w.byType[typ] = w.near(in.View.Samples(typ))
	}
	w.energy, w.steps = w.accumulate(activeEnergy), w.accumulate(stepCount)
	return w
}

// near cuts samples, ordered by start, to those that can matter.
func (w *window) near(samples []health.Sample) []health.Sample {
	end := sort.Search(len(samples), func(i int) bool { return samples[i].Start >= w.end })
	first := 0
	for first < end && samples[first].End < w.start-lookBack {
		first++
	}
	return samples[first:end]
}

// A cumulative quantity, merged so that nothing counts twice.
type cumulative struct {
	pieces  []sources.Piece
	samples []health.Sample
	grid    []float64 // by minute of the window
	covered int       // minutes of the window with a sample
}

func (w *window) accumulate(typ string) cumulative {
	c := cumulative{samples: w.byType[typ], grid: make([]float64, w.minutes)}
	c.pieces = sources.MergeIntervals(c.samples, w.priority)
	covered := make([]bool, w.minutes)
	for _, p := range c.pieces {
		if s := &c.samples[p.Sample]; s.UserEntered || s.End-s.Start > longest {
			continue
		}
		w.eachMinute(p.Start, p.End, func(m int, share float64) {
			c.grid[m] += p.Value * share
			covered[m] = true
		})
	}
	for _, is := range covered {
		if is {
			c.covered++
		}
	}
	return c
}

// eachMinute calls f for the window's minutes of an interval, with the part of
// the interval that lies in each.
func (w *window) eachMinute(start, end health.Instant, f func(m int, share float64)) {
	if start == end {
		end = start + 1
	}
	length := float64(end - start)
	first, last := max(start, w.start), min(end, w.start+health.Instant(w.minutes)*minute)
	for at := first; at < last; {
		m := (at - w.start) / minute
		next := min(last, w.start+(m+1)*minute)
		f(int(m), float64(next-at)/length)
		at = next
	}
}

// recording is the window's minute epochs and which of them were worn. Active
// energy is the input where it covers at least as many minutes as steps do.
func (w *window) recording() (actigraphy.Recording, []bool) {
	rec := actigraphy.Recording{Start: w.start.Time().In(w.in.Zone), Epoch: time.Minute}
	switch {
	case w.energy.covered > 0 && w.energy.covered >= w.steps.covered:
		rec.Kind, rec.Values = actigraphy.Energy, w.energy.grid
	case w.steps.covered > 0:
		rec.Kind, rec.Values = actigraphy.Steps, w.steps.grid
	default:
		rec.Values = make([]float64, w.minutes)
	}
	worn := w.worn()
	rec.Missing = make([]bool, len(worn))
	for i, is := range worn {
		if rec.Missing[i] = !is || rec.Kind == ""; rec.Missing[i] {
			rec.Values[i], worn[i] = 0, false
		}
	}
	return rec, worn
}

// worn marks the minutes in which a device showed a sign of being worn or
// carried, and the times of up to an hour between two signs.
func (w *window) worn() []bool {
	worn := make([]bool, w.minutes)
	for _, typ := range []string{stepCount, activeEnergy, basalEnergy, heartRate, heartVariability, respiratoryRate, oxygenSaturation, sleepAnalysis} {
		for i := range w.byType[typ] {
			s := &w.byType[typ][i]
			if s.UserEntered || typ != sleepAnalysis && s.End-s.Start > longest || typ == sleepAnalysis && s.Value == float64(sleep.InBed) {
				continue
			}
			w.eachMinute(s.Start, s.End, func(m int, _ float64) { worn[m] = true })
		}
	}
	last := -1
	for i := range worn {
		if !worn[i] {
			continue
		}
		if last >= 0 && i-last-1 <= bridge {
			for j := last + 1; j < i; j++ {
				worn[j] = true
			}
		}
		last = i
	}
	return worn
}

// fillDays adds up the days' totals, long samples and typed ones included.
func (w *window) fillDays(m *metric.Input) {
	for i := range m.Days {
		start, end := m.Days[i].Day.Bounds(w.in.Zone)
		m.Days[i].Steps = w.steps.total(start, end)
		m.Days[i].ActiveEnergy = w.energy.total(start, end)
	}
}

// total is nil where no piece touches the stretch.
func (c cumulative) total(start, end health.Instant) *float64 {
	sum, any := 0.0, false
	for _, p := range c.pieces {
		switch {
		case p.Start == p.End:
			if p.Start >= start && p.Start < end {
				sum, any = sum+p.Value, true
			}
		case p.Start < end && p.End > start:
			share := float64(min(p.End, end)-max(p.Start, start)) / float64(p.End-p.Start)
			sum, any = sum+p.Value*share, true
		}
	}
	if !any {
		return nil
	}
	return &sum
}

func (w *window) fillSleep(m *metric.Input) {
	var bed, rest []health.Sample
	for _, s := range w.byType[sleepAnalysis] {
		if s.Value == float64(sleep.InBed) {
			bed = append(bed, s)
		} else {
			rest = append(rest, s)
		}
	}
	if len(rest) == 0 {
		return
	}
	m.SleepSource = metric.SleepStages
	for _, n := range sleep.FromStages(spans(sources.MergeStages(rest, w.priority)), spans(sources.MergeStages(bed, w.priority)), w.in.Zone) {
		if n.Day >= w.in.Start && n.Day <= w.in.End {
			m.Nights = append(m.Nights, n)
		}
	}
}

func spans(pieces []sources.Piece) []sleep.Span {
	out := make([]sleep.Span, len(pieces))
	for i, p := range pieces {
		out[i] = sleep.Span{Start: p.Start, End: p.End, Stage: sleep.Stage(p.Value)}
	}
	return out
}

func (w *window) fillSeries(m *metric.Input) {
	m.HeartRate = w.points(heartRate, w.start-lookBack)
	m.RestingHeartRate = w.points(restingHeartRate, w.start)
	m.HeartRateVariability = w.points(heartVariability, w.start)
	m.RespiratoryRate = w.points(respiratoryRate, w.start)
	m.OxygenSaturation = w.points(oxygenSaturation, w.start)
}

// points are the measured values of a discrete quantity, by time.
func (w *window) points(typ string, from health.Instant) []metric.Point {
	samples := w.byType[typ]
	points := make([]metric.Point, 0, len(samples))
	for i := range samples {
		if s := &samples[i]; s.Start >= from && !s.UserEntered {
			points = append(points, metric.Point{At: s.Start, Value: s.Value})
		}
	}
	slices.SortFunc(points, func(a, b metric.Point) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Value, b.Value))
	})
	return points
}

// cleanPrefixes drops what cannot be a product type prefix.
func cleanPrefixes(prefixes []string) []string {
	return slices.DeleteFunc(slices.Clone(prefixes), func(p string) bool { return strings.TrimSpace(p) == "" })
}
