package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/internal/patience"
	"github.com/clarity-loop/clarity/services/queue"
)

// A lease is one delivery and the token that a verdict on it must show.
type lease struct {
	queue.Delivery
	seq, token int64
	consumer   string
	fell       int    // deliveries before that took their handler down
	reason     string // of the attempt before
}

// claim leases up to n messages of the subscription that may be delivered now,
// while others are in hand. Where it finds fewer, next is when its next head will
// be ready, zero for never.
//
// A message that took a handler down is leased alone, so that it is known which of
// several does it.
func (q *Queue) claim(ctx context.Context, sub *queue.Subscription, n, inHand int) (leases []lease, next time.Time, err error) {
	err = q.do(ctx, &operation{relaxed: true, run: func() error {
		leases, next = nil, time.Time{}
		now := q.now()
		if err := q.boundWaits(now); err != nil {
			return err
		}
		q.token++
		suspects := 0
		err := q.stmt.suspects.QueryRow(sub.Topic, sub.Name, now.UnixNano()).Scan(&suspects)
		switch {
		case err != nil:
			return err
		case suspects > 0 && inHand > 0: // wait until the hands are empty
			return nil
		case suspects > 0:
			leases, next, err = q.alone(sub, now)
			return err
		}
		if leases, err = q.lease(q.stmt.claim, sub, now, n); err == nil && len(leases) < n {
			next, err = q.nextReady(sub)
		}
		return err
	}})
	return leases, next, err
}

// boundWaits has nothing wait longer than it could by a right clock, once the
// clock was set back.
func (q *Queue) boundWaits(now time.Time) error {
	before := q.latest
	q.latest = now
	if !now.Before(before.Add(-time.Second)) {
		return nil
	}
	_, err := q.stmt.bound.Exec(now.UnixNano())
	return err
}

// alone leases a suspect: none where it has fallen often enough.
func (q *Queue) alone(sub *queue.Subscription, now time.Time) ([]lease, time.Time, error) {
	leases, err := q.lease(q.stmt.suspect, sub, now, 1)
	if err != nil || len(leases) == 0 || leases[0].fell < sub.MaxAttempts {
		return leases, time.Time{}, err
	}
	l := &leases[0]
	reason := "the last attempt ended without a verdict"
	if l.reason != "" {
		reason += "; before: " + l.reason
	}
	_, err = q.die(l, reason, now)
	return nil, now, err // the next of its key has moved up: look again
}

func (q *Queue) lease(stmt *sql.Stmt, sub *queue.Subscription, now time.Time, n int) ([]lease, error) {
	rows, err := stmt.Query(q.token, int64(sub.Lease), sub.Topic, sub.Name, now.UnixNano(), n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var leases []lease
	for rows.Next() {
		l := lease{token: q.token, consumer: sub.Name}
		l.Topic = sub.Topic
		var published, notBefore int64
		if err := rows.Scan(&l.seq, &l.Key, &l.Body, &published, &notBefore, &l.Attempt, &l.Failed, &l.fell, &l.reason, &l.Trace); err != nil {
			return nil, err
		}
		l.Published, l.NotBefore = fromNano(published), fromNano(notBefore)
		leases = append(leases, l)
	}
	slices.SortFunc(leases, func(a, b lease) int { return cmp.Compare(a.seq, b.seq) })
	return leases, rows.Err()
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
		failed := 0
		if v.Failed() {
			failed = 1
		}
		wait := func(after time.Duration, reason string) { err = q.putOff(l, after, reason, 0, failed, now) }
		v.Match(queue.Cases{
			Ack:   func() { _, err = q.remove(l, now) },
			Retry: wait, Postpone: wait,
			Dead: func(reason string) { _, err = q.die(l, reason, now) },
		})
		return err
	}
	return q.do(context.Background(), op)
}

// fallen makes durable that a delivery took its handler down.
func (q *Queue) fallen(sub *queue.Subscription, l *lease, reason string) error {
	return q.do(context.Background(), &operation{wakes: subscription{sub.Topic, sub.Name}, run: func() error {
		now := q.now()
		if l.fell+1 >= sub.MaxAttempts {
			_, err := q.die(l, reason, now)
			return err
		}
		return q.putOff(l, min(patience.Backoff(l.fell+1), 30*time.Second), reason, 1, 1, now)
	}})
}

// putOff has a leased message wait, behind the others of its key.
func (q *Queue) putOff(l *lease, after time.Duration, reason string, fell, failed int, now time.Time) error {
	r, err := q.stmt.putOff.Exec(now.UnixNano(), int64(after), reason, fell, failed, l.seq, l.token)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); n == 0 || err != nil {
		return err
	}
	_, err = q.stmt.promote.Exec(l.Topic, l.consumer, l.Key, now.UnixNano())
	return err
}

// remove takes the leased message out and moves the next of its key up.
func (q *Queue) remove(l *lease, now time.Time) (held bool, err error) {
	r, err := q.stmt.remove.Exec(l.seq, l.token)
	if err != nil {
		return false, err
	}
	if n, err := r.RowsAffected(); n == 0 || err != nil {
		return false, err
	}
	_, err = q.stmt.promote.Exec(l.Topic, l.consumer, l.Key, now.UnixNano())
	return true, err
}

// die makes a dead letter of the leased message.
func (q *Queue) die(l *lease, reason string, now time.Time) (held bool, err error) {
	if _, err := q.stmt.kill.Exec(reason, now.UnixNano(), l.seq, l.token); err != nil {
		return false, err
	}
	return q.remove(l, now)
}

// extend prolongs leases and returns those that are lost.
func (q *Queue) extend(leases []*lease, by time.Duration) (lost []*lease, err error) {
	err = q.do(context.Background(), &operation{relaxed: true, run: func() error {
		lost = nil
		now := q.now().UnixNano()
		for _, l := range leases {
			r, err := q.stmt.extend.Exec(now, int64(by), l.seq, l.token)
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
