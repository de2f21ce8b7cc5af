package analyse_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/due"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/vault"
	"github.com/clarity-loop/clarity/services/worker/analyse"
)

// Over a store as bad as its contract allows a window has the Result that it has
// over a calm one, and the stages behind are told of it.
func TestOverAStoreAsBadAsItsContract(t *testing.T) {
	calm := newBench(t)
	calm.handle(calm.keepWeek(), 1)
	trouble := 0
	for seed := range uint64(12) {
		b := newBench(t)
		end := b.keepWeek()
		hostile := storetest.Hostile(b.driver, storetest.Options{Seed: seed, Worst: 0.25, Now: time.Now})
		documents := store.New(hostile, b.keys)
		b.stage = analyse.New(analyse.Needs{Store: documents, Windows: &due.Windows{Store: documents, Now: time.Now, Quiet: time.Second}, Chunks: timeline.NewReader(vault.New(b.blobs, b.keys)), Queue: b, Audit: b, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		for attempt := 1; b.handle(end, attempt) != "ack"; attempt++ {
			if trouble++; attempt > 200 {
				t.Fatalf("seed %d: the window is never analysed", seed)
			}
		}
		if diff := cmp.Diff(calm.result(end), b.result(end)); diff != "" {
			t.Errorf("seed %d (-calm +hostile):\n%s", seed, diff)
		}
		if len(b.published) < 1 {
			t.Errorf("seed %d: told %v", seed, b.topics())
		}
	}
	if trouble < 10 {
		t.Errorf("%d attempts failed in all: the store was not as bad as it may be", trouble)
	}
}
