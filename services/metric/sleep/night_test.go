package sleep

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/metric"
	"github.com/clarity-loop/clarity/services/metric/metrictest"
)

// on is a time of March 2026 in UTC, day and minutes after its midnight.
func on(day, minutes int) health.Instant {
	return health.InstantOf(time.Date(2026, 3, day, 0, minutes, 0, 0, time.UTC))
}

func span(day, from, to int, s Stage) Span { return Span{on(day, from), on(day, to), s} }

func float(v float64) *float64 { return &v }

func TestNightsFromStages(t *testing.T) {
	loc := time.UTC
	tests := map[string]struct {
		stages, beds []Span
		want         []metric.Night
	}{
		"a night with stages and a time in bed": {
			[]Span{span(2, 0, 60, Core), span(2, 60, 120, Deep), span(2, 120, 130, Awake), span(2, 130, 200, REM), span(2, 200, 400, Core)},
			[]Span{span(2, -20, 410, InBed)},
			[]metric.Night{{Onset: on(2, 0), Offset: on(2, 400), InBed: 430, Asleep: 390, Wake: 10, Latency: float(20), Awakenings: 1, Core: float(260), Deep: float(60), REM: float(70)}},
		},
		"without a time in bed there is no latency": {
			[]Span{span(2, 0, 400, Unspecified)}, nil,
			[]metric.Night{{Onset: on(2, 0), Offset: on(2, 400), InBed: 400, Asleep: 400}},
		},
		"awake before the onset and after the offset is time in bed": {
			[]Span{span(2, -15, 0, Awake), span(2, 0, 400, Core), span(2, 400, 405, Awake)}, nil,
			[]metric.Night{{Onset: on(2, 0), Offset: on(2, 400), InBed: 420, Asleep: 400, Latency: float(15), Core: float(400), Deep: float(0), REM: float(0)}},
		},
		"an hour without a record is within the night, and wake": {
			[]Span{span(2, 0, 200, Unspecified), span(2, 260, 500, Unspecified)}, nil,
			[]metric.Night{{Onset: on(2, 0), Offset: on(2, 500), InBed: 500, Asleep: 440, Wake: 60, Awakenings: 1}},
		},
		"more than an hour without a record ends it; the longer sleep is the night": {
			[]Span{span(2, 0, 200, Unspecified), span(2, 261, 500, Unspecified)}, nil,
			[]metric.Night{{Onset: on(2, 261), Offset: on(2, 500), InBed: 239, Asleep: 239}},
		},
		"two hours recorded as awake are within the night": {
			[]Span{span(2, 0, 200, Unspecified), span(2, 200, 320, Awake), span(2, 320, 500, Unspecified)}, nil,
			[]metric.Night{{Onset: on(2, 0), Offset: on(2, 500), InBed: 500, Asleep: 380, Wake: 120, Awakenings: 1}},
		},
		"a nap in the afternoon is no night": {
			[]Span{span(2, 0, 400, Unspecified), span(2, 840, 930, Unspecified)}, nil,
			[]metric.Night{{Onset: on(2, 0), Offset: on(2, 400), InBed: 400, Asleep: 400}},
		},
		"a day with a nap only has no night": {
			[]Span{span(2, 840, 1019, Unspecified)}, nil, []metric.Night{},
		},
		"a worker of the night shift sleeps in the day": {
			[]Span{span(2, 540, 960, Unspecified)}, nil,
			[]metric.Night{{Onset: on(2, 540), Offset: on(2, 960), InBed: 420, Asleep: 420}},
		},
		"a time in bed that begins after the onset tells no latency": {
			[]Span{span(2, 0, 400, Unspecified)}, []Span{span(2, 30, 420, InBed)},
			[]metric.Night{{Onset: on(2, 0), Offset: on(2, 400), InBed: 420, Asleep: 400}},
		},
		"in bed without sleep is no night": {nil, []Span{span(2, 0, 400, InBed)}, []metric.Night{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for i := range tt.want {
				tt.want[i].Day, tt.want[i].Source = health.DayOf(on(2, 0), loc), metric.SleepStages
			}
			got := FromStages(tt.stages, tt.beds, loc)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("nights (-want +got):\n%s", diff)
			}
		})
	}
}

// sleeper is still from 23:00 to 07:00 (but for ten minutes at 03:00), and for
// 40 minutes at 14:00; else it moves.
func sleeper(i int) float64 {
	switch m := i % 1440; {
	case m >= 180 && m < 190:
		return 500
	case m < 420, m >= 1380, m >= 840 && m < 880:
		return 0
	}
	return 400
}

func TestNightsFromCounts(t *testing.T) {
	nights := FromCounts(metrictest.Made(4, sleeper))
	// The first morning is cut by the recording's start and the last evening by its end.
	if len(nights) != 3 {
		t.Fatalf("%d nights, want 3: %+v", len(nights), nights)
	}
	for i, n := range nights {
		onset, offset := on(2+i, 1380), on(3+i, 420)
		// The weights see four minutes back and two ahead, and Webster's rule
		// takes the first four minutes of sleep after 15 of wake.
		if d := (n.Onset - onset) / minute; d < 0 || d > 8 {
			t.Errorf("night %d begins %d minutes after 23:00", i, d)
		}
		if d := (n.Offset - offset) / minute; d < -2 || d > 0 {
			t.Errorf("night %d ends %d minutes after 07:00", i, d)
		}
		if n.Awakenings != 1 || n.Wake < 10 || n.Wake > 20 || n.Asleep+n.Wake != n.InBed || n.Latency != nil || n.Deep != nil || n.Source != metric.SleepCounts {
			t.Errorf("night %d is %+v", i, n)
		}
		if n.Day != health.DayOf(on(3+i, 0), time.UTC) {
			t.Errorf("night %d is of %v", i, n.Day)
		}
	}
}

