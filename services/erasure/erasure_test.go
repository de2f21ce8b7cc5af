package erasure_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/audit"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/record/erased"
)

func (w *world) passes(want int) {
	w.t.Helper()
	if n, err := w.stage.Pass(w.t.Context()); err != nil || n != want {
		w.t.Errorf("a pass takes up %d people, %v; want %d", n, err, want)
	}
}

// The whole of it, with the times at which it goes on.
func TestAnErasureStepByStep(t *testing.T) {
	w := newWorld(t)
	w.furnish(anna, 3)
	w.furnish(ben, 1)
	w.passes(0)
	w.erase(0)
	w.passes(1)
	if _, err := w.keys.Seal(t.Context(), anna, "x", nil); !errors.Is(err, keyring.ErrDestroyed) {
		t.Errorf("after the first step the key still seals: %v", err)
	}
	if e := w.account().Value.Erasure; e.Step != erased.Destroyed || e.Finished() || !e.DestroyedAt.Equal(w.clock()) {
		t.Errorf("after the first step: %+v", e)
	}
	if len(w.left(anna)) == 0 {
		t.Error("documents go before every handler must know that the key is gone")
	}
	w.passes(0)
	w.pass(2 * time.Second)
	w.passes(1)
	if e := w.account().Value.Erasure; e.Step != erased.Removed || !e.Finished() {
		t.Errorf("after the second step: %+v", e)
	}
	if left := w.left(anna); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
	if len(w.left(ben)) != 1+2*len(blob.PersonKinds()) {
		t.Errorf("of Ben there is %v", w.left(ben))
	}
	if depth, err := w.queue.Depth(t.Context(), flow.TopicUploads, flow.Intake); err != nil || depth.Waiting != 1 {
		t.Errorf("%+v, %v: want Ben's message alone", depth, err)
	}
	if len(w.audited) != 1 || w.audited[0].Action != audit.AccountErased || w.audited[0].Object != "receipt" {
		t.Errorf("audited: %+v", w.audited)
	}
	for _, late := range []time.Duration{time.Hour, 23 * time.Hour} {
		w.passes(0)
		if _, err := w.blobs.Put(t.Context(), "days/55/anna/late", []byte("noise")); err != nil {
			t.Fatal(err)
		}
		w.pass(late)
		w.passes(1)
		if left := w.left(anna); len(left) > 0 {
			t.Errorf("after %v a late writer's %v are left", late, left)
		}
	}
	if a := w.account(); a.Value.Erasure.Step != erased.Ended || !a.Due.IsZero() || len(w.audited) != 1 {
		t.Errorf("at the end: %+v due %v, audited %d times", a.Value.Erasure, a.Due, len(w.audited))
	}
	w.pass(1000 * time.Hour)
	w.passes(0)
	if w.logs.Len() > 0 {
		t.Errorf("the log says %s", &w.logs)
	}
}

// Whatever dies before or behind which change: it comes to its end by itself.
func TestAnErasureThatDiesAtAnyChangeIsFinished(t *testing.T) {
	if testing.Short() {
		t.Skip("opens the drivers some fifty times")
	}
	for at := 1; ; at++ {
		w := newWorld(t)
		w.furnish(anna, 2)
		w.erase(0)
		w.dieAt, w.after = w.changes+(at+1)/2, at%2 == 0
		for range 10 {
			_, _ = w.stage.Pass(t.Context())
			w.pass(2 * time.Second)
		}
		died := w.dead
		if died == w.account().Value.Erasure.Finished() && !w.after {
			t.Fatalf("dead at change %d before it: %+v", (at+1)/2, w.account().Value.Erasure)
		}
		w.restart()
		for range 10 {
			w.pass(2 * time.Second)
			if _, err := w.stage.Pass(t.Context()); err != nil {
				t.Fatalf("change %d: %v", at, err)
			}
		}
		if e := w.account().Value.Erasure; !e.Finished() || len(w.left(anna)) > 0 || len(w.audited) == 0 {
			t.Fatalf("dead at change %d: %+v, left %v, audited %d times", at, e, w.left(anna), len(w.audited))
		}
		if _, err := w.keys.Seal(t.Context(), anna, "x", nil); !errors.Is(err, keyring.ErrDestroyed) {
			t.Fatalf("dead at change %d: the key still seals: %v", at, err)
		}
		if !died {
			if at < 20 {
				t.Errorf("an erasure has %d changes: nothing to see", at/2)
			}
			return
		}
	}
}

// In the grace period nothing happens, and it can be taken back.
func TestTheGraceOfAnErasure(t *testing.T) {
	w := newWorld(t)
	w.furnish(anna, 1)
	w.erase(time.Hour)
	w.pass(time.Hour - time.Millisecond)
	w.passes(0)
	if !errors.Is(w.store.Permitted(t.Context(), anna), w.account().Value.Active()) {
		t.Error("in the grace period the account is not shut")
	}
	before := w.account()
	if _, err := w.store.ChangeAccount(t.Context(), anna, before, before.Value.Kept(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Hour)
	w.passes(0)
	if err := w.store.Permitted(t.Context(), anna); err != nil {
		t.Errorf("what was agreed to before is not again: %v", err)
	}
}

// One that cannot go on costs no other, says so without a name, and comes again.
func TestAnErasureThatFails(t *testing.T) {
	w := newWorld(t)
	w.furnish(anna, 1)
	w.erase(0)
	w.dieAt = w.changes + 2 // the key cannot be destroyed
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { w.stage.Run(ctx, time.Hour); close(ended) }()
	for limit := time.Now().Add(20 * time.Second); !w.isDead(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("nothing was tried")
		}
	}
	stop()
	<-ended
	w.restart()
	if log := w.logs.String(); strings.Contains(log, anna) {
		t.Errorf("the log names her: %s", log)
	}
	w.passes(0) // somebody may be at it
	w.pass(5 * time.Second)
	w.passes(1)
	w.pass(2 * time.Second)
	w.passes(1)
	if left := w.left(anna); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}

// Two processes that find it at once: one has it.
func TestAnErasureIsOneProcessesAtATime(t *testing.T) {
	w := newWorld(t)
	w.furnish(anna, 1)
	w.erase(0)
	account := w.account()
	e := *account.Value.Erasure
	e.Until = w.clock().Add(5 * time.Second)
	account.Value.Erasure = &e
	if _, err := w.store.ChangeAccount(t.Context(), anna, account, account.Value, e.Until); err != nil {
		t.Fatal(err)
	}
	w.passes(0)
	w.pass(5 * time.Second)
	w.passes(1)
}
