// Package stage is what the stages share: what becomes of a message whose
// handling failed. Said once, so that each stage is a table of its own errors.
package stage

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/internal/patience"
	"github.com/clarity-loop/clarity/services/queue"
)

// Failures says what a stage makes of its errors. The texts name no person.
type Failures struct {
	Stage string // its name in the log
	// Retry and Dead are what the log says of a message that is tried again, and
	// of one that no retry mends.
	Retry, Dead string
	// Settled are the errors after which nothing is left to do: the person is
	// erased, or has not agreed.
	Settled []error
	// First are those of who was not the first: nothing failed, and others do not meet
	// them. Passing are the other errors of one message alone: they are no outage.
	First, Passing []error
	// Hopeless are the errors that no retry mends.
	Hopeless []error
	// Reasons are the texts of the stage's own errors, the first that fits.
	Reasons []Reason
}

// A Reason is an error in stable words.
type Reason struct {
	Is   error
	Text string
}

// Verdict is what becomes of the delivery whose handling ended with err: done,
// poison, an outage, or not now; see package queue. What it does not know is an
// outage, so that nothing is given up for it. It
// logs it where it is not done: the reason, and of a backend's fault the room,
// the operation, the class and the code.
func (f Failures) Verdict(ctx context.Context, log *slog.Logger, d queue.Delivery, err error) queue.Verdict {
	if err == nil || isAny(err, f.Settled) {
		return queue.Ack()
	}
	why, attempt := f.Reason(err), d.Failed+1
	attrs := append([]any{"stage", f.Stage, "attempt", attempt, "reason", why}, fault.Attrs(err)...)
	newer := has(err, fault.Newer)
	if isAny(err, f.Hopeless) && !newer {
		log.ErrorContext(ctx, f.Dead, attrs...)
		return queue.Dead(why)
	}
	log.WarnContext(ctx, f.Retry, attrs...)
	switch {
	case newer: // a process of a later release knows it
		return queue.Postpone(patience.MaxBackoff, why)
	case has(err, fault.Conflict), isAny(err, f.First): // who was first is done by then
		return queue.Postpone(min(patience.Backoff(d.Attempt), otherFirst), why)
	case errors.Is(err, context.Canceled): // this process stops, another goes on
		return queue.Postpone(patience.Backoff(attempt), why)
	case f.alone(err):
		return queue.Postpone(patience.Backoff(attempt), why).Failing()
	}
	return queue.Retry(patience.Backoff(attempt), why)
}

// otherFirst is the longest that a message waits for another that was first.
const otherFirst = time.Second

// alone says that the error is of this message and no outage: what is kept for it is
// damaged, say.
func (f Failures) alone(err error) bool { return isAny(err, f.Passing) || has(err, fault.Broken) }

func has(err error, class fault.Class) bool {
	var e *fault.Error
	return errors.As(err, &e) && e.Class == class
}

// Reason is the error in stable words: its own where it has some, the stage's,
// or what may be told of any.
func (f Failures) Reason(err error) string {
	var own interface{ Reason() string }
	if errors.As(err, &own) {
		return own.Reason()
	}
	for _, known := range append(f.Reasons,
		Reason{context.Canceled, "the process stops"},
		Reason{context.DeadlineExceeded, "a backend did not answer in time"},
	) {
		if errors.Is(err, known.Is) {
			return known.Text
		}
	}
	return fault.Text(err)
}

func isAny(err error, of []error) bool {
	for _, known := range of {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
