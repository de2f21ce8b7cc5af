package intake

import (
	"context"

	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/timeline"
)

// roomFor is how many samples of days an upload may hold from the plan until they
// are written. What a phone sends of today and the days before is far less, and its
// days are read once. Of an import of one type each sample may be of another day, of
// which each holds all that came before: these are let go of, and read again when it
// is their turn to be written, a few at a time.
const roomFor = 20_000

// settle lets go of the day's contents where there is no room to keep them.
func (j *uploadWork) settle(w *dayWork) {
	if w.roomy || w.gone {
		return
	}
	takes := int64(len(w.chunk.Samples) + len(w.add))
	if w.roomy = j.room.Add(-takes) >= 0; !w.roomy {
		j.room.Add(takes)
		w.letGo()
	}
}

// letGo forgets what the day holds, but not its version, and whether it changes.
func (w *dayWork) letGo() {
	w.gone = true
	w.record.Value, w.chunk, w.merged = record.Day{}, timeline.Chunk{}, timeline.Chunk{}
}

// bury brings the day up to the tombstones, where they grew, which is all that is
// asked of it. The set only grows: as large is equal.
func (s *Stage) bury(ctx context.Context, j *uploadWork, w *dayWork, tombstones timeline.Tombstones) error {
	if w.tombstones == tombstones.Len() {
		return nil
	}
	if w.gone {
		return s.reload(ctx, j, w, tombstones)
	}
	return w.merge(tombstones)
}

// reload reads the day as it is now, and merges into that.
func (s *Stage) reload(ctx context.Context, j *uploadWork, w *dayWork, tombstones timeline.Tombstones) error {
	if err := s.loadDay(ctx, j.uid, w); err != nil {
		return err
	}
	w.gone = false
	return w.merge(tombstones)
}
