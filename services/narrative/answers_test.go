package narrative_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/narrative"
)

// The weeks that the answers of testdata/answers are about.
func weeks() map[string][]analysis.Fact {
	of := func(days int, values, before map[string]float64) []analysis.Fact {
		result := func(values map[string]float64) analysis.Result {
			r := analysis.Result{Window: analysis.Window{Days: days},
				Sleep: analysis.Family{}, Circadian: analysis.Family{}, Activity: analysis.Family{}, Cardio: analysis.Family{}}
			families := map[string]analysis.Family{"sleep": r.Sleep, "circadian": r.Circadian, "activity": r.Activity, "cardio": r.Cardio}
			for short, v := range values {
				family, name, _ := strings.Cut(shortened()[short], ".")
				families[family][name] = &v
			}
			return r
		}
		if before == nil {
			return narrative.Facts(result(values), nil)
		}
		earlier := result(before)
		return narrative.Facts(result(values), &earlier)
	}
	return map[string][]analysis.Fact{
		"a": of(7, map[string]float64{"tst": 432.4, "tib": 475, "eff": 90.6, "sol": 13.6, "waso": 29, "mid": -19, "m10": 550, "l5": 80, "is": .613, "iv": .74, "ra": .88,
			"steps": 9120.4, "kcal": 512, "rhr": 57.2, "nadir": 49, "hrv": 48, "resp": 14.2, "spo2": 96.4},
			map[string]float64{"tst": 454.4, "mid": -40, "steps": 9430.4, "rhr": 54.2}),
		"b": of(6, map[string]float64{"tst": 480.2, "tib": 512, "eff": 93.6, "mid": 190, "steps": 12500, "rhr": 61},
			map[string]float64{"tst": 445.2, "mid": 235, "steps": 10660, "rhr": 65}),
		"c": of(5, map[string]float64{"tst": 395, "sol": 8, "waso": 51, "mid": 30, "steps": 4210, "rhr": 66, "hrv": 72}, nil),
	}
}

// shortened are the ids as the answers cite them; + stands for the change of.
func shortened() map[string]string {
	return map[string]string{
		"days": narrative.WindowDays, "tst": sleep, "tib": "sleep.time_in_bed_minutes", "eff": share, "sol": "sleep.sleep_onset_latency_minutes",
		"waso": "sleep.wake_after_sleep_onset_minutes", "mid": middle, "m10": "circadian.m10_onset_minutes", "l5": "circadian.l5_onset_minutes",
		"is": stable, "iv": "circadian.intradaily_variability", "ra": "circadian.relative_amplitude", "steps": steps, "kcal": "activity.active_energy_kcal_per_day",
		"rhr": heart, "nadir": "cardio.heart_rate_nadir_bpm", "hrv": "cardio.hrv_sdnn_ms", "resp": "cardio.respiratory_rate_per_minute", "spo2": "cardio.oxygen_saturation_percent",
	}
}

// An answer is a line of testdata/answers: its class, its week and its sentences.
type answer struct {
	class, week, text string
	claims            []analysis.Claim
}

func answers(t *testing.T, file string) (all []answer) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) != 3 {
			t.Fatalf("%s: %q is no answer", file, line)
		}
		a := answer{class: fields[0], week: fields[1], text: fields[2]}
		texts := strings.Split(a.text, " ~ ")
		cited := make([]string, len(texts))
		last := texts[len(texts)-1]
		for i := len(texts) - 1; i >= 0; i-- { // the citations stand at the end, those of each sentence in brackets
			at := strings.LastIndex(last, " [")
			if at < 0 {
				t.Fatalf("%s: %q cites nothing, not even nothing", file, line)
			}
			last, cited[i] = last[:at], strings.Trim(last[at:], " []")
		}
		texts[len(texts)-1] = last
		for i, text := range texts {
			claim := analysis.Claim{Text: text}
			for _, short := range strings.Fields(cited[i]) {
				id, change := strings.CutPrefix(short, "+")
				id, known := shortened()[id]
				if !known {
					t.Fatalf("%s: %q cites %q", file, line, short)
				}
				if change {
					id = "change." + id
				}
				claim.Facts = append(claim.Facts, id)
			}
			a.claims = append(a.claims, claim)
		}
		all = append(all, a)
	}
	return all
}

