package results_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
	"github.com/clarity-loop/clarity/services/record"
)

func TestPages(t *testing.T) {
	w := ingresstest.New(t)
	for n := range 5 {
		if _, err := w.Store.Days.Put(t.Context(), "anna", health.Day(20000+n).String(), 0, record.Day{Samples: 1}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	path := "/v1/days?limit=2&from=" + health.Day(20001).String()
	for cursor := ""; ; {
		var p struct {
			Items []struct{ Date string }
			Next  string
		}
		r := w.Do("GET", path+cursor, ingresstest.Anna, nil)
		r.JSON(t, &p)
		for _, d := range p.Items {
			got = append(got, d.Date)
		}
		if p.Next == "" {
			break
		}
		cursor = "&cursor=" + p.Next
	}
	want := []string{health.Day(20004).String(), health.Day(20003).String(), health.Day(20002).String(), health.Day(20001).String()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("days, newest first (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"limit=0", "limit=201", "limit=x", "cursor=!", "cursor=made-up", "cursor=2026-13-01", "from=2026-13-01", "to=", "from=2026-01-01&from=2026-01-02", "nope=1"} {
		if r := w.Do("GET", "/v1/days?"+bad, ingresstest.Anna, nil); r.Status != 422 {
			t.Errorf("%s: %d %s", bad, r.Status, r.Body)
		}
	}
}

// A day of which everything was deleted is no more there than one of which nothing came.
func TestADayWithoutSamplesIsNotThere(t *testing.T) {
	w := ingresstest.New(t)
	w.Consent(ingresstest.Anna, true)
	for n := range 130 {
		samples := 0
		if n == 3 || n > 125 {
			samples = n
		}
		if _, err := w.Store.Days.Put(t.Context(), "anna", health.Day(20000+n).String(), 0, record.Day{Samples: samples}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for cursor := ""; ; {
		var page struct {
			Items []struct{ Date string }
			Next  string
		}
		w.Do("GET", "/v1/days?limit=3"+cursor, ingresstest.Anna, nil).JSON(t, &page)
		for _, day := range page.Items {
			got = append(got, day.Date)
		}
		if page.Next == "" {
			break
		}
		cursor = "&cursor=" + page.Next
	}
	want := []string{health.Day(20129).String(), health.Day(20128).String(), health.Day(20127).String(), health.Day(20126).String(), health.Day(20003).String()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("days (-want +got):\n%s", diff)
	}
	for date, status := range map[string]int{health.Day(20003).String(): 200, health.Day(20004).String(): 404} {
		if r := w.Do("GET", "/v1/days/"+date, ingresstest.Anna, nil); r.Status != status {
			t.Errorf("%s: %d %s, want %d", date, r.Status, r.Body, status)
		}
	}
}
