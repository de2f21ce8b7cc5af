package timeline

import (
	"cmp"
	"slices"

	"github.com/clarity-loop/clarity/services/health"
)

// A uuid is the identity of a sample. Where one comes in several versions, which
// HealthKit never makes but a phone's bug or another zone can, one is kept: the
// one that ends last, and of those the last in the total order. Which of them
// came first does not matter.

// supersedes says whether a takes the place of b, another version of its uuid.
func supersedes(a, b *health.Sample) bool {
	return cmp.Or(cmp.Compare(a.End, b.End), Compare(a, b)) > 0
}

// news are the samples that a merge adds, one of each uuid.
type news struct {
	sorted []*health.Sample
	byUUID map[health.UUID]*health.Sample
}

// newsOf takes one version of each uuid, and counts the others as duplicates.
func newsOf(add []health.Sample, deleted Tombstones, stats *Stats) news {
	n := news{byUUID: make(map[health.UUID]*health.Sample, len(add))}
	for i := range add {
		s := &add[i]
		if deleted.forbid(s) {
			stats.Deleted++
			continue
		}
		other, twice := n.byUUID[s.UUID]
		if twice {
			stats.Duplicates++
		}
		if !twice || supersedes(s, other) {
			n.byUUID[s.UUID] = s
		}
	}
	n.sorted = make([]*health.Sample, 0, len(n.byUUID))
	for _, s := range n.byUUID {
		n.sorted = append(n.sorted, s)
	}
	slices.SortFunc(n.sorted, Compare)
	return n
}

// meet decides between what a day has and what is to be added of the same
// uuid: it says whether what is there stays, and forgets what does not come.
func (n news) meet(there *health.Sample, replaced map[health.UUID]bool) (stays bool) {
	s, met := n.byUUID[there.UUID]
	switch {
	case !met:
		return true
	case s != nil && supersedes(s, there):
		replaced[s.UUID] = true
		return false
	}
	n.byUUID[there.UUID] = nil // it is there already, or a better one is
	return true
}

// coming are those that come into the day, in order, and counts all.
func (n news) coming(replaced map[health.UUID]bool, stats *Stats) []*health.Sample {
	come := n.sorted[:0]
	for _, s := range n.sorted {
		switch {
		case n.byUUID[s.UUID] == nil:
			stats.Duplicates++
			continue
		case replaced[s.UUID]:
			stats.Replaced++
		default:
			stats.Added++
		}
		come = append(come, s)
	}
	return come
}

// Settled is the chunk with one version of each uuid: the days of the releases
// before hold several.
func (c Chunk) Settled() Chunk {
	best := make(map[health.UUID]*health.Sample, len(c.Samples))
	for i := range c.Samples {
		s := &c.Samples[i]
		if other, ok := best[s.UUID]; !ok || supersedes(s, other) {
			best[s.UUID] = s
		}
	}
	if len(best) == len(c.Samples) {
		return c
	}
	settled := Chunk{Day: c.Day, Samples: make([]health.Sample, 0, len(best))}
	for i := range c.Samples {
		if s := &c.Samples[i]; best[s.UUID] == s {
			settled.Samples = append(settled.Samples, *s)
		}
	}
	return settled
}
