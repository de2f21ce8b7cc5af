package platform

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/clarity-loop/clarity/services/queue"
)

// handed is a queue that hands its deliveries out one after another.
type handed struct {
	queue.Queue
	deliveries []queue.Delivery
	before     func()
}

func (h handed) Receive(ctx context.Context, _ queue.Subscription, handle queue.Handler) error {
	for _, d := range h.deliveries {
		h.before()
		handle(ctx, d)
	}
	return nil
}

// What a process is scaled by is how long the oldest message waited for a hand: nothing
// of what was put off, and nothing of what is long gone.
func TestTheAgeOfMessages(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	waited := func(d time.Duration) queue.Delivery {
		return queue.Delivery{Attempt: 1, Published: start.Add(-d)}
	}
	later := waited(time.Hour)
	later.NotBefore = start.Add(-2 * time.Second)
	again := waited(24 * time.Hour)
	again.Attempt = 2
	for name, tt := range map[string]struct {
		deliveries []queue.Delivery
		looked     time.Duration // after the last of them
		want       string
	}{
		"of nothing":                   {nil, 0, "0"},
		"of one":                       {[]queue.Delivery{waited(7 * time.Second)}, 0, "7"},
		"the longest":                  {[]queue.Delivery{waited(7 * time.Second), waited(90 * time.Second), waited(time.Second)}, 0, "90"},
		"a clock that is behind":       {[]queue.Delivery{waited(-time.Hour)}, 0, "0"},
		"since it could be handled":    {[]queue.Delivery{later}, 0, "2"},
		"not of what comes again":      {[]queue.Delivery{waited(3 * time.Second), again}, 0, "3"},
		"not of what nobody knows":     {[]queue.Delivery{{Attempt: 1}}, 0, "0"},
		"as long as the metrics' look": {[]queue.Delivery{waited(7 * time.Second)}, 29 * time.Second, "7"},
		"and no longer":                {[]queue.Delivery{waited(7 * time.Second)}, 30 * time.Second, "0"},
		"a whole round later":          {[]queue.Delivery{waited(7 * time.Second)}, time.Hour, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			now := start
			handled := 0
			a := newAges(handed{deliveries: tt.deliveries, before: func() { handled++ }}, func() time.Time { return now })
			err := a.Receive(t.Context(), queue.Subscription{Topic: "uploads", Name: "intake"}, func(context.Context, queue.Delivery) queue.Verdict { return queue.Ack() })
			if err != nil || handled != len(tt.deliveries) {
				t.Fatalf("%v, %d handled", err, handled)
			}
			now = start.Add(tt.looked)
			want := `# HELP clarity_queue_age_seconds How long messages of a topic waited for one of its consumers: the longest of those that this process took in hand within the last half minute, for the first time.
# TYPE clarity_queue_age_seconds gauge
clarity_queue_age_seconds{consumer="intake",topic="uploads"} ` + tt.want + "\n"
			if err := testutil.CollectAndCompare(a, strings.NewReader(want)); err != nil {
				t.Error(err)
			}
		})
	}
}
