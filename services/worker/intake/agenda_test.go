package intake_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// looked is when somebody looks at the upload.
func (w *world) looked(t testing.TB, id string) time.Time {
	t.Helper()
	r, err := w.store.Uploads.Get(t.Context(), person, id)
	if err != nil {
		t.Fatal(err)
	}
	return r.Due
}

// within is in what time somebody looks at an upload that has just come to the state.
func within(state record.UploadState) time.Duration {
	return map[record.UploadState]time.Duration{record.UploadReceived: 5 * time.Minute, record.UploadHeld: 88 * 24 * time.Hour}[state]
}

// kept31 is how long an upload is kept that has come to its end.
const kept31 = 31 * 24 * time.Hour

// Whatever dies where: an upload is looked at soon as long as it is received, when it
// has been held for long while it waits for consent, and when it has served its time.
func TestAnUploadIsLookedAtUntilItIsDone(t *testing.T) {
	good := envelope{Samples: []sample{beat(1, received.Add(-time.Hour), 61, "")}, Cursor: map[string]string{heartRate: "a"}}
	for name, prepare := range map[string]func(w *world){
		"merged": func(*world) {},
		"held":   func(w *world) { w.consent(t, false) },
		"failed": func(w *world) { clear(w.objects) },
	} {
		t.Run(name, func(t *testing.T) {
			for at := 1; ; at++ {
				if at > 30 {
					t.Fatal("it never ends")
				}
				w, id := one(t, good)
				prepare(w)
				w.dieAt, w.after = w.changes+at, at%2 == 0
				w.handle(t, id, 10)
				died := w.dead
				w.restart()
				if state, due := w.upload(t, id).State, w.looked(t, id); due.IsZero() || due.After(w.now.Add(cmp.Or(within(state), kept31))) {
					t.Fatalf("dead at change %d: state %q, looked at %v", at, state, due)
				}
				w.handle(t, id, 11)
				if state, due := w.upload(t, id).State, w.looked(t, id); string(state) != name || !due.Equal(w.now.Add(cmp.Or(within(state), kept31))) {
					t.Fatalf("at the end: state %q, looked at %v", state, due)
				}
				if !died {
					return
				}
			}
		})
	}
}

