package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/queue"
)

// A lease is one delivery and the token that a verdict on it must show.
type lease struct {
	queue.Delivery
	seq, token int64
	consumer   string
	reason     string // of the attempt before
}

// claim leases up to n messages of the subscription that may be delivered now. Where it
// finds fewer, next is when its next head will be ready, zero for never.
func (q *Queue) claim(ctx context.Context, sub *queue.Subscription, n int) (leases []lease, next time.Time, err error) {
	err = q.do(ctx, &operation{relaxed: true, run: func() error {
		leases, next = nil, time.Time{}
		now := q.now()
		var err error
		q.token++
		if leases, err = q.lease(sub, now, n); err != nil {
			return err
		}
		found := len(leases)
		if leases, err = q.dropExhausted(sub, leases, now); err != nil {
			return err
		}
		if found > len(leases) {
			next = now // heads moved up: look again
			return nil
		}
		if found < n {
			next, err = q.nextReady(sub)
		}
		return err
	}})
	return leases, next, err
}

func (q *Queue) lease(sub *queue.Subscription, now time.Time, n int) ([]lease, error) {
	rows, err := q.stmt.claim.Query(q.token, now.Add(sub.Lease).UnixNano(), sub.Topic, sub.Name, now.UnixNano(), n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var leases []lease
	for rows.Next() {
		l := lease{token: q.token, consumer: sub.Name}
		l.Topic = sub.Topic
		var published, notBefore int64
		if err := rows.Scan(&l.seq, &l.Key, &l.ID, &l.Body, &published, &notBefore, &l.Attempt, &l.reason); err != nil {
			return nil, err
		}
		l.Published, l.NotBefore = fromNano(published), fromNano(notBefore)
		leases = append(leases, l)
	}
	slices.SortFunc(leases, func(a, b lease) int { return cmp.Compare(a.seq, b.seq) })
	return leases, rows.Err()
}

// dropExhausted makes dead letters of messages whose last attempt ended without
// a verdict, and returns the others.
func (q *Queue) dropExhausted(sub *queue.Subscription, leases []lease, now time.Time) ([]lease, error) {
	alive := leases[:0]
	for _, l := range leases {
		if l.Attempt <= sub.MaxAttempts {
			alive = append(alive, l)
			continue
		}
		reason := "the last attempt ended without a verdict"
		if l.reason != "" {
			reason += "; before: " + l.reason
		}
		if _, err := q.die(&l, reason, now); err != nil {
			return nil, err
		}
	}
	return alive, nil
}

func (q *Queue) nextReady(sub *queue.Subscription) (time.Time, error) {
	var ready int64
	err := q.stmt.next.QueryRow(sub.Topic, sub.Name).Scan(&ready)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return time.Unix(0, ready), err
}

// finishLease makes a verdict durable. One on a lost lease changes nothing.
func (q *Queue) finishLease(sub *queue.Subscription, l *lease, v queue.Verdict) error {
	op := &operation{wakes: subscription{sub.Topic, sub.Name}}
	op.run = func() (err error) {
		now := q.now()
		v.Match(func() {
			_, err = q.remove(l)
		}, func(after time.Duration, reason string) {
			if l.Attempt >= sub.MaxAttempts {
				_, err = q.die(l, reason, now)
			} else {
				_, err = q.stmt.retry.Exec(now.Add(after).UnixNano(), reason, l.seq, l.token)
			}
		}, func(reason string) {
			_, err = q.die(l, reason, now)
		})
		return err
	}
	return q.do(context.Background(), op)
}

// remove takes the leased message out and moves the next of its key up.
func (q *Queue) remove(l *lease) (held bool, err error) {
	r, err := q.stmt.remove.Exec(l.seq, l.token)
	if err != nil {
		return false, err
	}
	if n, err := r.RowsAffected(); n == 0 || err != nil {
		return false, err
	}
	_, err = q.stmt.promote.Exec(l.Topic, l.consumer, l.Key)
	return true, err
}

// die makes a dead letter of the leased message.
func (q *Queue) die(l *lease, reason string, now time.Time) (held bool, err error) {
	if _, err := q.stmt.kill.Exec(reason, now.UnixNano(), l.seq, l.token); err != nil {
		return false, err
	}
	return q.remove(l)
}

// extend prolongs leases and returns those that are lost.
func (q *Queue) extend(leases []*lease, by time.Duration) (lost []*lease, err error) {
	err = q.do(context.Background(), &operation{relaxed: true, run: func() error {
		lost = nil
		until := q.now().Add(by).UnixNano()
		for _, l := range leases {
			r, err := q.stmt.extend.Exec(until, l.seq, l.token)
			if err != nil {
				return err
			}
			if n, err := r.RowsAffected(); err != nil {
				return err
			} else if n == 0 {
				lost = append(lost, l)
			}
		}
		return nil
	}})
	return lost, err
}

func fromNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
