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
	"github.com/clarity-loop/clarity/services/vault"
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

// Blobs are what is swept; a blob.Store is one.
type Blobs interface {
	Delete(ctx context.Context, name string, generation int64) error
	List(ctx context.Context, prefix, after string, limit int) ([]blob.Info, error)
}

// A Sweeper removes what has served its time.
type Sweeper struct {
	blobs Blobs
	store *store.Store
	namer vault.Namer
	now   func() time.Time
}

// New is a Sweeper over the blobs and the records that refer to them. The namer
// is whose pseudonyms the objects' names have.
func New(blobs Blobs, records *store.Store, namer vault.Namer, now func() time.Time) *Sweeper {
	return &Sweeper{blobs, records, namer, now}
}

// A sweep is one look at everything.
type sweep struct {
	*Sweeper
	names  vault.Names
	people map[string]string // uids by pseudonym
}

// begin finds out who there is. Whoever comes later has no object that is old
// enough to go.
func (s *Sweeper) begin(ctx context.Context) (*sweep, error) {
	w := &sweep{s, vault.NewNames(s.namer), map[string]string{}}
	err := s.store.EachPerson(ctx, func(uid string) error {
		name, err := s.namer.Pseudonym(ctx, uid)
		w.people[name] = uid
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list people: %w", err)
	}
	return w, nil
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
	w, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	var faults []error
	for _, kind := range blob.PersonKinds() {
		n, err := s.remove(ctx, kind+"/", w.over)
		removed += n
		if err != nil {
			faults = append(faults, fmt.Errorf("sweep %s: %w", kind, err))
		}
	}
	n, err := s.remove(ctx, blob.Checkpoints, func(_ context.Context, info blob.Info) (bool, error) {
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

// remove removes the objects below the prefix whose time is over.
func (s *Sweeper) remove(ctx context.Context, prefix string, over func(context.Context, blob.Info) (bool, error)) (removed int, err error) {
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
				if err = s.blobs.Delete(ctx, info.Name, info.Generation); err == nil {
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
func (s *sweep) over(ctx context.Context, info blob.Info) (bool, error) {
	age := s.now().Sub(info.Created)
	kind, name, rest, ok := blob.SplitPerson(info.Name)
	if !ok || age < Former {
		return false, nil
	}
	uid, key, err := s.belongs(ctx, kind, name, rest)
	if err != nil {
		return false, err
	}
	r, err := s.reference(ctx, kind, uid, key, info.Name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return age >= Orphans, nil
	case errors.Is(err, keyring.ErrDestroyed): // by what the keyring knows, which may be a copy: the record decides
		_, destroyed, err := s.store.Life(ctx, uid)
		return destroyed && age >= Orphans, err
	case err != nil:
		return false, err
	case kind == blob.KindUploads && r.name != info.Name: // nothing takes the place of a body: it is one that came again
		return age >= Orphans, nil
	case r.name != info.Name:
		return s.now().Sub(r.updated) >= Former, nil
	case kind == blob.KindUploads:
		return s.served(ctx, uid, r)
	default:
		return false, nil
	}
}

// belongs is whose object it is, and the key of the record behind it. One that is
// named by no pseudonym that anybody has is of a release before, or of who has
// been erased: nobody has records under that name then.
func (s *sweep) belongs(ctx context.Context, kind, name, rest string) (uid, key string, err error) {
	if uid, is := s.people[name]; is {
		key, err = s.names.Key(ctx, kind, uid, rest)
		return uid, key, err
	}
	key, _, _ = strings.Cut(rest, "/")
	return name, key, nil
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

// reference reads the record of the key, behind the object of a name.
func (s *sweep) reference(ctx context.Context, kind, uid, key, name string) (reference, error) {
	switch kind {
	case blob.KindUploads:
		r, err := s.store.Uploads.Get(ctx, uid, key)
		return reference{r.Value.Blob, r.Updated, key, r.Version, r.Value.State}, err
	case blob.KindDays:
		r, err := s.store.Days.Get(ctx, uid, key)
		return reference{name: r.Value.Chunk, updated: r.Updated}, err
	case blob.KindExports:
		r, err := s.store.Exports.Get(ctx, uid, key)
		for _, part := range r.Value.Parts {
			if part.Object == name {
				return reference{name: part.Object, updated: r.Updated}, err
			}
		}
		return reference{updated: r.Updated}, err
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
