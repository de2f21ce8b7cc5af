package timeline_test

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/timeline"
)

func deleted(t testing.TB, ids ...health.UUID) timeline.Tombstones {
	t.Helper()
	set, _, err := timeline.Tombstones{}.Add(ids)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestMergeCountsWhatItFinds(t *testing.T) {
	a, b, c := health.Sample{UUID: health.UUID{1}}, health.Sample{UUID: health.UUID{2}}, health.Sample{UUID: health.UUID{3}}
	otherA := a
	otherA.Value = 1
	longA := a
	longA.End = 1
	tests := map[string]struct {
		have, add []health.Sample
		deleted   []health.UUID
		want      []health.Sample
		stats     timeline.Stats
	}{
		"nothing":                             {},
		"the first samples, unsorted":         {nil, []health.Sample{b, a}, nil, []health.Sample{a, b}, timeline.Stats{Added: 2}},
		"the same again":                      {[]health.Sample{a}, []health.Sample{a, a}, nil, []health.Sample{a}, timeline.Stats{Duplicates: 2}},
		"the same twice at once":              {nil, []health.Sample{a, a}, nil, []health.Sample{a}, timeline.Stats{Added: 1, Duplicates: 1}},
		"a better version takes the place":    {[]health.Sample{a, b}, []health.Sample{otherA}, nil, []health.Sample{otherA, b}, timeline.Stats{Replaced: 1}},
		"a worse version does not come":       {[]health.Sample{otherA}, []health.Sample{a}, nil, []health.Sample{otherA}, timeline.Stats{Duplicates: 1}},
		"of two at once the better comes":     {nil, []health.Sample{otherA, a}, nil, []health.Sample{otherA}, timeline.Stats{Added: 1, Duplicates: 1}},
		"the one that ends last is better":    {[]health.Sample{otherA}, []health.Sample{longA}, nil, []health.Sample{longA}, timeline.Stats{Replaced: 1}},
		"a release before kept both":          {[]health.Sample{a, otherA}, []health.Sample{longA}, nil, []health.Sample{longA}, timeline.Stats{Replaced: 1}},
		"a deletion takes every version":      {[]health.Sample{a, otherA, b}, nil, []health.UUID{a.UUID}, []health.Sample{b}, timeline.Stats{Removed: 2}},
		"a deletion comes before its sample":  {[]health.Sample{b}, []health.Sample{a, c}, []health.UUID{a.UUID}, []health.Sample{b, c}, timeline.Stats{Added: 1, Deleted: 1}},
		"a deletion of something else":        {[]health.Sample{a}, nil, []health.UUID{c.UUID}, []health.Sample{a}, timeline.Stats{}},
		"a sample that is there, but deleted": {[]health.Sample{a, b}, []health.Sample{a}, []health.UUID{a.UUID}, []health.Sample{b}, timeline.Stats{Deleted: 1, Removed: 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			have, add := slices.Clone(tt.have), slices.Clone(tt.add)
			got, stats, err := timeline.Merge(timeline.Chunk{Day: 7, Samples: have}, add, deleted(t, tt.deleted...))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.Samples, cmp.Transformer("empty", func(s []health.Sample) []health.Sample { return append([]health.Sample{}, s...) })); diff != "" {
				t.Errorf("samples (-want +got):\n%s", diff)
			}
			if stats != tt.stats || got.Day != 7 {
				t.Errorf("day %v, stats %+v, want %+v", got.Day, stats, tt.stats)
			}
			if !reflect.DeepEqual(have, tt.have) && len(have) > 0 || !reflect.DeepEqual(add, tt.add) && len(add) > 0 {
				t.Error("Merge changed its arguments")
			}
		})
	}
}

