package record

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/services/health"
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

func TestParseNumber(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "-1.5": -1.5, "61": 61, "1e3": 1000, "0.1234567890123456789": 0.12345678901234568, "+7": 7} {
		if got, ok := ParseNumber(text); !ok || got != want {
			t.Errorf("%q is %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "NaN", "Inf", "-Infinity", "0x10", "1_000", "1,5", " 1", "1e400", "--1", strings.Repeat("1", 65)} {
		if got, ok := ParseNumber(text); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestAppendStringIsJSON(t *testing.T) {
	for _, s := range []string{"", "plain", `a "quoted" \ thing`, "tab\tnew\nline\r", "\x00\x1f\x7f", "Zürich — 東京 🌙", "<script>&"} {
		var back string
		if err := json.Unmarshal(AppendString(nil, s), &back); err != nil || back != s {
			t.Errorf("%q came back as %q, %v", s, back, err)
		}
	}
	if got := string(AppendString(nil, "a\xffb")); got != "\"a\ufffdb\"" {
		t.Errorf("invalid UTF-8 is %s", got)
	}
}

func TestAppendObjectSortsAndKeepsTheLaterOfTwo(t *testing.T) {
	members := []Member{{"b", "1"}, {"a", "2"}, {"b", "3"}, {"", "4"}}
	if got := string(AppendObject(nil, members)); got != `{"":4,"a":2,"b":3}` {
		t.Errorf("got %s", got)
	}
	if members[0] != (Member{"b", "1"}) {
		t.Error("the members were moved")
	}
}

func TestMetadataValue(t *testing.T) {
	for _, tc := range [][3]string{
		{"HKMetadataKeyHeartRateMotionContext", "2", "2"}, {"HKVO2MaxValue", "-1", "-1"}, {"HKWeatherHumidity", "96 %", `"96 %"`},
		{"HKExternalUUID", "0042", `"0042"`}, {"HKDigitalSignature", "12345678901234567890", `"12345678901234567890"`}, {"Withings User Identifier", "12345", `"12345"`}, {"HKx", "", `""`},
	} {
		if got := MetadataValue(tc[0], tc[1]); got != tc[2] {
			t.Errorf("%s=%s is %s, want %s", tc[0], tc[1], got, tc[2])
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
		want   health.Code
	}{
		"before 1900":                        {func(s *health.Sample) { s.Start, s.End = earliest-1, earliest }, health.CodeInvalidTime},
		"after 2200":                         {func(s *health.Sample) { s.Start, s.End = latest-1, latest }, health.CodeInvalidTime},
		"the end before the start":           {func(s *health.Sample) { s.End-- }, health.CodeEndBeforeStart},
		"not a number":                       {func(s *health.Sample) { s.Value = math.NaN() }, health.CodeInvalidNumber},
		"infinite as it was sent":            {func(s *health.Sample) { s.OriginalValue = math.Inf(-1) }, health.CodeInvalidNumber},
		"longer than a heart rate can":       {func(s *health.Sample) { s.End = 400 * 3_600_000 }, health.CodeTooLong},
		"a value of no heart":                {func(s *health.Sample) { s.Value = 401 }, health.CodeOutOfRange},
		"a name with a control character":    {func(s *health.Sample) { s.Source.Name = "a\x00" }, health.CodeInvalidText},
		"a name that is not UTF-8":           {func(s *health.Sample) { s.Source.Name = "é\xff" }, health.CodeInvalidText},
		"a name that is too long":            {func(s *health.Sample) { s.Source.Name = strings.Repeat("a", 1025) }, health.CodeInvalidText},
		"an unknown type with a bad product": {func(s *health.Sample) { s.Type, s.Source.ProductType = "x", "\n" }, health.CodeInvalidText},
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

func TestCompact(t *testing.T) {
	tests := map[string]struct{ raw, want string }{
		"white space goes":                         {"{ \"a\" : [ 1 ,\n 2 ] }", `{"a":[1,2]}`},
		"numbers stay as they are written":         {`{"a":1.50e3,"b":9007199254740993}`, `{"a":1.50e3,"b":9007199254740993}`},
		"the later of two members stays":           {`{"a":1,"b":{"x":1,"x":2},"a":3}`, `{"a":3,"b":{"x":2}}`},
		"within arrays, too":                       {`[{"x":1,"x":2.50}]`, `[{"x":2.50}]`},
		"an empty name is a name":                  {`{"":{"":"","":{}}}`, `{"":{"":{}}}`},
		"one name in two objects is no repetition": {`{"a":{"x":1},"b":{"x":1}}`, `{"a":{"x":1},"b":{"x":1}}`},
		"a value equal to a name is no repetition": {`{"a":"a","b":["a","a"]}`, `{"a":"a","b":["a","a"]}`},
		"what stays is not escaped for a browser":  {`{"a":1,"a":"<&>"}`, `{"a":"<&>"}`},
		"a scalar": {` "x" `, `"x"`},
		"a name written with an escape is that name":    {`{"a":1,"\u0061":2}`, `{"a":2}`},
		"what is not JSON, which callers never hand in": {`{"a":`, "null"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Compact([]byte(tt.raw)); got != tt.want {
				t.Errorf("Compact(%s) = %s, want %s", tt.raw, got, tt.want)
			}
		})
	}
}
