package intake_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/store"
)

// analysed takes off what is to be analysed, as if it were done.
func (w *world) analysed(t testing.TB) {
	t.Helper()
	if err := w.store.Agenda.Delete(t.Context(), person, agenda.Errand{Kind: agenda.Windows}.Key(), store.Any); err != nil {
		t.Fatal(err)
	}
}

// Whoever was away has the windows that end while they were, once they are back:
// nobody asked for those while there was nothing later.
func TestASilenceIsAnalysedOnceItIsOver(t *testing.T) {
	tests := map[string]struct {
		before, after []int // days before today
		ends          []int // that are asked for then
		dies          bool  // in between, behind the day's record
	}{
		"off for four days":                          {[]int{5}, []int{0}, []int{4, 3, 2, 1, 0}, false},
		"and cut off while it comes back":            {[]int{5}, []int{0}, []int{4, 3, 2, 1, 0}, true},
		"off for a month":                            {[]int{30}, []int{0}, []int{29, 28, 27, 26, 25, 24, 23, 0}, false},
		"off until yesterday":                        {[]int{1}, []int{0}, []int{0}, false},
		"back with two days that are apart":          {[]int{6}, []int{2, 0}, []int{5, 4, 3, 2, 1, 0}, false},
		"back with an old day, too":                  {[]int{5}, []int{40, 0}, []int{40, 39, 38, 37, 36, 35, 34, 33, 4, 3, 2, 1, 0}, false},
		"more of a day that was there":               {[]int{5, 0}, []int{0}, []int{0}, false},
		"nobody was ever here":                       {nil, []int{0}, []int{0}, false},
		"a day that lies before all that there were": {[]int{5}, []int{20}, []int{20, 19, 18, 17, 16, 15, 14, 13}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, n := newWorld(), 0
			w.consent(t, true)
			send := func(id string, days []int, at time.Time, dies bool) {
				t.Helper()
				var e envelope
				for _, ago := range days {
					n++
					e.Samples = append(e.Samples, beat(n, received.AddDate(0, 0, -ago).Add(-time.Minute), 60, ""))
				}
				if dies {
					e.Deleted = []deletion{{uuid(999), heartRate}}
				}
				w.arrive(t, arrival{id, e.encode(t), received})
				w.now = at
				if dies {
					w.changes, w.dieAt, w.after = 0, 5, true // the plan, the tombstones' two, the chunk, the day's record
				}
				finish(t, w, id)
			}
			for i, ago := range tt.before { // each on its day
				send(fmt.Sprint("before", i), []int{ago}, received.AddDate(0, 0, -ago), false)
			}
			if len(tt.before) > 0 {
				w.analysed(t)
			}
			send("after", tt.after, received, tt.dies)
			today := health.DayOf(health.InstantOf(received), time.UTC)
			var want []string
			for i := len(tt.ends) - 1; i >= 0; i-- {
				want = append(want, (today - health.Day(tt.ends[i])).String())
			}
			if diff := cmp.Diff(want, w.due(t)); diff != "" {
				t.Errorf("windows (-want +got):\n%s", diff)
			}
		})
	}
}

// Another replica merges a sample that is deleted here, and what it asked for is
// analysed, at any step of this one, which then dies at any change: whatever this one
// has changed is analysed again.
func TestNoChangeOfADayIsForgotten(t *testing.T) {
	at := time.Date(2026, 3, 30, 10, 0, 0, 0, time.UTC)
	x := beat(1, at, 60, "")
	day := health.DayOf(health.InstantOf(at), time.UTC)
	adds := arrival{"adds", envelope{Samples: []sample{x}}.encode(t), received}
	other := beat(2, at.AddDate(0, 0, -60), 70, "")
	deletes := arrival{"deletes", envelope{Samples: []sample{other}, Deleted: []deletion{{x.UUID, heartRate}}}.encode(t), received}
	for step := 1; ; step++ {
		came := false
		for dies := 1; dies < 12; dies++ {
			w := newWorld()
			w.stage.Log = quietLog()
			w.consent(t, true)
			w.arrive(t, adds)
			w.arrive(t, deletes)
			seen := int64(0)
			w.steps, w.between = 0, func(n int) {
				if n != step {
					return
				}
				came = true
				w.between = nil
				finish(t, w, adds.id)
				w.analysed(t)
				r, err := w.store.Days.Get(t.Context(), person, day.String())
				if err != nil {
					t.Fatal(err)
				}
				seen = r.Version
				w.dieAt, w.after = w.changes+dies, true
			}
			finish(t, w, deletes.id)
			if !came {
				break
			}
			r, err := w.store.Days.Get(t.Context(), person, day.String())
			if err != nil {
				t.Fatal(err)
			}
			if len(w.chunk(t, r.Value.Chunk).Samples) > 0 {
				t.Fatalf("step %d, change %d: the sample is there", step, dies)
			}
			if due := w.due(t); r.Version != seen && !slices.Contains(due, day.String()) {
				t.Errorf("step %d, change %d: the day changed behind its analysis, asked for is %s", step, dies, due)
			}
		}
		if !came {
			if step < 15 {
				t.Fatalf("only %d steps", step)
			}
			return
		}
	}
}

