package analyse_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/catalog"
	"github.com/clarity-loop/clarity/services/timeline"
	"github.com/clarity-loop/clarity/services/worker/analyse"
)

// TestWhatCountsAsWorn holds the rules of docs/analysis/wear.md, each on the
// 24th of March.
func TestWhatCountsAsWorn(t *testing.T) {
	const (
		q     = "HKQuantityTypeIdentifier"
		sleep = "HKCategoryTypeIdentifierSleepAnalysis"
	)
	tests := map[string]struct {
		write func(d *diary)
		worn  int // minutes
	}{
		"two signs an hour apart, and the hour between": {func(d *diary) {
			d.add(q+"HeartRate", watch, d.at(24, 10, 0), 0, 60)
			d.add(q+"HeartRate", watch, d.at(24, 11, 1), 0, 60)
		}, 62},
		"two signs more than an hour apart": {func(d *diary) {
			d.add(q+"HeartRate", watch, d.at(24, 10, 0), 0, 60)
			d.add(q+"HeartRate", watch, d.at(24, 11, 2), 0, 60)
		}, 2},
		"a sample of an hour": {func(d *diary) { d.add(q+"StepCount", phone, d.at(24, 10, 0), time.Hour, 100) }, 60},
		"a sample of more than an hour tells no minute": {func(d *diary) {
			d.add(q+"ActiveEnergyBurned", watch, d.at(24, 10, 0), 61*time.Minute, 100)
		}, 0},
		"a sleep stage of hours": {func(d *diary) { d.add(sleep, watch, d.at(24, 1, 0), 5*time.Hour, 3) }, 300},
		"time in bed is no wear": {func(d *diary) { d.add(sleep, phone, d.at(24, 1, 0), 5*time.Hour, 0) }, 0},
		"what was typed is no wear": {func(d *diary) {
			d.add(q+"HeartRate", phone, d.at(24, 10, 0), 0, 60)
			d.samples[len(d.samples)-1].UserEntered = true
		}, 0},
		"a resting heart rate stands for the day and is no wear": {func(d *diary) {
			d.add(q+"RestingHeartRate", watch, d.at(24, 10, 0), 10*time.Minute, 60)
		}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := &diary{zone: aWeek(t).Zone}
			// A step in another place, so that there is activity at all.
			d.add(q+"StepCount", phone, d.at(27, 12, 0), time.Minute, 10)
			tt.write(d)
			r := compute(t, input(t, d))
			if got := r.Days[1].WornMinutes; got != tt.worn {
				t.Errorf("%d worn minutes, want %d", got, tt.worn)
			}
			if r.Input.MissingEpochs != r.Input.Epochs-tt.worn-1 {
				t.Errorf("%d missing epochs of %d", r.Input.MissingEpochs, r.Input.Epochs)
			}
		})
	}
}

// TestTotalsHoldWhatTheMinutesCannot: what is too long or typed counts in the
// day, not in the minute.
func TestTotalsHoldWhatTheMinutesCannot(t *testing.T) {
	const energy = "HKQuantityTypeIdentifierActiveEnergyBurned"
	d := &diary{zone: aWeek(t).Zone}
	d.add(energy, watch, d.at(24, 8, 0), time.Minute, 5)
	d.add(energy, watch, d.at(24, 23, 0), 2*time.Hour, 40) // half of it on the 25th
	d.add(energy, phone, d.at(25, 12, 0), 30*time.Minute, 300)
	d.samples[2].UserEntered = true
	for at := d.at(24, 8, 0); at.Before(d.at(25, 13, 0)); at = at.Add(5 * time.Minute) { // worn throughout
		d.add("HKQuantityTypeIdentifierHeartRate", watch, at, 0, 60)
	}
	r := compute(t, input(t, d))
	for day, want := range map[int]float64{1: 25, 2: 320} {
		if got := text(r.Days[day].ActiveEnergyKcal); got != want {
			t.Errorf("day %d: %v kcal, want %v", day, got, want)
		}
	}
	if got := text(r.Days[1].TotalActivity); got != 5.0 {
		t.Errorf("the minutes of the 24th hold %v kcal, want 5", got)
	}
	if got := text(r.Days[2].TotalActivity); got != 0.0 {
		t.Errorf("the minutes of the 25th hold %v kcal, want 0", got)
	}
	if r.Days[3].TotalActivity != nil || r.Days[0].ActiveEnergyKcal != nil {
		t.Error("a day without a measured minute, or without a sample, has a total")
	}
}

func TestTheDenserOfEnergyAndStepsIsTheInput(t *testing.T) {
	const q = "HKQuantityTypeIdentifier"
	tests := map[string]struct {
		energy, steps int // minutes covered
		want          string
	}{
		"more energy": {20, 10, "energy"}, "more steps": {10, 20, "steps"}, "equal": {10, 10, "energy"},
		"steps only": {0, 1, "steps"}, "neither": {0, 0, "none"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := &diary{zone: aWeek(t).Zone}
			d.add(q+"ActiveEnergyBurned", watch, d.at(24, 8, 0), time.Duration(tt.energy)*time.Minute, 1)
			d.add(q+"StepCount", watch, d.at(24, 8, 0), time.Duration(tt.steps)*time.Minute, 1)
			d.samples = slices.DeleteFunc(d.samples, func(s health.Sample) bool { return s.End == s.Start })
			r := compute(t, input(t, d))
			if string(r.Input.Kind) != tt.want || r.Input.Proxy != (tt.want != "none") {
				t.Errorf("kind %s, proxy %t; want %s", r.Input.Kind, r.Input.Proxy, tt.want)
			}
		})
	}
}

