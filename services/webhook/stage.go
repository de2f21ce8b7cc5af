package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/flow/hooking"
	"github.com/clarity-loop/clarity/services/identity"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record/hook"
	"github.com/clarity-loop/clarity/services/stage"
	"github.com/clarity-loop/clarity/services/store"
)

// longestPause is the longest between two tries of an event.
const longestPause = time.Hour

// pauses are between the tries of an event; from then on it is the longest.
func pauses() []time.Duration {
	return []time.Duration{5 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute}
}

// pause is how long an event waits that was tried so often.
func pause(attempts int) time.Duration {
	if all := pauses(); attempts <= len(all) {
		return all[max(attempts, 1)-1]
	}
	return longestPause
}

// Needs are what the stage works with. All are required.
type Needs struct {
	Book *Book
	Now  func() time.Time
	Log  *slog.Logger
}

// A Stage handles the topic of webhooks. It is a prometheus.Collector of what it does.
type Stage struct {
	Needs
	sender   sender
	circuits *circuits
	metrics  *metrics
}

// New is the stage over what it needs.
func New(n Needs) *Stage {
	return &Stage{Needs: n, sender: newSender(n.Now), circuits: newCircuits(n.Now), metrics: newMetrics()}
}

// Handle has all endpoints of a person's tenant be told of events, or tells one of one.
func (s *Stage) Handle(ctx context.Context, d queue.Delivery) queue.Verdict {
	var due hooking.Due
	if err := json.Unmarshal(d.Body, &due); err != nil || due.UID == "" || len(due.Events) == 0 || due.Endpoint != "" && len(due.Events) != 1 {
		s.Log.ErrorContext(ctx, "message is unreadable", "stage", "webhooks", "attempt", d.Attempt)
		return queue.Dead("the message cannot be read")
	}
	verdict, err := queue.Ack(), error(nil)
	if due.Endpoint != "" {
		verdict, err = s.deliver(ctx, d, due)
	} else if err = s.Book.store.CheckActive(ctx, due.UID); err == nil {
		err = s.spread(ctx, due)
	}
	if err != nil {
		return failures().Verdict(ctx, s.Log, d, err)
	}
	return verdict
}

// failures are what the stage makes of its errors.
func failures() stage.Failures {
	return stage.Failures{
		Stage: "webhooks", Retry: "webhook failed, will retry",
		Settled: []error{analysis.ErrErased},
		First:   []error{store.ErrConflict},
		Passing: []error{store.ErrKey},
		Reasons: []stage.Reason{{Is: store.ErrConflict, Text: "what is kept of it was changed meanwhile"}, {Is: store.ErrKey, Text: "its place is not legal"}},
	}
}

// spread has each endpoint be told of each event that it wants.
func (s *Stage) spread(ctx context.Context, due hooking.Due) error {
	tenant, _ := identity.Tenant(due.UID)
	endpoints, err := s.Book.Endpoints(ctx, tenant)
	if err != nil {
		return err
	}
	var all []hooking.Due
	for _, endpoint := range endpoints {
		for i, e := range due.Events {
			if endpoint.Value.Wants(flow.EventKind(e.Kind)) && !e.At.Before(endpoint.Value.CreatedAt.Add(-believed)) {
				all = append(all, hooking.Due{UID: due.UID, First: due.First + uint64(i), Events: []hooking.Event{e}, Endpoint: endpoint.Key, Begun: s.Now().UTC()}) //nolint:gosec // not negative
			}
		}
	}
	return s.Book.publish(ctx, all...)
}

// deliver tells one endpoint of one event, where its circuit lets it: that is asked before
// anything is read, so that what waits costs nothing but its place in the queue.
func (s *Stage) deliver(ctx context.Context, d queue.Delivery, due hooking.Due) (queue.Verdict, error) {
	tenant, _ := identity.Tenant(due.UID)
	late := s.Now().Sub(due.Begun) >= hook.Patience
	pass, wait := s.circuits.enter(tenant, due.Endpoint)
	if pass == nil && !late {
		return queue.Postpone(min(wait, longestPause), "the endpoint rests"), nil
	}
	defer pass.leave(neither)
	if err := s.Book.store.CheckActive(ctx, due.UID); err != nil {
		if errors.Is(err, analysis.ErrErased) && (d.Attempt > 1 || due.Again) {
			return queue.Ack(), s.Book.taken(ctx, due) // who died may have left it
		}
		return queue.Verdict{}, err
	}
	endpoint, err := s.Book.store.Endpoints.Get(ctx, ownerOf(due.UID), due.Endpoint)
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && !endpoint.Value.GoneAt.IsZero():
		pass.leave(gone)
		return queue.Ack(), nil
	case err != nil:
		return queue.Verdict{}, err
	case pass == nil:
		return queue.Ack(), s.giveUp(ctx, due, answer{reason: reasonAway})
	}
	return s.send(ctx, d, due, endpoint, pass, late)
}

// send makes the request, and says what becomes of the event.
func (s *Stage) send(ctx context.Context, d queue.Delivery, due hooking.Due, endpoint store.Record[hook.Endpoint], pass *pass, late bool) (queue.Verdict, error) {
	body, err := bodyOf(due.UID, due.First, due.Events[0])
	if err != nil {
		return queue.Verdict{}, fmt.Errorf("encode an event: %w", err)
	}
	began := s.Now()
	came := s.sender.send(ctx, endpoint.Value, idOf(due.UID, due.First, due.Events[0]), body)
	if !came.well() && ctx.Err() != nil { // this process stops
		return queue.Verdict{}, ctx.Err()
	}
	s.metrics.attempt(came, s.Now().Sub(began))
	s.tellCircuit(ctx, endpoint, came.well(), pass.leave(came.outcome()))
	switch {
	case came.well():
		s.metrics.ended(endTaken, s.Now().Sub(due.Events[0].At))
		if d.Attempt > 1 || due.Again {
			return queue.Ack(), s.Book.taken(ctx, due)
		}
		return queue.Ack(), nil
	case came.status == http.StatusGone:
		return queue.Ack(), s.Book.gone(ctx, endpoint)
	case late:
		return queue.Ack(), s.giveUp(ctx, due, came)
	}
	if err := s.Book.missed(ctx, due, hook.Pending, came); err != nil {
		return queue.Verdict{}, err
	}
	return queue.Postpone(max(pause(d.Failed+1), came.after), "the endpoint did not take it: "+came.reason).Failing(), nil
}

// giveUp has the event be tried no more.
func (s *Stage) giveUp(ctx context.Context, due hooking.Due, came answer) error {
	if err := s.Book.missed(ctx, due, hook.Failed, came); err != nil {
		return err
	}
	s.metrics.ended(endGivenUp, s.Now().Sub(due.Events[0].At))
	return nil
}

// tellCircuit says that an endpoint is away, or back, in the log and to who registered it.
func (s *Stage) tellCircuit(ctx context.Context, endpoint store.Record[hook.Endpoint], well bool, away time.Time) {
	failing := !endpoint.Value.FailingSince.IsZero()
	switch {
	case !away.IsZero() && !failing:
		s.Log.WarnContext(ctx, "an endpoint is away", "stage", "webhooks", "endpoint", endpoint.Key)
		endpoint.Value.FailingSince = away.UTC()
	case well && failing:
		s.Log.InfoContext(ctx, "an endpoint is back", "stage", "webhooks", "endpoint", endpoint.Key)
		endpoint.Value.FailingSince = time.Time{}
	default:
		return
	}
	_ = s.Book.change(ctx, endpoint) // for people to see: where another was first, the next time
}