// A body that is damaged once some of its days are written: the upload fails, and what
// it wrote is analysed and known of all the same, wherever the attempt before died.
func TestWhatAFailedUploadHasWrittenIsAnalysed(t *testing.T) {
	wrote := 0
	var long envelope // of more days than are written in one batch
	for n := range 20 {
		long.Samples = append(long.Samples, beat(n+1, received.Add(-time.Duration(24*n+1)*time.Hour), 61, ""))
	}
	for at := 1; at < 40; at += 3 {
		w, id := one(t, long)
		w.dieAt, w.after = w.changes+at, at%2 == 0
		w.handle(t, id, 1)
		w.restart()
		days, err := w.store.Days.List(t.Context(), person, store.Query{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		maps.DeleteFunc(w.objects, func(name string, _ []byte) bool { return strings.HasPrefix(name, "uploads/") })
		w.handle(t, id, 10)
		if w.upload(t, id).State != record.UploadFailed {
			continue // it was merged before
		}
		wrote += len(days)
		asked, err := w.windows.Asked(t.Context(), person)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range days {
			if day, err := health.ParseDay(d.Key); err != nil || !slices.Contains(asked.Ends(), day) {
				t.Errorf("dead at change %d: %s is written, and %v are to be analysed (%v)", at, d.Key, asked.Ends(), err)
			}
		}
		holding, err := w.store.Holding(t.Context(), person)
		if err != nil {
			t.Fatal(err)
		}
		truth, err := w.store.Digest(t.Context(), person)
		if diff := gocmp.Diff(truth.Days, holding.Value.Held.Days); diff != "" || err != nil {
			t.Errorf("dead at change %d: the digest (-records +digest):\n%s%v", at, diff, err)
		}
	}
	if wrote == 0 {
		t.Error("no attempt wrote a day and died")
	}
}

// Who does not agree again for 90 days has the upload fail, of which their devices are
// told, and whose body goes: whatever dies where, and no sooner. It is no dead letter.
func TestAnUploadIsHeldForSoLong(t *testing.T) {
	for at := 1; ; at++ {
		w, id := one(t, envelope{Samples: []sample{beat(1, received, 61, "")}})
		w.consent(t, false)
		if v := w.handle(t, id, 1); v != "ack" {
			t.Fatal(v)
		}
		due := w.looked(t, id)
		if !due.Equal(w.now.Add(within(record.UploadHeld))) {
			t.Fatalf("somebody looks at %v", due)
		}
		w.now = due.Add(-time.Second)
		if v := w.handle(t, id, 1); v != "ack" || w.upload(t, id).State != record.UploadHeld {
			t.Fatalf("a second too early: %s, %q", v, w.upload(t, id).State)
		}
		w.now = due
		for range 2 {
			if v := w.handle(t, id, 1); v != "ack" || w.upload(t, id).State != record.UploadHeld {
				t.Fatalf("by one look: %s, %q", v, w.upload(t, id).State)
			}
		}
		if due = w.looked(t, id); !due.Equal(w.now.Add(48 * time.Hour)) {
			t.Fatalf("somebody looks again at %v", due)
		}
		w.now = due
		w.dieAt, w.after = w.changes+at, at%2 == 0
		w.handle(t, id, 1)
		died := w.dead
		w.restart()
		for range 2 {
			if v := w.handle(t, id, 2); v != "ack" {
				t.Errorf("verdict %q", v)
			}
		}
		if u := w.upload(t, id); u.State != record.UploadFailed || u.Reason != "consent_withdrawn" || !w.looked(t, id).Equal(due.Add(kept31)) {
			t.Fatalf("dead at change %d: %q, %q, looked at %v", at, u.State, u.Reason, w.looked(t, id))
		}
		if diff := gocmp.Diff([]string{"upload.held u1 held", "upload.failed u1 failed"}, w.told(t)); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if !died {
			return
		}
	}
}

// A clock that is far ahead for a moment ends nothing that is held: who agrees once it is
// right has it merged, and who does not has it held for as long as was said.
func TestAClockAheadForAMomentEndsNothingThatIsHeld(t *testing.T) {
	w, id := one(t, envelope{Samples: []sample{beat(1, received, 61, "")}})
	w.consent(t, false)
	w.handle(t, id, 1)
	over, right := w.looked(t, id), w.now
	for _, ahead := range []time.Duration{100 * 24 * time.Hour, 100*24*time.Hour + time.Hour} {
		w.now = right.Add(ahead)
		for attempt := range 3 {
			if v := w.handle(t, id, attempt+1); v != "ack" || w.upload(t, id).State != record.UploadHeld {
				t.Fatalf("%v ahead: %s, %q", ahead, v, w.upload(t, id).State)
			}
			w.now = w.now.Add(time.Second)
		}
	}
	w.now = right
	if v := w.handle(t, id, 1); v != "ack" || !w.looked(t, id).Equal(over) {
		t.Errorf("the clock is right: %s, somebody looks at %v, want %v", v, w.looked(t, id), over)
	}
	w.consent(t, true)
	if v := w.handle(t, id, 1); v != "ack" || w.upload(t, id).State != record.UploadMerged {
		t.Errorf("who agreed: %s, %q", v, w.upload(t, id).State)
	}
}

// What was held, taken up as its person agreed, and asked for when they did no more, is
// held as before: it is looked at when its time is over, and their devices are told of
// nothing. A look whose clock is ahead of the worker's is not met by another at once.
func TestAnUploadThatWasAskedForInVainIsHeldOn(t *testing.T) {
	w, id := one(t, envelope{Samples: []sample{beat(1, received, 61, "")}})
	w.consent(t, false)
	w.handle(t, id, 1)
	over := w.looked(t, id)
	ask := func(at time.Time) (due time.Time) {
		t.Helper()
		r, err := w.store.Uploads.Get(t.Context(), person, id)
		if err != nil {
			t.Fatal(err)
		}
		r.Value.Asked++
		due = at.Add(5 * time.Minute)
		if _, err := w.store.Batch(t.Context(), person, w.store.Uploads.ToPut(id, r.Version, r.Value).At(due)); err != nil {
			t.Fatal(err)
		}
		return due
	}
	w.now = w.now.Add(time.Hour)
	ask(w.now)
	for range 2 {
		if v := w.handle(t, id, 1); v != "ack" || !w.looked(t, id).Equal(over) {
			t.Errorf("%s, somebody looks at %v, want %v", v, w.looked(t, id), over)
		}
	}
	if diff := gocmp.Diff([]string{"upload.held u1 held"}, w.told(t)); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	w.now = over.Add(-time.Minute)
	due := ask(over)
	if v := w.handle(t, id, 1); v != "ack" || !w.looked(t, id).Equal(due) {
		t.Errorf("a minute before its time, by the worker's clock: %s, somebody looks at %v, want %v", v, w.looked(t, id), due)
	}
}

// What was held and is taken up is looked at soon, wherever the process dies: it is an
// upload like another by then, and waits for nobody's consent.
func TestAnUploadThatIsTakenUpIsLookedAtSoon(t *testing.T) {
	for at, seen := 1, false; ; at++ { // what deletes is merged in more than one step
		w, id := one(t, envelope{Samples: []sample{beat(1, received, 61, "")}, Deleted: []deletion{{uuid(9), heartRate}}})
		w.consent(t, false)
		w.handle(t, id, 1)
		w.consent(t, true)
		w.dieAt, w.after = w.changes+(at+1)/2, at%2 == 0
		w.handle(t, id, 1)
		died := w.dead
		w.restart()
		if u := w.upload(t, id); u.State == record.UploadReceived {
			seen = true
			if due := w.looked(t, id); due.IsZero() || due.After(w.now.Add(within(u.State))) {
				t.Fatalf("dead at change %d: somebody looks at %v", at, due)
			}
		}
		if !died {
			if !seen {
				t.Error("it was never taken up and not merged")
			}
			return
		}
	}
}

// Consent is given at any moment of a handling that began without. Whoever gives
// it has what is held taken up; what is not held yet must not become so.
func TestConsentGivenWhileAnUploadIsBeingHeld(t *testing.T) {
	for step := 1; ; step++ {
		w, id := one(t, envelope{Samples: []sample{beat(1, received.Add(-time.Hour), 61, "")}})
		w.consent(t, false)
		reached, resumed := false, false
		w.steps, w.between = 0, func(n int) {
			if n != step {
				return
			}
			reached, w.between = true, nil
			w.consent(t, true)
			resumed = w.upload(t, id).State == record.UploadHeld
		}
		verdict := w.handle(t, id, 1)
		if w.between = nil; !reached {
			if step < 4 {
				t.Fatalf("a handling has %d steps: nothing to see", step)
			}
			return
		}
		if resumed || strings.HasPrefix(verdict, "postpone") {
			w.handle(t, id, 2)
		}
		if state := w.upload(t, id).State; state != record.UploadMerged {
			t.Fatalf("consent at step %d, verdict %q: the upload stays %q", step, verdict, state)
		}
	}
}

// A phone that makes up types has the oldest of its cursors forgotten: one
// document has room for what a phone can have.
func TestCursorsAreBounded(t *testing.T) {
	w := newWorld()
	w.consent(t, true)
	merge := func(i int, cursor map[string]string) {
		t.Helper()
		id := fmt.Sprint("upload-", i)
		w.arrive(t, arrival{id, envelope{Cursor: cursor}.encode(t), received.Add(time.Duration(i) * time.Minute)})
		if v := w.handle(t, id, 1); v != "ack" {
			t.Fatal(v)
		}
	}
	merge(0, map[string]string{"HKOldest": "a"})
	for i := 1; i <= 20; i++ {
		cursor := map[string]string{"HKNewest": fmt.Sprint("anchor-", i)}
		for k := range 60 {
			cursor[fmt.Sprintf("HKMadeUp%d-%d", i, k)] = strings.Repeat("<", 900)
		}
		merge(i, cursor)
	}
	got := w.state(t).Cursors
	if _, there := got["HKOldest"]; there || len(got) > 512 || len(got) < 20 {
		t.Errorf("%d cursors are kept, the oldest %v", len(got), there)
	}
	if diff := gocmp.Diff("anchor-20", got["HKNewest"].Anchor); diff != "" {
		t.Errorf("the newest (-want +got):\n%s", diff)
	}
	for key, doc := range w.docs {
		if len(doc.Data) > store.MaxDocument {
			t.Errorf("%s is %d bytes", key.Collection, len(doc.Data))
		}
	}
}
