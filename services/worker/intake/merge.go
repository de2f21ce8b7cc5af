package intake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/held"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
)

const (
	// parallel is how many days are loaded or written at a time: their syncs
	// to disk share one commit.
	parallel = 8
	// tries is how often a compare-and-set is tried before the message waits.
	tries = 8
)

// A dayWork is one day that the upload may change.
type dayWork struct {
	day        health.Day
	add        []health.Sample
	hint       *held.Day // as the digest has the day, until it is loaded
	record     store.Record[record.Day]
	chunk      timeline.Chunk    // as it is stored
	contents   map[string][]byte // of the upload's series, by digest
	put        map[string]string // the objects of those that are put, by digest
	merged     timeline.Chunk
	stats      timeline.Stats
	tombstones int            // size of the tombstones that merged is less of
	input      string         // what analyses measure of it, as it is stored
	begins     health.Instant // nothing of the day was or is earlier, as far as it was seen
	wrote      held.Day       // as this work wrote it last
	replaced   []int64        // the versions that it did so over
	stirs      bool           // by that an analysis is another
	changed    bool           // merged is not what is stored
	full       bool           // there was no room for what was to add
	began      bool           // there was no record of the day before
	roomy      bool           // what is stored and merged is kept until it is written
	gone       bool           // what is stored and merged was let go of
}

// A merging is an upload's days, on the way to what the tombstones leave of them.
type merging struct {
	works      []*dayWork
	tombstones tombstones
}

// merge brings the days up to date and the upload to its end: as often as the
// tombstones grow before both are done. A deletion that comes between must not find
// its sample later.
func (s *Stage) merge(ctx context.Context, j *uploadWork) error {
	m, err := s.prepare(ctx, j)
	if err != nil {
		return err
	}
	for range tries {
		if err := s.write(ctx, j, m); err != nil {
			return err
		}
		grew, err := s.finish(ctx, j, m)
		if err != nil || !grew {
			return err
		}
		if m.tombstones, err = s.loadTombstones(ctx, j); err != nil {
			return err
		}
	}
	return fmt.Errorf("merge: %w", store.ErrConflict)
}

// prepare finds which days the upload changes, and adds its deletions to the tombstones.
func (s *Stage) prepare(ctx context.Context, j *uploadWork) (m *merging, err error) {
	if len(j.record.Value.Days) > 0 { // who has noted them may still be writing them
		if err := s.take(ctx, j, j.taken...); err != nil {
			return nil, err
		}
	}
	if j.held, err = s.Store.Holding(ctx, j.uid); err != nil {
		return nil, fmt.Errorf("read what is held: %w", err)
	}
	m = &merging{}
	if m.tombstones, err = s.loadTombstones(ctx, j); err != nil {
		return nil, err
	}
	buried, news, err := m.tombstones.set.Add(j.deleted)
	if err != nil {
		return nil, tooManyDeletions(err)
	}
	if m.works, err = s.plan(ctx, j, buried); err != nil {
		return nil, err
	}
	j.began = slices.Clone(j.record.Value.Days) // a call before may have begun any of them
	if err := s.notePlan(ctx, j, m.works, news); err != nil {
		return nil, err
	}
	if m.tombstones, err = s.addTombstones(ctx, j, m.tombstones); err != nil {
		return nil, err
	}
	m.works, err = s.search(ctx, j, m.works, m.tombstones.set)
	return m, err
}

// write writes each day that changes.
func (s *Stage) write(ctx context.Context, j *uploadWork, m *merging) error {
	if err := s.noteDays(ctx, j, m.works, m.tombstones.set); err != nil {
		return err
	}
	if err := s.eachDay(ctx, m.works, func(ctx context.Context, w *dayWork) error { return s.apply(ctx, j, w, m.tombstones.set) }); err != nil {
		return err
	}
	full := map[health.Day]bool{}
	for _, day := range j.full {
		full[day] = true
	}
	for _, w := range m.works {
		if w.began {
			j.began = append(j.began, w.day)
		}
		if w.full {
			full[w.day] = true
		}
	}
	j.full = slices.Sorted(maps.Keys(full))
	return nil
}

