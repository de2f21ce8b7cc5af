package narrative

import (
	"regexp"
	"slices"
	"strings"

	"github.com/clarity-loop/clarity/services/analysis"
)

// A clause is a part of a sentence that may be about something of its own.
type clause struct{ from, to int }

var (
	divides = regexp.MustCompile(`[,;:] | (?:and|but|while|whereas|although|though|yet|so|with|that|which) |(?:\d|min|minutes|h|hours) of (?:your |the )?\d`)
	// goesOn is how a sentence begins that goes on about what was told before.
	goesOn = regexp.MustCompile(`^["']?(?:that|this|it) (?:is|was)\b`)
	alike  = regexp.MustCompile(`\b(?:added|gained|lost) [^.;:]* and $`)
	// pairs are what an "and" holds together.
	pairs = regexp.MustCompile(`\bbetween [a-z' ]{1,30} and\b`)
)

// clauses divides a text, as figures leaves it, not within a duration, and where one
// number is a part of another.
func clauses(text string) (all []clause) {
	blank := func(s string) string { return strings.Repeat("0", len(s)) }
	whole := pairs.ReplaceAllStringFunc(durationPattern.ReplaceAllStringFunc(text, blank), blank)
	from := 0
	for _, m := range divides.FindAllStringIndex(whole, -1) {
		at := m[0] + 1
		if of := strings.Index(whole[m[0]:m[1]], " of "); of >= 0 {
			at = m[0] + of + 1
		}
		all = append(all, clause{from, at})
		from = at
	}
	return append(all, clause{from, len(text)})
}

// A subject is what a metric is called in a text: the beginnings of its words, of those
// that make them another's, and of those that are its own where the text is of when.
type subject struct{ words, not, timed []string }

// subjectOf is the subject of a fact. A change is called as what changes: who slept
// later has slept neither more nor less.
func subjectOf(id string) subject {
	metric, change := strings.CutPrefix(id, changePrefix)
	s := subjectOfMetric(metric)
	switch {
	case change && metric == midpoint:
		s.timed = []string{"sleep", "slept", "night"}
	case change:
		s.not = append(s.not, "later", "earlier", "middle", "midpoint", "centre", "center")
	}
	return s
}

const midpoint = "sleep.midpoint_minutes"

// subjectOfMetric is the subject of a metric.
func subjectOfMetric(id string) subject {
	switch id {
	case "sleep.total_sleep_time_minutes":
		return subject{words: []string{"sleep", "slept", "asleep", "nights", "night's"}, not: append(fallingAsleep(), "wakeful")}
	case "sleep.time_in_bed_minutes":
		return subject{words: []string{"bed"}, not: []string{"went to bed"}}
	case "sleep.sleep_efficiency_percent":
		return subject{words: []string{"sleep", "slept", "asleep", "bed", "efficien"}, not: []string{"oxygen", "spo", "saturation"}}
	case "sleep.sleep_onset_latency_minutes":
		return subject{words: append([]string{"lay", "settle", "drift"}, fallingAsleep()...)}
	case "sleep.wake_after_sleep_onset_minutes":
		return subject{words: []string{"awake", "wake", "woke", "waking", "were up for"}}
	case midpoint:
		return subject{words: []string{"middle", "midpoint", "centre", "center", "centred"}}
	case "circadian.interdaily_stability":
		return subject{words: []string{"regular", "stabil", "stable", "interdaily"}}
	case "circadian.intradaily_variability":
		return subject{words: []string{"fragment", "intradaily"}}
	case "circadian.relative_amplitude":
		return subject{words: []string{"contrast", "amplitude"}}
	case "circadian.m10_onset_minutes":
		return subject{words: []string{"activ"}}
	case "circadian.l5_onset_minutes":
		return subject{words: []string{"rest", "calm", "quiet", "inactiv"}}
	case "activity.steps_per_day":
		return subject{words: []string{"step", "walk"}}
	case "activity.active_energy_kcal_per_day":
		return subject{words: []string{"energy", "kcal", "calor", "kilocalor", "moving", "movement", "burn"}}
	case "cardio.resting_heart_rate_bpm":
		return subject{words: []string{"heart", "pulse", "rest", "beat"}, not: []string{"lowest", "slowest", "nadir", "went down to"}}
	case "cardio.heart_rate_nadir_bpm":
		return subject{words: []string{"lowest", "slowest", "nadir", "went down to"}}
	case "cardio.hrv_sdnn_ms":
		return subject{words: []string{"variab", "variation", "sdnn", "hrv"}}
	case "cardio.respiratory_rate_per_minute":
		return subject{words: []string{"breath", "respir"}}
	case "cardio.oxygen_saturation_percent":
		return subject{words: []string{"oxygen", "saturation", "spo"}}
	}
	return subject{}
}

