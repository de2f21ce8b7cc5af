package results

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/services/record/spent"
	"github.com/clarity-loop/clarity/services/store"
)

// budgetTries is how often what the person spends elsewhere meanwhile is tried.
const budgetTries = 8

// spend takes one of the person's insights on demand of the UTC day, of whichever
// process they are asked; where none is left it tells how long to wait.
func (r *Room) spend(ctx context.Context, uid string) (wait time.Duration, err error) {
	now := r.Now().UTC()
	today := now.Unix() / 86400
	for range budgetTries {
		found, err := r.Spent.Get(ctx, uid, spent.Key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return 0, fmt.Errorf("read what is spent: %w", err)
		}
		next := spent.Day{Day: today, Insights: 1}
		if found.Value.Day == today {
			next.Insights += found.Value.Insights
		}
		if next.Insights > r.InsightsPerDay {
			return time.Unix((today+1)*86400, 0).Sub(now), nil
		}
		if _, err = r.Spent.Put(ctx, uid, spent.Key, found.Version, next); !errors.Is(err, store.ErrConflict) {
			return 0, err
		}
	}
	return 0, fmt.Errorf("write what is spent: %w", store.ErrConflict)
}
