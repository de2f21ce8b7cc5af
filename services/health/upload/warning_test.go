package upload_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/upload"
)

// What is not understood of a sample costs nobody the sample: it is counted, and
// kept as it was sent.
func TestWhatIsNotUnderstoodIsKeptAndCounted(t *testing.T) {
	odd := `"metadata":{"HKTimeZone":"GMT+1:00","b":1}`
	body := bodyOf(
		members(id, heart, times, sixtyOne),
		members(id, heart, times, sixtyOne, odd),
		members(id, sleep, times, `"value" : 6`),
		members(id, heart, times, sixtyOne, `"device":"x"`, odd),
		members(id, heart, times, `"value":0,"unit":"count/min"`, `"device":"x"`, odd),
		members(id, workout, times, `"device":"x"`),
	)
	var samples []health.Sample
	e, err := upload.Decode(body, now, func(s *health.Sample) { samples = append(samples, *s) })
	if err != nil {
		t.Fatal(err)
	}
	want := []health.Warning{{Code: "invalid_zone", Count: 2, First: 1}, {Code: "unknown_value", Count: 1, First: 2}, {Code: "unknown_field", Count: 1, First: 3}}
	if diff := cmp.Diff(want, e.Warnings, cmpopts.IgnoreFields(health.Warning{}, "Detail")); diff != "" || e.Accepted != 5 {
		t.Fatalf("%d accepted; warnings (-want +got):\n%s", e.Accepted, diff)
	}
	if s := samples[1]; s.Zone != "Europe/Berlin" || s.Metadata != `{"HKTimeZone":"GMT+1:00","b":1}` || s.Raw != "" {
		t.Errorf("the odd zone: %+v", s)
	}
	if s := samples[2]; s.Value != 6 || s.Raw != members(id, sleep, times, `"value":6`) {
		t.Errorf("the new value: %+v", s)
	}
	if s := samples[3]; s.Value != 61 || s.Unit != "/min" || s.Raw != members(id, heart, times, sixtyOne, `"device":"x"`, odd) {
		t.Errorf("the new member: %+v", s)
	}
	again, err := upload.Decode(body, now, nil)
	if diff := cmp.Diff(e, again); diff != "" || err != nil {
		t.Errorf("without samples (-with +without), %v:\n%s", err, diff)
	}
}

func TestFixedOffsetsOfAnUploadAndOfASample(t *testing.T) {
	body := []byte(`{"schema":"clarity.upload/1","installationId":"i","timeZone":"GMT+01","samples":[` +
		members(id, heart, times, sixtyOne) + `,` + members(id, heart, times, sixtyOne, `"metadata":{"HKTimeZone":"GMT-0330"}`) + `]}`)
	var zones []string
	e, err := upload.Decode(body, now, func(s *health.Sample) { zones = append(zones, s.Zone) })
	if err != nil || len(e.Warnings) > 0 || e.TimeZone != "GMT+0100" {
		t.Fatalf("%+v, %v", e, err)
	}
	if diff := cmp.Diff([]string{"GMT+0100", "GMT-0330"}, zones); diff != "" {
		t.Errorf("zones (-want +got):\n%s", diff)
	}
}
