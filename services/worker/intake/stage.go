// Package intake merges uploads into the days of a person's timeline and asks
// for the analysis of what changed.
//
// Handle may die anywhere and be called again with the same message: every step
// finds what an earlier call did. An upload of few days, as nearly all are, is merged
// at once: the chunks are put, and one batch has the days' records refer to them and
// does all of step 6. Of many days, or where something is deleted, it is, in order:
//
//  1. Read and decode the raw body; read what is held of the person; compute what
//     the merge would do.
//  2. Note that plan in the upload's record: what was new and which days change
//     can only be told before anything is written.
//  3. Add the deletions to the tombstones, in one batch with the digest of what is
//     held; look once more which days hold the deleted.
//  4. Write the chunk of each day that changes, then its record, by
//     compare-and-set and under the upload's record; the chunk that was replaced is
//     left to the retention. Who comes behind step 2 of another call writes the
//     upload's record first: the other writes no day any more.
//  5. In one batch mark the upload merged, commit the phone's anchors with the
//     digest of what is held by now, put the windows on the agenda that are to be analysed, and tell the devices. Where the tombstones grew
//     meanwhile do step 4 again: a deletion that came between must not find its
//     sample later.
//
// A day that has no room for what an upload has of it is left without that, and
// the upload's record says so; its deletions, and all other days, are merged.
//
// A chunk's object is named by its digest and a random number, so that no two
// attempts write the same object: removing one can never take one that is in use.
package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/stage"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/trace"
)

// Needs are what the stage works with. All are required.
type Needs struct {
	Store *store.Store
	// Objects are the person's own, sealed; a vault.Vault has them.
	Objects interface {
		Get(ctx context.Context, uid, name string) ([]byte, error)
		Replace(ctx context.Context, kind, uid, rest string, plain []byte) (name string, err error)
	}
	// News tells the person's devices, with what it is about; a news.Book does.
	News interface {
		Batch(ctx context.Context, uid string, events []flow.Event, with ...store.Change) (versions []int64, err error)
	}
	// Windows are those that are to be analysed; an agenda.Windows has them.
	Windows interface {
		Adding(ctx context.Context, uid string, first bool, ends ...health.Day) (change store.Change, ask []queue.Message, err error)
	}
	Queue interface {
		Publish(ctx context.Context, msgs ...queue.Message) error
	}
	Now func() time.Time
	Log *slog.Logger
}

// A Stage handles the topic of uploads.
type Stage struct {
	Needs
	room int // samples of days that an upload may hold at once
}

// New is the stage over what it needs.
func New(n Needs) *Stage { return &Stage{n, roomFor} }

// Handle merges one upload. A body that cannot be read is marked failed and
// becomes a dead letter; without consent it is held until there is one.
func (s *Stage) Handle(ctx context.Context, d queue.Delivery) queue.Verdict {
	var m flow.UploadReceived
	if err := json.Unmarshal(d.Body, &m); err != nil || m.UID == "" || m.UploadID == "" {
		s.Log.ErrorContext(ctx, "message is no upload", "stage", "intake", "attempt", d.Attempt)
		return queue.Dead("the message cannot be decoded")
	}
	ctx, span := trace.Begin(ctx, "merge")
	defer span.End("")
	started := s.Now()
	err := s.intake(ctx, m, d.Failed+1)
	if err == nil {
		s.Log.InfoContext(ctx, "upload handled", "stage", "intake", "attempt", d.Attempt, "duration", s.Now().Sub(started))
	}
	return failures().Verdict(ctx, s.Log, d, err)
}

