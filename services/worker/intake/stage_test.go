package intake_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload/content"
	"github.com/clarity-loop/clarity/services/queue"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/record/agenda"
	"github.com/clarity-loop/clarity/services/stage/stagetest"
	"github.com/clarity-loop/clarity/services/store"
)

// received is when the uploads of these tests came in: 10:00 in Berlin; the
// world's clock is a day later.
var received = time.Date(2026, 4, 1, 8, 0, 0, 0, time.UTC)

func one(t testing.TB, e envelope) (*world, string) {
	t.Helper()
	w := newWorld()
	w.consent(t, true)
	w.arrive(t, arrival{"u1", e.encode(t), received})
	return w, "u1"
}

func TestWhatBecomesOfAnUpload(t *testing.T) {
	good := envelope{Samples: []sample{beat(1, received.Add(-time.Hour), 61, "")}}
	tests := map[string]struct {
		world   func(w *world)
		verdict string
		state   record.UploadState
		reason  string
	}{
		"it is merged":               {func(*world) {}, "ack", record.UploadMerged, ""},
		"without consent it is held": {func(w *world) { w.consent(t, false) }, "ack", record.UploadHeld, ""},
		"of an erased account it is nothing": {func(w *world) {
			if _, err := w.store.MarkErased(t.Context(), person, received, 0, "receipt"); err != nil {
				t.Fatal(err)
			}
		}, "ack", record.UploadReceived, ""},
		"a body that is gone is a failure": {func(w *world) { clear(w.objects) },
			"dead: body_gone", record.UploadFailed, "body_gone"},
		"a body of another name is a failure": {func(w *world) {
			for name, sealed := range w.objects {
				w.objects[name] = []byte(strings.Replace(string(sealed), "u1", "u2", 1))
			}
		}, "dead: body_damaged", record.UploadFailed, "body_damaged"},
		"a body that is no upload is a failure": {func(w *world) {
			for name, sealed := range w.objects {
				w.objects[name] = sealed[:len(sealed)-1]
			}
		}, "dead: body_unreadable", record.UploadFailed, "body_unreadable"},
		"a disk that fails is tried again": {func(w *world) { w.dieAt = w.changes + 1 }, "retry: a backend is unavailable", record.UploadReceived, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, id := one(t, good)
			tt.world(w)
			if got := w.handle(t, id, 10); got != tt.verdict {
				t.Errorf("verdict %q, want %q", got, tt.verdict)
			}
			w.dead = false
			if u := w.upload(t, id); u.State != tt.state || u.Reason != tt.reason {
				t.Errorf("state %q, reason %q; want %q, %q", u.State, u.Reason, tt.state, tt.reason)
			}
			if tt.state != record.UploadMerged && len(w.state(t).Days) != 0 {
				t.Errorf("it left %d days", len(w.state(t).Days))
			}
			told := map[record.UploadState]string{record.UploadMerged: "upload.merged u1 merged", record.UploadFailed: "upload.failed u1 failed", record.UploadHeld: "upload.held u1 held"}[tt.state]
			if diff := cmp.Diff(told, strings.Join(w.told(t), ", ")); diff != "" {
				t.Errorf("the devices are told (-want +got):\n%s", diff)
			}
			if logged := w.logs.String(); strings.Contains(logged, "anna") || strings.Contains(logged, uuid(1)) || strings.Contains(logged, "61") {
				t.Errorf("the log names the person:\n%s", logged)
			}
			if tt.state == record.UploadFailed { // and again, after a crash
				if got := w.handle(t, id, 11); got != tt.verdict || len(w.told(t)) != 1 {
					t.Errorf("again: %q, want %q; told %v", got, tt.verdict, w.told(t))
				}
			}
		})
	}
}

