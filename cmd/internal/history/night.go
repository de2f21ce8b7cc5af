package history

import (
	"math"
	"math/rand/v2"
	"time"
)

// HealthKit's values of HKCategoryTypeIdentifierSleepAnalysis.
const (
	inBed = 0
	awake = 2
	core  = 3
	deep  = 4
	rem   = 5
)

// A night is a planned sleep and its stages.
type night struct {
	Night
	stages []stage
}

type stage struct {
	kind       int
	start, end time.Time
}

// planNight decides when the person sleeps into day i.
func (p *person) planNight(i int) night {
	r := p.rand(i, "plan")
	n := night{Night: Night{Day: p.day(i), Watch: i != dayWatchless && i != dayWatchless+1}}
	if i == dayFlightBack+1 {
		n.Zone = p.away.String()
		n.Bed = p.back.Add(2*time.Hour + jitter(r, 10))
		n.Up = n.Bed.Add(3*time.Hour + 40*time.Minute + jitter(r, 10))
	} else {
		loc := p.home
		if i > dayFlightOut && i <= dayFlightBack {
			loc = p.away
		}
		bed, up := p.habit(i)
		n.Zone = loc.String()
		n.Bed = p.clock(i, bed, loc).Add(jitter(r, 14))
		n.Up = p.clock(i, up, loc).Add(jitter(r, 10))
	}
	n.Onset = n.Bed.Add(time.Duration(8+r.IntN(14)) * time.Minute)
	n.Wake = n.Up.Add(-time.Duration(3+r.IntN(9)) * time.Minute)
	n.stages = stages(n.Onset, n.Wake, r)
	for _, s := range n.stages {
		d := s.end.Sub(s.start)
		switch s.kind {
		case awake:
			n.AwakeAfter += d
			n.Awakenings++
		case deep:
			n.Deep += d
		case rem:
			n.Rem += d
		default:
			n.Core += d
		}
	}
	n.Asleep = n.Deep + n.Rem + n.Core
	return n
}

// habit is when the person means to go to bed and get up, in minutes of day i.
func (p *person) habit(i int) (bed, up int) {
	bed, up = -45, 7*60+5
	if weekday := p.date(i).Weekday(); weekday == time.Saturday || weekday == time.Sunday {
		bed, up = 30, 8*60+35
	}
	switch i - dayFlightOut {
	case 1, 2: // six hours east of the clock on the wall
		return -130, 5 * 60
	case 3, 4:
		return -80, 6 * 60
	}
	switch i - dayFlightBack {
	case 2:
		return 25, 7*60 + 40
	case 3:
		return -15, 7*60 + 20
	}
	return bed, up
}

// stages fills onset to wake with cycles of about ninety minutes: deep sleep
// early, REM late, a short awakening now and then (Carskadon and Dement 2011).
func stages(onset, wake time.Time, r *rand.Rand) []stage {
	var out []stage
	at := onset
	add := func(kind int, minutes float64) {
		length := time.Duration(math.Round(minutes*2)) * 30 * time.Second
		end := at.Add(max(length, 30*time.Second))
		if end.After(wake) || kind != awake && wake.Sub(end) < 2*time.Minute {
			end = wake
		}
		if !end.After(at) {
			return
		}
		if last := len(out) - 1; last >= 0 && out[last].kind == kind {
			out[last].end = end
		} else {
			out = append(out, stage{kind, at, end})
		}
		at = end
	}
	for cycle := 0; at.Before(wake); cycle++ {
		early := math.Exp(-float64(cycle) / 1.6)
		add(core, 14+8*r.Float64())
		add(deep, 38*early+4*r.Float64())
		add(core, 22+14*r.Float64())
		add(rem, 8+7*float64(min(cycle, 4))+5*r.Float64())
		if at.Before(wake.Add(-10*time.Minute)) && r.Float64() < 0.6 {
			add(awake, 1.5+5*r.Float64())
		}
	}
	if last := len(out) - 1; last > 0 && out[last].kind == awake {
		out[last].kind = core // the final awakening is Wake
	}
	return out
}

// recordNight writes what phone and Watch see of a sleep.
func (p *person) recordNight(n *night, i int, r *rand.Rand) {
	if i != dayFlightBack+1 { // no sleep schedule on a plane
		p.add(sample{kind: "HKCategoryTypeIdentifierSleepAnalysis", start: n.Bed, end: n.Up, value: inBed, source: iPhone})
	}
	if !n.Watch {
		return
	}
	for _, s := range n.stages {
		p.add(sample{kind: "HKCategoryTypeIdentifierSleepAnalysis", start: s.start, end: s.end, value: float64(s.kind), source: watch})
	}
	for at := n.Onset; at.Before(n.Wake); at = at.Add(time.Duration(8+r.IntN(5)) * time.Minute) {
		p.add(sample{kind: "HKQuantityTypeIdentifierRespiratoryRate", start: at, end: at, value: round(14.2+0.7*r.NormFloat64(), 1), unit: "count/min", source: watch})
		if r.Float64() < 0.5 {
			p.add(sample{kind: "HKQuantityTypeIdentifierOxygenSaturation", start: at, end: at.Add(15 * time.Second), value: round(min(1, 0.962+0.011*r.NormFloat64()), 2), unit: "%", source: watch})
		}
	}
	length := n.Wake.Sub(n.Onset)
	for at := n.Onset; at.Before(n.Wake); at = at.Add(4*time.Minute + time.Duration(r.IntN(120))*time.Second) {
		through := float64(at.Sub(n.Onset)) / float64(length)
		bpm := 56 - 5*math.Sin(math.Pi*math.Min(1, through*1.25)) + 1.2*r.NormFloat64()
		p.add(sample{kind: "HKQuantityTypeIdentifierHeartRate", start: at, end: at, value: round(bpm, 0), unit: "count/min", source: watch})
	}
	at := n.Onset.Add(length * 3 / 5)
	p.add(sample{kind: "HKQuantityTypeIdentifierHeartRateVariabilitySDNN", start: at, end: at.Add(time.Minute), value: round(62+7*r.NormFloat64(), 2), unit: "ms", source: watch})
	for at := n.Bed; at.Before(n.Up); at = at.Add(15 * time.Minute) { // turning over
		p.add(sample{kind: "HKQuantityTypeIdentifierActiveEnergyBurned", start: at, end: at.Add(15 * time.Minute), value: round(0.02+0.1*r.Float64(), 3), unit: "kcal", source: watch})
	}
}

func jitter(r *rand.Rand, minutes float64) time.Duration {
	m := max(-2*minutes, min(2*minutes, minutes*r.NormFloat64()))
	return time.Duration(math.Round(m*2)) * 30 * time.Second
}

func round(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}
