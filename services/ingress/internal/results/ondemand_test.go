package results_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/ingress/internal/results"
	"github.com/clarity-loop/clarity/services/record"
)

func write(w *ingresstest.World, date string) ingresstest.Reply {
	return w.Do("POST", "/v1/insights", ingresstest.Anna, []byte(`{"date":"`+date+`"}`), ingresstest.AsJSON())
}

// Who may ask for words: it takes processing; a writer that is no model takes no more.
func TestWhoMayAskForWords(t *testing.T) {
	w := ingresstest.New(t)
	if r := write(w, "2026-11-20"); r.Status != 403 || r.Code() != "consent_required" || !strings.Contains(string(r.Body), "/v1/consents/processing") {
		t.Errorf("without any consent: %d %s", r.Status, r.Body)
	}
	ingresstest.Furnish(w)
	got := write(w, "2026-11-20")
	if got.Status != 200 || got.Header.Get("Content-Type") != "application/x-ndjson" || !strings.HasSuffix(string(got.Body), `{"done":true,"writer":"template"}`+"\n") {
		t.Errorf("%d %v %s", got.Status, got.Header, got.Body)
	}
	if r := write(w, "2026-11-19"); r.Status != 404 {
		t.Errorf("no insight of that date: %d %s", r.Status, r.Body)
	}
	w.Consent(ingresstest.Anna, false)
	if r := write(w, "2026-11-20"); r.Status != 403 {
		t.Errorf("after the withdrawal: %d %s", r.Status, r.Body)
	}
}

// Only what was found is spent, and who has spent all is told how long to wait.
func TestWhatADaysBudgetIs(t *testing.T) {
	w := ingresstest.New(t, func(n *ingress.Needs) { n.Limits.InsightsPerDay = 2 })
	ingresstest.Furnish(w)
	for range 4 {
		write(w, "2026-11-19") // there is none
	}
	for n := range 2 {
		if r := write(w, "2026-11-20"); r.Status != 200 {
			t.Errorf("%d: %d %s", n, r.Status, r.Body)
		}
	}
	r := write(w, "2026-11-20")
	var p struct {
		Code  string
		Limit struct {
			What string
			Max  int
		}
	}
	r.JSON(t, &p)
	retry, err := strconv.Atoi(r.Header.Get("Retry-After"))
	if r.Status != 429 || p.Code != "budget_spent" || p.Limit.Max != 2 || p.Limit.What != "insights" || err != nil || retry < 1 || retry > 86400 {
		t.Errorf("%d %s, come again in %q", r.Status, r.Body, r.Header.Get("Retry-After"))
	}
}

// A part of an export ends at the first line that is not taken.
func TestALineThatIsNotTaken(t *testing.T) {
	w := ingresstest.New(t)
	ingresstest.Furnish(w)
	if _, err := w.Store.Days.Put(t.Context(), "anna", "2026-11-21", 0, record.Day{Chunk: "of the 21st", Samples: 1}); err != nil {
		t.Fatal(err)
	}
	held := results.Held{
		Days: w.Store.Days, Results: w.Store.Results, Insights: w.Store.Insights, Tombstones: w.Store.Tombstones,
		Samples: func(_ context.Context, _, chunk string) ([]health.Sample, error) {
			return []health.Sample{{Type: "first of " + chunk}, {Type: "second of " + chunk}}, nil
		},
		Series: func(context.Context, string, string, health.UUID) ([]byte, error) { return []byte("{}"), nil },
	}
	errFull := errors.New("no more")
	all := []string{
		"day 2026-11-20", "sample 2026-11-20", "sample 2026-11-20", "series 2026-11-20", "day 2026-11-21", "sample 2026-11-21", "sample 2026-11-21",
		"result 2026-11-20", "insight 2026-11-20",
	}
	for most := range len(all) + 1 {
		t.Run(fmt.Sprint(most, " lines"), func(t *testing.T) {
			var got []string
			refused := 0
			take := func(kind, key string, _ any) error {
				if len(got) == most {
					refused++
					return errFull
				}
				got = append(got, kind+" "+key)
				return nil
			}
			var err error
			for _, part := range held.Exported() {
				if err = part.Each(t.Context(), "anna", "", take); err != nil {
					break
				}
			}
			if diff := cmp.Diff(all[:most], got, cmp.Transformer("", func(l []string) string { return strings.Join(l, ", ") })); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
			if full := most < len(all); errors.Is(err, errFull) != full || full && refused != 1 {
				t.Errorf("%v after %d lines that were not taken", err, refused)
			}
		})
	}
	w.Break("list days")
	if err := held.Exported()[0].Each(t.Context(), "anna", "", func(string, string, any) error { return nil }); !errors.Is(err, ingresstest.ErrBroken) {
		t.Errorf("days that cannot be listed: %v", err)
	}
}

// How many windows are shown does not change the baseline beside them.
func TestWindowsAndTheirBaseline(t *testing.T) {
	w := ingresstest.New(t)
	for n := range 35 {
		if _, err := w.Store.Results.Put(t.Context(), "anna", health.Day(20000+n).String(), 0, resultOf(float64(n))); err != nil {
			t.Fatal(err)
		}
	}
	for windows, want := range map[int]int{1: 1, 27: 27, 28: 28, 29: 29, 30: 30, 34: 34, 35: 35, 90: 35} {
		var got struct {
			Series []struct {
				Points   []struct{ Date string }
				Baseline struct {
					From   string
					Values int
				}
			}
		}
		w.Do("GET", fmt.Sprintf("/v1/trends?windows=%d", windows), ingresstest.Anna, nil).JSON(t, &got)
		s := got.Series[0]
		if len(s.Points) != want || s.Points[len(s.Points)-1].Date != health.Day(20034).String() || s.Baseline.Values != 28 || s.Baseline.From != health.Day(20006).String() {
			t.Errorf("%d windows: %d points, baseline %+v", windows, len(s.Points), s.Baseline)
		}
	}
}
