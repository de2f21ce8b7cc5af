package history

import (
	"math"
	"math/rand/v2"
	"time"
)

// A minute is one minute of being awake.
type minute struct {
	start   time.Time
	steps   float64
	kcal    float64
	bpm     float64
	workout bool
	watch   bool // the Watch is on the wrist
	phone   bool // the iPhone is in a pocket
}

// A bout is a stretch of one activity, in minutes of the local day.
type bout struct {
	at, length int
	cadence    float64 // steps a minute
	kcal, bpm  float64
	phone      bool
	nap        bool
	workout    bool
}

// plan is what the person does on day i.
func (p *person) plan(i int, r *rand.Rand) []bout {
	walk := func(at, length int) bout {
		return bout{at: at + r.IntN(12), length: length + r.IntN(5), cadence: 102 + 7*r.NormFloat64(), kcal: 4.1, bpm: 96, phone: r.Float64() < 0.85}
	}
	free := p.date(i).Weekday() == time.Saturday || p.date(i).Weekday() == time.Sunday
	var bouts []bout
	if free {
		bouts = append(bouts, walk(11*60, 55), walk(15*60+40, 40), walk(19*60, 14))
	} else {
		bouts = append(bouts, walk(8*60+5, 22), walk(12*60+25, 16), walk(17*60+40, 24), walk(20*60, 8))
	}
	if i%7 == 1 || i%7 == 5 {
		bouts = append(bouts, bout{at: 18*60 + 40, length: 38 + r.IntN(8), cadence: 164, kcal: 11.2, bpm: 152, workout: true})
	}
	if i == 5 || i == 12 || i == 26 {
		bouts = append(bouts, bout{at: 13*60 + 40, length: 28 + r.IntN(24), bpm: 57, nap: true})
	}
	return bouts
}

// recordDay writes what lies between getting up on day i and the next bedtime.
func (p *person) recordDay(i int) {
	r := p.rand(i, "day")
	minutes := p.wakingMinutes(i, r)
	p.recordSteps(minutes, watch, r)
	p.recordSteps(minutes, iPhone, r)
	p.recordEnergy(minutes, r)
	p.recordHeart(minutes, i, r)
	p.recordHabits(minutes, i, r)
}

func (p *person) wakingMinutes(i int, r *rand.Rand) []minute {
	from, to := p.nights[i].Up, p.nights[i+1].Bed
	loc := p.zoneAt(from)
	bouts := p.plan(i, r)
	charge := p.clock(i, 21*60+r.IntN(20), p.zoneAt(to))
	var out []minute
	potter, carry := 0, false
	for at := from; at.Before(to); at = at.Add(time.Minute) {
		m := minute{start: at, watch: i != dayWatchless && (at.Before(charge) || !at.Before(charge.Add(50*time.Minute)))}
		clock := int(at.Sub(p.clock(i, 0, loc)) / time.Minute)
		if potter--; potter < -20-r.IntN(60) {
			potter, carry = 2+r.IntN(7), r.Float64() < 0.4
		}
		m.bpm, m.kcal = 67+3*r.NormFloat64(), 0.1+0.25*r.Float64()
		if potter > 0 && !p.flying(at) {
			m.steps, m.kcal, m.bpm, m.phone = math.Round(15+30*r.Float64()), 0.9+0.5*r.Float64(), 78+3*r.NormFloat64(), carry
		}
		for _, b := range bouts {
			if clock < b.at || clock >= b.at+b.length || p.flying(at) {
				continue
			}
			m.phone, m.workout = b.phone, b.workout
			m.steps = math.Round(b.cadence + 3*r.NormFloat64())
			m.kcal, m.bpm = b.kcal*(0.9+0.2*r.Float64()), b.bpm+4*r.NormFloat64()
			if b.nap {
				m.steps, m.kcal, m.bpm, m.phone = 0, 0.03, b.bpm+r.NormFloat64(), false
			}
		}
		p.countSteps(m)
		out = append(out, m)
	}
	for _, b := range bouts {
		p.recordBout(i, b, loc)
	}
	return out
}

// countSteps adds to the truth: what the Watch counts, else what the iPhone does.
func (p *person) countSteps(m minute) {
	if !m.watch && !m.phone {
		return
	}
	if day := p.dayIndex(m.start); day >= 0 && day < Days {
		p.steps[day] += m.steps
	}
}

// dayIndex is the local day of t, counted from the first.
func (p *person) dayIndex(t time.Time) int {
	y, m, d := t.In(p.zoneAt(t)).Date()
	return int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Sub(p.date(0)) / (24 * time.Hour))
}

// recordBout writes the naps and workouts, as the Watch does.
func (p *person) recordBout(i int, b bout, loc *time.Location) {
	start := p.clock(i, b.at, loc)
	end := start.Add(time.Duration(b.length) * time.Minute)
	switch {
	case i == dayWatchless || p.flying(start):
	case b.nap:
		p.add(sample{kind: "HKCategoryTypeIdentifierSleepAnalysis", start: start.Add(4 * time.Minute), end: end.Add(-time.Minute), value: core, source: watch})
	case b.workout:
		p.add(sample{kind: "HKWorkoutTypeIdentifier", start: start, end: end, value: 37, source: watch, metadata: map[string]any{"HKIndoorWorkout": false, "HKWeatherTemperature": "9 degC"}})
	}
}