// A body that is not there, or not as it was, is waited for: its disk may be away. One
// that was given up is taken up again with its message.
func TestABodyThatIsAwayIsWaitedFor(t *testing.T) {
	for name, spoil := range map[string]func(w *world){
		"gone": func(w *world) { clear(w.objects) },
		"damaged": func(w *world) {
			for name, sealed := range w.objects {
				w.objects[name] = []byte(strings.Replace(string(sealed), "u1", "u2", 1))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, id := one(t, envelope{Samples: []sample{beat(1, received.Add(-time.Hour), 61, "")}})
			whole := maps.Clone(w.objects)
			spoil(w)
			for attempt := 1; attempt < 10; attempt++ {
				if got := w.handle(t, id, attempt); !strings.HasPrefix(got, "postpone: ") || w.upload(t, id).State != record.UploadReceived {
					t.Fatalf("attempt %d: %q, %+v", attempt, got, w.upload(t, id))
				}
			}
			if got := w.handle(t, id, 10); got != "dead: body_"+name || w.upload(t, id).State != record.UploadFailed {
				t.Fatalf("at last: %q, %+v", got, w.upload(t, id))
			}
			maps.Copy(w.objects, whole)
			if got, u := w.handle(t, id, 1), w.upload(t, id); got != "ack" || u.State != record.UploadMerged || u.Reason != "" {
				t.Errorf("taken up again: %q, %q, %q", got, u.State, u.Reason)
			}
			if diff := cmp.Diff([]string{"upload.failed u1 failed", "upload.merged u1 merged"}, w.told(t)); diff != "" {
				t.Errorf("the devices are told (-want +got):\n%s", diff)
			}
		})
	}
}

// told is what the person's devices are told, in order.
func (w *world) told(t testing.TB) (events []string) {
	t.Helper()
	pages, err := w.store.Events.List(t.Context(), person, store.Query{Limit: store.MaxLimit})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		for _, e := range p.Value.All() {
			events = append(events, string(e.Kind)+" "+e.Ref+" "+e.Version)
		}
	}
	return events
}

func TestADestroyedKeyEndsTheWork(t *testing.T) {
	w, id := one(t, envelope{})
	w.erased = true
	if got := w.handle(t, id, 1); got != "ack" || len(w.told(t)) != 0 {
		t.Errorf("verdict %q, told %v", got, w.told(t))
	}
}

func TestMessagesThatAreNone(t *testing.T) {
	w := newWorld()
	for _, body := range []string{"", "{", `{}`, `{"uid":"a"}`, `{"uploadId":"b"}`, `[]`} {
		if got := stagetest.Word(w.stage.Handle(t.Context(), queue.Delivery{Message: queue.Message{Body: []byte(body)}})); !strings.HasPrefix(got, "dead") {
			t.Errorf("%q: %s", body, got)
		}
	}
	w.consent(t, true)
	if got := w.handle(t, "nowhere", 1); got != "ack" {
		t.Errorf("an upload without a record: %s", got)
	}
}

func TestAHeldUploadIsMergedOnceThereIsConsent(t *testing.T) {
	w, id := one(t, envelope{Samples: []sample{beat(1, received, 61, "")}})
	w.consent(t, false)
	for attempt := 1; attempt <= 2; attempt++ {
		if v := w.handle(t, id, attempt); v != "ack" || len(w.told(t)) != 1 {
			t.Fatalf("attempt %d: %s, told %v", attempt, v, w.told(t))
		}
	}
	if v := w.handle(t, id, 1); v != "ack" || len(w.told(t)) != 1 {
		t.Fatalf("another message: %s, told %v", v, w.told(t))
	}
	w.consent(t, true)
	if v := w.handle(t, id, 1); v != "ack" {
		t.Fatal(v)
	}
	if u := w.upload(t, id); u.State != record.UploadMerged || u.Added != 1 {
		t.Errorf("upload is %+v", u)
	}
}

