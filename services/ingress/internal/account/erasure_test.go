package account_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/erasure"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/webhook"
)

const (
	accountPath = "/v1/account"
	receiptPath = "/v1/account/receipt"
)

type receipt struct {
	ReceiptID, State, ErasedAt, BeginsAt, KeyDestroyedAt, FinishedAt string
}

// read is the receipt of a reply with the status.
func read(t *testing.T, r ingresstest.Reply, status int) (out receipt) {
	t.Helper()
	if r.Status != status || r.Header.Get("Location") != receiptPath {
		t.Fatalf("%d %s %s, want %d", r.Status, r.Header.Get("Location"), r.Body, status)
	}
	r.JSON(t, &out)
	return out
}

func TestErasure(t *testing.T) {
	w := ingresstest.New(t, ingresstest.ShortStreams)
	ingresstest.Furnish(w)
	w.Upload(ingresstest.Anna, "upload-0002", ingresstest.Batch(3))
	w.Consent(ingresstest.Ben, true)
	w.Upload(ingresstest.Ben, "upload-0001", ingresstest.Batch(1))

	first := read(t, w.Do("DELETE", accountPath, ingresstest.Anna, nil), 202)
	if first.State != "requested" || first.ReceiptID == "" || first.ErasedAt == "" || first.BeginsAt+first.KeyDestroyedAt+first.FinishedAt != "" {
		t.Errorf("%+v", first)
	}
	if again := read(t, w.Do("DELETE", accountPath, ingresstest.Anna, nil), 202); again != first {
		t.Errorf("the second call says %+v, the first %+v", again, first)
	}
	if kept := read(t, w.Do("GET", receiptPath, ingresstest.Anna, nil), 202); kept != first {
		t.Errorf("the receipt says %+v", kept)
	}
	w.Erase()
	last := read(t, w.Do("GET", receiptPath, ingresstest.Anna, nil), 200)
	if last.State != "erased" || last.ReceiptID != first.ReceiptID || last.ErasedAt != first.ErasedAt || last.KeyDestroyedAt == "" || last.FinishedAt == "" {
		t.Errorf("%+v", last)
	}
	if again := read(t, w.Do("DELETE", accountPath, ingresstest.Anna, nil), 202); again != last {
		t.Errorf("a call after it says %+v", again)
	}
	if n := w.Audit.Count(audit.AccountErased); n != 1 {
		t.Errorf("%d audit entries of the erasure, want 1", n)
	}
	if r := w.Do("GET", "/v1/uploads/upload-0001", ingresstest.Ben, nil); r.Status != 200 {
		t.Errorf("Ben lost his upload: %d", r.Status)
	}
	if r := w.Do("GET", receiptPath, ingresstest.Ben, nil); r.Status != 404 {
		t.Errorf("Ben has a receipt: %d", r.Status)
	}
}

// A token that somebody found erases nobody a day later.
func TestAnErasureAsksForAFreshSignIn(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	r := w.Do("DELETE", accountPath, "stale-anna", nil)
	if r.Status != 401 || r.Code() != "fresh_sign_in_required" || !strings.Contains(r.Header.Get("WWW-Authenticate"), "max_age=300") {
		t.Errorf("%d %s %s", r.Status, r.Body, r.Header.Get("WWW-Authenticate"))
	}
	if r := w.Do("GET", "/v1/profile", ingresstest.Anna, nil); r.Status != 200 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

func TestAGraceCanBeTakenBack(t *testing.T) {
	w := ingresstest.New(t, func(n *ingress.Needs) { n.Grace = time.Hour })
	w.Consent(ingresstest.Anna, true)
	w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1))
	if r := read(t, w.Do("DELETE", accountPath, ingresstest.Anna, nil), 202); r.State != "requested" || r.BeginsAt == "" {
		t.Errorf("%+v", r)
	}
	w.Erase()
	if r := w.Do("GET", "/v1/uploads/upload-0001", ingresstest.Anna, nil); r.Status != 410 {
		t.Errorf("in the grace period: %d", r.Status)
	}
	if onAgenda(w, agenda.Resume) {
		t.Error("in the grace period it is taken up")
	}
	halt := w.Clock.Now()
	w.Clock.Advance(time.Minute)
	if r := w.Do("POST", accountPath, ingresstest.Anna, nil); r.Status != 204 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	if !onAgenda(w, agenda.Resume) {
		t.Error("what came to a halt is not taken up at once")
	}
	if e, err := w.Store.Agenda.Get(t.Context(), "anna", agenda.Errand{Kind: agenda.Resume}.Key()); err != nil || e.Value.Since.After(halt) {
		t.Errorf("what came to a halt did so at %v, want %v, %v", e.Value.Since, halt, err)
	}
	if r := w.Do("GET", "/v1/uploads/upload-0001", ingresstest.Anna, nil); r.Status != 200 {
		t.Errorf("taken back: %d", r.Status)
	}
	if r := w.Upload(ingresstest.Anna, "upload-0002", ingresstest.Batch(2)); r.Status != 202 {
		t.Errorf("taken back, an upload: %d %s", r.Status, r.Body)
	}
	w.Do("DELETE", accountPath, ingresstest.Anna, nil)
	w.Clock.Advance(time.Hour)
	w.Erase()
	read(t, w.Do("GET", receiptPath, ingresstest.Anna, nil), 200)
}

