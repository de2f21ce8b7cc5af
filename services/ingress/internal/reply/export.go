package reply

import (
	"context"

	"github.com/clarity-loop/clarity/services/store"
)

// A Section is one kind of what is held of a person. Each hands the records behind
// the key `after` to line, in the order of the keys.
type Section struct {
	Name string
	Each func(ctx context.Context, uid, after string, line Line) error
}

// A Line takes one record of an export; an error ends it.
type Line = func(kind, key string, value any) error

// Exported are the records of a collection, as lines of that kind.
func Exported[V, T any](c store.Collection[V], kind string, view func(store.Record[V]) T) Section {
	return Section{kind, func(ctx context.Context, uid, after string, line Line) error {
		return EachRecord(ctx, c, uid, after, func(r store.Record[V]) error { return line(kind, r.Key, view(r)) })
	}}
}

// EachRecord walks a collection of the person's, behind a key, in pages.
func EachRecord[V any](ctx context.Context, c store.Collection[V], uid, after string, do func(store.Record[V]) error) error {
	const perPage = 100
	for {
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
