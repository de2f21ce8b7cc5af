// Package wake is the stage that wakes a person's devices when there is something new.
//
// A device that sleeps follows no stream. Where it has registered itself it is sent a
// message that says so much: that there is something, of which kind the newest is and what
// its number, and never what it holds. It fetches by the API, as ever.
//
// # One in a while
//
// A device is woken once an interval at most. What is new within one waits for its end,
// once for all of it: the person's record says when, and every message but the one that
// waits is done. A wake is lost with its message, with the process that has it in hand,
// and with an hour of a service that is away: the next one wakes, and what there is to
// fetch is in the events.
//
// # Who is woken
//
// Who agrees to be processed, and is not erased. The tokens are in a record of the
// person's, sealed by their key; it goes with their other records. A token goes when the
// service says that it is of no device any more.
package wake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/flow/waking"
	"github.com/clarity-loop/clarity/services/push"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record/device"
	"github.com/clarity-loop/clarity/services/record/notice"
	"github.com/clarity-loop/clarity/services/stage"
	"github.com/clarity-loop/clarity/services/store"
)

const (
	// DefaultEvery is the interval where nobody says one.
	DefaultEvery = 5 * time.Minute
	// given is how long it is tried to wake somebody of what is new.
	given = time.Hour
	// Hands is how many people are woken at a time.
	Hands = 8
	// longest is how far ahead a wake lies at most, unless the interval is longer: further
	// is of a clock that was ahead.
	longest = time.Hour
	// tries is how often a record is written that others change meanwhile.
	tries = 8
)

// A Publisher has devices be woken; a queue is one.
type Publisher interface {
	Publish(ctx context.Context, msgs ...queue.Message) error
}

// A Teller has the stage be told of what is new.
type Teller struct {
	devices store.Collection[device.Devices]
	queue   Publisher
	now     func() time.Time
}

// NewTeller is one over the store.
func NewTeller(s *store.Store, q Publisher, now func() time.Time) *Teller {
	return &Teller{s.Devices, q, now}
}

// Wants says whether a device of the person may be asleep; where that cannot be read it may.
func (t *Teller) Wants(ctx context.Context, uid string) bool {
	found, err := t.devices.Get(ctx, uid, device.Key)
	if errors.Is(err, store.ErrNotFound) {
		return false
	}
	return err != nil || len(found.Value.All) > 0
}

// waits says whether a message waits that wakes the devices.
func waits(d device.Devices, now time.Time, every time.Duration) bool {
	return d.Next.After(now) && !d.Next.After(now.Add(max(every, longest)))
}

// Tell has the person's devices be woken, unless they will be anyway.
func (t *Teller) Tell(ctx context.Context, uid string, first uint64, events []notice.Event) error {
	found, err := t.devices.Get(ctx, uid, device.Key)
	if errors.Is(err, store.ErrNotFound) || err == nil && (len(found.Value.All) == 0 || waits(found.Value, t.now(), 0)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read whom to wake: %w", err)
	}
	newest := events[len(events)-1]
	due := waking.Due{UID: uid, Kind: string(newest.Kind), Number: first + uint64(len(events)) - 1, At: newest.At}
	m, err := queue.JSON(waking.Topic, uid, due)
	if err == nil {
		err = t.queue.Publish(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("have devices be woken: %w", err)
	}
	return nil
}

// Needs are what the stage works with. All are required.
type Needs struct {
	Store  *store.Store
	Sender push.Sender
	// Every is the interval in which a device is woken once at most.
	Every time.Duration
	Now   func() time.Time
	Log   *slog.Logger
}

// A Stage handles the topic of wakes. It is a prometheus.Collector of what it does.
type Stage struct {
	Needs
	metrics *metrics
}

// New is the stage over what it needs.
func New(n Needs) *Stage { return &Stage{n, newMetrics()} }

// Handle wakes the devices of one person.
func (s *Stage) Handle(ctx context.Context, d queue.Delivery) queue.Verdict {
	var due waking.Due
	if err := json.Unmarshal(d.Body, &due); err != nil || due.UID == "" || due.Kind == "" {
		s.Log.ErrorContext(ctx, "message is unreadable", "stage", "wakes", "attempt", d.Attempt)
		return queue.Dead("the message cannot be read")
	}
	if s.Now().Sub(due.At) >= given+s.Every {
		s.metrics.count(outcomeLate)
		return queue.Ack()
	}
	came, err := s.wake(ctx, due, d)
	switch {
	case err != nil:
		return failures().Verdict(ctx, s.Log, d, err)
	case came.failed != nil:
		s.Log.WarnContext(ctx, "wake failed, will retry", append([]any{"stage", "wakes", "attempt", d.Failed + 1}, fault.Attrs(came.failed)...)...)
		return queue.Retry(came.after, fault.Text(came.failed))
	case came.after > 0:
		return queue.Postpone(came.after, "it was woken just now")
	}
	return queue.Ack()
}

// failures are what the stage makes of its errors.
func failures() stage.Failures {
	return stage.Failures{
		Stage: "wakes", Retry: "wake failed, will retry",
		Settled: []error{analysis.ErrErased, analysis.ErrNoConsent},
		First:   []error{store.ErrConflict},
		Reasons: []stage.Reason{{Is: store.ErrConflict, Text: "the devices were changed meanwhile"}},
	}
}
