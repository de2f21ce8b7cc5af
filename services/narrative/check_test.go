package narrative_test

import (
	"bufio"
	"errors"
	"os"
	"strings"
	"testing"

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
	for _, n := range []int{0, narrative.MaxSentences + 1} {
		if err := narrative.Check(facts(), make([]analysis.Claim, n)); err == nil {
			t.Errorf("a text of %d sentences passes", n)
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

func TestLabelledClaims(t *testing.T) {
	f, err := os.Open("testdata/claims.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var medical, missed, plain, alarms int
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		label, text, ok := strings.Cut(lines.Text(), "\t")
		if !ok {
			continue
		}
		var failed *narrative.CheckError
		err := narrative.Check(nil, []analysis.Claim{{Text: text}})
		refused := errors.As(err, &failed)
		switch label {
		case "refuse":
			medical++
			if !refused {
				missed++
				t.Logf("missed: %s", text)
			}
		case "pass":
			plain++
			if refused {
				alarms++
				t.Logf("false alarm (%s): %s", failed.Rule, text)
			}
		default:
			t.Fatalf("label %q", label)
		}
	}
	t.Logf("%d to refuse, %d missed; %d to pass, %d false alarms", medical, missed, plain, alarms)
	if medical < 60 || plain < 40 || missed*100 > medical || alarms*100 > 2*plain {
		t.Errorf("want at least 60 and 40 lines, at most 1 %% missed and 2 %% false alarms")
	}
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"You slept 7 h 12 min.", "23:41", "1e999", "-", "9,,,1", "SpO2SpO2", "seven hundred"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		err := narrative.Check(nil, []analysis.Claim{{Text: text}})
		if err == nil && strings.ContainsAny(strings.ReplaceAll(text, "SpO2", ""), "0123456789") {
			t.Errorf("%q passes with a number and no facts", text)
		}
	})
}
