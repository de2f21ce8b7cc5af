package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/clarity-loop/clarity/services/queue"
)

// Dead lists a subscription's dead letters, oldest first, after the one given. An
// ID is the number of the letter, in the order of death.
func (q *Queue) Dead(ctx context.Context, topic, name, after string, limit int) ([]queue.DeadLetter, error) {
	if limit < 1 || limit > queue.MaxDead {
		return nil, fmt.Errorf("list dead letters of %s: limit %d is not within 1 to %d", topic, limit, queue.MaxDead)
	}
	behind := int64(0)
	if after != "" {
		var err error
		if behind, err = number(after); err != nil {
			return nil, fmt.Errorf("list dead letters of %s: %w", topic, err)
		}
	}
	letters, err := q.dead(ctx, topic, name, behind, limit)
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
	_, dead, err := q.counted(ctx, topic, name)
	if err == nil && dead == 0 {
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
	rows, err := q.stmt.backlogs.QueryContext(ctx)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []queue.Backlog
	for rows.Next() {
		var b queue.Backlog
		var messages int
		if err := rows.Scan(&b.Topic, &b.Consumer, &messages, &b.Dead); err != nil {
			return nil, err
		}
		b.Depth = q.depth(b.Topic, b.Consumer, messages, b.Dead)
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
		var n, published, notBefore, died int64
		if err := rows.Scan(&n, &d.Key, &d.Body, &published, &notBefore, &d.Attempt, &d.Reason, &died, &d.Trace); err != nil {
			return nil, err
		}
		d.ID = strconv.FormatInt(n, 10)
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
	messages, dead, err := q.counted(ctx, topic, name)
	if err != nil {
		return queue.Depth{}, faulted("count", err)
	}
	return q.depth(topic, name, messages, dead), nil
}

// counted are the numbers of messages and dead letters that are kept with the writes.
func (q *Queue) counted(ctx context.Context, topic, name string) (messages, dead int, err error) {
	err = q.stmt.depth.QueryRowContext(ctx, topic, name).Scan(&messages, &dead)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return messages, dead, err
}

func (q *Queue) depth(topic, name string, messages, dead int) queue.Depth {
	q.mu.Lock()
	defer q.mu.Unlock()
	leased := min(q.leased[subscription{topic, name}], messages)
	return queue.Depth{Waiting: messages - leased, Leased: leased, Dead: dead}
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
func (q *Queue) Replay(ctx context.Context, letter string) error {
	sequence, err := number(letter)
	if err != nil {
		return fmt.Errorf("replay dead letter: %w", err)
	}
	op := &operation{}
	op.run = func() error {
		var of subscription
		var key string
		now := q.now().UnixNano()
		err := q.stmt.letter.QueryRow(sequence).Scan(&of.topic, &of.consumer, &key)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			op.refused = queue.ErrNoLetter
			return nil
		case err == nil && !q.consumers.Has(of.topic, of.consumer):
			op.refused = queue.ErrNoSubscription // it would be neither handled nor listed
			return nil
		case err == nil:
			_, err = q.stmt.demote.Exec(of.topic, of.consumer, key, now)
		}
		if err == nil {
			_, err = q.stmt.revive.Exec(sequence, now)
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
func (q *Queue) Drop(ctx context.Context, letter string) error {
	sequence, err := number(letter)
	if err != nil {
		return fmt.Errorf("drop dead letter: %w", err)
	}
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

// number is what an ID says. What is none names no letter.
func number(id string) (int64, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return 0, queue.ErrNoLetter
	}
	return n, nil
}