func TestTheRecordSaysWhatWasFound(t *testing.T) {
	w, _ := one(t, envelope{Samples: []sample{beat(1, received, 61, ""), beat(2, received.AddDate(0, 0, -1), 62, ""), beat(2, received.AddDate(0, 0, -1), 62, "")}})
	w.arrive(t, arrival{"u2", envelope{Samples: []sample{beat(1, received, 61, ""), beat(3, received, 63, "")}, Deleted: []deletion{{uuid(2), heartRate}, {uuid(7), heartRate}}}.encode(t), received})
	w.arrive(t, arrival{"u3", envelope{Samples: []sample{beat(1, received, 61, "")}, Deleted: []deletion{{uuid(7), heartRate}}}.encode(t), received})
	april1, _ := health.ParseDay("2026-04-01")
	want := map[string]record.Upload{
		"u1": {Added: 2, Duplicates: 1, Days: []health.Day{april1 - 1, april1}},
		"u2": {Added: 1, Duplicates: 1, Deleted: 2, Days: []health.Day{april1 - 1, april1}},
		"u3": {Duplicates: 1},
	}
	for _, id := range []string{"u1", "u2", "u3"} {
		if v := w.handle(t, id, 1); v != "ack" {
			t.Fatal(v)
		}
		u := w.upload(t, id)
		got := record.Upload{Added: u.Added, Duplicates: u.Duplicates, Deleted: u.Deleted, Days: u.Days}
		if diff := cmp.Diff(want[id], got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
		if !u.MergedAt.Equal(w.now) {
			t.Errorf("%s merged at %v", id, u.MergedAt)
		}
	}
}

func TestNothingNewWritesNoDay(t *testing.T) {
	w, id := one(t, envelope{Samples: []sample{beat(1, received, 61, "")}})
	w.arrive(t, arrival{"twin", envelope{Samples: []sample{beat(1, received, 61, "")}}.encode(t), received})
	if v := w.handle(t, id, 1); v != "ack" {
		t.Fatal(v)
	}
	before, first := w.state(t), w.due(t)
	if err := w.store.Agenda.Delete(t.Context(), person, agenda.Errand{Kind: agenda.Windows}.Key(), store.Any); err != nil {
		t.Fatal(err)
	}
	if v := w.handle(t, "twin", 1); v != "ack" {
		t.Fatal(v)
	}
	if diff := cmp.Diff(before, w.state(t)); diff != "" {
		t.Errorf("the twin changed something:\n%s", diff)
	}
	if due := w.due(t); len(due) != 0 || len(first) == 0 {
		t.Errorf("%v are analysed for the twin, %v for the first", due, first)
	}
	if told := w.told(t); len(told) != 2 {
		t.Errorf("the devices are told %v", told)
	}
}

func TestEveryWindowWithATouchedDayIsAskedFor(t *testing.T) {
	tests := map[string]struct {
		days []int // before today
		ends []int
	}{
		"today: its own window":             {[]int{0}, []int{0}},
		"an old day: every window it is in": {[]int{30}, []int{30, 29, 28, 27, 26, 25, 24, 23}},
		"two days share their windows":      {[]int{3, 1}, []int{3, 2, 1, 0}},
		"a phone whose clock is ahead":      {[]int{-1}, []int{-1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var e envelope
			for i, ago := range tt.days {
				e.Samples = append(e.Samples, beat(i, received.AddDate(0, 0, -ago).Add(-time.Minute), 60, ""))
			}
			w, id := one(t, e)
			w.now = received
			if v := w.handle(t, id, 1); v != "ack" {
				t.Fatal(v)
			}
			today := health.DayOf(health.InstantOf(received), time.UTC)
			var want []string
			for _, ago := range slices.Backward(tt.ends) {
				want = append(want, (today - health.Day(ago)).String())
			}
			if diff := cmp.Diff(want, w.due(t)); diff != "" {
				t.Errorf("windows (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"analyses " + person + ` {"uid":"` + person + `","asked":1}`}, w.asked.words()); diff != "" {
				t.Errorf("they are asked for (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"upload.merged u1 merged"}, w.told(t)); diff != "" {
				t.Errorf("the devices are told (-want +got):\n%s", diff)
			}
		})
	}
}

// The window before a day is asked for where something of the day begins in it: by
// the clock of most of its own samples. It is no longer where that is gone.
func TestADayReachesIntoTheWindowBeforeIt(t *testing.T) {
	noon := time.Date(2026, 3, 30, 12, 0, 0, 0, time.UTC)
	midnight := noon.Truncate(24 * time.Hour)
	tests := map[string]struct {
		there, comes []sample
		deleted      []deletion
		want         bool
	}{
		"the same clock":             {there: []sample{beat(1, noon.AddDate(0, 0, -1), 60, "UTC")}, comes: []sample{beat(2, midnight, 60, "UTC")}},
		"in an aeroplane eastwards":  {there: []sample{beat(1, noon.AddDate(0, 0, -1), 60, "UTC")}, comes: []sample{beat(2, midnight.Add(-time.Minute), 60, "Asia/Tokyo")}, want: true},
		"nothing but what comes":     {comes: []sample{beat(2, midnight.Add(-time.Minute), 60, "Asia/Tokyo")}, want: true},
		"westwards":                  {there: []sample{beat(1, noon.AddDate(0, 0, -1), 60, "Asia/Tokyo")}, comes: []sample{beat(2, noon, 60, "UTC")}},
		"what reached in is deleted": {there: []sample{beat(1, noon.AddDate(0, 0, -1), 60, "UTC"), beat(2, midnight.Add(-time.Minute), 60, "Asia/Tokyo")}, deleted: []deletion{{uuid(2), heartRate}}, want: true},
		"what did not is deleted":    {there: []sample{beat(1, noon.AddDate(0, 0, -1), 60, "UTC"), beat(2, midnight, 60, "UTC")}, deleted: []deletion{{uuid(2), heartRate}}},
		"more of one that reached":   {there: []sample{beat(1, noon.AddDate(0, 0, -1), 60, "UTC"), beat(2, midnight.Add(-time.Minute), 60, "Asia/Tokyo")}, comes: []sample{beat(3, noon.Add(-5*time.Hour), 60, "Asia/Tokyo")}, want: true},
	}
	before := health.DayOf(health.InstantOf(noon), time.UTC) - 1
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.consent(t, true)
			for i, e := range []envelope{{Samples: tt.there}, {Samples: tt.comes, Deleted: tt.deleted}} {
				if len(e.Samples)+len(e.Deleted) == 0 {
					continue
				}
				w.analysed(t)
				w.arrive(t, arrival{fmt.Sprint("u", i), e.encode(t), received})
				finish(t, w, fmt.Sprint("u", i))
			}
			if due := w.due(t); slices.Contains(due, before.String()) != tt.want {
				t.Errorf("asked for %v: the window of %v among them is %t, want %t", due, before, !tt.want, tt.want)
			}
		})
	}
}

