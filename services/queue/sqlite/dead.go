package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/clarity-loop/clarity/services/queue"
)

// MaxDead is the most dead letters one call of Dead returns.
const MaxDead = 1000

// Dead lists a subscription's dead letters, oldest first, after the sequence
// number given.
func (q *Queue) Dead(ctx context.Context, topic, name string, after int64, limit int) ([]queue.DeadLetter, error) {
	if limit < 1 || limit > MaxDead {
		return nil, fmt.Errorf("list dead letters of %s: limit %d is not within 1 to %d", topic, limit, MaxDead)
	}
	letters, err := q.dead(ctx, topic, name, after, limit)
	if err == nil && len(letters) == 0 && !q.consumers.Has(topic, name) {
		err = q.mustHaveLetters(ctx, topic, name)
	}
	if err != nil {
		return nil, faulted("list dead letters", err)
	}
	return letters, nil
}

// mustHaveLetters refuses a subscription that is not on the list and of which
// there are no letters either: they may be before the page that was asked for.
func (q *Queue) mustHaveLetters(ctx context.Context, topic, name string) error {
	var n int
	err := q.stmt.deadDepth.QueryRowContext(ctx, topic, name).Scan(&n)
	if err == nil && n == 0 {
		err = fmt.Errorf("list dead letters of %s for %q: %w", topic, name, queue.ErrNoSubscription)
	}
	return err
}

// Unclaimed counts what is kept of each subscription that is not on the list.
func (q *Queue) Unclaimed(ctx context.Context) ([]queue.Backlog, error) {
	all, err := q.backlogs(ctx)
	if err != nil {
		return nil, faulted("count unclaimed", err)
	}
	return slices.DeleteFunc(all, func(b queue.Backlog) bool { return q.consumers.Has(b.Topic, b.Consumer) }), nil
}

func (q *Queue) backlogs(ctx context.Context) ([]queue.Backlog, error) {
	rows, err := q.stmt.backlogs.QueryContext(ctx, q.now().UnixNano())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []queue.Backlog
	for rows.Next() {
		var b queue.Backlog
		if err := rows.Scan(&b.Topic, &b.Consumer, &b.Waiting, &b.Leased, &b.Dead); err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, rows.Err()
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
// dead letters included. Their cells are overwritten; copies may stay in
// the gaps that SQLite leaves: a message holds no health value. Verdicts of handlers that hold one are ignored.
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
		var of subscription
		err := q.stmt.letter.QueryRow(sequence).Scan(&of.topic, &of.consumer)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			op.refused = queue.ErrNoLetter
			return nil
		case err == nil && !q.consumers.Has(of.topic, of.consumer):
			op.refused = queue.ErrNoSubscription // it would be neither handled nor listed
			return nil
		case err == nil:
			_, err = q.stmt.revive.Exec(sequence, q.now().UnixNano())
		}
		if err == nil {
			_, err = q.stmt.drop.Exec(sequence)
		}
		op.wakes = of
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
