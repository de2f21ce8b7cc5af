// Package relay hands on what people's devices were told to who listens elsewhere than
// at the API: a feed that phones follow by themselves, webhooks, and phones that sleep.
//
// It is told of each page behind the batch that wrote it, at least once, mostly in
// order, and by any number of processes: see package news. Whoever listens goes by the
// numbers, which are those of the API's events. Of who is erased nothing is handed on.
package relay

import (
	"context"
	"errors"
	"fmt"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/record/notice"
	"github.com/clarity-loop/clarity/services/store"
)

// A Feed is where phones listen by themselves. It holds what there is to fetch, and no
// health value. Each call may be repeated, and two may be made at once: what was told
// stays, and the last number never falls.
type Feed interface {
	// Tell adds the events, the first under the number.
	Tell(ctx context.Context, uid string, first uint64, events []notice.Event) error
	// Forget removes all that the person's feed has. It may have to be repeated.
	Forget(ctx context.Context, uid string) error
}

// A Showing is a Feed that holds what there is to see, too.
type Showing interface {
	Feed
	// Show has the document of the kind and the day be this JSON object; nil has none be there.
	Show(ctx context.Context, uid, kind, day string, document []byte) error
}

// The kinds of documents that a Showing shows.
const (
	Results  = "results"
	Insights = "insights"
)

// Hooks are who is told by requests to servers of theirs.
type Hooks interface {
	Wants(ctx context.Context, uid string) bool
	Tell(ctx context.Context, uid string, first uint64, events []notice.Event) error
	Forget(ctx context.Context, uid string) error
}

// Wakes has sleeping devices be woken. It keeps nothing of the person beside the store.
type Wakes interface {
	Wants(ctx context.Context, uid string) bool
	Tell(ctx context.Context, uid string, first uint64, events []notice.Event) error
}

// A Relay hands on.
type Relay struct {
	store *store.Store
	feed  Feed
	hooks Hooks
	wakes Wakes
}

// New is a relay to the feed, the hooks and who wakes devices; nil is nobody.
func New(s *store.Store, feed Feed, hooks Hooks, wakes Wakes) *Relay {
	return &Relay{s, feed, hooks, wakes}
}

// Wants says whether somebody may listen to the person.
func (r *Relay) Wants(ctx context.Context, uid string) bool {
	return r.feed != nil || r.hooks != nil && r.hooks.Wants(ctx, uid) || r.wakes != nil && r.wakes.Wants(ctx, uid)
}

// Tell hands on the events that were told at once, the first under the number. What
// there is to see is there before it is told of.
func (r *Relay) Tell(ctx context.Context, uid string, first uint64, events []notice.Event) error {
	switch err := r.store.CheckActive(ctx, uid); {
	case errors.Is(err, analysis.ErrErased):
		return nil
	case err != nil:
		return err
	}
	var faults []error // one who cannot be told keeps no other from it
	if r.feed != nil {
		faults = append(faults, r.follow(ctx, uid, first, events))
	}
	if r.hooks != nil && r.hooks.Wants(ctx, uid) {
		faults = append(faults, r.hooks.Tell(ctx, uid, first, events))
	}
	if r.wakes != nil {
		faults = append(faults, r.wakes.Tell(ctx, uid, first, events))
	}
	return errors.Join(faults...)
}

func (r *Relay) follow(ctx context.Context, uid string, first uint64, events []notice.Event) error {
	if showing, shows := r.feed.(Showing); shows {
		for _, e := range events {
			if err := r.show(ctx, showing, uid, e); err != nil {
				return fmt.Errorf("show %s: %w", e.Kind.Of(), err)
			}
		}
	}
	return r.feed.Tell(ctx, uid, first, events)
}

// shown is how often what changes meanwhile is shown again.
const shown = 5

// show has the feed show what the event is of, as it is now: whoever shows a former
// state late looks again.
func (r *Relay) show(ctx context.Context, feed Showing, uid string, e notice.Event) error {
	var look func(ctx context.Context, uid, day string) (view, error)
	kind := ""
	switch e.Kind {
	case flow.ResultStored, flow.ResultWithdrawn:
		kind, look = Results, r.result
	case flow.InsightReady, flow.InsightWithdrawn:
		kind, look = Insights, r.insight
	default:
		return nil
	}
	now, err := look(ctx, uid, e.Ref)
	for range shown {
		if err != nil {
			return err
		}
		if err := feed.Show(ctx, uid, kind, e.Ref, now.document); err != nil {
			return err
		}
		before := now.version
		if now, err = look(ctx, uid, e.Ref); err == nil && now.version == before {
			return nil
		}
	}
	return store.ErrConflict
}

// Forget removes what who listens elsewhere has of the person.
func (r *Relay) Forget(ctx context.Context, uid string) error {
	var faults []error
	if r.feed != nil {
		faults = append(faults, r.feed.Forget(ctx, uid))
	}
	if r.hooks != nil {
		faults = append(faults, r.hooks.Forget(ctx, uid))
	}
	return errors.Join(faults...)
}
