package analyse_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/worker/analyse"
)

var (
	watch = health.Source{BundleID: "com.apple.health.watch", Name: "Watch", ProductType: "Watch7,5"}
	phone = health.Source{BundleID: "com.apple.health.phone", Name: "Phone", ProductType: "iPhone16,1"}
)

// A diary writes samples as a watch and a phone would.
type diary struct {
	zone    *time.Location
	samples []health.Sample
}

func (d *diary) add(typ string, src health.Source, start time.Time, length time.Duration, value float64) {
	s := health.Sample{
		Type: typ, Start: health.InstantOf(start), End: health.InstantOf(start.Add(length)),
		Zone: d.zone.String(), Value: value, OriginalValue: value, Source: src,
	}
	n := len(d.samples)
	s.UUID[0], s.UUID[1], s.UUID[2] = byte(n>>16), byte(n>>8), byte(n)
	d.samples = append(d.samples, s)
}

func (d *diary) at(day, hour, min int) time.Time {
	return time.Date(2026, 3, day, hour, min, 0, 0, d.zone)
}

// night writes sleep from 23:00 of the evening before day to 07:00: in bed at
// 22:45, awake from 03:00 to 03:20.
func (d *diary) night(day int) {
	const sleep = "HKCategoryTypeIdentifierSleepAnalysis"
	bed, onset := d.at(day-1, 22, 45), d.at(day-1, 23, 0)
	wake, again, offset := d.at(day, 3, 0), d.at(day, 3, 20), d.at(day, 7, 0)
	d.add(sleep, phone, bed, d.at(day, 7, 10).Sub(bed), 0)
	d.add(sleep, watch, onset, 60*time.Minute, 3)
	d.add(sleep, watch, onset.Add(time.Hour), 60*time.Minute, 4)
	d.add(sleep, watch, onset.Add(2*time.Hour), wake.Sub(onset.Add(2*time.Hour)), 5)
	d.add(sleep, watch, wake, again.Sub(wake), 2)
	d.add(sleep, watch, again, offset.Sub(again), 3)
}

// day writes a watch's day: a heart rate every five minutes around the clock,
// energy every minute, steps from 08:00 to 20:00 by watch and phone both.
func (d *diary) day(day int) {
	q := func(s string) string { return "HKQuantityTypeIdentifier" + s }
	for at := d.at(day, 0, 0); at.Before(d.at(day+1, 0, 0)); at = at.Add(time.Minute) {
		asleep := at.Hour() >= 23 || at.Hour() < 7
		kcal, bpm := 1.0, 70.0
		if asleep {
			kcal, bpm = 0.05, 50
		}
		d.add(q("ActiveEnergyBurned"), watch, at, time.Minute, kcal)
		if at.Minute()%5 == 0 {
			d.add(q("HeartRate"), watch, at, 0, bpm)
		}
		if at.Hour() >= 8 && at.Hour() < 20 && at.Minute()%10 == 0 {
			d.add(q("StepCount"), watch, at, 10*time.Minute, 100)
			d.add(q("StepCount"), phone, at, 10*time.Minute, 90)
		}
	}
	d.add(q("RestingHeartRate"), watch, d.at(day, 0, 0), 23*time.Hour, 55)
	d.add(q("HeartRateVariabilitySDNN"), watch, d.at(day, 4, 0), time.Minute, 60)
	d.add(q("RespiratoryRate"), watch, d.at(day, 4, 0), time.Minute, 14)
	d.add(q("OxygenSaturation"), watch, d.at(day, 4, 0), 0, 97)
}

// aWeek is 23 to 29 March 2026 in Berlin; on the 29th the clock goes forward.
func aWeek(t testing.TB) analyse.Input {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	d := &diary{zone: zone}
	for day := 22; day <= 29; day++ {
		d.night(day)
		d.day(day)
	}
	return input(t, d)
}

func input(t testing.TB, d *diary) analyse.Input {
	t.Helper()
	start, err := health.ParseDay("2026-03-23")
	if err != nil {
		t.Fatal(err)
	}
	return analyse.Input{
		Start: start, End: start + 6, Zone: d.zone,
		View:   timeline.NewView(timeline.Chunk{Samples: d.samples}),
		Chunks: []analysis.ChunkOrigin{{Day: start, Digest: "d1"}},
	}
}

