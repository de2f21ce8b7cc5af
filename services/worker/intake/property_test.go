package intake_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/series"
	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
	"github.com/clarity-loop/clarity/services/timeline"
)

const (
	heartRate = "HKQuantityTypeIdentifierHeartRate"
	steps     = "HKQuantityTypeIdentifierStepCount"
)

type sample struct {
	UUID     string            `json:"uuid"`
	Type     string            `json:"type"`
	Start    string            `json:"start"`
	End      string            `json:"end"`
	Value    float64           `json:"value"`
	Unit     string            `json:"unit"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

type deletion struct {
	UUID string `json:"uuid"`
	Type string `json:"type"`
}

type envelope struct {
	Schema         string            `json:"schema"`
	InstallationID string            `json:"installationId"`
	TimeZone       string            `json:"timeZone"`
	Samples        []sample          `json:"samples,omitempty"`
	Series         []routed          `json:"series,omitempty"`
	Deleted        []deletion        `json:"deleted"`
	Cursor         map[string]string `json:"cursor"`
}

func (e envelope) encode(t testing.TB) []byte {
	t.Helper()
	e.Schema, e.InstallationID = upload.Schema, "phone"
	if e.Series != nil || e.Cursor[series.WorkoutRoute] != "" {
		e.Schema = series.Schema
	}
	if e.TimeZone == "" {
		e.TimeZone = "Europe/Berlin"
	}
	if e.Deleted == nil {
		e.Deleted = []deletion{}
	}
	if e.Cursor == nil {
		e.Cursor = map[string]string{}
	}
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func uuid(n int) string { return health.UUID{0: 0x40, 14: byte(n >> 8), 15: byte(n)}.String() }

func beat(n int, at time.Time, value float64, zone string) sample {
	s := sample{UUID: uuid(n), Type: heartRate, Start: at.Format(time.RFC3339), End: at.Format(time.RFC3339), Value: value, Unit: "count/min"}
	if zone != "" {
		s.Metadata = map[string]string{"HKTimeZone": zone}
	}
	return s
}

// routed is a route, of a sample that may be deleted.
type routed struct {
	UUID      string    `json:"uuid"`
	Type      string    `json:"type"`
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`
	Parent    string    `json:"parent"`
	Locations []located `json:"locations"`
}

type located struct {
	Time      time.Time `json:"time"`
	Latitude  float64   `json:"latitude"`
	Longitude float64   `json:"longitude"`
}

func routeUUID(n int) string { return uuid(1000 + n) }

func route(n int, night time.Time, version int) routed {
	start := night.Add(time.Duration(n*30) * time.Minute)
	r := routed{UUID: routeUUID(n), Type: series.WorkoutRoute, Start: start, End: start.Add(time.Hour), Parent: uuid(n)}
	for i := range 3 {
		r.Locations = append(r.Locations, located{start.Add(time.Duration(i) * time.Minute), 52.5 + float64(version), 13.4})
	}
	return r
}

