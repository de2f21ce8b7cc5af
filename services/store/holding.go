package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/held"
)

// Holding is the person's Cursors with the digest of what is held of them: one
// document, read once for a merge and once for an analysis. Where there is no digest
// yet it is made of the records, and whoever writes the Cursors next, under the
// version that was read, writes it with them.
//
// The records of the days are the truth. Who writes one brings the digest up to date
// in the batch that asks for the analysis of the day, so that between the two it is
// of the day as it was. Who finds that it is not of the record's version reads the
// record; who is told to look again reads the records.
func (s *Store) Holding(ctx context.Context, uid string) (Record[record.Cursors], error) {
	found, err := s.Synced(ctx, uid)
	if err != nil || found.Value.Held != nil {
		return found, err
	}
	found.Value.Held, err = s.Digest(ctx, uid)
	return found, err
}

// Digest is made of the records, whatever the person's document has.
func (s *Store) Digest(ctx context.Context, uid string) (*held.Digest, error) {
	d, err := s.digest(ctx, uid)
	if err != nil {
		return nil, fmt.Errorf("make the digest of what is held: %w", err)
	}
	return d, nil
}

func (s *Store) digest(ctx context.Context, uid string) (*held.Digest, error) {
	d := &held.Digest{All: true}
	stones, err := s.Tombstones.Get(ctx, uid, record.TombstonesKey)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	d.Tombstones = stones.Value.Blob
	profile, err := s.Profiles.Get(ctx, uid, record.ProfileKey)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	d.Preferred = profile.Value.SourcePriority
	days, err := s.Days.List(ctx, uid, Query{Descending: true, Limit: held.Kept + 1})
	if err != nil {
		return nil, err
	}
	for _, r := range days {
		day, err := health.ParseDay(r.Key)
		if err != nil {
			return nil, err
		}
		d = d.With(r.Value.Held(day, r.Version))
	}
	return d, nil
}

// Preferring is the part of a Batch that has the digest say what the profile does,
// of the document as it was read. It writes the document also where there is no
// digest: one that is made meanwhile is of the profile before.
func (s *Store) Preferring(ctx context.Context, uid string, prefixes []string) (Change, error) {
	found, err := s.Synced(ctx, uid)
	if err != nil {
		return Change{}, err
	}
	if found.Value.Held != nil {
		next := *found.Value.Held
		next.Preferred, found.Value.Held = prefixes, &next
	}
	return s.Cursors.ToPut(found.Key, found.Version, found.Value), nil
}

// StillHolding is the part of a Batch that demands that nothing of the person was
// merged, or steered otherwise, since the Cursors were read: what is made of the days
// that were read after them is written before anybody is asked to look at other days,
// or not at all. Who has no Cursors yet gets them, with no digest.
func (s *Store) StillHolding(read Record[record.Cursors]) Change {
	if read.Version != 0 {
		return s.Cursors.ToCheck(cursorsKey, read.Version)
	}
	read.Value.Held = nil
	return s.Cursors.ToPut(cursorsKey, 0, read.Value)
}
