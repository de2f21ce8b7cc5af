// Package queue is the contract for messages between the stages.
//
// A driver is opened with the Consumers of each topic. Publish keeps a copy of
// the message for each of them: a subscription, which has a backlog, attempts
// and dead letters of its own. Two Receives of one subscription share its
// messages; two subscriptions of one topic each get every message. A consumer
// that is added gets what is published from then on; what waits for one that
// is taken off the list stays until it is listed again, or is forgotten. Until
// then it is Unclaimed, and its dead letters can be listed and dropped.
//
// Publish MUST make all messages durable, for every consumer, before it returns
// nil, or none that a reader sees. A topic without a consumer is refused with
// ErrNoSubscription, as is any call that names a subscription not on the list,
// but for Dead where there are letters of it, and the replay of such a letter.
//
// A message MAY be delivered more than once, and every handler is idempotent.
// Messages of one subscription and Key MUST be handled one at a time, in the
// order of publication: the next is not delivered until the one before is
// acked, dead, or waits for its retry (then the key waits with it). Messages
// with different keys are handled concurrently.
//
// A message is delivered no earlier than NotBefore. A message whose ID equals
// that of one of the same subscription that is still undelivered MAY be dropped
// for it by Publish: use it to debounce, never to guarantee. An empty ID drops
// nothing.
//
// A delivery is leased: while the handler runs the driver extends the lease, so
// that a live handler keeps its message and a dead process loses it. The
// handler's Verdict MUST be durable before the next delivery of the key. A
// handler that panics counts as Retry. A verdict on a lease that was lost MUST
// be ignored. Attempts are counted by us; a message whose attempts reach the
// subscription's MaxAttempts becomes a dead letter, with the last reason. Dead
// letters keep their body and can be listed, replayed and dropped.
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
	// ErrNoLetter says that there is no dead letter of the sequence number.
	ErrNoLetter = errors.New("queue: no such dead letter")
)

// Consumers are the names of each topic's consumers.
type Consumers map[string][]string

// Has says whether the topic has a consumer of the name.
func (c Consumers) Has(topic, name string) bool { return slices.Contains(c[topic], name) }

// A Queue carries messages by topic.
type Queue interface {
	// Publish stores the messages for each of their topics' consumers, all or none.
	Publish(ctx context.Context, msgs ...Message) error
	// Receive hands messages to handle until ctx is done, then waits for
	// running handlers and returns nil. Handlers see a context that outlives
	// ctx by the subscription's Drain.
	Receive(ctx context.Context, sub Subscription, handle Handler) error
	// Dead lists a subscription's dead letters, oldest first, after the sequence
	// number given.
	Dead(ctx context.Context, topic, name string, after int64, limit int) ([]DeadLetter, error)
	// Unclaimed counts what is kept of each subscription that is not on the list,
	// in the order of topics and consumers: nobody handles it. The consumer is ""
	// where it comes from before topics had consumers, and it is nobody's.
	Unclaimed(ctx context.Context) ([]Backlog, error)
	// Replay makes a message of the dead letter again: the last of its key, its
	// attempts counted from none, for the one consumer that gave it up.
	Replay(ctx context.Context, sequence int64) error
	// Drop removes the dead letter for good.
	Drop(ctx context.Context, sequence int64) error
	// Depth counts a subscription's messages: waiting or leased, and dead.
	Depth(ctx context.Context, topic, name string) (Depth, error)
	// Forget removes every message whose key is key, or begins with key and a
	// slash, dead letters included: erasure. A verdict on one of them is ignored.
	Forget(ctx context.Context, key string) error
}

// A Handler decides what becomes of one delivery.
type Handler func(ctx context.Context, d Delivery) Verdict

// A Message is one unit of work.
type Message struct {
	Topic     string
	Key       string // messages of one key are handled in order; a uid
	ID        string // see the package comment; "" for none
	Body      []byte // at most 64 KiB
	NotBefore time.Time
}

// A Delivery is a message in a handler's hands.
type Delivery struct {
	Message
	Attempt   int // 1 the first time
	Published time.Time
}

// A Subscription says who reads a topic, and how.
type Subscription struct {
	Topic       string
	Name        string        // the consumer's
	Concurrency int           // handlers at a time; 1 if 0
	MaxAttempts int           // 10 if 0
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
	Consumer string // of the topic's, the one that gave it up
	Sequence int64
	Reason   string
	Died     time.Time
}

// A Verdict is what a handler says of a delivery: Ack, Retry or Dead.
type Verdict struct {
	kind   verdictKind
	after  time.Duration
	reason string
}

type verdictKind int

const (
	acked verdictKind = iota
	retried
	died
)

// Ack says that the message's work is done, and durable.
func Ack() Verdict { return Verdict{kind: acked} }

// Retry says that the work could not be done now. The message comes back after
// at least the delay; reason is kept for the dead letter it may become.
func Retry(after time.Duration, reason string) Verdict {
	return Verdict{kind: retried, after: after, reason: reason}
}

// Dead says that the message can never be handled.
func Dead(reason string) Verdict { return Verdict{kind: died, reason: reason} }

// Match calls the function of the verdict's kind: how a driver reads it.
func (v Verdict) Match(ack func(), retry func(after time.Duration, reason string), dead func(reason string)) {
	switch v.kind {
	case acked:
		ack()
	case retried:
		retry(v.after, v.reason)
	case died:
		dead(v.reason)
	}
}

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
