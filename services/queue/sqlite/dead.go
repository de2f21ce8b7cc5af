package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/clarity-loop/clarity/services/queue"
)

// MaxDead is the most dead letters one call of Dead returns.
const MaxDead = 1000

// Dead lists a subscription's dead letters, oldest first, after the sequence
// number given.
func (q *Queue) Dead(ctx context.Context, topic, name string, after int64, limit int) ([]queue.DeadLetter, error) {
	if !q.consumers.Has(topic, name) {
		return nil, fmt.Errorf("list dead letters of %s for %q: %w", topic, name, queue.ErrNoSubscription)
	}
	if limit < 1 || limit > MaxDead {
		return nil, fmt.Errorf("list dead letters of %s: limit %d is not within 1 to %d", topic, limit, MaxDead)
	}
	letters, err := q.dead(ctx, topic, name, after, limit)
	if err != nil {
		return nil, faulted("list dead letters", err)
	}
	return letters, nil
}

func (q *Queue) dead(ctx context.Context, topic, name string, after int64, limit int) ([]queue.DeadLetter, error) {
	rows, err := q.stmt.dead.QueryContext(ctx, topic, name, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var letters []queue.DeadLetter
	for rows.Next() {
		d := queue.DeadLetter{Consumer: name}
		d.Topic = topic
		var published, notBefore, died int64
		if err := rows.Scan(&d.Sequence, &d.Key, &d.ID, &d.Body, &published, &notBefore, &d.Attempt, &d.Reason, &died); err != nil {
			return nil, err
		}
		d.Published, d.NotBefore, d.Died = fromNano(published), fromNano(notBefore), fromNano(died)
		letters = append(letters, d)
	}
	return letters, rows.Err()
}

// Depth counts a subscription's messages.
func (q *Queue) Depth(ctx context.Context, topic, name string) (queue.Depth, error) {
	if !q.consumers.Has(topic, name) {
		return queue.Depth{}, fmt.Errorf("count messages of %s for %q: %w", topic, name, queue.ErrNoSubscription)
	}
	var all, leased, dead int
	err := q.stmt.depth.QueryRowContext(ctx, topic, name, q.now().UnixNano()).Scan(&all, &leased)
	if err == nil {
		err = q.stmt.deadDepth.QueryRowContext(ctx, topic, name).Scan(&dead)
	}
	if err != nil {
		return queue.Depth{}, faulted("count", err)
	}
	return queue.Depth{Waiting: all - leased, Leased: leased, Dead: dead}, nil
}

// Forget removes every message whose key is key or begins with key and a slash,
// dead letters included. When it returns nil the bytes are in neither the
// database nor its log. Verdicts of handlers that hold one are ignored.
func (q *Queue) Forget(ctx context.Context, key string) error {
	if key == "" {
		return errors.New("forget messages: no key")
	}
	err := q.do(ctx, &operation{scrub: true, run: func() error {
		if _, err := q.stmt.forget.Exec(key); err != nil {
			return err
		}
		_, err := q.stmt.forgetDead.Exec(key)
		return err
	}})
	if err != nil {
		return faulted("forget", err)
	}
	return nil
}

// Replay makes a message of the dead letter again: the last of its key, its
// attempts counted from none.
func (q *Queue) Replay(ctx context.Context, sequence int64) error {
	op := &operation{}
	op.run = func() error {
		err := q.stmt.revive.QueryRow(sequence, q.now().UnixNano()).Scan(&op.wakes.topic, &op.wakes.consumer)
		if errors.Is(err, sql.ErrNoRows) {
			op.refused = queue.ErrNoLetter
			return nil
		}
		if err != nil {
			return err
		}
		_, err = q.stmt.drop.Exec(sequence)
		return err
	}
	if err := q.do(ctx, op); err != nil {
		return fmt.Errorf("replay dead letter %d: %w", sequence, faulted("replay", err))
	}
	return nil
}

// Drop removes the dead letter for good.
func (q *Queue) Drop(ctx context.Context, sequence int64) error {
	op := &operation{}
	op.run = func() error {
		r, err := q.stmt.drop.Exec(sequence)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			op.refused = queue.ErrNoLetter
		}
		return nil
	}
	if err := q.do(ctx, op); err != nil {
		return fmt.Errorf("drop dead letter %d: %w", sequence, faulted("drop", err))
	}
	return nil
}
