package platform

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clarity-loop/clarity/services/queue"
)

// agePast is for how many seconds a message counts that was taken in hand: for longer than
// two looks at the metrics are apart.
const agePast = 30

// ages says how long messages wait: what a process is scaled by. It counts what comes for
// the first time, from when it could be handled on: what was put off waits for something
// else than a hand.
type ages struct {
	queue.Queue
	now func() time.Time

	mu   sync.Mutex
	seen map[queued]*[agePast]second
}

type queued struct{ topic, consumer string }

// A second is the longest that a message waited of those taken in hand within it.
type second struct {
	at      int64 // since 1970
	longest time.Duration
}

func newAges(q queue.Queue, now func() time.Time) *ages {
	return &ages{Queue: q, now: now, seen: map[queued]*[agePast]second{}}
}

// Receive is the queue's, with an eye on how old each message is.
func (a *ages) Receive(ctx context.Context, sub queue.Subscription, handle queue.Handler) error {
	of := queued{sub.Topic, sub.Name}
	a.mu.Lock()
	a.seen[of] = new([agePast]second)
	a.mu.Unlock()
	return a.Queue.Receive(ctx, sub, func(ctx context.Context, d queue.Delivery) queue.Verdict {
		if d.Attempt <= 1 && !d.Published.IsZero() {
			a.take(of, d)
		}
		return handle(ctx, d)
	})
}

func (a *ages) take(of queued, d queue.Delivery) {
	since := d.Published
	if d.NotBefore.After(since) {
		since = d.NotBefore
	}
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &a.seen[of][now.Unix()%agePast]
	if s.at != now.Unix() {
		*s = second{at: now.Unix()}
	}
	s.longest = max(s.longest, now.Sub(since))
}

func ageDesc() *prometheus.Desc {
	return prometheus.NewDesc("clarity_queue_age_seconds", "How long messages of a topic waited for one of its consumers: the longest of those that this process took in hand within the last half minute, for the first time.", []string{"topic", "consumer"}, nil)
}

// Describe is prometheus.Collector's.
func (a *ages) Describe(to chan<- *prometheus.Desc) { to <- ageDesc() }

// Collect is prometheus.Collector's.
func (a *ages) Collect(to chan<- prometheus.Metric) {
	now := a.now().Unix()
	a.mu.Lock()
	defer a.mu.Unlock()
	for of, seconds := range a.seen {
		var longest time.Duration
		for _, s := range seconds {
			if now-s.at < agePast {
				longest = max(longest, s.longest)
			}
		}
		to <- prometheus.MustNewConstMetric(ageDesc(), prometheus.GaugeValue, longest.Seconds(), of.topic, of.consumer)
	}
}
