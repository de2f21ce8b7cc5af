package jsontext

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/health"
)

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

func TestNumbersAtTheirBounds(t *testing.T) {
	for text, want := range map[string]bool{
		strings.Repeat("1", 64): true, strings.Repeat("1", 65): false, "9E2": true, "9e2": true, ":": false, "1:2": false, "F": false, "/": false, ".5": true,
	} {
		if v, ok := ParseNumber(text); ok != want || !ok && v != 0 {
			t.Errorf("%q is a number: %v (%v)", text, ok, v)
		}
	}
}

func TestEveryCharacterIsWrittenAsJSONWritesIt(t *testing.T) {
	for c := range rune(0x100) {
		want := `"` + string(c) + `"`
		switch {
		case c == '"' || c == '\\':
			want = `"\` + string(c) + `"`
		case c == '\n':
			want = `"\n"`
		case c == '\t':
			want = `"\t"`
		case c == '\r':
			want = `"\r"`
		case c < 0x20:
			want = fmt.Sprintf(`"\u%04x"`, c)
		}
		if got := string(AppendString(nil, string(c))); got != want {
			t.Errorf("%U is %s, want %s", c, got, want)
		}
	}
}

func TestMetadataOfFifteenDigitsIsANumber(t *testing.T) {
	for text, want := range map[string]string{"123456789012345": "123456789012345", "1234567890123456": `"1234567890123456"`, "+1": `"+1"`, "0x1": `"0x1"`, "-0": `"-0"`} {
		if got := MetadataValue("HKx", text); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestASourceHasWhatIsKnown(t *testing.T) {
	for want, s := range map[string]health.Source{
		"{}": {}, `{"osVersion":"4"}`: {OSVersion: "4"}, `{"bundleId":"1","name":"2","productType":"3","osVersion":"4"}`: {BundleID: "1", Name: "2", ProductType: "3", OSVersion: "4"},
	} {
		if got := string(AppendSource(nil, s)); got != want {
			t.Errorf("%+v is %s, want %s", s, got, want)
		}
	}
}
