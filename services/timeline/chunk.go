// Package timeline keeps a person's samples by local day.
//
// A Chunk is a set: the samples of one day, one of each uuid. Merging is the
// union of sets, less the deleted uuids. So the order in which uploads arrive, and
// how often, cannot matter: the same samples and deletions give the same Chunk,
// byte for byte.
//
// Of two samples of one uuid that differ in a field the day keeps one, by a rule
// that knows no order of arrival. Where they lie in two days (a phone sent it anew
// from another time zone, say), both days keep theirs; a View, which is how samples
// are read, shows one of them by the same rule: it is made of all the days that are
// looked at.
package timeline

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/clarity-loop/clarity/services/health"
)

// MaxSamples is the most samples of one day: two a second, and more than any
// watch records.
const MaxSamples = 200_000

// MaxSeries is the most series among them: many a minute's heartbeats.
const MaxSeries = 1000

// The sentinels of this package.
var (
	// ErrFull says that a day would hold more than MaxSamples or MaxSeries, a
	// chunk more than 64 MiB, or a person more than MaxTombstones deletions.
	ErrFull = errors.New("timeline: too much")
	// ErrDamaged says that bytes are no encoded chunk or tombstones.
	ErrDamaged = errors.New("timeline: damaged encoding")
	// ErrNewer says that a later release encoded them: they are to be left alone.
	ErrNewer = errors.New("timeline: encoded by a later release")
)

// A Chunk is the set of one local day's samples, distinct, by rising Compare.
// The zero Day without samples is the empty chunk of 1970-01-01.
type Chunk struct {
	Day     health.Day
	Samples []health.Sample
}

// Compare is the total order of samples: type, start, end, uuid, then every
// other field. It is 0 only for samples that agree in all of them.
func Compare(a, b *health.Sample) int {
	if c := strings.Compare(a.Type, b.Type); c != 0 {
		return c
	}
	if c := cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.End, b.End)); c != 0 {
		return c
	}
	if a.UUID != b.UUID {
		return slices.Compare(a.UUID[:], b.UUID[:])
	}
	return compareRest(a, b)
}

func compareRest(a, b *health.Sample) int {
	return cmp.Or(
		strings.Compare(a.Zone, b.Zone),
		cmp.Compare(math.Float64bits(a.Value), math.Float64bits(b.Value)),
		strings.Compare(a.Unit, b.Unit),
		cmp.Compare(math.Float64bits(a.OriginalValue), math.Float64bits(b.OriginalValue)),
		strings.Compare(a.OriginalUnit, b.OriginalUnit),
		strings.Compare(a.Source.BundleID, b.Source.BundleID),
		strings.Compare(a.Source.Name, b.Source.Name),
		strings.Compare(a.Source.ProductType, b.Source.ProductType),
		strings.Compare(a.Source.OSVersion, b.Source.OSVersion),
		compareBool(a.UserEntered, b.UserEntered),
		strings.Compare(a.Metadata, b.Metadata),
		strings.Compare(a.Raw, b.Raw),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// Stats counts what a Merge found.
type Stats struct {
	Added      int // new in the chunk
	Replaced   int // of those to add: took the place of another version of their uuid
	Duplicates int // of those to add: were there already, or twice, or a better version was
	Deleted    int // of those to add: a tombstone forbids them
	Removed    int // were in the chunk, a tombstone took them
}

// Changed says whether the chunk became another.
func (s Stats) Changed() bool { return s.Added+s.Replaced+s.Removed > 0 }

// Merge is the union of the chunk and the samples to add, one of each uuid that
// is added, less the deleted. It changes neither argument; add may have any order.
// A series goes with the sample that it is of. The error is ErrFull.
func Merge(c Chunk, add []health.Sample, deleted Tombstones) (Chunk, Stats, error) {
	var stats Stats
	news, replaced := newsOf(add, deleted, &stats), map[health.UUID]bool{}
	kept := make([]*health.Sample, 0, len(c.Samples))
	for i := range c.Samples {
		switch s := &c.Samples[i]; {
		case deleted.forbid(s):
			stats.Removed++
		case news.meet(s, replaced):
			kept = append(kept, s)
		}
	}
	come := news.coming(replaced, &stats)
	merged := Chunk{Day: c.Day, Samples: make([]health.Sample, 0, len(kept)+len(come))}
	for len(kept)+len(come) > 0 {
		from := &kept
		if len(kept) == 0 || len(come) > 0 && Compare(come[0], kept[0]) < 0 {
			from = &come
		}
		merged.Samples = append(merged.Samples, *(*from)[0])
		*from = (*from)[1:]
	}
	switch {
	case len(merged.Samples) > MaxSamples:
		return Chunk{}, Stats{}, fmt.Errorf("merge a day: %w: more than %d samples", ErrFull, MaxSamples)
	case textBytes(merged.Samples) > maxText:
		return Chunk{}, Stats{}, fmt.Errorf("merge a day: %w: more than %d bytes of text", ErrFull, maxText)
	case countSeries(merged.Samples) > MaxSeries:
		return Chunk{}, Stats{}, fmt.Errorf("merge a day: %w: more than %d series", ErrFull, MaxSeries)
	}
	return merged, stats, nil
}

// maxText leaves the numbers of MaxSamples their room in maxColumns.
const maxText = 40 << 20

// textBytes bounds the text that the samples' encoding holds.
func textBytes(samples []health.Sample) (total int) {
	var before entry
	for i := range samples {
		s := &samples[i]
		total += len(s.Metadata) + len(s.Raw)
		if now := (entry{s.Source.BundleID, s.Source.Name, s.Source.ProductType, s.Source.OSVersion}); now != before {
			total += len(now[0]) + len(now[1]) + len(now[2]) + len(now[3])
			before = now
		}
		if i == 0 || s.Type != samples[i-1].Type || s.OriginalUnit != samples[i-1].OriginalUnit || s.Zone != samples[i-1].Zone {
			total += len(s.Type) + len(s.Unit) + len(s.OriginalUnit) + len(s.Zone)
		}
	}
	return total
}

// Zone is the time zone that most samples were recorded in, the first by name
// where several were; "" for no samples.
func (c Chunk) Zone() string {
	counts := map[string]int{}
	for i := range c.Samples {
		counts[c.Samples[i].Zone]++
	}
	zone, most := "", 0
	for z, n := range counts {
		if n > most || n == most && z < zone {
			zone, most = z, n
		}
	}
	return zone
}
