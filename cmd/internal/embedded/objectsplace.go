package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/platform"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/keyring/tink"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// CheckObjects is the error of a data directory whose objects are not where they
// should be: there are none, and its documents refer to some. The place is the
// caller's alone.
func CheckObjects(ctx context.Context, dir string, b platform.Backends, now func() time.Time) error {
	objects := placeOf(b.Blobs, "files")
	if objects == "" {
		return nil
	}
	if there, err := hasSegments(objects); err != nil || there {
		return err
	}
	refers := false
	err := overDocuments(ctx, b, now, func(documents store.Driver, keys *tink.Keyring) error {
		typed := store.New(documents, keys)
		err := typed.EachPerson(ctx, func(uid string) (err error) {
			if refers, err = refersToObjects(ctx, typed, uid); refers {
				return errEnough
			}
			return err
		})
		if refers {
			return nil
		}
		return err
	})
	if err == nil && refers {
		err = fmt.Errorf("the objects of the data directory %s are not at %s, and its records refer to some: put them there, or say --blobs where they are", dir, objects)
	}
	return err
}

var errEnough = errors.New("one is enough")

// refersToObjects says whether a day of the person, or an upload that waits, is in an object.
func refersToObjects(ctx context.Context, typed *store.Store, uid string) (bool, error) {
	is, err := anyOf(ctx, typed.Days, uid, func(d record.Day) bool { return d.Chunk != "" })
	if is || err != nil {
		return is, err
	}
	return anyOf(ctx, typed.Uploads, uid, func(u record.Upload) bool { return !u.Done() && u.Blob != "" })
}

func anyOf[T any](ctx context.Context, of store.Collection[T], uid string, is func(T) bool) (bool, error) {
	for after := ""; ; {
		page, err := of.List(ctx, uid, store.Query{After: after, Limit: upgradePage})
		if errors.Is(err, keyring.ErrDestroyed) || errors.Is(err, keyring.ErrNoKey) || errors.Is(err, keyring.ErrTampered) {
			return false, nil // whoever reads it says what is wrong
		}
		if err != nil {
			return false, fmt.Errorf("look for objects: %w", err)
		}
		for _, r := range page {
			after = r.Key
			if is(r.Value) {
				return true, nil
			}
		}
		if len(page) < upgradePage {
			return false, nil
		}
	}
}
