// Package retention removes what has served its time: uploads, body and record,
// after they were merged and kept long enough for a replay, objects that a crash left
// behind without a record that refers to them, and old checkpoints of shards.
package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/points"
	"github.com/clarity-loop/clarity/services/store"
)

// The times things are kept.
const (
	// Uploads is how long an upload is kept once it is merged, or could not be read:
	// its body for a replay, its record so that a phone can ask for it. Then the id
	// is as new.
	Uploads = 31 * 24 * time.Hour
	// Checkpoints is how long the newest checkpoint of a shard is kept: a run
	// that was stopped for longer begins again.
	Checkpoints = 30 * 24 * time.Hour
	// Orphans is how long an object without a record is kept: far longer than
	// any writer takes from putting an object to recording it.
	Orphans = 24 * time.Hour
	// Former is how long an object is kept that another has taken the place of:
	// who has read the record a moment ago, as an export or a backup does, still
	// finds it.
	Former = time.Hour
)

const page = 500

// A Sweeper removes what has served its time.
type Sweeper struct {
	blobs blob.Store
	store *store.Store
	now   func() time.Time
}

// New is a Sweeper over the blobs and the records that refer to them.
func New(blobs blob.Store, records *store.Store, now func() time.Time) *Sweeper {
	return &Sweeper{blobs: blobs, store: records, now: now}
}

// Run sweeps at once and then every interval, until ctx is done. A sweep that
// fails is logged and left to the next: nothing waits for it.
func (s *Sweeper) Run(ctx context.Context, every time.Duration, log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		removed, err := s.Sweep(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("retention sweep", "stage", "retention", "removed", removed, "err", err)
		case removed > 0:
			log.Info("retention sweep", "stage", "retention", "removed", removed)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Sweep removes every object whose time is over and returns how many it were.
// An acked upload that is not merged yet is never removed, however old. What
// cannot be looked at, or removed, is left, and costs no other: the error is
// about all of it.
func (s *Sweeper) Sweep(ctx context.Context) (removed int, err error) {
	var faults []error
	for _, kind := range blob.PersonKinds() {
		n, err := s.sweep(ctx, kind+"/", s.over)
		removed += n
		if err != nil {
			faults = append(faults, fmt.Errorf("sweep %s: %w", kind, err))
		}
	}
	n, err := s.sweep(ctx, blob.Checkpoints, func(_ context.Context, info blob.Info) (bool, error) {
		return s.now().Sub(info.Created) >= Checkpoints, nil
	})
	if err != nil {
		faults = append(faults, fmt.Errorf("sweep checkpoints: %w", err))
	}
	return removed + n, errors.Join(faults...)
}

// skipped says what a sweep has left because of errors, and the first of them.
type skipped struct {
	objects int
	first   error
}

func (s *skipped) note(err error) {
	if s.objects++; s.first == nil {
		s.first = err
	}
}

func (s *skipped) err() error {
	if s.objects == 0 {
		return nil
	}
	return fmt.Errorf("%d objects are left as they are, the first: %w", s.objects, s.first)
}

// sweep removes the objects below the prefix whose time is over.
func (s *Sweeper) sweep(ctx context.Context, prefix string, over func(context.Context, blob.Info) (bool, error)) (removed int, err error) {
	var left skipped
	for after := ""; ; {
		infos, err := s.blobs.List(ctx, prefix, after, page)
		if err != nil {
			return removed, errors.Join(err, left.err())
		}
		if len(infos) == 0 {
			return removed, left.err()
		}
		for _, info := range infos {
			is, err := over(ctx, info)
			if is && err == nil {
				if err = s.blobs.Delete(ctx, info.Name); err == nil {
					removed++
				}
			}
			if ctx.Err() != nil {
				return removed, ctx.Err()
			}
			if err != nil {
				left.note(err)
			}
		}
		after = infos[len(infos)-1].Name
	}
}

// over reports whether the object's time is over.
func (s *Sweeper) over(ctx context.Context, info blob.Info) (bool, error) {
	age := s.now().Sub(info.Created)
	kind, uid, rest, ok := blob.SplitPerson(info.Name)
	if !ok || age < Former {
		return false, nil
	}
	r, err := s.reference(ctx, kind, uid, rest, info.Name)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, keyring.ErrDestroyed):
		return age >= Orphans, nil
	case err != nil:
		return false, err
	case r.name != info.Name:
		return s.now().Sub(r.updated) >= Former, nil
	case kind == blob.KindUploads:
		return s.served(ctx, uid, r)
	default:
		return false, nil
	}
}

// served removes the record of an upload whose time is over. Its body goes behind
// it: without a record it would go a day later.
func (s *Sweeper) served(ctx context.Context, uid string, r reference) (bool, error) {
	if !Served(r.state, r.updated, s.now()) {
		return false, nil
	}
	err := s.store.Uploads.Delete(ctx, uid, r.key, r.version)
	if errors.Is(err, store.ErrConflict) { // it is in use again
		return false, nil
	}
	return err == nil, err
}

// Served says whether the time is over of an upload that has come to the state then.
func Served(state record.UploadState, then, now time.Time) bool {
	return (state == record.UploadMerged || state == record.UploadFailed) && now.Sub(then) >= Uploads
}

// A reference is what the record behind an object's name says.
type reference struct {
	name    string // of the object that it refers to
	updated time.Time
	key     string
	version int64
	state   record.UploadState // of an upload
}

// reference reads the record behind a name, whose end is rest.
func (s *Sweeper) reference(ctx context.Context, kind, uid, rest, name string) (reference, error) {
	key, _, _ := strings.Cut(rest, "/")
	switch kind {
	case blob.KindUploads:
		r, err := s.store.Uploads.Get(ctx, uid, key)
		return reference{r.Value.Blob, r.Updated, key, r.Version, r.Value.State}, err
	case blob.KindDays:
		r, err := s.store.Days.Get(ctx, uid, key)
		return reference{name: r.Value.Chunk, updated: r.Updated}, err
	case blob.KindSeries:
		r, err := s.store.Days.Get(ctx, uid, key)
		if slices.ContainsFunc(r.Value.Series, func(s points.Reference) bool { return s.Blob == name }) {
			return reference{name: name}, err
		}
		return reference{updated: r.Updated}, err
	default:
		r, err := s.store.Tombstones.Get(ctx, uid, record.TombstonesKey)
		return reference{name: r.Value.Blob, updated: r.Updated}, err
	}
}
