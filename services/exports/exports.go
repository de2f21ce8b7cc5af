// Package exports is the stage that makes a copy of everything that is held of a
// person, as objects of theirs, and removes it when its time is over.
//
// An export's record is the job: it lists the parts that are written, and says up to
// which record of the person they go. Lines are written a turn at a time, into parts
// of some megabytes; what is behind the last part that is recorded is written again
// by whoever goes on, in any process, so that a crash costs seconds. It is ready
// when all is in it, with its length and digest, or it has failed and says so: it
// never looks complete before it is. Days are read as they are at their turn, each
// of them whole; the agenda holds the export until it is gone.
package exports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/flow/exporting"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/record/exported"
	"github.com/clarity-loop/clarity/services/stage"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
)

const (
	// turn is how long an export is written before the next person's turn comes.
	turn = 4 * time.Second
	// partBytes are about the lines of one part, which are in memory at once.
	partBytes = 4 << 20
	// again is how long after its last part somebody looks at an export that is
	// being written.
	again = 5 * time.Minute
)

// The reasons of a failure: stable words.
const (
	Unreadable = "unreadable" // something of what is held cannot be read
	TooLarge   = "too_large"  // it has more parts than its record can list
)

// A Section is one kind of what is held of a person. Each hands the records behind
// the key `after` to line, by rising keys; the lines of one key follow each other.
type Section struct {
	Name string
	Each func(ctx context.Context, uid, after string, line func(kind, key string, value any) error) error
}

// Needs are what the stage works with. All are required.
type Needs struct {
	Store *store.Store
	// Objects are people's own, sealed; a vault.Vault has them.
	Objects interface {
		Replace(ctx context.Context, kind, uid, rest string, plain []byte) (name string, err error)
		Remove(ctx context.Context, name string) error
	}
	Queue interface {
		Publish(ctx context.Context, msgs ...queue.Message) error
	}
	// Held is everything that is held of a person, in the order of an export.
	Held []Section
	Now  func() time.Time
	Log  *slog.Logger
}

// A Stage handles the topic of exports.
type Stage struct {
	Needs
	turn      time.Duration
	partBytes int
}

// New is the stage over what it needs.
func New(n Needs) *Stage { return &Stage{n, turn, partBytes} }

// errMore says that the turn is over before the export.
var errMore = errors.New("there is more to write")

// Handle does what is due of one export. It may come twice: what is done is in the
// export's record.
func (s *Stage) Handle(ctx context.Context, d queue.Delivery) queue.Verdict {
	var m exporting.Due
	if err := json.Unmarshal(d.Body, &m); err != nil || m.UID == "" || m.ExportID == "" {
		return failures().Verdict(ctx, s.Log, d, fmt.Errorf("read request: %w", analysis.ErrUnreadable))
	}
	err := s.advance(ctx, m.UID, m.ExportID)
	if errors.Is(err, errMore) {
		return queue.Postpone(0, "the rest has its turn")
	}
	return failures().Verdict(ctx, s.Log, d, err)
}

// failures are what the stage makes of its errors.
func failures() stage.Failures {
	return stage.Failures{
		Stage: "exports", Retry: "export failed, will retry", Dead: "export cannot be read",
		Settled:  []error{analysis.ErrErased, keyring.ErrDestroyed},
		First:    []error{store.ErrConflict},
		Hopeless: []error{analysis.ErrUnreadable},
		Reasons: []stage.Reason{
			{Is: store.ErrConflict, Text: "another was first"},
			{Is: analysis.ErrUnreadable, Text: "the message cannot be read"},
		},
	}
}

// A job is one export that something is to be done with.
type job struct {
	uid      string
	record   store.Record[record.Export]
	standing store.Record[record.Account]
	asked    int // how often it was asked for in vain
}

// advance does what the export's record says is next.
func (s *Stage) advance(ctx context.Context, uid, id string) error {
	standing, err := s.Store.Standing(ctx, uid)
	if err == nil {
		err = standing.Value.Active()
	}
	if err != nil {
		return err
	}
	found, err := s.Store.Exports.Get(ctx, uid, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil // it is gone already, and its entry with it
	}
	if err != nil {
		return err
	}
	j := &job{uid: uid, record: found, standing: standing}
	switch e := found.Value; {
	case e.Over(s.Now()):
		return s.remove(ctx, j)
	case e.State == exported.Pending:
		err := s.write(ctx, j)
		if reason := hopeless(err); reason != "" {
			s.Log.ErrorContext(ctx, "an export failed", append([]any{"stage", "exports", "reason", failures().Reason(err)}, fault.Attrs(err)...)...)
			err = s.fail(ctx, j, reason)
		}
		if err != nil {
			return err
		}
	}
	return s.tell(ctx, j)
}

