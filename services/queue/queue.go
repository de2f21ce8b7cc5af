// Package queue is the contract for messages between the stages. It promises
// what its weakest driver keeps: a service of many machines, without transactions
// over topics, whose acks may be lost.
//
// A queue is a hint, and the store is the truth: whoever may not lose a piece of
// work keeps it in the store until it is done, and asks again.
//
// A driver is opened with the Consumers of each topic. Publish keeps a copy of
// the message for each of them: a subscription, which has a backlog, attempts
// and dead letters of its own. Two Receives of one subscription share its
// messages; two subscriptions of one topic each get every message. A consumer
// that is added gets what is published from then on; what waits for one that
// is taken off the list stays until it is listed again, or is forgotten. Until
// then it is Unclaimed, and its dead letters can be listed and dropped.
//
// # Publish
//
// Publish MUST make all messages durable, for every consumer, before it returns
// nil. On an error any subset of them MAY be seen. A body larger than MaxBody is
// refused, and a topic without a consumer with ErrNoSubscription, as is any call
// that names a subscription not on the list, but for Dead where there are letters
// of it. A Publish that failed does no harm to those behind it.
//
// A message is delivered no earlier than NotBefore, which counts for at most
// MaxDelay from now, and later by up to five seconds and what waits before it. No
// clock that was wrong, when a message was published or put off, holds it longer
// than it could have waited by a right one, once the queue is opened again.
//
// # Delivery
//
// A message MAY be delivered more than once, also after it was acked, and every
// handler is idempotent. Messages of one subscription and Key are rarely in two
// hands at once, and mostly in the order of publication; one that waits, for its
// time or for another attempt, MAY be overtaken. Messages with different keys are
// handled concurrently, and none waits for all that another key has.
//
// A delivery is leased: while the handler runs the driver extends the lease, so
// that a live handler keeps its message and a dead process loses it. A handler
// ends within an hour. Its context ends where the lease is lost, and a verdict on
// such a lease SHOULD be ignored.
//
// # Verdicts
//
// Ack says that the work is done. Three things that are no success are kept apart:
//
//   - Poison is Dead: the message can never be handled. A handler that panics, or
//     whose process dies with it, says nothing; the message that this happens to
//     MaxAttempts times is poison, too. So is counted what a message does, and
//     never what happens to it.
//   - Retry is an outage: what the handler needs is away. No number of them makes
//     a dead letter. Where the messages of several keys meet one in a row, the
//     driver stops handing out messages of the subscription, and probes with one
//     at a time until it is over (Breaker).
//   - Postpone is not now: another writer was first, or this version of the code
//     does not know the format. The message comes back, others are not held up. One
//     that is Failing was tried and failed for itself, where what is kept for it is
//     damaged, say: who handles it gives it up by how often that happened.
//
// A Delivery tells how often it Failed before: by a Retry, by a Postpone that is
// Failing, or by taking its handler down. What is put off, for its turn or for
// another, did not fail, however often it comes: a driver SHOULD count it so.
//
// A dead letter keeps its body and the last reason. Its ID is opaque, and is the
// cursor behind which Dead goes on.
//
// Forget removes what waits, and the dead letters. What is in a handler's hands, or
// on its way there, is not called back: a handler asks how its person stands first.
//
// A message carries the Trace that it was published with, to each of its consumers and
// into a dead letter and out of it: package trace says what that is. It is no secret, and
// a driver may show it to who runs it.
//
// Reasons never hold health values, uids or tokens.
package queue

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
)

// The sentinels a driver wraps.
var (
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("queue: closed")
	// ErrNoSubscription says that the topic has no such consumer, or none at all.
	ErrNoSubscription = errors.New("queue: no such subscription")
	// ErrNoLetter says that there is no dead letter of the ID.
	ErrNoLetter = errors.New("queue: no such dead letter")
)

// Consumers are the names of each topic's consumers.
type Consumers map[string][]string

// Has says whether the topic has a consumer of the name.
func (c Consumers) Has(topic, name string) bool { return slices.Contains(c[topic], name) }

// MaxBody is the most bytes a message's body may have.
const MaxBody = 64 << 10

// MaxDelay is how far ahead NotBefore counts.
const MaxDelay = time.Hour

// MaxDead is the most dead letters one call of Dead returns.
const MaxDead = 1000

// A Queue carries messages by topic.
type Queue interface {
	// Publish stores the messages for each of their topics' consumers.
	Publish(ctx context.Context, msgs ...Message) error
	// Receive hands messages to handle until ctx is done, then waits for
	// running handlers and returns nil. Handlers see a context that outlives
	// ctx by the subscription's Drain.
	Receive(ctx context.Context, sub Subscription, handle Handler) error
	// Dead lists a subscription's dead letters, oldest first, after the letter
	// with the ID given; "" is the beginning.
	Dead(ctx context.Context, topic, name, after string, limit int) ([]DeadLetter, error)
	// Replay makes a message of the dead letter again, its attempts counted from
	// none, for the one consumer that gave it up.
	Replay(ctx context.Context, letter string) error
	// Drop removes the dead letter for good.
	Drop(ctx context.Context, letter string) error
	// Forget removes every message whose key is key, or begins with key and a
	// slash, dead letters included: erasure. It may be repeated.
	Forget(ctx context.Context, key string) error
	// Ready is nil where messages can be published: cheap enough to be asked every
	// second, however many wait.
	Ready(ctx context.Context) error
}

