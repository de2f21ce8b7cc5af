package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/tink"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/retention"
	"github.com/clarity-loop/clarity/services/store"
)

// Upgrade gives what a release before has left what this one looks for: an upload
// that waits, for the worker or for consent, has a time at which somebody looks, and the
// record of one that has served its time, of which the body may be gone already, is
// removed. It returns how many have a time now that had none. It may be repeated, and
// the place is the caller's alone.
func Upgrade(ctx context.Context, b platform.Backends, now func() time.Time) (found int, err error) {
	err = overDocuments(ctx, b, now, func(documents store.Driver, keys *tink.Keyring) error {
		u := upgrade{typed: store.New(documents, keys), now: now().UTC()}
		err := u.typed.EachPerson(ctx, func(uid string) error { return u.person(ctx, uid) })
		found = u.found
		return err
	})
	return found, err
}

// upgradePage is how many records are read at a time.
const upgradePage = 200

type upgrade struct {
	typed *store.Store
	now   time.Time
	found int
}

// person looks at a person's uploads; who is erased has none.
func (u *upgrade) person(ctx context.Context, uid string) error {
	for after := ""; ; {
		page, err := u.typed.Uploads.List(ctx, uid, store.Query{After: after, Limit: upgradePage})
		if errors.Is(err, keyring.ErrDestroyed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list uploads: %w", err)
		}
		var changes []store.Change
		for _, r := range page {
			after = r.Key
			switch {
			case !r.Value.Done() && r.Due.IsZero():
				changes = append(changes, u.waiting(r))
				u.found++
			case retention.Served(r.Value.State, r.Updated, u.now):
				changes = append(changes, u.typed.Uploads.ToDelete(r.Key, r.Version))
			}
		}
		for some := range slices.Chunk(changes, store.MaxBatch) {
			if _, err := u.typed.Batch(ctx, uid, some...); err != nil {
				return fmt.Errorf("upgrade uploads: %w", err)
			}
		}
		if len(page) < upgradePage {
			return nil
		}
	}
}

// waiting is an upload that waits, with the time at which somebody looks: at once, or
// when it has been held for as long as it may be.
func (u *upgrade) waiting(r store.Record[record.Upload]) store.Change {
	due := u.now
	if r.Value.State == record.UploadHeld {
		r.Value.HeldAt = r.Updated
		due = r.Value.Next(r.Updated)
	}
	return u.typed.Uploads.ToPut(r.Key, r.Version, r.Value).At(due)
}
