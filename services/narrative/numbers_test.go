package narrative

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestNumbersOfAText(t *testing.T) {
	none := math.NaN()
	tests := map[string]struct {
		text string // as plain leaves it
		want []number
	}{
		"a time of day":                        {"23:41", []number{{value: 1421, unit: unitClock}}},
		"two times of day, each in its place":  {"from 23:41 to 7:05.", []number{{at: 5, value: 1421, unit: unitClock}, {at: 14, value: 425, unit: unitClock}}},
		"midnight at the end of a day":         {"24:00", []number{{value: 1440, unit: unitClock}}},
		"no time: the hour":                    {"25:00", []number{{value: none}}},
		"no time: the minute":                  {"23:60", []number{{value: none}}},
		"the last minute of an hour":           {"0:59", []number{{value: 59, unit: unitClock}}},
		"noon by half days":                    {"12:00 pm", []number{{value: 720, unit: unitClock}}},
		"half past midnight by half days":      {"12:30 am", []number{{value: 30, unit: unitClock}}},
		"one at night by half days":            {"1:00 a.m", []number{{value: 60, unit: unitClock}}},
		"no time by half days: zero":           {"0:30 am", []number{{value: none}}},
		"no time by half days: thirteen":       {"13:00 pm", []number{{value: none}}},
		"an hour by half days":                 {"at 11 pm", []number{{at: 3, value: 1380, unit: unitClock}}},
		"an hour in the morning":               {"at 7am", []number{{at: 3, value: 420, unit: unitClock}}},
		"a duration":                           {"7 h 59 min", []number{{value: 479, unit: unitMinutes}}},
		"a duration in words":                  {"1 hour and 1 minute", []number{{value: 61, unit: unitMinutes}}},
		"a duration of too many minutes":       {"7 h 60 min", []number{{value: none}}},
		"an hour is vague":                     {"for an hour", []number{{value: none}}},
		"half is vague":                        {"steps a half", []number{{value: none}}},
		"a minute behind beats is no number":   {"57 beats a minute", []number{{value: 57, unit: unitBPM, topic: "heart_rate"}}},
		"a minute behind breaths, too":         {"14 breaths a minute", []number{{value: 14, unit: unitBPM, topic: "respiratory"}}},
		"times a minute are of any rate":       {"57 times a minute", []number{{value: 57, unit: unitBPM}}},
		"a rate in words":                      {"fourteen breaths a minute", []number{{value: 14, unit: unitBPM, topic: "respiratory"}}},
		"a rate that changed":                  {"3 beats a minute more", []number{{value: 3, unit: unitBPM, topic: "heart_rate", compared: true}}},
		"an hour behind steps is no number":    {"300 steps an hour", []number{{value: none}}},
		"nor is it behind beats":               {"300 beats an hour", []number{{value: none}}},
		"steps by the minute are no fact":      {"57 steps a minute", []number{{value: none}}},
		"a rate without a number":              {"kcal an hour", nil},
		"a rate of nothing countable is vague": {"57 nights a minute", []number{{at: 3, value: none}, {value: 57}}},
		"a minus is no number of ours":         {"-22 min", []number{{value: none, unit: unitMinutes}}},
		"a separator":                          {"9,120 steps", []number{{value: 9120, unit: unitCount, topic: "steps"}}},
		"a separator in the wrong place":       {"91,20 steps", []number{{value: none, unit: unitCount, topic: "steps"}}},
		"decimals are counted":                 {"0.613.", []number{{value: 0.613, decimals: 3}}},
		"an exponent is no number of ours":     {"9.12e3", []number{{value: none}}},
		"a percentage":                         {"91 %", []number{{value: 91, unit: unitPercent}}},
		"days":                                 {"7-day", []number{{value: 7, unit: unitDays}}},
		"energy":                               {"512 kcal", []number{{value: 512, unit: unitKcal}}},
		"milliseconds":                         {"48 ms", []number{{value: 48, unit: unitMs}}},
		"breaths":                              {"14 breaths", []number{{value: 14, unit: unitBPM, topic: "respiratory"}}},
		"hours":                                {"7.2 hours", []number{{value: 7.2, decimals: 1, unit: "h"}}},
		"a unit that no fact has":              {"9 km", []number{{value: none}}},
		"any other word is no unit":            {"9 more", []number{{value: 9, compared: true}}},
		"a number in words":                    {"over seven days", []number{{at: 5, value: 7, unit: unitDays}}},
		"zero in words":                        {"zero steps", []number{{value: 0, unit: unitCount, topic: "steps"}}},
		"a heart rate":                         {"57 bpm", []number{{value: 57, unit: unitBPM, topic: "heart_rate"}}},
		"a word that counts vaguely":           {"twofold", []number{{value: none}}},
		"no word of a number":                  {"the fold of one night is the last half", []number{{at: 12, value: none}}},
		"the one is no number":                 {"this one", nil},
		"how much less":                        {"22 min less", []number{{value: 22, unit: unitMinutes, compared: true}}},
		"how much of an increase":              {"22 min of increase", []number{{value: 22, unit: unitMinutes, compared: true}}},
		"fell by":                              {"fell by 22 min", []number{{at: 8, value: 22, unit: unitMinutes, compared: true}}},
		"it changed by":                        {"it changed by 22 min", []number{{at: 14, value: 22, unit: unitMinutes, compared: true}}},
		"fell to is not by how much":           {"fell to 22 min", []number{{at: 8, value: 22, unit: unitMinutes}}},
		"by without a word of change":          {"walked by 22 min", []number{{at: 10, value: 22, unit: unitMinutes}}},
		"by alone":                             {"by 22 min", []number{{at: 3, value: 22, unit: unitMinutes}}},
		"a number at the end":                  {"it was 22", []number{{at: 7, value: 22}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := numbersOf(tt.text)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(number{}), cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("numbers of %q (-want +got):\n%s", tt.text, diff)
			}
		})
	}
}

