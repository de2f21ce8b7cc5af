// Package shard is one part of a cohort's analysis: the subjects whose pseudonym
// falls to it, each of their windows, one after the other.
//
// It is for batches and may be stopped at any time, be killed, or run twice at
// once. What it computes is what the online stage would: it uses that stage, so
// a Result is the same byte for byte whoever computed it, and storing it twice
// is harmless. What must not be harmed by a second run is the count, and the
// checkpoints see to that:
//
//   - A checkpoint is an object of the blob store that is created and never
//     changed: shards/RUN/INDEX/NUMBER. The one with the highest number is the
//     shard's state. Put is create-only, so two attempts cannot both write one
//     number; that is all the fencing needs of the store.
//   - An attempt has a number that is higher than those of the attempts before
//     it. It begins by claiming the shard: a checkpoint with its number. Whoever
//     then finds a checkpoint taken by another, or one after its own, has lost the
//     shard, ends, and has changed nothing of the state.
//   - Before a subject's Results are touched, a checkpoint says that the subject
//     is begun, with a mark of its Results' versions. Where the mark is another
//     when all is done, the subject has succeeded, else it was skipped: that is
//     the same whether one attempt did it, or one stored and died and the next
//     found everything current.
//   - A subject is counted when all its windows are done, in the checkpoint that
//     moves the cursor behind it. So each is counted once, whatever died where.
//
// A subject is known by a pseudonym (see keyring): no uid and no health
// value is in a checkpoint, a report, an error or the log.
package shard

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/api/worker/termination"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/worker/analyse"
)

// A Task is what a shard is to do. It is the same for every attempt.
type Task struct {
	// Run names the whole, of which this is a part: the AnalysisJob's UID.
	Run           string
	Shard, Shards int
	// Start and End are the first and the last day on which a window ends.
	Start, End health.Day
	// Replace computes what is current, too.
	Replace bool
	// Model is the digest of the version that is asked, "" for none.
	Model string
	// Subjects are the pseudonyms of whom it is about; nil is everyone.
	Subjects []string
}

// The bounds of a task.
const (
	MaxShards = 10_000
	MaxDays   = 3_653 // ten years
)

