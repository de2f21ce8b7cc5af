package analysis

import (
	"time"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/health"
)

// beside is how many days beside its own a window reads: a day is of its
// samples' own time zone, so that the next one's may hold samples of its hours.
const beside = 1

// Start is the first day of the window.
func (r Request) Start() health.Day { return r.End - actigraphy.WindowDays + 1 }

// Reads are the first and the last day whose samples the window is made of.
func (r Request) Reads() (first, last health.Day) { return r.Start() - beside, r.End + beside }

// Needs says whether the window, in its time zone, is made of a day that it reads
// and of which nothing begins before the instant: of the day behind it only where
// something can begin in the window. What begins later is nothing to it.
func (r Request) Needs(day health.Day, begins health.Instant, zone *time.Location) bool {
	if day <= r.End {
		return true
	}
	_, end := r.End.Bounds(zone)
	return begins < end
}

// Measures says whether a number of a Result is made of samples of the type. Others
// are kept and counted: a Result is none the other for them.
func Measures(kind string) bool {
	const quantity, category = "HKQuantityTypeIdentifier", "HKCategoryTypeIdentifier"
	switch kind {
	case quantity + "StepCount", quantity + "ActiveEnergyBurned", quantity + "BasalEnergyBurned", quantity + "HeartRate", quantity + "RestingHeartRate",
		quantity + "HeartRateVariabilitySDNN", quantity + "RespiratoryRate", quantity + "OxygenSaturation", category + "SleepAnalysis":
		return true
	}
	return false
}

// Weeks is the request for the window so many weeks later, or earlier where n
// is negative.
func (r Request) Weeks(n int) Request {
	r.End += health.Day(n) * actigraphy.WindowDays
	return r
}

// ID is the same for every message that asks for the window.
func (r Request) ID() string { return r.UID + "/" + r.End.String() }

// earliest is 2000-01-01. No device was worn before that counted what a window is
// computed of; what is dated earlier, such as a weight, is kept and makes no window.
const earliest health.Day = 10_957

// Touching are the first and the last of the days with which the windows end
// that read the day: none, the last before the first, where the day is too early
// to make a window.
func Touching(day health.Day) (first, last health.Day) {
	if day < earliest {
		return day, day - 1
	}
	return day - beside, day + actigraphy.WindowDays - 1 + beside
}
