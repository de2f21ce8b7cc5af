package model

import (
	"fmt"
	"math"
	"time"

	"github.com/clarity-loop/clarity/services/actigraphy"
)

// Minutes is the length of a window: seven times 24 hours.
const Minutes = actigraphy.WindowDays * actigraphy.MinutesPerDay

// A Window is seven days of minutes as a model takes them.
type Window struct {
	// Kind is what Counts are; steps and energy are proxies for counts.
	Kind actigraphy.InputKind
	// StartMinute is the minute of the local day, 0 to 1439, of the first value.
	StartMinute int
	// Counts has Minutes values ≥ 0 in any unit; anything else counts as missing.
	Counts []float64
	// Missing marks minutes that were not measured or not worn. It is nil
	// (nothing missing) or as long as Counts.
	Missing []bool
}

// Check says what is wrong with the window's shape, if anything is.
func (w Window) Check() error {
	switch {
	case len(w.Counts) != Minutes:
		return fmt.Errorf("window of %d minutes: want %d", len(w.Counts), Minutes)
	case w.Missing != nil && len(w.Missing) != Minutes:
		return fmt.Errorf("window with a mask of %d minutes: want %d", len(w.Missing), Minutes)
	case w.StartMinute < 0 || w.StartMinute >= actigraphy.MinutesPerDay:
		return fmt.Errorf("window that starts at minute %d of the day", w.StartMinute)
	}
	return nil
}

// Known says whether minute i was measured, worn, and holds a possible value.
func (w Window) Known(i int) bool {
	v := w.Counts[i]
	return v >= 0 && !math.IsInf(v, 0) && (w.Missing == nil || !w.Missing[i])
}

// WindowOf cuts a recording of minutes to a window: its last Minutes epochs, or
// all of them behind missing ones where there are fewer (a week in which the
// clock went forward has 10,020). worn, if not nil, is as long as the recording;
// what was not worn is missing.
func WindowOf(rec actigraphy.Recording, worn []bool) (Window, error) {
	n := len(rec.Values)
	switch {
	case rec.Epoch != time.Minute:
		return Window{}, fmt.Errorf("make a window of epochs of %v: want one minute", rec.Epoch)
	case n == 0:
		return Window{}, fmt.Errorf("make a window: the recording is empty")
	case worn != nil && len(worn) != n, rec.Missing != nil && len(rec.Missing) != n:
		return Window{}, fmt.Errorf("make a window of %d epochs: a mask has another length", n)
	}
	w := Window{Kind: rec.Kind, Counts: make([]float64, Minutes), Missing: make([]bool, Minutes)}
	start := rec.At(n - Minutes)
	w.StartMinute = start.Hour()*60 + start.Minute()
	for i := range w.Counts {
		j := n - Minutes + i
		if j < 0 || !rec.Known(j) || worn != nil && !worn[j] {
			w.Missing[i] = true
			continue
		}
		w.Counts[i] = rec.Values[j]
	}
	return w, nil
}
