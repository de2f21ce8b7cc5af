// Package sqlite keeps the queue's messages in one SQLite database: the
// embedded driver.
//
// The database belongs to one process at a time: Open refuses a second. Leases
// of the process before are void at once, since that process is dead. Publish
// and verdicts of concurrent callers share one transaction and one sync of the
// disk. Taking a lease waits for no sync: after a loss of power, unlike after
// the death of the process, the newest attempts may not be counted.
//
// The first message of each subscription and key is its head; only heads can be
// delivered, from the moment `ready` on: NotBefore at first, the end of the
// lease while it is leased. One that waits for another attempt goes behind the
// others of its key, and a head that moves up behind what is ready of the others:
// so each key has its turn. Nothing polls: a receiver sleeps until the next such
// moment or until a commit wakes it.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/internal/batch"
	"github.com/clarity-loop/clarity/services/internal/litedb"
	"github.com/clarity-loop/clarity/services/queue"
)

// FileName is the database's name in its directory.
const FileName = "queue.db"

const maxGroup = 128

// A Queue is a queue.Driver over a database file.
type Queue struct {
	db     *litedb.DB
	group  *batch.Committer[*operation]
	now    func() time.Time
	closed chan struct{}
	close  sync.Once
	stmt   statements
	token  int64     // the last lease given; only commit uses it
	latest time.Time // that a claim was made at; only commit uses it

	consumers queue.Consumers

	mu      sync.Mutex
	signals map[subscription][]chan struct{} // of receivers
	leased  map[subscription]int
	unready atomic.Bool // the last commit failed
}

// A subscription is a topic and one of its consumers.
type subscription struct{ topic, consumer string }

var _ queue.Driver = (*Queue)(nil)

// An operation is one caller's change. All operations of a group run in one
// transaction, in order.
type operation struct {
	run     func() error // an error undoes the group
	refused error        // set by run: the outcome of this operation alone
	wakes   subscription // whose receivers; none where it is zero
	relaxed bool         // need not survive a loss of power
	scrub   bool         // what it deleted must leave the files
}

