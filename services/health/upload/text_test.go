package upload_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/reject"
	"github.com/clarity-loop/clarity/services/health/upload"
)

// named is a sample whose source has a name, given as JSON.
func named(name string) string {
	return members(id, heart, times, sixtyOne, `"source":{"name":`+name+`}`)
}

func TestEscapesInATextThatIsKept(t *testing.T) {
	for text, want := range map[string]string{
		`"a\"b\\c\/d"`: `a"b\c/d`, `"\u00e9\u00FC\uabcd"`: "éü\uabcd", `"\ud7ff\ue000\uffff"`: "\ud7ff\ue000\uffff", `"x\u0020y"`: "x y",
		`"\ud800\udc00"`: "\U00010000", `"\uDBFF\uDFFF"`: "\U0010ffff", `"a\ud83d\ude00b"`: "a😀b", `"😀é"`: "😀é", `"\u007f"`: "\x7f",
		`"\ud800"`: "", `"\udbff"`: "", `"\udc00"`: "", `"\udfff"`: "", `"\ud800\ud800"`: "", `"\udc00\udc00"`: "", `"\ud83d\u0041"`: "", `"\ud83d\n"`: "", `"\ud83dx\ude00"`: "", `"\ud83d\uE000"`: "",
		`"\u001f"`: "", `"\b"`: "", `"\f"`: "", `"\n"`: "", `"\r"`: "", `"\t"`: "",
	} {
		samples, codes := decoded(t, bodyOf(named(text)))
		switch {
		case want == "" && (len(samples) != 0 || codes[0] != "0 "+string(reject.InvalidText)):
			t.Errorf("%s is taken, or rejected for %v", text, codes)
		case want != "" && (len(samples) != 1 || samples[0].Source.Name != want):
			t.Errorf("%s is %+v, %v, want %q", text, samples, codes, want)
		}
	}
}