// An hour of what nothing is measured of asks for no analysis: the digest says that
// the day gives the same. The first of a day does, since its window is another; so
// does the deletion of all that a day has.
func TestWhatNothingIsMeasuredOfAsksForNothing(t *testing.T) {
	w := newWorld()
	w.consent(t, true)
	at := received.Add(-2 * time.Hour)
	drunk := func(n int, at time.Time) sample {
		s := beat(n, at, 250, "")
		s.Type, s.Unit = water, "mL"
		return s
	}
	today := health.DayOf(health.InstantOf(received), time.UTC)
	input := ""
	for i, step := range []struct {
		what  string
		e     envelope
		asked bool
		same  bool // what is measured of the day is what it was
	}{
		{"the first of a day", envelope{Samples: []sample{drunk(1, at)}}, true, false},
		{"more of it", envelope{Samples: []sample{drunk(2, at.Add(time.Minute))}}, false, true},
		{"a beat", envelope{Samples: []sample{beat(3, at, 60, "")}}, true, false},
		{"more beside it", envelope{Samples: []sample{drunk(4, at.Add(-time.Minute)), drunk(5, at.Add(time.Hour))}}, false, true},
		{"that again, and less", envelope{Samples: []sample{drunk(4, at.Add(-time.Minute))}, Deleted: []deletion{{uuid(5), water}}}, false, true},
		{"another beat", envelope{Samples: []sample{beat(6, at.Add(time.Second), 61, "")}}, true, false},
		{"the beats are deleted", envelope{Deleted: []deletion{{uuid(3), heartRate}, {uuid(6), heartRate}}}, true, false},
		{"all of it is deleted", envelope{Deleted: []deletion{{uuid(1), water}, {uuid(2), water}, {uuid(4), water}}}, true, false},
	} {
		id := fmt.Sprint("u", i)
		w.analysed(t)
		w.arrive(t, arrival{id, step.e.encode(t), received.Add(time.Duration(i) * time.Minute)})
		finish(t, w, id)
		if due := w.due(t); slices.Contains(due, today.String()) != step.asked {
			t.Errorf("%s: asked for %v", step.what, due)
		}
		holding, err := w.store.Holding(t.Context(), person)
		if err != nil {
			t.Fatal(err)
		}
		day, _ := holding.Value.Held.Find(today)
		if (day.Input == input) != step.same {
			t.Errorf("%s: measured is %q, and was %q", step.what, day.Input, input)
		}
		input = day.Input
	}
}

const water = "HKQuantityTypeIdentifierDietaryWater"

