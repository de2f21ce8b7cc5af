package intake_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/due"
	"github.com/clarity-loop/clarity/services/news"
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
		documents, now := store.New(d, (*keys)(w)), func() time.Time { return w.now }
		stages[i] = intake.New(intake.Needs{Store: documents, Windows: &due.Windows{Store: documents, Now: now, Quiet: time.Second}, Objects: vault.New((*blobs)(w), (*keys)(w)), News: news.NewBook(documents, now),
			Queue: &w.asked, Now: now, Log: quietLog()})
	}
	intake.Tighten(stages[1])
	return stages
}

// interrupt has do run once, so many steps from now.
func (w *world) interrupt(steps int, do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.between = nil
	if do == nil {
		return
	}
	at := w.steps + 1 + steps
	w.between = func(n int) {
		if n == at {
			do()
		}
	}
}

// A shift is two replicas that work off uploads, one in the middle of the other.
type shift struct {
	t        *testing.T
	w        *world
	r        *rand.Rand
	replicas [2]*intake.Stage
	all      []arrival
	waiting  []int
	attempts []int
	trouble  int
}

// handle has a replica handle the next upload. At some step of that, the other
// replica handles the one behind it, to its end.
func (s *shift) handle(replica int) {
	s.w.interrupt(s.r.IntN(40), func() {
		if len(s.waiting) > 0 {
			s.one(1 - replica)
		}
	})
	s.one(replica)
	s.w.interrupt(0, nil)
}

func (s *shift) one(replica int) {
	s.t.Helper()
	i := s.waiting[0]
	s.waiting = s.waiting[1:]
	if s.attempts[i]++; s.attempts[i] > 200 {
		s.t.Fatalf("upload %d is never merged", i)
	}
	s.w.stage = s.replicas[replica]
	v := s.w.handle(s.t, s.all[i].id, s.attempts[i])
	if v != "ack" {
		s.trouble++
		s.waiting = append(s.waiting, i)
	}
}

// Uploads in any order, by two replicas at once, over a store that fails, answers
// that it does not know, and lets others be first: at the end it is as if each
// had been merged once, in order, by one.
func TestOverAStoreAsBadAsItsContract(t *testing.T) {
	trouble := 0
	for seed := range uint64(40) {
		all := arrivals(t, seed, 9)
		inOrder := make([]int, len(all))
		for i := range inOrder {
			inOrder[i] = i
		}
		want := merged(t, all, inOrder).state(t)
		w := newWorld()
		w.consent(t, true)
		for _, a := range all {
			w.arrive(t, a)
		}
		hostile := storetest.Hostile((*driver)(w), storetest.Options{Seed: seed, Worst: 0.05, Now: func() time.Time { return w.now }})
		r := rand.New(rand.NewPCG(seed, 3))
		s := &shift{t: t, w: w, r: r, replicas: w.over(hostile), all: all, waiting: r.Perm(len(all)), attempts: make([]int, len(all))}
		for turn := 0; len(s.waiting) > 0; turn++ {
			s.handle(turn % 2)
		}
		trouble += s.trouble
		if diff := cmp.Diff(want, w.state(t)); diff != "" {
			t.Fatalf("seed %d (-calm +hostile):\n%s", seed, diff)
		}
		for _, a := range all {
			if u := w.upload(t, a.id); u.State != record.UploadMerged || !w.looked(t, a.id).Equal(w.now.Add(kept31)) {
				t.Errorf("seed %d: %s is %q, looked at %v", seed, a.id, u.State, w.looked(t, a.id))
			}
		}
	}
	if trouble < 100 {
		t.Errorf("%d attempts failed in all: the store was not as bad as it may be", trouble)
	}
}
