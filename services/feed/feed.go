// Package feed has a person's devices be told what messages say is new: see
// package news. What a stage writes down itself, in the batch of what it is about,
// does not come by here.
package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/news"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/stage"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/trace"
)

const (
	concurrency = 8
	maxText     = 256 // bytes of a Ref or Version
)

// Needs are what the stage works with. All are required but for the Drain.
type Needs struct {
	Store *store.Store
	Queue interface {
		Receive(ctx context.Context, sub queue.Subscription, handle queue.Handler) error
	}
	News interface {
		Batch(ctx context.Context, uid string, events []flow.Event, changes ...store.Change) (versions []int64, err error)
	}
	// Drain is how long handlers that run have at a stop; 0 is the queue's default.
	Drain time.Duration
	Log   *slog.Logger
}

// A Stage handles the topics of events and of results.
type Stage struct{ Needs }

// New is the stage over what it needs.
func New(n Needs) *Stage { return &Stage{n} }

// Run handles the events of a topic until ctx is done.
func (s *Stage) Run(ctx context.Context, topic string) error {
	handle := s.Handle
	if topic == flow.TopicResults {
		handle = s.HandleResults
	}
	if err := s.Queue.Receive(ctx, queue.Subscription{Topic: topic, Name: flow.Feed, Concurrency: concurrency, Drain: s.Drain}, handle); err != nil {
		return fmt.Errorf("receive %s: %w", topic, err)
	}
	return nil
}

// Handle tells the events of a message.
func (s *Stage) Handle(ctx context.Context, d queue.Delivery) queue.Verdict {
	var what flow.Told
	if err := json.Unmarshal(d.Body, &what); err != nil || !legal(what) || len(what.All()) == 0 {
		s.Log.ErrorContext(ctx, "event is unreadable", "stage", "delivery", "attempt", d.Attempt)
		return queue.Dead("the event cannot be read")
	}
	return s.tell(ctx, d, what)
}

// HandleResults tells of the Results of a message, unless they are told with their words.
func (s *Stage) HandleResults(ctx context.Context, d queue.Delivery) queue.Verdict {
	var ready flow.ResultsReady
	if err := json.Unmarshal(d.Body, &ready); err != nil || !legal(ready.Told()) {
		s.Log.ErrorContext(ctx, "message is unreadable", "stage", "delivery", "attempt", d.Attempt)
		return queue.Dead("the message cannot be read")
	}
	if ready.WithWords {
		return queue.Ack()
	}
	return s.tell(ctx, d, ready.Told())
}

func (s *Stage) tell(ctx context.Context, d queue.Delivery, what flow.Told) queue.Verdict {
	ctx, span := trace.Begin(ctx, "event")
	defer span.End("")
	_, err := s.News.Batch(ctx, what.UID, what.All())
	if err == nil {
		return queue.Ack()
	}
	if active := s.Store.CheckActive(ctx, what.UID); errors.Is(active, analysis.ErrErased) {
		err = active
	}
	return failures().Verdict(ctx, s.Log, d, err)
}

// failures are what the stage makes of its errors.
func failures() stage.Failures {
	return stage.Failures{
		Stage: "delivery", Retry: "event failed, will retry",
		Settled: []error{analysis.ErrErased},
		First:   []error{store.ErrConflict},
		Passing: []error{store.ErrKey, news.ErrNumber},
		Reasons: []stage.Reason{
			{Is: store.ErrConflict, Text: "its number was taken meanwhile"},
			{Is: store.ErrKey, Text: "its place is not legal"},
			{Is: news.ErrNumber, Text: "its place is not legal"},
		},
	}
}

func legal(what flow.Told) bool {
	for _, e := range what.All() {
		if !e.Kind.Known() || e.Ref == "" || len(e.Ref) > maxText || e.Version == "" || len(e.Version) > maxText {
			return false
		}
	}
	return what.UID != ""
}
