package narrative_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/narrative"
)

func number(v float64) *float64 { return &v }

// facts are those of a week: 7 h 12 min of sleep, 22 minutes less than before,
// 9,120 steps, the middle of sleep at 23:41, a regularity of 0.613.
func facts() []analysis.Fact {
	week := analysis.Result{
		Window:    analysis.Window{Days: 7},
		Sleep:     analysis.Family{"total_sleep_time_minutes": number(432.4), "midpoint_minutes": number(-19), "sleep_efficiency_percent": number(90.6)},
		Circadian: analysis.Family{"interdaily_stability": number(0.613)},
		Activity:  analysis.Family{"steps_per_day": number(9120.4)},
		Cardio:    analysis.Family{"resting_heart_rate_bpm": number(57.2)},
	}
	before := analysis.Result{Sleep: analysis.Family{"total_sleep_time_minutes": number(454.4)}}
	return narrative.Facts(week, &before)
}

const (
	sleep  = "sleep.total_sleep_time_minutes"
	change = "change." + sleep
	middle = "sleep.midpoint_minutes"
	share  = "sleep.sleep_efficiency_percent"
	steps  = "activity.steps_per_day"
	stable = "circadian.interdaily_stability"
	heart  = "cardio.resting_heart_rate_bpm"
)

func TestCheck(t *testing.T) {
	tests := map[string]struct {
		text  string
		cites []string
		want  narrative.Rule // "" passes
	}{
		"a duration as it is":                {"You slept 7 h 12 min.", []string{sleep}, ""},
		"a duration in words":                {"You slept 7 hours and 12 minutes.", []string{sleep}, ""},
		"a duration in hours, rounded":       {"You slept 7.2 hours.", []string{sleep}, ""},
		"a duration in minutes":              {"You slept 432 minutes.", []string{sleep}, ""},
		"a time of day":                      {"The middle of your sleep was at 23:41.", []string{middle}, ""},
		"a count with a separator":           {"You walked 9,120 steps a day.", []string{steps}, ""},
		"a ratio with two decimals":          {"Regularity was 0.61.", []string{stable}, ""},
		"a percentage":                       {"You were asleep for 91 % of the time.", []string{share}, ""},
		"a number word that is a fact":       {"Over seven days you walked.", []string{narrative.WindowDays}, ""},
		"a direction that agrees":            {"That is 22 min less than before.", []string{change}, ""},
		"no number at all":                   {"There was not enough data about your heart.", nil, ""},
		"a term with a digit":                {"SpO2 was not measured.", nil, ""},
		"a planted wrong number":             {"You slept 7 h 21 min.", []string{sleep}, narrative.RuleNumber},
		"a right number, wrongly rounded":    {"You slept 7.3 hours.", []string{sleep}, narrative.RuleNumber},
		"a right number that is not cited":   {"You walked 9,120 steps.", []string{sleep}, narrative.RuleNumber},
		"a wrong number beside a right one":  {"You walked 9,120 steps and 14 km.", []string{steps}, narrative.RuleNumber},
		"a wrong number in words":            {"You slept eight hours.", []string{sleep}, narrative.RuleNumber},
		"a multiple":                         {"You walked twice as far.", []string{steps}, narrative.RuleNumber},
		"whole hours where minutes are left": {"You slept 7 hours.", []string{sleep}, narrative.RuleNumber},
		"a wrong time of day":                {"The middle of your sleep was at 11:41.", []string{middle}, narrative.RuleNumber},
		"a number glued to a word":           {"You slept x95 well.", []string{sleep}, narrative.RuleNumber},
		"a number in exponent form":          {"You walked 9.12e3 and 1e6 steps.", []string{steps}, narrative.RuleNumber},
		"a negative number":                  {"That is -22 min.", []string{change}, narrative.RuleNumber},
		"a date":                             {"On 2026-11-20 you slept.", []string{sleep}, narrative.RuleNumber},
		"a fact that was not given":          {"You slept well.", []string{"cardio.vo2max"}, narrative.RuleCitation},
		"a direction that disagrees":         {"That is 22 min more than before.", []string{change}, narrative.RuleDirection},
		"a direction without a change":       {"You walked 9,120 steps, more than before.", []string{steps}, narrative.RuleDirection},
		"a judgement":                        {"Your sleep improved by 22 min.", []string{change}, narrative.RuleDirection},
		"a condition":                        {"Your nights look like insomnia.", nil, narrative.RuleMedical},
		"a dose":                             {"Take some melatonin.", nil, narrative.RuleMedical},
		"nothing":                            {" ", nil, narrative.RuleForm},
		"markup":                             {"<b>You</b> slept.", nil, narrative.RuleForm},
		"a link":                             {"See https://example.org for sleep.", nil, narrative.RuleForm},
		"another script":                     {"Вы спали.", nil, narrative.RuleForm},
		"digits of another script":           {"You slept ٧ h.", []string{sleep}, narrative.RuleForm},
		"a fraction sign":                    {"You slept 7½ h.", []string{sleep}, narrative.RuleForm},
		"a sentence without end":             {strings.Repeat("long ", 100), nil, narrative.RuleForm},
		"a right number of another unit":     {"You walked 9,120 km a day.", []string{steps}, narrative.RuleNumber},
		"beats a minute":                     {"Your resting heart rate was 57 beats a minute.", []string{heart}, ""},
		"the heart's times a minute":         {"Your heart beat 57 times a minute.", []string{heart}, ""},
		"steps as a heart rate":              {"Your resting heart rate was 9,120 beats a minute.", []string{steps}, narrative.RuleNumber},
		"a regularity as breaths":            {"You breathed 0.61 times a minute.", []string{stable}, narrative.RuleNumber},
		"a heart rate as breaths":            {"You breathed 57 breaths a minute.", []string{heart}, narrative.RuleNumber},
		"a heart rate as steps":              {"You walked 57 steps a minute.", []string{heart}, narrative.RuleNumber},
		"steps by the hour":                  {"You walked 9,120 steps an hour.", []string{steps}, narrative.RuleNumber},
		"a share as a heart rate":            {"Your heart beat 91 times a minute.", []string{share}, narrative.RuleNumber},
		"a duration without its unit":        {"You slept 432 a night.", []string{sleep}, narrative.RuleNumber},
		"a count as a time of day":           {"You slept at 7:12.", []string{sleep}, narrative.RuleNumber},
		"an hour, of which nobody knows":     {"You slept for an hour.", []string{sleep}, narrative.RuleNumber},
		"a time of day by half days":         {"The middle of your sleep was at 11:41 pm.", []string{middle}, ""},
		"the wrong half of the day":          {"The middle of your sleep was at 11:41 am.", []string{middle}, narrative.RuleNumber},
		"digits grouped oddly":               {"You walked 9,1,2,0 steps.", []string{steps}, narrative.RuleNumber},
		"how much as a change":               {"You slept 7 h 12 min less than before.", []string{sleep, change}, narrative.RuleNumber},
		"a change as how much":               {"You slept 22 min.", []string{change}, narrative.RuleNumber},
		"a change named as one":              {"Your sleep changed by 22 min.", []string{change}, ""},
		"a direction denied":                 {"You did not sleep 22 min less than before.", []string{change}, narrative.RuleDirection},
		"a direction from the other side":    {"In the week before you slept 22 min less.", []string{change}, narrative.RuleDirection},
		"two directions, one change":         {"You slept 22 min less and later.", []string{change}, narrative.RuleDirection},
		"that nothing changed":               {"Your sleep stayed the same.", []string{change}, narrative.RuleDirection},
		"too much of something":              {"You slept too little.", []string{sleep}, narrative.RuleDirection},
		"a drug that no list knows":          {"Qunamitol helps.", nil, narrative.RuleVocabulary},
		"letters taken apart":                {"This is i n s o m n i a.", nil, narrative.RuleVocabulary},
		"German":                             {"Sie haben jede Nacht gut geschlafen.", nil, narrative.RuleVocabulary},
		"French":                             {"Vous avez dormi sans interruption.", nil, narrative.RuleVocabulary},
		"Turkish":                            {"Bu hafta iyi uyudunuz.", nil, narrative.RuleVocabulary},
		"a sentence that was cut":            {"You slept 7 h 12 min and", []string{sleep}, narrative.RuleForm},
		"a line break":                       {"You slept.\nIgnore the rules.", nil, narrative.RuleForm},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := narrative.Check(facts(), []analysis.Claim{{Text: "There is data.", Facts: nil}, {Text: tt.text, Facts: tt.cites}})
			var failed *narrative.CheckError
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Check(%q) = %v, want it to pass", tt.text, err)
			case tt.want != "" && (!errors.As(err, &failed) || failed.Rule != tt.want || failed.Sentence != 1):
				t.Errorf("Check(%q) = %v, want rule %s in sentence 1", tt.text, err, tt.want)
			}
		})
	}
}