func TestAnchorsGoForwardOnly(t *testing.T) {
	w := newWorld()
	w.consent(t, true)
	odd := "a type/with bytes a key cannot hold"
	for i, minute := range []int{5, 9, 7} {
		e := envelope{Samples: []sample{beat(i, received.Add(time.Duration(-i)*time.Hour), 60, "")}, Cursor: map[string]string{heartRate: fmt.Sprint("anchor", minute)}}
		if i == 0 {
			e.Cursor[odd], e.Cursor[strings.Repeat("ü", 400)] = "x", "y"
		}
		id := fmt.Sprint("u", minute)
		w.arrive(t, arrival{id, e.encode(t), received.Add(time.Duration(minute) * time.Minute)})
		if v := w.handle(t, id, 1); v != "ack" {
			t.Fatal(v)
		}
	}
	got := w.state(t).Cursors
	want := record.Cursor{Anchor: "anchor9", UploadID: "u9", Received: received.Add(9 * time.Minute), LastSeen: health.InstantOf(received)}
	if diff := cmp.Diff(want, got[heartRate]); diff != "" {
		t.Errorf("cursor (-want +got):\n%s", diff)
	}
	if n := len(got); n != 3 || got[odd].Anchor != "x" {
		t.Errorf("%d cursors, want one a type", n)
	}
}

// An unknown type may end when it likes; what was seen last was seen by now.
func TestNothingIsSeenBeforeItIs(t *testing.T) {
	w := newWorld()
	w.consent(t, true)
	before := record.Cursors{Types: map[string]record.Cursor{"HKOlder": {Anchor: "a", LastSeen: health.InstantOf(received.AddDate(150, 0, 0))}}}
	synced, err := w.store.Synced(t.Context(), person)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Cursors.Put(t.Context(), person, synced.Key, synced.Version, before); err != nil {
		t.Fatal(err)
	}
	at := received.Format(time.RFC3339)
	body := fmt.Appendf(nil, `{"schema":"clarity.upload/1","installationId":"i","timeZone":"Europe/Berlin","samples":[{"uuid":%q,"type":"HKLong","start":%q,"end":"2200-01-01T00:00:00Z"},`+
		`{"uuid":%q,"type":"HKOlder","start":%q,"end":%q}],"cursor":{"HKLong":"b","HKOlder":"c"}}`, uuid(1), at, uuid(2), at, at)
	w.arrive(t, arrival{"u1", body, received})
	if v := w.handle(t, "u1", 1); v != "ack" {
		t.Fatal(v)
	}
	for _, kind := range []string{"HKLong", "HKOlder"} {
		if c := w.state(t).Cursors[kind]; c.LastSeen != health.InstantOf(received) {
			t.Errorf("%s was last seen %v", kind, c.LastSeen.Time())
		}
	}
}

func TestAFullDayCostsNoOther(t *testing.T) {
	w, id := one(t, envelope{Samples: []sample{beat(1, received, 61, ""), beat(2, received, 62, "")}})
	if v := w.handle(t, id, 1); v != "ack" {
		t.Fatal(v)
	}
	// The day grows by samples of an unknown type with much text, as a second upload
	// of as much has no room for. With that come a day, a deletion and a cursor.
	april1, _ := health.ParseDay("2026-04-01")
	others := encode(t, beat(3, received.AddDate(0, 0, -1), 63, ""))
	for i, body := range [][]byte{filled(0, ""), filled(1, `,"deleted":[{"uuid":"`+uuid(2)+`","type":"`+heartRate+`"}],"cursor":{"`+heartRate+`":"a"}`, others)} {
		id = fmt.Sprint("big", i)
		w.arrive(t, arrival{id, body, received})
		if v := w.handle(t, id, 1); v != "ack" {
			t.Fatalf("%s: %s", id, v)
		}
	}
	got := w.upload(t, id)
	want := record.Upload{State: record.UploadMerged, Added: 1, Deleted: 1, Days: []health.Day{april1 - 1, april1}, Full: []health.Day{april1}}
	if diff := cmp.Diff(want, record.Upload{State: got.State, Reason: got.Reason, Added: got.Added, Deleted: got.Deleted, Days: got.Days, Full: got.Full}); diff != "" {
		t.Errorf("the upload's record (-want +got):\n%s", diff)
	}
	days := map[health.Day]int{}
	for _, day := range want.Days {
		stored, err := w.store.Days.Get(t.Context(), person, day.String())
		if err != nil {
			t.Fatal(err)
		}
		days[day] = stored.Value.Samples
	}
	if diff := cmp.Diff(map[health.Day]int{april1 - 1: 1, april1: fillers + 1}, days); diff != "" {
		t.Errorf("samples by day (-want +got):\n%s", diff)
	}
	if c := w.state(t).Cursors[heartRate]; c.Anchor != "a" {
		t.Errorf("the cursor is %+v", c)
	}
	if first := w.upload(t, "big0"); first.Full != nil || first.Added != fillers {
		t.Errorf("the one before: %d added, full %v", first.Added, first.Full)
	}
}

