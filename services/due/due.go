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
	"github.com/clarity-loop/clarity/services/internal/patience"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/record/exported"
	"github.com/clarity-loop/clarity/services/record/notice"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/trace"
)

// perShard bounds what is taken up of a shard at a time: nobody's stands before
// everybody's.
const perShard = 100

// longestPause is how long something at most is not asked for that has come to no end.
const longestPause = time.Hour

// uploadPatience is how much longer an upload has than windows do: of a person's past
// one waits for its turn.
const uploadPatience = 5

// reask is how long somebody has who was asked so often, before they are asked again.
func reask(asked int) time.Duration {
	return min(time.Minute<<min(max(asked-1, 0), 6), longestPause)
}

// Needs are what the stage works with. All but Relay and Missed are required.
type Needs struct {
	Store *store.Store
	Queue interface {
		Publish(ctx context.Context, msgs ...queue.Message) error
	}
	Windows *Windows
	// Relay hands on what devices were told; nil where nobody else listens.
	Relay interface {
		Tell(ctx context.Context, uid string, first uint64, events []notice.Event) error
	}
	// Missed has what a tenant's endpoint did not take go when its time is over; nil where
	// nobody is told by requests.
	Missed interface {
		Expire(ctx context.Context, owner string, errand store.Record[agenda.Errand]) error
	}
	// PutOff counts the entries that were put off as they cannot be read.
	PutOff interface{ Inc() }
	Now    func() time.Time
	Log    *slog.Logger
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
// every fifth while nothing has been due for a while, and ever more rarely while nothing
// can be taken up. A look at nothing is one query on a laptop, and elsewhere one a shard.
func (s *Stage) Run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var trouble patience.Trouble
	for quiet := 0; ; quiet++ {
		if (quiet < calm || quiet%idle == 0) && !trouble.Rests() {
			taken, err := s.Pass(ctx)
			why := fault.Text(err)
			if news := trouble.Saw(why, taken > 0); news && err == nil {
				s.Log.Info("what is due goes on", "stage", "agenda")
			} else if news && ctx.Err() == nil {
				s.Log.Warn("what is due waits", append([]any{"stage", "agenda", "reason", why}, fault.Attrs(err)...)...)
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

// take does what an entry says. One that cannot be read, or is of a later release, is
// put off: it stands before nothing else.
func (s *Stage) take(ctx context.Context, d store.Document) error {
	if s.Store.Uploads.Holds(d) {
		r, err := s.Store.Uploads.Open(ctx, d)
		if err != nil {
			return s.unreadable(ctx, d, err)
		}
		return s.upload(ctx, d.Key.UID, r)
	}
	r, err := s.Store.Agenda.Open(ctx, d)
	if err != nil {
		return s.unreadable(ctx, d, err)
	}
	uid := d.Key.UID
	switch r.Value.Kind {
	case agenda.Upload:
		return s.adopt(ctx, uid, r)
	case agenda.Windows:
		return s.ask(ctx, uid, r, flow.TopicAnalyses, func(asked int) any { return flow.WindowsDue{UID: uid, Asked: asked} }, 1)
	case agenda.Export:
		return s.ask(ctx, uid, r, exporting.Topic, func(int) any { return exporting.Due{UID: uid, ExportID: r.Value.Ref} }, 5)
	case agenda.Resume:
		return s.resume(ctx, uid, r)
	case agenda.Told:
		return s.handOn(ctx, d, r)
	case agenda.Review:
		return s.review(ctx, uid, r)
	case agenda.Missed:
		return s.expire(ctx, d, r)
	}
	return s.putOff(ctx, d)
}

// unreadable is the error of opening an entry, where that may pass or the entry goes
// with its key; else the entry is put off.
func (s *Stage) unreadable(ctx context.Context, d store.Document, err error) error {
	var known *fault.Error
	damaged := errors.Is(err, keyring.ErrTampered) || errors.Is(err, keyring.ErrNoKey)
	if !damaged && (!errors.As(err, &known) || known.Class != fault.Broken && known.Class != fault.Newer) {
		return err
	}
	return s.putOff(ctx, d)
}

// putOff has the entry be looked at later, each time after twice as long.
func (s *Stage) putOff(ctx context.Context, d store.Document) error {
	s.PutOff.Inc()
	now := s.Now().UTC()
	waited := max(now.Sub(d.Updated), reask(1)/2)
	return s.Store.PutOff(ctx, d, now.Add(min(2*waited, longestPutOff)))
}

// longestPutOff is how long an entry at most is not looked at that cannot be read: a
// later release may come at any time.
const longestPutOff = time.Hour

// upload asks for the merge of an upload that has come to no end, and has one go that
// has served its time.
func (s *Stage) upload(ctx context.Context, uid string, r store.Record[record.Upload]) error {
	u, now := r.Value, s.Now().UTC()
	if u.Done() {
		return s.Store.Uploads.Delete(ctx, uid, r.Key, r.Version)
	}
	if u.State == record.UploadHeld && u.HeldAt.IsZero() {
		u.HeldAt = r.Updated
	}
	u.Asked++
	change := s.Store.Uploads.ToPut(r.Key, r.Version, u).At(now.Add(min(uploadPatience*reask(u.Asked), longestPause)))
	return s.tell(ctx, uid, change, flow.UploadReceived{}.Topic(u.Historical), flow.UploadReceived{UID: uid, UploadID: r.Key})
}

// adopt has an upload be looked at by its own record which the releases before have put
// on the agenda.
func (s *Stage) adopt(ctx context.Context, uid string, e store.Record[agenda.Errand]) error {
	done := s.Store.Agenda.ToDelete(e.Key, e.Version)
	r, err := s.Store.Uploads.Get(ctx, uid, e.Value.Ref)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && (r.Value.Done() || !r.Due.IsZero()):
		_, err = s.Store.Batch(ctx, uid, done)
	case err == nil:
		if r.Value.State == record.UploadHeld {
			r.Value.HeldAt = r.Updated
		}
		_, err = s.Store.Batch(ctx, uid, s.Store.Uploads.ToPut(r.Key, r.Version, r.Value).At(s.Now().UTC()), done)
	}
	return err
}

// ask moves the entry on, under its version, and has its work be done. Where the
// process dies between the two, or the message is lost, it falls due again.
func (s *Stage) ask(ctx context.Context, uid string, r store.Record[agenda.Errand], topic string, say func(asked int) any, patience time.Duration) error {
	e := r.Value
	e.Asked++
	e.Waits = time.Time{}
	change := s.Store.Agenda.ToPut(r.Key, r.Version, e).At(s.Now().UTC().Add(min(patience*reask(e.Asked), longestPause)))
	return s.tell(trace.Because(ctx, e.Traces...), uid, change, topic, say(e.Asked))
}

// tell writes the change, and then has the work be done.
func (s *Stage) tell(ctx context.Context, uid string, change store.Change, topic string, what any) error {
	if _, err := s.Store.Batch(ctx, uid, change); err != nil {
		return err
	}
	m, err := queue.JSON(topic, uid, what)
	if err == nil {
		err = s.Queue.Publish(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("ask for what is due: %w", err)
	}
	return nil
}

// heldPage is how many uploads are read at a time to take up what was held: each may
// have its body.
const heldPage = store.MaxBatch

// resume takes up what came to a halt, for want of consent or in an erasure's grace:
// each upload is due, and so are the windows; what changed of Results without a word is told to who puts them into words.
func (s *Stage) resume(ctx context.Context, uid string, r store.Record[agenda.Errand]) error {
	now := s.Now().UTC()
	for after := ""; ; {
		uploads, err := s.Store.Uploads.List(ctx, uid, store.Query{After: after, Limit: heldPage})
		if err != nil {
			return fmt.Errorf("list uploads: %w", err)
		}
		var changes []store.Change
		for _, u := range uploads {
			after = u.Key
			if !u.Value.Done() {
				changes = append(changes, s.Store.Uploads.ToPut(u.Key, u.Version, u.Value).At(now))
			}
		}
		if len(changes) > 0 {
			if _, err := s.Store.Batch(ctx, uid, changes...); err != nil {
				return fmt.Errorf("take up uploads: %w", err)
			}
		}
		if len(uploads) < heldPage {
			break
		}
	}
	if err := s.Windows.wake(ctx, uid); err != nil {
		return err
	}
	if err := s.wakeExports(ctx, uid); err != nil {
		return err
	}
	if err := s.retell(ctx, uid, r.Value.Since); err != nil {
		return err
	}
	return s.Store.Agenda.Delete(ctx, uid, r.Key, r.Version)
}

// wakeExports has the exports be due that are not written: their message came to
// nothing while the account was shut.
func (s *Stage) wakeExports(ctx context.Context, uid string) error {
	entries, err := s.Store.Agenda.List(ctx, uid, store.Query{Limit: store.MaxLimit})
	if err != nil {
		return fmt.Errorf("list the agenda: %w", err)
	}
	now := s.Now().UTC()
	for _, e := range entries {
		if e.Value.Kind != agenda.Export || !e.Due.After(now) {
			continue
		}
		r, err := s.Store.Exports.Get(ctx, uid, e.Value.Ref)
		if errors.Is(err, store.ErrNotFound) || err == nil && r.Value.State != exported.Pending {
			continue
		}
		if err == nil {
			_, err = s.Store.Batch(ctx, uid, s.Store.Agenda.ToPut(e.Key, e.Version, e.Value).At(now))
		}
		if err != nil && !errors.Is(err, store.ErrConflict) { // another is at it
			return fmt.Errorf("take up exports: %w", err)
		}
	}
	return nil
}

// review has every window with data be analysed: those whose Result is current
// cost a look.
func (s *Stage) review(ctx context.Context, uid string, r store.Record[agenda.Errand]) error {
	var ends []health.Day
	next, last, zone := health.Day(0), health.Day(0), time.UTC
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
			if known, err := health.LoadZone(d.Value.Zone); err == nil {
				zone = known
			}
		}
		if len(days) < store.MaxLimit {
			break
		}
	}
	today := health.DayOf(health.InstantOf(s.Now()), zone) // where the person was last
	ends = slices.DeleteFunc(ends, func(end health.Day) bool { return end > max(last, today) })
	if err := s.Windows.Ask(ctx, uid, ends...); err != nil {
		return err
	}
	return s.Store.Agenda.Delete(ctx, uid, r.Key, r.Version)
}