// plan computes what the upload does to which days, and writes nothing.
func (s *Stage) plan(ctx context.Context, j *uploadWork, tombstones timeline.Tombstones) ([]*dayWork, error) {
	j.room.Store(int64(s.room))
	suspects, err := s.suspects(ctx, j)
	if err != nil {
		return nil, err
	}
	for day := range j.days {
		suspects[day] = 0
	}
	works := make([]*dayWork, 0, len(suspects))
	for _, day := range slices.Sorted(maps.Keys(suspects)) {
		works = append(works, &dayWork{day: day, add: j.days[day], contents: j.envelope.Series, hint: j.hint(day), begins: held.Never})
	}
	return works, s.load(ctx, j, works, tombstones)
}

func (s *Stage) load(ctx context.Context, j *uploadWork, works []*dayWork, tombstones timeline.Tombstones) error {
	return s.eachDay(ctx, works, func(ctx context.Context, w *dayWork) error {
		if err := s.reload(ctx, j, w, tombstones); err != nil {
			return err
		}
		j.settle(w)
		return nil
	})
}

// search looks for the deleted again, now that the tombstones are written:
// another worker may have added them since the plan was made. One that adds
// them from now on will find that the tombstones moved.
func (s *Stage) search(ctx context.Context, j *uploadWork, works []*dayWork, tombstones timeline.Tombstones) ([]*dayWork, error) {
	suspects, err := s.suspects(ctx, j)
	if err != nil {
		return nil, err
	}
	known := map[health.Day]*dayWork{}
	for _, w := range works {
		known[w.day] = w
	}
	var stale []*dayWork
	for day, version := range suspects {
		w := known[day]
		switch {
		case w == nil:
			w = &dayWork{day: day, begins: held.Never}
			works = append(works, w)
		case w.record.Version == version:
			continue
		}
		stale = append(stale, w)
	}
	return works, s.load(ctx, j, stale, tombstones)
}

// suspects are the days that may hold deleted samples, with the versions of
// their records.
func (s *Stage) suspects(ctx context.Context, j *uploadWork) (map[health.Day]int64, error) {
	days := map[health.Day]int64{}
	for after := ""; len(j.deleted) > 0; {
		records, err := s.Store.Days.List(ctx, j.uid, store.Query{After: after, Limit: store.MaxLimit})
		if err != nil {
			return nil, fmt.Errorf("list days: %w", err)
		}
		for _, r := range records {
			after = r.Key
			if !slices.ContainsFunc(j.deleted, func(u health.UUID) bool { return timeline.MayHold(r.Value.Filter, u) }) {
				continue
			}
			day, err := health.ParseDay(r.Key)
			if err != nil {
				return nil, fmt.Errorf("list days: %w", err)
			}
			days[day] = r.Version
		}
		if len(records) < store.MaxLimit {
			break
		}
	}
	return days, nil
}

// planned says whether a call before has noted a plan.
func (j *uploadWork) planned() bool {
	u := &j.record.Value
	return len(u.Days) > 0 || u.Added+u.Replaced+u.Duplicates+u.Deleted > 0
}

// sum is what is found in all of the days, and which of them change.
func sum(works []*dayWork) (total timeline.Stats, days []health.Day) {
	for _, w := range works {
		total.Added += w.stats.Added
		total.Replaced += w.stats.Replaced
		total.Duplicates += w.stats.Duplicates
		if w.changed {
			days = append(days, w.day)
		}
	}
	return total, days
}

// notePlan writes down what only the first of several calls can know.
func (s *Stage) notePlan(ctx context.Context, j *uploadWork, works []*dayWork, deleted int) error {
	if j.planned() {
		return nil
	}
	total, days := sum(works)
	if len(days) == 0 && total.Added+total.Replaced+total.Duplicates+deleted == 0 {
		return nil
	}
	return s.mark(ctx, j, func(u *record.Upload) {
		u.State, u.Days, u.Added, u.Replaced, u.Duplicates, u.Deleted = record.UploadReceived, days, total.Added, total.Replaced, total.Duplicates, deleted
	}, j.taken...)
}

