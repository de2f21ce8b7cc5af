// Package erasure is the stage that ends a person's account, step by step, from
// the mark that the ingress makes to the receipt.
//
// The account's document is all it goes by: it says how far the erasure has
// come, and when it goes on, so that whoever finds it does the next step. Each
// step may be repeated, and what it came to is written behind it: a process that
// dies costs the step that was at hand. First the key goes, which makes every
// copy unreadable; then, once every process must know of that, documents,
// messages and objects, in small pieces; then audit and receipt. What a late
// writer left behind that was sealed with the dead key: after an hour and after
// a day it is removed again.
package erasure

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/fault"
	"github.com/clarity-loop/clarity/services/internal/patience"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/erased"
	"github.com/clarity-loop/clarity/services/store"
)

const (
	// turn is how long one step works at a time, so that no one's data stands
	// before the next person's, and lease how long the work is its process's alone.
	turn  = 4 * time.Second
	lease = 5 * time.Second
	// again is how long a step that failed waits.
	again = 10 * time.Second
	// perShard bounds what is taken up of a shard at a time.
	perShard = 20
	// page and parallel are of the objects that are deleted.
	page     = 500
	parallel = 16
)

// The times after which is looked for what a late writer left behind.
const (
	firstRepeat  = time.Hour
	secondRepeat = 24 * time.Hour
)

// Needs is what the stage needs.
type Needs struct {
	Store *store.Store
	Keys  interface {
		Destroy(ctx context.Context, uid string) error
		Lag() time.Duration
	}
	// Names have people's pseudonyms, which are in their objects' names.
	Names interface {
		Pseudonym(ctx context.Context, uid string) (string, error)
	}
	Blobs interface {
		Delete(ctx context.Context, name string, generation int64) error
		DeletePrefix(ctx context.Context, prefix string) error
		List(ctx context.Context, prefix, after string, limit int) ([]blob.Info, error)
	}
	Queue interface {
		Forget(ctx context.Context, key string) error
	}
	// Relay has what was handed on of the person be gone.
	Relay interface {
		Forget(ctx context.Context, uid string) error
	}
	Audit interface {
		Append(ctx context.Context, e audit.Event) error
	}
	// Longest is how long a call of a driver takes at most: what somebody sealed who did
	// not know yet is written by then.
	Longest time.Duration
	// Going is told, at each look, how many seconds the erasure has been under way that
	// has been longest, as far as this process knows; nil tells nobody.
	Going interface{ Set(seconds float64) }
	Now   func() time.Time
	Log   *slog.Logger
}

// A Stage erases people.
type Stage struct {
	Needs
	seen   map[string]sight // by uid
	looked time.Time        // when all was looked at that waits, too
}

// New is the stage.
func New(n Needs) *Stage { return &Stage{Needs: n, seen: map[string]sight{}} }

// settle is how long after a key was destroyed somebody may still write who began
// before: they may seal until they must know of it, and then make one call.
func (s *Stage) settle() time.Duration { return s.Keys.Lag() + s.Longest }