func TestANumberIsAFactWithinItsRounding(t *testing.T) {
	tests := map[string]struct {
		n     number
		unit  string
		value float64
		want  bool
	}{
		"rounded up":                        {number{value: 433, unit: unitMinutes}, unitMinutes, 432.5, true},
		"rounded down":                      {number{value: 432, unit: unitMinutes}, unitMinutes, 432.5, true},
		"beyond rounding":                   {number{value: 432, unit: unitMinutes}, unitMinutes, 432.6, false},
		"a decimal more is held to it":      {number{value: 0.6, decimals: 1}, unitRatio, 0.66, false},
		"of another unit":                   {number{value: 432, unit: unitMs}, unitMinutes, 432, false},
		"without a unit, of a count":        {number{value: 9120}, unitCount, 9120, true},
		"without a unit, of a heart":        {number{value: 57}, unitBPM, 57, true},
		"without a unit, of minutes":        {number{value: 57}, unitMinutes, 57, false},
		"a time of day, the day before":     {number{value: 1421, unit: unitClock}, unitClock, -19, true},
		"a time of day, beyond":             {number{value: 1421, unit: unitClock}, unitClock, -20, false},
		"a time of day for a duration":      {number{value: 432, unit: unitClock}, unitMinutes, 432, false},
		"whole hours":                       {number{value: 7, unit: "h"}, unitMinutes, 420.5, true},
		"whole hours and a minute":          {number{value: 7, unit: "h"}, unitMinutes, 421, false},
		"whole hours for what is an hour 8": {number{value: 7, unit: "h"}, unitMinutes, 480, false},
		"hours with a decimal":              {number{value: 7.2, decimals: 1, unit: "h"}, unitMinutes, 432, true},
		"hours of a clock":                  {number{value: 7, unit: "h"}, unitClock, 420, false},
		"none is nothing":                   {number{value: math.NaN()}, unitCount, 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := is(tt.n, tt.unit, tt.value); got != tt.want {
				t.Errorf("is(%+v, %s, %v) = %v", tt.n, tt.unit, tt.value, got)
			}
		})
	}
}