// What share of answers that must not be told is found, and of good ones refused: how
// the answers were made is written at the head of each file.
func TestLabelledAnswers(t *testing.T) {
	var total, bad, missed, good, alarms int
	for _, file := range []string{"testdata/answers/tuned.txt", "testdata/answers/heldout.txt", "testdata/answers/heldout-2.txt", "testdata/answers/heldout-3.txt"} {
		counted := map[string][2]int{}
		for _, a := range answers(t, file) {
			err := narrative.Check(weeks()[a.week], a.claims)
			c := counted[a.class]
			c[0]++
			total++
			if a.class == "good" {
				good++
			} else {
				bad++
			}
			switch {
			case a.class == "good" && err != nil:
				c[1]++
				alarms++
				t.Logf("%s: false alarm: %v: %s", file, err, a.text)
			case a.class != "good" && err == nil:
				c[1]++
				missed++
				t.Logf("%s: missed, %s: %s", file, a.class, a.text)
			}
			counted[a.class] = c
		}
		for _, class := range []string{"good", "invented", "direction", "medical", "injected"} {
			if counted[class][0] < 5 {
				t.Errorf("%s has %d answers of the class %s", file, counted[class][0], class)
			}
			t.Logf("%s: %s: %d answers, %d judged wrongly", file, class, counted[class][0], counted[class][1])
		}
		if len(counted) != 5 {
			t.Errorf("%s has the classes %v", file, counted)
		}
	}
	t.Logf("%d answers: of %d bad ones %d are missed (%.1f %% found), of %d good ones %d refused (%.1f %%)",
		total, bad, missed, 100*float64(bad-missed)/float64(bad), good, alarms, 100*float64(alarms)/float64(good))
	if total < 300 || missed*100 > bad || alarms*100 > 2*good {
		t.Error("want at least 300 answers, at least 99 % of the bad found and at most 2 % of the good refused")
	}
}

// Each good answer with one digit changed, with one word of direction turned around, or
// with the number of another fact of the unit, cited too, is a bad one: what is nearly
// right is found as what is far off is.
func TestEveryGoodAnswerMadeWrongIsFound(t *testing.T) {
	turned := map[string]string{"more": "less", "less": "more", "fewer": "more", "later": "earlier", "earlier": "later", "higher": "lower", "lower": "higher",
		"longer": "shorter", "shorter": "longer", "rose": "fell", "increased": "decreased", "gained": "lost", "lost": "gained", "grew": "fell"}
	word := regexp.MustCompile(`[A-Za-z]+`)
	var made, missed int
	for _, file := range []string{"tuned.txt", "heldout.txt", "heldout-2.txt", "heldout-3.txt"} {
		for _, a := range answers(t, "testdata/answers/"+file) {
			facts := weeks()[a.week]
			if a.class != "good" || narrative.Check(facts, a.claims) != nil {
				continue
			}
			try := func(i int, text string, cited ...string) {
				claims := slices.Clone(a.claims)
				claims[i].Text, claims[i].Facts = text, slices.Concat(claims[i].Facts, cited)
				if made++; narrative.Check(facts, claims) == nil {
					missed++
					t.Logf("%s: missed: %s", file, text)
				}
			}
			for i, c := range a.claims {
				for at := range len(c.Text) {
					if d := c.Text[at]; d >= '0' && d <= '9' {
						try(i, c.Text[:at]+string('0'+(d-'0'+1)%10)+c.Text[at+1:])
						try(i, c.Text[:at]+string('0'+(d-'0'+5)%10)+c.Text[at+1:])
					}
				}
				for _, own := range facts {
					for _, f := range facts {
						if slices.Contains(c.Facts, own.ID) && f.Unit == own.Unit && f.Text != own.Text && strings.Count(c.Text, own.Text) == 1 && !strings.Contains(c.Text, f.Text) {
							try(i, strings.Replace(c.Text, own.Text, f.Text, 1), f.ID)
						}
					}
				}
				for _, m := range word.FindAllStringIndex(c.Text, -1) {
					if other, is := turned[c.Text[m[0]:m[1]]]; is {
						try(i, c.Text[:m[0]]+other+c.Text[m[1]:])
					}
				}
			}
		}
	}
	t.Logf("%d answers made wrong, %d missed", made, missed)
	if made < 1000 || missed*100 > made {
		t.Error("want 1,000 answers, at most 1 % of them missed")
	}
}