// Run takes up what is to go on at once, and then every interval, until ctx is done.
func (s *Stage) Run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var trouble patience.Trouble
	for {
		if trouble.Rests() {
			s.tellGoing()
		} else {
			done, err := s.Pass(ctx)
			why := fault.Text(err)
			if news := trouble.Saw(why, done > 0); news && err == nil {
				s.Log.Info("erasures go on", "stage", "erasure")
			} else if news && ctx.Err() == nil {
				s.Log.Warn("an erasure goes on later", append([]any{"stage", "erasure", "reason", why}, fault.Attrs(err)...)...)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Pass does the next step of everyone whose erasure is to go on, and returns how
// many they were. One that fails costs no other: it comes again. So for a shard.
func (s *Stage) Pass(ctx context.Context) (done int, err error) {
	defer s.tellGoing()
	advance := func(d store.Document) error {
		took, err := s.advance(ctx, d.Key.UID)
		if took {
			done++
		}
		return err
	}
	err = s.lookAhead(ctx, advance)
	return done, errors.Join(err, s.Store.EachErasing(ctx, s.Now(), perShard, advance))
}

// advance does a person's next step, for one turn, where it is to be done.
func (s *Stage) advance(ctx context.Context, uid string) (took bool, err error) {
	account, err := s.claim(ctx, uid)
	if err != nil || account.Version == 0 {
		return false, err
	}
	before := account.Value.Erasure.Step
	next, due, err := s.step(ctx, uid, *account.Value.Erasure)
	switch {
	case errors.Is(err, errMore):
		next, due, err = *account.Value.Erasure, s.Now(), nil
	case err != nil:
		next, due = *account.Value.Erasure, s.Now().Add(again)
		err = fmt.Errorf("behind %s: %w", before, err)
	}
	next.Until = time.Time{}
	to := account.Value
	to.Erasure = &next
	account, written := s.Store.ChangeAccount(ctx, uid, account, to, due)
	if written == nil {
		s.see(uid, account)
	} else if !errors.Is(written, store.ErrConflict) {
		err = errors.Join(err, written)
	}
	return true, err
}

// claim has the erasure for a while; version 0 is that there is none to go on
// with, or that another process has it.
func (s *Stage) claim(ctx context.Context, uid string) (none store.Record[record.Account], err error) {
	account, err := s.Store.Accounts.Get(ctx, uid, record.AccountKey)
	if err != nil {
		return none, err
	}
	now := s.Now()
	if account.Value.Erasure == nil || account.Due.IsZero() || !s.ripe(s.see(uid, account), account) {
		return none, nil
	}
	claimed := *account.Value.Erasure
	claimed.Begun, claimed.Until = true, now.Add(lease)
	account.Value.Erasure = &claimed
	account, err = s.Store.ChangeAccount(ctx, uid, account, account.Value, claimed.Until)
	if errors.Is(err, store.ErrConflict) {
		return none, nil
	}
	if err != nil {
		return none, err
	}
	s.see(uid, account)
	return account, nil
}

// step does what comes behind the last step, and says when the one after comes.
func (s *Stage) step(ctx context.Context, uid string, e erased.Progress) (erased.Progress, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, turn)
	defer cancel()
	switch e.Step {
	case erased.Requested:
		if err := s.Keys.Destroy(ctx, uid); err != nil {
			return e, time.Time{}, fmt.Errorf("destroy the key: %w", err)
		}
		e.Step, e.DestroyedAt = erased.Destroyed, s.Now().UTC()
		return e, e.DestroyedAt.Add(s.settle()), nil
	case erased.Destroyed:
		if err := s.remove(ctx, uid); err != nil {
			return e, time.Time{}, err
		}
		if err := s.Audit.Append(ctx, audit.Event{Action: audit.AccountErased, UID: uid, ActorUID: uid, Object: e.ReceiptID, Outcome: "ok", Reason: "requested by the person"}); err != nil {
			return e, time.Time{}, fmt.Errorf("audit an erasure: %w", err)
		}
		e.Step, e.FinishedAt = erased.Removed, s.Now().UTC()
		return e, e.FinishedAt.Add(firstRepeat), nil
	}
	if err := s.remove(ctx, uid); err != nil {
		return e, time.Time{}, err
	}
	if e.Step == erased.Removed {
		e.Step = erased.Repeated
		return e, e.FinishedAt.Add(secondRepeat), nil
	}
	e.Step = erased.Ended
	return e, time.Time{}, nil
}

// errMore says that the turn was over before the work.
var errMore = errors.New("there is more to remove")

// remove removes all that is left of a person.
func (s *Stage) remove(ctx context.Context, uid string) error {
	err := s.removeAll(ctx, uid)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errMore
	}
	return err
}

func (s *Stage) removeAll(ctx context.Context, uid string) error {
	if err := s.Relay.Forget(ctx, uid); err != nil { // by what the documents say
		return fmt.Errorf("forget what was handed on: %w", err)
	}
	if err := s.Store.EraseUser(ctx, uid); err != nil {
		return fmt.Errorf("erase documents: %w", err)
	}
	if err := s.Queue.Forget(ctx, uid); err != nil {
		return fmt.Errorf("forget messages: %w", err)
	}
	name, err := s.Names.Pseudonym(ctx, uid)
	if err != nil {
		return fmt.Errorf("name objects: %w", err)
	}
	for _, kind := range blob.PersonKinds() {
		if err := s.removeObjects(ctx, kind, name); err != nil {
			return err
		}
		// Those of the releases before have the uid in their names: nothing is to be
		// left of it in any file.
		if err := s.Blobs.DeletePrefix(ctx, blob.PersonPrefix(kind, uid)); err != nil {
			return fmt.Errorf("delete %s of before: %w", kind, err)
		}
	}
	return nil
}

// removeObjects removes the objects of a kind that have the person's pseudonym in
// their names. Until a segment is full of such, what is left of them is noise
// under a keyed hash.
func (s *Stage) removeObjects(ctx context.Context, kind, name string) error {
	for {
		found, err := s.Blobs.List(ctx, blob.PersonPrefix(kind, name), "", page)
		if err != nil {
			return fmt.Errorf("list %s: %w", kind, err)
		}
		if len(found) == 0 {
			return nil
		}
		group, within := errgroup.WithContext(ctx)
		group.SetLimit(parallel)
		for _, o := range found {
			group.Go(func() error { return s.Blobs.Delete(within, o.Name, o.Generation) })
		}
		if err := group.Wait(); err != nil {
			return fmt.Errorf("delete %s: %w", kind, err)
		}
	}
}
