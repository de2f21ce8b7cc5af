package analyse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/store"
)

// An Order says how a window is analysed that no message asked for.
type Order struct {
	// Again says that an attempt before this one may have died in the middle:
	// what it stored is announced once more.
	Again bool
	// Replace computes the Result also where it is current.
	Replace bool
}

// An Outcome is what became of a window.
type Outcome int

// The outcomes.
const (
	Kept   Outcome = iota // its Result was current
	Stored                // it has a new Result
	NoData                // nothing is measured in it, so it has no Result
)

// Freshness is how a window's Result stands.
type Freshness struct {
	// Version is the Result's record's, 0 where there is none.
	Version int64
	// Current says that it rests on all that would determine it now.
	Current bool
}

// Look says how a window's Result stands, and changes nothing. Where the stage
// has no model, a Result with a model's part is current if it is by that model:
// nobody asked to take that part away.
func (s *Stage) Look(ctx context.Context, req analysis.Request) (Freshness, error) {
	f, err := s.find(ctx, req, true)
	if err != nil {
		return Freshness{}, err
	}
	f.release()
	return Freshness{f.before.Version, f.current}, nil
}

// Analyse is what Handle does for a message, for whoever has no message; the
// version is of the Result's record afterwards. The error is ErrErased or
// ErrNoConsent where the person's data may not be processed, ErrUnreadable where
// it cannot be, and else one that may pass.
func (s *Stage) Analyse(ctx context.Context, req analysis.Request, order Order) (outcome Outcome, version int64, err error) {
	f, err := s.find(ctx, req, true)
	if err != nil {
		return Kept, 0, err
	}
	defer f.release()
	return s.refresh(ctx, req, f, order, func(ctx context.Context, c flow.Changed) error { return s.publish(ctx, req.UID, c) })
}

// Ends lists the windows that end on one of the days from first to last, as far
// as Handle would be asked for them: those with a day of data in them or beside
// them, that do not end after both today and the person's last day.
func (s *Stage) Ends(ctx context.Context, uid string, first, last health.Day) ([]health.Day, error) {
	if err := s.Store.Permitted(ctx, uid); err != nil {
		return nil, erasedError(err)
	}
	limit, err := s.lastEnd(ctx, uid)
	if err != nil {
		return nil, err
	}
	last = min(last, limit)
	var ends []health.Day
	next := first // the first day that is not decided yet
	from, _ := analysis.Request{End: first}.Reads()
	_, to := analysis.Request{End: last}.Reads()
	query := store.Query{From: from.String(), To: (to + 1).String(), Limit: store.MaxLimit}
	for next <= last {
		records, err := s.Store.Days.List(ctx, uid, query)
		if err != nil {
			return nil, erasedError(err)
		}
		for _, r := range records {
			day, err := health.ParseDay(r.Key)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", analysis.ErrUnreadable, err)
			}
			begin, until := analysis.Touching(day)
			for next = max(next, begin); next <= min(last, until); next++ {
				ends = append(ends, next)
			}
			query.After = r.Key
		}
		if len(records) < query.Limit {
			break
		}
	}
	return ends, nil
}

// lastEnd is the last day with a record, or today in that day's zone if that is later.
func (s *Stage) lastEnd(ctx context.Context, uid string) (health.Day, error) {
	records, err := s.Store.Days.List(ctx, uid, store.Query{Descending: true, Limit: 1})
	if err != nil {
		return 0, erasedError(err)
	}
	zone, last := time.UTC, health.Day(0)
	for _, r := range records {
		if last, err = health.ParseDay(r.Key); err != nil {
			return 0, fmt.Errorf("%w: %w", analysis.ErrUnreadable, err)
		}
		if known, err := health.LoadZone(r.Value.Zone); err == nil {
			zone = known
		}
	}
	return max(last, health.DayOf(health.InstantOf(s.Now()), zone)), nil
}

// Passing says whether an error of Analyse can come of another writer at the
// same time, so that it is worth trying again at once.
func Passing(err error) bool {
	return errors.Is(err, store.ErrConflict) || errors.Is(err, blob.ErrNotFound)
}