// hopeless is why an export can never be complete, or "".
func hopeless(err error) string {
	var e *fault.Error
	switch {
	case err == nil, errors.As(err, &e) && e.Class == fault.Newer, errors.Is(err, timeline.ErrNewer):
		return ""
	case errors.Is(err, store.ErrTooLarge):
		return TooLarge
	case errors.Is(err, blob.ErrCorrupt), errors.Is(err, blob.ErrNotFound), errors.Is(err, keyring.ErrTampered), errors.Is(err, timeline.ErrDamaged),
		errors.As(err, &e) && e.Class == fault.Broken:
		return Unreadable
	}
	return ""
}

// saveTries is how often an export is written while the person answers something.
const saveTries = 8

// save writes what became of the export, and when it is looked at again: under the
// record that was read, and unless the person is erased meanwhile. What else they
// answer meanwhile is in no export's way.
func (s *Stage) save(ctx context.Context, j *job, due time.Time) (err error) {
	e := agenda.Errand{Kind: agenda.Export, Ref: j.record.Key, Since: j.record.Value.CreatedAt, Asked: j.asked}
	for range saveTries {
		var versions []int64
		versions, err = s.Store.Batch(ctx, j.uid,
			s.Store.Exports.ToPut(j.record.Key, j.record.Version, j.record.Value),
			s.Store.Agenda.ToPut(agenda.ExportKey(j.record.Value.Slot), store.Any, e).At(due.UTC()),
			s.Store.Under(j.standing))
		if err == nil {
			j.record.Version, j.standing.Version = versions[0], versions[2]
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		now, looked := s.Store.Standing(ctx, j.uid)
		if looked != nil {
			return looked
		}
		if now.Version == j.standing.Version || now.Value.Life != j.standing.Value.Life || now.Value.Active() != nil {
			return err // another wrote the export, or it is of who is erased, or of a life before
		}
		j.standing = now
	}
	return err
}

// fail keeps that the export will not be complete. Its parts go with it.
func (s *Stage) fail(ctx context.Context, j *job, reason string) error {
	found, err := s.Store.Exports.Get(ctx, j.uid, j.record.Key) // as it was before the lines that could not be written
	if err != nil {
		return err
	}
	j.record = found
	now := s.Now().UTC()
	e := &j.record.Value
	e.State, e.Reason, e.ExpiresAt, e.Progress = exported.Failed, reason, now.Add(exported.KeptFailed), exported.Progress{}
	return s.save(ctx, j, now)
}

// tell tells the person's devices what became of the export, and has the agenda hold
// it until its time is over. Who is told twice is told once: see package feed. Where
// its time is over by the clock of who asked, and not by ours, it stays put off for as
// long as they did: else they would ask again at once, and for hours.
func (s *Stage) tell(ctx context.Context, j *job) error {
	kind := flow.EventKind(exporting.Ready)
	if j.record.Value.State == exported.Failed {
		kind = exporting.Failed
	}
	m, err := queue.JSON(flow.TopicEvents, j.uid, flow.Event{UID: j.uid, Kind: kind, Ref: j.record.Key, Version: "1"})
	if err == nil {
		err = s.Queue.Publish(ctx, m)
	}
	if err != nil {
		return fmt.Errorf("tell of an export: %w", err)
	}
	due := j.record.Value.ExpiresAt
	entry, err := s.Store.Agenda.Get(ctx, j.uid, agenda.ExportKey(j.record.Value.Slot))
	switch {
	case err == nil && entry.Due.After(due):
		due, j.asked = entry.Due, entry.Value.Asked
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return err
	}
	return s.save(ctx, j, due)
}

// remove removes an export whose time is over: its parts, then itself.
func (s *Stage) remove(ctx context.Context, j *job) error {
	for _, part := range j.record.Value.Parts {
		if err := s.Objects.Remove(ctx, part.Object); err != nil {
			return fmt.Errorf("remove an export: %w", err)
		}
	}
	_, err := s.Store.Batch(ctx, j.uid,
		s.Store.Exports.ToDelete(j.record.Key, j.record.Version),
		s.Store.Agenda.ToDelete(agenda.ExportKey(j.record.Value.Slot), store.Any))
	return err
}
