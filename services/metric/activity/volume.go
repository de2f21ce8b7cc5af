package activity

import (
	"math"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/metric"
)

// A Volume sums up the valid days of a window, as arctools does.
type Volume struct {
	TAC, TLAC float64 // a valid day
	// ASTP and SATP are one over the mean length of a bout, nil without a bout.
	ASTP, SATP *float64
	// ActiveMinutes and ActiveBouts are a valid day's.
	ActiveMinutes, ActiveBouts float64
}

// Summarise computes the volume of the valid days; a minute of at least active
// counts is active. Unworn minutes of a valid day get the mean of the same
// minute on the valid days. Bouts go on over midnight from one valid day to the
// next. The caller makes sure that there is a valid day.
func Summarise(in *metric.Input, active float64) Volume {
	profile := validProfile(in)
	var v Volume
	var minutes, bouts [2]float64 // sedentary, active
	days, last, lastEnd := 0.0, -1, -1
	for _, d := range in.Days {
		if !d.Valid {
			continue
		}
		days++
		if d.First != lastEnd {
			last = -1
		}
		lastEnd = d.End
		for i := d.First; i < d.End; i++ {
			x := in.Recording.Values[i]
			if !in.Worn[i] {
				x = profile[in.Clock[i]]
			}
			v.TAC += x
			v.TLAC += math.Log1p(x)
			state := 0
			if x >= active {
				state = 1
			}
			minutes[state]++
			if state != last {
				bouts[state]++
			}
			last = state
		}
	}
	v.TAC, v.TLAC = v.TAC/days, v.TLAC/days
	v.ActiveMinutes, v.ActiveBouts = minutes[1]/days, bouts[1]/days
	v.SATP, v.ASTP = perMinute(bouts[0], minutes[0]), perMinute(bouts[1], minutes[1])
	return v
}

func perMinute(bouts, minutes float64) *float64 {
	if bouts == 0 {
		return nil
	}
	p := bouts / minutes
	return &p
}

// validProfile is the mean of each minute of the day over the worn minutes of valid days.
func validProfile(in *metric.Input) (mean [actigraphy.MinutesPerDay]float64) {
	var count [actigraphy.MinutesPerDay]float64
	for _, d := range in.Days {
		for i := d.First; d.Valid && i < d.End; i++ {
			if in.Worn[i] {
				mean[in.Clock[i]] += in.Recording.Values[i]
				count[in.Clock[i]]++
			}
		}
	}
	for k := range mean {
		if count[k] > 0 {
			mean[k] /= count[k]
		}
	}
	return mean
}
