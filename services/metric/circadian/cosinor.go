package circadian

import (
	"math"

	"github.com/clarity-loop/clarity/services/metric"
)

// A Cosinor is the cosine of 24 hours that fits best by least squares:
// mesor + amplitude·cos(2π(t − acrophase)/1440).
type Cosinor struct {
	Mesor, Amplitude float64
	// AcrophaseMinutes is when the cosine is highest, in minutes after t = 0,
	// 0 to 1440.
	AcrophaseMinutes float64
}

// Fit fits a cosinor to the worn epochs, t being minutes after local midnight.
// The least squares are solved in closed form, so nothing has to converge.
func Fit(in *metric.Input) (Cosinor, error) {
	return averageDay(in).fit()
}

// fit solves the normal equations of y = m + b·cos + g·sin. Epochs of the same
// minute of the day share a row.
func (p *profile) fit() (Cosinor, error) {
	var n, y, c, s, cc, cs, ss, yc, ys float64
	for k := range minutes {
		if p.count[k] == 0 {
			continue
		}
		sin, cos := math.Sincos(2 * math.Pi * float64(k) / minutes)
		w, v := p.count[k], p.sum[k]
		n += w
		y += v
		c += w * cos
		s += w * sin
		cc += w * cos * cos
		cs += w * cos * sin
		ss += w * sin * sin
		yc += v * cos
		ys += v * sin
	}
	if n == 0 {
		return Cosinor{}, metric.Lacking(metric.NoSamples, "no worn minute in the window")
	}
	// Centre, then solve two equations in two unknowns.
	mc, ms, my := c/n, s/n, y/n
	cc, cs, ss = cc-n*mc*mc, cs-n*mc*ms, ss-n*ms*ms
	yc, ys = yc-n*my*mc, ys-n*my*ms
	det := cc*ss - cs*cs
	if det < 1e-4*n*n { // of ¼n² where the whole day is covered
		return Cosinor{}, metric.Lacking(metric.TooFewEpochs, "too little of the day was measured to tell a cosine from its mean")
	}
	b, g := (yc*ss-ys*cs)/det, (ys*cc-yc*cs)/det
	fit := Cosinor{Mesor: my - b*mc - g*ms, Amplitude: math.Hypot(b, g)}
	if fit.Amplitude <= 1e-12*math.Abs(my) {
		return Cosinor{}, metric.Lacking(metric.NoVariance, "activity does not change over the day")
	}
	fit.AcrophaseMinutes = math.Mod(math.Atan2(g, b)*minutes/(2*math.Pi)+minutes, minutes)
	return fit, nil
}
