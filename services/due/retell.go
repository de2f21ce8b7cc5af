package due

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// perTelling is how many messages are published at a time.
const perTelling = 100

// untold is how long before a halt an Insight was written at most that nobody may have
// been told of: clocks differ, and a process may be slow.
const untold = 24 * time.Hour

// retell has the Results put into words that no Insight is of, and the Insights
// looked at whose Result is another by now, or gone: who puts them into words did
// nothing since the halt, for want of consent. Who had begun before may have written an
// Insight behind it and died, or not got it published, when the message was settled by
// another: it is looked at, too, and told of by who finds it written.
func (s *Stage) retell(ctx context.Context, uid string, halt time.Time) error {
	stale := map[string]string{} // what their Result rests on
	err := each(ctx, s.Store.Results, uid, func(r store.Record[record.Result]) { stale[r.Key] = r.Value.Result.Lineage.InputDigest })
	if err != nil {
		return fmt.Errorf("list results: %w", err)
	}
	err = each(ctx, s.Store.Insights, uid, func(r store.Record[record.Insight]) {
		digest, there := stale[r.Key]
		switch {
		case !there:
			stale[r.Key] = ""
		case digest == r.Value.Insight.InputDigest && r.Value.WrittenAt.Before(halt.Add(-untold)):
			delete(stale, r.Key)
		}
	})
	if err != nil {
		return fmt.Errorf("list insights: %w", err)
	}
	var messages []queue.Message
	for _, key := range slices.Sorted(maps.Keys(stale)) {
		end, err := health.ParseDay(key)
		if err != nil {
			return fmt.Errorf("list results: %w", err)
		}
		m, err := queue.JSON(flow.TopicResults, uid, flow.ResultsReady{UID: uid, End: &end})
		if err != nil {
			return err
		}
		messages = append(messages, m)
	}
	for some := range slices.Chunk(messages, perTelling) {
		if err := s.Queue.Publish(ctx, some...); err != nil {
			return fmt.Errorf("tell of results: %w", err)
		}
	}
	return nil
}

// each hands over a person's records, a page at a time.
func each[V any](ctx context.Context, c store.Collection[V], uid string, do func(store.Record[V])) error {
	for after := ""; ; {
		page, err := c.List(ctx, uid, store.Query{After: after, Limit: 200})
		if err != nil {
			return err
		}
		for _, r := range page {
			after = r.Key
			do(r)
		}
		if len(page) < 200 {
			return nil
		}
	}
}
