package results

import (
	"context"
	"time"
)

// Spend is spend.
func (r *Room) Spend(ctx context.Context, uid string) (time.Duration, error) {
	return r.spend(ctx, uid)
}
