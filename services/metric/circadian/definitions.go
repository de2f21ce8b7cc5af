package circadian

import (
	"math"

	"github.com/clarity-loop/clarity/services/metric"
)

// Definitions are the family's metrics, in order. L5, M10, MESOR and amplitude
// are in the unit of the input an epoch: counts, or for a proxy kcal or steps.
func Definitions() []metric.Definition {
	const (
		witting  = "Witting et al. 1990, Biol Psychiatry 27:563–572; Van Someren et al. 1999, Chronobiol Int 16:505–518"
		someren  = "Van Someren et al. 1999, Chronobiol Int 16:505–518"
		halberg  = "Halberg et al. 1967; Cornelissen 2014, Theor Biol Med Model 11:16"
		perEpoch = "{input}/min"
	)
	inf := math.Inf(1)
	return []metric.Definition{
		define("interdaily_stability", "", 0, inf, witting, "How alike the days are: variance of the average day's hours over the variance of all hours.", interdailyStability),
		define("intradaily_variability", "", 0, inf, witting, "How broken the day is: mean squared step from hour to hour over the variance of all hours.", intradailyVariability),
		define("relative_amplitude", "", 0, 1, someren, "(M10 − L5) / (M10 + L5).", relativeAmplitude),
		define("l5", perEpoch, 0, inf, someren, "Mean activity a minute in the 5 least active successive hours of the average day.", func(in *metric.Input) (float64, error) {
			mean, _, err := l5(in)
			return mean, err
		}),
		define("l5_onset_minutes", "min", 0, minutes-1, someren, "Start of those 5 hours, minutes after local midnight.", func(in *metric.Input) (float64, error) {
			_, onset, err := l5(in)
			return float64(onset), err
		}),
		define("m10", perEpoch, 0, inf, someren, "Mean activity a minute in the 10 most active successive hours of the average day.", func(in *metric.Input) (float64, error) {
			mean, _, err := m10(in)
			return mean, err
		}),
		define("m10_onset_minutes", "min", 0, minutes-1, someren, "Start of those 10 hours, minutes after local midnight.", func(in *metric.Input) (float64, error) {
			_, onset, err := m10(in)
			return float64(onset), err
		}),
		define("cosinor_mesor", perEpoch, -inf, inf, halberg, "Mean level of the 24-hour cosine fitted by least squares.", func(in *metric.Input) (float64, error) {
			fit, err := fitted(in)
			return fit.Mesor, err
		}),
		define("cosinor_amplitude", perEpoch, 0, inf, halberg, "Half the height of that cosine.", func(in *metric.Input) (float64, error) {
			fit, err := fitted(in)
			return fit.Amplitude, err
		}),
		define("cosinor_acrophase_minutes", "min", 0, minutes, halberg, "When that cosine is highest, minutes after local midnight.", func(in *metric.Input) (float64, error) {
			fit, err := fitted(in)
			return fit.AcrophaseMinutes, err
		}),
	}
}

func fitted(in *metric.Input) (Cosinor, error) {
	if err := in.NeedActivity(leastDays); err != nil {
		return Cosinor{}, err
	}
	return Fit(in)
}

func define(name, unit string, lowest, highest float64, source, doc string, compute func(*metric.Input) (float64, error)) metric.Definition {
	return metric.Definition{Family: "circadian", Name: name, Unit: unit, Min: lowest, Max: highest, Doc: doc, Source: source, Compute: compute}
}
