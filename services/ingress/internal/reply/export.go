package reply

import (
	"context"

	"github.com/clarity-loop/clarity/services/store"
)

// Records are a part of an export: called, they hand each record of the
// person's to line, in the order of the keys.
type Records func(ctx context.Context, uid string, line Line) error

// A Line takes one record of an export; an error ends it.
type Line func(kind, key string, value any) error

// Exported are the records of a collection, as lines of that kind.
func Exported[V, T any](c store.Collection[V], kind string, view func(store.Record[V]) T) Records {
	return func(ctx context.Context, uid string, line Line) error {
		return EachRecord(ctx, c, uid, func(r store.Record[V]) error { return line(kind, r.Key, view(r)) })
	}
}

// EachRecord walks a collection of the person's in pages.
func EachRecord[V any](ctx context.Context, c store.Collection[V], uid string, do func(store.Record[V]) error) error {
	const perPage = 100
	for after := ""; ; {
		records, err := c.List(ctx, uid, store.Query{After: after, Limit: perPage})
		if err != nil {
			return err
		}
		for _, r := range records {
			if err := do(r); err != nil {
				return err
			}
			after = r.Key
		}
		if len(records) < perPage {
			return nil
		}
	}
}
