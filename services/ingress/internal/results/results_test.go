package results_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/blob"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/ingress/internal/results"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// A store that fails is a 500 at each route that asks it, and says nothing of why.
func TestAStoreThatFails(t *testing.T) {
	w := ingresstest.New(t)
	ingresstest.Furnish(w)
	for what, requests := range map[string][]string{
		"list days":     {"GET /v1/days"},
		"get days":      {"GET /v1/days/2026-11-20", "GET /v1/days/2026-11-20/series/" + ingresstest.SeriesOf},
		"list results":  {"GET /v1/weeks", "GET /v1/trends"},
		"get results":   {"GET /v1/weeks/2026-11-20"},
		"list insights": {"GET /v1/insights"},
		"get insights":  {"GET /v1/insights/2026-11-20", "POST /v1/insights"},
	} {
		for _, request := range requests {
			method, path, _ := strings.Cut(request, " ")
			var body []byte
			if method == "POST" {
				body = []byte(`{"date":"2026-11-20"}`)
			}
			if r := w.Do(method, path, ingresstest.Anna, body, ingresstest.AsJSON()); r.Status != 200 {
				t.Errorf("%s: %d %s", request, r.Status, r.Body)
			}
			w.Break(what)
			if r := w.Do(method, path, ingresstest.Anna, body, ingresstest.AsJSON()); r.Status != 500 || strings.Contains(string(r.Body), "disk") {
				t.Errorf("%s while %s fails: %d %s", request, what, r.Status, r.Body)
			}
			w.Mend()
		}
	}
	if r := w.Do("GET", "/v1/trends?to=2026-02-30", ingresstest.Anna, nil); r.Status != 422 {
		t.Errorf("trends to a date that is none: %d", r.Status)
	}
}

// What is sent of a day, a week and an insight: no list and no object is null.
func TestWhatIsSent(t *testing.T) {
	w := ingresstest.New(t)
	ctx, at := t.Context(), time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	must := func(_ int64, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.Store.Days.Put(ctx, "anna", "2026-11-20", 0, record.Day{Zone: "Europe/Berlin", Digest: "d", Samples: 3,
		Types: map[string]record.TypeSummary{"HKA": {Count: 3, First: health.InstantOf(at), Last: health.InstantOf(at.Add(time.Hour))}}}))
	must(w.Store.Results.Put(ctx, "anna", "2026-11-20", 0, record.Result{ComputedAt: at}))
	must(w.Store.Insights.Put(ctx, "anna", "2026-11-20", 0, record.Insight{WrittenAt: at, Insight: analysis.Insight{Sentences: []analysis.Claim{{Text: "a"}}}}))
	for path, want := range map[string][]string{
		"/v1/days/2026-11-20": {`"date":"2026-11-20"`, `"timeZone":"Europe/Berlin"`, `"samples":3`, `"digest":"d"`,
			`"types":{"HKA":{"count":3,"first":"2026-11-21T03:00:00.000Z","last":"2026-11-21T04:00:00.000Z"}}`},
		"/v1/weeks/2026-11-20":    {`"computedAt":"2026-11-21T03:00:00.000Z"`, `"wear":{}`, `"sleep":{}`, `"circadian":{}`, `"activity":{}`, `"cardio":{}`, `"nights":[]`, `"days":[]`, `"insufficient":[]`, `"chunks":[]`},
		"/v1/insights/2026-11-20": {`"writtenAt":"2026-11-21T03:00:00.000Z"`, `"sentences":[{"text":"a","facts":[]}]`, `"facts":[]`, `"disclaimers":[]`},
	} {
		got := string(w.Do("GET", path, ingresstest.Anna, nil).Body)
		for _, text := range want {
			if !strings.Contains(got, text) {
				t.Errorf("%s has no %s: %s", path, text, got)
			}
		}
	}
}

func TestTrendsAsTheyAreSent(t *testing.T) {
	w := ingresstest.New(t)
	for n := range 35 {
		v := float64(n)
		if _, err := w.Store.Results.Put(t.Context(), "anna", health.Day(20000+n).String(), 0, record.Result{Result: analysis.Result{Sleep: analysis.Family{"m": &v}, Wear: analysis.Family{"m": &v}}}); err != nil {
			t.Fatal(err)
		}
	}
	var got struct {
		Series []struct {
			Metric   string
			Points   []struct{ Date string }
			Baseline *struct {
				From, To string
				Values   int
			}
		}
	}
	w.Do("GET", "/v1/trends?windows=2&metric=sleep.m&to="+health.Day(20033).String(), ingresstest.Anna, nil).JSON(t, &got)
	if len(got.Series) != 1 || got.Series[0].Metric != "sleep.m" || len(got.Series[0].Points) != 2 {
		t.Fatalf("%+v", got)
	}
	if diff := cmp.Diff([]string{health.Day(20032).String(), health.Day(20033).String()}, []string{got.Series[0].Points[0].Date, got.Series[0].Points[1].Date}); diff != "" {
		t.Errorf("points, oldest first (-want +got):\n%s", diff)
	}
	if b := got.Series[0].Baseline; b == nil || b.Values != 28 || b.From != health.Day(20005).String() || b.To != health.Day(20032).String() {
		t.Errorf("baseline %+v", b)
	}
}