// arrivals makes up uploads of few uuids, so that they collide: repeated
// samples, other versions of a uuid, deletions before and after, zones that
// disagree, series that go with what they are of, around the night in which Berlin's
// clock goes forward.
func arrivals(t testing.TB, seed uint64, n int) []arrival {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	zones := []string{"", "", "Europe/Berlin", "America/New_York", "Pacific/Auckland"}
	dst := time.Date(2026, 3, 28, 20, 0, 0, 0, time.UTC)
	var out []arrival
	for i := range n {
		e := envelope{TimeZone: []string{"Europe/Berlin", "Asia/Tokyo"}[r.IntN(2)], Cursor: map[string]string{heartRate: fmt.Sprint("anchor", i)}}
		for range r.IntN(12) {
			at := dst.Add(time.Duration(r.IntN(12*60)) * time.Minute)
			if r.IntN(10) == 0 {
				at = at.AddDate(0, 0, -30) // back-dated
			}
			id := r.IntN(30)
			if r.IntN(3) > 0 { // the usual case: one uuid, one content
				at = dst.Add(time.Duration(id*25) * time.Minute)
				e.Samples = append(e.Samples, beat(id, at, 60, "Europe/Berlin"))
				continue
			}
			e.Samples = append(e.Samples, beat(id, at, float64(50+r.IntN(3)), zones[r.IntN(len(zones))]))
		}
		for range r.IntN(3) {
			e.Deleted = append(e.Deleted, deletion{uuid(r.IntN(30)), heartRate})
		}
		if i%3 == 2 { // routes, each of one of the samples
			e.Samples, e.Cursor = nil, map[string]string{series.WorkoutRoute: fmt.Sprint("anchor", i)}
			for range r.IntN(6) {
				e.Series = append(e.Series, route(r.IntN(20), dst, r.IntN(3)))
			}
			e.Deleted = append(e.Deleted, deletion{routeUUID(r.IntN(20)), series.WorkoutRoute})
		}
		received := time.Date(2026, 4, 1, 8, i/2, 0, 0, time.UTC) // two at a time
		out = append(out, arrival{fmt.Sprintf("upload-%d", i), e.encode(t), received})
	}
	return out
}

func merged(t testing.TB, arrivals []arrival, order []int) *world {
	t.Helper()
	w := newWorld()
	w.consent(t, true)
	for _, a := range arrivals {
		w.arrive(t, a)
	}
	for _, i := range order {
		if v := w.handle(t, arrivals[i].id, 1); v != "ack" {
			t.Fatalf("upload %d: %s", i, v)
		}
	}
	return w
}

