package timeline

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/series"
)

// MaxTombstones is the most deletions of one person.
const MaxTombstones = 2_000_000

// Tombstones is a person's set of deleted uuids. It only grows: a deleted
// sample never comes back, and may be deleted before it came. The zero value is
// the empty set.
type Tombstones struct {
	sorted []health.UUID
}

// Has says whether the uuid is deleted.
func (t Tombstones) Has(uuid health.UUID) bool {
	if len(t.sorted) == 0 {
		return false
	}
	_, found := slices.BinarySearchFunc(t.sorted, uuid, compareUUID)
	return found
}

// forbid says whether the sample is deleted, or what it is a series of.
func (t Tombstones) forbid(s *health.Sample) bool {
	if len(t.sorted) == 0 {
		return false
	}
	if t.Has(s.UUID) {
		return true
	}
	parent, ok := series.ParentOf(s)
	return ok && t.Has(parent)
}

func compareUUID(a, b health.UUID) int { return bytes.Compare(a[:], b[:]) }

// Len counts the set.
func (t Tombstones) Len() int { return len(t.sorted) }

// Add is the set with the uuids in it, and how many of them are new. The error
// is ErrFull.
func (t Tombstones) Add(uuids []health.UUID) (Tombstones, int, error) {
	all := slices.Concat(t.sorted, uuids)
	slices.SortFunc(all, compareUUID)
	all = slices.Compact(all)
	if len(all) > MaxTombstones {
		return t, 0, fmt.Errorf("add tombstones: %w: more than %d", ErrFull, MaxTombstones)
	}
	return Tombstones{all}, len(all) - len(t.sorted), nil
}

// Encode is a function of the set: equal sets, equal bytes.
func (t Tombstones) Encode() []byte {
	ids := make([]byte, 0, 16*len(t.sorted))
	for i := range t.sorted {
		ids = append(ids, t.sorted[i][:]...)
	}
	return seal(kindTombstones, ids, nil)
}

// DecodeTombstones reads what Encode wrote. The error is ErrDamaged, or ErrNewer.
func DecodeTombstones(data []byte) (Tombstones, error) {
	ids, rest, err := unseal(kindTombstones, data)
	switch {
	case err != nil:
		return Tombstones{}, fmt.Errorf("decode tombstones: %w", err)
	case len(rest) != 0 || len(ids) > 16*MaxTombstones:
		return Tombstones{}, fmt.Errorf("decode tombstones: %w", ErrDamaged)
	}
	t := Tombstones{make([]health.UUID, len(ids)/16)}
	for i := range t.sorted {
		copy(t.sorted[i][:], ids[16*i:])
		if i > 0 && compareUUID(t.sorted[i-1], t.sorted[i]) >= 0 {
			return Tombstones{}, fmt.Errorf("decode tombstones: %w: they are not in order", ErrDamaged)
		}
	}
	return t, nil
}
