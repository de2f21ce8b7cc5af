// Package retention removes what has served its time: raw uploads after they
// were merged and kept long enough for a replay, objects that a crash left
// behind without a record that refers to them, and old checkpoints of shards.
package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// The times things are kept.
const (
	// Uploads is how long a merged raw body is kept for replay.
	Uploads = 30 * 24 * time.Hour
	// Checkpoints is how long the newest checkpoint of a shard is kept: a run
	// that was stopped for longer begins again.
	Checkpoints = 30 * 24 * time.Hour
	// Orphans is how long an object without a record is kept: far longer than
	// any writer takes from putting an object to recording it.
	Orphans = 24 * time.Hour
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
// An acked upload that is not merged yet is never removed, however old.
func (s *Sweeper) Sweep(ctx context.Context) (removed int, err error) {
	for _, kind := range blob.PersonKinds() {
		n, err := s.sweep(ctx, kind+"/", s.over)
		removed += n
		if err != nil {
			return removed, fmt.Errorf("sweep %s: %w", kind, err)
		}
	}
	n, err := s.sweep(ctx, blob.Checkpoints, func(_ context.Context, info blob.Info) (bool, error) {
		return s.now().Sub(info.Created) >= Checkpoints, nil
	})
	if err != nil {
		err = fmt.Errorf("sweep checkpoints: %w", err)
	}
	return removed + n, err
}

// sweep removes the objects below the prefix whose time is over.
func (s *Sweeper) sweep(ctx context.Context, prefix string, over func(context.Context, blob.Info) (bool, error)) (removed int, err error) {
	after := ""
	for {
		infos, err := s.blobs.List(ctx, prefix, after, page)
		if err != nil || len(infos) == 0 {
			return removed, err
		}
		for _, info := range infos {
			is, err := over(ctx, info)
			if err != nil {
				return removed, err
			}
			if !is {
				continue
			}
			if err := s.blobs.Delete(ctx, info.Name); err != nil {
				return removed, err
			}
			removed++
		}
		after = infos[len(infos)-1].Name
	}
}

// over reports whether the object's time is over.
func (s *Sweeper) over(ctx context.Context, info blob.Info) (bool, error) {
	age := s.now().Sub(info.Created)
	kind, uid, rest, ok := blob.SplitPerson(info.Name)
	if !ok || age < Orphans {
		return false, nil
	}
	referred, state, err := s.reference(ctx, kind, uid, rest)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, keyring.ErrDestroyed):
		return true, nil
	case err != nil:
		return false, err
	case referred != info.Name:
		return true, nil
	case kind == blob.KindUploads:
		return age >= Uploads && (state == record.UploadMerged || state == record.UploadFailed), nil
	default:
		return false, nil
	}
}

// reference returns the object that the record behind a name refers to, and an
// upload's state.
func (s *Sweeper) reference(ctx context.Context, kind, uid, rest string) (name string, state record.UploadState, err error) {
	key, _, _ := strings.Cut(rest, "/")
	switch kind {
	case blob.KindUploads:
		r, err := s.store.Uploads.Get(ctx, uid, key)
		return r.Value.Blob, r.Value.State, err
	case blob.KindDays:
		r, err := s.store.Days.Get(ctx, uid, key)
		return r.Value.Chunk, "", err
	default:
		r, err := s.store.Tombstones.Get(ctx, uid, record.TombstonesKey)
		return r.Value.Blob, "", err
	}
}
