package ingress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
)

// failingQueue refuses while set: the crash between record and message.
type failingQueue struct {
	queue.Queue
	broken atomic.Bool
}

func (q *failingQueue) Publish(ctx context.Context, m ...queue.Message) error {
	if q.broken.Load() {
		return errors.New("disk full")
	}
	return q.Queue.Publish(ctx, m...)
}

func TestNothingIsAckedThatIsNotDurable(t *testing.T) {
	q := &failingQueue{}
	w := newWorld(t, func(d *Deps) { q.Queue = d.Queue; d.Queue = q })
	w.consent(anna, true)
	q.broken.Store(true)
	if r := w.upload(anna, "upload-0001", batch(2)); r.status != 500 || strings.Contains(string(r.body), "disk") {
		t.Fatalf("%d %s", r.status, r.body)
	}
	q.broken.Store(false)
	if r := w.upload(anna, "upload-0001", batch(2)); r.status != 202 {
		t.Fatalf("the retry: %d %s", r.status, r.body)
	}
	if depth, _ := q.Depth(t.Context(), flow.TopicUploads, flow.Intake); depth.Waiting != 1 {
		t.Errorf("depth %+v, want the retry's message", depth)
	}
	w.audit.broken = true
	if r := w.upload(anna, "upload-0002", batch(2)); r.status != 500 {
		t.Errorf("without an audit entry: %d", r.status)
	}
	if r := w.do("GET", "/v1/weeks", anna, nil); r.status != 500 {
		t.Errorf("a read without an audit entry: %d %s", r.status, r.body)
	}
}

func TestWithdrawalIsOrderedWithUploads(t *testing.T) {
	w := newWorld(t)
	w.consent(anna, true)
	var group sync.WaitGroup
	var withdrawn atomic.Bool
	for worker := range 4 {
		group.Go(func() {
			for n := range 50 {
				after := withdrawn.Load()
				r, err := w.try("PUT", fmt.Sprintf("/v1/uploads/upload-%d-%04d", worker, n), anna, bytes.NewReader(batch(1)), asJSON)
				if err != nil {
					t.Error(err)
				}
				if after && r.status != 403 {
					t.Errorf("after the withdrawal: %d %s", r.status, r.body)
				}
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	w.consent(anna, false)
	withdrawn.Store(true)
	group.Wait()
}

// A panic costs its request and nothing else.
func TestAPanicIsA500(t *testing.T) {
	w := newWorld(t, func(d *Deps) {
		d.Samples = nil
		d.Samples = func(context.Context, string, record.Day) ([]health.Sample, error) { return nil, nil }
		d.Ready = func(context.Context) error { panic("canary-in-a-panic") }
	})
	if r := w.do("GET", "/readyz", "", nil); r.status != 500 || r.code() != "internal_error" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := w.do("GET", "/healthz", "", nil); r.status != 200 {
		t.Errorf("the next request: %d", r.status)
	}
	if strings.Contains(w.log.String(), "canary-in-a-panic") || !strings.Contains(w.log.String(), "request panicked") {
		t.Error("a panic is logged without its value")
	}
}
