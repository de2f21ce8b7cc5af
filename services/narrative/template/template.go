// Package template puts facts into fixed sentences: the same facts, the same
// words. It is what a person reads whenever no model may, can or does write.
package template

import (
	"context"
	"strings"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/narrative"
)

// A Writer is a narrative.Writer without a model.
type Writer struct{}

// New is the template writer.
func New() Writer { return Writer{} }

// Name is "template".
func (Writer) Name() string { return "template" }

// Write tells what there is to tell, family by family, and says which family
// had too little data.
func (Writer) Write(_ context.Context, facts []analysis.Fact) ([]analysis.Claim, error) {
	t := telling{facts: make(map[string]analysis.Fact, len(facts))}
	for _, f := range facts {
		t.facts[f.ID] = f
	}
	for _, s := range script() {
		t.tell(s)
	}
	return t.claims, nil
}

// A line is one sentence; {id} stands for a fact's text. It is told where every
// fact is there. more and less are what {word} becomes by the sign of the fact
// that change names; a change smaller than least is not told.
type line struct {
	text       string
	change     string
	more, less string
	least      float64
	otherwise  string // told where a fact is missing
}

// script is everything the template can say, in order.
func script() []line {
	return []line{
		{text: "Over {window.days}, you slept {sleep.total_sleep_time_minutes} a night on average.",
			otherwise: "There was not enough data to say anything about your sleep."},
		{text: "That is {change.sleep.total_sleep_time_minutes} {word} a night than in the week before.",
			change: "change.sleep.total_sleep_time_minutes", more: "more", less: "less", least: 5},
		{text: "You spent {sleep.time_in_bed_minutes} a night in bed and were asleep for {sleep.sleep_efficiency_percent} of it."},
		{text: "It took you {sleep.sleep_onset_latency_minutes} to fall asleep, and you were awake for {sleep.wake_after_sleep_onset_minutes} in the night."},
		{text: "The middle of your sleep was at {sleep.midpoint_minutes}."},
		{text: "That is {change.sleep.midpoint_minutes} {word} than in the week before.",
			change: "change.sleep.midpoint_minutes", more: "later", less: "earlier", least: 10},
		{text: "Your most active hours began at {circadian.m10_onset_minutes}, your most restful at {circadian.l5_onset_minutes}.",
			otherwise: "There was not enough data to say anything about your daily rhythm."},
		{text: "The regularity of your days (interdaily stability) was {circadian.interdaily_stability}, their fragmentation (intradaily variability) {circadian.intradaily_variability}, and the contrast of day and night (relative amplitude) {circadian.relative_amplitude}."},
		{text: "You walked {activity.steps_per_day} steps a day.",
			otherwise: "There was not enough data to say how much you walked."},
		{text: "That is {change.activity.steps_per_day} {word} a day than in the week before.",
			change: "change.activity.steps_per_day", more: "more", less: "fewer", least: 100},
		{text: "Moving took {activity.active_energy_kcal_per_day} a day."},
		{text: "Your resting heart rate was {cardio.resting_heart_rate_bpm} beats a minute.",
			otherwise: "There was not enough data to say anything about your heart rate."},
		{text: "That is {change.cardio.resting_heart_rate_bpm} beats a minute {word} than in the week before.",
			change: "change.cardio.resting_heart_rate_bpm", more: "more", less: "fewer", least: 1.5},
		{text: "In your sleep your heart rate went to {cardio.heart_rate_nadir_bpm} beats a minute at the lowest."},
		{text: "Your heart rate variability (SDNN) was {cardio.hrv_sdnn_ms}."},
		{text: "You breathed {cardio.respiratory_rate_per_minute} times a minute in your sleep."},
		{text: "Your blood oxygen was {cardio.oxygen_saturation_percent}."},
	}
}

type telling struct {
	facts  map[string]analysis.Fact
	claims []analysis.Claim
}

func (t *telling) tell(l line) {
	text, cited, ok := t.fill(l)
	if !ok {
		if l.otherwise != "" {
			t.claims = append(t.claims, analysis.Claim{Text: l.otherwise, Facts: []string{}})
		}
		return
	}
	t.claims = append(t.claims, analysis.Claim{Text: text, Facts: cited})
}

// fill puts the facts into the line; ok is false where one is missing or the
// change is not worth telling.
func (t *telling) fill(l line) (text string, cited []string, ok bool) {
	var b strings.Builder
	rest := l.text
	for {
		before, behind, found := strings.Cut(rest, "{")
		b.WriteString(before)
		if !found {
			return b.String(), cited, true
		}
		id, after, _ := strings.Cut(behind, "}")
		rest = after
		if id == "word" {
			b.WriteString(l.word(t.facts[l.change].Value))
			continue
		}
		f, there := t.facts[id]
		if !there || id == l.change && f.Value < l.least && -f.Value < l.least {
			return "", nil, false
		}
		b.WriteString(f.Text)
		cited = append(cited, id)
	}
}

func (l line) word(change float64) string {
	if change < 0 {
		return l.less
	}
	return l.more
}

var _ narrative.Writer = Writer{}
