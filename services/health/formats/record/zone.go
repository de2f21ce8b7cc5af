package record

import (
	"strconv"
	"time"

	"github.com/clarity-loop/clarity/services/health"
)

// ZoneOfOffset names a zone for an offset from UTC in seconds: Etc/UTC,
// Etc/GMT±n for whole hours (POSIX signs: Etc/GMT-2 is two hours east), and
// for the offsets with a fraction of an hour the zone where people live by it.
// Another offset gets the zone of the hour before it.
//
// An offset says nothing of the clock's change, so a fixed zone puts the
// samples of half a year an hour off the wall clock; Options.DefaultZone is
// better wherever it is known. Apple's export is worse still: it writes every
// date with the offset that the phone had on the day of the export.
func ZoneOfOffset(seconds int) string {
	if name, ok := fractionalZones[seconds]; ok {
		return name
	}
	hours := seconds / 3600
	if seconds < 0 && seconds%3600 != 0 {
		hours--
	}
	hours = max(-12, min(14, hours))
	switch {
	case hours == 0:
		return "Etc/UTC"
	case hours > 0:
		return "Etc/GMT-" + strconv.Itoa(hours)
	}
	return "Etc/GMT+" + strconv.Itoa(-hours)
}

// fractionalZones are the offsets in use that no Etc zone has.
var fractionalZones = map[int]string{
	-(9*3600 + 1800): "Pacific/Marquesas",
	-(3*3600 + 1800): "America/St_Johns",
	-(2*3600 + 1800): "America/St_Johns",
	3*3600 + 1800:    "Asia/Tehran",
	4*3600 + 1800:    "Asia/Kabul",
	5*3600 + 1800:    "Asia/Kolkata",
	5*3600 + 2700:    "Asia/Kathmandu",
	6*3600 + 1800:    "Asia/Yangon",
	8*3600 + 2700:    "Australia/Eucla",
	9*3600 + 1800:    "Australia/Darwin",
	10*3600 + 1800:   "Australia/Adelaide",
	12*3600 + 2700:   "Pacific/Chatham",
	13*3600 + 2700:   "Pacific/Chatham",
}

// Zones answers whether names are time zones, and remembers: loading a zone
// reads a file. The zero value is ready; it is bounded, not for several goroutines.
type Zones struct {
	known map[string]*time.Location
}

// Location is health.LoadZone.
func (z *Zones) Location(name string) (*time.Location, bool) {
	if loc, ok := z.known[name]; ok {
		return loc, loc != nil
	}
	loc, err := health.LoadZone(name)
	if err != nil {
		loc = nil
	}
	if len(z.known) < 1024 {
		if z.known == nil {
			z.known = make(map[string]*time.Location)
		}
		z.known[name] = loc
	}
	return loc, loc != nil
}

// Choose is the zone of a sample: the named one if it is a zone, else the
// default, else the fixed zone of the offset.
func (z *Zones) Choose(named, fallback string, offset int) string {
	if loc, ok := z.Location(named); ok {
		return loc.String()
	}
	if fallback != "" {
		return fallback
	}
	return ZoneOfOffset(offset)
}
