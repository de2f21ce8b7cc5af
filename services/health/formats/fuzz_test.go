package formats_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats"
	"github.com/clarity-loop/clarity/services/health/upload"
)

// fuzzJSON reads any file of one format and holds it to the promises: a record
// is whole or has a reason, and what is accepted is accepted by the upload
// contract too and comes back the same.
func fuzzJSON(f *testing.F, want formats.Format, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := formats.Open(bytes.NewReader(file), int64(len(file)), "file", formats.Options{})
		if err != nil || r.Format != want {
			return
		}
		for rec, err := range r.Records() {
			if err != nil {
				return
			}
			if (rec.Verdict == formats.Accepted) != (rec.Code == "") || (rec.Code == "") != (rec.Detail == "") {
				t.Fatalf("%s %s %q", rec.Verdict, rec.Code, rec.Detail)
			}
			if rec.Verdict == formats.Accepted {
				checkCarried(t, &rec.Sample)
			}
		}
	})
}

// checkCarried sends one sample through the upload contract.
func checkCarried(t *testing.T, s *health.Sample) {
	t.Helper()
	element := formats.AppendUploadSample(nil, s)
	if !json.Valid(element) {
		t.Fatalf("not JSON: %s", element)
	}
	body := append([]byte(`{"schema":"clarity.upload/1","installationId":"6f9619ff-8b86-4d01-b42d-00cf4fc964ff","timeZone":"Europe/Berlin","samples":[`), element...)
	var back *health.Sample
	env, err := upload.Decode(append(body, `]}`...), s.Start, func(got *health.Sample) {
		kept := *got
		back = &kept
	})
	if err != nil {
		t.Fatalf("%v: %s", err, element)
	}
	if len(env.Rejected) > 0 {
		t.Fatalf("the upload rejects %+v: %s", env.Rejected[0], element)
	}
	if back.UUID != s.UUID || back.Start != s.Start || back.End != s.End || back.Value != s.Value || back.Zone != s.Zone || back.Metadata != s.Metadata {
		t.Fatalf("sent %+v, came back %+v", s, back)
	}
	if again := formats.AppendUploadSample(nil, back); !bytes.Equal(again, element) {
		t.Fatalf("sent %s, then %s", element, again)
	}
}

func FuzzHealthAutoExport(f *testing.F) {
	fuzzJSON(f, formats.HealthAutoExport,
		`{"data":{"metrics":[{"name":"heart_rate","units":"bpm","data":[{"date":"2026-02-06 14:30:00 -0800","Min":65,"Avg":72,"Max":85,"source":"Anna's Apple Watch"}]}],"workouts":[]}}`,
		`{"data":{"metrics":[{"data":[{"date":"2026-02-06 14:30:00 -0800","systolic":120,"diastolic":80}],"name":"blood_pressure","units":"mmHg"}]}}`,
		`{"data":{"metrics":[],"workouts":[{"id":"550e8400-e29b-41d4-a716-446655440000","name":"Running","start":"2026-02-06 07:00:00 -0800","end":"2026-02-06 07:30:00 -0800","route":[{"latitude":1}]}],"ecg":[{"start":1}]}}`,
		`{"metric":"Blood Oxygen","data":[{"start":788223754,"end":788223755,"unit":"%","avg":97.3,"sources":[{"name":"x","identifier":"y"}]}]}`,
		`{"date":"2024-02-06","totalSleep":7.5}`, `{"startDate":"2024-02-05 23:00:00 -0800","value":"Core"}`, `{"locations":[{"time":788182029.022}]}`)
}

func FuzzFHIR(f *testing.F) {
	fuzzJSON(f, formats.FHIR,
		`{"resourceType":"Observation","id":"BDAC71F6-3398-4BDD-A56C-7BD50988D87A","effectiveDateTime":"2026-02-15T14:59:21.5+01:00","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"valueQuantity":{"value":87,"code":"/min"},"extension":[{"url":"x/metadata/a","valueDecimal":1.50},{"url":"x/metadata/b","valueQuantity":{"value": 1}}]}`,
		`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Observation","effectivePeriod":{"start":"2026-02-15T14:59:21Z"},"code":{"coding":[{"system":"http://loinc.org","code":"85354-9"}]},"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":120,"unit":"mmHg"}}]}}]}`,
		`[{"resourceType":"Observation","effectiveInstant":"2026-02-15T14:59:21Z","code":{"coding":[{"code":"HKElectrocardiogram"}]}}]`,
		`{"resourceType":"Observation","effectiveDateTime":"2026-02-15T14:59:21Z","code":{"coding":[{"code":"HKCategoryTypeIdentifierSleepAnalysis"}]},"valueString":"asleep core"}`)
}

func FuzzOpenWearables(f *testing.F) {
	fuzzJSON(f, formats.OpenWearables,
		`{"provider":"x","data":{"sleep":[{"stage":"rem","startDate":"2022-05-28T23:56:11Z","endDate":"2022-05-29T00:02:58Z"}]}}`,
		`{"sdkVersion":"x","data":{"workouts":[{"startDate":"2022-05-28T23:56:11Z","endDate":"2022-05-29T00:02:58Z"}]}}`,
		`{"provider":"apple","data":{"records":[{"id":"ED008640-6873-4647-92B2-24F7680014A0","type":"HKQuantityTypeIdentifierStepCount","unit":"count","value":66,"startDate":"2022-05-28T23:56:11Z","endDate":"2022-05-29T00:02:58Z","source":{"name":"iPhone","operatingSystemVersion":{"majorVersion":15}}}],"sleep":[{"stage":"inBed","startDate":"2022-05-28T23:56:11Z","endDate":"2022-05-29T00:02:58Z","zoneOffset":"+05:30"}],"workouts":[{"startDate":"2022-05-28T23:56:11Z","endDate":"2022-05-29T00:02:58Z","values":null}]}}`)
}