func TestTheFirstNightBeginsBeforeTheWindow(t *testing.T) {
	const sleep = "HKCategoryTypeIdentifierSleepAnalysis"
	d := &diary{zone: aWeek(t).Zone}
	d.add(sleep, watch, d.at(22, 21, 0), time.Hour, 4)
	d.add(sleep, watch, d.at(22, 22, 0), 8*time.Hour, 3)
	for i := range 12 {
		d.add("HKQuantityTypeIdentifierHeartRate", watch, d.at(22, 21, 5*i), 0, 48)
	}
	r := compute(t, input(t, d))
	if len(r.Nights) != 1 || r.Nights[0].TotalSleepMin != 540 || *r.Nights[0].DeepMin != 60 {
		t.Fatalf("nights %+v", r.Nights)
	}
	if got := text(r.Cardio["heart_rate_nadir_bpm"]); got != 48.0 {
		t.Errorf("nadir %v, want that of the evening before the window", got)
	}
	if r.Input.SampleCount != 0 {
		t.Errorf("%d samples of the window, want none: all begin before it", r.Input.SampleCount)
	}
}

func TestTypedHeartRatesAreLeftOut(t *testing.T) {
	in := aWeek(t)
	d := &diary{zone: in.Zone}
	for i := range 3 {
		d.add("HKQuantityTypeIdentifierRespiratoryRate", phone, d.at(24+i, 9, 0), 0, 15)
		d.samples[i].UserEntered = true
	}
	if r := compute(t, input(t, d)); r.Cardio["respiratory_rate_per_minute"] != nil {
		t.Error("typed values became a median")
	}
}

// TestTheDigestHoldsAllThatDetermines: change one thing, and it differs.
// What is said to be measured is what the numbers are made of: samples of any other
// type change the count of samples and nothing else.
func TestWhatIsMeasuredIsWhatAResultIsMadeOf(t *testing.T) {
	in := aWeek(t)
	var samples []health.Sample
	for _, kind := range in.View.Types() {
		samples = append(samples, in.View.Samples(kind)...)
	}
	result := func(more ...health.Sample) analysis.Result {
		t.Helper()
		with := in
		with.View = timeline.NewView(timeline.Chunk{Samples: append(slices.Clone(samples), more...)})
		r, err := analyse.Compute(with)
		if err != nil {
			t.Fatal(err)
		}
		r.Input.SampleCount = 0
		return r
	}
	want, noon := result(), in.End.String()+"T12:00:00Z"
	at, err := time.Parse(time.RFC3339, noon)
	if err != nil {
		t.Fatal(err)
	}
	changes := 0
	for _, kind := range append(catalog.All(), &catalog.Type{Identifier: "HKQuantityTypeIdentifierOfNextYear"}) {
		more := health.Sample{UUID: health.UUID{0: 0xfe, 15: 0x77}, Type: kind.Identifier, Start: health.InstantOf(at), End: health.InstantOf(at.Add(50 * time.Minute)), Value: 31, Source: health.Source{ProductType: "Watch7,5"}, Zone: in.Zone.String()}
		differs := cmp.Diff(want, result(more)) != ""
		if differs && !analysis.Measures(kind.Identifier) {
			t.Errorf("%s changes a number, and is not said to be measured", kind.Identifier)
		}
		if differs {
			changes++
		}
	}
	if changes < 3 {
		t.Errorf("only %d types change anything", changes)
	}
}

func TestTheDigestHoldsAllThatDetermines(t *testing.T) {
	base := func() analyse.Input {
		in := aWeek(t)
		in.Preferred = []string{"Watch", "iPhone"}
		in.Chunks = []analysis.ChunkOrigin{{Day: in.Start, Digest: "a"}, {Day: in.End, Digest: "b"}}
		return in
	}
	changes := map[string]func(*analyse.Input){
		"the first day":    func(in *analyse.Input) { in.Start-- },
		"the last day":     func(in *analyse.Input) { in.End++ },
		"the zone":         func(in *analyse.Input) { in.Zone = time.UTC },
		"a chunk":          func(in *analyse.Input) { in.Chunks[1].Digest = "c" },
		"a chunk's day":    func(in *analyse.Input) { in.Chunks[1].Day-- },
		"one chunk fewer":  func(in *analyse.Input) { in.Chunks = in.Chunks[:1] },
		"the priority":     func(in *analyse.Input) { in.Preferred = []string{"iPhone", "Watch"} },
		"a joined prefix":  func(in *analyse.Input) { in.Preferred = []string{"WatchiPhone"} },
		"no priority":      func(in *analyse.Input) { in.Preferred = nil },
		"a split priority": func(in *analyse.Input) { in.Preferred = []string{"Watch", "iPhone", ""} },
	}
	seen := map[string]string{analyse.Digest(base()): "nothing"}
	if _, same := seen[analyse.Digest(base())]; !same {
		t.Error("the same input has two digests")
	}
	for name, change := range changes {
		in := base()
		change(&in)
		digest := analyse.Digest(in)
		if other, ok := seen[digest]; ok {
			t.Errorf("changing %s gives the digest of changing %s", name, other)
		}
		seen[digest] = name
	}
}

func TestAWindowThatCannotBeIsRefused(t *testing.T) {
	for name, change := range map[string]func(*analyse.Input){
		"no zone":           func(in *analyse.Input) { in.Zone = nil },
		"an end before":     func(in *analyse.Input) { in.End = in.Start - 1 },
		"a thousand days":   func(in *analyse.Input) { in.End = in.Start + 1000 },
		"all of the future": func(in *analyse.Input) { in.End = 1<<31 - 1 },
	} {
		in := aWeek(t)
		change(&in)
		if _, err := analyse.Compute(in); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