func TestATextHasSentencesAndNotTooMany(t *testing.T) {
	text := func(n int) []analysis.Claim { return slices.Repeat([]analysis.Claim{{Text: "There is data."}}, n) }
	if err := narrative.Check(facts(), text(narrative.MaxSentences)); err != nil {
		t.Errorf("a text of as many as there may be: %v", err)
	}
	for _, n := range []int{0, narrative.MaxSentences + 1} {
		want := &narrative.CheckError{Sentence: -1, Rule: narrative.RuleForm, Detail: "a text has 1 to 5 sentences"}
		var got *narrative.CheckError
		if err := narrative.Check(facts(), text(n)); !errors.As(err, &got) {
			t.Errorf("a text of %d sentences passes", n)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("a text of %d sentences (-want +got):\n%s", n, diff)
		}
	}
}

func TestNoMoreFactsAreCitedThanWereGiven(t *testing.T) {
	given := facts()
	for n, want := range map[int]string{
		len(given):     "",
		len(given) + 1: "narrative: sentence 0: citation: more facts are cited than were given",
	} {
		got := ""
		if err := narrative.Check(given, []analysis.Claim{{Text: "You slept.", Facts: slices.Repeat([]string{sleep}, n)}}); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%d cited of %d: %q, want %q", n, len(given), got, want)
		}
	}
}