// An erasure that has begun, and whose step failed, waits to be tried again: that is
// no grace, with a period or without, since the key may be gone.
func TestAnErasureThatHasBegunCannotBeTakenBack(t *testing.T) {
	for _, grace := range []time.Duration{0, time.Hour} {
		w := ingresstest.New(t, func(n *ingress.Needs) { n.Grace = grace })
		w.Consent(ingresstest.Anna, true)
		w.Do("DELETE", accountPath, ingresstest.Anna, nil)
		w.Clock.Advance(grace + time.Second)
		stage := erasure.New(erasure.Needs{Store: w.Store, Keys: lostAnswer{w.Keys}, Blobs: w.Blobs, Queue: w.Queue, Relay: webhook.NewBook(w.Store, w.Queue, w.Clock.Now), Audit: w.Audit, Now: w.Clock.Now, Log: slog.New(slog.DiscardHandler)})
		if _, err := stage.Pass(t.Context()); err == nil {
			t.Fatal("the step does not fail")
		}
		if r := w.Do("POST", accountPath, ingresstest.Anna, nil); r.Status != 409 || r.Code() != "erasure_running" {
			t.Errorf("grace %v: %d %s", grace, r.Status, r.Body)
		}
		if r := read(t, w.Do("GET", receiptPath, ingresstest.Anna, nil), 202); r.BeginsAt != "" {
			t.Errorf("grace %v: it is said to begin at %s", grace, r.BeginsAt)
		}
	}
}

// lostAnswer destroys keys, and says that it could not.
type lostAnswer struct{ keyring.Keyring }

func (l lostAnswer) Destroy(ctx context.Context, uid string) error {
	return errors.Join(l.Keyring.Destroy(ctx, uid), errors.New("the answer was lost"))
}

func TestWhoIsErasedComesBackUnderANewKey(t *testing.T) {
	w := ingresstest.New(t)
	for life := range 3 {
		w.Consent(ingresstest.Anna, true)
		if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1)); r.Status != 202 {
			t.Fatalf("life %d: %d %s", life, r.Status, r.Body)
		}
		if r := w.Do("POST", accountPath, ingresstest.Anna, nil); r.Status != 204 {
			t.Errorf("who is not erased: %d %s", r.Status, r.Body)
		}
		w.Do("DELETE", accountPath, ingresstest.Anna, nil)
		if r := w.Do("POST", accountPath, ingresstest.Anna, nil); r.Status != 409 || r.Code() != "erasure_running" || r.Header.Get("Retry-After") == "" {
			t.Errorf("while it is at work: %d %s", r.Status, r.Body)
		}
		w.Erase()
		if r := w.Do("POST", accountPath, ingresstest.Anna, nil); r.Status != 204 {
			t.Fatalf("life %d: %d %s", life, r.Status, r.Body)
		}
		if r := w.Do("GET", "/v1/uploads/upload-0001", ingresstest.Anna, nil); r.Status != 404 {
			t.Errorf("life %d: what was before is there: %d", life, r.Status)
		}
		if r := w.Upload(ingresstest.Anna, "upload-0001", ingresstest.Batch(1)); r.Status != 403 {
			t.Errorf("life %d: nothing is agreed to: %d", life, r.Status)
		}
		if r := w.Do("GET", receiptPath, ingresstest.Anna, nil); r.Status != 404 {
			t.Errorf("life %d: %d", life, r.Status)
		}
	}
}

// An account that a release before erased has its receipt as it was; one whose
// erasure was cut has none yet.
func TestAReceiptOfTheReleaseBefore(t *testing.T) {
	w := ingresstest.New(t)
	gone := record.Account{ErasedAt: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Purposes: []string{}}
	version, err := w.Store.Accounts.Put(t.Context(), "anna", record.AccountKey, 0, gone)
	if err != nil {
		t.Fatal(err)
	}
	if r := read(t, w.Do("GET", receiptPath, ingresstest.Anna, nil), 202); r.State != "requested" {
		t.Errorf("%+v", r)
	}
	if r := w.Do("POST", accountPath, ingresstest.Anna, nil); r.Status != 409 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	gone.Receipt = `{"receiptId":"r-1","erasedAt":"2026-11-01T00:00:00Z"}`
	if _, err := w.Store.Accounts.Put(t.Context(), "anna", record.AccountKey, version, gone); err != nil {
		t.Fatal(err)
	}
	if r := read(t, w.Do("GET", receiptPath, ingresstest.Anna, nil), 200); r.State != "erased" || r.ReceiptID != "r-1" {
		t.Errorf("%+v", r)
	}
	if r := read(t, w.Do("DELETE", accountPath, ingresstest.Anna, nil), 202); r.ReceiptID != "r-1" {
		t.Errorf("%+v", r)
	}
	gone.Receipt = "x"
	if _, err := w.Store.Accounts.Put(t.Context(), "anna", record.AccountKey, -1, gone); err != nil {
		t.Fatal(err)
	}
	if r := w.Do("GET", receiptPath, ingresstest.Anna, nil); r.Status != 500 {
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
		group.Go(func() { receipts[i] = string(w.Do("DELETE", accountPath, ingresstest.Anna, nil).Body) })
	}
	group.Wait()
	w.Erase()
	if receipts[0] != receipts[1] || receipts[0] == "" {
		t.Errorf("two erasures at once gave %v", receipts)
	}
	if gone.Load() == 0 {
		t.Error("no upload met the erasure: the test shows nothing")
	}
	if found := w.Objects(blob.KindUploads, "anna"); len(found) > 0 {
		t.Errorf("%d blobs are left", len(found))
	}
	if depth, _ := w.Queue.Depth(t.Context(), flow.TopicUploads, flow.Intake); depth.Waiting > 0 {
		t.Errorf("depth %+v", depth)
	}
}
