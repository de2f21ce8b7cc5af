// Package metric is the contract between what was measured in a window and the
// numbers that are made of it. The families are folders: sleep, circadian,
// activity, cardio and wear; catalog lists all of them in order.
//
// A metric MUST return an *Insufficient where the data does not carry the
// number: never a default, never NaN. It MUST leave epochs out that were not
// measured or not worn, and MUST depend on its Input alone.
package metric

import (
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/health"
)

// A Definition is one metric of the catalog.
type Definition struct {
	Family string // "sleep"
	Name   string // snake_case, with the unit where there is one: "total_sleep_time_minutes"
	Unit   string // UCUM, or "" for a ratio
	// Min and Max bound what the metric can be, inclusive; infinite where nothing does.
	Min, Max float64
	Doc      string // one sentence: what it is
	Source   string // paper and year, or whose definition it is
	Compute  func(*Input) (float64, error)
}

// ID is "family.name".
func (d Definition) ID() string { return d.Family + "." + d.Name }

// An Input is everything that metrics may look at: one window of one person.
type Input struct {
	// Recording has one-minute epochs from the window's first to its last
	// instant, in the zone of the wearer. Its Kind is "" where there is no
	// activity at all; then every epoch is missing.
	Recording actigraphy.Recording
	// Worn marks the epochs that were measured while the device was worn.
	Worn []bool
	// Clock is the minute of the local day, 0 to 1439, of each epoch's start.
	Clock []int16
	// Days are the local days of the window, in order.
	Days []Day
	// Nights are the main sleep periods that end in the window, in order.
	Nights []Night
	// SleepSource is where Nights come from.
	SleepSource SleepSource
	// The series of the window, and of the nights that end in it, by time.
	HeartRate, RestingHeartRate, HeartRateVariability, RespiratoryRate, OxygenSaturation []Point
}

// A SleepSource says where nights come from.
type SleepSource string

// The sources of nights.
const (
	NoSleep     SleepSource = "none"
	SleepStages SleepSource = "stages" // HealthKit's sleep analysis
	SleepCounts SleepSource = "counts" // Cole-Kripke on activity counts
)

// A Day is one local day of the window.
type Day struct {
	Day health.Day
	// First and End are the day's epochs, End exclusive. At a recording's ends
	// they are fewer than Minutes.
	First, End int
	// Minutes is how long the day is: 1440, or what a change of the clock made of it.
	Minutes int
	// Worn counts the worn epochs; Valid says that they are enough for the day to count.
	Worn  int
	Valid bool
	// Steps and ActiveEnergy are the day's totals, nil without a sample.
	Steps, ActiveEnergy *float64
}

// A Night is one main sleep period.
type Night struct {
	Day           health.Day // on which it ends
	Onset, Offset health.Instant
	// The lengths in minutes. InBed is the time in bed where that was
	// recorded, else from Onset to Offset. Latency is nil where it was not.
	InBed, Asleep, Wake float64
	Latency             *float64
	Awakenings          int
	Deep, REM, Core     *float64 // nil where the source has no stages
	Source              SleepSource
}

// Efficiency is sleep as percent of the time in bed.
func (n Night) Efficiency() float64 { return 100 * n.Asleep / n.InBed }

// Midpoint is the middle of onset and offset in minutes after local midnight,
// −720 to 720.
func (n Night) Midpoint(loc *time.Location) float64 {
	at := (n.Onset + (n.Offset-n.Onset)/2).Time().In(loc)
	minutes := float64(at.Hour()*60+at.Minute()) + float64(at.Second())/60 + float64(at.Nanosecond())/6e10
	if minutes > actigraphy.MinutesPerDay/2 {
		minutes -= actigraphy.MinutesPerDay
	}
	return minutes
}

// A Point is one value of a series.
type Point struct {
	At    health.Instant
	Value float64
}

// A Reason is a stable code for why a number is missing.
type Reason string

// The reasons for which a metric has no value.
const (
	NoSamples       Reason = "no_samples"          // nothing of the kind was measured
	TooFewSamples   Reason = "too_few_samples"     // some, but not enough
	TooFewValidDays Reason = "too_few_valid_days"  // days with enough wear are needed
	TooFewNights    Reason = "too_few_nights"      // nights are needed
	TooFewEpochs    Reason = "too_few_epochs"      // parts of the day were never measured
	NoVariance      Reason = "no_variance"         // the signal does not change
	NotApplicable   Reason = "not_applicable"      // the definition does not hold for this kind of input
	NoTimeInBed     Reason = "no_time_in_bed"      // when the person went to bed was not recorded
	NotFinite       Reason = "not_a_finite_number" // the input is beyond what the formula can hold
)

// Insufficient is the error of a metric that the data does not carry.
//
//nolint:errname // it is what a result's entry is called
type Insufficient struct {
	Reason Reason
	Detail string // what was found and what is needed, for a person
}

func (e *Insufficient) Error() string { return string(e.Reason) + ": " + e.Detail }

// Lacking makes an *Insufficient.
func Lacking(reason Reason, format string, args ...any) error {
	return &Insufficient{reason, fmt.Sprintf(format, args...)}
}