// Open opens the queue in the directory, which it creates where it is not
// there. The error is a *dirlock.InUseError where another process has it open.
func Open(ctx context.Context, dir string, consumers queue.Consumers, now func() time.Time) (*Queue, error) {
	db, err := litedb.Open(ctx, filepath.Join(dir, FileName), migrations())
	if errors.Is(err, litedb.ErrNewer) {
		err = &fault.Error{Room: "queue", Op: "open", Class: fault.Newer, Code: err.Error(), Cause: err}
	}
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	q := &Queue{db: db, now: now, closed: make(chan struct{}), consumers: maps.Clone(consumers), signals: map[subscription][]chan struct{}{}, leased: map[subscription]int{}}
	err = q.stmt.prepare(ctx, db)
	if err == nil {
		err = db.Tx(func() error {
			at := now().UnixNano()
			if _, err := q.stmt.voidLeases.Exec(at); err != nil {
				return err
			}
			_, err := q.stmt.bound.Exec(at)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", errors.Join(err, db.Close()))
	}
	q.group = batch.New(maxGroup, q.commit)
	return q, nil
}

// Broken is the disk's error after which nothing is committed any more, until
// the database is opened anew.
func (q *Queue) Broken() error { return q.db.Broken() }

// Close commits what waits, ends every Receive with queue.ErrClosed, and closes
// the database. Messages still in a handler's hands are delivered again when the
// queue is next opened: end the Receives first.
func (q *Queue) Close() error {
	var err error
	q.close.Do(func() {
		close(q.closed)
		q.group.Close()
		if err = q.db.Close(); err != nil {
			err = faulted("close", err)
		}
	})
	return err
}

// Publish stores the messages for each of their topics' consumers: here all or none.
func (q *Queue) Publish(ctx context.Context, msgs ...queue.Message) error {
	topics := map[string]bool{}
	for _, m := range msgs {
		if len(q.consumers[m.Topic]) == 0 {
			return fmt.Errorf("publish to %q: %w", m.Topic, queue.ErrNoSubscription)
		}
		if len(m.Body) > queue.MaxBody {
			return fmt.Errorf("publish to %s: body of %d bytes is over the limit of %d", m.Topic, len(m.Body), queue.MaxBody)
		}
		topics[m.Topic] = true
	}
	if len(msgs) == 0 {
		return nil
	}
	op := &operation{run: func() error {
		for i := range msgs {
			for _, name := range q.consumers[msgs[i].Topic] {
				if err := q.insert(name, &msgs[i]); err != nil {
					return err
				}
			}
		}
		return nil
	}}
	if err := q.do(ctx, op); err != nil {
		return faulted("publish", err)
	}
	for topic := range topics {
		for _, name := range q.consumers[topic] {
			q.wake(subscription{topic, name})
		}
	}
	return nil
}

func (q *Queue) insert(consumer string, m *queue.Message) error {
	now, notBefore, wait := q.now(), int64(0), time.Duration(0)
	if !m.NotBefore.IsZero() {
		notBefore, wait = m.NotBefore.UnixNano(), min(max(m.NotBefore.Sub(now), 0), queue.MaxDelay)
	}
	body := m.Body
	if body == nil {
		body = []byte{}
	}
	ready := now.Add(wait).UnixNano()
	if _, err := q.stmt.demote.Exec(m.Topic, consumer, m.Key, ready); err != nil { // what waits longer is overtaken
		return err
	}
	_, err := q.stmt.insert.Exec(m.Topic, consumer, m.Key, body, now.UnixNano(), notBefore, int64(wait), m.Trace)
	return err
}

// Ready is nil where the last commit went through, or else an empty one does.
func (q *Queue) Ready(ctx context.Context) error {
	if !q.unready.Load() {
		return nil
	}
	if err := q.do(ctx, &operation{run: func() error { return nil }}); err != nil {
		return faulted("ready", err)
	}
	return nil
}

// do commits an operation, in a group with those of other callers.
func (q *Queue) do(ctx context.Context, op *operation) error {
	err := q.group.Do(ctx, op)
	if errors.Is(err, batch.ErrClosed) {
		return queue.ErrClosed
	}
	return err
}

func (q *Queue) commit(ops []*operation) []error {
	relaxed, scrub := true, false
	for _, op := range ops {
		relaxed = relaxed && op.relaxed
		scrub = scrub || op.scrub
	}
	all := func() error {
		for _, op := range ops {
			if err := op.run(); err != nil {
				return err
			}
		}
		return nil
	}
	tx := q.db.Tx
	if relaxed {
		tx = q.db.Relaxed
	}
	failed := tx(all)
	q.unready.Store(failed != nil)
	var scrubbed error
	if failed == nil && scrub {
		scrubbed = q.db.Scrub(context.Background())
	}
	errs := make([]error, len(ops))
	for i, op := range ops {
		switch {
		case failed != nil:
			errs[i] = failed
		case op.refused != nil:
			errs[i] = op.refused
		case op.scrub:
			errs[i] = scrubbed
		}
		if op.wakes != (subscription{}) && failed == nil {
			q.wake(op.wakes)
		}
	}
	return errs
}

// listen gives a receiver the channel that wake signals on.
func (q *Queue) listen(to subscription) (signal chan struct{}, stop func()) {
	signal = make(chan struct{}, 1)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.signals[to] = append(q.signals[to], signal)
	return signal, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		rest := q.signals[to][:0:0]
		for _, s := range q.signals[to] {
			if s != signal {
				rest = append(rest, s)
			}
		}
		q.signals[to] = rest
	}
}

func (q *Queue) wake(to subscription) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.signals[to] {
		select {
		case s <- struct{}{}:
		default:
		}
	}
}

// inHand counts what handlers hold of a subscription.
func (q *Queue) inHand(sub queue.Subscription, more int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.leased[subscription{sub.Topic, sub.Name}] += more
}

// faulted is queue.Fault, with the class that SQLite's result code says.
func faulted(op string, err error) error { return queue.Fault(op, litedb.Classified(err)) }
