// Package feed records what there is to tell a person's devices.
//
// Each Event becomes a document under the next sequence number of its
// person, 16 hexadecimal digits, so that a device which reads in order and
// remembers the last number misses nothing. The numbers of a person are
// consecutive and never used twice. One that repeats the last of its Ref among
// the person's last Recent is not recorded again; the last Kept are kept.
package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/stage"
	"github.com/clarity-loop/clarity/services/store"
)

const (
	// Kept is how many events of a person are kept.
	Kept = 1000
	// Recent is among how many of the newest a repetition is recognised.
	Recent = 64
)

const (
	concurrency = 8
	maxText     = 256 // bytes of a Ref or Version
	attempts    = 4   // at a number that another process takes at the same time
)

// Needs are what the stage works with. All are required.
type Needs struct {
	Store *store.Store
	Queue interface {
		Receive(ctx context.Context, sub queue.Subscription, handle queue.Handler) error
	}
	Now func() time.Time
	Log *slog.Logger
}

// A Stage handles the topic of events.
type Stage struct {
	Needs
	memory *memory
}

// New is the stage over what it needs.
func New(n Needs) *Stage { return &Stage{n, newMemory(rememberedPeople)} }

// Run handles events until ctx is done.
func (s *Stage) Run(ctx context.Context) error {
	sub := queue.Subscription{Topic: flow.TopicEvents, Name: flow.Feed, Concurrency: concurrency}
	if err := s.Queue.Receive(ctx, sub, s.Handle); err != nil {
		return fmt.Errorf("receive events: %w", err)
	}
	return nil
}

// Handle records one event.
func (s *Stage) Handle(ctx context.Context, d queue.Delivery) queue.Verdict {
	var what flow.Event
	if err := json.Unmarshal(d.Body, &what); err != nil || !legal(what) {
		s.Log.Error("event is unreadable", "stage", "delivery", "attempt", d.Attempt)
		return queue.Dead("the event cannot be read")
	}
	err := s.record(ctx, what)
	if err == nil {
		return queue.Ack()
	}
	if active := s.Store.CheckActive(ctx, what.UID); errors.Is(active, analysis.ErrErased) {
		s.memory.drop(what.UID)
		err = active
	}
	return failures().Verdict(s.Log, d, err)
}

// failures are what the stage makes of its errors.
func failures() stage.Failures {
	return stage.Failures{
		Stage: "delivery", Retry: "event failed, will retry",
		Settled: []error{analysis.ErrErased},
		Passing: []error{store.ErrConflict, store.ErrKey, errNumber},
		Reasons: []stage.Reason{
			{Is: store.ErrConflict, Text: "its number was taken meanwhile"},
			{Is: store.ErrKey, Text: "its place is not legal"},
			{Is: errNumber, Text: "its place is not legal"},
		},
	}
}

func legal(d flow.Event) bool {
	return slices.Contains(flow.EventKinds(), d.Kind) && d.UID != "" && d.Ref != "" && len(d.Ref) <= maxText && d.Version != "" && len(d.Version) <= maxText
}

// record writes the event under the next number, unless it was told lately.
func (s *Stage) record(ctx context.Context, d flow.Event) error {
	var err error
	for range attempts {
		var known told
		if known, err = s.told(ctx, d.UID); err != nil {
			return err
		}
		mark := markOf(d.Kind, d.Ref, d.Version)
		if known.repeats(mark) {
			err = s.stands(ctx, d.UID, known)
		} else {
			err = s.write(ctx, d, known, mark)
		}
		if err == nil {
			return nil
		}
		s.memory.drop(d.UID) // another process was first, or nothing is known
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return err
}

// write writes the event behind the last one, if that is there as it was remembered.
func (s *Stage) write(ctx context.Context, d flow.Event, known told, m mark) error {
	next := known.last + 1
	changes := []store.Change{s.Store.Events.ToPut(key(next), 0, record.Event{Kind: d.Kind, Ref: d.Ref, Version: d.Version, At: s.Now().UTC()})}
	if known.last > 0 {
		changes = append(changes, s.Store.Events.ToCheck(key(known.last), known.version))
	}
	versions, err := s.Store.Batch(ctx, d.UID, changes...)
	if err != nil {
		return err
	}
	s.memory.put(d.UID, known.with(next, versions[0], m))
	s.forget(ctx, d.UID, next)
	return nil
}

// stands is store.ErrConflict where the last event is not there as it was remembered.
func (s *Stage) stands(ctx context.Context, uid string, known told) error {
	last, err := s.Store.Events.Get(ctx, uid, key(known.last))
	if errors.Is(err, store.ErrNotFound) || err == nil && last.Version != known.version {
		return fmt.Errorf("look at the last event: %w", store.ErrConflict)
	}
	return err
}

// told is what the person was told lately, read where it is not remembered.
// The numbers behind what is kept, which a crash may have left, go then.
func (s *Stage) told(ctx context.Context, uid string) (known told, err error) {
	if known, ok := s.memory.get(uid); ok {
		return known, nil
	}
	newest, err := s.Store.Events.List(ctx, uid, store.Query{Descending: true, Limit: Recent})
	if err != nil || len(newest) == 0 {
		return told{}, err
	}
	last, err := number(newest[0].Key)
	if err != nil {
		return told{}, err
	}
	known = told{last: last, version: newest[0].Version}
	for i := len(newest) - 1; i >= 0; i-- {
		v := newest[i].Value
		known = known.with(last, known.version, markOf(v.Kind, v.Ref, v.Version))
	}
	if last <= Kept {
		return known, nil
	}
	stale, err := s.Store.Events.List(ctx, uid, store.Query{To: key(last - Kept + 1), Limit: store.MaxLimit})
	if err != nil {
		return told{}, err
	}
	for _, r := range stale {
		if err := s.Store.Events.Delete(ctx, uid, r.Key, store.Any); err != nil {
			return told{}, err
		}
	}
	return known, nil
}

// forget drops the one event that number n pushes out. Where it fails, the
// event itself is recorded all the same: the next reading cleans up.
func (s *Stage) forget(ctx context.Context, uid string, n uint64) {
	if n <= Kept {
		return
	}
	if err := s.Store.Events.Delete(ctx, uid, key(n-Kept), store.Any); err != nil {
		s.memory.drop(uid)
		s.Log.Warn("old event not removed, will retry", "stage", "delivery", "reason", failures().Reason(err))
	}
}
