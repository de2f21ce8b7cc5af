package results_test

import (
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/ingress/internal/ingresstest"
)

// A day names its series, and each can be read: the person's own alone.
func TestASeriesIsReadWhereItsDaySaysItIs(t *testing.T) {
	w := ingresstest.New(t)
	ingresstest.Furnish(w)
	where := "/v1/days/2026-11-20/series/" + ingresstest.SeriesOf
	if r := w.Do("GET", "/v1/days/2026-11-20", ingresstest.Anna, nil); r.Status != 200 || !strings.Contains(string(r.Body), `"points":3`) || !strings.Contains(string(r.Body), `"where":"`+where+`"`) {
		t.Errorf("the day: %d %s", r.Status, r.Body)
	}
	want := `{"uuid":"` + ingresstest.SeriesOf + `","of":"anna","in":"series/there"}`
	if r := w.Do("GET", where, ingresstest.Anna, nil); r.Status != 200 || strings.TrimSpace(string(r.Body)) != want {
		t.Errorf("the series: %d %s", r.Status, r.Body)
	}
	for path, status := range map[string]int{
		where[:len(where)-1] + "e": 404, strings.Replace(where, "11-20", "11-21", 1): 404, "/v1/days/2026-11-20/series/x": 422, strings.Replace(where, "11-20", "02-30", 1): 422,
	} {
		if r := w.Do("GET", path, ingresstest.Anna, nil); r.Status != status {
			t.Errorf("%s: %d %s, want %d", path, r.Status, r.Body, status)
		}
	}
	if r := w.Do("GET", where, ingresstest.Ben, nil); r.Status != 404 {
		t.Errorf("another's: %d %s", r.Status, r.Body)
	}
}