// noteDays writes down which days are about to change that the plan does not name:
// others wrote meanwhile. Who finds them changed after a crash cannot tell by whom.
func (s *Stage) noteDays(ctx context.Context, j *uploadWork, works []*dayWork, tombstones timeline.Tombstones) error {
	days := map[health.Day]bool{}
	for _, day := range j.record.Value.Days {
		days[day] = true
	}
	for _, w := range works {
		if err := s.bury(ctx, j, w, tombstones); err != nil {
			return err
		}
		j.settle(w)
		if w.changed {
			days[w.day] = true
		}
	}
	if len(days) == len(j.record.Value.Days) {
		return nil
	}
	return s.mark(ctx, j, func(u *record.Upload) { u.State, u.Days = record.UploadReceived, slices.Sorted(maps.Keys(days)) })
}

func (s *Stage) eachDay(ctx context.Context, works []*dayWork, do func(context.Context, *dayWork) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, w := range works {
		group.Go(func() error { return do(ctx, w) })
	}
	return group.Wait()
}

// loadDay reads the day's record and chunk; neither need be there. Where the digest
// is not of the record, it is no harm: nothing is written under another version.
func (s *Stage) loadDay(ctx context.Context, uid string, w *dayWork) error {
	for range tries {
		stored, err := s.dayRecord(ctx, uid, w)
		if errors.Is(err, store.ErrNotFound) {
			w.record, w.chunk = store.Record[record.Day]{}, timeline.Chunk{Day: w.day}
			return nil
		}
		if err != nil {
			return fmt.Errorf("read day: %w", err)
		}
		plain, err := s.Objects.Get(ctx, uid, stored.Value.Chunk)
		if errors.Is(err, blob.ErrNotFound) {
			continue // replaced between the two reads
		}
		if err != nil {
			return fmt.Errorf("read day: %w", err)
		}
		w.record = stored
		if w.chunk, err = timeline.Decode(plain); err != nil {
			return fmt.Errorf("read day: %w", decoded(err))
		}
		return nil
	}
	return fmt.Errorf("read day: %w", blob.ErrNotFound)
}

// dayRecord is the day's record, the first time as far as the digest has it. It has
// the references to series where there are any.
func (s *Stage) dayRecord(ctx context.Context, uid string, w *dayWork) (store.Record[record.Day], error) {
	hint := w.hint
	w.hint = nil
	switch {
	case hint == nil || hint.Series:
	case hint.Version == 0:
		return store.Record[record.Day]{}, store.ErrNotFound
	default:
		w.begins, w.input = min(w.begins, hint.Begins), hint.Input
		return store.Record[record.Day]{Key: w.day.String(), Version: hint.Version, Value: record.Day{Chunk: hint.Chunk, Digest: hint.Digest}}, nil
	}
	stored, err := s.Store.Days.Get(ctx, uid, w.day.String())
	if err == nil {
		there := stored.Value.Held(w.day, stored.Version)
		w.begins, w.input = min(w.begins, there.Begins), there.Input
	}
	return stored, err
}

// decoded is an error of decoding: a fault of its own class where a later
// release wrote what is there.
func decoded(err error) error {
	if errors.Is(err, timeline.ErrNewer) {
		return &fault.Error{Room: "timeline", Op: "decode", Class: fault.Newer, Cause: err}
	}
	return err
}

func (w *dayWork) merge(tombstones timeline.Tombstones) (err error) {
	w.merged, w.stats, err = timeline.Merge(w.chunk, w.add, tombstones)
	if errors.Is(err, timeline.ErrFull) {
		return w.refuse(tombstones, err)
	}
	w.tombstones = tombstones.Len()
	// A day that was ever touched has a chunk, so that adding and deleting end
	// the same as deleting and adding.
	w.changed = w.record.Version == 0 && !w.full || w.stats.Changed()
	return err
}

