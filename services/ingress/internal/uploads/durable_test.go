package uploads_test

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
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/queue"
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
	w := ingresstest.New(t, func(d *ingress.Needs) { q.Queue = d.Queue; d.Queue = q })
	w.Consent(ingresstest.Anna, true)
	q.broken.Store(true)
	if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(2)); r.Status != 500 || strings.Contains(string(r.Body), "disk") {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	q.broken.Store(false)
	if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(2)); r.Status != 202 {
		t.Fatalf("the retry: %d %s", r.Status, r.Body)
	}
	if depth, _ := w.Queue.Depth(t.Context(), flow.TopicUploads, flow.Intake); depth.Waiting != 1 {
		t.Errorf("depth %+v, want the retry's message", depth)
	}
	w.Audit.Broken = true
	if r := w.Upload(ingresstest.Anna, "upload-0002", ingresstest.Batch(2)); r.Status != 500 {
		t.Errorf("without an audit entry: %d", r.Status)
	}
	if r := w.Do("GET", "/v1/weeks", ingresstest.Anna, nil); r.Status != 500 {
		t.Errorf("a read without an audit entry: %d %s", r.Status, r.Body)
	}
}

func TestWithdrawalIsOrderedWithUploads(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	var group sync.WaitGroup
	var withdrawn atomic.Bool
	for worker := range 4 {
		group.Go(func() {
			for n := range 50 {
				after := withdrawn.Load()
				r, err := w.Try("PUT", fmt.Sprintf("/v1/uploads/upload-%d-%04d", worker, n), ingresstest.Anna, bytes.NewReader(ingresstest.Batch(1)), ingresstest.AsJSON())
				if err != nil {
					t.Error(err)
				}
				if after && r.Status != 403 {
					t.Errorf("after the withdrawal: %d %s", r.Status, r.Body)
				}
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	w.Consent(ingresstest.Anna, false)
	withdrawn.Store(true)
	group.Wait()
}
