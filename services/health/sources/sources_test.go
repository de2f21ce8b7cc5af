package sources

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/google/go-cmp/cmp"
)

// Sources of the tests, the best first.
var (
	testWatch = health.Source{BundleID: "com.apple.health.A", Name: "Watch", ProductType: "Watch7,5"}
	testPhone = health.Source{BundleID: "com.apple.health.B", Name: "Phone", ProductType: "iPhone16,1"}
	testApp   = health.Source{BundleID: "com.example.steps", Name: "Steps", ProductType: "iPhone16,1"}
)

func interval(source health.Source, start, end health.Instant, value float64) health.Sample {
	return health.Sample{Type: "HKQuantityTypeIdentifierStepCount", Source: source, Start: start, End: end, Value: value, Unit: "{count}"}
}

func typed(s health.Sample) health.Sample { s.UserEntered = true; return s }

func identified(s health.Sample, id byte) health.Sample { s.UUID[0] = id; return s }

func stage(source health.Source, start, end health.Instant, code float64) health.Sample {
	return health.Sample{Type: "HKCategoryTypeIdentifierSleepAnalysis", Source: source, Start: start, End: end, Value: code}
}

func TestMergeIntervals(t *testing.T) {
	for name, tc := range map[string]struct {
		samples  []health.Sample
		priority Priority
		want     []Piece
	}{
		"nothing": {nil, Priority{}, []Piece{}},
		"one source passes unchanged": {
			[]health.Sample{interval(testWatch, 0, 10, 5), interval(testWatch, 10, 20, 7), interval(testWatch, 30, 40, 9)}, Priority{},
			[]Piece{{0, 10, 5, 0}, {10, 20, 7, 1}, {30, 40, 9, 2}},
		},
		"the watch wins over the phone where both counted": {
			[]health.Sample{interval(testPhone, 0, 10, 100), interval(testWatch, 0, 10, 90)}, Priority{},
			[]Piece{{0, 10, 90, 1}},
		},
		"the phone fills what the watch left, by its share": {
			[]health.Sample{interval(testPhone, 0, 100, 100), interval(testWatch, 20, 50, 90)}, Priority{},
			[]Piece{{0, 20, 20, 0}, {20, 50, 90, 1}, {50, 100, 50, 0}},
		},
		"an app loses to the phone that it runs on": {
			[]health.Sample{interval(testApp, 0, 10, 50), interval(testPhone, 5, 15, 10)}, Priority{},
			[]Piece{{0, 5, 25, 0}, {5, 15, 10, 1}},
		},
		"what a person typed loses to everything": {
			[]health.Sample{typed(interval(testPhone, 0, 20, 1000)), interval(testApp, 0, 10, 10)}, Priority{},
			[]Piece{{0, 10, 10, 1}, {10, 20, 500, 0}},
		},
		"the order of products can be turned around": {
			[]health.Sample{interval(testPhone, 0, 10, 100), interval(testWatch, 0, 10, 90)}, PreferProducts("iPhone", "Watch"),
			[]Piece{{0, 10, 100, 0}},
		},
		"a preference does not lift what a person typed": {
			[]health.Sample{typed(interval(testPhone, 0, 10, 100)), interval(testWatch, 0, 10, 90)}, PreferProducts("iPhone"),
			[]Piece{{0, 10, 90, 1}},
		},
		"a duplicate of one source counts once": {
			[]health.Sample{interval(testWatch, 0, 10, 5), interval(testWatch, 0, 10, 5)}, Priority{},
			[]Piece{{0, 10, 5, 0}},
		},
		"of two counts of the same steps the smaller one counts": {
			[]health.Sample{identified(interval(testWatch, 0, 10, 7), 1), identified(interval(testWatch, 0, 10, 5), 2)}, Priority{},
			[]Piece{{0, 10, 5, 1}},
		},
		"whichever came first": {
			[]health.Sample{identified(interval(testWatch, 0, 10, 5), 2), identified(interval(testWatch, 0, 10, 7), 1)}, Priority{},
			[]Piece{{0, 10, 5, 0}},
		},
		"of two that are alike the one of the lesser identity": {
			[]health.Sample{identified(interval(testWatch, 0, 10, 5), 2), identified(interval(testWatch, 0, 10, 5), 1)}, Priority{},
			[]Piece{{0, 10, 5, 1}},
		},
		"an instant within a better source's interval is covered": {
			[]health.Sample{interval(testPhone, 5, 5, 3), interval(testWatch, 0, 10, 5)}, Priority{},
			[]Piece{{0, 10, 5, 1}},
		},
		"an instant of the better source stays beside the interval": {
			[]health.Sample{interval(testWatch, 5, 5, 3), interval(testPhone, 0, 10, 5)}, Priority{},
			[]Piece{{0, 10, 5, 1}, {5, 5, 3, 0}},
		},
		"an instant at the end of an interval is outside of it": {
			[]health.Sample{interval(testPhone, 10, 10, 3), interval(testWatch, 0, 10, 5)}, Priority{},
			[]Piece{{0, 10, 5, 1}, {10, 10, 3, 0}},
		},
		"several records of one second by one source all count": {
			[]health.Sample{interval(testApp, 7, 7, 1), interval(testApp, 7, 7, 2)}, Priority{},
			[]Piece{{7, 7, 1, 0}, {7, 7, 2, 1}},
		},
		"the same second by two sources counts once": {
			[]health.Sample{interval(testApp, 7, 7, 1), interval(testPhone, 7, 7, 2)}, Priority{},
			[]Piece{{7, 7, 2, 1}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, MergeIntervals(tc.samples, tc.priority)); diff != "" {
				t.Errorf("pieces (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRankOfASource(t *testing.T) {
	const (
		apple = "com.apple.health"
		app   = "com.example.steps"
	)
	tests := map[string]struct {
		product, bundle string
		typed           bool
		prefer          []string
		want            int
	}{
		"a watch":                             {"Watch7,5", apple, false, nil, 0},
		"a watch whose bundle is not told":    {"Watch7,5", "", false, nil, 0},
		"a phone":                             {"iPhone16,1", apple, false, nil, 1},
		"a tablet":                            {"iPad14,3", apple, false, nil, 1},
		"a player":                            {"iPod9,1", apple, false, nil, 1},
		"an app on the phone":                 {"iPhone16,1", app, false, nil, 2},
		"an app on the watch":                 {"Watch7,5", app, false, nil, 2},
		"another device":                      {"Scale1,1", apple, false, nil, 2},
		"nothing is told":                     {"", "", false, nil, 2},
		"typed on a watch":                    {"Watch7,5", apple, true, nil, 3},
		"a phone that is preferred":           {"iPhone16,1", apple, false, []string{"iPhone", "Watch"}, 0},
		"a watch that is preferred after it":  {"Watch7,5", apple, false, []string{"iPhone", "Watch"}, 1},
		"an app on a phone that is preferred": {"iPhone16,1", app, false, []string{"iPhone", "Watch"}, 0},
		"a tablet behind those preferred":     {"iPad14,3", apple, false, []string{"iPhone", "Watch"}, 3},
		"typed on a phone that is preferred":  {"iPhone16,1", apple, true, []string{"iPhone", "Watch"}, 5},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := health.Sample{Source: health.Source{ProductType: tt.product, BundleID: tt.bundle}, UserEntered: tt.typed}
			if got := PreferProducts(tt.prefer...).Rank(&s); got != tt.want {
				t.Errorf("rank %d, want %d", got, tt.want)
			}
		})
	}
}

// A sample of which a part counts gives that part, wherever in time it lies.
func TestAShareIsOfTheSamplesOwnLength(t *testing.T) {
	got := MergeIntervals([]health.Sample{interval(testPhone, 1000, 1100, 50), interval(testWatch, 1000, 1040, 7)}, Priority{})
	if diff := cmp.Diff([]Piece{{1000, 1040, 7, 1}, {1040, 1100, 30, 0}}, got); diff != "" {
		t.Errorf("pieces (-want +got):\n%s", diff)
	}
}

func TestMergeStages(t *testing.T) {
	for name, tc := range map[string]struct {
		samples []health.Sample
		want    []Piece
	}{
		"the watch's stages lie within the phone's time in bed": {
			[]health.Sample{stage(testPhone, 0, 100, 0), stage(testWatch, 10, 40, 3), stage(testWatch, 40, 60, 4)},
			[]Piece{{0, 10, 0, 0}, {10, 40, 3, 1}, {40, 60, 4, 2}, {60, 100, 0, 0}},
		},
		"within one source a stage wins over asleep and asleep over in bed": {
			[]health.Sample{stage(testWatch, 0, 30, 0), stage(testWatch, 5, 25, 1), stage(testWatch, 10, 20, 5)},
			[]Piece{{0, 5, 0, 0}, {5, 10, 1, 1}, {10, 20, 5, 2}, {20, 25, 1, 1}, {25, 30, 0, 0}},
		},
		"awake splits a night that an app wrote as one": {
			[]health.Sample{stage(testApp, 0, 30, 1), stage(testApp, 12, 14, 2)},
			[]Piece{{0, 12, 1, 0}, {12, 14, 2, 1}, {14, 30, 1, 0}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, MergeStages(tc.samples, Priority{})); diff != "" {
				t.Errorf("pieces (-want +got):\n%s", diff)
			}
		})
	}
}

// randomSamples overlap often: few instants, several sources.
func randomSamples(r *rand.Rand) []health.Sample {
	sources := []health.Source{testWatch, testPhone, testApp, {Name: "Other"}}
	samples := make([]health.Sample, 1+r.IntN(40))
	for i := range samples {
		start := health.Instant(r.IntN(200))
		s := interval(sources[r.IntN(len(sources))], start, start+health.Instant(r.IntN(60)), float64(r.IntN(1000)))
		s.UserEntered = r.IntN(8) == 0
		s.UUID[0], s.UUID[1] = byte(i), byte(r.IntN(256))
		samples[i] = s
	}
	return samples
}

// named replaces indexes, which depend on the order, by identities.
func named(samples []health.Sample, pieces []Piece) []any {
	var out []any
	for _, p := range pieces {
		out = append(out, [4]any{p.Start, p.End, p.Value, samples[p.Sample].UUID})
	}
	return out
}

func TestMergeIntervalsProperties(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 7))
		samples := randomSamples(r)
		pieces := MergeIntervals(samples, Priority{})

		shuffled := slices.Clone(samples)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if diff := cmp.Diff(named(samples, pieces), named(shuffled, MergeIntervals(shuffled, Priority{}))); diff != "" {
			t.Fatalf("seed %d: another order, another result:\n%s", seed, diff)
		}
		checkPieces(t, seed, samples, pieces)
	}
}

