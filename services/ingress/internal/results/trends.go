package results

import (
	"context"
	"maps"
	"math"
	"slices"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/ingress/internal/reply"
	"github.com/clarity-loop/clarity/services/record"
	"github.com/clarity-loop/clarity/services/store"
)

const trendsDetail = `One series a metric, a point a window, oldest first. A point is null where the window's data did not suffice.

The baseline is the person's own: median and median absolute deviation of the windows that end in the 28 days before
the newest one, which itself is not part of it. It is null with fewer than 7 values. ` +
	"`robustZ`" + ` is 0.6745 × (newest − median) / MAD (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993);
null where the baseline is, or its MAD is 0. Neighbouring windows share six days: the values are not independent.`

// The baseline's rule.
const (
	baselineDays   = 28
	baselineLeast  = 7
	madConsistency = 0.6745 // the upper quartile of a standard normal
)

type trendsInput struct {
	Windows int    `query:"windows" minimum:"1" maximum:"90" default:"28" doc:"most points a series"`
	To      string `query:"to" format:"date" doc:"last day of the newest window; the newest there is, if absent" example:"2026-11-30"`
	Metric  string `query:"metric" maxLength:"100" pattern:"^[a-z]+[.][a-z0-9_]+$" doc:"one metric; all if absent" example:"sleep.total_sleep_time_minutes"`
}

type trendsView struct {
	Series []series `json:"series" nullable:"false" doc:"in the order of the metrics' names"`
}

type trendsOutput struct{ Body trendsView }

type series struct {
	Metric   string    `json:"metric" doc:"family.metric; the unit is part of the name" example:"sleep.total_sleep_time_minutes"`
	Points   []point   `json:"points" nullable:"false"`
	Baseline *baseline `json:"baseline,omitempty" doc:"absent with fewer than 7 values in the 28 days before the newest window"`
	RobustZ  *float64  `json:"robustZ,omitempty" doc:"the newest value's distance from the baseline"`
}

type point struct {
	Date  string   `json:"date" format:"date" doc:"the window's last day"`
	Value *float64 `json:"value" doc:"null: insufficient data"`
}

type baseline struct {
	From   string  `json:"from" format:"date" doc:"first window's last day"`
	To     string  `json:"to" format:"date" doc:"last window's last day"`
	Values int     `json:"values" minimum:"7"`
	Median float64 `json:"median"`
	MAD    float64 `json:"mad" minimum:"0" doc:"median absolute deviation from the median"`
}

func (r *Room) getTrends(ctx context.Context, in *trendsInput) (*trendsOutput, error) {
	q, err := reply.RangeInput{To: in.To}.Query()
	if err != nil {
		return nil, err
	}
	q.Limit = max(in.Windows, baselineDays+1)
	newestFirst, err := r.Results.List(ctx, reply.UID(ctx), q)
	if err != nil {
		return nil, err
	}
	slices.Reverse(newestFirst)
	out := &trendsOutput{}
	out.Body.Series = trends(newestFirst, in.Windows, in.Metric)
	return out, nil
}

// trends turns results, oldest first, into series.
func trends(results []store.Record[record.Result], windows int, only string) []series {
	byMetric := map[string][]point{}
	for _, r := range results {
		for family, metrics := range families(r.Value.Result) {
			for name, value := range metrics {
				metric := family + "." + name
				if only == "" || only == metric {
					byMetric[metric] = append(byMetric[metric], point{r.Key, value})
				}
			}
		}
	}
	all := make([]series, 0, len(byMetric))
	for _, metric := range slices.Sorted(maps.Keys(byMetric)) {
		points := byMetric[metric]
		one := series{Metric: metric, Baseline: baselineOf(points)}
		one.RobustZ = robustZ(one.Baseline, points[len(points)-1].Value)
		one.Points = points[max(0, len(points)-windows):]
		all = append(all, one)
	}
	return all
}

func families(r analysis.Result) map[string]analysis.Family {
	return map[string]analysis.Family{"wear": r.Wear, "sleep": r.Sleep, "circadian": r.Circadian, "activity": r.Activity, "cardio": r.Cardio}
}

// baselineOf is that of the last point: of the windows that end in the days before it.
func baselineOf(points []point) *baseline {
	newest, err := health.ParseDay(points[len(points)-1].Date)
	if err != nil {
		return nil
	}
	first := (newest - baselineDays).String()
	b := &baseline{}
	var values []float64
	for _, p := range points[:len(points)-1] {
		if p.Value == nil || p.Date < first {
			continue
		}
		if b.From == "" {
			b.From = p.Date
		}
		b.To = p.Date
		values = append(values, *p.Value)
	}
	if len(values) < baselineLeast {
		return nil
	}
	b.Values, b.Median = len(values), median(values)
	for i, v := range values {
		values[i] = math.Abs(v - b.Median)
	}
	b.MAD = median(values)
	return b
}

func robustZ(b *baseline, newest *float64) *float64 {
	if b == nil || newest == nil || b.MAD == 0 {
		return nil
	}
	z := madConsistency * (*newest - b.Median) / b.MAD
	if math.IsInf(z, 0) || math.IsNaN(z) {
		return nil
	}
	return &z
}

// median sorts the values and returns the middle one, or the mean of the two.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	if n%2 == 1 {
		return values[n/2]
	}
	return values[n/2-1] + (values[n/2]-values[n/2-1])/2
}
