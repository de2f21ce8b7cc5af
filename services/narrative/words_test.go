package narrative

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
)

func TestWordsOfDirection(t *testing.T) {
	tests := map[string]struct {
		text  string
		first int
		want  []int
	}{
		"more at the beginning":     {"more steps", 0, []int{1}},
		"less and less":             {"you slept less and less", 10, []int{-1, -1}},
		"both ways":                 {"it rose and fell", 3, []int{1, -1}},
		"who fell asleep":           {"you fell asleep", 0, nil},
		"who fell":                  {"you fell", 4, []int{-1}},
		"once more is no more":      {"once more you slept", 0, nil},
		"once less is less":         {"once less", 5, []int{-1}},
		"one more is more":          {"and more", 4, []int{1}},
		"no word of direction":      {"you slept", 0, nil},
		"the last word counts, too": {"it was higher", 7, []int{1}},
		"more of little":            {"more slowly", 0, []int{-1}},
		"who went up":               {"your steps went up", 16, []int{1}},
		"who was down by much":      {"it was down by 22 min", 7, []int{-1}},
		"who got up":                {"you got up from bed", 0, nil},
		"who was up late":           {"you were up late", 0, nil},
		"another week":              {"a week earlier", 0, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []int
			first := 0
			for i, turn := range directions(figures(tt.text)) {
				if got = append(got, turn.way); i == 0 {
					first = turn.at
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || first != tt.first {
				t.Errorf("at %d, want %d (-want +got):\n%s", first, tt.first, diff)
			}
		})
	}
}

func TestADirectionAgreesWithTheChange(t *testing.T) {
	change := func(values ...float64) (facts []analysis.Fact) {
		for _, v := range values {
			facts = append(facts, analysis.Fact{ID: changePrefix + "sleep.total_sleep_time_minutes", Value: v, Unit: unitMinutes})
		}
		return facts
	}
	tests := map[string]struct {
		text  string
		cited []analysis.Fact
		ok    bool
	}{
		"more":                          {"you slept more.", change(22), true},
		"a little more":                 {"you slept more.", change(0.5), true},
		"less":                          {"you slept less.", change(-22), true},
		"a little less":                 {"you slept less.", change(-0.5), true},
		"more, which is less":           {"you slept more.", change(-22), false},
		"nothing is not more":           {"you slept more.", change(0), false},
		"nothing is not less":           {"you slept less.", change(0), false},
		"changes that go both ways":     {"you slept more.", change(22, -22), false},
		"no change":                     {"you slept more.", nil, false},
		"a fact that is no change":      {"you slept more.", []analysis.Fact{{ID: "x", Value: 22}}, false},
		"words that go both ways":       {"more and less.", change(22), false},
		"not more":                      {"you did not sleep more.", change(22), false},
		"more than before":              {"you slept more than before.", change(22), true},
		"from the week before's side":   {"in the week before you slept more.", change(22), false},
		"nothing is said of directions": {"you slept.", change(22), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := checkDirection(readingOf(figures(tt.text)), tt.cited); (err == nil) != tt.ok {
				t.Errorf("%q: %v", tt.text, err)
			}
		})
	}
}

func TestMedicalWords(t *testing.T) {
	for text, refused := range map[string]bool{
		"stroke": true, "a stroke": true, "two strokes": true, "(stroke)": true, "{stroke": true, "9stroke": true,
		"keystroke": false, "astroke": false, "zstroke": false, "keystroke and stroke": true, "strostroke stroke": true,
		"pills": true, "the flu": true, "influence": false, "pillow": false, "you slept": false, "": false, "a heart attack": true,
	} {
		if err := checkMedical(text); (err != nil) != refused {
			t.Errorf("%q: %v, want refused: %v", text, err, refused)
		}
	}
}

func TestWordsOfTheVocabulary(t *testing.T) {
	for word, known := range map[string]bool{
		"week": true, "weeks": true, "week's": true, "seven": true, "slept": true, "walks": true, "walking": true,
		"spanned": true, "spanning": true, "spannly": false,
		"weekk": false, "weekkly": false, "walkted": false, "walkk": false, "ats": false, "zzapped": false, "insomnia's": false, "xes": false,
	} {
		if got := plainWord(word); got != known {
			t.Errorf("%q is known: %v", word, got)
		}
	}
}

func TestTheFormOfASentence(t *testing.T) {
	full := func(n int) string { return strings.Repeat("a", n-1) + "." }
	tests := map[string]struct{ text, want string }{
		"one word":                 {"Yes.", ""},
		"a question":               {"Yes?", ""},
		"quotes behind the end":    {"“Yes!”", ""},
		"an ellipsis":              {"Yes…", ""},
		"the last character":       {"~ yes.", ""},
		"as long as it may be":     {full(MaxSentence), ""},
		"a byte longer":            {full(MaxSentence + 1), "it is longer than 400 bytes"},
		"blanks":                   {"  ", "it is empty"},
		"a link by its protocol":   {"ftp://x.", "it holds a link"},
		"a link by its name":       {"www.x.", "it holds a link"},
		"markup":                   {"a_b.", "it holds markup"},
		"no end":                   {"Yes", "it has no end"},
		"a line break":             {"Yes.\nNo.", "it holds characters beyond plain English"},
		"a letter beyond English":  {"Größe.", "it holds characters beyond plain English"},
		"the first beyond ASCII":   {"\x7f.", "it holds characters beyond plain English"},
		"an accent that is spelt":  {"Café.", ""},
		"apostrophes of a printer": {"It’s.", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := checkForm(tt.text); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
			}
		})
	}
}

func TestATextIsReadAsPlainASCII(t *testing.T) {
	for text, want := range map[string]string{
		"“Week’s” – SpO2…": `"week's" - spo .`, "L5 and M10": "   and    ", "L50": "l50", "Café": "cafe",
	} {
		if got := plain(text); got != want {
			t.Errorf("plain(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestValuesAsTheyAreWritten(t *testing.T) {
	for _, tt := range []struct {
		value float64
		unit  string
		want  string
	}{
		{1, unitDays, "1 day"}, {7, unitDays, "7 days"}, {0, unitDays, "0 days"},
		{59.4, unitMinutes, "59 min"}, {59.5, unitMinutes, "1 h"}, {61, unitMinutes, "1 h 1 min"}, {-22, unitMinutes, "22 min"}, {0, unitMinutes, "0 min"},
		{0, unitClock, "00:00"}, {-1, unitClock, "23:59"}, {1439.4, unitClock, "23:59"}, {1439.6, unitClock, "00:00"}, {1440, unitClock, "00:00"}, {-1441, unitClock, "23:59"}, {2885, unitClock, "00:05"}, {61, unitClock, "01:01"},
		{90.6, unitPercent, "91 %"}, {0.616, unitRatio, "0.62"}, {1, unitRatio, "1.00"}, {999.4, unitKcal, "999 kcal"}, {999.5, unitKcal, "1,000 kcal"}, {48, unitMs, "48 ms"},
		{57, unitBPM, "57"}, {999, unitCount, "999"}, {1000, unitCount, "1,000"}, {123456, unitCount, "123,456"}, {1234567, unitCount, "1,234,567"},
	} {
		if got := format(tt.value, tt.unit); got != tt.want {
			t.Errorf("format(%v, %s) = %q, want %q", tt.value, tt.unit, got, tt.want)
		}
	}
}
