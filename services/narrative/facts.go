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
	UnitDays     = "d"     // "7 days"
	UnitMinutes  = "min"   // a duration: "7 h 12 min"
	UnitClock    = "clock" // minutes after local midnight, also negative: "23:41"
	UnitPercent  = "%"     // "91 %"
	UnitCount    = "1"     // "9,120"
	UnitRatio    = "ratio" // "0.61"
	UnitKcal     = "kcal"  // "512 kcal"
	UnitBPM      = "/min"  // "57"
	UnitMs       = "ms"    // "48 ms"
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
		{"sleep.total_sleep_time_minutes", "sleep a night", UnitMinutes, true},
		{"sleep.time_in_bed_minutes", "time in bed a night", UnitMinutes, false},
		{"sleep.sleep_efficiency_percent", "share of the time in bed asleep", UnitPercent, false},
		{"sleep.sleep_onset_latency_minutes", "time to fall asleep", UnitMinutes, false},
		{"sleep.wake_after_sleep_onset_minutes", "time awake in the night", UnitMinutes, false},
		{"sleep.midpoint_minutes", "middle of sleep", UnitClock, true},
		{"circadian.interdaily_stability", "regularity of the days", UnitRatio, false},
		{"circadian.intradaily_variability", "fragmentation of the days", UnitRatio, false},
		{"circadian.relative_amplitude", "contrast of day and night", UnitRatio, false},
		{"circadian.m10_onset_minutes", "start of the most active hours", UnitClock, false},
		{"circadian.l5_onset_minutes", "start of the most restful hours", UnitClock, false},
		{"activity.steps_per_day", "steps a day", UnitCount, true},
		{"activity.active_energy_kcal_per_day", "active energy a day", UnitKcal, false},
		{"cardio.resting_heart_rate_bpm", "resting heart rate", UnitBPM, true},
		{"cardio.heart_rate_nadir_bpm", "lowest heart rate in sleep", UnitBPM, false},
		{"cardio.hrv_sdnn_ms", "heart rate variability (SDNN)", UnitMs, false},
		{"cardio.respiratory_rate_per_minute", "breaths a minute", UnitBPM, false},
		{"cardio.oxygen_saturation_percent", "blood oxygen", UnitPercent, false},
	}
}

// Facts are the numbers of a Result that may be said, and, where the week
// before is given, how the main ones changed. A metric without a value is no fact.
func Facts(r analysis.Result, before *analysis.Result) []analysis.Fact {
	facts := []analysis.Fact{fact(WindowDays, "days analysed", float64(r.Window.Days), UnitDays)}
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
			unit := s.unit
			change := value - earlier
			if unit == UnitClock {
				unit, change = UnitMinutes, math.Remainder(change, 1440)
			}
			facts = append(facts, fact(changePrefix+s.id, "change of "+s.label+" since the week before", change, unit))
		}
	}
	return facts
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
	case UnitDays:
		return plural(int(math.Round(abs)), "day")
	case UnitMinutes:
		return duration(int(math.Round(abs)))
	case UnitClock:
		m := int(math.Round(math.Mod(math.Mod(value, 1440)+1440, 1440))) % 1440
		return fmt.Sprintf("%02d:%02d", m/60, m%60)
	case UnitPercent:
		return strconv.Itoa(int(math.Round(abs))) + " %"
	case UnitRatio:
		return strconv.FormatFloat(abs, 'f', 2, 64)
	case UnitKcal, UnitMs:
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
