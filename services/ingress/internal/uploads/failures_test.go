package uploads_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
)

// fullBlobs refuse while set.
type fullBlobs struct {
	blob.Store
	put, remove atomic.Bool
}

func (b *fullBlobs) Put(ctx context.Context, name string, data []byte) (int64, error) {
	if b.put.Load() {
		return 0, errors.New("disk full")
	}
	return b.Store.Put(ctx, name, data)
}

func (b *fullBlobs) Delete(ctx context.Context, name string, generation int64) error {
	if b.remove.Load() {
		return errors.New("disk full")
	}
	return b.Store.Delete(ctx, name, generation)
}

// An upload that cannot be kept is no 202, is counted as failed, and goes well later.
func TestAnUploadThatCannotBeKept(t *testing.T) {
	blobs := &fullBlobs{}
	w := ingresstest.New(t, func(n *ingress.Needs) { blobs.Store = n.Blobs; n.Blobs = blobs }, asObjects)
	w.Consent(ingresstest.Anna, true)
	blobs.put.Store(true)
	if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1)); r.Status != 500 {
		t.Errorf("without blobs: %d", r.Status)
	}
	blobs.put.Store(false)
	w.Break("write uploads")
	if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1)); r.Status != 500 {
		t.Errorf("without its record: %d", r.Status)
	}
	w.Mend()
	if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1)); r.Status != 202 {
		t.Errorf("later: %d %s", r.Status, r.Body)
	}
	w.Break("get uploads")
	if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1)); r.Status != 500 {
		t.Errorf("a repeated one whose first cannot be read: %d", r.Status)
	}
	if r := w.Do("GET", "/v1/uploads/upload-0001", ingresstest.Anna, nil); r.Status != 500 {
		t.Errorf("one that cannot be read: %d", r.Status)
	}
	w.Mend()
	blobs.remove.Store(true)
	if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(2)); r.Status != 500 {
		t.Errorf("a conflict whose body cannot be removed: %d", r.Status)
	}
	blobs.remove.Store(false)
	w.Audit.Broken = true
	if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1)); r.Status != 500 {
		t.Errorf("a repeated one without an audit log: %d", r.Status)
	}
	w.Audit.Broken = false
	for _, what := range []string{"list uploads", "list cursors", "list days"} {
		w.Break(what)
		path := "/v1/sync"
		if what == "list uploads" {
			path = "/v1/uploads"
		}
		if r := w.Do("GET", path, ingresstest.Anna, nil); r.Status != 500 {
			t.Errorf("%s fails: %d", what, r.Status)
		}
		w.Mend()
	}
	text := string(w.Do("GET", "/metrics", "", nil).Body)
	for _, line := range []string{`clarity_uploads_total{outcome="accepted"} 1`, `clarity_uploads_total{outcome="failed"} 5`, `clarity_uploads_total{outcome="refused"} 0`, `clarity_uploads_total{outcome="conflict"} 0`, `clarity_uploads_total{outcome="repeated"} 0`, `clarity_upload_entries_total{verdict="rejected"} 0`} {
		if !strings.Contains(text, line) {
			t.Errorf("no line %s", line)
		}
	}
}
