package intake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
)

// tombstones are a person's tombstones as they were read.
type tombstones struct {
	set    timeline.Tombstones
	object string // "" where there are none
}

// loadTombstones reads those that the digest names.
func (s *Stage) loadTombstones(ctx context.Context, j *uploadWork) (tombstones, error) {
	for try := range tries {
		object := j.held.Value.Held.Tombstones
		if object == "" {
			return tombstones{}, nil
		}
		plain, err := s.Objects.Get(ctx, j.uid, object)
		if errors.Is(err, blob.ErrNotFound) { // replaced between the two reads
			if err := s.lookAgain(ctx, j, try > 0); err != nil {
				return tombstones{}, err
			}
			continue
		}
		if err != nil {
			return tombstones{}, fmt.Errorf("read tombstones: %w", err)
		}
		set, err := timeline.DecodeTombstones(plain)
		if err != nil {
			return tombstones{}, fmt.Errorf("read tombstones: %w", decoded(err))
		}
		return tombstones{set, object}, nil
	}
	return tombstones{}, fmt.Errorf("read tombstones: %w", blob.ErrNotFound)
}

// lookAgain reads what is held as it is now, and makes the digest anew where it is
// not believed.
func (s *Stage) lookAgain(ctx context.Context, j *uploadWork, anew bool) (err error) {
	if j.held, err = s.Store.Holding(ctx, j.uid); err == nil && anew {
		j.held.Value.Held, err = s.Store.Digest(ctx, j.uid)
	}
	if err != nil {
		return fmt.Errorf("read what is held: %w", err)
	}
	return nil
}

// addTombstones adds the upload's deletions to the tombstones, with the digest: who
// is about to write a day by the former ones finds the digest another.
func (s *Stage) addTombstones(ctx context.Context, j *uploadWork, g tombstones) (tombstones, error) {
	for range tries {
		set, news, err := g.set.Add(j.deleted)
		if err != nil {
			return tombstones{}, tooManyDeletions(err)
		}
		if news == 0 {
			return g, nil
		}
		data := set.Encode()
		sum := sha256.Sum256(data)
		name, err := s.Objects.Replace(ctx, blob.KindTombstones, j.uid, record.TombstonesKey+"/"+hex.EncodeToString(sum[:])+"-"+unused(), data)
		if err != nil {
			return tombstones{}, err
		}
		digest := *j.held.Value.Held
		digest.Tombstones = name
		next := j.held.Value
		next.Held = &digest
		versions, err := s.Store.Batch(ctx, j.uid, s.Store.Cursors.ToPut(j.held.Key, j.held.Version, next),
			s.Store.Tombstones.ToPut(record.TombstonesKey, store.Any, record.Tombstones{Blob: name, Count: set.Len()})) // nobody writes them without the digest
		switch {
		case err == nil:
			j.held.Version, j.held.Value = versions[0], next
			return tombstones{set, name}, nil
		case !errors.Is(err, store.ErrConflict):
			return tombstones{}, fmt.Errorf("write tombstones: %w", err)
		}
		if err := s.lookAgain(ctx, j, false); err != nil {
			return tombstones{}, err
		}
		if g, err = s.loadTombstones(ctx, j); err != nil {
			return tombstones{}, err
		}
	}
	return tombstones{}, fmt.Errorf("write tombstones: %w", store.ErrConflict)
}
