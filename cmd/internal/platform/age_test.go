package platform

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

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
			if err := testutil.CollectAndCompare(a, strings.NewReader(want), "clarity_queue_age_seconds"); err != nil {
				t.Error(err)
			}
		})
	}
}

// How long a message took is told with its last verdict alone, from when it could be
// handled on.
func TestHowLongMessagesTake(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := start
	verdicts := []queue.Verdict{queue.Retry(0, "away"), queue.Postpone(0, "not now"), queue.Ack(), queue.Dead("poison")}
	d := queue.Delivery{Published: start.Add(-time.Hour), Message: queue.Message{NotBefore: start.Add(-4 * time.Second)}}
	a := newAges(handed{deliveries: []queue.Delivery{d, d, d, d}, before: func() {}}, func() time.Time { return now })
	handled := 0
	err := a.Receive(t.Context(), queue.Subscription{Topic: "uploads", Name: "intake"}, func(context.Context, queue.Delivery) queue.Verdict {
		now = now.Add(time.Second)
		handled++
		return verdicts[handled-1]
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := testutil.CollectAndFormat(a, expfmt.TypeTextPlain, "clarity_stage_done_seconds")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`clarity_stage_done_seconds_sum{consumer="intake",topic="uploads"} 15`, // 7 when it was acked, 8 when it died
		`clarity_stage_done_seconds_count{consumer="intake",topic="uploads"} 2`,
	} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("%s is not in\n%s", line, text)
		}
	}
}