// checkPieces: no overlap, every covered instant has the best source, no
// sample gives more than it has.
func checkPieces(t *testing.T, seed uint64, samples []health.Sample, pieces []Piece) {
	t.Helper()
	given := make([]float64, len(samples))
	var end health.Instant
	for i, p := range pieces {
		given[p.Sample] += p.Value
		if i > 0 && p.Start < pieces[i-1].Start {
			t.Fatalf("seed %d: pieces are not in order of time", seed)
		}
		if p.Start == p.End {
			continue
		}
		if p.Start < end {
			t.Fatalf("seed %d: pieces overlap at %d", seed, p.Start)
		}
		end = p.End
	}
	for i, s := range samples {
		if given[i] > s.Value*(1+1e-12) {
			t.Fatalf("seed %d: a sample of %v gave %v", seed, s.Value, given[i])
		}
	}
	for at := health.Instant(0); at < 270; at++ {
		best, covered := math.MaxInt, false
		for i := range samples {
			if s := &samples[i]; s.Start <= at && at < s.End {
				best, covered = min(best, Priority{}.Rank(s)), true
			}
		}
		n := 0
		for _, p := range pieces {
			if p.Start <= at && at < p.End {
				n++
				if got := (Priority{}).Rank(&samples[p.Sample]); got != best {
					t.Fatalf("seed %d: rank %d at %d, best is %d", seed, got, at, best)
				}
			}
		}
		if covered != (n == 1) {
			t.Fatalf("seed %d: %d pieces at %d, covered %v", seed, n, at, covered)
		}
	}
}

func TestOneSourceWithoutOverlapPassesUnchanged(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 9))
		var samples []health.Sample
		var want []Piece
		at := health.Instant(0)
		for i := range 30 {
			at += health.Instant(r.IntN(3))
			s := interval(testPhone, at, at+1+health.Instant(r.IntN(100)), r.Float64()*1000)
			s.UUID[0] = byte(i)
			at = s.End
			samples = append(samples, s)
			want = append(want, Piece{s.Start, s.End, s.Value, i})
		}
		if diff := cmp.Diff(want, MergeIntervals(samples, Priority{})); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}

func BenchmarkMergeIntervals(b *testing.B) {
	var samples []health.Sample
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 { // a busy day
		source := []health.Source{testWatch, testPhone}[i%2]
		start := health.Instant(r.IntN(86_400_000))
		samples = append(samples, interval(source, start, start+health.Instant(r.IntN(300_000)), 50))
	}
	b.ReportAllocs()
	for b.Loop() {
		MergeIntervals(samples, Priority{})
	}
}
