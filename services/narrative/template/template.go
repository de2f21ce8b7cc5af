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

// Write tells first what changed, what went the same way together, then the night, the
// rhythm of the days, the walking and the heart in a sentence each, and last of what
// there was too little data: at most five sentences.
func (Writer) Write(_ context.Context, facts []analysis.Fact) ([]analysis.Claim, error) {
	byID := make(map[string]analysis.Fact, len(facts))
	for _, f := range facts {
		byID[f.ID] = f
	}
	var claims []analysis.Claim
	if changed, any := changes(byID); any {
		claims = append(claims, changed)
	}
	var missing []string
	days, first := byID[narrative.WindowDays]
	for _, s := range sentences() {
		told, any := s.tell(byID)
		if !any {
			missing = append(missing, s.about)
			continue
		}
		if first { // of how many days all of it is
			told.Text, told.Facts = "over "+days.Text+" "+told.Text, append([]string{narrative.WindowDays}, told.Facts...)
			first = false
		}
		told.Text = strings.ToUpper(told.Text[:1]) + told.Text[1:] + "."
		claims = append(claims, told)
	}
	if len(missing) > 0 {
		claims = append(claims, analysis.Claim{Text: "There was not enough data to say anything about " + list(missing, "or") + ".", Facts: []string{}})
	}
	return claims, nil
}

// A part of a sentence is told where the fact that it names is there: {} stands for the
// fact's text, {word} for the direction of a change. A change smaller than least is not
// told.
type part struct {
	fact, text string
	least      float64
}

// changing are the changes, in the order of telling.
func changing() []part {
	return []part{
		{"change.sleep.total_sleep_time_minutes", "you slept {} {word} a night", 5},
		{"change.sleep.midpoint_minutes", "the middle of your sleep was {} {word}", 10},
		{"change.activity.steps_per_day", "you walked {} {word} steps a day", 100},
		{"change.cardio.resting_heart_rate_bpm", "your resting heart rate was {} beats a minute {word}", 1.5},
	}
}

// changes are the changes that are worth telling in one sentence: those that go the way
// of the first together, and behind them those that go the other way.
func changes(facts map[string]analysis.Fact) (told analysis.Claim, any bool) {
	var ways [2][]string // the first way, and the other
	first := 0.0
	for _, p := range changing() {
		text, there := p.fill(facts)
		if !there {
			continue
		}
		value := facts[p.fact].Value
		if first == 0 {
			first = value
		}
		way := 0
		if value*first < 0 {
			way = 1
		}
		ways[way] = append(ways[way], text)
		told.Facts = append(told.Facts, p.fact)
	}
	if first == 0 {
		return told, false
	}
	told.Text = "Compared with the week before, " + list(ways[0], "and")
	if len(ways[1]) > 0 {
		told.Text += ", while " + list(ways[1], "and")
	}
	told.Text += "."
	return told, true
}

// A sentence is what belongs together: what was done, and what came with it.
type sentence struct {
	about string // what there was no data of where no part can be told
	does  string // who does what
	has   string // who has what, where there is nothing that was done
	done  []part
	with  []part
}

func sentences() []sentence {
	return []sentence{
		{"your sleep", "you ", "you had ", []part{
			{"sleep.total_sleep_time_minutes", "slept {} a night", 0},
			{"sleep.time_in_bed_minutes", "spent {} in bed", 0},
		}, []part{
			{"sleep.sleep_efficiency_percent", "{} of the time in bed asleep", 0},
			{"sleep.sleep_onset_latency_minutes", "{} to fall asleep", 0},
			{"sleep.wake_after_sleep_onset_minutes", "{} awake in the night", 0},
			{"sleep.midpoint_minutes", "the middle of your sleep at {}", 0},
		}},
		{"your daily rhythm", "your days ", "your days had ", []part{
			{"circadian.m10_onset_minutes", "were most active from {} on", 0},
			{"circadian.l5_onset_minutes", "were most restful from {} on", 0},
		}, []part{
			{"circadian.interdaily_stability", "a regularity of {}", 0},
			{"circadian.intradaily_variability", "a fragmentation of {}", 0},
			{"circadian.relative_amplitude", "a contrast between day and night of {}", 0},
		}},
		{"how much you walked", "you ", "", []part{
			{"activity.steps_per_day", "walked {} steps a day", 0},
			{"activity.active_energy_kcal_per_day", "used {} a day for moving", 0},
		}, nil},
		{"your heart rate", "your heart ", "you had ", []part{
			{"cardio.resting_heart_rate_bpm", "beat {} times a minute at rest", 0},
			{"cardio.heart_rate_nadir_bpm", "went down to {} beats a minute in your sleep", 0},
		}, []part{
			{"cardio.hrv_sdnn_ms", "a heart rate variability (SDNN) of {}", 0},
			{"cardio.respiratory_rate_per_minute", "{} breaths a minute in your sleep", 0},
			{"cardio.oxygen_saturation_percent", "a blood oxygen of {}", 0},
		}},
	}
}

// tell tells the parts that there are facts of, without the sentence's beginning and end.
func (s sentence) tell(facts map[string]analysis.Fact) (told analysis.Claim, any bool) {
	fill := func(parts []part) (texts []string) {
		for _, p := range parts {
			if text, there := p.fill(facts); there {
				texts, told.Facts = append(texts, text), append(told.Facts, p.fact)
			}
		}
		return texts
	}
	done, with := fill(s.done), fill(s.with)
	switch {
	case len(done) > 0 && len(with) > 0:
		told.Text = s.does + list(done, "and") + ", with " + list(with, "and")
	case len(done) > 0:
		told.Text = s.does + list(done, "and")
	case len(with) > 0:
		told.Text = s.has + list(with, "and")
	}
	return told, told.Text != ""
}

// fill puts the fact into the part, if it is there and worth telling.
func (p part) fill(facts map[string]analysis.Fact) (text string, there bool) {
	f, there := facts[p.fact]
	if !there || f.Value < p.least && -f.Value < p.least {
		return "", false
	}
	return strings.NewReplacer("{}", f.Text, "{word}", narrative.Direction(f)).Replace(p.text), true
}

// list joins the parts: "a", "a and b", "a, b and c".
func list(parts []string, last string) string {
	if n := len(parts) - 1; n > 0 {
		return strings.Join(parts[:n], ", ") + " " + last + " " + parts[n]
	}
	return parts[0]
}

var _ narrative.Writer = Writer{}
