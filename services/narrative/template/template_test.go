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
		"Over 7 days, you slept 7 h 12 min a night on average.",
		"That is 22 min less a night than in the week before.",
		"You spent 7 h 55 min a night in bed and were asleep for 91 % of it.",
		"It took you 14 min to fall asleep, and you were awake for 29 min in the night.",
		"The middle of your sleep was at 23:41.",
		"That is 21 min later than in the week before.",
		"There was not enough data to say anything about your daily rhythm.",
		"You walked 9,120 steps a day.",
		"There was not enough data to say anything about your heart rate.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

func TestTheSameFactsMakeTheSameWords(t *testing.T) {
	facts := narrative.Facts(analysis.Result{Window: analysis.Window{Days: 7}, Cardio: analysis.Family{"hrv_sdnn_ms": number(48)}}, nil)
	one, _ := template.New().Write(context.Background(), facts)
	two, _ := template.New().Write(context.Background(), facts)
	if diff := cmp.Diff(one, two); diff != "" {
		t.Error(diff)
	}
	if last := one[len(one)-1].Text; !strings.Contains(last, "48 ms") {
		t.Errorf("the last sentence is %q", last)
	}
}
