package formats_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats"
	"github.com/clarity-loop/clarity/services/health/formats/record"
)

const (
	haeHead  = `{"data":{"workouts":[],"metrics":[{"name":"%s","units":"count","data":[`
	haePoint = `{"date":"2026-02-06 14:30:00 -0800","qty":1`
	fhirHead = `{"resourceType":"Observation","effectiveDateTime":"2026-02-15T14:59:21Z","code":{"coding":[{"system":"http://loinc.org","code":"%s"}]},"valueQuantity":{"value":60,"code":"/min"}`
	owHead   = `{"provider":"x","data":{"records":[`
	owRecord = `{"type":"%s","unit":"count","value":66,"startDate":"2022-05-28T23:56:11Z","endDate":"2022-05-29T00:02:58Z"`
)

// bounded are files with one record that holds a text, and a small one behind it.
var bounded = map[string]struct {
	most int
	file func(text string) string
	kept func(s health.Sample) string
}{
	"the metadata of a point of Health Auto Export": {16 << 10, func(text string) string {
		return fmt.Sprintf(haeHead, "step_count") + haePoint + `,"note":"` + text + `"},` + haePoint + `}]}]}}`
	}, metadataOf},
	"a point of a metric that nobody knows": {record.MaxRaw, func(text string) string {
		return fmt.Sprintf(haeHead, "moon_phase") + haePoint + `,"note":"` + text + `"},` + haePoint + `}]}]}}`
	}, rawOf},
	"the metadata of an Observation": {16 << 10, func(text string) string {
		observation := fmt.Sprintf(fhirHead, "8867-4")
		return `[` + observation + `,"extension":[{"url":"x/metadata/a","valueString":"` + text + `"}]},` + observation + `}]`
	}, metadataOf},
	"an Observation of a code that nobody knows": {record.MaxRaw, func(text string) string {
		observation := fmt.Sprintf(fhirHead, "2093-3")
		return `[` + observation + `,"note":[{"text":"` + text + `"}]},` + observation + `}]`
	}, rawOf},
	"a record of Open Wearables of a type that nobody knows": {record.MaxRaw, func(text string) string {
		entry := fmt.Sprintf(owRecord, "MOON")
		return owHead + entry + `,"note":"` + text + `"},` + entry + `}]}}`
	}, rawOf},
}

// metadataOf is the metadata as it is uploaded, up to its closing brace.
func metadataOf(s health.Sample) string {
	_, metadata, _ := strings.Cut(string(formats.AppendUploadSample(nil, &s)), `,"metadata":`)
	return strings.TrimSuffix(metadata, "}}")
}

func rawOf(s health.Sample) string { return s.Raw }

// What is kept of a record may be as large as its bound, and is uploaded then. A
// byte more is a rejection of this record, and costs no other.
func TestARecordAtItsBound(t *testing.T) {
	for name, tt := range bounded {
		t.Run(name, func(t *testing.T) {
			_, records := readAll(t, name, []byte(tt.file("")), formats.Options{})
			fill := tt.most - len(tt.kept(records[0].Sample))

			_, records = readAll(t, name, []byte(tt.file(strings.Repeat("x", fill))), formats.Options{})
			if len(records) != 2 || records[0].Verdict != formats.Accepted || len(tt.kept(records[0].Sample)) != tt.most {
				t.Fatalf("at the bound: %d records, the first %s %s", len(records), records[0].Verdict, records[0].Code)
			}
			checkCarried(t, &records[0].Sample)

			longer := []byte(tt.file(strings.Repeat("x", fill+1)))
			_, records = readAll(t, name, longer, formats.Options{})
			if len(records) != 2 || records[0].Verdict != formats.Rejected || records[0].Code != record.CodeTooLarge || records[1].Verdict != formats.Accepted {
				t.Errorf("a byte more: %d records, %s %s, then %s", len(records), records[0].Verdict, records[0].Code, records[1].Verdict)
			}
			checkStops(t, name, longer)
		})
	}
}

// A record of more than 8 MiB is passed over without being kept.
func TestARecordBeyondMemory(t *testing.T) {
	huge := `"huge":["` + strings.Join([]string{strings.Repeat("x", 3<<20), strings.Repeat("y", 3<<20), strings.Repeat("z", 3<<20)}, `","`) + `"]}`
	for name, tt := range map[string]struct {
		file string
		want []string
	}{
		"a point of Health Auto Export": {fmt.Sprintf(haeHead, "step_count") + haePoint + `,` + huge + `,` + haePoint + `}]}]}}`,
			[]string{"/data/metrics/0/data/0 rejected too_large", "/data/metrics/0/data/1 StepCount 1 {count}"}},
		"an Observation": {`[` + fmt.Sprintf(fhirHead, "8867-4") + `,` + huge + `,` + fmt.Sprintf(fhirHead, "8867-4") + `}]`,
			[]string{"/0 rejected too_large", "/1 HeartRate 60 /min"}},
		"a record of Open Wearables": {owHead + fmt.Sprintf(owRecord, "HKQuantityTypeIdentifierStepCount") + `,` + huge + `,` + fmt.Sprintf(owRecord, "HKQuantityTypeIdentifierStepCount") + `}]}}`,
			[]string{"/data/records/0 rejected too_large", "/data/records/1 StepCount 66 {count}"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, records := readAll(t, name, []byte(tt.file), formats.Options{})
			if diff := cmp.Diff(tt.want, lines(records)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			checkStops(t, name, []byte(tt.file))
		})
	}
}
