package upload_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/reject"
	"github.com/clarity-loop/clarity/services/health/upload"
)

const (
	id       = `"uuid":"6a1b3c5d-7e9f-4a0b-8c1d-2e3f4a5b6c7d"`
	heart    = `"type":"HKQuantityTypeIdentifierHeartRate"`
	sleep    = `"type":"HKCategoryTypeIdentifierSleepAnalysis"`
	workout  = `"type":"HKWorkoutTypeIdentifier"`
	times    = `"start":"2026-11-20T06:58:01+01:00","end":"2026-11-20T06:58:01+01:00"`
	sixtyOne = `"value":61,"unit":"count/min"`
)

// members writes a sample.
func members(list ...string) string { return "{" + strings.Join(list, ",") + "}" }

func startEnd(start, end string) string { return fmt.Sprintf(`"start":%q,"end":%q`, start, end) }

func bodyOf(samples ...string) []byte {
	return []byte(`{"schema":"clarity.upload/1","installationId":"i","timeZone":"Europe/Berlin","samples":[` + strings.Join(samples, ",") + `]}`)
}

var sampleCases = []struct {
	name, sample string
	code         reject.Code
}{
	{"all there is to say", members(id, heart, times, sixtyOne), ""},
	{"a category has no unit", members(id, sleep, times, `"value":3`), ""},
	{"a category with an empty unit", members(id, sleep, times, `"value":3,"unit":""`), ""},
	{"an unknown type is kept", members(id, workout, times), ""},
	{"an unknown type may have members of its own", members(id, workout, times, `"value":{"a":[1]},"events":[{"x":1},{"x":1}]`), ""},
	{"a member whose name is escaped", members(`"\u0075uid":"6a1b3c5d-7e9f-4a0b-8c1d-2e3f4a5b6c7d"`, heart, times, sixtyOne), ""},
	{"a type that is escaped", members(id, `"type":"HKQuantityTypeIdentifier\u0048eartRate"`, times, sixtyOne), ""},
	{"minus zero is zero", members(id, `"type":"HKQuantityTypeIdentifierStepCount"`, times, `"value":-0.0,"unit":"count"`), ""},
	{"a number as long as it likes", members(id, heart, times, `"value":61.000000000000000000000000000000001e0,"unit":"count/min"`), ""},
	{"a number with many digits and an exponent", members(id, heart, times, `"value":0.000061E+6,"unit":"count/min"`), ""},
	{"the largest offsets", members(id, heart, startEnd("2026-11-20T00:00:00-23:59", "2026-11-20T23:59:59Z"), sixtyOne), ""},
	{"leap day", members(id, heart, startEnd("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"), sixtyOne), ""},
	{"1970, 1900 and 2038 are times", members(id, heart, startEnd("1900-01-01T00:00:00Z", "1900-01-01T00:00:00.0001Z"), sixtyOne), ""},

	{"an unknown type that is long behind its metadata", members(id, workout, times, `"metadata":{"a":1}`, `"x":{"y":"`+strings.Repeat("x", 20<<10)+`","z":1}`), ""},

	{"no uuid", members(heart, times, sixtyOne), reject.MissingField},
	{"no type", members(id, times, sixtyOne), reject.MissingField},
	{"no end", members(id, heart, `"start":"2026-11-20T06:58:01Z"`, sixtyOne), reject.MissingField},
	{"no value", members(id, heart, times, `"unit":"count/min"`), reject.MissingField},
	{"no unit", members(id, heart, times, `"value":61`), reject.MissingField},
	{"nothing at all", members(), reject.MissingField},
	{"no object", "7", reject.WrongType},
	{"null", "null", reject.WrongType},
	{"a list", `[{"uuid":"x"}]`, reject.WrongType},
	{"a uuid that is a number", members(`"uuid":7`, heart, times, sixtyOne), reject.WrongType},
	{"a value that is a string", members(id, heart, times, `"value":"61","unit":"count/min"`), reject.WrongType},
	{"a value that is NaN in quotes", members(id, heart, times, `"value":"NaN","unit":"count/min"`), reject.WrongType},
	{"a value that is null", members(id, heart, times, `"value":null,"unit":"count/min"`), reject.WrongType},
	{"a unit that is null", members(id, heart, times, `"value":61,"unit":null`), reject.WrongType},
	{"a source that is a string", members(id, heart, times, sixtyOne, `"source":"Watch"`), reject.WrongType},
	{"a source whose name is a number", members(id, heart, times, sixtyOne, `"source":{"name":7}`), reject.WrongType},
	{"metadata that is a list", members(id, heart, times, sixtyOne, `"metadata":[]`), reject.WrongType},
	{"user entered is a word", members(id, heart, times, sixtyOne, `"metadata":{"HKWasUserEntered":"yes"}`), reject.WrongType},
	{"a member twice", members(id, id, heart, times, sixtyOne), reject.DuplicateKey},
	{"a member twice, once escaped", members(id, `"uui\u0064":"x"`, heart, times, sixtyOne), reject.DuplicateKey},
	{"a source member twice", members(id, heart, times, sixtyOne, `"source":{"name":"a","name":"a"}`), reject.DuplicateKey},
	{"a metadata name twice", members(id, heart, times, sixtyOne, `"metadata":{"a":1,"b":2,"a":1}`), reject.DuplicateKey},
	{"a name twice among many", members(id, heart, times, sixtyOne, `"metadata":{"x":0,`+numbered(20, `"m%d":1`)+`,"m7":1,`+numbered(20, `"n%d":1`)+`}`), reject.DuplicateKey},
	{"a name twice deep in metadata", members(id, heart, times, sixtyOne, `"metadata":{"a":[{"b":{"c":1,"c":2}}]}`), reject.DuplicateKey},
	{"a name twice in an unknown type", members(id, workout, times, `"x":1,"x":2`), reject.DuplicateKey},
	{"a name twice deep in an unknown type", members(id, workout, times, `"x":[[{"y":1,"\u0079":2}]]`), reject.DuplicateKey},
	{"a uuid without hyphens", members(`"uuid":"6a1b3c5d7e9f4a0b8c1d2e3f4a5b6c7d"`, heart, times, sixtyOne), reject.InvalidUUID},
	{"a uuid with a g", members(`"uuid":"ga1b3c5d-7e9f-4a0b-8c1d-2e3f4a5b6c7d"`, heart, times, sixtyOne), reject.InvalidUUID},
	{"a uuid in braces", members(`"uuid":"{a1b3c5d-7e9f-4a0b-8c1d-2e3f4a5b6c7}"`, heart, times, sixtyOne), reject.InvalidUUID},
	{"a time without an offset", members(id, heart, startEnd("2026-11-20T06:58:01", "2026-11-20T06:58:01"), sixtyOne), reject.InvalidTime},
	{"a time with a space", members(id, heart, startEnd("2026-11-20 06:58:01Z", "2026-11-20 06:58:01Z"), sixtyOne), reject.InvalidTime},
	{"the 30th of February", members(id, heart, startEnd("2026-02-30T00:00:00Z", "2026-02-30T00:00:00Z"), sixtyOne), reject.InvalidTime},
	{"the 29th of February 1900", members(id, heart, startEnd("1900-02-29T00:00:00Z", "1900-02-29T00:00:00Z"), sixtyOne), reject.InvalidTime},
	{"a leap second", members(id, heart, startEnd("2016-12-31T23:59:60Z", "2016-12-31T23:59:60Z"), sixtyOne), reject.InvalidTime},
	{"24 o'clock", members(id, heart, startEnd("2026-01-01T24:00:00Z", "2026-01-01T24:00:00Z"), sixtyOne), reject.InvalidTime},
	{"an offset of a day", members(id, heart, startEnd("2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+24:00"), sixtyOne), reject.InvalidTime},
	{"a fraction without digits", members(id, heart, startEnd("2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Z"), sixtyOne), reject.InvalidTime},
	{"a fraction with a comma", members(id, heart, startEnd("2026-01-01T00:00:00,5Z", "2026-01-01T00:00:00Z"), sixtyOne), reject.InvalidTime},
	{"the year 1899", members(id, heart, startEnd("1899-12-31T00:00:00Z", "1899-12-31T00:00:00Z"), sixtyOne), reject.InvalidTime},
	{"the year 2201", members(id, heart, startEnd("2201-01-01T00:00:00Z", "2201-01-01T00:00:00Z"), sixtyOne), reject.InvalidTime},
	{"a time of NUL characters", members(id, heart, `"start":"`+strings.Repeat(`\u0000`, 25)+`"`, `"end":"2026-01-01T00:00:00Z"`, sixtyOne), reject.InvalidText},
	{"end before start", members(id, heart, startEnd("2026-11-20T06:58:01Z", "2026-11-20T06:58:00.9994Z"), sixtyOne), reject.EndBeforeStart},
	{"tomorrow and a second", members(id, heart, startEnd("2026-11-21T12:00:01Z", "2026-11-21T12:00:01Z"), sixtyOne), reject.FutureTime},
	{"a heart beat of a week", members(id, heart, startEnd("2026-11-01T00:00:00Z", "2026-11-08T00:00:00Z"), sixtyOne), reject.TooLong},
	{"1e400", members(id, heart, times, `"value":1e400,"unit":"count/min"`), reject.InvalidNumber},
	{"minus 1e400 deep in metadata", members(id, heart, times, sixtyOne, `"metadata":{"a":[-1e400]}`), reject.InvalidNumber},
	{"a heart rate of 10,000", members(id, heart, times, `"value":1e4,"unit":"count/min"`), reject.OutOfRange},
	{"a negative heart rate", members(id, heart, times, `"value":-61,"unit":"count/min"`), reject.OutOfRange},
	{"a heart rate in kilograms", members(id, heart, times, `"value":61,"unit":"kg"`), reject.UnknownUnit},
	{"a category with a unit", members(id, sleep, times, `"value":3,"unit":"min"`), reject.UnknownUnit},
	{"a zone that is none", members(id, heart, times, sixtyOne, `"metadata":{"HKTimeZone":"Europe/Atlantis"}`), ""},
	{"a zone that is a path", members(id, heart, times, sixtyOne, `"metadata":{"HKTimeZone":"../../etc/passwd"}`), ""},
	{"a zone that is the server's", members(id, heart, times, sixtyOne, `"metadata":{"HKTimeZone":"Local"}`), ""},
	{"an empty zone", members(id, heart, times, sixtyOne, `"metadata":{"HKTimeZone":""}`), ""},
	{"a zone that is null", members(id, heart, times, sixtyOne, `"metadata":{"HKTimeZone":null}`), ""},
	{"a zone in lower case", members(id, heart, times, sixtyOne, `"metadata":{"HKTimeZone":"europe\u002fberlin"}`), ""},
	{"a fixed offset, escaped", members(id, heart, times, sixtyOne, `"metadata":{"HKTimeZone":"GMT\u002b1"}`), ""},
	{"a zone that is none, twice", members(id, heart, times, sixtyOne, `"metadata":{"HKTimeZone":"x","HKTimeZone":"x"}`), reject.DuplicateKey},
	{"a zone that is half a surrogate pair", members(id, heart, times, sixtyOne, `"metadata":{"HKTimeZone":"\ud83d"}`), reject.InvalidText},
	{"t and z in lower case", members(id, heart, startEnd("2026-11-20t06:58:01z", "2026-11-20t06:58:01.5z"), sixtyOne), ""},
	{"a stage of sleep that is not known yet", members(id, sleep, times, `"value":17`), ""},
	{"a stage of sleep below all", members(id, sleep, times, `"value":-1`), reject.InvalidValue},
	{"a stage of sleep beyond all", members(id, sleep, times, `"value":2147483648`), reject.InvalidValue},
	{"a member of a known type that is long", members(id, heart, times, sixtyOne, `"x":"`+strings.Repeat("x", 65<<10)+`"`), reject.TooLarge},
	{"a member of a source twice that the contract does not have", members(id, heart, times, sixtyOne, `"source":{"version":"1","version":"1"}`), reject.DuplicateKey},
	{"half a stage of sleep", members(id, sleep, times, `"value":2.5`), reject.InvalidValue},
	{"half a surrogate pair", members(id, heart, times, sixtyOne, `"source":{"name":"\ud83d"}`), reject.InvalidText},
	{"half a surrogate pair deep in metadata", members(id, heart, times, sixtyOne, `"metadata":{"a":["\udc00\ud83d"]}`), reject.InvalidText},
	{"a control character", members(id, heart, times, sixtyOne, `"source":{"name":"a\u0000b"}`), reject.InvalidText},
	{"an empty type", members(id, `"type":""`, times, sixtyOne), reject.InvalidText},
	{"a name of 1025 bytes", members(id, heart, times, sixtyOne, `"source":{"name":"`+strings.Repeat("x", 1025)+`"}`), reject.InvalidText},
	{"metadata of 17 KiB", members(id, heart, times, sixtyOne, `"metadata":{"a":"`+strings.Repeat("x", 17<<10)+`"}`), reject.TooLarge},
	{"an unknown type of 65 KiB", members(id, workout, times, `"a":"`+strings.Repeat("x", 65<<10)+`"`), reject.TooLarge},
	{"a member that the contract does not have", members(id, `"device":"x"`, heart, times, sixtyOne), ""},
	{"a source member that the contract does not have", members(id, heart, times, sixtyOne, `"source":{"version":"1"}`), ""},
}

