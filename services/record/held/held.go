// Package held is a digest of what is kept of a person's days, in the one document
// that is read where each day's own would be. The days' records are the truth: a
// digest that differs from them is made anew where it is found to, and whoever
// changes a day brings the digest up to date in the batch that asks for its analysis.
package held

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
)

// Kept is of how many days a digest is, the newest with a record: two windows and
// what lies beside them.
const Kept = 16

// A Digest is what there is of a person's newest days, and which deletions there are.
type Digest struct {
	// Days are by rising date. There is no other with a record behind the first.
	Days []Day `json:"days"`
	// All says that there is none before the first, either.
	All bool `json:"all,omitempty"`
	// Tombstones are the object of the person's deletions, "" where there are none.
	// Each state of them has another.
	Tombstones string `json:"tombstones,omitempty"`
	// Preferred are the product type prefixes of the profile, best first.
	Preferred []string `json:"preferred,omitempty"`
}

// A Day is what a window needs to know of a day before it reads its samples, and a
// merge to read them.
type Day struct {
	Day     health.Day `json:"day"`
	Version int64      `json:"version"` // of the record, or Unread
	Chunk   string     `json:"chunk"`   // its object, "" where there is none
	Digest  string     `json:"digest"`
	Measured
	Series bool `json:"series,omitempty"`
}

// Origin is the day in a Result's lineage, which tells of nothing that no Result is made of.
func (d Day) Origin() analysis.ChunkOrigin {
	return analysis.ChunkOrigin{Day: d.Day, Digest: cmp.Or(d.Input, d.Digest), Measured: d.Input}
}

// Measured is of those samples of a day that analyses measure.
type Measured struct {
	// Input is a digest of them, Nothing or Empty; "" of a release before, which told
	// of all samples.
	Input   string         `json:"input,omitempty"`
	Zone    string         `json:"zone"`
	Samples int            `json:"samples"`
	Begins  health.Instant `json:"begins"` // nothing is earlier
}

// The Input of a day that has samples, none of which is measured, and of one that
// has none any more.
const (
	Nothing = "nothing"
	Empty   = "empty"
)

// Unread is the version of a day that was written in one batch with the digest: which
// it is the record says.
const Unread int64 = -2

// Never is when a day begins that has no samples, and Ever when one does of which
// that is not known.
const (
	Never = health.Instant(math.MaxInt64)
	Ever  = health.Instant(math.MinInt64)
)

// Covers says whether every day from then on that has a record is in the digest.
func (d *Digest) Covers(first health.Day) bool {
	return d.All || len(d.Days) > 0 && d.Days[0].Day <= first
}

// Find is the day, if it is in the digest.
func (d *Digest) Find(day health.Day) (Day, bool) {
	i, found := slices.BinarySearchFunc(d.Days, day, func(in Day, of health.Day) int { return int(in.Day) - int(of) })
	if !found {
		return Day{}, false
	}
	return d.Days[i], true
}

// Before is the last day before the one that has a record; known says whether the
// digest tells.
func (d *Digest) Before(day health.Day) (last health.Day, found, known bool) {
	for _, in := range slices.Backward(d.Days) {
		if in.Day < day {
			return in.Day, true, true
		}
	}
	return 0, false, d.All
}

// With is the digest with another state of a day, which need not have been in it.
func (d *Digest) With(day Day) *Digest {
	next := *d
	next.Days = slices.Clone(d.Days)
	i, found := slices.BinarySearchFunc(next.Days, day.Day, func(in Day, of health.Day) int { return int(in.Day) - int(of) })
	switch {
	case found:
		next.Days[i] = day
	case d.Covers(day.Day):
		next.Days = slices.Insert(next.Days, i, day)
	}
	if more := len(next.Days) - Kept; more > 0 {
		next.Days, next.All = next.Days[more:], false
	}
	return &next
}

// Zone is where most samples of the days from start to end were recorded, the latest
// of equals; UTC where no day tells a zone that is known here.
func Zone(days []Day, start, end health.Day) *time.Location {
	days = slices.DeleteFunc(slices.Clone(days), func(d Day) bool { return d.Day < start || d.Day > end })
	samples := map[string]int{}
	for _, d := range days {
		samples[d.Zone] += d.Samples
	}
	best, most := time.UTC, 0
	for _, d := range slices.Backward(days) {
		if n := samples[d.Zone]; n > most {
			if loc, err := health.LoadZone(d.Zone); err == nil {
				best, most = loc, n
			}
		}
	}
	return best
}
