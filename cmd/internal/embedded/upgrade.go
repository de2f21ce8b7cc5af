package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/tink"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/retention"
	"github.com/clarity-loop/clarity/services/store"
	storesqlite "github.com/clarity-loop/clarity/services/store/sqlite"
)

// Upgrade gives what a release before has left what this one looks for: an upload
// that waits is put on the agenda, and the record of one that has served its time, of
// which the body may be gone already, is removed. It returns how many are on the agenda
// now. It may be repeated, and the place is the caller's alone.
func Upgrade(ctx context.Context, b platform.Backends, now func() time.Time) (found int, err error) {
	at, keysAt := placeOf(b.Store, "sqlite"), placeOf(b.Keys, "tink")
	if at == "" || keysAt == "" {
		return 0, nil
	}
	if _, err := os.Stat(filepath.Join(at, storesqlite.FileName)); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	keys, err := tink.Open(keysAt)
	if err != nil {
		return 0, &platform.OpenError{Of: "keys", Driver: "tink", At: keysAt, Cause: err}
	}
	documents, err := storesqlite.Open(ctx, at, now)
	if err != nil {
		return 0, &platform.OpenError{Of: "store", Driver: "sqlite", At: at, Cause: err}
	}
	defer func() { err = errors.Join(err, documents.Close()) }()
	u := upgrade{typed: store.New(documents, keys), now: now().UTC()}
	err = u.typed.EachPerson(ctx, func(uid string) error { return u.person(ctx, uid) })
	return u.found, err
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
			case r.Value.State == record.UploadReceived:
				e := agenda.Errand{Kind: agenda.Upload, Ref: r.Key, Since: r.Value.ReceivedAt, Historical: r.Value.Historical}
				changes = append(changes, u.typed.Agenda.ToPut(e.Key(), store.Any, e).At(u.now))
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
