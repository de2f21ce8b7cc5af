package metric_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/metric"
)

// TestTheClockOfEachEpochIsThatOfTheWall compares with the slow way, in zones
// that change their clock by an hour, by half an hour, at midnight, and never.
func TestTheClockOfEachEpochIsThatOfTheWall(t *testing.T) {
	tests := map[string]struct {
		zone    string
		start   time.Time
		minutes []int // of each local day
	}{
		"Berlin goes forward":            {"Europe/Berlin", time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC), []int{1440, 1380, 1440}},
		"Berlin goes back":               {"Europe/Berlin", time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC), []int{1440, 1500, 1440}},
		"Lord Howe goes half an hour":    {"Australia/Lord_Howe", time.Date(2026, 4, 4, 0, 0, 0, 0, time.UTC), []int{1440, 1470, 1440}},
		"Santiago skips its midnight":    {"America/Santiago", time.Date(2025, 9, 6, 0, 0, 0, 0, time.UTC), []int{1440, 1380, 1440}},
		"Kathmandu is at three quarters": {"Asia/Kathmandu", time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC), []int{1440, 1440, 1440}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			loc, err := time.LoadLocation(tt.zone)
			if err != nil {
				t.Fatal(err)
			}
			y, m, d := tt.start.Date()
			rec := actigraphy.Recording{Start: time.Date(y, m, d, 0, 0, 0, 0, loc), Epoch: time.Minute, Kind: actigraphy.Counts}
			total := 0
			for _, n := range tt.minutes {
				total += n
			}
			rec.Values = make([]float64, total)
			worn := make([]bool, total)
			for i := range worn {
				worn[i] = true
			}
			in := metric.NewInput(rec, worn)
			var days []int
			for _, day := range in.Days {
				days = append(days, day.End-day.First)
				if day.Minutes != day.End-day.First || day.Worn != day.Minutes || !day.Valid {
					t.Errorf("%v is %+v", day.Day, day)
				}
			}
			if diff := cmp.Diff(tt.minutes, days); diff != "" {
				t.Errorf("minutes of the days (-want +got):\n%s", diff)
			}
			for i, got := range in.Clock {
				if at := rec.At(i); int(got) != at.Hour()*60+at.Minute() {
					t.Fatalf("epoch %d at %v has clock minute %d", i, at, got)
				}
			}
		})
	}
}

func TestARecordingWithinADayHasOneDay(t *testing.T) {
	rec := actigraphy.Recording{Start: time.Date(2026, 3, 2, 23, 59, 30, 0, time.UTC), Epoch: time.Minute, Kind: actigraphy.Counts, Values: make([]float64, 3)}
	in := metric.NewInput(rec, []bool{true, true, false})
	if len(in.Days) != 2 || in.Days[0].End != 1 || in.Days[1].First != 1 || in.Days[1].End != 3 || in.Days[1].Worn != 1 || in.Days[0].Valid {
		t.Errorf("days %+v", in.Days)
	}
	if diff := cmp.Diff([]int16{1439, 0, 1}, in.Clock); diff != "" {
		t.Error(diff)
	}
}

func TestTheMidpointIsCountedFromTheNearestMidnight(t *testing.T) {
	at := func(h, m int) metric.Night {
		on := time.Date(2026, 3, 2, h, m, 0, 0, time.UTC).UnixMilli()
		return metric.Night{Onset: health.Instant(on - 3600_000), Offset: health.Instant(on + 3600_000)}
	}
	for want, n := range map[float64]metric.Night{0: at(0, 0), 90: at(1, 30), -30: at(23, 30), 720: at(12, 0), -719: at(12, 1)} {
		if got := n.Midpoint(time.UTC); got != want {
			t.Errorf("midpoint %v, want %v", got, want)
		}
	}
}
