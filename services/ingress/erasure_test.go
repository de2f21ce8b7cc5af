package ingress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/keyring"
)

func TestErasure(t *testing.T) {
	w := newWorld(t, shortStreams)
	furnish(w)
	w.upload(anna, "upload-0002", batch(3))
	chunk := blob.PersonPrefix(blob.KindDays, "anna") + "2026-11-20/x"
	if err := w.blobs.Put(t.Context(), chunk, []byte("x")); err != nil {
		t.Fatal(err)
	}
	w.consent(ben, true)
	w.upload(ben, "upload-0001", batch(1))

	first := w.do("DELETE", "/v1/account", anna, nil)
	if first.status != 200 {
		t.Fatalf("%d %s", first.status, first.body)
	}
	if again := w.do("DELETE", "/v1/account", anna, nil); string(again.body) != string(first.body) {
		t.Errorf("the second receipt is %s, the first %s", again.body, first.body)
	}
	if kept := w.do("GET", "/v1/account/receipt", anna, nil); string(kept.body) != string(first.body) {
		t.Errorf("the receipt read again is %s", kept.body)
	}
	for _, r := range w.server.routes() {
		if r.access != personal || r.erasedToo {
			continue
		}
		if got := w.call(r, anna, `"1"`); got.status != 410 || got.code() != "account_erased" {
			t.Errorf("%s %s after the erasure: %d %s", r.method, r.path, got.status, got.body)
		}
	}
	for _, kind := range blob.PersonKinds() {
		if found, err := w.blobs.List(t.Context(), blob.PersonPrefix(kind, "anna"), "", 10); err != nil || len(found) > 0 {
			t.Errorf("%d %s are left (%v)", len(found), kind, err)
		}
	}
	if _, err := w.keys.Seal(t.Context(), "anna", "x", []byte("x")); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("the key still seals: %v", err)
	}
	if depth, _ := w.queue.Depth(t.Context(), flow.TopicUploads, flow.Intake); depth.Waiting != 1 {
		t.Errorf("depth %+v, want ben's message alone", depth)
	}
	if n := w.audit.count(audit.AccountErased); n != 1 {
		t.Errorf("%d audit entries of the erasure, want 1", n)
	}
	if r := w.do("GET", "/v1/uploads/upload-0001", ben, nil); r.status != 200 {
		t.Errorf("ben lost his upload: %d", r.status)
	}
}

// failingKeys fails its first Destroy: a crash in the middle of an erasure.
type failingKeys struct {
	keyring.Keyring
	failed atomic.Bool
}

func (k *failingKeys) Destroy(ctx context.Context, uid string) error {
	if k.failed.CompareAndSwap(false, true) {
		return errors.New("power cut")
	}
	return k.Keyring.Destroy(ctx, uid)
}

func TestAnErasureThatWasCutIsFinished(t *testing.T) {
	w := newWorld(t, func(d *Deps) { d.Keys = &failingKeys{Keyring: d.Keys} })
	w.consent(anna, true)
	if r := w.do("DELETE", "/v1/account", anna, nil); r.status != 500 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := w.do("GET", "/v1/profile", anna, nil); r.status != 410 {
		t.Errorf("half erased: %d", r.status)
	}
	if r := w.do("GET", "/v1/account/receipt", anna, nil); r.status != 404 {
		t.Errorf("a receipt for half an erasure: %d %s", r.status, r.body)
	}
	if r := w.do("DELETE", "/v1/account", anna, nil); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestErasureDuringUploads(t *testing.T) {
	w := newWorld(t)
	w.consent(anna, true)
	var group sync.WaitGroup
	var gone atomic.Int64
	for worker := range 4 {
		group.Go(func() {
			for n := range 200 {
				r, err := w.try("PUT", fmt.Sprintf("/v1/uploads/upload-%d-%04d", worker, n), anna, bytes.NewReader(batch(2)), asJSON)
				if err != nil || r.status != 202 && r.status != 410 {
					t.Errorf("%d %s %v", r.status, r.body, err)
				}
				if r.status == 410 {
					gone.Add(1)
					return
				}
			}
		})
	}
	time.Sleep(60 * time.Millisecond)
	receipts := make([]string, 2)
	for i := range receipts {
		group.Go(func() { receipts[i] = string(w.do("DELETE", "/v1/account", anna, nil).body) })
	}
	group.Wait()
	if receipts[0] != receipts[1] || receipts[0] == "" {
		t.Errorf("two erasures at once gave %v", receipts)
	}
	if gone.Load() == 0 {
		t.Error("no upload met the erasure: the test shows nothing")
	}
	if found, _ := w.blobs.List(t.Context(), blob.PersonPrefix(blob.KindUploads, "anna"), "", 10); len(found) > 0 {
		t.Errorf("%d blobs are left", len(found))
	}
	if depth, _ := w.queue.Depth(t.Context(), flow.TopicUploads, flow.Intake); depth.Waiting > 0 {
		t.Errorf("depth %+v", depth)
	}
}
