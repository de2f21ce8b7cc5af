package pubsub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/monitoring/apiv3/v2/monitoringpb"
	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"google.golang.org/api/iterator"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/clarity-loop/clarity/services/queue"
)

// undelivered is the metric of messages without an ack. Its newest point is two to
// four minutes old, and of what is empty there may be none.
const undelivered = `metric.type = "pubsub.googleapis.com/subscription/num_undelivered_messages"`

const (
	looksBack = 10 * time.Minute // for the points
	countsIn  = 10 * time.Second // or it has not
)

// counted is what Cloud Monitoring said last, by the subscription's name in its project.
type counted struct {
	every time.Duration

	mu sync.Mutex
	at time.Time
	by map[string]int
}

// Depth counts a subscription's messages: without an ack, as Cloud Monitoring has
// it, and on the shelf. Leased are those of this process.
func (q *Queue) Depth(ctx context.Context, topic, name string) (queue.Depth, error) {
	if err := q.known("count messages", topic, name); err != nil {
		return queue.Depth{}, err
	}
	d, err := q.depth(ctx, subscription{topic, name})
	if err != nil {
		return queue.Depth{}, faulted("count", err)
	}
	return d, nil
}

func (q *Queue) depth(ctx context.Context, s subscription) (d queue.Depth, err error) {
	if err := q.usable(ctx); err != nil {
		return d, err
	}
	q.mu.Lock()
	inHand := q.hands[s]
	q.mu.Unlock()
	by, err := q.undelivered(ctx)
	if err != nil {
		return d, err
	}
	in := by[q.names.subscription(s)]
	waits, err := q.shelf.waits(ctx, s)
	if err != nil {
		return d, err
	}
	died, err := q.shelf.count(ctx, dead.query(s.uid()))
	if err != nil {
		return d, err
	}
	leased := min(inHand, in)
	return queue.Depth{Waiting: in - leased + waits, Leased: leased, Dead: died}, nil
}

// undelivered are the messages without an ack of each subscription.
func (q *Queue) undelivered(ctx context.Context) (map[string]int, error) {
	c := &q.counted
	c.mu.Lock()
	defer c.mu.Unlock()
	now := q.now()
	if age := now.Sub(c.at); c.by != nil && 0 <= age && age < c.every {
		return c.by, nil
	}
	ctx, cancel := context.WithTimeout(ctx, countsIn)
	defer cancel()
	of := "projects/" + q.names.project
	series := q.monitor.ListTimeSeries(ctx, &monitoringpb.ListTimeSeriesRequest{
		Name:   of,
		Filter: undelivered,
		Interval: &monitoringpb.TimeInterval{
			StartTime: timestamppb.New(now.Add(-looksBack)), EndTime: timestamppb.New(now),
		},
	})
	by := map[string]int{}
	for {
		one, err := series.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			return nil, err
		}
		if points := one.GetPoints(); len(points) > 0 { // the newest is the first
			by[of+"/subscriptions/"+one.GetResource().GetLabels()["subscription_id"]] = int(points[0].GetValue().GetInt64Value())
		}
	}
	c.at, c.by = now, by
	return by, nil
}

// Unclaimed counts what is kept of each subscription that is not on the list.
func (q *Queue) Unclaimed(ctx context.Context) ([]queue.Backlog, error) {
	all, err := q.unclaimed(ctx)
	if err != nil {
		return nil, faulted("count unclaimed", err)
	}
	return all, nil
}

func (q *Queue) unclaimed(ctx context.Context) (all []queue.Backlog, err error) {
	if err := q.usable(ctx); err != nil {
		return nil, err
	}
	unlisted, err := q.unlisted(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range unlisted {
		d, err := q.depth(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("count %s: %w", s.uid(), err)
		}
		if d != (queue.Depth{}) {
			all = append(all, queue.Backlog{Topic: s.topic, Consumer: s.consumer, Depth: d})
		}
	}
	return all, nil
}

// unlisted are the subscriptions that are there, have our prefix, and are not on
// the list, in the order of topics and consumers.
func (q *Queue) unlisted(ctx context.Context) (found []subscription, err error) {
	all := q.client.SubscriptionAdminClient.ListSubscriptions(ctx, &pubsubpb.ListSubscriptionsRequest{Project: "projects/" + q.names.project})
	for {
		one, err := all.Next()
		if errors.Is(err, iterator.Done) {
			break
		}
		if err != nil {
			return nil, err
		}
		if s, ours := q.names.parse(one.GetName()); ours && !q.consumers.Has(s.topic, s.consumer) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b subscription) int {
		return cmp.Or(strings.Compare(a.topic, b.topic), strings.Compare(a.consumer, b.consumer))
	})
	return found, nil
}