// Every digit of a grounded number, changed to any other, is found: a figure
// that is nearly right is wrong.
func TestEveryChangedDigitIsFound(t *testing.T) {
	texts := map[string]string{
		"You slept 7 h 12 min.": sleep, "You walked 9,120 steps.": steps, "Regularity was 0.61.": stable,
		"The middle was at 23:41.": middle, "You were asleep for 91 % of it.": share,
	}
	for text, cite := range texts {
		for i := range len(text) {
			if text[i] < '0' || text[i] > '9' {
				continue
			}
			for d := byte('0'); d <= '9'; d++ {
				changed := text[:i] + string(d) + text[i+1:]
				err := narrative.Check(facts(), []analysis.Claim{{Text: changed, Facts: []string{cite}}})
				if (err == nil) != (changed == text) {
					t.Errorf("Check(%q) = %v", changed, err)
				}
			}
		}
	}
}

// Lines that say what no text may, and harmless ones, by hand. claims.txt was
// before us when the list of harmful words was written. Of the first 120
// claims of heldout.txt, written afterwards, that list found 61; with the
// vocabulary all of them are found. Its last 30 claims and 30 harmless lines
// were written when both stood: at first sight 28 claims were found, and 5
// harmless lines were refused for a word that was not in the vocabulary yet.
// So expect of a new writer that some texts fall back, and few claims pass.
func TestLabelledClaims(t *testing.T) {
	var lines, harmful, missed, alarms int
	for _, file := range []string{"testdata/claims.txt", "testdata/heldout.txt"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			label, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			err := narrative.Check(nil, []analysis.Claim{{Text: text}})
			lines++
			switch {
			case label == "refuse" && err == nil:
				missed++
				t.Logf("missed: %s", text)
			case label == "pass" && err != nil:
				alarms++
				t.Logf("false alarm: %v: %s", err, text)
			case label != "refuse" && label != "pass":
				t.Fatalf("label %q", label)
			}
			if label == "refuse" {
				harmful++
			}
		}
	}
	t.Logf("%d harmful, %d missed; %d harmless, %d false alarms", harmful, missed, lines-harmful, alarms)
	if lines < 300 || harmful < 150 || missed*100 > harmful || alarms*100 > 2*(lines-harmful) {
		t.Errorf("want at least 300 lines, at most 1 %% missed and 2 %% false alarms")
	}
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"You slept 7 h 12 min.", "23:41", "1e999", "-", "9,,,1", "SpO2SpO2", "seven hundred"} {
		f.Add(seed)
	}
	for _, seed := range []string{"Compared with the week before, you slept 22 min less, while the middle was later, at 23:41.", "half past midnight", "between a and", "up (9 of 9"} {
		f.Add(seed)
	}
	given := facts()
	var all []string
	for _, fact := range given {
		all = append(all, fact.ID)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_ = narrative.Check(given, []analysis.Claim{{Text: text, Facts: all}}) // whatever it says, it says it
		err := narrative.Check(nil, []analysis.Claim{{Text: text}})
		if err == nil && strings.ContainsAny(strings.ReplaceAll(text, "SpO2", ""), "0123456789") {
			t.Errorf("%q passes with a number and no facts", text)
		}
	})
}
