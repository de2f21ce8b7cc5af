package phone_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/gzip"

	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload"
)

func inflate(t *testing.T, u phone.Upload) []byte {
	t.Helper()
	zr, err := gzip.NewReader(bytes.NewReader(u.Body))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func batches(t *testing.T, samples []health.Sample) []phone.Upload {
	t.Helper()
	var out []phone.Upload
	b := phone.NewBatcher("phone", "Europe/Berlin", func(u phone.Upload) error { out = append(out, u); return nil })
	for i := range samples {
		if err := b.Add(&samples[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return out
}

func heartRates(n int) []health.Sample {
	out := make([]health.Sample, n)
	for i := range out {
		at := health.InstantOf(time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC)) + health.Instant(i)*1234
		s := health.Sample{Type: "HKQuantityTypeIdentifierHeartRate", Start: at, End: at, Zone: "America/New_York", Value: 60, Unit: "/min",
			OriginalValue: 60 + float64(i%7)/10, OriginalUnit: "count/min", Source: health.Source{BundleID: "a", Name: "Ünï \"x\"", ProductType: "Watch7,5", OSVersion: "12.1"},
			UserEntered: i%2 == 0, Metadata: `{"a":[1,2],"z":{"x":"y"}}`}
		s.UUID = health.DeriveUUID(&s)
		out[i] = s
	}
	return out
}

// What is batched is what the platform decodes, sample by sample.
func TestThePlatformReadsWhatWasBatched(t *testing.T) {
	want := heartRates(25)
	raw := health.Sample{Type: "HKFutureTypeIdentifierMood", Start: want[0].Start, End: want[0].End, Zone: "Asia/Kolkata", Raw: `{"mood":["fine",1e3]}`}
	raw.UUID = health.DeriveUUID(&raw)
	want = append(want, raw)
	uploads := batches(t, want)
	if len(uploads) != 1 || uploads[0].Samples != len(want) {
		t.Fatalf("%d uploads", len(uploads))
	}
	var got []health.Sample
	env, err := upload.Decode(inflate(t, uploads[0]), health.InstantOf(time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)), func(s *health.Sample) { got = append(got, *s) })
	if err != nil {
		t.Fatal(err)
	}
	if len(env.Rejected) > 0 {
		t.Fatalf("rejected %v", env.Rejected)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(health.Sample{}, "Value", "Unit", "Raw")); diff != "" {
		t.Errorf("samples (-batched +decoded):\n%s", diff)
	}
	if last := got[len(got)-1].Raw; !strings.Contains(last, `"mood":["fine",1e3]`) {
		t.Errorf("the unknown record is not kept: %s", last)
	}
	if env.TimeZone != "Europe/Berlin" || !env.Final || env.Stage != upload.Historical || len(env.Cursor) > 0 {
		t.Errorf("envelope %+v", env)
	}
}

func TestBatchesAreBounded(t *testing.T) {
	long := heartRates(10)
	for i := range long {
		long[i].Metadata = fmt.Sprintf(`{"long":%q}`, strings.Repeat("x", 1<<20))
	}
	tooLong := heartRates(2)
	for i := range tooLong {
		tooLong[i].Metadata = fmt.Sprintf(`{"long":%q}`, strings.Repeat("x", 5<<20))
	}
	tests := map[string]struct {
		samples []health.Sample
		want    []int
	}{
		"nothing makes no upload":       {nil, nil},
		"a full batch is one":           {heartRates(2000), []int{2000}},
		"one more begins another":       {heartRates(2001), []int{2000, 1}},
		"long records make small ones":  {long, []int{3, 3, 3, 1}},
		"a single long record is alone": {long[:1], []int{1}},
		"longer than a batch":           {tooLong, []int{1, 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []int
			for _, u := range batches(t, tt.samples) {
				got = append(got, u.Samples)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("samples an upload (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheIDIsTheContents(t *testing.T) {
	a, b := batches(t, heartRates(10)), batches(t, heartRates(10))
	if a[0].ID != b[0].ID || !bytes.Equal(a[0].Body, b[0].Body) {
		t.Errorf("the same samples make %s and %s", a[0].ID, b[0].ID)
	}
	other := heartRates(10)
	other[3].OriginalValue++
	if c := batches(t, other); c[0].ID == a[0].ID {
		t.Error("other samples make the same id")
	}
	if _, err := health.ParseUUID(a[0].ID); err != nil {
		t.Errorf("id %q: %v", a[0].ID, err)
	}
}

// Series are uploads of their own, each in the zone that it has, and are read as they
// were sent.
func TestSeriesAreUploadsOfTheirOwn(t *testing.T) {
	const route = `{"uuid":"00000000-0000-4000-8000-0000000000a%d","type":"HKWorkoutRouteTypeIdentifier","start":"2026-03-29T10:00:00Z","end":"2026-03-29T10:01:00Z","locations":[{"time":"2026-03-29T10:00:00.5Z","latitude":52.50,"longitude":13.4}]}`
	sample := heartRates(1)[0]
	seriesIn := func(n int, zone string) *health.Sample {
		return &health.Sample{Type: "HKWorkoutRouteTypeIdentifier", Zone: zone, Raw: fmt.Sprintf(route, n)}
	}
	var uploads []phone.Upload
	b := phone.NewBatcher("phone", "Europe/Berlin", func(u phone.Upload) error { uploads = append(uploads, u); return nil })
	for _, err := range []error{b.Add(&sample), b.AddSeries(seriesIn(1, "Asia/Tokyo")), b.AddSeries(seriesIn(2, "Asia/Tokyo")), b.AddSeries(seriesIn(3, "UTC")), b.Delete(sample.UUID, sample.Type), b.Close()} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, u := range uploads {
		env, err := upload.Decode(inflate(t, u), health.InstantOf(time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)), func(s *health.Sample) {
			if s.Raw != "" && s.Zone == "" {
				t.Errorf("a series without a zone: %+v", s)
			}
		})
		if err != nil || len(env.Rejected) > 0 {
			t.Fatalf("%v, %v", err, env.Rejected)
		}
		got = append(got, fmt.Sprintf("%d entries, %d series, %d deletions in %s", u.Samples, len(env.Series), u.Deleted, env.TimeZone))
		for _, content := range env.Series {
			if !strings.Contains(string(content), `"latitude":52.50,`) {
				t.Errorf("a series is not as it was sent: %s", content)
			}
		}
	}
	want := []string{"1 entries, 0 series, 0 deletions in Europe/Berlin", "2 entries, 2 series, 0 deletions in Asia/Tokyo", "1 entries, 1 series, 0 deletions in UTC", "0 entries, 0 series, 1 deletions in UTC"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("uploads (-want +got):\n%s", diff)
	}
}
