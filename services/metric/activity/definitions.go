// Package activity describes how much a person moves: counts of an
// accelerometer, minutes by intensity, steps and active energy.
package activity

import (
	"math"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/metric"
)

// Definitions are the family's metrics, in order: means a day.
func Definitions() []metric.Definition {
	const (
		varma = "Varma et al. 2018, Prev Med 106:233–235"
		di    = "Di et al. 2017, bioRxiv 182337"
		cut   = "cut points: Troiano et al. 2008 (vertical axis); Sasaki et al. 2011 and Aguilar-Farías et al. 2014 (vector magnitude)"
		own   = "docs/analysis/activity.md"
		day   = 1500
	)
	inf := math.Inf(1)
	return []metric.Definition{
		define("total_activity_counts_per_day", "{count}/d", inf, varma, "TAC: sum of the counts of a valid day.", ofVolume(func(v Volume) float64 { return v.TAC })),
		define("total_log_activity_counts_per_day", "1/d", inf, varma, "TLAC: sum of ln(1 + count) over the minutes of a valid day.", ofVolume(func(v Volume) float64 { return v.TLAC })),
		define("log_total_activity_counts_per_day", "", inf, varma, "LTAC: ln of TAC.", logTotal),
		define("sedentary_minutes_per_day", "min/d", day, cut, "Minutes below the light cut point, sleep included, of a valid day.", intensity(0)),
		define("light_minutes_per_day", "min/d", day, cut, "Minutes of light activity.", intensity(1)),
		define("moderate_minutes_per_day", "min/d", day, cut, "Minutes of moderate activity.", intensity(2)),
		define("vigorous_minutes_per_day", "min/d", day, cut, "Minutes of vigorous activity.", intensity(3)),
		define("active_to_sedentary_transition_probability", "", 1, di, "ASTP: one over the mean length of active bouts in minutes.", transition(func(v Volume) *float64 { return v.ASTP })),
		define("sedentary_to_active_transition_probability", "", 1, di, "SATP: one over the mean length of sedentary bouts in minutes.", transition(func(v Volume) *float64 { return v.SATP })),
		define("steps_per_day", "{steps}/d", inf, own, "Steps a day, over the days with any step sample.", daily("step count", func(d metric.Day) *float64 { return d.Steps })),
		define("active_energy_kcal_per_day", "kcal/d", inf, own, "Active energy a day, over the days with any such sample.", daily("active energy", func(d metric.Day) *float64 { return d.ActiveEnergy })),
	}
}

func define(name, unit string, highest float64, source, doc string, compute func(*metric.Input) (float64, error)) metric.Definition {
	return metric.Definition{Family: "activity", Name: name, Unit: unit, Max: highest, Doc: doc, Source: source, Compute: compute}
}

func daily(what string, of func(metric.Day) *float64) func(*metric.Input) (float64, error) {
	return func(in *metric.Input) (float64, error) {
		sum, days := 0.0, 0
		for _, d := range in.Days {
			if v := of(d); v != nil {
				sum += *v
				days++
			}
		}
		if days == 0 {
			return 0, metric.Lacking(metric.NoSamples, "no %s in the window", what)
		}
		return sum / float64(days), nil
	}
}

// needCounts returns the error of a window that holds no counts of valid days.
func needCounts(in *metric.Input) error {
	if err := in.NeedActivity(0); err != nil {
		return err
	}
	if kind := in.Recording.Kind; kind != actigraphy.Counts {
		return metric.Lacking(metric.NotApplicable, "defined for an accelerometer's counts; the input is %s, a proxy", kind)
	}
	return in.NeedActivity(1)
}

func ofVolume(of func(Volume) float64) func(*metric.Input) (float64, error) {
	return func(in *metric.Input) (float64, error) {
		if err := needCounts(in); err != nil {
			return 0, err
		}
		return of(Summarise(in, 0)), nil
	}
}

func logTotal(in *metric.Input) (float64, error) {
	if err := needCounts(in); err != nil {
		return 0, err
	}
	v := Summarise(in, 0)
	if v.TAC < 1 {
		return 0, metric.Lacking(metric.NoVariance, "less than one count a day has no logarithm of use")
	}
	return math.Log(v.TAC), nil
}

// cutPoints are the counts a minute from which activity is light, moderate and
// vigorous, for adults who wear an ActiGraph on the hip. Files do not say
// where it was worn. ok is false for devices without published ones here.
func cutPoints(rec actigraphy.Recording) (cuts [3]float64, ok bool) {
	switch {
	case len(rec.Device) < 9 || rec.Device[:9] != "ActiGraph":
	case rec.Channel == "vertical axis":
		return [3]float64{100, 2020, 5999}, true
	case rec.Channel == "vector magnitude":
		return [3]float64{200, 2690, 6167}, true
	}
	return cuts, false
}

func needCuts(in *metric.Input) (cuts [3]float64, err error) {
	if err = needCounts(in); err != nil {
		return cuts, err
	}
	cuts, ok := cutPoints(in.Recording)
	if !ok {
		return cuts, metric.Lacking(metric.NotApplicable, "no cut points for the counts of this device")
	}
	return cuts, nil
}

func intensity(level int) func(*metric.Input) (float64, error) {
	return func(in *metric.Input) (float64, error) {
		cuts, err := needCuts(in)
		if err != nil {
			return 0, err
		}
		bounds := [5]float64{math.Inf(-1), cuts[0], cuts[1], cuts[2], math.Inf(1)}
		n, days := 0, 0
		for _, d := range in.Days {
			if !d.Valid {
				continue
			}
			days++
			for i := d.First; i < d.End; i++ {
				if v := in.Recording.Values[i]; in.Worn[i] && v >= bounds[level] && v < bounds[level+1] {
					n++
				}
			}
		}
		return float64(n) / float64(days), nil
	}
}

func transition(of func(Volume) *float64) func(*metric.Input) (float64, error) {
	return func(in *metric.Input) (float64, error) {
		cuts, err := needCuts(in)
		if err != nil {
			return 0, err
		}
		p := of(Summarise(in, cuts[0]))
		if p == nil {
			return 0, metric.Lacking(metric.NoVariance, "the window has only one kind of bout")
		}
		return *p, nil
	}
}
