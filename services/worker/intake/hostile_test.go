package intake_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/store/storetest"
	"github.com/clarity-loop/clarity/services/vault"
	"github.com/clarity-loop/clarity/services/worker/intake"
)

// over has two stages work on what is as bad as the store's contract allows.
// What the test itself looks at stays calm.
func (w *world) over(d store.Driver) (stages [2]*intake.Stage) {
	for i := range stages {
		stages[i] = intake.New(intake.Needs{Store: store.New(d, (*keys)(w)), Objects: vault.New((*blobs)(w), (*keys)(w)), Queue: (*topics)(w),
			Now: func() time.Time { return w.now }, Log: quietLog(), Debounce: time.Second})
	}
	return stages
}

// Uploads in any order, by two replicas in turn, over a store that fails, answers
// that it does not know, and lets others be first: at the end it is as if each
// had been merged once, in order, by one.
func TestOverAStoreAsBadAsItsContract(t *testing.T) {
	all := arrivals(t, 5, 9)
	inOrder := make([]int, len(all))
	for i := range inOrder {
		inOrder[i] = i
	}
	want := merged(t, all, inOrder).state(t)
	trouble := 0
	for seed := range uint64(25) {
		w := newWorld()
		w.consent(t, true)
		for _, a := range all {
			w.arrive(t, a)
		}
		hostile := storetest.Hostile((*driver)(w), storetest.Options{Seed: seed, Worst: 0.15, Now: func() time.Time { return w.now }})
		replicas := w.over(hostile)
		r := rand.New(rand.NewPCG(seed, 3))
		waiting := r.Perm(len(all))
		attempts := make([]int, len(all))
		for turn := 0; len(waiting) > 0; turn++ {
			i := waiting[0]
			waiting = waiting[1:]
			if attempts[i]++; attempts[i] > 200 {
				t.Fatalf("seed %d: upload %d is never merged", seed, i)
			}
			w.stage = replicas[turn%2]
			if v := w.handle(t, all[i].id, attempts[i]); v != "ack" {
				trouble++
				waiting = append(waiting, i)
			}
		}
		if diff := cmp.Diff(want, w.state(t)); diff != "" {
			t.Fatalf("seed %d (-calm +hostile):\n%s", seed, diff)
		}
		for _, a := range all {
			if u := w.upload(t, a.id); u.State != record.UploadMerged || w.onAgenda(t, a.id) {
				t.Errorf("seed %d: %s is %q, on the agenda %v", seed, a.id, u.State, w.onAgenda(t, a.id))
			}
		}
	}
	if trouble < 100 {
		t.Errorf("%d attempts failed in all: the store was not as bad as it may be", trouble)
	}
}
