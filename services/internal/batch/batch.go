// Package batch is group commit: many callers, one durable write.
//
// Callers hand an item each. One goroutine takes all that wait, commits them
// together and tells each caller its own outcome. Nothing is delayed to make a
// batch larger, unless each commit costs money (see NewPaced): while one is in flight,
// the next batch gathers.
package batch

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrClosed is the outcome of an item handed in after Close.
var ErrClosed = errors.New("batch: closed")

// A Committer commits items in groups.
type Committer[T any] struct {
	commit func(items []T) []error
	limit  int
	pace   Pace

	mu      sync.Mutex
	waiting []*entry[T]
	spare   []*entry[T]
	closed  bool

	wake chan struct{} // one token: something waits, or Close was called
	done chan struct{} // closed when the goroutine has returned
}

type entry[T any] struct {
	item    T
	taken   bool
	outcome chan error
}

// New starts a Committer that commits at most limit items at a time. commit is
// never called concurrently; it returns one error for each item, in order, or
// nil when all went well, and must not keep the slice.
func New[T any](limit int, commit func(items []T) []error) *Committer[T] {
	return NewPaced(limit, Pace{}, commit)
}

// A Pace is how many commits there are at most in the long run: one Every so long. The
// zero Pace is of any number. Burst is how many of those that were not needed may begin
// later without waiting, 1 at least: so nobody who comes alone waits for anything but a
// commit, and where many come the number is what it would be without.
type Pace struct {
	Every time.Duration
	Burst int
}

// NewPaced is New, where commits keep a pace, unless limit items wait or Close was called.
func NewPaced[T any](limit int, pace Pace, commit func(items []T) []error) *Committer[T] {
	c := &Committer[T]{
		commit: commit,
		limit:  limit,
		pace:   pace,
		wake:   make(chan struct{}, 1),
		done:   make(chan struct{}),
	}
	go c.run()
	return c
}

// Do hands item in and waits for its outcome. Where ctx ends before the item is
// taken, the item is never committed and Do returns the context's error; an item
// that was taken is waited for, so that its outcome is always known and the
// caller may reuse its memory once Do returns.
func (c *Committer[T]) Do(ctx context.Context, item T) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e := &entry[T]{item: item, outcome: make(chan error, 1)}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	c.waiting = append(c.waiting, e)
	c.mu.Unlock()
	c.signal()

	select {
	case err := <-e.outcome:
		return err
	case <-ctx.Done():
	}
	if c.withdraw(e) {
		return ctx.Err()
	}
	return <-e.outcome
}

// Close commits what waits, refuses what comes later and returns when the last
// commit has ended. A second Close waits too.
func (c *Committer[T]) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.signal()
	<-c.done
}

func (c *Committer[T]) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// withdraw removes an entry that nobody has taken yet.
func (c *Committer[T]) withdraw(e *entry[T]) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.taken {
		return false
	}
	for i, w := range c.waiting {
		if w == e {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			break
		}
	}
	return true
}

func (c *Committer[T]) run() {
	defer close(c.done)
	var items []T
	var spent time.Time // up to when the pace is used up
	for range c.wake {
		for {
			c.pause(c.pace.next(spent))
			taken, closed := c.take()
			if len(taken) == 0 {
				if closed {
					return
				}
				break
			}
			spent = c.pace.spend(spent, time.Now())
			items = items[:0]
			for _, e := range taken {
				items = append(items, e.item)
			}
			errs := c.commit(items)
			for i, e := range taken {
				if errs == nil {
					e.outcome <- nil
				} else {
					e.outcome <- errs[i]
				}
			}
			clear(items)
			clear(taken)
			c.spare = taken[:0]
		}
	}
}

// next is when another commit may begin.
func (p Pace) next(spent time.Time) time.Time {
	return spent.Add(-time.Duration(max(p.Burst, 1)-1) * p.Every)
}

// spend takes note of one that begins. Those that did not wait, since they were full, have the
// next wait no longer than it would behind one.
func (p Pace) spend(spent, now time.Time) time.Time {
	if spent.Before(now) {
		spent = now
	}
	if most := now.Add(time.Duration(max(p.Burst, 1)-1) * p.Every); spent.After(most) {
		spent = most
	}
	return spent.Add(p.Every)
}

// pause waits until then, or until there is no reason to wait any more.
func (c *Committer[T]) pause(until time.Time) {
	left := time.Until(until)
	if c.pace.Every == 0 || left <= 0 {
		return
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	for !c.full() {
		select {
		case <-timer.C:
			return
		case <-c.wake: // what it tells of is taken behind the pause
		}
	}
}

// full says whether no more is to be gathered.
func (c *Committer[T]) full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed || len(c.waiting) >= c.limit
}

// take moves at most limit entries from waiting into a slice of their own.
func (c *Committer[T]) take() ([]*entry[T], bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.waiting), c.limit)
	taken := append(c.spare[:0], c.waiting[:n]...)
	for _, e := range taken {
		e.taken = true
	}
	rest := copy(c.waiting, c.waiting[n:])
	clear(c.waiting[rest:])
	c.waiting = c.waiting[:rest]
	return taken, c.closed
}
