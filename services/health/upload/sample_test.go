package upload_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload"
)

func decoded(t testing.TB, body []byte) (samples []health.Sample, codes []string) {
	t.Helper()
	e, err := upload.Decode(body, now, func(s *health.Sample) { samples = append(samples, *s) })
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range e.Rejected {
		codes = append(codes, fmt.Sprint(r.Index, " ", r.Code))
	}
	return samples, codes
}

func TestTimesAreThoseOfTheStandardLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	zones := []*time.Location{time.UTC}
	for _, minutes := range []int{-12 * 60, -210, -1, 1, 60, 345, 13*60 + 45, 14 * 60} {
		zones = append(zones, time.FixedZone("", minutes*60))
	}
	fractions := []string{"", ".0", ".5", ".0004", ".0005", ".00049999999", ".9994", ".9995", ".9996", ".123456789", ".1234567891234"}
	var list []string
	var want []health.Instant
	for range 4000 {
		at := time.Unix(r.Int64N(1_795_000_000+2_208_988_800)-2_208_988_800, 0).In(zones[r.IntN(len(zones))])
		if y := at.Year(); y < 1900 {
			continue
		}
		text := at.Format("2006-01-02T15:04:05") + fractions[r.IntN(len(fractions))] + at.Format("Z07:00")
		exact, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, members(id, workout, startEnd(text, text)))
		want = append(want, health.InstantOf(exact))
	}
	samples, _ := decoded(t, bodyOf(list...))
	if len(samples) != len(want) {
		t.Fatalf("%d of %d times are accepted", len(samples), len(want))
	}
	for i := range samples {
		if samples[i].Start != want[i] || samples[i].End != want[i] {
			t.Errorf("%s is %d, want %d", list[i], samples[i].Start, want[i])
		}
	}
}

func TestNumbersAreThoseOfTheStandardLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var list []string
	var want []float64
	for range 5000 {
		f := r.NormFloat64() * math.Pow(10, float64(r.IntN(40)-20))
		format := []string{"%g", "%e", "%.0f", "%.3f", "%.17g", "%.12f"}[r.IntN(6)]
		text := fmt.Sprintf(format, f)
		var exact float64
		if _, err := fmt.Sscan(text, &exact); err != nil {
			t.Fatal(err)
		}
		list = append(list, members(id, workout, times, `"value":`+text))
		want = append(want, exact+0)
	}
	samples, _ := decoded(t, bodyOf(list...))
	for i := range samples {
		if got := samples[i].OriginalValue; math.Float64bits(got) != math.Float64bits(want[i]) {
			t.Errorf("%s is %v, want %v", list[i], got, want[i])
		}
	}
	if len(samples) != len(want) {
		t.Errorf("%d of %d numbers are accepted", len(samples), len(want))
	}
}

func TestZeroHasNoSign(t *testing.T) {
	samples, codes := decoded(t, bodyOf(
		members(id, `"type":"HKQuantityTypeIdentifierStepCount"`, times, `"value":-0,"unit":"count"`),
		members(id, `"type":"HKQuantityTypeIdentifierStepCount"`, times, `"value":-0e5,"unit":"count"`),
		members(id, `"type":"HKQuantityTypeIdentifierWalkingAsymmetryPercentage"`, times, `"value":-1e-300,"unit":"%"`),
	))
	if len(samples) != 3 {
		t.Fatal(codes)
	}
	for i, s := range samples {
		if math.Signbit(s.Value) || i < 2 && math.Signbit(s.OriginalValue) {
			t.Errorf("sample %d is %v of %v", i, s.Value, s.OriginalValue)
		}
	}
}

// A source that was seen before is recognised by its bytes; what was wrong with
// it the first time still is.
func TestARepeatedSourceIsJudgedAnew(t *testing.T) {
	odd, half, escaped := `"source":{"name":"a","version":1}`, `"source":{"name":"\ud83d"}`, `"source":{"name":"\u0061b"}`
	samples, codes := decoded(t, bodyOf(
		members(id, workout, times, odd), members(id, heart, times, sixtyOne, odd),
		members(id, heart, times, sixtyOne, half), members(id, heart, times, sixtyOne, half), members(id, workout, times, half),
		members(id, heart, times, sixtyOne, escaped), members(id, heart, times, sixtyOne, `"metadata":{"\u0078\u0079":1}`, escaped),
		members(`"source":{"name":"ab"}`, id, heart, times, sixtyOne, `"source":{"name":"ab"}`),
	))
	want := []string{"2 invalid_text", "3 invalid_text", "4 invalid_text", "7 duplicate_key"}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
	if len(samples) != 4 || samples[1].Source.Name != "a" || samples[1].Raw == "" || samples[2].Source.Name != "ab" || samples[3].Source.Name != "ab" {
		t.Errorf("samples %+v", samples)
	}
}

// The caller reads every body into the same buffer: nothing that was remembered
// of one may be looked for in the next.
func TestABufferMayBeUsedAgain(t *testing.T) {
	sample := func(name, system string) string {
		return members(`"source":{"name":"`+name+`","osVersion":"`+system+`"}`, id, heart, times, sixtyOne)
	}
	first, second := bodyOf(sample("ab", "c")), bodyOf(sample("a", "bc"))
	if len(first) != len(second) {
		t.Fatal("the bodies should be of one length")
	}
	buffer := make([]byte, len(first))
	for range 50 { // the pool hands out what it likes
		for body, name := range map[*[]byte]string{&first: "ab", &second: "a"} {
			copy(buffer, *body)
			if samples, _ := decoded(t, buffer); samples[0].Source.Name != name {
				t.Fatalf("name %q, want %q", samples[0].Source.Name, name)
			}
		}
	}
}