// A Gauge counts messages, for people and for scaling: eventually right, and
// minutes old where a service does the counting. It costs the same whatever waits.
type Gauge interface {
	// Depth counts a subscription's messages: waiting or leased, and dead.
	Depth(ctx context.Context, topic, name string) (Depth, error)
	// Unclaimed counts what is kept of each subscription that is not on the list,
	// in the order of topics and consumers: nobody handles it. The consumer is ""
	// where it comes from before topics had consumers, and it is nobody's.
	Unclaimed(ctx context.Context) ([]Backlog, error)
}

// A Driver is both: what a process opens.
type Driver interface {
	Queue
	Gauge
}

// A Handler decides what becomes of one delivery.
type Handler func(ctx context.Context, d Delivery) Verdict

// A Message is one unit of work.
type Message struct {
	Topic     string
	Key       string    // whose it is: a uid
	Body      []byte    // at most MaxBody
	NotBefore time.Time // at most MaxDelay ahead; zero is at once
	Trace     string    // the traceparent of who published it; "" for none
}

// A Delivery is a message in a handler's hands.
type Delivery struct {
	Message
	Attempt   int // about the how manieth delivery it is: 1 the first time
	Failed    int // about how many of those before failed
	Published time.Time
}

// A Subscription says who reads a topic, and how.
type Subscription struct {
	Topic       string
	Name        string        // the consumer's
	Concurrency int           // handlers at a time; 1 if 0
	MaxAttempts int           // 10 if 0: how often a message may take its handler down
	Lease       time.Duration // 30 s if 0; extended while the handler runs
	Drain       time.Duration // how long running handlers may finish after ctx is done; 2 s if 0
}

// Depth counts a subscription's messages.
type Depth struct{ Waiting, Leased, Dead int }

// A Backlog is what is kept of one subscription.
type Backlog struct {
	Topic, Consumer string
	Depth
}

// A DeadLetter is a message nobody will handle again by itself.
type DeadLetter struct {
	Delivery
	ID       string // opaque
	Consumer string // of the topic's, the one that gave it up
	Reason   string
	Died     time.Time
}

// A Verdict is what a handler says of a delivery: Ack, Retry, Postpone or Dead.
type Verdict struct {
	kind    verdictKind
	after   time.Duration
	reason  string
	failing bool // of one that is postponed
}

type verdictKind int

const (
	acked verdictKind = iota
	retried
	postponed
	died
)

// Ack says that the message's work is done, and durable.
func Ack() Verdict { return Verdict{kind: acked} }

// Retry says that what the work needs is away. The message comes back after at
// least the delay, as often as it takes.
func Retry(after time.Duration, reason string) Verdict {
	return Verdict{kind: retried, after: after, reason: reason}
}

// Postpone says that this message's work cannot be done now, or not all of it,
// while nothing is away. It comes back after at least the delay, behind what waits.
func Postpone(after time.Duration, reason string) Verdict {
	return Verdict{kind: postponed, after: after, reason: reason}
}

// Failing is a Postpone of what was tried and failed for itself.
func (v Verdict) Failing() Verdict {
	v.failing = v.kind == postponed
	return v
}

// Failed says whether the delivery counts as one that failed: it is a Retry, or Failing.
func (v Verdict) Failed() bool { return v.Away() || v.failing }

// Dead says that the message can never be handled.
func Dead(reason string) Verdict { return Verdict{kind: died, reason: reason} }

// Cases are what a driver does with a verdict of each kind. A delay is never
// longer than MaxDelay.
type Cases struct {
	Ack             func()
	Retry, Postpone func(after time.Duration, reason string)
	Dead            func(reason string)
}

// Match calls the function of the verdict's kind: how a driver reads it.
func (v Verdict) Match(c Cases) {
	after := min(max(v.after, 0), MaxDelay)
	switch v.kind {
	case acked:
		c.Ack()
	case retried:
		c.Retry(after, v.reason)
	case postponed:
		c.Postpone(after, v.reason)
	case died:
		c.Dead(v.reason)
	}
}

// Away says whether the verdict is Retry: what the work needs is away.
func (v Verdict) Away() bool { return v.kind == retried }

// Fault is what a driver returns for an error it met; see package fault.
// ErrNoLetter and ErrNoSubscription are answers and none.
func Fault(op string, err error) error {
	if errors.Is(err, ErrNoLetter) || errors.Is(err, ErrNoSubscription) {
		return err
	}
	return fault.Wrap("queue", op, err,
		fault.Known{Is: ErrClosed, Class: fault.Unavailable, Code: "closed"},
	)
}