// Strings are read eight bytes at a time: wherever a byte stands that needs a
// closer look, or one beside it in the table, it is read for what it is.
func TestEveryByteAtEveryPlace(t *testing.T) {
	var list, want []string
	for n := range 20 {
		for _, c := range []string{`\"`, `\\`, "!", "#", "[", "]", " ", "\x7f", "é", "\u0080", "", `\u00e9x`} {
			text := strings.Repeat("x", n) + c + strings.Repeat("y", 20-n)
			list = append(list, named(`"`+text+`"`))
			want = append(want, strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\u00e9`, "é").Replace(text))
		}
	}
	samples, codes := decoded(t, bodyOf(list...))
	if len(samples) != len(want) {
		t.Fatalf("%d of %d, %v", len(samples), len(want), codes)
	}
	for i, s := range samples {
		if s.Source.Name != want[i] {
			t.Errorf("%s is %q", list[i], s.Source.Name)
		}
	}
	for n := range 20 {
		for c := range byte(0x20) {
			text := strings.Repeat("x", n) + string([]byte{c}) + strings.Repeat("y", 20)
			if _, err := upload.Decode(bodyOf(named(`"`+text+`"`)), now, nil); err == nil {
				t.Errorf("a raw %#x behind %d bytes is taken", c, n)
			}
		}
	}
}

func TestMetadataIsKeptByNameAndWithoutWhiteSpace(t *testing.T) {
	for sent, want := range map[string]string{
		`{ "b" : [ 1 , "x \" ] y\\" , { "c" : 2.50 } ] , "a" : " x " }`: `{"a":" x ","b":[1,"x \" ] y\\",{"c":2.50}]}`,
		`{"\b\f\n\r\t":1}`:                         `{"\u0008\u000c\u000a\u000d\u0009":1}`,
		`{"a\"\\\/ !\u001f\u00e9\ud83d\ude00":{}}`: `{"a\"\\/ !\u001fé😀":{}}`,
		`{"z":null,"HKTimeZone":"Asia/Tokyo","HKWasUserEntered":true,"y":"\u0041"}`: `{"y":"\u0041","z":null}`,
		`{"a":{"b":1},"b":{"a":[{}]}}`:                                              `{"a":{"b":1},"b":{"a":[{}]}}`,
		`{"a":"\\","b":"  ","c":[" \\\" "," "]}`:                                    `{"a":"\\","b":"  ","c":[" \\\" "," "]}`,
		`{}`:                                                                        ``,
	} {
		samples, codes := decoded(t, bodyOf(members(id, heart, times, sixtyOne, `"metadata":`+sent)))
		if len(samples) != 1 || samples[0].Metadata != want {
			t.Errorf("%s is %+v, %v, want %s", sent, samples, codes, want)
		}
	}
}

// An unknown type keeps the number and the unit that were sent, and all else.
func TestAnUnknownTypeIsKept(t *testing.T) {
	samples, codes := decoded(t, bodyOf(members(id, workout, times, `"value" : 5.5 , "unit":"laps"`, `"source":{"name":"a","x":1},"x":[ 1 ]`), members(id, workout, times)))
	if len(samples) != 2 {
		t.Fatal(codes)
	}
	if s := samples[0]; s.Value != 5.5 || s.OriginalValue != 5.5 || s.Unit != "laps" || s.OriginalUnit != "laps" || s.Source.Name != "a" ||
		s.Raw != members(id, workout, times, `"value":5.5,"unit":"laps"`, `"source":{"name":"a","x":1},"x":[1]`) {
		t.Errorf("got %+v", s)
	}
	if s := samples[1]; s.Value != 0 || s.Unit != "" || s.Raw != members(id, workout, times) {
		t.Errorf("got %+v", s)
	}
}

func TestWhichMemberIsMissingOrRepeated(t *testing.T) {
	all := []string{id, heart, `"start":"2026-11-20T06:58:01Z"`, `"end":"2026-11-20T06:58:01Z"`, `"value":61`, `"unit":"count/min"`}
	var list, want []string
	for i, name := range []string{"uuid", "type", "start", "end", "value", "unit"} {
		list = append(list, members(append(append([]string{}, all[:i]...), all[i+1:]...)...))
		want = append(want, "missing_field "+name+" is missing")
	}
	good := strings.Join(all, ",")
	for sample, why := range map[string]string{
		`{}`:              "missing_field uuid is missing",
		`{` + id + `}`:    "missing_field type is missing",
		members(good, id): "duplicate_key the sample has a member twice",
		members(`"x":1`, good, `"source":{"name":"a"}`):                          "",
		members(good, `"source":{"name":"a"}`, `"x":1`):                          "",
		members(id, workout, times, `"source":{"x":1,"x":2}`):                    "duplicate_key source has a member twice",
		members(id, workout, times, `"source":{"name":"a","name":"b"}`):          "duplicate_key source has a member twice",
		members(id, workout, times, `"source":{"x":1},"x":1`):                    "",
		members(id, workout, times, `"x":{"y":1},"y":{"x":1}`):                   "",
		members(good, `"metadata":{`+numbered(12, `"m%d":1`)+`,"m9":1}`):         "duplicate_key metadata has a name twice",
		members(good, `"metadata":{`+numbered(12, `"m%d":1`)+`,"m12":{"m9":1}}`): "",
	} {
		list, want = append(list, sample), append(want, why)
	}
	for i, sample := range list {
		e, err := upload.Decode(bodyOf(sample), now, nil)
		if err != nil {
			t.Fatal(err)
		}
		why := ""
		for _, r := range e.Rejected {
			why = string(r.Code) + " " + r.Detail
		}
		if why != want[i] {
			t.Errorf("%s: %s, want %s", sample, why, want[i])
		}
	}
}

// changed are the texts that differ from one in one byte, which is any that a
// JSON string can have as it is.
func changed(text string) []string {
	var list []string
	for i := range text {
		for c := byte(' '); c < 0x7f; c++ {
			if c != '"' && c != '\\' {
				list = append(list, text[:i]+string([]byte{c})+text[i+1:])
			}
		}
	}
	return list
}

func TestTimesAndIdentitiesByteByByte(t *testing.T) {
	rfc3339 := regexp.MustCompile(`^(19\d\d|2[01]\d\d|2200)-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$`)
	uuid := regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	for text, tt := range map[string]struct {
		sample func(text string) string
		ok     func(text string) bool
		same   func(text string, s health.Sample) bool
	}{
		"2024-02-29T19:28:21+01:00":     {atTime, rfc3339.MatchString, sameTime},
		"2024-10-10T09:50:49.0625Z":     {atTime, rfc3339.MatchString, sameTime},
		"2199-09-30T23:09:09.999-09:49": {atTime, rfc3339.MatchString, sameTime},
		"6a1b3c5d-7e9f-4a0b-8c1d-2e3f4a5b6c7d": {func(text string) string { return members(`"uuid":"`+text+`"`, workout, times) }, uuid.MatchString,
			func(text string, s health.Sample) bool { return s.UUID.String() == strings.ToLower(text) }},
	} {
		t.Run(text, func(t *testing.T) {
			list := changed(text)
			bodies := make([]string, len(list))
			var want []string
			for i, text := range list {
				bodies[i] = tt.sample(text)
				if ok := tt.ok(text); ok && (len(text) == 36 || isTime(text)) {
					want = append(want, text)
				}
			}
			var got []string
			rejected := map[int]bool{}
			var samples []health.Sample
			e, err := upload.Decode(bodyOf(bodies...), now, func(s *health.Sample) { samples = append(samples, *s) })
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range e.Rejected {
				rejected[r.Index] = true
			}
			for i, text := range list {
				if !rejected[i] {
					if !tt.same(text, samples[len(got)]) {
						t.Errorf("%s is read as %+v", text, samples[len(got)])
					}
					got = append(got, text)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("accepted (-want +got):\n%s", diff)
			}
		})
	}
}

// atTime is a sample that began in 1900 and ended at a time.
func atTime(text string) string {
	return members(id, workout, fmt.Sprintf(`"start":"1900-01-02T00:00:00Z","end":%q`, text))
}

func isTime(text string) bool {
	at, err := time.Parse(time.RFC3339, strings.ToUpper(text))
	return err == nil && !at.Before(time.Date(1900, 1, 2, 0, 0, 0, 0, time.UTC))
}

func sameTime(text string, s health.Sample) bool {
	at, err := time.Parse(time.RFC3339, strings.ToUpper(text))
	return err == nil && s.End == health.InstantOf(at)
}
