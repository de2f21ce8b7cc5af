package results

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/ingress/internal/route/routetest"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

// A route's row in the table of the API.
func TestWhatTheRoutesAre(t *testing.T) {
	got := routetest.Rows(New(Needs{}).Routes())
	want := []string{
		"GET /v1/days: access 0, body 0, status 0, stream false, erased too false",
		"GET /v1/days/{date}: access 0, body 0, status 0, stream false, erased too false",
		"GET /v1/days/{date}/series/{uuid}: access 0, body 0, status 0, stream false, erased too false",
		"GET /v1/weeks: access 0, body 0, status 0, stream false, erased too false",
		"GET /v1/weeks/{date}: access 0, body 0, status 0, stream false, erased too false",
		"GET /v1/trends: access 0, body 0, status 0, stream false, erased too false",
		"GET /v1/insights: access 0, body 0, status 0, stream false, erased too false",
		"GET /v1/insights/{date}: access 0, body 0, status 0, stream false, erased too false",
		"POST /v1/insights: access 0, body 1, status 0, stream false, erased too false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

// What is shown of an insight is a copy: the stored one keeps its nulls.
func TestAViewChangesNothing(t *testing.T) {
	stored := record.Insight{Insight: analysis.Insight{Sentences: []analysis.Claim{{Text: "a"}, {Text: "b", Facts: []string{"c"}}}}}
	v := viewInsight(store.Record[record.Insight]{Key: "2026-11-20", Value: stored})
	if stored.Insight.Sentences[0].Facts != nil || v.Insight.Sentences[0].Facts == nil || len(v.Insight.Sentences[1].Facts) != 1 {
		t.Errorf("stored %+v, shown %+v", stored, v)
	}
}

// Each family of a result is a series, under its own name.
func TestEveryFamilyHasItsSeries(t *testing.T) {
	value := func(v float64) analysis.Family { return analysis.Family{"m": &v} }
	r := analysis.Result{Wear: value(1), Sleep: value(2), Circadian: value(3), Activity: value(4), Cardio: value(5)}
	all := []store.Record[record.Result]{{Key: "2026-11-20", Value: record.Result{Result: r}}}
	var got []string
	for _, s := range trends(all, 28, "") {
		got = append(got, fmt.Sprint(s.Metric, " ", *s.Points[0].Value, " ", s.Points[0].Date, " ", len(s.Points)))
	}
	want := []string{"activity.m 4 2026-11-20 1", "cardio.m 5 2026-11-20 1", "circadian.m 3 2026-11-20 1", "sleep.m 2 2026-11-20 1", "wear.m 1 2026-11-20 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if got := trends(all, 28, "cardio.m"); len(got) != 1 || got[0].Metric != "cardio.m" {
		t.Errorf("one metric: %+v", got)
	}
	all[0].Key = "no date"
	if got := trends(all, 28, "cardio.m"); len(got) != 1 || got[0].Baseline != nil {
		t.Errorf("a key that is no date has no baseline: %+v", got)
	}
}
