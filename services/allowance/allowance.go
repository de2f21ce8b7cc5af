// Package allowance is what a person may use of what costs: so much a UTC day, by
// one document of the store, whichever process is asked.
package allowance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/services/record/spent"
	"github.com/clarity-loop/clarity/services/store"
)

// tries is how often what the person spends elsewhere meanwhile is tried.
const tries = 8

// A Kind is one of the things that are counted of a person.
type Kind func(*spent.Day) *int

// OnDemand are the insights that the person asks for.
func OnDemand(d *spent.Day) *int { return &d.Insights }

// Texts are those that a language model is asked for as the person's data change.
func Texts(d *spent.Day) *int { return &d.Texts }

// An Allowance is what each person may use of one kind.
type Allowance struct {
	days store.Collection[spent.Day]
	of   Kind
	most int
	now  func() time.Time
}

// New is the allowance of so many of the kind a person and UTC day.
func New(days store.Collection[spent.Day], of Kind, most int, now func() time.Time) *Allowance {
	return &Allowance{days: days, of: of, most: most, now: now}
}

// Take takes one of the person's of the UTC day. Where none is left it takes none and
// tells how long it is until there are again. It costs a read and a write under the
// version that was read; the error wraps store.ErrConflict where others were faster
// every time.
func (a *Allowance) Take(ctx context.Context, uid string) (wait time.Duration, err error) {
	now := a.now().UTC()
	today := now.Unix() / 86400
	for range tries {
		found, err := a.days.Get(ctx, uid, spent.Key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return 0, fmt.Errorf("read what is spent: %w", err)
		}
		next := found.Value
		if next.Day != today {
			next = spent.Day{Day: today}
		}
		used := a.of(&next)
		if *used >= a.most {
			return time.Unix((today+1)*86400, 0).Sub(now), nil
		}
		*used++
		if _, err = a.days.Put(ctx, uid, spent.Key, found.Version, next); !errors.Is(err, store.ErrConflict) {
			return 0, err
		}
	}
	return 0, fmt.Errorf("write what is spent: %w", store.ErrConflict)
}