func compute(t testing.TB, in analyse.Input) analysis.Result {
	t.Helper()
	r, err := analyse.Compute(in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAWeekOfAWatchBecomesItsKnownNumbers(t *testing.T) {
	r := compute(t, aWeek(t))
	families := map[string]analysis.Family{"wear": r.Wear, "sleep": r.Sleep, "circadian": r.Circadian, "activity": r.Activity, "cardio": r.Cardio}
	// Six nights of 460 minutes asleep; the night of the 29th is an hour shorter.
	want := map[string]map[string]float64{
		"wear":  {"valid_days": 7, "worn_minutes": 7*1440 - 60, "worn_percent": 100},
		"sleep": {"total_sleep_time_minutes": 460 - 60.0/7, "time_in_bed_minutes": 505 - 60.0/7, "sleep_onset_latency_minutes": 15, "wake_after_sleep_onset_minutes": 20, "awakenings_per_night": 1},
		// Energy: 16 h of 1 kcal a minute, 8 h (7 h on the 29th, which has no 02:xx) of 0.05.
		"activity": {"steps_per_day": 7200, "active_energy_kcal_per_day": 960 + 24 - 60*0.05/7},
		// The fifth hour of the quietest five begins as early as it can: at 23:00.
		"circadian": {"m10": 1, "m10_onset_minutes": 7 * 60, "l5": 0.05},
		"cardio":    {"resting_heart_rate_bpm": 55, "heart_rate_nadir_bpm": 50, "hrv_sdnn_ms": 60, "respiratory_rate_per_minute": 14, "oxygen_saturation_percent": 97},
	}
	for family, metrics := range want {
		for name, w := range metrics {
			if got := families[family][name]; got == nil || math.Abs(*got-w) > 1e-9*math.Abs(w) {
				t.Errorf("%s.%s = %v, want %v", family, name, text(got), w)
			}
		}
	}
	if r.Input.Kind != "energy" || !r.Input.Proxy || r.Input.SleepSource != "stages" || r.Input.Epochs != 7*1440-60 || r.Input.MissingEpochs != 0 {
		t.Errorf("input %+v", r.Input)
	}
	if n := len(r.Nights); n != 7 {
		t.Fatalf("%d nights, want 7", n)
	}
	short := r.Nights[6]
	if short.Onset != "2026-03-28T23:00:00+01:00" || short.Offset != "2026-03-29T07:00:00+02:00" || short.TotalSleepMin != 400 || *short.DeepMin != 60 {
		t.Errorf("the night with the change of the clock is %+v", short)
	}
	last := r.Days[6]
	if last.Minutes != 1380 || last.WornMinutes != 1380 || !last.Valid || *last.Steps != 7200 || *last.RestingHeartRate != 55 {
		t.Errorf("the day with the change of the clock is %+v", last)
	}
}

func text(v *float64) any {
	if v == nil {
		return nil
	}
	return *v
}

func TestAResultDependsOnTheSamplesAlone(t *testing.T) {
	in := aWeek(t)
	want := marshal(t, compute(t, in))
	var samples []health.Sample
	for _, typ := range in.View.Types() {
		samples = append(samples, in.View.Samples(typ)...)
	}
	for seed := range uint64(5) {
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(samples), func(i, j int) { samples[i], samples[j] = samples[j], samples[i] })
		in.View = timeline.NewView(timeline.Chunk{Samples: samples[:len(samples)/2]}, timeline.Chunk{Samples: slices.Clone(samples[len(samples)/3:])})
		if got := marshal(t, compute(t, in)); string(got) != string(want) {
			t.Fatalf("seed %d: another result (-want +got):\n%s", seed, cmp.Diff(string(want), string(got)))
		}
	}
}

func BenchmarkComputeWeek(b *testing.B) {
	in := aWeek(b)
	b.Logf("%d samples", in.View.Len())
	for b.Loop() {
		if _, err := analyse.Compute(in); err != nil {
			b.Fatal(err)
		}
	}
}
