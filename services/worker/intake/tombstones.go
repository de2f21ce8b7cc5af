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
	set     timeline.Tombstones
	version int64 // of the record, 0 where there is none
	object  string
}

func (s *Stage) loadTombstones(ctx context.Context, uid string) (tombstones, error) {
	for range tries {
		stored, err := s.Store.Tombstones.Get(ctx, uid, record.TombstonesKey)
		if errors.Is(err, store.ErrNotFound) {
			return tombstones{}, nil
		}
		if err != nil {
			return tombstones{}, fmt.Errorf("read tombstones: %w", err)
		}
		plain, err := s.Objects.Get(ctx, uid, stored.Value.Blob)
		if errors.Is(err, blob.ErrNotFound) {
			continue // replaced between the two reads
		}
		if err != nil {
			return tombstones{}, fmt.Errorf("read tombstones: %w", err)
		}
		set, err := timeline.DecodeTombstones(plain)
		if err != nil {
			return tombstones{}, fmt.Errorf("read tombstones: %w", decoded(err))
		}
		return tombstones{set, stored.Version, stored.Value.Blob}, nil
	}
	return tombstones{}, fmt.Errorf("read tombstones: %w", blob.ErrNotFound)
}

// addTombstones adds the upload's deletions to the tombstones. It is counted in the
// cursors: who merges at once sees that the set has grown.
func (s *Stage) addTombstones(ctx context.Context, j *uploadWork, g tombstones) (tombstones, error) {
	for range tries {
		set, news, err := g.set.Add(j.deleted)
		if err != nil {
			return tombstones{}, tooManyDeletions(err)
		}
		if news == 0 {
			return g, nil
		}
		cursors, err := s.Store.Synced(ctx, j.uid)
		if err != nil {
			return tombstones{}, fmt.Errorf("read cursors: %w", err)
		}
		cursors.Value.Buried, cursors.Value.NoneBuried = cursors.Value.Buried+1, false
		data := set.Encode()
		sum := sha256.Sum256(data)
		name, err := s.Objects.Replace(ctx, blob.KindTombstones, j.uid, record.TombstonesKey+"/"+hex.EncodeToString(sum[:])+"-"+unused(), data)
		if err != nil {
			return tombstones{}, err
		}
		versions, err := s.Store.Batch(ctx, j.uid,
			s.Store.Tombstones.ToPut(record.TombstonesKey, g.version, record.Tombstones{Blob: name, Count: set.Len()}),
			s.Store.Cursors.ToPut(cursors.Key, cursors.Version, cursors.Value))
		switch {
		case err == nil:
			return tombstones{set, versions[0], name}, nil
		case !errors.Is(err, store.ErrConflict):
			return tombstones{}, fmt.Errorf("write tombstones: %w", err)
		}
		if g, err = s.loadTombstones(ctx, j.uid); err != nil {
			return tombstones{}, err
		}
	}
	return tombstones{}, fmt.Errorf("write tombstones: %w", store.ErrConflict)
}
