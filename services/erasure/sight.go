package erasure

import (
	"context"
	"maps"
	"time"

	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/erased"
	"github.com/clarity-loop/clarity/services/store"
)

const (
	// ahead is how often is looked at what waits for its time, too, and horizon how far
	// ahead no time of it lies.
	ahead   = time.Minute
	horizon = 100 * 365 * 24 * time.Hour
)

// A sight is since when this process has known, by its own clock, how an erasure
// stands. The times that are written are of clocks that may be wrong: one that was
// ahead holds up nobody, and one that was slow has nothing removed the sooner.
type sight struct {
	version     int64
	since       time.Time // in this version
	step        erased.Step
	destroyedAt time.Time
	entered     time.Time // in this step
	going       time.Time // since when it has been under way; zero before, and once nothing is left
}

// see takes note of how the erasure stands.
func (s *Stage) see(uid string, account store.Record[record.Account]) sight {
	e := account.Value.Erasure
	if e == nil || account.Due.IsZero() {
		delete(s.seen, uid)
		return sight{}
	}
	now := s.Now()
	before := s.seen[uid]
	at := sight{version: account.Version, since: now, step: e.Step, destroyedAt: e.DestroyedAt, entered: now}
	if at.version == before.version && !before.since.After(now) {
		at.since = before.since
	}
	if at.step == before.step && at.destroyedAt.Equal(before.destroyedAt) && !before.entered.After(now) {
		at.entered = before.entered
	}
	at.going = goingSince(e, account.Due, before.going, now)
	s.seen[uid] = at
	return at
}

// goingSince is since when an erasure has been under way that data is left of.
func goingSince(e *erased.Progress, due, before, now time.Time) time.Time {
	switch {
	case e.Finished(), e.Step == erased.Requested && !e.Begun && due.After(now):
		return time.Time{}
	case !before.IsZero() && !before.After(now):
		return before
	case !e.DestroyedAt.IsZero() && e.DestroyedAt.Before(now):
		return e.DestroyedAt
	case due.Before(now):
		return due
	}
	return now
}

// tellGoing tells how long the erasure has been under way that has been longest.
func (s *Stage) tellGoing() {
	if s.Going == nil {
		return
	}
	now, longest := s.Now(), time.Duration(0)
	for _, at := range s.seen {
		if !at.going.IsZero() {
			longest = max(longest, now.Sub(at.going))
		}
	}
	s.Going.Set(longest.Seconds())
}

// ripe says whether the next step may be done.
func (s *Stage) ripe(at sight, account store.Record[record.Account]) bool {
	now := s.Now()
	if at.step == erased.Destroyed && now.Sub(at.entered) < s.settle() {
		return false
	}
	return !account.Due.After(now) || now.Sub(at.since) >= s.longest(account)
}

// longest is how long an erasure waits at most as it stands, by a right clock.
func (s *Stage) longest(account store.Record[record.Account]) time.Duration {
	switch e := account.Value.Erasure; {
	case e.Step == erased.Removed:
		return firstRepeat
	case e.Step == erased.Repeated:
		return secondRepeat
	case e.Step == erased.Requested && !e.Begun:
		return account.Due.Sub(account.Value.ErasedAt) // the grace: both are of one clock
	}
	return max(lease, again, s.settle())
}

// lookAhead has those be taken up, once in a while, who wait longer than they could
// by a right clock. It costs a document for each erasure of the last day.
func (s *Stage) lookAhead(ctx context.Context, takeUp func(store.Document) error) error {
	now := s.Now()
	if since := now.Sub(s.looked); !s.looked.IsZero() && since >= 0 && since < ahead {
		return nil
	}
	s.looked = now
	met := map[string]bool{}
	err := s.Store.EachErasing(ctx, now.Add(horizon), store.MaxLimit, func(d store.Document) error {
		account, err := s.Store.Accounts.Open(ctx, d)
		if err != nil {
			return err
		}
		met[d.Key.UID] = true
		if at := s.see(d.Key.UID, account); !d.Due.After(now) || !s.ripe(at, account) {
			return nil
		}
		return takeUp(d)
	})
	if err == nil {
		maps.DeleteFunc(s.seen, func(uid string, _ sight) bool { return !met[uid] })
	}
	return err
}
