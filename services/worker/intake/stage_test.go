package intake_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/flow"
	"github.com/clarity-loop/clarity/services/health"
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
			"dead: the stored body is gone", record.UploadFailed, "the stored body is gone"},
		"a body of another name is a failure": {func(w *world) {
			for name, sealed := range w.objects {
				w.objects[name] = []byte(strings.Replace(string(sealed), "u1", "u2", 1))
			}
		}, "dead: the stored body is damaged", record.UploadFailed, "the stored body is damaged"},
		"a body that is no upload is a failure": {func(w *world) {
			for name, sealed := range w.objects {
				w.objects[name] = sealed[:len(sealed)-1]
			}
		}, "dead: the body is no upload: malformed_json", record.UploadFailed, "the body is no upload: malformed_json"},
		"a disk that fails is tried again": {func(w *world) { w.dieAt = w.changes + 1 }, "retry: a backend is unavailable", record.UploadReceived, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w, id := one(t, good)
			tt.world(w)
			if got := w.handle(t, id, 1); got != tt.verdict {
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
				if got := w.handle(t, id, 2); got != tt.verdict || len(w.told(t)) != 2 {
					t.Errorf("again: %q, want %q; told %v", got, tt.verdict, w.told(t))
				}
			}
		})
	}
}

// told is what the person's devices are told, in order.
func (w *world) told(t testing.TB) (events []string) {
	t.Helper()
	for _, m := range w.sent {
		if m.Topic != flow.TopicEvents {
			continue
		}
		var e flow.Event
		if err := json.Unmarshal(m.Body, &e); err != nil || e.UID != person {
			t.Errorf("event %s: %v", m.Body, err)
		}
		events = append(events, string(e.Kind)+" "+e.Ref+" "+e.Version)
	}
	return events
}

func TestADestroyedKeyEndsTheWork(t *testing.T) {
	w, id := one(t, envelope{})
	w.erased = true
	if got := w.handle(t, id, 1); got != "ack" || len(w.sent) != 0 {
		t.Errorf("verdict %q, %d messages", got, len(w.sent))
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
	for attempt := 1; attempt <= 2; attempt++ { // the process may have died before it told of it
		if v := w.handle(t, id, attempt); v != "ack" || len(w.told(t)) != attempt {
			t.Fatalf("attempt %d: %s, told %v", attempt, v, w.told(t))
		}
	}
	if v := w.handle(t, id, 1); v != "ack" || len(w.told(t)) != 2 {
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
	w.sent = nil
	if v := w.handle(t, "twin", 1); v != "ack" {
		t.Fatal(v)
	}
	if diff := cmp.Diff(before, w.state(t)); diff != "" {
		t.Errorf("the twin changed something:\n%s", diff)
	}
	if due := w.due(t); len(due) != 0 || len(first) == 0 {
		t.Errorf("%v are analysed for the twin, %v for the first", due, first)
	}
	if n := len(w.asked(flow.TopicEvents)); n != 1 {
		t.Errorf("%d deliveries for the twin", n)
	}
}

func TestEveryWindowWithATouchedDayIsAskedFor(t *testing.T) {
	tests := map[string]struct {
		days []int // before today
		ends []int
	}{
		"today: its own window, and yesterday's, which looks one day ahead": {[]int{0}, []int{1, 0}},
		"an old day: every window it is in or beside":                       {[]int{30}, []int{31, 30, 29, 28, 27, 26, 25, 24, 23}},
		"two days share their windows":                                      {[]int{3, 1}, []int{4, 3, 2, 1, 0}},
		"a phone whose clock is ahead":                                      {[]int{-1}, []int{0, -1}},
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
			entry, err := w.store.Agenda.Get(t.Context(), person, agenda.Errand{Kind: agenda.Windows}.Key())
			if err != nil || !entry.Due.Equal(received.Add(time.Second)) {
				t.Errorf("they are due %v, %v; want when the person was quiet for a second", entry.Due, err)
			}
			body, _ := json.Marshal(flow.Event{UID: person, Kind: flow.UploadMerged, Ref: id, Version: "merged"})
			if diff := cmp.Diff([]queue.Message{{Topic: flow.TopicEvents, Key: person, Body: body}}, w.sent); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
}

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

func TestADayBeyondItsBoundFailsAndTouchesNothing(t *testing.T) {
	w, id := one(t, envelope{Samples: []sample{beat(1, received, 61, "")}})
	if v := w.handle(t, id, 1); v != "ack" {
		t.Fatal(v)
	}
	// A day grows by 10,000 samples an upload, of an unknown type with much text.
	before := w.state(t)
	filler := strings.Repeat("x", 3000)
	verdict := ""
	for i := 0; verdict == "" || verdict == "ack"; i++ {
		if i > 30 {
			t.Fatal("the day is never full")
		}
		before = w.state(t)
		var list []string
		for k := range 2000 {
			at := received.Format(time.RFC3339)
			list = append(list, fmt.Sprintf(`{"uuid":%q,"type":"HKFiller","start":%q,"end":%q,"text":"%d %d %s"}`, uuid(2000*i+k), at, at, i, k, filler))
		}
		body := fmt.Sprintf(`{"schema":"clarity.upload/1","installationId":"i","timeZone":"Europe/Berlin","samples":[%s]}`, strings.Join(list, ","))
		id = fmt.Sprint("big", i)
		w.arrive(t, arrival{id, []byte(body), received})
		verdict = w.handle(t, id, 1)
	}
	if !strings.HasPrefix(verdict, "dead: a day") || w.upload(t, id).State != record.UploadFailed {
		t.Errorf("verdict %q, upload %q", verdict, w.upload(t, id).State)
	}
	if diff := cmp.Diff(before, w.state(t)); diff != "" {
		t.Error("a refused upload left a trace")
	}
}
