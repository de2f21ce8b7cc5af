// Package insights puts a Result into words.
//
// For each Result that is ready it makes the facts, has them written, checks
// the text and stores it. A text that says more than its facts is never
// stored: the template's is, and FellBack says why. The same facts are put into
// words once.
package insights

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/grounded"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/stage"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/trace"
)

const concurrency = 4

// Needs are what the stage works with. All are required but for the Drain.
type Needs struct {
	Store *store.Store
	Queue interface {
		Publish(ctx context.Context, msgs ...queue.Message) error
		Receive(ctx context.Context, sub queue.Subscription, handle queue.Handler) error
	}
	Audit interface {
		Append(ctx context.Context, e audit.Event) error
	}
	// Words puts facts into words that keep to them.
	Words *grounded.Writer
	// Drain is how long handlers that run have at a stop; 0 is the queue's default.
	Drain time.Duration
	Now   func() time.Time
	Log   *slog.Logger
}

// A Stage handles the topic of results.
type Stage struct{ Needs }

// New is the stage over what it needs.
func New(n Needs) *Stage { return &Stage{n} }

// Run handles results until ctx is done.
func (s *Stage) Run(ctx context.Context) error {
	sub := queue.Subscription{Topic: flow.TopicResults, Name: flow.Insights, Concurrency: concurrency, Drain: s.Drain}
	if err := s.Queue.Receive(ctx, sub, s.Handle); err != nil {
		return fmt.Errorf("receive results: %w", err)
	}
	return nil
}

// Handle puts Results into words and publishes that there are new ones, and texts. The
// text of the week after each compares with it: where it is there, it is brought up to
// date too.
func (s *Stage) Handle(ctx context.Context, d queue.Delivery) queue.Verdict {
	var ready flow.ResultsReady
	if err := json.Unmarshal(d.Body, &ready); err != nil || ready.UID == "" {
		s.Log.ErrorContext(ctx, "message is unreadable", "stage", "insights", "attempt", d.Attempt)
		return queue.Dead("the message cannot be read")
	}
	ctx, span := trace.Begin(ctx, "insight")
	defer span.End("")
	started := s.Now()
	standing, err := s.Store.Standing(ctx, ready.UID)
	if err == nil {
		err = standing.Value.Permitted()
	}
	how := refreshing{of: ready, again: d.Attempt > 1, agreed: standing.Value.Agreed(record.PurposeNarrative)}
	if err == nil {
		how.texts, err = s.look(ctx, ready.UID)
	}
	if err == nil {
		err = s.ahead(ctx, &ready, how)
	}
	if err == nil {
		err = s.each(ctx, ready, how, s.refresh)
	}
	if errors.Is(err, analysis.ErrNoConsent) {
		err = s.left(ctx, ready, how, standing)
	}
	if err == nil {
		s.Log.InfoContext(ctx, "insights refreshed", "stage", "insights", "attempt", d.Attempt, "duration", s.Now().Sub(started))
		return queue.Ack()
	}
	if active := s.Store.CheckActive(ctx, ready.UID); errors.Is(active, analysis.ErrErased) { // meanwhile: the store fails on what is shredded
		err = active
	}
	return failures().Verdict(ctx, s.Log, d, err)
}

// ahead tells of Results whose words may take long before these: a language model's.
func (s *Stage) ahead(ctx context.Context, ready *flow.ResultsReady, how refreshing) error {
	if !ready.WithWords || !how.agreed || !s.Words.NeedsConsent() {
		return nil
	}
	ready.WithWords = false
	return s.publish(ctx, ready.UID, ready.Told().All())
}

// left leaves what is ready to the day on which the person agrees again, when what
// changed without a word is told anew: as long as they stand as was read. Who agrees
// meanwhile has the message handled again. What an attempt before wrote, and did not
// come to tell, is told now: on that day it is a text like another.
func (s *Stage) left(ctx context.Context, ready flow.ResultsReady, how refreshing, standing store.Record[record.Account]) error {
	if err := s.each(ctx, ready, how, s.tellStored); err != nil {
		return err
	}
	if standing.Version > 0 {
		if _, err := s.Store.Batch(ctx, ready.UID, s.Store.Under(standing)); err != nil {
			return err
		}
	}
	return analysis.ErrNoConsent
}

// tellStored tells of one Insight as it is stored, or that it is gone with its Result,
// and writes none.
func (s *Stage) tellStored(ctx context.Context, ready analysis.Request, how refreshing, tell func(flow.Event)) error {
	if how.onlyStored && !how.again {
		return nil
	}
	key := ready.End.String()
	stored, err := s.Store.Insights.Get(ctx, ready.UID, key)
	switch {
	case err == nil:
		how.tellResult(key, stored.Value.Insight.InputDigest, 0, tell)
		return s.written(ctx, ready, stored.Value.Insight, wording(stored), tell)
	case !errors.Is(err, store.ErrNotFound):
		return err
	case how.onlyStored:
		return nil
	}
	if _, err := s.Store.Results.Get(ctx, ready.UID, key); !errors.Is(err, store.ErrNotFound) {
		return err // nil where there is a Result, of which nothing was said
	}
	tell(flow.Event{Kind: flow.InsightWithdrawn, Ref: key, Version: "withdrawn"})
	return nil
}

