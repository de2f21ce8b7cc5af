package template_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/narrative"
	"github.com/clarity-loop/clarity/services/narrative/narrativetest"
	"github.com/clarity-loop/clarity/services/narrative/template"
)

func TestContract(t *testing.T) { narrativetest.Run(t, template.New()) }

func number(v float64) *float64 { return &v }

func TestAWeekInWords(t *testing.T) {
	week := analysis.Result{
		Window: analysis.Window{Days: 7},
		Sleep: analysis.Family{
			"total_sleep_time_minutes": number(432.4), "time_in_bed_minutes": number(475), "sleep_efficiency_percent": number(91),
			"sleep_onset_latency_minutes": number(13.6), "wake_after_sleep_onset_minutes": number(29), "midpoint_minutes": number(-19),
		},
		Activity: analysis.Family{"steps_per_day": number(9120.4)},
	}
	before := analysis.Result{
		Sleep:    analysis.Family{"total_sleep_time_minutes": number(454), "midpoint_minutes": number(-40)},
		Activity: analysis.Family{"steps_per_day": number(9100)},
	}
	claims, err := template.New().Write(context.Background(), narrative.Facts(week, &before))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range claims {
		got = append(got, c.Text)
	}
	want := []string{
		"Compared with the week before, you slept 22 min less a night, while the middle of your sleep was 21 min later.",
		"Over 7 days you slept 7 h 12 min a night and spent 7 h 55 min in bed, with 91 % of the time in bed asleep, 14 min to fall asleep, 29 min awake in the night and the middle of your sleep at 23:41.",
		"You walked 9,120 steps a day.",
		"There was not enough data to say anything about your daily rhythm or your heart rate.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

// Whatever is missing of a week, what is left is told in whole sentences.
func TestAWeekInPieces(t *testing.T) {
	tests := map[string]struct {
		sleep, circadian, activity, cardio analysis.Family
		want                               []string
	}{
		"a heart": {cardio: analysis.Family{"resting_heart_rate_bpm": number(54), "heart_rate_nadir_bpm": number(49), "hrv_sdnn_ms": number(45), "respiratory_rate_per_minute": number(14), "oxygen_saturation_percent": number(96)},
			want: []string{"Over 3 days your heart beat 54 times a minute at rest and went down to 49 beats a minute in your sleep, with a heart rate variability (SDNN) of 45 ms, 14 breaths a minute in your sleep and a blood oxygen of 96 %.",
				"There was not enough data to say anything about your sleep, your daily rhythm or how much you walked."}},
		"what comes with a night, and a rhythm's figures": {sleep: analysis.Family{"wake_after_sleep_onset_minutes": number(9)}, circadian: analysis.Family{"relative_amplitude": number(.99)}, activity: analysis.Family{"active_energy_kcal_per_day": number(783)},
			want: []string{"Over 3 days you had 9 min awake in the night.", "Your days had a contrast between day and night of 0.99.", "You used 783 kcal a day for moving.",
				"There was not enough data to say anything about your heart rate."}},
		"times of a rhythm": {circadian: analysis.Family{"m10_onset_minutes": number(633), "l5_onset_minutes": number(100), "interdaily_stability": number(.45)},
			want: []string{"Over 3 days your days were most active from 10:33 on and were most restful from 01:40 on, with a regularity of 0.45.",
				"There was not enough data to say anything about your sleep, how much you walked or your heart rate."}},
		"nothing": {want: []string{"There was not enough data to say anything about your sleep, your daily rhythm, how much you walked or your heart rate."}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			facts := narrative.Facts(analysis.Result{Window: analysis.Window{Days: 3}, Sleep: tt.sleep, Circadian: tt.circadian, Activity: tt.activity, Cardio: tt.cardio}, nil)
			claims, err := template.New().Write(t.Context(), facts)
			if err == nil {
				err = narrative.Check(facts, claims)
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range claims {
				got = append(got, c.Text)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
		})
	}
}

// What went the same way is told together, and a change that nobody would notice is not.
func TestWhatChangedIsToldFirst(t *testing.T) {
	week := func(sleep, middle, steps, resting float64) analysis.Result {
		return analysis.Result{
			Window:   analysis.Window{Days: 7},
			Sleep:    analysis.Family{"total_sleep_time_minutes": &sleep, "midpoint_minutes": &middle},
			Activity: analysis.Family{"steps_per_day": &steps},
			Cardio:   analysis.Family{"resting_heart_rate_bpm": &resting},
		}
	}
	before := week(420, 60, 9000, 60)
	tests := map[string]struct {
		now  analysis.Result
		want string // "" tells no change
	}{
		"nothing to speak of":  {week(424, 51, 9099, 61.4), ""},
		"one":                  {week(420, 60, 9100, 60), "Compared with the week before, you walked 100 more steps a day."},
		"three, one way":       {week(430, 60, 9100, 62), "Compared with the week before, you slept 10 min more a night, you walked 100 more steps a day and your resting heart rate was 2 beats a minute higher."},
		"three, the other way": {week(410, 60, 8900, 58), "Compared with the week before, you slept 10 min less a night, you walked 100 fewer steps a day and your resting heart rate was 2 beats a minute lower."},
		"both ways":            {week(410, 70, 8900, 62), "Compared with the week before, you slept 10 min less a night and you walked 100 fewer steps a day, while the middle of your sleep was 10 min later and your resting heart rate was 2 beats a minute higher."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			facts := narrative.Facts(tt.now, &before)
			claims, err := template.New().Write(t.Context(), facts)
			if err == nil {
				err = narrative.Check(facts, claims)
			}
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if strings.HasPrefix(claims[0].Text, "Compared") {
				got = claims[0].Text
			}
			if got != tt.want {
				t.Errorf("told %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTheSameFactsMakeTheSameWords(t *testing.T) {
	facts := narrative.Facts(analysis.Result{Window: analysis.Window{Days: 7}, Cardio: analysis.Family{"hrv_sdnn_ms": number(48)}}, nil)
	one, _ := template.New().Write(context.Background(), facts)
	two, _ := template.New().Write(context.Background(), facts)
	if diff := cmp.Diff(one, two); diff != "" {
		t.Error(diff)
	}
	if told := one[len(one)-2].Text; !strings.Contains(told, "48 ms") {
		t.Errorf("the last sentence but one is %q", told)
	}
}
