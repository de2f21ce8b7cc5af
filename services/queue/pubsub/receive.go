package pubsub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	client "cloud.google.com/go/pubsub/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	circuit "github.com/clarity-loop/clarity/services/internal/patience"
	"github.com/clarity-loop/clarity/services/queue"
)

// The bounds of a lease. A handler has an hour, and what waits for one is put off
// before.
const (
	leaseMost   = 2 * time.Hour // in all
	waitMost    = 30 * time.Minute
	handlerMost = time.Hour
	extendLeast = 10 * time.Second
	extendMost  = 10 * time.Minute
	ahead       = 4                // messages asked for, a hand
	beginMost   = 30 * time.Second // until a call that was refused is made again
)

// errLeaseLost is the cause with which a handler's context ends when its message
// is no longer its own.
var errLeaseLost = errors.New("queue: the lease was lost")

// Receive hands messages to handle until ctx is done; see queue.Queue. It returns
// an error where the service refuses for good, or the queue is closed.
func (q *Queue) Receive(ctx context.Context, sub queue.Subscription, handle queue.Handler) error {
	if err := q.known("receive", sub.Topic, sub.Name); err != nil {
		return err
	}
	if !q.begin() {
		return faulted("receive", queue.ErrClosed)
	}
	defer q.receivers.Done()
	sub.Concurrency = cmp.Or(max(sub.Concurrency, 0), 1)
	sub.MaxAttempts = cmp.Or(max(sub.MaxAttempts, 0), 10)
	sub.Lease = min(max(cmp.Or(sub.Lease, 30*time.Second), extendLeast), extendMost)
	sub.Drain = cmp.Or(max(sub.Drain, 0), 2*time.Second)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &receiver{
		q: q, sub: sub, of: subscription{sub.Topic, sub.Name}, handle: handle,
		ctx: ctx, hands: newHands(sub.Concurrency, q.now), nudges: make(chan time.Duration, 16),
		running: map[*lease]context.CancelCauseFunc{}, ticked: time.Now(),
	}
	err := r.run(cancel)
	if errors.Is(context.Cause(ctx), queue.ErrClosed) {
		err = queue.ErrClosed
	}
	if err != nil {
		return fmt.Errorf("receive from %s as %s: %w", sub.Topic, sub.Name, faulted("receive", err))
	}
	return nil
}

// A receiver is one call of Receive.
type receiver struct {
	q      *Queue
	sub    queue.Subscription
	of     subscription
	handle queue.Handler
	ctx    context.Context // ends with the call's, or when the queue is closed
	base   context.Context // of every handler
	hands  *hands
	nudges chan time.Duration
	held   atomic.Int32 // messages that wait in their lease

	mu      sync.Mutex
	ticked  time.Time                          // last, while the process was not stopped
	running map[*lease]context.CancelCauseFunc // the handlers
}

func (r *receiver) run(cancel context.CancelCauseFunc) error {
	base, stop := context.WithCancel(context.WithoutCancel(r.ctx))
	defer stop()
	r.base = base
	over := make(chan struct{})
	var beside sync.WaitGroup
	beside.Go(func() { r.drain(r.ctx) })
	beside.Go(func() { r.mindStops(over) })
	beside.Go(func() {
		select {
		case <-r.q.closed:
			cancel(queue.ErrClosed)
		case <-over:
		}
	})
	beside.Go(func() {
		<-r.ctx.Done()
		drained := time.AfterFunc(r.sub.Drain, stop)
		<-over
		drained.Stop()
	})
	from := r.q.client.Subscriber(r.q.names.subscription(r.of))
	from.ReceiveSettings = client.ReceiveSettings{
		MaxExtension:               leaseMost,
		MinDurationPerAckExtension: r.sub.Lease,
		MaxDurationPerAckExtension: r.sub.Lease,
		MaxOutstandingMessages:     ahead * r.sub.Concurrency,
		MaxOutstandingBytes:        -1,
		NumGoroutines:              1,
	}
	err := r.receive(from)
	close(over)
	cancel(nil)
	beside.Wait()
	return err
}

// receive has the client take messages until the call ends. The client gives up for good
// what may pass, too: a token that cannot be fetched, rights that are being granted anew.
// It is begun again, ever more rarely, and the queue is not ready meanwhile.
func (r *receiver) receive(from *client.Subscriber) error {
	for attempt := 1; ; attempt++ {
		began := time.Now()
		err := from.Receive(r.ctx, func(_ context.Context, m *client.Message) { r.take(m) })
		if err == nil || r.ctx.Err() != nil || !mayPass(err) {
			return err
		}
		r.q.refused.Add(1)
		if time.Since(began) > beginMost {
			attempt = 1
		}
		select {
		case <-r.ctx.Done():
			r.q.refused.Add(-1)
			return nil
		case <-time.After(min(circuit.Backoff(attempt), beginMost)):
			r.q.refused.Add(-1)
		}
	}
}

// mayPass says whether the call that failed so may go well later as it is: not where there
// is no such subscription, or no client.
func mayPass(err error) bool {
	switch status.Code(err) {
	case codes.NotFound, codes.InvalidArgument, codes.FailedPrecondition, codes.Unimplemented:
		return false
	}
	return !errors.Is(err, queue.ErrClosed)
}

// take sees to one delivery until it is acked, or given back.
func (r *receiver) take(m *client.Message) {
	p := received(m)
	if one := p.Attrs[attrFor]; one != "" && one != r.sub.Name {
		m.Ack() // it is another consumer's
		return
	}
	l := &lease{r: r, m: m, parcel: p, since: time.Now()}
	if !p.readable() {
		if !l.aside(newerWaits) {
			m.Nack()
		}
		return
	}
	wait := r.early(p)
	if wait > 0 && !r.mayHold() && l.aside(wait) {
		return
	}
	for l.keep(wait) {
		var again bool
		if wait, again = l.handle(); !again {
			return
		}
	}
}

// early is how long the message is to be held before it may be handled.
func (r *receiver) early(p parcel) time.Duration {
	if p.Attrs[attrWait] == "" {
		return 0
	}
	most := min(time.Duration(p.number(attrWait)), hold)
	return min(max(p.time(attrBefore).Sub(r.q.now()), 0), most)
}

// mayHold says whether another message may wait in its lease: half of what is asked
// for stays for those that could be handled.
func (r *receiver) mayHold() bool { return int(r.held.Load()) < ahead*r.sub.Concurrency/2 }

// runs counts a handler in, whose context ends where its lease is lost.
func (r *receiver) runs(l *lease, lost context.CancelCauseFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[l] = lost
}

func (r *receiver) ran(l *lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, l)
}

// mindStops ends the contexts of the handlers of a process that was stopped for
// longer than a lease: others have their messages by then. It sees that by a tick
// that comes too late.
func (r *receiver) mindStops(over <-chan struct{}) {
	every := r.sub.Lease / 4
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		r.mu.Lock()
		if time.Since(r.ticked) > r.sub.Lease {
			for _, lost := range r.running {
				lost(errLeaseLost)
			}
		}
		r.ticked = time.Now()
		r.mu.Unlock()
	}
}

// wasStopped says that the process was, for longer than a lease, and the tick that
// shows it is still to come.
func (r *receiver) wasStopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.ticked) > r.sub.Lease
}