// failures are what the stage makes of its errors.
func failures() stage.Failures {
	return stage.Failures{
		Stage: "intake", Retry: "upload failed, will retry", Dead: "upload cannot be merged",
		Settled:  []error{analysis.ErrErased, keyring.ErrDestroyed, errNoRecord},
		First:    []error{store.ErrConflict},
		Passing:  []error{timeline.ErrDamaged, keyring.ErrTampered, keyring.ErrNoKey, blob.ErrCorrupt, blob.ErrNotFound},
		Hopeless: []error{analysis.ErrUnreadable},
		Reasons: []stage.Reason{
			{Is: timeline.ErrDamaged, Text: "a day or the tombstones cannot be decoded"},
			{Is: keyring.ErrNoKey, Text: "the person's key is missing"},
			{Is: keyring.ErrTampered, Text: "an object does not belong to its name"},
			{Is: blob.ErrCorrupt, Text: "an object is damaged"},
			{Is: blob.ErrNotFound, Text: "an object is not there"},
			{Is: store.ErrConflict, Text: "a record was replaced meanwhile"},
		},
	}
}

// A failure says why an upload can never be merged. Its reason is kept in the
// upload's record and names nothing personal.
type failure struct{ reason reason }

// A reason is a stable word for why an upload failed: docs/api/codes.md.
type reason string

const (
	bodyDamaged    reason = "body_damaged"       // the stored body is not what was received
	bodyGone       reason = "body_gone"          // the stored body is not there
	bodyUnreadable reason = "body_unreadable"    // the release that merges reads uploads otherwise than the one that took it
	deletionsFull  reason = "too_many_deletions" // the person's set of deletions has no room
	notAgreed      reason = "consent_withdrawn"  // it was held for as long as it may be
)

// ofBody says whether another reading of the body may come to another end.
func (r reason) ofBody() bool { return r == bodyDamaged || r == bodyGone || r == bodyUnreadable }

func (f *failure) Error() string  { return "upload is impossible: " + string(f.reason) }
func (f *failure) Reason() string { return string(f.reason) }
func (f *failure) Unwrap() error  { return analysis.ErrUnreadable }

// errNoRecord says that there is no upload: its record is written before its
// message, and goes with the person.
var errNoRecord = errors.New("upload has no record")

// intake brings one upload to its end, whatever was done for it before. One that failed
// for its body has a message where somebody takes it up again, or where the one that
// failed was cut.
func (s *Stage) intake(ctx context.Context, m flow.UploadReceived, attempt int) error {
	standing, err := s.Store.Standing(ctx, m.UID)
	if err == nil {
		err = standing.Value.Active()
	}
	if err != nil {
		return err
	}
	stored, err := s.Store.Uploads.Get(ctx, m.UID, m.UploadID)
	if errors.Is(err, store.ErrNotFound) {
		return errNoRecord
	}
	if err != nil {
		return fmt.Errorf("read upload's record: %w", err)
	}
	j := &uploadWork{uid: m.UID, id: m.UploadID, record: stored, attempt: attempt}
	switch stored.Value.State {
	case record.UploadMerged:
		return nil
	case record.UploadFailed:
		if stored.Value.Reason == string(notAgreed) {
			return nil // nothing is wrong with it
		}
		if why := reason(stored.Value.Reason); !why.ofBody() {
			return &failure{why}
		}
	}
	if standing.Value.Permitted() != nil {
		return s.hold(ctx, j, standing)
	}
	if stored.Value.State == record.UploadHeld {
		j.taken = []store.Change{s.Store.Under(standing)}
	}
	err = s.process(ctx, j)
	var failed *failure
	if errors.As(err, &failed) && stored.Value.Reason != string(failed.reason) {
		if err := s.fail(ctx, j, failed.reason); err != nil {
			return err
		}
	}
	return err
}

func (s *Stage) process(ctx context.Context, j *uploadWork) error {
	if err := s.read(ctx, j); err != nil {
		return err
	}
	if done, err := s.mergeAtOnce(ctx, j); done || err != nil {
		return err
	}
	return s.merge(ctx, j)
}

