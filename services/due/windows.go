// Package due sees to it that what is unfinished is finished. The store holds an
// entry for each such thing, written with what it is about and removed with what
// finishes it; here is who looks at the entries that are due and asks for the work
// again, and the one entry a person of the windows that are to be analysed.
//
// So a message that is lost, a dead letter that is dropped, or a process that dies
// costs time and nothing else; and a burst of uploads makes one message a person.
// Where nothing is unfinished there is no entry to look at.
package due

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/trace"
)

// The times of a laptop.
const (
	// DefaultQuiet is how long a person must be quiet before they are analysed.
	DefaultQuiet = 1500 * time.Millisecond
	// longestOf is how many times that is waited for one who is never quiet.
	longestOf = 20
)

// lifeLen is how long the word is that tells an entry from the one before it.
const lifeLen = 8

// tries is how often what others change meanwhile is tried.
const tries = 8

// held is when an entry is due that waits for consent: never by itself.
const held = 100 * 365 * 24 * time.Hour

// Windows are the windows of each person that are to be analysed.
type Windows struct {
	Store *store.Store
	Now   func() time.Time
	// Quiet is how long a person must have asked for nothing more.
	Quiet time.Duration
}

// Asked is what is to be analysed of one person, as it was read.
type Asked struct {
	errand  agenda.Errand
	version int64
	due     time.Time
	ends    map[health.Day]int64 // the generation that asked for it
}

// Since is when the oldest of them began to be wanted, by the clock of who asked.
func (a Asked) Since() time.Time { return a.errand.Since }

// Again says that somebody has had them in hand before: what they have stored may not
// have been told.
func (a Asked) Again() bool { return a.errand.Asked > 1 }

// begun is how often windows count as asked for of which some are done.
const begun = 2

// Ends are the days on which the windows end, the newest first.
func (a Asked) Ends() []health.Day {
	ends := slices.Sorted(maps.Keys(a.ends))
	slices.Reverse(ends)
	return ends
}

func key() string { return agenda.Errand{Kind: agenda.Windows}.Key() }

// Asked returns what is to be analysed of the person, nothing where there is no entry.
func (w *Windows) Asked(ctx context.Context, uid string) (Asked, error) {
	r, err := w.Store.Agenda.Get(ctx, uid, key())
	if errors.Is(err, store.ErrNotFound) {
		return Asked{errand: agenda.Errand{Kind: agenda.Windows}, ends: map[health.Day]int64{}}, nil
	}
	return askedOf(r), err
}

func askedOf(r store.Record[agenda.Errand]) Asked {
	a := Asked{errand: r.Value, version: r.Version, due: r.Due, ends: map[health.Day]int64{}}
	for _, run := range r.Value.Windows {
		for end := run.First; end <= run.Last; end++ {
			a.ends[end] = run.Gen
		}
	}
	return a
}

// Adding is the part of a Batch that has the windows be analysed, once the person
// is quiet or has waited for long. What is the first that was to be analysed for a
// while is not waited with, and ask is what is to be published once the change is
// written: it is a conflict where something else is to be analysed.
func (w *Windows) Adding(ctx context.Context, uid string, first bool, ends ...health.Day) (change store.Change, ask []queue.Message, err error) {
	if first {
		return w.first(ctx, uid, ends)
	}
	a, err := w.Asked(ctx, uid)
	if err != nil {
		return change, nil, fmt.Errorf("read what is to be analysed: %w", err)
	}
	now := w.Now().UTC()
	e := a.errand
	e.Gen++
	for _, end := range ends {
		a.ends[end] = e.Gen
	}
	if a.version == 0 {
		e.Since, e.Life = now, rand.Text()[:lifeLen]
	}
	if e.Waits.IsZero() || e.Waits.After(now) { // a clock that was ahead holds up nobody
		e.Waits = now
	}
	e.Traces = caused(ctx, e.Traces)
	due := now.Add(w.Quiet)
	if latest := e.Waits.Add(longestOf * w.Quiet); latest.Before(due) {
		due = latest
	}
	return a.put(w.Store, e, due), nil, nil
}

// caused adds the trace that the context is of to those whose doing an entry is: a burst
// of uploads is one analysis.
func caused(ctx context.Context, before []string) []string {
	return trace.Join(before, trace.From(ctx).Parent())
}

