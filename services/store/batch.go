package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A Change is one write of a Batch, of any collection; Collection.ToPut,
// ToDelete and ToCheck make one.
type Change struct {
	collection string
	write      func(ctx context.Context, uid string) (Write, error)
	due        time.Time
}

// An arrival is a value that has a time at which it came.
type arrival interface{ Came() time.Time }

// ToPut is Put as part of a Batch.
func (c Collection[T]) ToPut(key string, ifVersion int64, value T) Change {
	return Change{collection: c.name, write: func(ctx context.Context, uid string) (Write, error) {
		plain, err := json.Marshal(value)
		if err != nil {
			return Write{}, err
		}
		w := Write{Key: Key{c.name, uid, key}, IfVersion: ifVersion}
		if a, arrives := any(value).(arrival); arrives {
			w.Came = a.Came()
		}
		w.Data, err = c.sealer.Seal(ctx, uid, c.aad(uid, key), plain)
		return w, err
	}}
}

// ToDelete is part of a Batch: the record goes, if it has the version given.
// With Any it need not be there.
func (c Collection[T]) ToDelete(key string, ifVersion int64) Change {
	return c.bare(Write{Key: Key{Key: key}, IfVersion: ifVersion})
}

// ToCheck is part of a Batch: the record stays as it is, and the Batch is a
// conflict where it is not there in that version.
func (c Collection[T]) ToCheck(key string, version int64) Change {
	return c.bare(Write{Key: Key{Key: key}, IfVersion: version, Check: true})
}

func (c Collection[T]) bare(w Write) Change {
	return Change{collection: c.name, write: func(_ context.Context, uid string) (Write, error) {
		w.Key = Key{c.name, uid, w.Key.Key}
		return w, nil
	}}
}

// At is the change of a record with the time it is due: of the agenda's, an upload's or
// an account's.
func (c Change) At(due time.Time) Change {
	c.due = due
	return c
}

// Batch applies the changes of one person's records, all or none, and returns
// the versions of the records afterwards. The outcome is ErrConflict where one
// of them does not apply. ErrUnknown is left only where reading did not tell
// either: whoever gets it reads before writing again.
func (s *Store) Batch(ctx context.Context, uid string, changes ...Change) (versions []int64, err error) {
	return apply(ctx, s.driver, uid, changes...)
}

func apply(ctx context.Context, d Driver, uid string, changes ...Change) ([]int64, error) {
	writes := make([]Write, len(changes))
	for i, c := range changes {
		w, err := c.write(ctx, uid)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", c.collection, err)
		}
		w.Due = c.due
		writes[i] = w
	}
	versions, err := d.Batch(ctx, writes)
	if errors.Is(err, ErrUnknown) {
		versions, err = found(ctx, d, writes, err)
	}
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", changes[0].collection, err)
	}
	return versions, nil
}

// found looks for what a batch of unknown outcome wrote. What was sealed is
// never equal to anything else, so that one document that is there is proof: all
// are. A document that somebody has replaced since has version 0: no write under
// it applies. Where there is no proof it stays unknown.
func found(ctx context.Context, d Driver, writes []Write, unknown error) ([]int64, error) {
	versions, proven := make([]int64, len(writes)), false
	for i, w := range writes {
		if w.Check {
			versions[i] = w.IfVersion
		}
		if w.Data == nil {
			continue
		}
		now, err := d.Get(ctx, w.Key)
		if err == nil && bytes.Equal(now.Data, w.Data) {
			versions[i], proven = now.Version, true
		}
	}
	if !proven {
		return nil, unknown
	}
	return versions, nil
}