// refuse leaves out what was to add to a day that has no room for it: what is
// deleted of the day still goes, and no other day notices.
func (w *dayWork) refuse(tombstones timeline.Tombstones, err error) error {
	if len(w.add) == 0 {
		return err // it is not what was to add
	}
	w.add, w.full = nil, true
	return w.merge(tombstones)
}

// isFull says whether an error is of a bound of the timeline or of a document.
func isFull(err error) bool {
	return errors.Is(err, timeline.ErrFull) || errors.Is(err, store.ErrTooLarge)
}

// tooManyDeletions turns the bound of the tombstones into a failure.
func tooManyDeletions(err error) error {
	if isFull(err) {
		return &failure{deletionsFull}
	}
	return err
}

// apply writes the day if it changes, as often as others change it first.
func (s *Stage) apply(ctx context.Context, j *uploadWork, w *dayWork, tombstones timeline.Tombstones) error {
	changed := false
	defer func() {
		w.changed = changed
		j.settle(w)
	}()
	for range tries {
		if err := s.bury(ctx, j, w, tombstones); err != nil {
			return err
		}
		if w.changed && w.gone {
			if err := s.reload(ctx, j, w, tombstones); err != nil {
				return err
			}
		}
		if !w.changed {
			return nil
		}
		begins := w.record.Version == 0
		switch err := s.writeDay(ctx, j, w); {
		case err == nil:
			changed, w.began = true, w.began || begins
			return nil
		case isFull(err):
			if err := w.refuse(tombstones, err); err != nil {
				return err
			}
			continue
		case !errors.Is(err, store.ErrConflict):
			return err
		}
		if err := s.reload(ctx, j, w, tombstones); err != nil {
			return err
		}
	}
	return fmt.Errorf("write day: %w", store.ErrConflict)
}

// writeDay puts the chunk and has the record refer to it. The former is left to
// the retention: who has just read the record still finds it. The day is written under
// the version of the upload's record, too: once another call has taken it, this one
// writes no day. What it found may hold what was deleted since then, and of what it
// wrote behind the upload's end nobody would tell.
func (s *Stage) writeDay(ctx context.Context, j *uploadWork, w *dayWork) error {
	day, err := s.placeDay(ctx, j.uid, w)
	if err != nil {
		return err
	}
	versions, err := s.Store.Batch(ctx, j.uid, s.Store.Days.ToPut(w.day.String(), w.record.Version, day), s.Store.Uploads.ToCheck(j.id, j.record.Version))
	if err != nil {
		return fmt.Errorf("write day: %w", err)
	}
	w.became(day, versions[0])
	w.record = store.Record[record.Day]{Key: w.day.String(), Version: versions[0], Value: record.Day{Chunk: day.Chunk, Digest: day.Digest, Series: day.Series}}
	w.chunk, w.changed = w.merged, false
	return nil
}

// became notes what the day is now.
func (w *dayWork) became(day record.Day, version int64) {
	w.replaced, w.wrote = append(w.replaced, w.record.Version), day.Held(w.day, version)
	w.stirs = w.stirs || w.record.Version == 0 || w.input == "" || w.input != w.wrote.Input
	w.begins, w.input = min(w.begins, w.wrote.Begins), w.wrote.Input
}

// placeDay puts what is merged of the day, and is the record that refers to it.
func (s *Stage) placeDay(ctx context.Context, uid string, w *dayWork) (record.Day, error) {
	data, digest, err := timeline.Encode(w.merged)
	if err != nil {
		return record.Day{}, err
	}
	placed, err := s.placeSeries(ctx, uid, w)
	if err != nil {
		return record.Day{}, err
	}
	name, err := s.Objects.Replace(ctx, blob.KindDays, uid, fmt.Sprintf("%s/%s-%s", w.day, digest, unused()), data)
	if err != nil {
		return record.Day{}, err
	}
	day := describe(w.merged, name, digest)
	day.Series = placed
	return day, nil
}