func TestVerdictsOnOneSample(t *testing.T) {
	for _, c := range sampleCases {
		t.Run(c.name, func(t *testing.T) {
			good := members(id, heart, times, sixtyOne)
			e, err := upload.Decode(bodyOf(good, c.sample, good), now, nil)
			if err != nil {
				t.Fatal(err)
			}
			var code reject.Code
			for _, r := range e.Rejected {
				if r.Index != 1 || r.In != "" || r.Detail == "" {
					t.Errorf("rejection %+v", r)
				}
				code = r.Code
			}
			if code != c.code || e.Received != 3 || e.Accepted != 3-len(e.Rejected) {
				t.Errorf("code %q, want %q; received %d, accepted %d", code, c.code, e.Received, e.Accepted)
			}
			if len(c.sample) < 8<<10 {
				agree(t, bodyOf(good, c.sample, good))
			}
		})
	}
}

func with(more string) string {
	return `{"schema":"clarity.upload/1","installationId":"i","timeZone":"UTC"` + more + `}`
}

var envelopeCases = []struct {
	name, body string
	code       upload.ErrorCode
	path       string
}{
	{"the least there can be", with(""), "", ""},
	{"deletions alone", with(`,"deleted":[{"uuid":"6a1b3c5d-7e9f-4a0b-8c1d-2e3f4a5b6c7d","type":"x"}]`), "", ""},
	{"white space all over", "\n\t { \"schema\" : \"clarity.upload/1\" ,\r\n \"installationId\" : \"i\" , \"timeZone\" : \"UTC\" , \"samples\" : [ ] , \"cursor\" : { } } \n", "", ""},
	{"history", with(`,"stage":"historical","final":false`), "", ""},
	{"31 deep", with(`,"samples":[` + strings.Repeat("[", 30) + strings.Repeat("]", 30) + `]`), "", ""},

	{"nothing", "", upload.Malformed, ""},
	{"white space", " \n", upload.Malformed, ""},
	{"a byte order mark", "\xef\xbb\xbf" + with(""), upload.Malformed, ""},
	{"two uploads", with("") + with(""), upload.Malformed, ""},
	{"a trailing comma", with(`,`), upload.Malformed, ""},
	{"a trailing comma in a list", with(`,"samples":[1,]`), upload.Malformed, "/samples/1"},
	{"single quotes", `{'schema':'clarity.upload/1'}`, upload.Malformed, ""},
	{"a comment", with(`/**/`), upload.Malformed, ""},
	{"a truncated literal", with(`,"final":tru`), upload.Malformed, "/final"},
	{"NaN", string(bodyOf(`{"value":NaN}`)), upload.Malformed, "/samples/0"},
	{"minus infinity", string(bodyOf("1", `{"value":-Infinity}`)), upload.Malformed, "/samples/1"},
	{"a leading zero", string(bodyOf(`{"value":061}`)), upload.Malformed, "/samples/0"},
	{"a plus", string(bodyOf(`{"value":+61}`)), upload.Malformed, "/samples/0"},
	{"a number that ends with a point", string(bodyOf(`{"value":61.}`)), upload.Malformed, "/samples/0"},
	{"a number that starts with a point", string(bodyOf(`{"value":.5}`)), upload.Malformed, "/samples/0"},
	{"an exponent without digits", string(bodyOf(`{"value":6e}`)), upload.Malformed, "/samples/0"},
	{"bad UTF-8 in a sample", string(bodyOf("{\"source\":{\"name\":\"caf\xe9 and more\"}}")), upload.Malformed, "/samples/0"},
	{"an overlong encoding", string(bodyOf("{\"source\":{\"name\":\"\xc0\xaf\"}}")), upload.Malformed, "/samples/0"},
	{"an encoded surrogate", string(bodyOf("{\"x\":\"\xed\xa0\x80\"}")), upload.Malformed, "/samples/0"},
	{"a raw control character", string(bodyOf("{\"x\":\"a\nb\"}")), upload.Malformed, "/samples/0"},
	{"a time of raw NULs", string(bodyOf(`{"start":"` + strings.Repeat("\x00", 10) + `T00:00:00+00:00"}`)), upload.Malformed, "/samples/0"},
	{"an escape that is none", string(bodyOf(`{"x":"\x41"}`)), upload.Malformed, "/samples/0"},
	{"an escape without digits", string(bodyOf(`{"x":"\u12g4"}`)), upload.Malformed, "/samples/0"},
	{"a member twice", with(`,"final":true,"final":true`), upload.Malformed, "/final"},
	{"a member twice, once escaped", with(`,"\u0073chema":"clarity.upload/1"`), upload.Malformed, "/schema"},
	{"a type twice in the cursor", with(`,"cursor":{"a":"1","\u0061":"2"}`), upload.Malformed, "/cursor"},
	{"33 deep", with(`,"samples":[` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `]`), upload.TooDeep, "/samples/0"},
	{"10,000 deep", strings.Repeat("[", 10_000), upload.TooDeep, ""},
	{"10,000 objects deep", strings.Repeat(`{"samples":`, 10_000), upload.TooDeep, "/samples"},
	{"a list", `[]`, upload.BadEnvelope, ""},
	{"a string", `"upload"`, upload.BadEnvelope, ""},
	{"an unknown member", with(`,"secret":1`), upload.BadEnvelope, ""},
	{"a read-only member", with(`,"receivedAt":"2026-11-20T00:00:00Z"`), upload.BadEnvelope, ""},
	{"no schema", `{"installationId":"i","timeZone":"UTC"}`, upload.BadEnvelope, ""},
	{"no installation", `{"schema":"clarity.upload/1","timeZone":"UTC"}`, upload.BadEnvelope, ""},
	{"no zone", `{"schema":"clarity.upload/1","installationId":"i"}`, upload.BadEnvelope, ""},
	{"samples are an object", with(`,"samples":{}`), upload.BadEnvelope, "/samples"},
	{"samples are null", with(`,"samples":null`), upload.BadEnvelope, "/samples"},
	{"final is a word", with(`,"final":"true"`), upload.BadEnvelope, "/final"},
	{"a stage of its own", with(`,"stage":"weekly"`), upload.BadEnvelope, "/stage"},
	{"a cursor that is a list", with(`,"cursor":[]`), upload.BadEnvelope, "/cursor"},
	{"an anchor that is a number", with(`,"cursor":{"a":1}`), upload.BadEnvelope, "/cursor"},
	{"an installation with half a surrogate pair", `{"schema":"clarity.upload/1","installationId":"\ud800","timeZone":"UTC"}`, upload.BadEnvelope, "/installationId"},
	{"a zone that is none", `{"schema":"clarity.upload/1","installationId":"i","timeZone":"Mars/Olympus"}`, upload.BadEnvelope, "/timeZone"},
	{"another schema", `{"schema":"clarity.upload/2"}`, upload.BadSchema, "/schema"},
	{"513 types in the cursor", with(`,"cursor":{` + numbered(513, `"t%d":"a"`) + `}`), upload.BadEnvelope, "/cursor"},
	{"10,001 samples", with(`,"samples":[` + numbered(10_001, "%d") + `]`), upload.TooManySamples, "/samples/10000"},
	{"10,001 samples and deletions together", with(`,"samples":[` + numbered(5_000, "%d") + `],"deleted":[` + numbered(5_001, "%d") + `]`), upload.TooManySamples, "/deleted/5000"},
}

