package history_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/cmd/internal/history"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload"
)

type sample struct {
	UUID, Type string
	Start, End time.Time
	Value      float64
	Unit       string
	Source     struct{ ProductType string }
	Metadata   map[string]any
}

type envelope struct {
	Schema, TimeZone, Stage string
	Samples                 []sample
	Deleted                 []struct{ UUID, Type string }
	Cursor                  map[string]string
	Final                   bool
}

// made is the default history, made once.
var made = sync.OnceValue(func() *history.History {
	h, err := history.Generate(history.Default())
	if err != nil {
		panic(err)
	}
	return h
})

// standard is the default history, read once, too.
var standard = sync.OnceValues(func() (*history.History, []envelope) {
	h := made()
	var out []envelope
	for _, u := range h.Uploads {
		var e envelope
		if err := json.Unmarshal(u.Body, &e); err != nil {
			panic(err)
		}
		out = append(out, e)
	}
	return h, out
})

func generate(t *testing.T, c history.Config) *history.History {
	t.Helper()
	h, err := history.Generate(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestTheSameConfigGivesTheSameBytes(t *testing.T) {
	a, _ := standard()
	b := generate(t, history.Default())
	if len(a.Uploads) != len(b.Uploads) {
		t.Fatalf("%d uploads, then %d", len(a.Uploads), len(b.Uploads))
	}
	for i := range a.Uploads {
		if !bytes.Equal(a.Uploads[i].Body, b.Uploads[i].Body) {
			t.Fatalf("upload %d differs", i)
		}
	}
	other := history.Default()
	other.Seed++
	if c := generate(t, other); bytes.Equal(a.Uploads[0].Body, c.Uploads[0].Body) {
		t.Error("another seed gives the same bytes")
	}
}

func TestWhatTheDocumentationPromisesIsThere(t *testing.T) {
	_, envelopes := standard()
	seen := map[string]int{} // times a uuid was sent
	deletedFirst, deletedLater := 0, 0
	sources, zones, broken, userEntered, raw := map[string]bool{}, map[string]bool{}, 0, 0, 0
	for _, e := range envelopes {
		for _, d := range e.Deleted {
			if seen[d.UUID] > 0 {
				deletedLater++
			} else {
				deletedFirst++
			}
		}
		for _, s := range e.Samples {
			seen[s.UUID]++
			sources[s.Source.ProductType] = true
			zones[s.Metadata["HKTimeZone"].(string)] = true
			if s.End.Before(s.Start) {
				broken++
			}
			if s.Metadata["HKWasUserEntered"] == true {
				userEntered++
			}
			if s.Type == "HKWorkoutTypeIdentifier" {
				raw++
			}
		}
	}
	twice := 0
	for _, n := range seen {
		if n > 1 {
			twice++
		}
	}
	got := map[string]int{"deleted after": deletedLater, "deleted before": deletedFirst, "broken": broken, "twice": twice, "devices": len(sources), "zones": len(zones)}
	want := map[string]int{"deleted after": 1, "deleted before": 1, "broken": 1, "twice": 40, "devices": 2, "zones": 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("oddities (-want +got):\n%s", diff)
	}
	if userEntered == 0 || raw == 0 {
		t.Errorf("%d user-entered, %d workouts; want some", userEntered, raw)
	}
}

func TestUploadsKeepTheContract(t *testing.T) {
	h, envelopes := standard()
	for i, e := range envelopes {
		u := h.Uploads[i]
		if e.Schema != "clarity.upload/1" || len(e.Samples) != u.Samples || u.Samples > 2000 || len(e.Deleted) != u.Deleted {
			t.Errorf("upload %d: schema %q, %d samples, %d deleted; said %d and %d", i, e.Schema, len(e.Samples), len(e.Deleted), u.Samples, u.Deleted)
		}
		for _, s := range e.Samples {
			if _, ok := e.Cursor[s.Type]; !ok {
				t.Fatalf("upload %d has no cursor of %s", i, s.Type)
			}
		}
	}
}

// The platform's own reader takes every sample but the broken one.
func TestThePlatformAcceptsAllButTheBroken(t *testing.T) {
	h, _ := standard()
	now := health.InstantOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	for i, u := range h.Uploads {
		e, err := upload.Decode(u.Body, now, nil)
		if err != nil {
			t.Fatalf("upload %d: %v", i, err)
		}
		if len(e.Rejected) != u.Rejected || e.Received != u.Samples+u.Deleted {
			t.Errorf("upload %d: received %d, rejected %v; want %d and %d rejected", i, e.Received, e.Rejected, u.Samples+u.Deleted, u.Rejected)
		}
	}
}

func TestTheClockOfBerlinChangesWithin(t *testing.T) {
	h, _ := standard()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	var long []string
	for _, d := range h.Days {
		start, end := d.Day.Bounds(berlin)
		if end-start == health.Instant(25*time.Hour/time.Millisecond) {
			long = append(long, d.Day.String())
		}
	}
	if diff := cmp.Diff([]string{"2025-10-26"}, long); diff != "" {
		t.Errorf("days of 25 hours (-want +got):\n%s", diff)
	}
}

// The truth is what an analysis should find in the samples: here in the most
// direct way, the sleep stages of each night added up.
func TestTheTruthIsInTheSamples(t *testing.T) {
	h, envelopes := standard()
	stages := map[string]sample{} // by uuid: some are sent twice
	for _, e := range envelopes {
		for _, s := range e.Samples {
			if s.Type == "HKCategoryTypeIdentifierSleepAnalysis" && s.Value >= 3 {
				stages[s.UUID] = s
			}
		}
	}
	for _, n := range h.Nights {
		asleep := time.Duration(0)
		for _, s := range stages {
			if !s.Start.Before(n.Onset) && !s.End.After(n.Wake) {
				asleep += s.End.Sub(s.Start)
			}
		}
		want := n.Asleep
		if !n.Watch {
			want = 0
		}
		if asleep != want {
			t.Errorf("night of %s: samples say %s asleep, the truth %s", n.Day, asleep, want)
		}
		if got := n.Asleep + n.AwakeAfter; got != n.Wake.Sub(n.Onset) {
			t.Errorf("night of %s: asleep and awake make %s of %s", n.Day, got, n.Wake.Sub(n.Onset))
		}
		if !n.Bed.Before(n.Onset) || !n.Onset.Before(n.Wake) || n.Up.Before(n.Wake) {
			t.Errorf("night of %s is out of order", n.Day)
		}
	}
}

func TestAnUnknownZoneIsAnError(t *testing.T) {
	for want, change := range map[string]func(*history.Config){
		`load home zone "Europe/Nowhere"`: func(c *history.Config) { c.Home = "Europe/Nowhere" },
		`load away zone "Erehwon"`:        func(c *history.Config) { c.Away = "Erehwon" },
	} {
		c := history.Default()
		change(&c)
		if h, err := history.Generate(c); err == nil || !strings.Contains(err.Error(), want) || h != nil {
			t.Errorf("%v, %v; want an error that says %s", h, err, want)
		}
	}
}

// What the package's documentation says of days is to be found in the samples.
func TestWhatHappensOnWhichDay(t *testing.T) {
	h, envelopes := standard()
	type place struct {
		day          int
		kind, device string
	}
	first, counts := h.Days[0].Day, map[place]int{}
	naps := map[int]bool{}
	for i, e := range envelopes {
		for _, s := range e.Samples {
			zone, err := time.LoadLocation(s.Metadata["HKTimeZone"].(string))
			if err != nil {
				t.Fatal(err)
			}
			start := s.Start.In(zone)
			day := int(health.DayOf(health.InstantOf(start), zone) - first)
			counts[place{day, s.Type, s.Source.ProductType}]++
			if s.Type == sleep && s.Value >= 3 && start.Hour() >= 13 && start.Hour() < 16 {
				naps[day] = true
			}
			if late := day == 23 && s.Source.ProductType == "Watch7,5" && start.Hour() >= 12 && start.Hour() < 18; late && h.Uploads[i].SentOn != first+25 {
				t.Errorf("a sample of the late afternoon was sent on %s", h.Uploads[i].SentOn)
			}
		}
	}
	if diff := cmp.Diff(map[int]bool{5: true, 12: true, 26: true}, naps); diff != "" {
		t.Errorf("naps (-want +got):\n%s", diff)
	}
	for p, n := range counts {
		switch {
		case p.day == 10 && p.device == "Watch7,5" && p.kind != steps:
			t.Errorf("%d %s of a Watch that is not worn", n, p.kind)
		case p.day < 0 && p.kind != sleep && p.device == "iPhone16,1":
			t.Errorf("%d %s before the first day", n, p.kind)
		}
	}
	for i, u := range h.Uploads {
		if want := map[bool]string{true: "historical", false: "daily"}[u.SentOn == first+20]; u.Stage != want || u.SentOn < first+20 {
			t.Errorf("upload %d of %s is %s, want %s", i, u.SentOn, u.Stage, want)
		}
		if last := i+1 == len(h.Uploads) || h.Uploads[i+1].SentOn != u.SentOn; envelopes[i].Final != last {
			t.Errorf("upload %d of %s says final: %t", i, u.SentOn, envelopes[i].Final)
		}
	}
}

const (
	sleep = "HKCategoryTypeIdentifierSleepAnalysis"
	steps = "HKQuantityTypeIdentifierStepCount"
)
