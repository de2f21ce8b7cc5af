// Package analyse turns a window of samples, or a device's recording, into a
// Result. Compute and ComputeRecording are pure: the same input gives the same
// Result, byte for byte. Stage is the worker around them.
package analyse

import (
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/metric"
	"github.com/clarity-loop/clarity/services/metric/sleep"
	"github.com/clarity-loop/clarity/services/timeline"
)

// Pipeline is the version of the analysis code. It changes whenever the same
// input could give another Result.
const Pipeline = "clarity.analysis/1"

// MaxDays is the longest window.
const MaxDays = 400

// An Input is everything a window's Result depends on.
type Input struct {
	// Start and End are the window's first and last local day in Zone.
	Start, End health.Day
	Zone       *time.Location
	// View has the samples of the window and of the days around it. What lies
	// outside the window, but for the evening before it, is passed over.
	View timeline.View
	// Preferred are product type prefixes, best first, of the sources to
	// believe where several measured the same.
	Preferred []string
	// Chunks are where the samples come from; part of the lineage.
	Chunks []analysis.ChunkOrigin
	// Model is the digest of the model version, "" for none, and Weeks are the
	// earlier weeks that it compares the window with.
	Model string
	Weeks []analysis.EarlierWeek
}

// Compute analyses a window of samples.
func Compute(in Input) (analysis.Result, error) {
	c, err := compute(in)
	return c.result, err
}

// A computed window is its Result, the epochs that it was made of, and how many
// samples of types that are measured begin in it.
type computed struct {
	result   analysis.Result
	epochs   *metric.Input
	measured int
}

func compute(in Input) (computed, error) {
	days := int(in.End-in.Start) + 1
	if days < 1 || days > MaxDays || in.Zone == nil {
		return computed{}, fmt.Errorf("analyse %d days ending %v: want a zone and 1 to %d days", days, in.End, MaxDays)
	}
	w := newWindow(in)
	m := metric.NewInput(w.recording())
	w.fillDays(m)
	w.fillSleep(m)
	w.fillSeries(m)
	result, err := newResult(m, analysis.Window{Start: in.Start, End: in.End, Days: days, TimeZone: in.Zone.String()})
	if err != nil {
		return computed{}, err
	}
	result.Input.SampleCount = w.measured
	result.Lineage.InputDigest = Digest(in)
	result.Lineage.Chunks = append(result.Lineage.Chunks, in.Chunks...)
	return computed{result, m, w.measured}, nil
}

// ComputeRecording analyses a device's recording, all of it. Non-wear in counts
// is found by the rule of Choi et al. 2011; steps, energy and acceleration
// count as worn where they were measured.
func ComputeRecording(rec actigraphy.Recording) (analysis.Result, error) {
	if err := rec.Check(); err != nil {
		return analysis.Result{}, fmt.Errorf("analyse recording: %w", err)
	}
	digest := recordingDigest(rec)
	rec, err := rec.Minutes()
	if err != nil {
		return analysis.Result{}, fmt.Errorf("analyse recording: %w", err)
	}
	if days := len(rec.Values) / actigraphy.MinutesPerDay; days > MaxDays {
		return analysis.Result{}, fmt.Errorf("analyse recording of %d days: at most %d", days, MaxDays)
	}
	rule := actigraphy.Choi2011()
	if rec.Kind != actigraphy.Counts {
		rule.Window = len(rec.Values) + 1
	}
	m := metric.NewInput(rec, rule.Worn(rec))
	if rec.Kind == actigraphy.Counts {
		m.SleepSource = metric.SleepCounts
		m.Nights = sleep.FromCounts(m.Masked())
	}
	window := analysis.Window{Start: m.Days[0].Day, End: m.Days[len(m.Days)-1].Day, Days: len(m.Days), TimeZone: rec.Start.Location().String()}
	result, err := newResult(m, window)
	if err != nil {
		return analysis.Result{}, err
	}
	result.Lineage.InputDigest = digest
	return result, nil
}
