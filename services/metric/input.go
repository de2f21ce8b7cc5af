package metric

import (
	"time"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/health"
)

// NewInput lays out a minute recording: which local day and which minute of
// the day each epoch is. worn is as long as the recording.
func NewInput(rec actigraphy.Recording, worn []bool) *Input {
	in := &Input{Recording: rec, Worn: worn, Clock: clock(rec), SleepSource: NoSleep}
	in.Days = days(rec, worn)
	return in
}

// clock walks the stretches of constant offset, so that a zone is looked up
// twice a window instead of at each epoch.
func clock(rec actigraphy.Recording) []int16 {
	minutes := make([]int16, len(rec.Values))
	for i := 0; i < len(minutes); {
		at := rec.At(i)
		_, end := at.ZoneBounds()
		minute := at.Hour()*60 + at.Minute()
		next := len(minutes)
		if !end.IsZero() && end.Before(rec.End()) {
			next = min(next, i+int((end.Sub(at)+time.Minute-1)/time.Minute))
		}
		for ; i < next; i++ {
			minutes[i] = int16(minute)
			if minute++; minute == actigraphy.MinutesPerDay {
				minute = 0
			}
		}
	}
	return minutes
}

func days(rec actigraphy.Recording, worn []bool) []Day {
	if len(rec.Values) == 0 {
		return nil
	}
	loc := rec.Start.Location()
	var days []Day
	for i := 0; i < len(rec.Values); {
		d := Day{Day: health.DayOf(health.InstantOf(rec.At(i)), loc), First: i}
		start, end := d.Day.Bounds(loc)
		d.Minutes = int((end - start) / 60_000)
		left := end.Time().Sub(rec.At(i))
		d.End = min(len(rec.Values), i+max(1, int((left+time.Minute-1)/time.Minute)))
		for ; i < d.End; i++ {
			if worn[i] {
				d.Worn++
			}
		}
		d.Valid = d.Worn >= actigraphy.ValidDayMinutes
		days = append(days, d)
	}
	return days
}

// ValidDays counts the days with enough wear.
func (in *Input) ValidDays() int {
	n := 0
	for _, d := range in.Days {
		if d.Valid {
			n++
		}
	}
	return n
}

// NeedActivity returns the error of a window without any activity, or with
// fewer valid days than least.
func (in *Input) NeedActivity(least int) error {
	if in.Recording.Kind == "" {
		return Lacking(NoSamples, "no steps, active energy or activity counts in the window")
	}
	if n := in.ValidDays(); n < least {
		return Lacking(TooFewValidDays, "%d valid days (at least %d worn minutes each) in the window, %d needed", n, actigraphy.ValidDayMinutes, least)
	}
	return nil
}

// Masked is the recording with the epochs missing that were not worn.
func (in *Input) Masked() actigraphy.Recording {
	rec := in.Recording
	missing := make([]bool, len(in.Worn))
	for i, w := range in.Worn {
		missing[i] = !w
	}
	rec.Missing = missing
	return rec
}
