// Package actigraphy is the domain of epoch-by-epoch activity: recordings, gaps,
// wear and seven-day windows, and readers of the devices' files. It imports the
// standard library only.
package actigraphy

import "time"

// An InputKind says what the values of a recording are. Energy and steps are
// proxies for counts, and every result says so.
type InputKind string

// The kinds of input.
const (
	Counts InputKind = "counts" // an accelerometer's activity counts an epoch
	Energy InputKind = "energy" // active energy, kcal an epoch
	Steps  InputKind = "steps"  // steps an epoch
)

// A Recording is a run of equal epochs without holes: an epoch that was not
// measured is there, and marked missing.
type Recording struct {
	// Start is the first epoch's start, in the zone whose clock the wearer
	// lived by; devices without a zone are read as UTC.
	Start time.Time
	// Epoch is the length of one epoch, 15 s to 5 min; one minute in windows.
	Epoch time.Duration
	// Kind is what Values are.
	Kind InputKind
	// Values has one number ≥ 0 an epoch; 0 where Missing.
	Values []float64
	// Missing marks epochs that were not measured. It is nil (nothing missing)
	// or as long as Values.
	Missing []bool
	// Device names the device model as its file tells it; never a serial number.
	Device string
}

// MinutesPerDay and WindowDays are the shape of an analysis window.
const (
	MinutesPerDay = 1440
	WindowDays    = 7
)
