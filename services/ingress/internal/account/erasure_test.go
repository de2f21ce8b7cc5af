package account_test

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
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/keyring"
)

func TestErasure(t *testing.T) {
	w := ingresstest.New(t, ingresstest.ShortStreams)
	ingresstest.Furnish(w)
	w.Upload(ingresstest.Anna, "upload-0002", ingresstest.Batch(3))
	chunk := blob.PersonPrefix(blob.KindDays, "anna") + "2026-11-20/x"
	if err := w.Blobs.Put(t.Context(), chunk, []byte("x")); err != nil {
		t.Fatal(err)
	}
	w.Consent(ingresstest.Ben, true)
	w.Upload(ingresstest.Ben, "upload-0001", ingresstest.Batch(1))

	first := w.Do("DELETE", "/v1/account", ingresstest.Anna, nil)
	if first.Status != 200 {
		t.Fatalf("%d %s", first.Status, first.Body)
	}
	if again := w.Do("DELETE", "/v1/account", ingresstest.Anna, nil); string(again.Body) != string(first.Body) {
		t.Errorf("the second receipt is %s, the first %s", again.Body, first.Body)
	}
	if kept := w.Do("GET", "/v1/account/receipt", ingresstest.Anna, nil); string(kept.Body) != string(first.Body) {
		t.Errorf("the receipt read again is %s", kept.Body)
	}
	for _, kind := range blob.PersonKinds() {
		if found, err := w.Blobs.List(t.Context(), blob.PersonPrefix(kind, "anna"), "", 10); err != nil || len(found) > 0 {
			t.Errorf("%d %s are left (%v)", len(found), kind, err)
		}
	}
	if _, err := w.Keys.Seal(t.Context(), "anna", "x", []byte("x")); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("the key still seals: %v", err)
	}
	if depth, _ := w.Queue.Depth(t.Context(), flow.TopicUploads, flow.Intake); depth.Waiting != 1 {
		t.Errorf("depth %+v, want ingresstest.Ben's message alone", depth)
	}
	if n := w.Audit.Count(audit.AccountErased); n != 1 {
		t.Errorf("%d audit entries of the erasure, want 1", n)
	}
	if r := w.Do("GET", "/v1/uploads/upload-0001", ingresstest.Ben, nil); r.Status != 200 {
		t.Errorf("ingresstest.Ben lost his upload: %d", r.Status)
	}
}

// failingKeys fails its first Destroy: a crash in the middle of an erasure.
type failingKeys struct {
	keyring.Eraser
	failed atomic.Bool
}

func (k *failingKeys) Destroy(ctx context.Context, uid string) error {
	if k.failed.CompareAndSwap(false, true) {
		return errors.New("power cut")
	}
	return k.Eraser.Destroy(ctx, uid)
}

func TestAnErasureThatWasCutIsFinished(t *testing.T) {
	w := ingresstest.New(t, func(d *ingress.Needs) { d.Erasure = &failingKeys{Eraser: d.Erasure} })
	w.Consent(ingresstest.Anna, true)
	if r := w.Do("DELETE", "/v1/account", ingresstest.Anna, nil); r.Status != 500 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	if r := w.Do("GET", "/v1/profile", ingresstest.Anna, nil); r.Status != 410 {
		t.Errorf("half erased: %d", r.Status)
	}
	if r := w.Do("GET", "/v1/account/receipt", ingresstest.Anna, nil); r.Status != 404 {
		t.Errorf("a receipt for half an erasure: %d %s", r.Status, r.Body)
	}
	if r := w.Do("DELETE", "/v1/account", ingresstest.Anna, nil); r.Status != 200 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

func TestErasureDuringUploads(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	var group sync.WaitGroup
	var gone atomic.Int64
	for worker := range 4 {
		group.Go(func() {
			for n := range 200 {
				r, err := w.Try("PUT", fmt.Sprintf("/v1/uploads/upload-%d-%04d", worker, n), ingresstest.Anna, bytes.NewReader(ingresstest.Batch(2)), ingresstest.AsJSON())
				if err != nil || r.Status != 202 && r.Status != 410 {
					t.Errorf("%d %s %v", r.Status, r.Body, err)
				}
				if r.Status == 410 {
					gone.Add(1)
					return
				}
			}
		})
	}
	time.Sleep(60 * time.Millisecond)
	receipts := make([]string, 2)
	for i := range receipts {
		group.Go(func() { receipts[i] = string(w.Do("DELETE", "/v1/account", ingresstest.Anna, nil).Body) })
	}
	group.Wait()
	if receipts[0] != receipts[1] || receipts[0] == "" {
		t.Errorf("two erasures at once gave %v", receipts)
	}
	if gone.Load() == 0 {
		t.Error("no upload met the erasure: the test shows nothing")
	}
	if found, _ := w.Blobs.List(t.Context(), blob.PersonPrefix(blob.KindUploads, "anna"), "", 10); len(found) > 0 {
		t.Errorf("%d blobs are left", len(found))
	}
	if depth, _ := w.Queue.Depth(t.Context(), flow.TopicUploads, flow.Intake); depth.Waiting > 0 {
		t.Errorf("depth %+v", depth)
	}
}
