package intake_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/held"
)

// Another worker brings the upload to its end between two steps of the first, for
// every such place, and has less to write: what the first writes behind that would
// come to nobody's attention. It writes nothing.
func TestNothingIsWrittenBehindTheEndOfAnUpload(t *testing.T) {
	at := time.Date(2026, 3, 30, 10, 0, 0, 0, time.UTC)
	x := beat(1, at, 60, "")
	before := arrival{"before", envelope{Samples: []sample{beat(2, at.Add(time.Hour), 61, "")}}.encode(t), received}
	adds := arrival{"adds", envelope{Samples: []sample{x, beat(3, at.AddDate(0, 0, 1), 62, "")}, Deleted: []deletion{{uuid(9), heartRate}}}.encode(t), received}
	deletes := arrival{"deletes", envelope{Deleted: []deletion{{x.UUID, heartRate}}}.encode(t), received}
	for name, end := range map[string]func(*testing.T, *world){
		"it is merged, and a sample of it is deleted": func(t *testing.T, w *world) {
			finish(t, w, deletes.id)
			finish(t, w, adds.id)
		},
		"it fails, as its body is damaged": func(t *testing.T, w *world) {
			for object := range w.objects {
				if strings.HasPrefix(object, blob.PersonPrefix(blob.KindUploads, person)+adds.id) {
					w.objects[object] = []byte("damaged")
				}
			}
			if v := w.handle(t, adds.id, 10); !strings.HasPrefix(v, "dead") {
				t.Fatal(v)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for step := 1; ; step++ {
				w, came := newWorld(), false
				w.stage.Log = quietLog()
				w.consent(t, true)
				for _, a := range []arrival{before, adds, deletes} {
					w.arrive(t, a)
				}
				finish(t, w, before.id)
				w.steps, w.between = 0, func(n int) {
					if n == step {
						came = true // once: the steps go on being counted
						end(t, w)
					}
				}
				w.handle(t, adds.id, 1)
				if !came {
					if step < 15 {
						t.Fatalf("only %d steps", step)
					}
					return
				}
				w.holds(t, step)
				if w.upload(t, adds.id).State == record.UploadMerged && w.has(t, x, at) {
					t.Errorf("step %d: the sample is there, which is deleted", step)
				}
			}
		})
	}
}

// A second call begins behind a deletion of what the upload adds, at any step of the
// first, and stands still at any of its own while the first takes one step more; then it
// goes on to its end. The sample stays deleted, and the digest is of the days.
func TestASecondCallHasTheFirstWriteNoDay(t *testing.T) {
	at := time.Date(2026, 3, 30, 10, 0, 0, 0, time.UTC)
	x := beat(1, at, 60, "")
	before := arrival{"before", envelope{Samples: []sample{beat(2, at.Add(time.Hour), 61, "")}}.encode(t), received}
	adds := arrival{"adds", envelope{Samples: []sample{x}, Deleted: []deletion{{uuid(9), heartRate}}}.encode(t), received}
	deletes := arrival{"deletes", envelope{Deleted: []deletion{{x.UUID, heartRate}}}.encode(t), received}
	steps := 0
	for first, came := 1, true; came; first++ {
		came = false
		for second, stood := 1, true; stood; second++ {
			w := newWorld()
			w.stage.Log = quietLog()
			w.consent(t, true)
			for _, a := range []arrival{before, adds, deletes} {
				w.arrive(t, a)
			}
			finish(t, w, before.id)
			stands, goes, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
			goOn, begun := sync.OnceFunc(func() { close(goes); <-done }), 0
			w.steps, w.between = 0, func(n int) {
				switch {
				case n == first:
					came = true
					finish(t, w, deletes.id)
					begun = w.steps
					go func() {
						defer close(done)
						w.handle(t, adds.id, 1)
					}()
					select {
					case <-stands:
					case <-done:
						begun = 0 // what follows are steps of the first
					}
				case begun > 0 && n == begun+second:
					close(stands)
					<-goes
				case begun > 0 && n == begun+second+1: // of the first
					goOn()
				}
			}
			w.handle(t, adds.id, 1)
			if !came {
				break
			}
			select {
			case <-stands:
			default:
				stood = false
			}
			w.between = nil
			goOn() // where the first came to its end by that step
			finish(t, w, adds.id)
			w.holds(t, first)
			if w.has(t, x, at) {
				t.Errorf("steps %d and %d: the sample is there, which is deleted", first, second)
			}
			steps++
		}
	}
	if steps < 150 {
		t.Fatalf("only %d pairs of steps", steps)
	}
}

// holds fails the test where the digest of what is held is not of the records.
func (w *world) holds(t *testing.T, step int) {
	t.Helper()
	holding, err := w.store.Holding(t.Context(), person)
	if err != nil {
		t.Fatal(err)
	}
	truth, err := w.store.Digest(t.Context(), person)
	if err != nil {
		t.Fatal(err)
	}
	for i := range truth.Days { // one that was written with the digest has no version there
		if there, _ := holding.Value.Held.Find(truth.Days[i].Day); there.Version == held.Unread {
			truth.Days[i].Version = held.Unread
		}
	}
	if diff := cmp.Diff(truth, holding.Value.Held); diff != "" {
		t.Errorf("step %d: the digest is not of the records (-records +digest):\n%s", step, diff)
	}
}

// has says whether the sample is in its day.
func (w *world) has(t *testing.T, s sample, at time.Time) bool {
	t.Helper()
	r, err := w.store.Days.Get(t.Context(), person, health.DayOf(health.InstantOf(at), time.UTC).String())
	if err != nil {
		t.Fatal(err)
	}
	for _, there := range w.chunk(t, r.Value.Chunk).Samples {
		if there.UUID.String() == s.UUID {
			return true
		}
	}
	return false
}
