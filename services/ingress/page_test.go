package ingress

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record"
)

func TestPages(t *testing.T) {
	w := newWorld(t)
	for n := range 5 {
		if _, err := w.store.Days.Put(t.Context(), "anna", health.Day(20000+n).String(), 0, record.Day{}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	path := "/v1/days?limit=2&from=" + health.Day(20001).String()
	for cursor := ""; ; {
		var p page[dayView]
		r := w.do("GET", path+cursor, anna, nil)
		r.json(t, &p)
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
	for _, bad := range []string{"limit=0", "limit=201", "limit=x", "cursor=!", "from=2026-13-01", "to=", "from=2026-01-01&from=2026-01-02", "nope=1"} {
		if r := w.do("GET", "/v1/days?"+bad, anna, nil); r.status != 422 {
			t.Errorf("%s: %d %s", bad, r.status, r.body)
		}
	}
}