// Whatever the order and however cut, a day keeps the same version of each uuid.
func TestTheOrderOfVersionsDoesNotMatter(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 5))
		versions := make([]health.Sample, 30)
		for i := range versions {
			versions[i] = health.Sample{UUID: health.UUID{byte(r.IntN(6))}, Type: "a", End: health.Instant(r.IntN(3)), Value: float64(r.IntN(3)), Source: health.Source{OSVersion: string(rune('a' + r.IntN(3)))}}
		}
		gone := deleted(t, health.UUID{byte(r.IntN(6))})
		want := timeline.Chunk{}
		for n := range 12 {
			r.Shuffle(len(versions), func(i, k int) { versions[i], versions[k] = versions[k], versions[i] })
			got, counted := timeline.Chunk{}, timeline.Stats{}
			for rest := versions; len(rest) > 0; {
				part := rest[:1+r.IntN(len(rest))]
				rest = rest[len(part):]
				var stats timeline.Stats
				var err error
				if got, stats, err = timeline.Merge(got, part, gone); err != nil {
					t.Fatal(err)
				}
				if stats.Added+stats.Replaced+stats.Duplicates+stats.Deleted != len(part) {
					t.Fatalf("seed %d: %+v of %d samples", seed, stats, len(part))
				}
				counted.Added += stats.Added
			}
			if counted.Added != len(got.Samples) || len(got.Samples) > 6 || !reflect.DeepEqual(got, got.Settled()) {
				t.Fatalf("seed %d: %d added, %d there", seed, counted.Added, len(got.Samples))
			}
			if n == 0 {
				want = got
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d (-one order +another):\n%s", seed, diff)
			}
		}
	}
}