// An upload that was merged by half, and whose body is damaged by the time it is
// taken up again, fails; what it has changed is analysed as it is.
func TestWhatAFailedUploadHasChangedIsAnalysed(t *testing.T) {
	w := newWorld()
	w.stage.Log = quietLog()
	w.consent(t, true)
	w.arrive(t, arrival{"u1", envelope{Samples: []sample{beat(1, received.Add(-time.Hour), 60, "")}, Deleted: []deletion{{uuid(2), heartRate}}}.encode(t), received})
	w.now = received
	w.changes, w.dieAt, w.after = 0, 5, true // the plan, the tombstones and that they are, the chunk, the day's record
	if v := w.handle(t, "u1", 1); v == "ack" {
		t.Fatal(v)
	}
	w.restart()
	if due := w.due(t); len(due) > 0 {
		t.Fatalf("asked for %v", due)
	}
	for name := range w.objects {
		if strings.HasPrefix(name, blob.PersonPrefix(blob.KindUploads, person)) {
			w.objects[name] = []byte("damaged")
		}
	}
	if v := w.handle(t, "u1", 10); !strings.HasPrefix(v, "dead") || w.upload(t, "u1").State != record.UploadFailed {
		t.Fatalf("%s, the upload is %s", v, w.upload(t, "u1").State)
	}
	today := health.DayOf(health.InstantOf(received), time.UTC)
	if due := w.due(t); !slices.Contains(due, today.String()) {
		t.Errorf("the day has changed, and asked for is %v", due)
	}
	holding, err := w.store.Holding(t.Context(), person)
	if err != nil || holding.Version == 0 || len(holding.Value.Held.Days) != 1 {
		t.Errorf("the digest does not have it: %+v, %v", holding.Value.Held, err)
	}
}

// Who was silent for a while is analysed at once, as they look; who is not, and who
// sends their past, once they are quiet. If the message is lost it comes again.
func TestTheFirstUploadForAWhileIsAnalysedAtOnce(t *testing.T) {
	w := newWorld()
	w.consent(t, true)
	entry := func() store.Record[agenda.Errand] {
		t.Helper()
		r, err := w.store.Agenda.Get(t.Context(), person, agenda.Errand{Kind: agenda.Windows}.Key())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for i, step := range []struct {
		name     string
		after    time.Duration // since the first
		analysed bool          // before it came
		past     bool
		asked    int // messages, with those before
		due      time.Duration
	}{
		{"the first of all", 0, false, false, 1, time.Minute},
		{"one behind it, which is not analysed yet", time.Second, false, false, 1, time.Second},
		{"one behind it, which is", time.Minute, true, false, 1, time.Second},
		{"the first for half an hour", 31 * time.Minute, true, false, 2, time.Minute},
		{"one of the past", 2 * time.Hour, true, true, 2, time.Second},
	} {
		if step.analysed {
			w.analysed(t)
		}
		id := fmt.Sprint("u", i)
		w.now = received.Add(step.after)
		w.arrive(t, arrival{id, envelope{Samples: []sample{beat(i, received.Add(-time.Minute), 60, "")}}.encode(t), w.now})
		if step.past {
			r, err := w.store.Uploads.Get(t.Context(), person, id)
			if err != nil {
				t.Fatal(err)
			}
			r.Value.Historical = true
			if _, err := w.store.Uploads.Put(t.Context(), person, id, r.Version, r.Value); err != nil {
				t.Fatal(err)
			}
		}
		finish(t, w, id)
		if n := len(w.asked.words()); n != step.asked || !entry().Due.Equal(w.now.Add(step.due)) {
			t.Errorf("%s: asked for %d times, due after %v; want %d, %v", step.name, n, entry().Due.Sub(w.now), step.asked, step.due)
		}
	}
}