// first is the part of a Batch that makes the entry, which has been asked for.
func (w *Windows) first(ctx context.Context, uid string, ends []health.Day) (store.Change, []queue.Message, error) {
	now := w.Now().UTC()
	a := Asked{ends: map[health.Day]int64{}}
	e := agenda.Errand{Kind: agenda.Windows, Since: now, Life: rand.Text()[:lifeLen], Gen: 1, Asked: 1, Traces: caused(ctx, nil)}
	for _, end := range ends {
		a.ends[end] = e.Gen
	}
	m, err := queue.JSON(flow.TopicAnalyses, uid, flow.WindowsDue{UID: uid, Asked: e.Asked})
	return a.put(w.Store, e, now.Add(reask(e.Asked))), []queue.Message{m}, err
}

// put is the change that writes the entry with these windows.
func (a Asked) put(s *store.Store, e agenda.Errand, due time.Time) store.Change {
	e.Windows = nil
	for _, end := range slices.Sorted(maps.Keys(a.ends)) {
		n, gen := len(e.Windows)-1, a.ends[end]
		if n >= 0 && e.Windows[n].Last == end-1 && e.Windows[n].Gen == gen {
			e.Windows[n].Last = end
			continue
		}
		e.Windows = append(e.Windows, agenda.Run{First: end, Last: end, Gen: gen})
	}
	return s.Agenda.ToPut(key(), a.version, e).At(due)
}

// Ask has the windows be analysed.
func (w *Windows) Ask(ctx context.Context, uid string, ends ...health.Day) error {
	if len(ends) == 0 {
		return nil
	}
	return w.change(ctx, uid, func() (store.Change, bool, error) {
		c, _, err := w.Adding(ctx, uid, false, ends...)
		return c, err == nil, err
	})
}

// Done takes windows off that were analysed as they were asked for: what was asked
// for again since stays. It reports whether some are left.
func (w *Windows) Done(ctx context.Context, uid string, of Asked, ends []health.Day) (left bool, err error) {
	now := of
	for range tries {
		rest := Asked{errand: now.errand, version: now.version, ends: maps.Clone(now.ends)}
		for _, end := range ends {
			if gen, there := rest.ends[end]; there && rest.errand.Life == of.errand.Life && gen <= of.errand.Gen {
				delete(rest.ends, end)
			}
		}
		left = len(rest.ends) > 0
		change := w.Store.Agenda.ToDelete(key(), now.version)
		if left { // and some are not: what was in the way is over, and some may have been begun
			rest.errand.Asked = begun
			due := w.Now().UTC().Add(reask(rest.errand.Asked))
			if due.Before(now.due) { // by a clock that is slow nobody is asked the sooner
				due = now.due
			}
			change = rest.put(w.Store, rest.errand, due)
		}
		if _, err = w.Store.Batch(ctx, uid, change); !errors.Is(err, store.ErrConflict) {
			return left, err
		}
		if now, err = w.Asked(ctx, uid); err != nil || now.version == 0 {
			return false, err
		}
	}
	return false, fmt.Errorf("write what is to be analysed: %w", store.ErrConflict)
}

// Hold has the windows wait until the person agrees, as long as they stand as was read.
func (w *Windows) Hold(ctx context.Context, uid string, standing store.Record[record.Account]) error {
	return w.change(ctx, uid, func() (store.Change, bool, error) {
		a, err := w.Asked(ctx, uid)
		if err != nil || a.version == 0 {
			return store.Change{}, false, err
		}
		return a.put(w.Store, a.errand, w.Now().UTC().Add(held)), true, nil
	}, w.Store.Under(standing))
}

// wake has windows that waited for consent be due.
func (w *Windows) wake(ctx context.Context, uid string) error {
	return w.change(ctx, uid, func() (store.Change, bool, error) {
		a, err := w.Asked(ctx, uid)
		if err != nil || a.version == 0 {
			return store.Change{}, false, err
		}
		return a.put(w.Store, a.errand, w.Now().UTC()), true, nil
	})
}

// change makes a change of the entry, as often as others make theirs first.
func (w *Windows) change(ctx context.Context, uid string, next func() (store.Change, bool, error), with ...store.Change) error {
	for range tries {
		c, wanted, err := next()
		if err != nil || !wanted {
			return err
		}
		if _, err = w.Store.Batch(ctx, uid, append([]store.Change{c}, with...)...); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("write what is to be analysed: %w", store.ErrConflict)
}