func TestANightThatWasHardlyMeasuredIsLeftOut(t *testing.T) {
	rec := metrictest.Made(3, sleeper)
	rec.Missing = make([]bool, len(rec.Values))
	for i := 1440 + 60; i < 1440+115; i++ { // 55 minutes and their margins
		rec.Missing[i], rec.Values[i] = true, 0
	}
	if n := len(FromCounts(rec)); n != 1 {
		t.Errorf("%d nights, want only the second", n)
	}
}

func TestTheMeanMidpointIsThatOfAClock(t *testing.T) {
	night := func(day, from, to int) metric.Night {
		return metric.Night{Day: health.DayOf(on(day, 0), time.UTC), Onset: on(day, from), Offset: on(day, to), InBed: float64(to - from), Asleep: float64(to - from)}
	}
	tests := map[string]struct {
		nights []metric.Night
		want   float64
	}{
		"around midnight the mean is midnight": {[]metric.Night{night(3, -240, 200), night(4, -200, 240), night(5, -220, 220)}, 0},
		"in the morning":                       {[]metric.Night{night(3, 0, 400), night(4, 0, 400), night(5, 30, 430)}, 210},
		"before midnight it is negative":       {[]metric.Night{night(3, -300, 180), night(4, -300, 180), night(5, -300, 180)}, -60},
		"in the afternoon":                     {[]metric.Night{night(3, 540, 960), night(4, 540, 960), night(5, 540, 960)}, -690},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in := metrictest.Input(metrictest.Made(7, sleeper))
			in.Nights, in.SleepSource = tt.nights, metric.SleepStages
			got, err := midpoint(in)
			if err != nil || math.Abs(got-tt.want) > 0.2 {
				t.Errorf("midpoint %v, %v; want %v", got, err, tt.want)
			}
		})
	}
	t.Run("opposite midpoints have no mean", func(t *testing.T) {
		in := metrictest.Input(metrictest.Made(7, sleeper))
		in.SleepSource = metric.SleepStages
		in.Nights = []metric.Night{night(2, -180, 180), night(3, 300, 660), night(4, 780, 1140)} // 0:00, 8:00, 16:00
		var lacking *metric.Insufficient
		if v, err := midpoint(in); !errors.As(err, &lacking) || lacking.Reason != metric.NoVariance {
			t.Errorf("midpoint %v, %v", v, err)
		}
	})
}

func TestSleepIsSummedUpOverNights(t *testing.T) {
	in := metrictest.Input(metrictest.Made(7, sleeper))
	in.SleepSource = metric.SleepStages
	for i := range 3 {
		n := metric.Night{Onset: on(3+i, 0), Offset: on(3+i, 420), InBed: 500, Asleep: 400, Wake: 20, Awakenings: i}
		if i < 2 {
			n.Latency = float(30)
		}
		in.Nights = append(in.Nights, n)
	}
	want := map[string]float64{
		"total_sleep_time_minutes": 400, "time_in_bed_minutes": 500, "wake_after_sleep_onset_minutes": 20,
		"sleep_efficiency_percent": 80, "awakenings_per_night": 1, "midpoint_minutes": 210,
	}
	for _, d := range Definitions() {
		v, err := d.Compute(in)
		if d.Name == "sleep_onset_latency_minutes" {
			var lacking *metric.Insufficient
			if !errors.As(err, &lacking) || lacking.Reason != metric.NoTimeInBed {
				t.Errorf("two latencies of three nights: %v, %v", v, err)
			}
			continue
		}
		if err != nil || math.Abs(v-want[d.Name]) > 1e-9 || v < d.Min || v > d.Max {
			t.Errorf("%s = %v, %v; want %v", d.Name, v, err, want[d.Name])
		}
	}
}

// FuzzNights: spans of any length and order give nights that hold together.
func FuzzNights(f *testing.F) {
	f.Add([]byte{60, 3, 60, 4, 10, 2, 200, 5, 255, 1})
	f.Add([]byte{255, 0, 255, 1, 61, 9, 255, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		var stages, beds []Span
		at := on(2, 0)
		for i := 0; i+1 < len(data); i += 2 {
			end := at + health.Instant(data[i])*minute
			switch s := Stage(data[i+1] % 7); s {
			case InBed:
				beds = append(beds, Span{at, end + 90*minute, s})
				at = end
			case 6: // nothing was recorded
				at = end
			default:
				stages = append(stages, Span{at, end, s})
				at = end
			}
		}
		last := health.Day(math.MinInt32)
		for _, n := range FromStages(stages, beds, time.UTC) {
			if n.Offset-n.Onset < shortestNight || n.Day <= last || n.Asleep <= 0 || n.Asleep > n.InBed+1e-6 ||
				n.Wake < 0 || math.Abs(n.Asleep+n.Wake-inMinutes(n.Offset-n.Onset)) > 1e-6 || n.Efficiency() > 100+1e-9 || n.Latency != nil && *n.Latency < 0 {
				t.Fatalf("a night that does not hold together: %+v", n)
			}
			last = n.Day
		}
		FromCounts(actigraphy.Recording{Start: on(2, 0).Time(), Epoch: time.Minute, Kind: actigraphy.Counts, Values: make([]float64, len(data))})
	})
}