// hold keeps the upload until the person agrees again, or has not for so long, by two
// looks: then it has failed, and its body goes with the retention. It is held only as long as they
// stand as was read: who agrees meanwhile has the message handled anew.
func (s *Stage) hold(ctx context.Context, j *uploadWork, standing store.Record[record.Account]) error {
	now, u := s.Now().UTC(), j.record.Value
	over := u.Next(since(j.record))
	switch {
	case u.State != record.UploadHeld:
		return s.mark(ctx, j, func(u *record.Upload) { u.State, u.HeldAt = record.UploadHeld, now }, s.Store.Under(standing))
	case !now.Before(over):
		return s.overdue(ctx, j, standing)
	case !u.OverAt.IsZero(): // by a clock that was ahead
	case u.Asked == 0, !j.record.Due.Before(over):
		return nil
	}
	return s.holdOn(ctx, j, time.Time{}, over, standing)
}

// assured is how far apart the two looks are by which an upload has been held for as long
// as it may be: what cannot be undone rests on no single look at a clock.
const assured = 48 * time.Hour

// overdue has an upload fail whose time was over long ago, and notes else that it is.
func (s *Stage) overdue(ctx context.Context, j *uploadWork, standing store.Record[record.Account]) error {
	now, u := s.Now().UTC(), j.record.Value
	first := u.OverAt
	if first.IsZero() || now.Before(first) {
		first = now
	}
	sure := first.Add(assured)
	switch {
	case !now.Before(sure):
		return s.fail(ctx, j, notAgreed, s.Store.Under(standing))
	case first.Equal(u.OverAt) && u.Asked == 0:
		return nil
	}
	return s.holdOn(ctx, j, first, sure, standing)
}

// holdOn has somebody look at an upload that stays held.
func (s *Stage) holdOn(ctx context.Context, j *uploadWork, overAt, due time.Time, standing store.Record[record.Account]) error {
	u := j.record.Value
	u.Asked, u.OverAt = 0, overAt
	if _, err := s.Store.Batch(ctx, j.uid, s.Store.Uploads.ToPut(j.id, j.record.Version, u).At(due), s.Store.Under(standing)); err != nil {
		return fmt.Errorf("hold the upload: %w", err)
	}
	return nil
}

// since is when an upload that is held began to be: of the releases before, which did
// not say so, when its record was written last.
func since(r store.Record[record.Upload]) time.Time {
	if r.Value.HeldAt.IsZero() {
		return r.Updated
	}
	return r.Value.HeldAt
}

// mark changes the upload's record as this work knows it, and what belongs to
// that, at once; the devices are told in the same batch.
func (s *Stage) mark(ctx context.Context, j *uploadWork, change func(*record.Upload), with ...store.Change) error {
	value := j.record.Value
	change(&value)
	if value.State != j.record.Value.State {
		value.Asked = 0
	}
	if value.State != record.UploadFailed {
		value.Reason = ""
	}
	if value.State != record.UploadHeld {
		value.HeldAt, value.OverAt = time.Time{}, time.Time{}
	}
	with = append([]store.Change{s.Store.Uploads.ToPut(j.id, j.record.Version, value).At(value.Next(s.Now().UTC()))}, with...)
	versions, err := s.News.Batch(ctx, j.uid, j.news(value.State), with...)
	if err != nil {
		return fmt.Errorf("write upload's record: %w", err)
	}
	j.record.Version, j.record.Value = versions[0], value
	return nil
}

// take writes the upload's record as it is, under another version: a call before,
// which may have noted days and still be writing them, can write no more of them.
func (s *Stage) take(ctx context.Context, j *uploadWork, with ...store.Change) error {
	with = append([]store.Change{s.Store.Uploads.ToPut(j.id, j.record.Version, j.record.Value).At(j.record.Due)}, with...)
	versions, err := s.Store.Batch(ctx, j.uid, with...)
	if err != nil {
		return fmt.Errorf("take the upload: %w", err)
	}
	j.record.Version = versions[0]
	return nil
}