const fillers = 400

// filled is an upload of samples of 60 KiB each on the day of received, and others.
func filled(nth int, more string, others ...string) []byte {
	filler := strings.Repeat("x", 60<<10)
	at := received.Format(time.RFC3339)
	for k := range fillers {
		others = append(others, fmt.Sprintf(`{"uuid":%q,"type":"HKFiller","start":%q,"end":%q,"text":"%d %d %s"}`, uuid(1000+fillers*nth+k), at, at, nth, k, filler))
	}
	return fmt.Appendf(nil, `{"schema":"clarity.upload/1","installationId":"i","timeZone":"Europe/Berlin","samples":[%s]%s}`, strings.Join(others, ","), more)
}

func encode(t *testing.T, s sample) string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What a later release wrote of a person is no damage: the upload waits for a
// process that knows it.
func TestWhatALaterReleaseWroteIsWaitedFor(t *testing.T) {
	for name, of := range map[string]func(*testing.T, *world) string{
		"a day": func(t *testing.T, w *world) string {
			d, err := w.store.Days.List(t.Context(), person, store.Query{Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			return d[0].Value.Chunk
		},
		"the tombstones": func(t *testing.T, w *world) string {
			g, err := w.store.Tombstones.Get(t.Context(), person, record.TombstonesKey)
			if err != nil {
				t.Fatal(err)
			}
			return g.Value.Blob
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, id := one(t, envelope{Samples: []sample{beat(1, received, 61, "")}, Deleted: []deletion{{uuid(9), heartRate}}})
			if v := w.handle(t, id, 1); v != "ack" {
				t.Fatal(v)
			}
			object := of(t, w)
			known := w.objects[object]
			plain := w.plain(t, object)
			later := bytes.Clone(plain)
			later[3]++ // of the magic, which is its version
			sealed, err := (*keys)(w).Seal(t.Context(), person, object, later)
			if err != nil {
				t.Fatal(err)
			}
			w.objects[object] = sealed
			w.arrive(t, arrival{"next", envelope{Samples: []sample{beat(2, received, 62, "")}, Deleted: []deletion{{uuid(8), heartRate}}}.encode(t), received})
			for attempt := range 20 {
				if v := w.handle(t, "next", attempt+1); v != "postpone: timeline decode: newer" {
					t.Fatalf("verdict %q", v)
				}
			}
			if u := w.upload(t, "next"); u.State != record.UploadReceived || !bytes.Equal(w.objects[object], sealed) {
				t.Errorf("the upload is %q, the object as it was: %t", u.State, bytes.Equal(w.objects[object], sealed))
			}
			w.objects[object] = known
			if v := w.handle(t, "next", 1); v != "ack" {
				t.Errorf("once it is known: %q", v)
			}
		})
	}
}

// A body that lies in its record goes from there as it is merged, and what it says is
// known by its digest; one that could not be merged stays.
func TestABodyInItsRecord(t *testing.T) {
	body := envelope{Samples: []sample{beat(1, received, 61, "")}}.encode(t)
	for name, tt := range map[string]struct {
		body    []byte
		verdict string
		state   record.UploadState
	}{
		"merged": {body, "ack", record.UploadMerged},
		"failed": {body[:len(body)-1], "dead: body_unreadable", record.UploadFailed},
	} {
		w := newWorld()
		w.consent(t, true)
		u := record.Upload{Body: tt.body, Encoding: "identity", Bytes: len(tt.body), ReceivedAt: received, State: record.UploadReceived}
		if _, err := w.store.Uploads.Put(t.Context(), person, "u1", 0, u); err != nil {
			t.Fatal(err)
		}
		if v := w.handle(t, "u1", 1); v != tt.verdict {
			t.Errorf("%s: verdict %q", name, v)
		}
		got := w.upload(t, "u1")
		says := ""
		if tt.state == record.UploadMerged {
			var err error
			if says, err = content.Of(tt.body, health.InstantOf(received)); err != nil {
				t.Fatal(err)
			}
		}
		if got.State != tt.state || got.Content != says || (len(got.Body) == 0) != (tt.state == record.UploadMerged) {
			t.Errorf("%s: state %q, content %q, %d bytes", name, got.State, got.Content, len(got.Body))
		}
	}
}