func fallingAsleep() []string {
	return []string{"fall asleep", "fell asleep", "falling asleep", "latency", "onset", "lying", "lay down", "went to bed",
		"sleep began", "sleep came within", "sleep came after", "before you slept", "before you fell", "before sleep"}
}

// about says whether the text is of the subject.
func (s subject) about(text string) bool {
	text = strings.ReplaceAll(text, "week before", "other week") // which is before nothing
	own := begins(text, s.words) || begins(text, s.timed) && begins(text, []string{"later", "earlier"})
	return own && !begins(text, s.not)
}

// begins says whether a word of the text begins with one of these.
func begins(text string, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(" "+text, " "+w) || strings.Contains(text, "("+w) })
}

// A reading is a sentence in its clauses.
type reading struct {
	text  string
	parts []clause
}

func readingOf(text string) reading { return reading{text, clauses(text)} }

// clauseOf is the index of the clause with that byte.
func (r reading) clauseOf(at int) int {
	return slices.IndexFunc(r.parts, func(c clause) bool { return at < c.to })
}

// scopes are what a word at that byte may be about, the nearest first: its clause, that
// with the ones before it, and those with the ones behind.
func (r reading) scopes(at int) (all []string) {
	i := r.clauseOf(at)
	for from := i; from >= 0; from-- {
		all = append(all, r.text[r.parts[from].from:r.parts[i].to])
	}
	for to := i + 1; to < len(r.parts); to++ {
		all = append(all, r.text[:r.parts[to].to])
	}
	return all
}

// speaksOf says whether the number at that byte is said of the fact: its clause names
// the fact and, if it names none, the nearest one around it that names something of the
// unit. A sentence that names nothing at all may go on about what was told before.
func (r reading) speaksOf(at int, f analysis.Fact) bool {
	s := subjectOf(f.ID)
	for i, scope := range r.scopes(at) {
		if s.about(scope) {
			return true
		}
		if i == 0 && names(scope) || rivals(scope, f.Unit) {
			return false
		}
	}
	return f.Unit != unitClock && f.Unit != unitRatio && !names(r.text) && goesOn.MatchString(r.text)
}

// compares says whether the number at that byte of a sentence that compares is how much:
// "by 22 min", in brackets behind a word of direction, or the second thing that was
// added or lost.
func (r reading) compares(at int) bool {
	before := r.text[:at]
	if strings.HasSuffix(before, " by ") || alike.MatchString(before) {
		return true
	}
	return strings.HasSuffix(before, "(") && len(directions(r.text[r.parts[r.clauseOf(at)].from:at])) > 0
}

// meant are those of the changes that a word at that byte is said of: those that the
// nearest clause names in which any is named, all in a sentence that names nothing.
func (r reading) meant(at int, changes []analysis.Fact) []analysis.Fact {
	for _, scope := range r.scopes(at) {
		var named []analysis.Fact
		for _, f := range changes {
			if subjectOf(f.ID).about(scope) {
				named = append(named, f)
			}
		}
		if len(named) > 0 || names(scope) {
			return named
		}
	}
	return changes
}

// rivals says whether the text names a metric of the unit.
func rivals(text, unit string) bool {
	return slices.ContainsFunc(sayables(), func(s sayable) bool { return s.unit == unit && subjectOf(s.id).about(text) })
}

// names says whether the text names any metric.
func names(text string) bool {
	return slices.ContainsFunc(sayables(), func(s sayable) bool { return subjectOf(s.id).about(text) })
}
