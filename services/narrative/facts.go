package narrative

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/clarity-loop/clarity/services/analysis"
)

// The units of a Fact, which are also how its text is written.
const (
	unitDays     = "d"     // "7 days"
	unitMinutes  = "min"   // a duration: "7 h 12 min"
	unitClock    = "clock" // minutes after local midnight, also negative: "23:41"
	unitPercent  = "%"     // "91 %"
	unitCount    = "1"     // "9,120"
	unitRatio    = "ratio" // "0.61"
	unitKcal     = "kcal"  // "512 kcal"
	unitBPM      = "/min"  // "57"
	unitMs       = "ms"    // "48 ms"
	changePrefix = "change."
)

// WindowDays is the id of the fact that says how many days the others are about.
const WindowDays = "window.days"

// sayable is a metric that may be put into words.
type sayable struct {
	id, label, unit string
	changes         bool // may be compared with the week before
}

// sayables is the written-out list, in the order of telling. What is not on it
// is never given to a writer.
func sayables() []sayable {
	return []sayable{
		{"sleep.total_sleep_time_minutes", "sleep a night", unitMinutes, true},
		{"sleep.time_in_bed_minutes", "time in bed a night", unitMinutes, false},
		{"sleep.sleep_efficiency_percent", "share of the time in bed asleep", unitPercent, false},
		{"sleep.sleep_onset_latency_minutes", "time to fall asleep", unitMinutes, false},
		{"sleep.wake_after_sleep_onset_minutes", "time awake in the night", unitMinutes, false},
		{"sleep.midpoint_minutes", "middle of sleep", unitClock, true},
		{"circadian.interdaily_stability", "regularity of the days", unitRatio, false},
		{"circadian.intradaily_variability", "fragmentation of the days", unitRatio, false},
		{"circadian.relative_amplitude", "contrast of day and night", unitRatio, false},
		{"circadian.m10_onset_minutes", "start of the most active hours", unitClock, false},
		{"circadian.l5_onset_minutes", "start of the most restful hours", unitClock, false},
		{"activity.steps_per_day", "steps a day", unitCount, true},
		{"activity.active_energy_kcal_per_day", "active energy a day", unitKcal, false},
		{"cardio.resting_heart_rate_bpm", "resting heart rate", unitBPM, true},
		{"cardio.heart_rate_nadir_bpm", "lowest heart rate in sleep", unitBPM, false},
		{"cardio.hrv_sdnn_ms", "heart rate variability (SDNN)", unitMs, false},
		{"cardio.respiratory_rate_per_minute", "breaths a minute", unitBPM, false},
		{"cardio.oxygen_saturation_percent", "blood oxygen", unitPercent, false},
	}
}

// Facts are the numbers of a Result that may be said, and, where the week
// before is given, how the main ones changed. A metric without a value is no fact.
func Facts(r analysis.Result, before *analysis.Result) []analysis.Fact {
	facts := []analysis.Fact{fact(WindowDays, daysLabel, float64(r.Window.Days), unitDays)}
	for _, s := range sayables() {
		value, there := metricOf(r, s.id)
		if !there {
			continue
		}
		facts = append(facts, fact(s.id, s.label, value, s.unit))
		if before == nil || !s.changes {
			continue
		}
		if earlier, there := metricOf(*before, s.id); there {
			change := value - earlier
			if s.unit == unitClock {
				change = math.Remainder(change, 1440)
			}
			facts = append(facts, fact(changePrefix+s.id, s.changeLabel(), change, s.changeUnit()))
		}
	}
	return facts
}

// Known are those of the facts that are ours to say, under our own labels: each is made
// anew of its id, its value and its unit. What else a fact holds, a label or a text that
// somebody wrote, is not taken over, and a fact that is not on the list is left out.
func Known(facts []analysis.Fact) []analysis.Fact {
	values := make(map[string]float64, len(facts))
	for _, f := range facts {
		if !math.IsNaN(f.Value) && !math.IsInf(f.Value, 0) {
			values[f.ID] = f.Value
		}
	}
	var known []analysis.Fact
	add := func(id, label, unit string) {
		if v, there := values[id]; there {
			known = append(known, fact(id, label, v, unit))
		}
	}
	add(WindowDays, daysLabel, unitDays)
	for _, s := range sayables() {
		add(s.id, s.label, s.unit)
		if s.changes {
			add(changePrefix+s.id, s.changeLabel(), s.changeUnit())
		}
	}
	return known
}

// Direction is the word for how a Known fact differs from the week before, "" of one
// that is no change or that is written as none.
func Direction(f analysis.Fact) string {
	metric, is := strings.CutPrefix(f.ID, changePrefix)
	if !is || math.Abs(f.Value) < 0.5 {
		return ""
	}
	up, down := "more", "less"
	for _, s := range sayables() {
		if s.id == metric {
			up, down = s.directions()
		}
	}
	if f.Value > 0 {
		return up
	}
	return down
}

func (s sayable) directions() (up, down string) {
	switch s.unit {
	case unitClock:
		return "later", "earlier"
	case unitCount:
		return "more", "fewer"
	case unitBPM:
		return "higher", "lower"
	}
	return "more", "less"
}

// daysLabel is the label of WindowDays.
const daysLabel = "days analysed"

func (s sayable) changeLabel() string { return "change of " + s.label + " since the week before" }

// changeUnit is the unit of how much the metric changed: of a time of day, minutes.
func (s sayable) changeUnit() string {
	if s.unit == unitClock {
		return unitMinutes
	}
	return s.unit
}

func metricOf(r analysis.Result, id string) (value float64, there bool) {
	family, name, _ := strings.Cut(id, ".")
	families := map[string]analysis.Family{
		"wear": r.Wear, "sleep": r.Sleep, "circadian": r.Circadian, "activity": r.Activity, "cardio": r.Cardio,
	}
	p := families[family][name]
	if p == nil {
		return 0, false
	}
	return *p, true
}

func fact(id, label string, value float64, unit string) analysis.Fact {
	return analysis.Fact{ID: id, Label: label, Value: value, Unit: unit, Text: format(value, unit)}
}

// format writes a value as it may be said. A change is written without its
// sign: the words around it tell the direction.
func format(value float64, unit string) string {
	abs := math.Abs(value)
	switch unit {
	case unitDays:
		return plural(int(math.Round(abs)), "day")
	case unitMinutes:
		return duration(int(math.Round(abs)))
	case unitClock:
		m := int(math.Round(math.Mod(math.Mod(value, 1440)+1440, 1440))) % 1440
		return fmt.Sprintf("%02d:%02d", m/60, m%60)
	case unitPercent:
		return strconv.Itoa(int(math.Round(abs))) + " %"
	case unitRatio:
		return strconv.FormatFloat(abs, 'f', 2, 64)
	case unitKcal, unitMs:
		return thousands(int(math.Round(abs))) + " " + unit
	default:
		return thousands(int(math.Round(abs)))
	}
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

func duration(minutes int) string {
	switch h, m := minutes/60, minutes%60; {
	case h == 0:
		return strconv.Itoa(m) + " min"
	case m == 0:
		return strconv.Itoa(h) + " h"
	default:
		return fmt.Sprintf("%d h %d min", h, m)
	}
}

func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
