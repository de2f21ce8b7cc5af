// Package wear says how much of the window the device was worn.
package wear

import (
	"github.com/clarity-loop/clarity/services/metric"
)

// Definitions are the family's metrics, in order.
func Definitions() []metric.Definition {
	return []metric.Definition{
		{Family: "wear", Name: "valid_days", Unit: "d", Max: 400, Compute: validDays,
			Doc:    "Local days with at least 960 worn minutes.",
			Source: "Migueles et al. 2017, Sports Med 47:1821–1845"},
		{Family: "wear", Name: "worn_minutes", Unit: "min", Max: 400 * 1500, Compute: wornMinutes,
			Doc:    "Minutes in which the device was worn.",
			Source: "Choi et al. 2011, Med Sci Sports Exerc 43:357–364, for counts; docs/analysis/wear.md for phones"},
		{Family: "wear", Name: "worn_percent", Unit: "%", Max: 100, Compute: wornPercent,
			Doc:    "Worn minutes as percent of the window.",
			Source: "docs/analysis/wear.md"},
	}
}

func validDays(in *metric.Input) (float64, error) {
	if err := in.NeedActivity(0); err != nil {
		return 0, err
	}
	return float64(in.ValidDays()), nil
}

func wornMinutes(in *metric.Input) (float64, error) {
	if err := in.NeedActivity(0); err != nil {
		return 0, err
	}
	n := 0
	for _, d := range in.Days {
		n += d.Worn
	}
	return float64(n), nil
}

func wornPercent(in *metric.Input) (float64, error) {
	n, err := wornMinutes(in)
	if err != nil {
		return 0, err
	}
	return 100 * n / float64(len(in.Worn)), nil
}
