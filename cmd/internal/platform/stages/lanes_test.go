package stages_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload/uploadtest"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/vault"
)

// A toil is a queue whose work takes time, by the clock of the test, and which
// notes whose it was.
type toil struct {
	queue.Queue
	takes map[string]time.Duration
	mu    sync.Mutex
	whose map[string][]string // by topic, in the order in which it was begun
}

func (q *toil) Receive(ctx context.Context, sub queue.Subscription, handle queue.Handler) error {
	return q.Queue.Receive(ctx, sub, func(ctx context.Context, d queue.Delivery) queue.Verdict {
		q.mu.Lock()
		q.whose[sub.Topic] = append(q.whose[sub.Topic], d.Key)
		q.mu.Unlock()
		time.Sleep(q.takes[sub.Topic])
		return handle(ctx, d)
	})
}

func (q *toil) of(topic string) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.whose[topic])
}

// arrive stores an upload of 20 samples from that time on as the ingress does, and
// tells of it.
func (w *world) arrive(t *testing.T, uid, id string, start time.Time, historical bool) {
	t.Helper()
	body := uploadtest.Body(20, uploadtest.Options{Seed: uint64(start.Unix()), Start: start, Zone: "UTC"}) //nolint:gosec // a time of this century
	kept, err := vault.New(w.Blobs, w.Keys).Put(t.Context(), blob.KindUploads, uid, id+"/0", body)
	if err != nil {
		t.Fatal(err)
	}
	now := w.Now()
	stored := record.Upload{Blob: kept.Name, Encoding: "identity", Bytes: len(body), ReceivedAt: now, State: record.UploadReceived, Historical: historical}
	if _, err := w.Store.Batch(t.Context(), uid, w.Store.Uploads.ToPut(id, 0, stored).At(now.Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	m, err := queue.JSON(flow.UploadReceived{}.Topic(historical), uid, flow.UploadReceived{UID: uid, UploadID: id})
	if err == nil {
		err = w.Queue.Publish(t.Context(), m)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) agrees(t *testing.T, uid string) {
	t.Helper()
	if _, err := w.Store.Answer(t.Context(), uid, record.PurposeProcessing, func(record.Consent) record.Consent { return record.Consent{Granted: true} }); err != nil {
		t.Fatal(err)
	}
}

// until waits, by the test's clock, and returns how long it took.
func until(t *testing.T, most time.Duration, what string, is func() bool) time.Duration {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if is() {
			return time.Since(began)
		}
		if time.Since(began) > most {
			t.Fatalf("not %s after %v", what, most)
		}
	}
}

// Four people have sent years, one behind the other; a merge takes 100 ms, a turn of
// analyses half a second, and who is quiet for 100 ms has one. The four take turns, and
// a fifth who uploads what is of today is merged in less than a second and has the
// newest week in less than three and a half: with the time that a laptop waits for
// quiet, in less than five.
func TestWhatIsOfTodayIsBeforeThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := newWorldAt(t, func() time.Time { return today().Add(time.Since(began)) })
		work := &toil{Queue: w.heard.Queue, whose: map[string][]string{},
			takes: map[string]time.Duration{flow.TopicUploads: 100 * time.Millisecond, flow.TopicHistory: 100 * time.Millisecond, flow.TopicAnalyses: 500 * time.Millisecond}}
		w.Queue, w.Config.Backends.Model, w.Config.Worker.Debounce = work, "none", 100*time.Millisecond
		people := []string{"anna", "ben", "cleo", "dora"}
		for _, who := range people {
			w.agrees(t, who)
			for n := range 25 {
				w.arrive(t, who, fmt.Sprint("past-", n), today().AddDate(0, 0, -20*(n+1)), true)
			}
		}
		w.agrees(t, "fifth")
		runners, err := w.build(t, "worker")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running errgroup.Group
		for _, r := range runners {
			running.Go(func() error { return r.Run(ctx) })
		}
		time.Sleep(5 * time.Second)
		w.arrive(t, "fifth", "today", today().Add(-time.Hour), false)
		until(t, time.Second, "merged", func() bool {
			u, err := w.Store.Uploads.Get(t.Context(), "fifth", "today")
			return err == nil && u.Value.State == record.UploadMerged
		})
		week := health.DayOf(health.InstantOf(today()), time.UTC).String()
		until(t, 2500*time.Millisecond, "analysed", func() bool {
			_, err := w.Store.Results.Get(t.Context(), "fifth", week)
			return err == nil
		})
		cancel()
		if err := running.Wait(); err != nil {
			t.Error(err)
		}
		past := work.of(flow.TopicHistory)
		if len(past) < 40 {
			t.Errorf("%d uploads of the past were begun in more than five seconds of 100 ms each", len(past))
		}
		for i := 0; i+4 <= len(past); i++ {
			if turn := past[i : i+4]; strings.Join(slices.Sorted(slices.Values(turn)), " ") != strings.Join(people, " ") {
				t.Fatalf("uploads %d to %d of the past are of %v: not one of each", i, i+3, turn)
			}
		}
		if turns := work.of(flow.TopicAnalyses); len(turns) < 10 {
			t.Errorf("%d turns of analyses beside: nothing was in the way", len(turns))
		}
	})
}
