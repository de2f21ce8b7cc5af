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
// else than a hand. It says, too, how long it takes until they are done with.
type ages struct {
	queue.Queue
	now func() time.Time

	mu   sync.Mutex
	seen map[queued]*[agePast]second

	done *prometheus.HistogramVec
}

type queued struct{ topic, consumer string }

// A second is the longest that a message waited of those taken in hand within it.
type second struct {
	at      int64 // since 1970
	longest time.Duration
}

func newAges(q queue.Queue, now func() time.Time) *ages {
	return &ages{Queue: q, now: now, seen: map[queued]*[agePast]second{},
		done: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "clarity_stage_done_seconds", Help: "Time from when a message could be handled until a consumer was done with it, however often it came.",
			Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600}}, []string{"topic", "consumer"}),
	}
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
		verdict := handle(ctx, d)
		a.gave(of, d, verdict)
		return verdict
	})
}

// since is from when on a delivery could be handled.
func since(d queue.Delivery) time.Time {
	if d.NotBefore.After(d.Published) {
		return d.NotBefore
	}
	return d.Published
}

// gave tells how long a message took, once a verdict is its last.
func (a *ages) gave(of queued, d queue.Delivery, v queue.Verdict) {
	last := false
	v.Match(queue.Cases{Ack: func() { last = true }, Dead: func(string) { last = true },
		Retry: func(time.Duration, string) {}, Postpone: func(time.Duration, string) {}})
	if last && !d.Published.IsZero() {
		a.done.WithLabelValues(of.topic, of.consumer).Observe(max(0, a.now().Sub(since(d)).Seconds()))
	}
}

func (a *ages) take(of queued, d queue.Delivery) {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &a.seen[of][now.Unix()%agePast]
	if s.at != now.Unix() {
		*s = second{at: now.Unix()}
	}
	s.longest = max(s.longest, now.Sub(since(d)))
}

func ageDesc() *prometheus.Desc {
	return prometheus.NewDesc("clarity_queue_age_seconds", "How long messages of a topic waited for one of its consumers: the longest of those that this process took in hand within the last half minute, for the first time.", []string{"topic", "consumer"}, nil)
}

// Describe is prometheus.Collector's.
func (a *ages) Describe(to chan<- *prometheus.Desc) {
	to <- ageDesc()
	a.done.Describe(to)
}

// Collect is prometheus.Collector's.
func (a *ages) Collect(to chan<- prometheus.Metric) {
	a.done.Collect(to)
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