func TestTheOrderOfUploadsDoesNotMatter(t *testing.T) {
	for seed := range uint64(12) {
		all := arrivals(t, seed, 9)
		inOrder := make([]int, len(all))
		for i := range inOrder {
			inOrder[i] = i
		}
		w := merged(t, all, inOrder)
		want := w.state(t)
		if len(want.Days) < 2 || len(want.Tombstones) < 40 {
			t.Fatalf("seed %d makes %d days and tombstones %q: nothing to see", seed, len(want.Days), want.Tombstones)
		}
		checkAgainstSets(t, w, all)
		r := rand.New(rand.NewPCG(seed, 8))
		for range 8 {
			order := r.Perm(len(all))
			for range 5 { // the same message again
				order = append(order, r.IntN(len(all)))
			}
			again := append([]arrival(nil), all...)
			for k := range 4 { // the same content under another id, at the same time
				twin := all[r.IntN(len(all))]
				twin.id = twin.id + fmt.Sprint("-again-", k)
				order = append(order, len(again))
				again = append(again, twin)
			}
			r.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
			got := merged(t, again, order).state(t)
			for _, s := range []state{want, got} { // twins differ in the id that committed
				for k, c := range s.Cursors {
					c.UploadID = ""
					s.Cursors[k] = c
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d, order %v (-in order +now):\n%s", seed, order, diff)
			}
		}
	}
}

// checkAgainstSets compares what is stored with plain set arithmetic over the
// decoded uploads.
func checkAgainstSets(t *testing.T, w *world, all []arrival) {
	t.Helper()
	deleted, want := map[health.UUID]bool{}, map[health.Sample]bool{}
	for _, a := range all {
		e, err := upload.Decode(a.body, health.InstantOf(a.received), func(s *health.Sample) { want[*s] = true })
		if err != nil || len(e.Rejected) > 0 {
			t.Fatal(err, e)
		}
		for _, d := range e.Deleted {
			deleted[d.UUID] = true
		}
	}
	maps.DeleteFunc(want, func(s health.Sample, _ bool) bool {
		parent, ok := series.ParentOf(&s)
		return deleted[s.UUID] || ok && deleted[parent]
	})
	calendar := timeline.NewCalendar()
	type place struct {
		day  health.Day
		uuid health.UUID
	}
	best := map[place]health.Sample{} // of a uuid a day keeps one
	for s := range want {
		day, err := calendar.Day(&s)
		if err != nil {
			t.Fatal(err)
		}
		other, twice := best[place{day, s.UUID}]
		if !twice || s.End > other.End || s.End == other.End && timeline.Compare(&s, &other) > 0 {
			best[place{day, s.UUID}] = s
		}
	}
	maps.DeleteFunc(want, func(s health.Sample, _ bool) bool {
		day, err := calendar.Day(&s)
		return err != nil || best[place{day, s.UUID}] != s
	})
	got := map[health.Sample]bool{}
	days, err := w.store.Days.List(t.Context(), person, store.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range days {
		chunk := w.chunk(t, d.Value.Chunk)
		if len(chunk.Samples) != d.Value.Samples || chunk.Day.String() != d.Key {
			t.Errorf("day %s says %d samples, its chunk is of %s and has %d", d.Key, d.Value.Samples, chunk.Day, len(chunk.Samples))
		}
		for i := range chunk.Samples {
			s := chunk.Samples[i]
			got[s] = true
			loc, err := time.LoadLocation(s.Zone)
			if err != nil {
				t.Fatal(err)
			}
			if own := s.Start.Time().In(loc).Format(time.DateOnly); own != d.Key {
				t.Errorf("a sample of %s in %s lies in the day %s", own, s.Zone, d.Key)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("samples (-set arithmetic +stored):\n%s", diff)
	}
}

func TestACrashAtAnyStepChangesNothing(t *testing.T) {
	all := arrivals(t, 3, 5)
	run := func(dieAt int, after bool) *world {
		w := newWorld()
		w.consent(t, true)
		for _, a := range all {
			w.arrive(t, a)
		}
		w.changes, w.dieAt, w.after = 0, dieAt, after
		for _, a := range all {
			for attempt := 1; ; attempt++ {
				v := w.handle(t, a.id, attempt)
				if v == "ack" {
					break
				}
				if !strings.HasPrefix(v, "retry") || attempt > 3 {
					t.Fatalf("dying at change %d: attempt %d of %s ends as %q", dieAt, attempt, a.id, v)
				}
				w.restart()
			}
		}
		return w
	}
	calm := run(0, false)
	want := outcome(t, calm, all)
	if calm.changes < 25 {
		t.Fatalf("only %d changes to die at", calm.changes)
	}
	for k := 1; k <= calm.changes; k++ {
		for _, after := range []bool{false, true} {
			w := run(k, after)
			got := outcome(t, w, all)
			got.Analyses = slices.DeleteFunc(got.Analyses, func(end string) bool { // who was cut off does not know what a day was before
				day, err := health.ParseDay(end)
				return err == nil && !slices.Contains(want.Analyses, end) && slices.Contains(want.Analyses, (day+1).String())
			})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("dying at change %d of %d, after it: %v (-calm +now):\n%s", k, calm.changes, after, diff)
			}
			if strings.Contains(w.logs.String(), "anna") {
				t.Fatalf("the log names the person:\n%s", w.logs.String())
			}
		}
	}
}

type end struct {
	State              state
	Uploads            map[string]record.Upload
	Analyses, Delivery []string
}

func outcome(t *testing.T, w *world, all []arrival) end {
	t.Helper()
	e := end{w.state(t), map[string]record.Upload{}, w.due(t), w.told(t)}
	for _, a := range all {
		e.Uploads[a.id] = w.upload(t, a.id)
	}
	return e
}

// Two processes on one person happen when a lease is lost: neither may undo the
// other's work.
func TestTwoWorkersOnOnePersonEndAsOne(t *testing.T) {
	for seed := range uint64(10) {
		all := arrivals(t, 100+seed, 8)
		order := []int{0, 1, 2, 3, 4, 5, 6, 7}
		want := merged(t, all, order).state(t)
		w := newWorld()
		w.consent(t, true)
		for _, a := range all {
			w.arrive(t, a)
		}
		w.stage.Log = quietLog()
		var wg sync.WaitGroup
		for worker := range 2 {
			wg.Go(func() {
				for i := range all {
					a := all[(i*3+worker*5)%len(all)]
					for attempt := 1; w.handle(t, a.id, attempt) != "ack"; attempt++ {
						if attempt > 50 {
							t.Errorf("%s is never acked", a.id)
							return
						}
					}
				}
			})
		}
		wg.Wait()
		if diff := cmp.Diff(want, w.state(t)); diff != "" {
			t.Fatalf("seed %d (-one after the other +at once):\n%s", seed, diff)
		}
	}
}

// The second process does all its work between two steps of the first, for
// every such place.
func TestAnotherWorkerBetweenAnyTwoSteps(t *testing.T) {
	at := time.Date(2026, 3, 30, 10, 0, 0, 0, time.UTC)
	received := time.Date(2026, 4, 1, 8, 0, 0, 0, time.UTC)
	x, y, z := beat(1, at, 60, ""), beat(2, at.Add(time.Hour), 70, ""), beat(3, at.AddDate(0, 0, 1), 80, "")
	base := arrival{"base", envelope{Samples: []sample{y}}.encode(t), received}
	adds := arrival{"adds", envelope{Samples: []sample{x, z}, Cursor: map[string]string{heartRate: "a"}}.encode(t), received.Add(time.Second)}
	deletes := arrival{"deletes", envelope{Deleted: []deletion{{x.UUID, heartRate}, {uuid(9), heartRate}}, Cursor: map[string]string{heartRate: "b"}}.encode(t), received.Add(2 * time.Second)}
	deletesMore := arrival{"deletes-more", envelope{Deleted: []deletion{{y.UUID, heartRate}}}.encode(t), received.Add(3 * time.Second)}
	walks := routed{UUID: routeUUID(1), Type: series.WorkoutRoute, Start: at, End: at.Add(time.Hour), Parent: x.UUID, Locations: []located{{at, 1, 1}}}
	walk := arrival{"walk", envelope{Series: []routed{walks}}.encode(t), received.Add(time.Second)}
	for name, pair := range map[string][2]arrival{
		"a deletion comes into a series of it": {walk, deletes},
		"a series comes into its deletion":     {deletes, walk},
		"a deletion comes into an addition":    {adds, deletes},
		"an addition comes into a deletion":    {deletes, adds},
		"a deletion comes into a deletion":     {deletes, deletesMore},
		"the same upload comes into itself":    {adds, adds},
		"an addition comes into another one":   {arrival{"twin", adds.body, adds.received}, adds},
	} {
		t.Run(name, func(t *testing.T) {
			all := []arrival{base, pair[0]}
			if pair[1].id != pair[0].id {
				all = append(all, pair[1])
			}
			order := []int{0, 1, len(all) - 1}
			want := merged(t, all, order).state(t)
			for i := 2; ; i++ {
				k, dies := i/2, i%2 == 1 // the first dies at the next change it makes
				w := newWorld()
				w.stage.Log = quietLog()
				w.consent(t, true)
				for _, a := range all {
					w.arrive(t, a)
				}
				finish(t, w, base.id)
				w.steps = 0
				came := false
				w.between = func(n int) {
					if n == k {
						came = true
						finish(t, w, pair[1].id)
						if dies {
							w.dieNext()
						}
					}
				}
				finish(t, w, pair[0].id)
				if !came {
					if k < 10 {
						t.Fatalf("only %d places", k)
					}
					return
				}
				if diff := cmp.Diff(want, w.state(t)); diff != "" {
					t.Fatalf("at step %d, then dies: %v (-one after the other +between):\n%s", k, dies, diff)
				}
			}
		})
	}
}

func finish(t *testing.T, w *world, id string) {
	t.Helper()
	for attempt := 1; ; attempt++ {
		switch v := w.handle(t, id, attempt); {
		case v == "ack":
			return
		case attempt > 5:
			t.Errorf("%s is never acked: %s", id, v)
			return
		}
		w.restart()
	}
}
