package health

import (
	"fmt"
	"time"
)

// A Day is a calendar date, counted from 1970-01-01. It has no time zone: the
// zone of a sample decides which Day the sample is of.
type Day int32

// ParseDay reads the yyyy-mm-dd form.
func ParseDay(s string) (Day, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, fmt.Errorf("parse day %q: want yyyy-mm-dd", s)
	}
	return Day(t.Unix() / 86400), nil
}

// DayOf is the calendar date of the instant in loc.
func DayOf(at Instant, loc *time.Location) Day {
	y, m, d := at.Time().In(loc).Date()
	return Day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// String is the yyyy-mm-dd form.
func (d Day) String() string { return d.utc().Format(time.DateOnly) }

// Bounds are the day's first instant and the next day's in loc. They are 24
// hours apart but for a change of the clock: then 23 or 25, or what the zone did.
func (d Day) Bounds(loc *time.Location) (start, end Instant) {
	return d.start(loc), (d + 1).start(loc)
}

// start is the first instant whose calendar date in loc is d. Where the clock
// skips midnight, that is the end of the gap; where midnight comes twice, the
// earlier one.
func (d Day) start(loc *time.Location) Instant {
	u := d.utc()
	t := time.Date(u.Year(), u.Month(), u.Day(), 0, 0, 0, 0, loc)
	if t.Day() != u.Day() { // midnight does not exist: time.Date went back an hour
		_, after := t.ZoneBounds()
		return InstantOf(after)
	}
	if change, _ := t.ZoneBounds(); !change.IsZero() {
		_, offset := change.Add(-1).Zone()
		if before := u.Unix() - int64(offset); before < change.Unix() && before < t.Unix() {
			return InstantOf(time.Unix(before, 0)) // time.Date does not say which of the two it takes
		}
	}
	return InstantOf(t)
}

// MarshalText and UnmarshalText use the yyyy-mm-dd form.
func (d Day) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the yyyy-mm-dd form.
func (d *Day) UnmarshalText(text []byte) error {
	parsed, err := ParseDay(string(text))
	if err == nil {
		*d = parsed
	}
	return err
}

func (d Day) utc() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }
