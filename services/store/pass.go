package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// away is how many shards in a row cannot be listed where the driver is away.
const away = 5

// EachDue has each document of the agenda that is due by then be seen, so many of a
// shard: nobody's stand before everybody's. What see cannot do for one costs no other,
// and a shard that cannot be listed costs no other shard, but where the driver is away
// the rest waits. The error is all of that, or the context's.
func (s *Store) EachDue(ctx context.Context, by time.Time, perShard int, see func(Document) error) error {
	return s.eachDue(ctx, by, perShard, s.Due, see)
}

// EachErasing is EachDue for the accounts whose erasure is to go on.
func (s *Store) EachErasing(ctx context.Context, by time.Time, perShard int, see func(Document) error) error {
	return s.eachDue(ctx, by, perShard, s.Erasing, see)
}

func (s *Store) eachDue(ctx context.Context, by time.Time, perShard int,
	list func(ctx context.Context, shard int, before time.Time, limit int) ([]Document, error), see func(Document) error) error {
	shards, err := s.Stirring(ctx, by)
	if err != nil {
		return fmt.Errorf("look where something is due: %w", err)
	}
	var failed []error
	row := 0
	for _, shard := range shards {
		due, err := list(ctx, shard, by, perShard)
		if err != nil {
			failed = append(failed, fmt.Errorf("list what is due: %w", err))
			if row++; row == away {
				break
			}
			continue
		}
		row = 0
		for _, d := range due {
			if err := ctx.Err(); err != nil {
				return err
			}
			failed = append(failed, see(d))
		}
	}
	return errors.Join(failed...)
}
