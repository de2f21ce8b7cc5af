package stages_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/cmd/internal/embedded/issuer"
	"github.com/clarity-loop/clarity/cmd/internal/platform/stages"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/queue/queuetest"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// toOne is a queue that is as bad as its contract allows to one consumer.
type toOne struct {
	queue.Driver
	hostile  queue.Driver
	consumer string
}

func (q toOne) Receive(ctx context.Context, sub queue.Subscription, handle queue.Handler) error {
	if sub.Name == q.consumer {
		return q.hostile.Receive(ctx, sub, handle)
	}
	return q.Driver.Receive(ctx, sub, handle)
}

// Messages come twice, two of a person's at once, overtaken, and again though they
// were acked: to each consumer in turn. What it comes to is what comes of a calm queue.
func TestEachConsumerOverAQueueAsBadAsItsContract(t *testing.T) {
	want := lived(t, "", 0)
	if len(want.Days) < 9 || len(want.Results) < 9 || len(want.Insights) != len(want.Results) || len(want.Told) < 2*len(want.Results) {
		t.Fatalf("a calm queue comes to %d days, %d results, %d insights, %d events", len(want.Days), len(want.Results), len(want.Insights), len(want.Told))
	}
	for i, consumer := range []string{flow.Intake, flow.Analyse, flow.Insights, flow.Feed} {
		t.Run(consumer, func(t *testing.T) {
			if diff := cmp.Diff(want, lived(t, consumer, uint64(i+1))); diff != "" {
				t.Errorf("(-calm +hostile):\n%s", diff)
			}
		})
	}
}

// A life is what the platform has of a person at rest, without times and names.
type life struct {
	Days     map[string]string // the digest of what is in each
	Results  map[string]string // what each rests on
	Insights map[string]any
	Told     []string
}

// lived is what comes of a person's uploads, sent twice, and a deletion.
func lived(t *testing.T, consumer string, seed uint64) life {
	t.Helper()
	w := newWorldAt(t, time.Now)
	calm := w.heard.Queue.(queue.Driver)
	w.Queue = calm
	if consumer != "" {
		w.Queue = toOne{calm, queuetest.Hostile(calm, seed), consumer}
	}
	w.Config.Worker.Debounce = 50 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, name := range []string{stages.Ingress, stages.Worker, stages.Insights, stages.Delivery} {
		runners, err := w.build(t, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runners {
			running.Go(func() {
				if err := r.Run(ctx); err != nil {
					t.Errorf("%s: %v", r.Name, err)
				}
			})
		}
	}
	t.Cleanup(func() { cancel(); running.Wait() }) // before the drivers are closed
	w.phone(t)
	w.rest(t, calm)
	cancel()
	running.Wait()
	return w.life(t)
}

// phone sends what a person's phone has: each upload twice.
func (w *world) phone(t *testing.T) {
	t.Helper()
	token, err := issuer.Token(issuer.Request{Dir: w.dir, User: "anna", TTL: time.Hour, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	put := func(path string, body any) {
		t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); ; {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+w.Listener.Addr().String()+path, bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			req.Header.Set("Content-Type", "application/json")
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode/100 == 2 {
				return
			}
			if res.StatusCode != http.StatusServiceUnavailable || time.Now().After(deadline) {
				t.Fatalf("PUT %s: %d", path, res.StatusCode)
			}
		}
	}
	put("/v1/consents/processing", map[string]any{"granted": true, "version": "1"})
	for range 2 {
		for day := range 9 {
			body := map[string]any{"schema": "clarity.upload/1", "installationId": "i", "timeZone": "Europe/Berlin", "samples": beats(day), "deleted": []any{}, "cursor": map[string]string{}}
			if day == 8 {
				body["deleted"] = []any{map[string]string{"uuid": id(0, 0), "type": "HKQuantityTypeIdentifierHeartRate"}}
			}
			put(fmt.Sprintf("/v1/uploads/upload-%04d", day), body)
		}
	}
}

func id(day, n int) string { return fmt.Sprintf("00000000-0000-4000-8000-0000%04d%04d", day, n) }

// beats are a day's of heart rate.
func beats(day int) (samples []map[string]any) {
	for n := range 12 {
		at := time.Date(2026, 11, 10+day, 1+n, 0, 0, 0, time.UTC).Format(time.RFC3339)
		samples = append(samples, map[string]any{"uuid": id(day, n), "type": "HKQuantityTypeIdentifierHeartRate", "start": at, "end": at,
			"value": 50 + (7*day+3*n)%20, "unit": "count/min", "source": map[string]string{"bundleId": "com.apple.health"}})
	}
	return samples
}

// rest waits until nothing waits, is in hand or is on the agenda.
func (w *world) rest(t *testing.T, q queue.Driver) {
	t.Helper()
	calm := 0
	for deadline := time.Now().Add(2 * time.Minute); calm < 5; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come to rest; the log says:\n%s", w.log)
		}
		left, err := w.Store.Agenda.List(t.Context(), "anna", store.Query{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		busy := len(left)
		for topic, consumers := range flow.Consumers() {
			for _, name := range consumers {
				depth, err := q.Depth(t.Context(), topic, name)
				if err != nil {
					t.Fatal(err)
				}
				if depth.Dead > 0 {
					t.Fatalf("%d dead letters of %s for %s", depth.Dead, topic, name)
				}
				busy += depth.Waiting + depth.Leased
			}
		}
		if calm++; busy > 0 {
			calm = 0
		}
	}
}

func (w *world) life(t *testing.T) life {
	t.Helper()
	l := life{Days: map[string]string{}, Results: map[string]string{}, Insights: map[string]any{}}
	told := map[string]bool{}
	all(t, w.Store.Days, func(r store.Record[record.Day]) { l.Days[r.Key] = r.Value.Digest })
	all(t, w.Store.Results, func(r store.Record[record.Result]) { l.Results[r.Key] = r.Value.Result.Lineage.InputDigest })
	all(t, w.Store.Insights, func(r store.Record[record.Insight]) { l.Insights[r.Key] = r.Value.Insight })
	n := 0
	all(t, w.Store.Events, func(r store.Record[record.Event]) {
		if n++; r.Key != fmt.Sprintf("%016x", n) {
			t.Errorf("event %d has the number %s", n, r.Key)
		}
		if r.Value.Kind != flow.ResultWithdrawn && r.Value.Kind != flow.InsightWithdrawn { // of what never was, too: a process may have died meanwhile
			told[string(r.Value.Kind)+" "+r.Value.Ref] = true
		}
	})
	l.Told = slices.Sorted(maps.Keys(told))
	return l
}

func all[V any](t *testing.T, c store.Collection[V], do func(store.Record[V])) {
	t.Helper()
	records, err := c.List(t.Context(), "anna", store.Query{Limit: store.MaxLimit})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		do(r)
	}
}