// failures are what the stage makes of its errors.
func failures() stage.Failures {
	return stage.Failures{
		Stage: "insights", Retry: "insight failed, will retry", Dead: "no text can be written",
		Settled:  []error{analysis.ErrErased, analysis.ErrNoConsent},
		First:    []error{store.ErrConflict},
		Passing:  []error{store.ErrKey},
		Hopeless: []error{grounded.ErrTemplate},
		Reasons: []stage.Reason{
			{Is: grounded.ErrTemplate, Text: "the template's text does not keep to its facts"},
			{Is: store.ErrConflict, Text: "the insight was replaced meanwhile"},
			{Is: store.ErrKey, Text: "its place is not legal"},
		},
	}
}

// refreshing says how an Insight is brought up to date.
type refreshing struct {
	of         flow.ResultsReady
	again      bool // an attempt before may have died after it stored the text
	onlyStored bool // not where there is none yet
	agreed     bool // to have facts put into words by a language model
	texts      *texts
}

// tellResult tells of the Result that an Insight is of, which need not be the one of
// the message, nor of a window of it: who has stored it takes it for told then.
func (how refreshing) tellResult(end, digest string, version int64, tell func(flow.Event)) {
	if !slices.ContainsFunc(how.of.Results, func(c flow.Changed) bool { return c.End.String() == end && c.Version == digest }) {
		tell(flow.Event{Kind: flow.ResultStored, Ref: end, Version: digest, Change: version})
	}
}

// each does the same for the windows, and for the week after each, of which the text
// compares with it; it tells of what is news, also where it could not be done for all.
func (s *Stage) each(ctx context.Context, ready flow.ResultsReady, how refreshing,
	do func(context.Context, analysis.Request, refreshing, func(flow.Event)) error) (err error) {
	var news []flow.Event
	if ready.WithWords {
		news = ready.Told().All()
	}
	tell := func(e flow.Event) { news = append(news, e) }
	for _, end := range ready.Ends() {
		req := analysis.Request{UID: ready.UID, End: end}
		how.onlyStored = false
		if err = do(ctx, req, how, tell); err != nil {
			break
		}
		how.onlyStored = true
		if err = do(ctx, req.Weeks(1), how, tell); err != nil {
			break
		}
	}
	return errors.Join(err, s.publish(ctx, ready.UID, news))
}

// refresh brings the stored Insight of one window up to date.
func (s *Stage) refresh(ctx context.Context, ready analysis.Request, how refreshing, tell func(flow.Event)) error {
	key := ready.End.String()
	stored, err := how.texts.get(ctx, key)
	exists := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if how.onlyStored && !exists {
		return nil
	}
	result, err := s.Store.Results.Get(ctx, ready.UID, key)
	if errors.Is(err, store.ErrNotFound) { // the data was withdrawn: so is what was said of it
		return s.withdraw(ctx, ready, stored.Version, how, tell)
	}
	if err != nil {
		return err
	}
	before, err := s.before(ctx, ready)
	if err != nil {
		return err
	}
	facts := narrative.Facts(result.Value.Result, before)
	digest := result.Value.Result.Lineage.InputDigest
	if exists && same(stored.Value.Insight, result.Value.Result, facts) {
		moved := stored.Value.Insight.InputDigest != digest
		if moved { // it says of this Result what it said
			stored.Value.Insight.InputDigest, stored.Value.Written = digest, wording(stored)
			if stored.Version, err = s.Store.Insights.Put(ctx, ready.UID, key, stored.Version, stored.Value); err != nil {
				return err
			}
		}
		again := how.again || !moved && !how.onlyStored // a process may have died after it was stored: who was told is not told twice
		if moved || again {
			how.tellResult(key, digest, result.Version, tell)
		}
		if again {
			return s.written(ctx, ready, stored.Value.Insight, wording(stored), tell)
		}
		return nil
	}
	insight, err := s.write(ctx, ready.UID, how.agreed, result.Value.Result, facts)
	if err != nil {
		return err
	}
	put := []store.Change{s.Store.Insights.ToPut(key, stored.Version, record.Insight{Insight: insight, WrittenAt: s.Now().UTC()})}
	if !exists { // who withdraws finds none yet: it is written as long as its Result stands
		put = append(put, s.Store.Results.ToCheck(key, result.Version))
	}
	versions, err := s.Store.Batch(ctx, ready.UID, put...)
	if err != nil {
		return err
	}
	how.texts.wrote(key)
	how.tellResult(key, digest, result.Version, tell)
	return s.written(ctx, ready, insight, versions[0], tell)
}

// withdraw deletes the Insight of the version and tells the person's devices, for
// whom a text that is gone must go.
func (s *Stage) withdraw(ctx context.Context, ready analysis.Request, version int64, how refreshing, tell func(flow.Event)) error {
	key := ready.End.String()
	if version > 0 {
		if err := s.Store.Insights.Delete(ctx, ready.UID, key, version); err != nil {
			return err
		}
	} else if how.onlyStored && !how.again {
		return nil
	}
	tell(flow.Event{Kind: flow.InsightWithdrawn, Ref: key, Version: "withdrawn", Change: version})
	return nil
}

// before is the Result of the week before, nil where there is none.
func (s *Stage) before(ctx context.Context, ready analysis.Request) (*analysis.Result, error) {
	r, err := s.Store.Results.Get(ctx, ready.UID, ready.Weeks(-1).End.String())
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &r.Value.Result, nil
}
