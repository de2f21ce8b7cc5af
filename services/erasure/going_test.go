package erasure_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/erasure"
)

// told is the last that a stage has told.
type told struct{ seconds float64 }

func (t *told) Set(seconds float64) { t.seconds = seconds }

// How long an erasure has been under way is told as long as something is left: not in its
// grace, on through every failure, and no longer once nothing is.
func TestHowLongAnErasureHasBeenUnderWayIsTold(t *testing.T) {
	w := newWorld(t)
	w.furnish(anna, 1)
	var going told
	s := erasure.New(erasure.Needs{Store: w.store, Keys: mortalKeys{w}, Names: w.keys, Blobs: mortalBlobs{w}, Queue: mortalQueue{w}, Relay: nobody{}, Audit: mortalAudit{w},
		Longest: 2 * time.Second, Going: &going, Now: w.clock, Log: slog.New(slog.DiscardHandler)})
	look := func(after time.Duration, least, most time.Duration) {
		t.Helper()
		w.pass(after)
		_, _ = s.Pass(t.Context()) // how it ends is told
		if got := time.Duration(going.seconds * float64(time.Second)); got < least || got > most {
			t.Errorf("%v, want %v to %v", got, least, most)
		}
	}
	look(0, 0, 0)
	w.erase(time.Hour)
	look(0, 0, 0)
	look(59*time.Minute, 0, 0)
	w.mu.Lock()
	w.dieAt = w.changes + 3 // behind the mark and the key
	w.mu.Unlock()
	look(2*time.Minute, 0, time.Minute)
	if !w.isDead() {
		t.Fatal("nothing is in its way")
	}
	look(2*time.Hour, 2*time.Hour, 2*time.Hour+time.Minute)
	w.restart()
	for range 3 {
		look(time.Minute, 0, 3*time.Hour)
	}
	if !w.account().Value.Erasure.Finished() {
		t.Fatalf("it is not through: %+v", w.account().Value.Erasure)
	}
	look(time.Minute, 0, 0)
}
