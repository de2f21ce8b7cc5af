package queuetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/queue"
)

// Hostile is the driver made as bad as the contract allows, in an order that the
// seed determines: messages come twice, also after they were acked, and two
// deliveries of one at once; they are overtaken; acks are lost; publishing fails
// after all or some of it was done; everything may take its time.
func Hostile(d queue.Driver, seed uint64) queue.Driver {
	return &hostile{Driver: d, random: rand.New(rand.NewPCG(seed, seed))}
}

// Skewed is a process's clock that is wrong by up to two hours, for good: by how
// much the seed determines.
func Skewed(now func() time.Time, seed uint64) func() time.Time {
	off := time.Duration(rand.New(rand.NewPCG(seed, 1)).Int64N(int64(4*time.Hour))) - 2*time.Hour
	return func() time.Time { return now().Add(off) }
}

// errHostile is what a hostile driver fails with.
var errHostile = errors.New("queue: the answer was lost")

type hostile struct {
	queue.Driver

	mu     sync.Mutex
	random *rand.Rand
}

// The chances of mischief, in a hundred.
const (
	chanceTwice     = 10
	chanceAtOnce    = 10
	chanceOvertaken = 10
	chanceAckLost   = 10
	chanceLate      = 20
	chanceFails     = 5
)

// latest is how late an answer is.
const latest = 5 * time.Millisecond

func (h *hostile) chance(percent int) bool { return h.pick(100) < percent }

func (h *hostile) pick(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.random.IntN(n)
}

func (h *hostile) late() {
	if h.chance(chanceLate) {
		time.Sleep(time.Duration(h.pick(int(latest))))
	}
}

// Publish publishes some messages twice. What it does before it fails may be all,
// and an answer of a failure is that of the driver where that fails, too.
func (h *hostile) Publish(ctx context.Context, msgs ...queue.Message) error {
	h.late()
	if len(msgs) > 0 && h.chance(chanceFails) {
		if err := h.Driver.Publish(ctx, msgs[:h.pick(len(msgs)+1)]...); err != nil {
			return err
		}
		return queue.Fault("publish", &fault.Error{Room: "queue", Op: "publish", Class: fault.Unavailable, Code: "lost", Cause: errHostile})
	}
	var again []queue.Message
	for _, m := range msgs {
		if h.chance(chanceTwice) {
			again = append(again, m)
		}
	}
	if err := h.Driver.Publish(ctx, msgs...); err != nil || len(again) == 0 {
		return err
	}
	return h.Driver.Publish(ctx, again...)
}

// Receive hands out what the driver does, and makes mischief of it.
func (h *hostile) Receive(ctx context.Context, sub queue.Subscription, handle queue.Handler) error {
	var twins sync.WaitGroup
	defer twins.Wait()
	return h.Driver.Receive(ctx, sub, func(ctx context.Context, d queue.Delivery) queue.Verdict {
		if h.chance(chanceOvertaken) {
			return queue.Postpone(time.Duration(h.pick(int(latest))), "overtaken")
		}
		h.late()
		if h.chance(chanceAtOnce) {
			twins.Go(func() {
				defer func() { _ = recover() }() // in another process
				handle(ctx, d)
			})
		}
		v := handle(ctx, d)
		lost := false
		v.Match(queue.Cases{
			Ack:   func() { lost = h.chance(chanceAckLost) },
			Retry: func(time.Duration, string) {}, Postpone: func(time.Duration, string) {}, Dead: func(string) {},
		})
		if lost {
			return queue.Postpone(time.Duration(h.pick(int(latest))), "the ack was lost")
		}
		return v
	})
}