func numbered(n int, format string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(list, ",")
}

func TestWhichBodiesAreUploads(t *testing.T) {
	for _, c := range envelopeCases {
		t.Run(c.name, func(t *testing.T) {
			_, err := upload.Decode([]byte(c.body), now, nil)
			var code upload.ErrorCode
			if e, ok := err.(*upload.Error); ok { //nolint:errorlint // Decode promises an *Error
				code = e.Code
				if e.Path != c.path {
					t.Errorf("path %q, want %q", e.Path, c.path)
				}
				if e.Detail == "" || e.Offset < 0 || e.Offset > len(c.body) || strings.Contains(e.Detail, "secret") || strings.Contains(e.Path, "secret") {
					t.Errorf("error %+v", e)
				}
			}
			if code != c.code {
				t.Errorf("code %q (%v), want %q", code, err, c.code)
			}
			if len(c.body) < 12<<10 {
				agree(t, []byte(c.body))
			}
		})
	}
}

func TestTenThousandSamplesAreTaken(t *testing.T) {
	e, err := upload.Decode([]byte(with(`,"samples":[`+numbered(10_000, "%d")+`]`)), now, nil)
	if err != nil || e.Received != 10_000 || len(e.Rejected) != 10_000 {
		t.Errorf("%v, %v", e.Received, err)
	}
}

