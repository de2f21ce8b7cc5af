package queuetest

import (
	"cmp"
	"context"
	"sync"
	"time"

	circuit "github.com/clarity-loop/clarity/services/internal/patience"
	"github.com/clarity-loop/clarity/services/queue"
)

// Receive hands messages to handle until ctx is done.
func (q *MemoryQueue) Receive(ctx context.Context, sub queue.Subscription, handle queue.Handler) error {
	if !q.consumers.Has(sub.Topic, sub.Name) {
		return queue.ErrNoSubscription
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	r := &receiver{q: q, sub: sub, handle: handle, base: base}
	r.sub.Concurrency, r.sub.MaxAttempts = cmp.Or(sub.Concurrency, 1), cmp.Or(sub.MaxAttempts, 10)
	for ctx.Err() == nil {
		changed, next := r.round()
		var due <-chan time.Time
		if !next.IsZero() {
			due = time.After(max(0, next.Sub(q.now())))
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-due:
		}
	}
	drain := time.AfterFunc(cmp.Or(sub.Drain, 2*time.Second), cancel)
	defer drain.Stop()
	r.handlers.Wait()
	return nil
}

// A receiver is one call of Receive.
type receiver struct {
	q        *MemoryQueue
	sub      queue.Subscription
	handle   queue.Handler
	base     context.Context // of every handler
	handlers sync.WaitGroup

	mu      sync.Mutex
	hands   int
	breaker circuit.Breaker
}

// round starts handlers as far as there are hands, and says what to wait for.
func (r *receiver) round() (changed <-chan struct{}, next time.Time) {
	r.q.mu.Lock()
	changed = r.q.changed
	r.q.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	allowed, until := r.breaker.Allowed(r.q.now(), r.sub.Concurrency)
	could, next := r.q.Waiting(r.sub.Topic, r.sub.Name)
	for _, h := range could {
		if r.hands >= allowed {
			return changed, until
		}
		if d, taken := h.tryTake(); taken {
			r.hands++
			r.handlers.Go(func() { r.run(h, d) })
		}
	}
	return changed, next
}

// tryTake is Take, where no other receiver was first.
func (h *Held) tryTake() (d queue.Delivery, taken bool) {
	h.place.mu.Lock()
	defer h.place.mu.Unlock()
	if h.out || h.gone || h.of.inHand[h.Key] > 0 {
		return d, false
	}
	return h.take(), true
}

// run handles one delivery, whatever comes of it.
func (r *receiver) run(h *Held, d queue.Delivery) {
	fell := "the handler ended its goroutine"
	var v queue.Verdict
	defer func() {
		if recover() != nil {
			fell = "the handler panicked"
		}
		r.mu.Lock()
		r.hands--
		if fell == "" {
			r.breaker.Saw(r.q.now(), d.Key, v.Away())
		}
		r.mu.Unlock()
		if fell == "" {
			h.Settle(v)
		} else {
			h.Fall(r.sub.MaxAttempts, fell)
		}
	}()
	v = r.handle(r.base, d)
	fell = ""
}