var (
	runForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,62}$`)
	digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// Validate tells every fault of a task at once.
func (t Task) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !runForm.MatchString(t.Run) {
		fault("the run %.80q is not a name of up to 63 letters, digits and dashes", t.Run)
	}
	if t.Shards < 1 || t.Shards > MaxShards || t.Shard < 0 || t.Shard >= t.Shards {
		fault("there is no shard %d of %d; shards are 1 to %d, counted from 0", t.Shard, t.Shards, MaxShards)
	}
	if days := int(t.End-t.Start) + 1; days < 1 || days > MaxDays {
		fault("from %v to %v is not 1 to %d days", t.Start, t.End, MaxDays)
	}
	if t.Model != "" && !digestForm.MatchString(t.Model) {
		fault("the model's digest is not sha256: and 64 hexadecimal digits")
	}
	for i, s := range t.Subjects {
		if !IsPseudonym(s) {
			fault("subject %d is not a pseudonym", i)
			break
		}
	}
	return errors.Join(faults...)
}

// fingerprint tells tasks apart: an attempt goes on only from checkpoints of its own task.
func (t Task) fingerprint() string {
	subjects := sha256.New()
	for _, s := range slices.Sorted(slices.Values(t.Subjects)) {
		_, _ = fmt.Fprintln(subjects, s)
	}
	raw, err := json.Marshal([]any{t.Run, t.Shard, t.Shards, t.Start, t.End, t.Replace, t.Model, t.Subjects != nil, hex.EncodeToString(subjects.Sum(nil))})
	if err != nil {
		panic(err) // these types encode
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// mine says whether a subject falls to the shard.
func (t Task) mine(pseudonym string) bool {
	sum := sha256.Sum256([]byte(pseudonym))
	return binary.BigEndian.Uint64(sum[:8])%uint64(t.Shards) == uint64(t.Shard) //nolint:gosec // Validate has looked
}

// An Attempt is one run of a task.
type Attempt struct {
	// Number is higher than that of every attempt that began before: how often the shard was tried.
	Number int64
	// Holder tells apart two attempts with one number: the pod's UID. The later one wins.
	Holder string
}

// Blobs are where checkpoints lie, beside people's objects; a blob.Store is one.
type Blobs interface {
	Put(ctx context.Context, name string, data []byte) (generation int64, err error)
	Get(ctx context.Context, name string) ([]byte, error)
	Delete(ctx context.Context, name string, generation int64) error
	List(ctx context.Context, prefix, after string, limit int) ([]blob.Info, error)
}

// Data is what a shard works with.
type Data struct {
	Stage interface {
		Look(ctx context.Context, req analysis.Request) (analyse.Freshness, error)
		Analyse(ctx context.Context, req analysis.Request, order analyse.Order) (analyse.Outcome, int64, error)
		Ends(ctx context.Context, uid string, first, last health.Day) ([]health.Day, error)
	}
	Blobs Blobs
	// People are all that there is something of; a store.Store knows them.
	People interface {
		EachPerson(ctx context.Context, see func(uid string) error) error
	}
	// Keys name people by pseudonyms; see keyring.Pseudonymizer.
	Keys interface {
		Pseudonym(ctx context.Context, uid string) (string, error)
	}
}

// A DataLock gives the data for a while. Where many shards share what only one
// process may hold, each has it for a lease at a time; where they need not, the
// one lease is all of it.
type DataLock interface {
	// Acquire waits until the data is free. Release gives it back.
	Acquire(ctx context.Context) (d Data, release func() error, err error)
}

// Needs are what a Runner works with; all are required.
type Needs struct {
	Lock DataLock
	// Lease is how long a shard may keep the data before it releases it.
	Lease time.Duration
	Now   func() time.Time
	Log   *slog.Logger
}

// The sentinels that Run's error wraps, beside those of the lock.
var (
	// ErrStopped says that the shard was told to stop: the next attempt goes on.
	ErrStopped = errors.New("the shard was stopped")
	// ErrSuperseded says that a later attempt has the shard: this one is to end.
	ErrSuperseded = errors.New("a later attempt has the shard")
	// ErrTask says that checkpoints of another task are in the shard's place.
	ErrTask = errors.New("the shard's checkpoints are of another task")
	// ErrCheckpoint says that the newest checkpoint cannot be read.
	ErrCheckpoint = errors.New("the shard's checkpoint is damaged")
)

// A Runner does one attempt of a task.
type Runner struct {
	Needs
	task        Task
	attempt     Attempt
	checkpoints checkpoints
	people      []person // of this shard, by pseudonym
	listed      bool
	saved       state // as it is in the newest checkpoint of ours
	state       state // and what was done since
	begun       time.Time
}

// New is a Runner of a valid task.
func New(n Needs, t Task, a Attempt) (*Runner, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	if a.Number < 0 || a.Holder == "" || len(a.Holder) > maxHolder {
		return nil, fmt.Errorf("attempt %d of a holder of %d bytes", a.Number, len(a.Holder))
	}
	return &Runner{Needs: n, task: t, attempt: a, checkpoints: checkpoints{task: t}}, nil
}

// Run goes on from where the attempts before came to, until everything is done
// or ctx ends; then what is done is on record and the error is ErrStopped. The
// report is about the shard as a whole, and true also where there is an error.
func (r *Runner) Run(ctx context.Context) (termination.Report, error) {
	for {
		done, err := r.lease(ctx)
		if ctx.Err() != nil && !done && !errors.Is(err, ErrSuperseded) {
			if errors.Is(err, ctx.Err()) {
				err = nil // it says no more
			}
			err = errors.Join(ErrStopped, err)
		}
		if done || err != nil {
			return r.saved.report(), err
		}
	}
}

// lease works with the data for as long as it may keep them.
func (r *Runner) lease(ctx context.Context) (done bool, err error) {
	data, release, err := r.Lock.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, release()) }()
	r.begun = r.Now()
	if err := r.hold(ctx, data); err != nil || r.saved.Done {
		return r.saved.Done, err
	}
	if !r.listed {
		if r.people, err = list(ctx, data, r.task); err != nil {
			return false, err
		}
		r.listed = true
		r.Log.Info("shard subjects listed", "stage", "shard", "subjects", len(r.people), "attempt", r.attempt.Number)
	}
	finished, err := r.work(ctx, data)
	if errors.Is(err, ErrSuperseded) {
		return false, err
	}
	// What is done is put on record also where ctx has ended, or something failed.
	r.state.Done = finished && err == nil
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveWithin)
	defer cancel()
	if failed := r.save(saving, data); failed != nil {
		return false, errors.Join(err, failed)
	}
	r.Log.Debug("shard lease ended", "stage", "shard", "subjects", r.saved.report().Subjects, "of", len(r.people), "duration", r.Now().Sub(r.begun))
	return r.state.Done, err
}

// saveWithin bounds the last checkpoint of an attempt that is told to stop.
const saveWithin = 10 * time.Second

// hold makes sure that the shard is this attempt's: at first it claims it, and
// goes on from the state that is there; later it looks whether it still has it.
func (r *Runner) hold(ctx context.Context, data Data) error {
	if r.saved.Number > 0 {
		return r.checkpoints.still(ctx, data.Blobs, r.saved)
	}
	for range claims {
		latest, err := r.checkpoints.latest(ctx, data.Blobs)
		if err != nil {
			return err
		}
		if latest.Number > 0 && latest.Task != r.task.fingerprint() {
			return ErrTask
		}
		r.saved = latest
		if latest.Attempt > r.attempt.Number {
			return ErrSuperseded
		}
		if latest.Done {
			return nil
		}
		r.state = latest.clone()
		r.state.Attempt, r.state.Holder, r.state.Task = r.attempt.Number, r.attempt.Holder, r.task.fingerprint()
		err = r.save(ctx, data)
		if !errors.Is(err, ErrSuperseded) {
			if err == nil {
				r.Log.Info("shard claimed", "stage", "shard", "attempt", r.attempt.Number, "done", r.saved.report().Subjects, "begun", len(r.saved.Begun))
			}
			return err
		}
		r.saved = state{} // an earlier attempt was quicker with this number: look again
	}
	return ErrSuperseded
}

// claims is how often a claim is tried: each failure is a checkpoint of another attempt.
const claims = 10

// save makes the state the shard's, or returns ErrSuperseded.
func (r *Runner) save(ctx context.Context, data Data) error {
	next := r.state.clone()
	next.Number = r.saved.Number + 1
	if err := r.checkpoints.put(ctx, data.Blobs, next); err != nil {
		return err
	}
	r.state, r.saved = next, next.clone()
	return nil
}
