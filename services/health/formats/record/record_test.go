package record

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/reject"
)

func TestParseStampAgreesWithTheStandardLibrary(t *testing.T) {
	const layout = "2006-01-02 15:04:05 -0700"
	for at := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC); at.Year() < 2201; at = at.Add(29*time.Hour + 17*time.Minute + 13*time.Second) {
		zone := time.FixedZone("", ((int(at.Unix())%57+57)%57-28)*1800)
		text := at.In(zone).Format(layout)
		got, offset, ok := ParseStamp(text)
		if _, want := at.In(zone).Zone(); !ok || got != health.InstantOf(at) || offset != want {
			t.Fatalf("%s: %v %d %v", text, got.Time(), offset, ok)
		}
	}
	for _, text := range []string{
		"", "2026-02-06", "2026-02-06 14:30:00", "2026-02-06T14:30:00 -0800", "2026-02-06 14:30:00 0800 ", "2026-02-06 24:00:00 -0800", "2026-02-06 14:60:00 -0800",
		"2026-02-06 14:30:60 -0800", "2026-00-06 14:30:00 -0800", "2026-02-00 14:30:00 -0800", "2025-02-29 14:30:00 -0800", "1900-02-29 14:30:00 -0800",
		"2026-04-31 14:30:00 -0800", "2026-02-06 14:30:00 -2400", "2026-02-06 14:30:00 -0860", "20x6-02-06 14:30:00 -0800", "2026-02-06 14:30:00 ~0800",
	} {
		if at, _, ok := ParseStamp(text); ok {
			t.Errorf("%q is %v", text, at.Time())
		}
	}
}

// A zone of an offset has that offset, and the standard library knows it.
func TestZoneOfOffset(t *testing.T) {
	winter := time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC)
	for quarter := -12 * 4; quarter <= 14*4; quarter++ {
		seconds := quarter * 900
		loc, err := time.LoadLocation(ZoneOfOffset(seconds))
		if err != nil {
			t.Errorf("%d: %v", seconds, err)
			continue
		}
		_, inWinter := winter.In(loc).Zone()
		_, inSummer := winter.AddDate(0, 6, 0).In(loc).Zone()
		if inWinter != seconds && inSummer != seconds && (seconds%3600 == 0 || inWinter > seconds || seconds-inWinter >= 3600) {
			t.Errorf("%d: %s is at %d", seconds, loc, inWinter)
		}
	}
	for seconds, want := range map[int]string{0: "Etc/UTC", 3600: "Etc/GMT-1", -25200: "Etc/GMT+7", 50400: "Etc/GMT-14", -43200: "Etc/GMT+12", 20700: "Asia/Kathmandu", 86399: "Etc/GMT-14", -86399: "Etc/GMT+12"} {
		if got := ZoneOfOffset(seconds); got != want {
			t.Errorf("%d is %s, want %s", seconds, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	good := health.Sample{Type: "HKQuantityTypeIdentifierHeartRate", Value: 61, Unit: "/min", OriginalValue: 61, OriginalUnit: "count/min"}
	if code, _ := Check(&good); code != "" {
		t.Fatalf("a good sample: %s", code)
	}
	for name, tc := range map[string]struct {
		change func(*health.Sample)
		want   reject.Code
	}{
		"before 1900":                        {func(s *health.Sample) { s.Start, s.End = earliest-1, earliest }, reject.InvalidTime},
		"after 2200":                         {func(s *health.Sample) { s.Start, s.End = latest-1, latest }, reject.InvalidTime},
		"the end before the start":           {func(s *health.Sample) { s.End-- }, reject.EndBeforeStart},
		"not a number":                       {func(s *health.Sample) { s.Value = math.NaN() }, reject.InvalidNumber},
		"infinite as it was sent":            {func(s *health.Sample) { s.OriginalValue = math.Inf(-1) }, reject.InvalidNumber},
		"longer than a heart rate can":       {func(s *health.Sample) { s.End = 400 * 3_600_000 }, reject.TooLong},
		"a value of no heart":                {func(s *health.Sample) { s.Value = 401 }, reject.OutOfRange},
		"a name with a control character":    {func(s *health.Sample) { s.Source.Name = "a\x00" }, reject.InvalidText},
		"a name that is not UTF-8":           {func(s *health.Sample) { s.Source.Name = "é\xff" }, reject.InvalidText},
		"a name that is too long":            {func(s *health.Sample) { s.Source.Name = strings.Repeat("a", 1025) }, reject.InvalidText},
		"an unknown type with a bad product": {func(s *health.Sample) { s.Type, s.Source.ProductType = "x", "\n" }, reject.InvalidText},
	} {
		t.Run(name, func(t *testing.T) {
			s := good
			tc.change(&s)
			if code, detail := Check(&s); code != tc.want || detail == "" {
				t.Errorf("got %q (%s)", code, detail)
			}
		})
	}
}

func TestInternerIsBounded(t *testing.T) {
	var in Interner
	for i := range 3 * maxInterned {
		if text := fmt.Sprint(i); in.Text([]byte(text)) != text {
			t.Fatal(text)
		}
	}
	if len(in.texts) != maxInterned {
		t.Errorf("%d texts are kept", len(in.texts))
	}
}

func TestPlaceSaysWhere(t *testing.T) {
	for want, p := range map[string]Place{
		"line 12": {Line: 12}, "export.xml line 12": {Entry: "export.xml", Line: 12}, "a.gpx": {Entry: "a.gpx"}, "/data/0": {Path: "/data/0"},
	} {
		if got := p.String(); got != want {
			t.Errorf("%+v is %q", p, got)
		}
	}
}
