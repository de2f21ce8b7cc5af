package intake

import (
	"context"
	"errors"
	"fmt"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record/held"
	"github.com/clarity-loop/clarity/services/store"
)

// fewDays is of how many days an upload is that is merged at once: their records are
// one batch with all else that ends it.
const fewDays = store.MaxBatch / 2

// mergeAtOnce merges an upload of few days, which deletes nothing, in one batch; it
// reports whether it did, or failed to. There is no plan to note: before the batch
// nothing is written that anybody sees, behind it the upload is merged.
//
// A deletion that comes meanwhile must not find its sample later. Who adds to the
// tombstones writes the digest of what is held with them, and so does this batch, under
// the version that named the tombstones: one of the two is first, and the other finds
// what it wrote.
func (s *Stage) mergeAtOnce(ctx context.Context, j *uploadWork) (done bool, err error) {
	if len(j.deleted) > 0 || len(j.days) > fewDays || j.planned() {
		return false, nil
	}
	for range tries {
		switch err := s.once(ctx, j); {
		case isFull(err):
			j.doubted = false
			return false, nil // one day costs no other: which it is, they tell one by one
		case !errors.Is(err, store.ErrConflict):
			return true, err
		}
		j.doubted = true // the digest may have misled, and so may what was believed of the windows
		if now, err := s.Store.Uploads.Get(ctx, j.uid, j.id); err != nil || now.Version != j.record.Version {
			break // another has it in hand
		}
	}
	return true, fmt.Errorf("merge at once: %w", store.ErrConflict)
}

// once tries it once. What it put of days goes with the retention where others were
// first.
func (s *Stage) once(ctx context.Context, j *uploadWork) error {
	if err := s.lookAgain(ctx, j, false); err != nil {
		return err
	}
	m := &merging{}
	var err error
	if m.tombstones, err = s.loadTombstones(ctx, j); err != nil {
		return err
	}
	if m.works, err = s.plan(ctx, j, m.tombstones.set); err != nil {
		return err
	}
	found, touched := sum(m.works)
	o := outcome{touched: touched, wrote: len(touched) > 0, digest: j.held.Value.Held, found: &found, first: !j.doubted}
	if o.days, err = s.placeDays(ctx, j, m); err != nil {
		return err
	}
	for _, day := range touched {
		if o.digest.Covers(day) {
			o.digest = o.digest.With(m.find(day).wrote)
		}
	}
	return s.commit(ctx, j, m, o)
}

// placeDays puts the days that change, and returns what is to be written of them;
// which of them begin and which are full is noted.
func (s *Stage) placeDays(ctx context.Context, j *uploadWork, m *merging) ([]store.Change, error) {
	j.began, j.full = nil, nil
	var changing []*dayWork
	for _, w := range m.works {
		if w.full {
			j.full = append(j.full, w.day)
		}
		if w.changed {
			changing = append(changing, w)
		}
		if w.changed && w.record.Version == 0 {
			j.began = append(j.began, w.day)
		}
	}
	changes := make([]store.Change, len(changing))
	at := map[health.Day]int{}
	for i, w := range changing {
		at[w.day] = i
	}
	return changes, s.eachDay(ctx, changing, func(ctx context.Context, w *dayWork) error {
		version := w.record.Version
		if w.gone {
			if err := s.reload(ctx, j, w, m.tombstones.set); err != nil {
				return err
			}
			if w.record.Version != version {
				return fmt.Errorf("read day: %w", store.ErrConflict)
			}
		}
		day, err := s.placeDay(ctx, j.uid, w)
		if err != nil {
			return err
		}
		w.became(day, held.Unread)
		changes[at[w.day]] = s.Store.Days.ToPut(w.day.String(), version, day)
		return nil
	})
}