func TestADayOfAReleaseBeforeIsSettled(t *testing.T) {
	a, b := health.Sample{UUID: health.UUID{1}}, health.Sample{UUID: health.UUID{2}, Start: -1}
	later, long := a, a
	later.Value, long.End = 1, 1
	c := timeline.Chunk{Day: 3, Samples: []health.Sample{b, a, later, long}}
	if diff := cmp.Diff(timeline.Chunk{Day: 3, Samples: []health.Sample{b, long}}, c.Settled()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestADayHasABound(t *testing.T) {
	many := make([]health.Sample, timeline.MaxSamples+1)
	for i := range many {
		many[i].Start = health.Instant(i)
		many[i].End = many[i].Start
		many[i].UUID = health.UUID{byte(i), byte(i >> 8), byte(i >> 16)}
	}
	full, _, err := timeline.Merge(timeline.Chunk{}, many[1:], timeline.Tombstones{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := timeline.Merge(full, many[:1], timeline.Tombstones{}); !errors.Is(err, timeline.ErrFull) {
		t.Errorf("one more sample: %v", err)
	}
	data := encoded(t, full)
	if back, err := timeline.Decode(data); err != nil || len(back.Samples) != timeline.MaxSamples {
		t.Errorf("a full day comes back with %d samples, %v", len(back.Samples), err)
	}
	for i := range many[:1000] {
		many[i].Raw = strings.Repeat("x", 60_000+i)
	}
	if _, _, err := timeline.Merge(timeline.Chunk{}, many[:1000], timeline.Tombstones{}); !errors.Is(err, timeline.ErrFull) {
		t.Errorf("60 MB of text: %v", err)
	}
	if _, _, err := timeline.Encode(timeline.Chunk{Samples: make([]health.Sample, timeline.MaxSamples+1)}); !errors.Is(err, timeline.ErrFull) {
		t.Errorf("encode: %v", err)
	}
}

// What Merge lets pass, Encode can encode, whatever the text is in.
func TestWhatMergeTakesEncodeTakes(t *testing.T) {
	for name, fill := range map[string]func(s *health.Sample, text string){
		"source":   func(s *health.Sample, text string) { s.Source.Name, s.Source.BundleID = text, text },
		"metadata": func(s *health.Sample, text string) { s.Metadata = text },
		"type":     func(s *health.Sample, text string) { s.Type = text },
		"units":    func(s *health.Sample, text string) { s.Unit, s.OriginalUnit = text, text },
		"zone":     func(s *health.Sample, text string) { s.Zone = text },
	} {
		t.Run(name, func(t *testing.T) {
			many := make([]health.Sample, 30_000)
			filler := strings.Repeat("x", 1000)
			for i := range many {
				many[i].Start, many[i].End = health.Instant(i), health.Instant(i)
				many[i].UUID = health.UUID{byte(i), byte(i >> 8)}
				fill(&many[i], filler+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676%26)))
			}
			for n := 1000; n <= len(many); n += 7000 {
				c, _, err := timeline.Merge(timeline.Chunk{}, many[:n], timeline.Tombstones{})
				if errors.Is(err, timeline.ErrFull) {
					return
				}
				if _, _, err := timeline.Encode(c); err != nil {
					t.Fatalf("Merge takes %d samples, but Encode says %v", n, err)
				}
			}
		})
	}
}

func TestTombstones(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var set timeline.Tombstones
	has := map[health.UUID]bool{}
	for range 50 {
		var add []health.UUID
		for range r.IntN(20) {
			add = append(add, health.UUID{byte(r.IntN(16)), byte(r.IntN(16))})
		}
		before := len(has)
		for _, u := range add {
			has[u] = true
		}
		var news int
		var err error
		if set, news, err = set.Add(add); err != nil || news != len(has)-before || set.Len() != len(has) {
			t.Fatalf("%d new of %d, %v; want %d of %d", news, set.Len(), err, len(has)-before, len(has))
		}
	}
	back, err := timeline.DecodeTombstones(set.Encode())
	if err != nil {
		t.Fatal(err)
	}
	for a := range byte(17) {
		for b := range byte(17) {
			if u := (health.UUID{a, b}); back.Has(u) != has[u] {
				t.Errorf("%v: %v, want %v", u, back.Has(u), has[u])
			}
		}
	}
	if _, err := timeline.DecodeTombstones(encoded(t, timeline.Chunk{})); !errors.Is(err, timeline.ErrDamaged) {
		t.Errorf("a chunk is read as tombstones: %v", err)
	}
	if _, _, err := set.Add(make([]health.UUID, 10)); err != nil {
		t.Error(err)
	}
	huge := make([]health.UUID, timeline.MaxTombstones+1)
	for i := range huge {
		huge[i] = health.UUID{byte(i), byte(i >> 8), byte(i >> 16)}
	}
	if _, _, err := set.Add(huge); !errors.Is(err, timeline.ErrFull) {
		t.Errorf("too many: %v", err)
	}
}

func TestAFilterNeverSaysNoWrongly(t *testing.T) {
	for _, n := range []int{0, 1, 2, 10, 830, 5000} {
		c := realistic(t, max(n, 1))
		c.Samples = c.Samples[:n]
		filter := c.Filter()
		for i := range c.Samples {
			if !timeline.MayHold(filter, c.Samples[i].UUID) {
				t.Fatalf("a filter of %d lacks sample %d", n, i)
			}
		}
		others, yes := realistic(t, 5001).Samples, 0
		r := rand.New(rand.NewPCG(3, 4))
		for range others {
			var u health.UUID
			for i := range u {
				u[i] = byte(r.Uint32())
			}
			if timeline.MayHold(filter, u) {
				yes++
			}
		}
		if n >= 100 && yes > len(others)/50 || n == 0 && yes > 0 {
			t.Errorf("a filter of %d says yes to %d of %d others", n, yes, len(others))
		}
	}
}

func TestAViewShowsOneVersionOfEachSample(t *testing.T) {
	// The phone flew from Tokyo to Berlin and sent a sample again: two days hold it.
	one := health.Sample{UUID: health.UUID{1}, Type: "heart", Start: 5, End: 5, Zone: "Asia/Tokyo"}
	two := one
	two.Zone = "Europe/Berlin"
	three := health.Sample{UUID: health.UUID{2}, Type: "heart", Start: 1, End: 1}
	later := three
	later.Start, later.End = 9, 9
	steps := health.Sample{UUID: health.UUID{3}, Type: "steps"}
	chunks := []timeline.Chunk{
		{Day: 1, Samples: []health.Sample{two, later, steps}}, {Day: 2, Samples: []health.Sample{three, one}}, {Day: 3},
	}
	want := []health.Sample{two, later}
	for range 6 {
		slices.Reverse(chunks[:2])
		v := timeline.NewView(chunks...)
		if diff := cmp.Diff(want, v.Samples("heart")); diff != "" {
			t.Errorf("heart (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"heart", "steps"}, v.Types()); diff != "" || v.Len() != 3 || v.Samples("none") != nil {
			t.Errorf("%d samples of %v", v.Len(), v.Types())
		}
		slices.Reverse(chunks)
	}
}

// The same version may lie in two days that are looked at together only if
// someone put it there; it is still one.
func TestAViewShowsAnEqualSampleOnce(t *testing.T) {
	s := health.Sample{UUID: health.UUID{1}, Type: "a"}
	v := timeline.NewView(timeline.Chunk{Day: 1, Samples: []health.Sample{s}}, timeline.Chunk{Day: 2, Samples: []health.Sample{s}})
	if v.Len() != 1 || len(v.Samples("a")) != 1 {
		t.Errorf("%d, %v", v.Len(), v.Samples("a"))
	}
}

func TestTheZoneOfADayIsThatOfMostSamples(t *testing.T) {
	zones := func(names ...string) (c timeline.Chunk) {
		for i, z := range names {
			c.Samples = append(c.Samples, health.Sample{UUID: health.UUID{byte(i)}, Zone: z})
		}
		return c
	}
	for want, c := range map[string]timeline.Chunk{
		"": {}, "B": zones("A", "B", "B"), "A": zones("B", "A", "A", "B"), "C": zones("C"),
	} {
		if got := c.Zone(); got != want {
			t.Errorf("zone %q, want %q", got, want)
		}
	}
}

func TestTheDayOfASampleIsItsOwn(t *testing.T) {
	day := func(s string) health.Day {
		d, err := health.ParseDay(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	at := func(hours float64) health.Instant { // from 2026-03-29T00:00Z, when Berlin's clock goes forward
		return health.Instant(day("2026-03-29"))*86_400_000 + health.Instant(hours*3_600_000)
	}
	calendar := timeline.NewCalendar()
	for name, tt := range map[string]struct {
		at   health.Instant
		zone string
		want string
	}{
		"an hour before midnight UTC is tomorrow in Berlin": {at(-1), "Europe/Berlin", "2026-03-29"},
		"and today in UTC":                          {at(-1), "UTC", "2026-03-28"},
		"no zone is UTC":                            {at(-1), "", "2026-03-28"},
		"the day of 23 hours ends an hour sooner":   {at(22), "Europe/Berlin", "2026-03-30"},
		"a moment before":                           {at(22) - 1, "Europe/Berlin", "2026-03-29"},
		"the end counts nothing":                    {at(21.99), "Europe/Berlin", "2026-03-29"},
		"14 hours ahead":                            {at(10), "Pacific/Kiritimati", "2026-03-30"},
		"11 hours behind":                           {at(10.99), "Pacific/Pago_Pago", "2026-03-28"},
		"before 1970":                               {-1, "UTC", "1969-12-31"},
		"a clock that skips midnight has no hole":   {health.Instant(day("2018-11-04"))*86_400_000 + 3*3_600_000, "America/Sao_Paulo", "2018-11-04"},
		"a moment before it does is the day before": {health.Instant(day("2018-11-04"))*86_400_000 + 3*3_600_000 - 1, "America/Sao_Paulo", "2018-11-03"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := calendar.Day(&health.Sample{Start: tt.at, End: tt.at + 86_400_000, Zone: tt.zone})
			if err != nil || got.String() != tt.want {
				t.Errorf("%v, %v; want %s", got, err, tt.want)
			}
		})
	}
	if _, err := calendar.Day(&health.Sample{Zone: "Europe/Atlantis"}); err == nil {
		t.Error("a zone that is none has a day")
	}
}
