package due

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/flow/exporting"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/store"
)

// perShard bounds what is taken up of a shard at a time: nobody's stands before
// everybody's.
const perShard = 100

// reask is how long somebody has who was asked so often, before they are asked again.
func reask(asked int) time.Duration {
	return min(time.Minute<<min(max(asked-1, 0), 6), time.Hour)
}

// Needs are what the stage works with. All are required.
type Needs struct {
	Store *store.Store
	Queue interface {
		Publish(ctx context.Context, msgs ...queue.Message) error
	}
	Windows *Windows
	Now     func() time.Time
	Log     *slog.Logger
}

// A Stage looks at what is due. Any number of processes may run one: whoever
// moves an entry first, by its version, does what is to be done.
type Stage struct{ Needs }

// New is the stage over what it needs.
func New(n Needs) *Stage { return &Stage{n} }

// calm is how many looks in a row find nothing before only each idleth is taken.
const (
	calm = 25
	idle = 5
)

// Run takes up what is due at once, and then every interval, until ctx is done:
// every fifth while nothing has been due for a while. A look at nothing is one query
// on a laptop, and elsewhere one a shard.
func (s *Stage) Run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for quiet := 0; ; quiet++ {
		if quiet < calm || quiet%idle == 0 {
			taken, err := s.Pass(ctx)
			if err != nil && ctx.Err() == nil {
				s.Log.Warn("what is due waits", append([]any{"stage", "agenda", "reason", fault.Text(err)}, fault.Attrs(err)...)...)
			}
			if taken > 0 || err != nil {
				quiet = 0
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Pass takes up everything that is due, and returns how much that was. One entry
// that cannot be taken up costs no other: it is looked at again. So for a shard.
func (s *Stage) Pass(ctx context.Context) (taken int, err error) {
	err = s.Store.EachDue(ctx, s.Now(), perShard, func(d store.Document) error {
		err := s.take(ctx, d)
		if errors.Is(err, store.ErrConflict) || errors.Is(err, keyring.ErrDestroyed) { // another was first, or it goes
			return nil
		}
		if err == nil {
			taken++
		}
		return err
	})
	return taken, err
}

// take does what an entry says.
func (s *Stage) take(ctx context.Context, d store.Document) error {
	r, err := s.Store.Agenda.Open(ctx, d)
	if err != nil {
		return err
	}
	uid := d.Key.UID
	switch r.Value.Kind {
	case agenda.Upload:
		return s.ask(ctx, uid, r, flow.UploadReceived{}.Topic(r.Value.Historical), func(int) any { return flow.UploadReceived{UID: uid, UploadID: r.Value.Ref} }, 5)
	case agenda.Windows:
		return s.ask(ctx, uid, r, flow.TopicAnalyses, func(asked int) any { return flow.WindowsDue{UID: uid, Asked: asked} }, 1)
	case agenda.Export:
		return s.ask(ctx, uid, r, exporting.Topic, func(int) any { return exporting.Due{UID: uid, ExportID: r.Value.Ref} }, 5)
	case agenda.Resume:
		return s.resume(ctx, uid, r)
	case agenda.Review:
		return s.review(ctx, uid, r)
	}
	return nil // of a later release, which knows what to do
}

// ask moves the entry on, under its version, and has its work be done. Where the
// process dies between the two, or the message is lost, it falls due again.
func (s *Stage) ask(ctx context.Context, uid string, r store.Record[agenda.Errand], topic string, say func(asked int) any, patience time.Duration) error {
	e := r.Value
	e.Asked++
	e.Waits = time.Time{}
	if _, err := s.Store.Batch(ctx, uid, s.Store.Agenda.ToPut(r.Key, r.Version, e).At(s.Now().UTC().Add(min(patience*reask(e.Asked), time.Hour)))); err != nil {
		return err
	}
	m, err := queue.JSON(topic, uid, say(e.Asked))
	if err == nil {
		err = s.Queue.Publish(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("ask for what is due: %w", err)
	}
	return nil
}

// resume takes up what was held: each upload has an entry again, the windows' is
// due, and what changed of Results without a word is told to who puts them into words.
func (s *Stage) resume(ctx context.Context, uid string, r store.Record[agenda.Errand]) error {
	now := s.Now().UTC()
	for after := ""; ; {
		uploads, err := s.Store.Uploads.List(ctx, uid, store.Query{After: after, Limit: 200})
		if err != nil {
			return fmt.Errorf("list uploads: %w", err)
		}
		var changes []store.Change
		for _, u := range uploads {
			after = u.Key
			if u.Value.State == record.UploadHeld {
				e := agenda.Errand{Kind: agenda.Upload, Ref: u.Key, Since: now, Historical: u.Value.Historical}
				changes = append(changes, s.Store.Agenda.ToPut(e.Key(), store.Any, e).At(now))
			}
		}
		for some := range slices.Chunk(changes, store.MaxBatch) {
			if _, err := s.Store.Batch(ctx, uid, some...); err != nil {
				return fmt.Errorf("take up held uploads: %w", err)
			}
		}
		if len(uploads) < 200 {
			break
		}
	}
	if err := s.Windows.wake(ctx, uid); err != nil {
		return err
	}
	if err := s.retell(ctx, uid); err != nil {
		return err
	}
	return s.Store.Agenda.Delete(ctx, uid, r.Key, r.Version)
}

// review has every window with data be analysed: those whose Result is current
// cost a look.
func (s *Stage) review(ctx context.Context, uid string, r store.Record[agenda.Errand]) error {
	var ends []health.Day
	next, last := health.Day(0), health.Day(0)
	for after := ""; ; {
		days, err := s.Store.Days.List(ctx, uid, store.Query{After: after, Limit: store.MaxLimit})
		if err != nil {
			return fmt.Errorf("list days: %w", err)
		}
		for _, d := range days {
			after = d.Key
			day, err := health.ParseDay(d.Key)
			if err != nil {
				return fmt.Errorf("list days: %w", err)
			}
			first, until := analysis.Touching(day)
			for next = max(next, first); next <= until; next++ {
				ends = append(ends, next)
			}
			last = day
		}
		if len(days) < store.MaxLimit {
			break
		}
	}
	today := health.DayOf(health.InstantOf(s.Now()), time.UTC) + 1 // somewhere it is tomorrow
	ends = slices.DeleteFunc(ends, func(end health.Day) bool { return end > max(last, today) })
	if err := s.Windows.Ask(ctx, uid, ends...); err != nil {
		return err
	}
	return s.Store.Agenda.Delete(ctx, uid, r.Key, r.Version)
}