// A day that another takes the place of is read again, and comes whole; one that
// cannot be read is an error.
func TestDaysOfAnExport(t *testing.T) {
	w := ingresstest.New(t)
	put := func(day health.Day, version int64, chunk string) {
		t.Helper()
		if _, err := w.Store.Days.Put(t.Context(), "anna", day.String(), version, record.Day{Chunk: chunk, Samples: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 3 {
		put(health.Day(20000+n), 0, "former")
	}
	if _, err := w.Store.Days.Put(t.Context(), "anna", health.Day(20003).String(), 0, record.Day{Chunk: "emptied"}); err != nil { // is no day any more
		t.Fatal(err)
	}
	var fails error
	replaced := 0
	held := results.Held{Days: w.Store.Days, Samples: func(_ context.Context, _, chunk string) ([]health.Sample, error) {
		if chunk == "former" {
			for n := range 3 - replaced {
				put(health.Day(20000+n), store.Any, "now")
			}
			replaced = 3
			return nil, fmt.Errorf("read chunk: %w", blob.ErrNotFound)
		}
		return []health.Sample{{Type: "HKA", Value: 61, Metadata: `{"a":1}`, Raw: "no JSON"}}, fails
	}}
	days := held.Exported()[0]
	read := func(after string) (lines []string, err error) {
		err = days.Each(t.Context(), "anna", after, func(kind, key string, value any) error {
			text, err := json.Marshal(value)
			lines = append(lines, kind+" "+key+" "+string(text))
			return err
		})
		return lines, err
	}
	whole, err := read("")
	if err != nil || len(whole) != 6 || !strings.HasPrefix(whole[0], "day 2024-10-04 ") || !strings.HasPrefix(whole[1], "sample 2024-10-04 ") {
		t.Fatalf("%d lines: %q, %v", len(whole), whole, err)
	}
	if !strings.Contains(whole[1], `"metadata":{"a":1}`) || strings.Contains(whole[1], `"raw"`) {
		t.Errorf("a sample: %s", whole[1])
	}
	if rest, err := read("2024-10-04"); err != nil || !slices.Equal(rest, whole[2:]) {
		t.Errorf("behind the first day: %q, %v", rest, err)
	}
	fails = errors.New("a chunk is gone")
	if cut, err := read(""); !errors.Is(err, fails) || len(cut) > 0 {
		t.Errorf("%q, %v", cut, err)
	}
}

// The deletions come by uuid, and go on behind any.
func TestDeletionsOfAnExport(t *testing.T) {
	w := ingresstest.New(t)
	held := results.Held{Tombstones: w.Store.Tombstones, Deleted: func(_ context.Context, _, object string) ([]health.UUID, error) {
		if object != "now" {
			if _, err := w.Store.Tombstones.Put(t.Context(), "anna", record.TombstonesKey, store.Any, record.Tombstones{Blob: "now"}); err != nil {
				return nil, err
			}
			return nil, fmt.Errorf("read tombstones: %w", blob.ErrNotFound)
		}
		return []health.UUID{{1}, {2}, {255}}, nil
	}}
	read := func(after string) (keys []string) {
		err := held.Exported()[1].Each(t.Context(), "anna", after, func(kind, key string, _ any) error {
			keys = append(keys, kind+" "+key[:2])
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	if got := read(""); len(got) > 0 {
		t.Errorf("of none there are %q", got)
	}
	if _, err := w.Store.Tombstones.Put(t.Context(), "anna", record.TombstonesKey, 0, record.Tombstones{Blob: "former"}); err != nil {
		t.Fatal(err)
	}
	if got := read(""); !slices.Equal(got, []string{"deletion 01", "deletion 02", "deletion ff"}) {
		t.Errorf("%q", got)
	}
	if got := read((health.UUID{2}).String()); !slices.Equal(got, []string{"deletion ff"}) {
		t.Errorf("behind the second: %q", got)
	}
}

func resultOf(v float64) record.Result {
	return record.Result{Result: analysis.Result{Sleep: analysis.Family{"m": &v}}}
}
