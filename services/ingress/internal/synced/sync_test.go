package synced_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/ingress/internal/synced"
	"github.com/clarity-loop/clarity/services/record"
)

func TestSyncOfNothing(t *testing.T) {
	w := ingresstest.New(t)
	if r := w.Do("GET", "/v1/sync", ingresstest.Anna, nil); r.Status != 200 || strings.TrimSpace(string(r.Body)) != `{"types":[]}` {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

func TestSyncTellsCoverageAndGaps(t *testing.T) {
	w := ingresstest.New(t)
	hour := health.Instant(3_600_000)
	for _, day := range []health.Day{20000, 20001, 20004, 20008} {
		types := map[string]record.TypeSummary{"HKA": {Count: 2, First: health.Instant(day) * 24 * hour, Last: health.Instant(day)*24*hour + hour}}
		if day == 20004 {
			types["HKB"] = record.TypeSummary{Count: 1, Last: 20004 * 24 * hour}
		}
		if _, err := w.Store.Days.Put(t.Context(), "anna", day.String(), 0, record.Day{Types: types}); err != nil {
			t.Fatal(err)
		}
	}
	cursors := record.Cursors{Types: map[string]record.Cursor{"HKA": {Anchor: "at-HKA"}, "HKC": {Anchor: "at-HKC"}}}
	if _, err := w.Store.Cursors.Put(t.Context(), "anna", "=all", 0, cursors); err != nil {
		t.Fatal(err)
	}
	var got synced.View
	w.Do("GET", "/v1/sync", ingresstest.Anna, nil).JSON(t, &got)
	if len(got.Types) != 3 {
		t.Fatalf("%+v", got)
	}
	day := func(n health.Day) string { return (20000 + n).String() }
	want := synced.Coverage{From: day(0), To: day(8), Days: 4, Samples: 8, Gaps: []synced.DayRange{{day(2), day(3)}, {day(5), day(7)}}}
	if diff := cmp.Diff(want, got.Types[0].Coverage); diff != "" || got.Types[0].Cursor != "at-HKA" {
		t.Errorf("HKA %q (-want +got):\n%s", got.Types[0].Cursor, diff)
	}
	if b := got.Types[1]; b.Cursor != "" || b.Coverage.Days != 1 || len(b.Coverage.Gaps) != 0 {
		t.Errorf("HKB: samples without a cursor: %+v", b)
	}
	if c := got.Types[2]; c.Cursor != "at-HKC" || c.Coverage.Days != 0 || c.LastSeen != nil {
		t.Errorf("HKC: a cursor without samples: %+v", c)
	}
}

func TestTypesComeInTheOrderOfTheirNames(t *testing.T) {
	w := ingresstest.New(t)
	var want []string
	cursors := record.Cursors{Types: map[string]record.Cursor{}}
	for n := range 20 {
		name := "HK" + string(rune('A'+n))
		want = append(want, name)
		cursors.Types[name] = record.Cursor{Anchor: "a"}
	}
	if _, err := w.Store.Cursors.Put(t.Context(), "anna", "=all", 0, cursors); err != nil {
		t.Fatal(err)
	}
	var all synced.View
	w.Do("GET", "/v1/sync", ingresstest.Anna, nil).JSON(t, &all)
	var got []string
	for _, of := range all.Types {
		got = append(got, of.Type)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
}