// recordSteps writes one device's steps and distance, in runs of at most eight
// minutes. The two devices cut and count the same walk differently.
func (p *person) recordSteps(minutes []minute, s source, r *rand.Rand) {
	longest, error := 5, 1.0
	if s == iPhone {
		longest = 8
	}
	for i := 0; i < len(minutes); i++ {
		first, steps := i, 0.0
		for ; i < len(minutes) && i-first < longest && minutes[i].sees(s) && minutes[i].steps > 0; i++ {
			steps += minutes[i].steps
		}
		if steps == 0 {
			continue
		}
		start, end := minutes[first].start, minutes[i-1].start.Add(time.Minute)
		if s == iPhone {
			start, end = start.Add(time.Duration(r.IntN(20))*time.Second), end.Add(-time.Duration(r.IntN(20))*time.Second)
			error = 0.93 + 0.1*r.Float64()
		}
		counted := math.Round(steps * error)
		p.add(sample{kind: "HKQuantityTypeIdentifierStepCount", start: start, end: end, value: counted, unit: "count", source: s})
		p.add(sample{kind: "HKQuantityTypeIdentifierDistanceWalkingRunning", start: start, end: end, value: round(counted*0.74*(0.98+0.04*r.Float64()), 2), unit: "m", source: s})
		i--
	}
}

// sees says whether the device counts in this minute.
func (m minute) sees(s source) bool {
	if s == watch {
		return m.watch
	}
	return m.phone
}

// recordEnergy writes the Watch's active energy, a sample a minute when moving
// and one in five minutes when not, and the iPhone's estimate of walks.
func (p *person) recordEnergy(minutes []minute, r *rand.Rand) {
	for i := 0; i < len(minutes); {
		length := 1
		for length < 5 && minutes[i].kcal < 0.5 && i+length < len(minutes) && minutes[i+length].kcal < 0.5 && minutes[i+length].watch == minutes[i].watch {
			length++
		}
		kcal := 0.0
		for _, m := range minutes[i : i+length] {
			kcal += m.kcal
		}
		start, end := minutes[i].start, minutes[i].start.Add(time.Duration(length)*time.Minute)
		if minutes[i].watch {
			p.add(sample{kind: "HKQuantityTypeIdentifierActiveEnergyBurned", start: start, end: end, value: round(kcal, 3), unit: "kcal", source: watch})
		}
		if minutes[i].phone && minutes[i].steps > 60 {
			p.add(sample{kind: "HKQuantityTypeIdentifierActiveEnergyBurned", start: start, end: end, value: round(kcal*(0.8+0.15*r.Float64()), 3), unit: "kcal", source: iPhone})
		}
		i += length
	}
}

// recordHeart writes heart rate: every five minutes, every five seconds in a
// workout; resting heart rate and the day's variability.
func (p *person) recordHeart(minutes []minute, i int, r *rand.Rand) {
	next := 0
	for k, m := range minutes {
		switch {
		case !m.watch:
		case m.workout:
			for s := 0; s < 60; s += 5 {
				at := m.start.Add(time.Duration(s) * time.Second)
				p.add(sample{kind: "HKQuantityTypeIdentifierHeartRate", start: at, end: at, value: round(m.bpm+2*r.NormFloat64(), 0), unit: "count/min", source: watch, metadata: map[string]any{"HKMetadataKeyHeartRateMotionContext": 2}})
			}
		case k >= next:
			at := m.start.Add(time.Duration(r.IntN(60)) * time.Second)
			p.add(sample{kind: "HKQuantityTypeIdentifierHeartRate", start: at, end: at, value: round(m.bpm, 0), unit: "count/min", source: watch})
			next = k + 4 + r.IntN(3)
		}
		if m.watch && k%240 == 97 {
			p.add(sample{kind: "HKQuantityTypeIdentifierHeartRateVariabilitySDNN", start: m.start, end: m.start.Add(time.Minute), value: round(44+9*r.NormFloat64(), 2), unit: "ms", source: watch})
		}
	}
	if i == dayWatchless || len(minutes) < 120 {
		return
	}
	strain := 0.0
	if i > dayFlightOut && i <= dayFlightBack+3 {
		strain = 3
	}
	p.add(sample{kind: "HKQuantityTypeIdentifierRestingHeartRate", start: minutes[0].start, end: minutes[len(minutes)-90].start, value: round(54+strain+1.2*r.NormFloat64(), 0), unit: "count/min", source: watch})
}

// recordHabits writes stand hours, mindful minutes, stairs and the weight typed in.
func (p *person) recordHabits(minutes []minute, i int, r *rand.Rand) {
	seen := map[time.Time]bool{}
	for _, m := range minutes {
		hour := m.start.Truncate(time.Hour) // zones here are whole hours from UTC
		if !m.watch || seen[hour] || m.start.Sub(hour) > 5*time.Minute {
			continue
		}
		seen[hour] = true
		idle := 0.0
		if r.Float64() < 0.15 {
			idle = 1
		}
		p.add(sample{kind: "HKCategoryTypeIdentifierAppleStandHour", start: hour, end: hour.Add(time.Hour), value: idle, source: watch})
	}
	if len(minutes) < 300 {
		return
	}
	if i%3 == 0 {
		at := minutes[20].start
		p.add(sample{kind: "HKQuantityTypeIdentifierBodyMass", start: at, end: at, value: round(71.4+0.4*r.NormFloat64(), 1), unit: "kg", source: iPhone, userEntered: true})
		at = minutes[len(minutes)-60].start
		p.add(sample{kind: "HKCategoryTypeIdentifierMindfulSession", start: at, end: at.Add(10 * time.Minute), source: iPhone})
	}
	for range 2 + r.IntN(4) {
		at := minutes[r.IntN(len(minutes))].start
		p.add(sample{kind: "HKQuantityTypeIdentifierFlightsClimbed", start: at, end: at.Add(20 * time.Second), value: float64(1 + r.IntN(3)), unit: "count", source: iPhone})
	}
}
