package erasure_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/erasure"
	"github.com/clarity-loop/clarity/services/keyring"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
)

// Two replicas over a store as bad as its contract allows end an erasure: nothing of
// the person is left, another's is as it was, and there is one receipt.
func TestOverAStoreAsBadAsItsContract(t *testing.T) {
	trouble := 0
	for seed := range uint64(8) {
		w := newWorld(t)
		w.furnish(anna, 2)
		w.furnish(ben, 1)
		ofBen := len(w.left(ben))
		w.erase(0)
		hostile := storetest.Hostile(w.driver, storetest.Options{Seed: seed, Worst: 0.2, Now: w.clock})
		var replicas [2]*erasure.Stage
		for i := range replicas {
			replicas[i] = erasure.New(erasure.Needs{Store: store.New(hostile, w.keys), Keys: mortalKeys{w}, Names: w.keys, Blobs: mortalBlobs{w}, Queue: mortalQueue{w}, Relay: nobody{}, Audit: mortalAudit{w},
				Longest: 2 * time.Second, Now: w.clock, Log: slog.New(slog.DiscardHandler)})
		}
		for turn := 0; w.account().Value.Erasure == nil || !w.account().Value.Erasure.Finished(); turn++ {
			if turn > 400 {
				t.Fatalf("seed %d: it never ends: %+v", seed, w.account().Value.Erasure)
			}
			if _, err := replicas[turn%2].Pass(t.Context()); err != nil {
				trouble++
			}
			w.pass(2 * time.Second)
		}
		if left := w.left(anna); len(left) > 0 {
			t.Errorf("seed %d: %v are left", seed, left)
		}
		if len(w.left(ben)) != ofBen {
			t.Errorf("seed %d: of Ben there is %v", seed, w.left(ben))
		}
		if _, err := w.keys.Seal(t.Context(), anna, "x", nil); !errors.Is(err, keyring.ErrDestroyed) {
			t.Errorf("seed %d: the key still seals: %v", seed, err)
		}
		if e := w.account().Value.Erasure; e.ReceiptID != "receipt" || e.FinishedAt.Before(e.DestroyedAt.Add(2*time.Second)) || len(w.audited) == 0 {
			t.Errorf("seed %d: %+v, audited %d times", seed, e, len(w.audited))
		}
	}
	if trouble < 10 {
		t.Errorf("%d passes failed in all: the store was not as bad as it may be", trouble)
	}
}
