package feed

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/stage/stagetest"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
)

// Two replicas over a store as bad as its contract allows: each event is told
// once, and no number is missing or given twice.
func TestOverAStoreAsBadAsItsContract(t *testing.T) {
	const events = 30
	trouble := 0
	for seed := range uint64(12) {
		w := newWorld(t)
		var documents store.Driver
		l := stagetest.Open(t, stagetest.Options{Over: func(d store.Driver) store.Driver { documents = d; return d }})
		w.over(l.Store)
		hostile := storetest.Hostile(documents, storetest.Options{Seed: seed, Worst: 0.25, Now: time.Now})
		bad := store.New(hostile, l.Keys)
		replicas := []*Stage{w.over(bad), w.over(bad)}
		w.over(l.Store)
		turn := 0
		for n := range events {
			for attempt := 1; tell(t, replicas[turn%2], "anna", flow.UploadMerged, fmt.Sprintf("u%02d", n), "1") != "ack"; attempt++ {
				turn++
				if trouble++; attempt > 200 {
					t.Fatalf("seed %d: event %d is never told", seed, n)
				}
			}
			turn++
		}
		got := w.recorded("anna")
		var want []string
		for n := range events {
			want = append(want, fmt.Sprintf("%s upload.merged u%02d 1", key(uint64(n+1)), n))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("seed %d (-want +got):\n%s", seed, diff)
		}
		if !slices.IsSorted(got) {
			t.Errorf("seed %d: not in order", seed)
		}
	}
	if trouble < 10 {
		t.Errorf("%d attempts failed in all: the store was not as bad as it may be", trouble)
	}
}
