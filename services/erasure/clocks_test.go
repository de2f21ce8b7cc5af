package erasure_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/erasure"
	"github.com/clarity-loop/clarity/services/record/erased"
)

// by is a process of the world whose clock is off by so much, and whose keyring says that
// others know of a destroyed key after the lag.
func (w *world) by(off, lag time.Duration) *erasure.Stage {
	return erasure.New(erasure.Needs{Store: w.store, Keys: lagging{mortalKeys{w}, lag}, Names: w.keys, Blobs: mortalBlobs{w}, Queue: mortalQueue{w}, Relay: nobody{}, Audit: mortalAudit{w},
		Longest: 2 * time.Second, Now: func() time.Time { return w.clock().Add(off) }, Log: slog.New(slog.DiscardHandler)})
}

type lagging struct {
	mortalKeys
	lag time.Duration
}

func (l lagging) Lag() time.Duration { return l.lag }

// until has the stages look every two seconds until the person is erased, and says how
// long that took.
func (w *world) until(limit time.Duration, stages ...*erasure.Stage) (took time.Duration) {
	w.t.Helper()
	for ; !w.account().Value.Erasure.Finished(); took += 2 * time.Second {
		if took > limit {
			w.t.Fatalf("after %v it stands at %+v, due %v", took, w.account().Value.Erasure, w.account().Due.Sub(w.clock()))
		}
		for _, s := range stages {
			if _, err := s.Pass(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
		}
		w.pass(2 * time.Second)
	}
	return took
}

// Whatever the clock said that somebody asked by, or did a step by: nobody waits for it.
func TestAClockThatIsAheadHoldsUpNoErasure(t *testing.T) {
	const off = 1000 * time.Hour
	for name, steps := range map[string]int{"the request": 0, "the key": 1} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.furnish(anna, 1)
			at := w.clock()
			if steps == 0 {
				at = at.Add(off)
			}
			if _, err := w.store.MarkErased(t.Context(), anna, at, 0, "receipt"); err != nil {
				t.Fatal(err)
			}
			if steps > 0 { // and then it dies
				if n, err := w.by(off, 0).Pass(t.Context()); err != nil || n != 1 {
					t.Fatal(n, err)
				}
			}
			if took := w.until(3*time.Minute, w.stage); took > 2*time.Minute {
				t.Errorf("it took %v", took)
			}
			if left := w.left(anna); len(left) > 0 {
				t.Errorf("%v are left", left)
			}
		})
	}
}

// A process that is ahead and dies with an erasure in its hands holds it up no longer.
func TestALeaseByAClockThatIsAheadEnds(t *testing.T) {
	w := newWorld(t)
	w.furnish(anna, 1)
	w.erase(0)
	w.dieAt = w.changes + 2 // behind the claim
	_, _ = w.by(1000*time.Hour, 0).Pass(t.Context())
	w.restart()
	if e := w.account().Value.Erasure; !e.Begun || !w.account().Due.After(w.clock().Add(time.Hour)) {
		t.Fatalf("%+v", e)
	}
	w.until(3*time.Minute, w.stage)
}

// The grace is as long as was said, by a clock that is ahead as by another.
func TestTheGraceByAClockThatIsAhead(t *testing.T) {
	w := newWorld(t)
	w.furnish(anna, 1)
	if _, err := w.store.MarkErased(t.Context(), anna, w.clock().Add(1000*time.Hour), time.Hour, "receipt"); err != nil {
		t.Fatal(err)
	}
	if took := w.until(2*time.Hour, w.stage); took < time.Hour || took > time.Hour+3*time.Minute {
		t.Errorf("it ends after %v", took)
	}
}

// What somebody sealed who did not know yet is written by the time that all is
// removed: whoever destroyed the key, and by whatever clock.
func TestNothingIsRemovedBeforeEverybodyHasWritten(t *testing.T) {
	const lag, longest = 10 * time.Second, 2 * time.Second
	for name, off := range map[string]time.Duration{"right": 0, "slow": -2 * time.Hour, "ahead": 2 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.furnish(anna, 1)
			w.erase(0)
			if off < 0 {
				w.pass(-off) // it is due for the slow one, too
			}
			destroyer, other := w.by(off, lag), w.by(0, lag)
			if n, err := destroyer.Pass(t.Context()); err != nil || n != 1 || w.account().Value.Erasure.Step != erased.Destroyed {
				t.Fatal(n, err)
			}
			destroyed := w.clock()
			for w.account().Value.Erasure.Step == erased.Destroyed {
				if w.clock().Sub(destroyed) > 3*time.Minute {
					t.Fatal("it never goes on")
				}
				w.pass(time.Second)
				if _, err := other.Pass(t.Context()); err != nil {
					t.Fatal(err)
				}
				if len(w.left(anna)) < 2 && w.clock().Sub(destroyed) < lag+longest {
					t.Fatalf("%v after the key was destroyed its documents are removed", w.clock().Sub(destroyed))
				}
			}
		})
	}
}