func TestDeletionsAreJudgedOneByOne(t *testing.T) {
	const good = `{"uuid":"6A1B3C5D-7e9f-4a0b-8c1d-2e3f4a5b6c7d","type":"HKQuantityTypeIdentifierStepCount"}`
	e, err := upload.Decode([]byte(with(`,"deleted":[`+good+`,{},{"uuid":"x","type":"y"},{"type":"y","uuid":7},`+
		`{"uuid":"6a1b3c5d-7e9f-4a0b-8c1d-2e3f4a5b6c7d","type":"x","why":1},3,`+good+`]`)), now, nil)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := health.ParseUUID("6a1b3c5d-7e9f-4a0b-8c1d-2e3f4a5b6c7d")
	step := upload.Deletion{UUID: id, Type: "HKQuantityTypeIdentifierStepCount"}
	if diff := cmp.Diff([]upload.Deletion{step, step}, e.Deleted); diff != "" {
		t.Errorf("deleted (-want +got):\n%s", diff)
	}
	var got []string
	for _, r := range e.Rejected {
		got = append(got, fmt.Sprint(r.In, r.Index, r.Code))
	}
	want := []string{"deleted1missing_field", "deleted2invalid_uuid", "deleted3wrong_type", "deleted4unknown_field", "deleted5wrong_type"}
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], " ", "")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
}
