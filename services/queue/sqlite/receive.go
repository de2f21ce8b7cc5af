package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/services/internal/panicked"
	"github.com/clarity-loop/clarity/services/internal/patience"
	"github.com/clarity-loop/clarity/services/queue"
)

// errLeaseLost is the cause with which a handler's context ends when its message
// is no longer its own.
var errLeaseLost = errors.New("queue: the lease was lost")

// Receive hands messages to handle until ctx is done; see queue.Queue. It
// returns an error when the database fails or is closed.
func (q *Queue) Receive(ctx context.Context, sub queue.Subscription, handle queue.Handler) error {
	if !q.consumers.Has(sub.Topic, sub.Name) {
		return fmt.Errorf("receive from %s as %q: %w", sub.Topic, sub.Name, queue.ErrNoSubscription)
	}
	sub.Concurrency = orDefault(sub.Concurrency, 1)
	sub.MaxAttempts = orDefault(sub.MaxAttempts, 10)
	sub.Lease = orDefault(sub.Lease, 30*time.Second)
	sub.Drain = orDefault(sub.Drain, 2*time.Second)
	r := &receiver{
		q: q, sub: sub, handle: handle,
		freed:   make(chan struct{}, sub.Concurrency),
		running: map[*lease]context.CancelCauseFunc{},
	}
	r.base, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer r.cancel()
	stopExtending := r.extendLeases()
	err := r.loop(ctx)
	drain := time.AfterFunc(sub.Drain, r.cancel)
	r.handlers.Wait()
	drain.Stop()
	stopExtending()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("receive from %s as %s: %w", sub.Topic, sub.Name, faulted("receive", err))
	}
	return nil
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// A receiver is one call of Receive.
type receiver struct {
	q      *Queue
	sub    queue.Subscription
	handle queue.Handler
	base   context.Context // of every handler
	cancel context.CancelFunc

	freed    chan struct{} // a token for each handler that has ended
	handlers sync.WaitGroup

	mu      sync.Mutex
	running map[*lease]context.CancelCauseFunc
	breaker patience.Breaker
	alone   bool // a suspect is in hand
}

func (r *receiver) loop(ctx context.Context) error {
	signal, stop := r.q.listen(subscription{r.sub.Topic, r.sub.Name})
	defer stop()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for inHand := 0; ; {
		room, next := r.room(inHand)
		if room > 0 {
			leases, later, err := r.q.claim(ctx, &r.sub, room, inHand)
			if err != nil {
				return err
			}
			for i := range leases {
				r.start(&leases[i])
			}
			inHand, room, next = inHand+len(leases), room-len(leases), later
		}
		var ready <-chan time.Time // never, where nothing waits or no hand is free
		if !next.IsZero() {
			timer.Reset(next.Sub(r.q.now()))
			ready = timer.C
		}
		published := signal
		if room <= 0 {
			published = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.q.closed:
			return queue.ErrClosed
		case <-r.freed:
			inHand--
		case <-published:
		case <-ready:
		}
		for more := true; more; { // handlers that ended together are replaced together
			select {
			case <-r.freed:
				inHand--
			case <-signal:
			default:
				more = false
			}
		}
	}
}

// room is how many messages may be claimed now, and when to look again where the
// circuit is open.
func (r *receiver) room(inHand int) (room int, next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	allowed, next := r.breaker.Allowed(r.q.now(), r.sub.Concurrency)
	if r.alone {
		return 0, time.Time{}
	}
	return allowed - inHand, next
}

// start runs the handler of one delivery. One that panics, or ends its goroutine,
// has fallen.
func (r *receiver) start(l *lease) {
	ctx, cancel := context.WithCancelCause(r.base)
	r.mu.Lock()
	r.running[l] = cancel
	r.alone = l.fell > 0
	r.mu.Unlock()
	r.q.inHand(r.sub, 1)
	r.handlers.Add(1)
	go func() {
		var verdict queue.Verdict
		fell := "the handler ended its goroutine"
		defer func() {
			if recover() != nil { // its value may hold anything: it is not kept
				fell = "the handler panicked" + panicked.Place()
			}
			r.finish(l, verdict, fell)
			cancel(nil)
		}()
		verdict = r.handle(ctx, l.Delivery)
		fell = ""
	}()
}

// finish stores the verdict, or that there is none, and frees the handler's hand.
// Where that cannot be stored the lease runs out and the message comes back; the
// loop meets the same error and returns it.
func (r *receiver) finish(l *lease, v queue.Verdict, fell string) {
	if fell != "" {
		_ = r.q.fallen(&r.sub, l, fell)
	} else {
		_ = r.q.finishLease(&r.sub, l, v)
	}
	r.mu.Lock()
	delete(r.running, l)
	if fell == "" {
		r.breaker.Saw(r.q.now(), l.Key, v.Away())
	}
	if len(r.running) == 0 {
		r.alone = false
	}
	r.mu.Unlock()
	r.q.inHand(r.sub, -1)
	r.freed <- struct{}{}
	r.handlers.Done()
}

// extendLeases keeps the leases of running handlers until the function returned
// is called. A handler whose lease is lost all the same sees its context end.
func (r *receiver) extendLeases() (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(max(r.sub.Lease/3, time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				r.extendOnce()
			}
		}
	}()
	return func() { close(quit); <-ended }
}

func (r *receiver) extendOnce() {
	r.mu.Lock()
	leases := make([]*lease, 0, len(r.running))
	for l := range r.running {
		leases = append(leases, l)
	}
	r.mu.Unlock()
	if len(leases) == 0 {
		return
	}
	lost, err := r.q.extend(leases, r.sub.Lease)
	if err != nil {
		return // the leases run out; the loop meets the same error and returns it
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range lost {
		if cancel := r.running[l]; cancel != nil { // else its own verdict ended the lease
			cancel(errLeaseLost)
		}
	}
}
