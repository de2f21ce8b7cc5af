package formats_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats"
)

// lines says what became of each record of a file, one a line.
func lines(records []formats.Record) []string {
	var out []string
	for _, r := range records {
		if r.Verdict != formats.Accepted {
			out = append(out, fmt.Sprintf("%s %s %s", r.Place, r.Verdict, r.Code))
			continue
		}
		s := r.Sample
		kind := strings.TrimPrefix(strings.TrimPrefix(s.Type, "HKQuantityTypeIdentifier"), "HKCategoryTypeIdentifier")
		out = append(out, strings.TrimRight(fmt.Sprintf("%s %s %v %s", r.Place, kind, s.Value, s.Unit), " "))
	}
	return out
}

func TestHealthAutoExport(t *testing.T) {
	metric := func(name, units, points string) string {
		return fmt.Sprintf(`{"data":{"metrics":[{"name":%q,"units":%q,"data":[%s]}]}}`, name, units, points)
	}
	const date = `"date":"2026-02-06 14:30:00 -0800"`
	for name, tc := range map[string]struct {
		file string
		want []string
	}{
		"a number":                           {metric("resting_heart_rate", "bpm", `{`+date+`,"qty":58}`), []string{"/data/metrics/0/data/0 RestingHeartRate 58 /min"}},
		"the average of a minute":            {metric("heart_rate", "bpm", `{`+date+`,"Min":65,"Avg":72.5,"Max":85}`), []string{"/data/metrics/0/data/0 HeartRate 72.5 /min"}},
		"percent is per hundred":             {metric("blood_oxygen_saturation", "%", `{`+date+`,"qty":97}`), []string{"/data/metrics/0/data/0 OxygenSaturation 97 %"}},
		"percent with decimals":              {metric("body_fat_percentage", "%", `{`+date+`,"qty":18.3}`), []string{"/data/metrics/0/data/0 BodyFatPercentage 18.3 %"}},
		"a name that is not HealthKit's":     {metric("walking_running_distance", "mi", `{`+date+`,"qty":1}`), []string{"/data/metrics/0/data/0 DistanceWalkingRunning 1609.344 m"}},
		"energy in kilojoules":               {metric("active_energy", "kJ", `{`+date+`,"qty":4.184}`), []string{"/data/metrics/0/data/0 ActiveEnergyBurned 1 kcal"}},
		"blood pressure is two samples":      {metric("blood_pressure", "mmHg", `{`+date+`,"systolic":120,"diastolic":80}`), []string{"/data/metrics/0/data/0/systolic BloodPressureSystolic 120 mm[Hg]", "/data/metrics/0/data/0/diastolic BloodPressureDiastolic 80 mm[Hg]"}},
		"half a blood pressure":              {metric("blood_pressure", "mmHg", `{`+date+`,"systolic":120}`), []string{"/data/metrics/0/data/0/systolic BloodPressureSystolic 120 mm[Hg]", "/data/metrics/0/data/0/diastolic rejected missing_field"}},
		"a stage of sleep":                   {metric("sleep_analysis", "hr", `{"startDate":"2026-02-05 23:00:00 -0800","endDate":"2026-02-05 23:30:00 -0800","qty":0.5,"value":"REM"}`), []string{"/data/metrics/0/data/0 SleepAnalysis 5"}},
		"a summary of sleep is kept":         {metric("sleep_analysis", "hr", `{"date":"2026-02-06","totalSleep":7.5,"sleepStart":"2026-02-05 23:00:00 -0800","sleepEnd":"2026-02-06 06:30:00 -0800"}`), []string{"/data/metrics/0/data/0 HealthAutoExportSleepSummary 0"}},
		"a metric nobody knows is kept":      {metric("moon_phase", "deg", `{`+date+`,"qty":58}`), []string{"/data/metrics/0/data/0 HealthAutoExport.moon_phase 0"}},
		"a unit of something else":           {metric("resting_heart_rate", "kg", `{`+date+`,"qty":58}`), []string{"/data/metrics/0/data/0 rejected unknown_unit"}},
		"a number as text":                   {metric("resting_heart_rate", "bpm", `{`+date+`,"qty":"58"}`), []string{"/data/metrics/0/data/0 rejected invalid_number"}},
		"a number beyond float64":            {metric("resting_heart_rate", "bpm", `{`+date+`,"qty":1e400}`), []string{"/data/metrics/0/data/0 rejected invalid_number"}},
		"no number":                          {metric("resting_heart_rate", "bpm", `{`+date+`,"qty":null}`), []string{"/data/metrics/0/data/0 rejected missing_field"}},
		"no date":                            {metric("resting_heart_rate", "bpm", `{"qty":58}`), []string{"/data/metrics/0/data/0 rejected missing_field"}},
		"a date that does not exist":         {metric("resting_heart_rate", "bpm", `{"date":"2026-02-30 14:30:00 -0800","qty":58}`), []string{"/data/metrics/0/data/0 rejected invalid_time"}},
		"one bad point costs no other":       {metric("step_count", "count", `{`+date+`,"qty":-1},7,{`+date+`,"qty":12}`), []string{"/data/metrics/0/data/0 rejected out_of_range", "/data/metrics/0/data/1 rejected wrong_type", "/data/metrics/0/data/2 StepCount 12 {count}"}},
		"a stage that does not exist":        {metric("sleep_analysis", "hr", `{"startDate":"2026-02-05 23:00:00 -0800","value":"Napping"}`), []string{"/data/metrics/0/data/0 rejected invalid_value"}},
		"the data before the name":           {`{"data":{"metrics":[{"data":[{` + date + `,"qty":58}],"units":"bpm","name":"resting_heart_rate"},{"name":"step_count","units":"count","data":[]}]}}`, []string{"/data/metrics/0/data/0 RestingHeartRate 58 /min"}},
		"a metric without data":              {`{"data":{"metrics":[{"name":"step_count","units":"count"}]}}`, []string{"/data/metrics/0 rejected missing_field"}},
		"a metric whose data is no list":     {`{"data":{"metrics":[{"name":"step_count","units":"count","data":{}}]}}`, []string{"/data/metrics/0 rejected missing_field"}},
		"a workout and its route":            {`{"data":{"workouts":[{"id":"550e8400-e29b-41d4-a716-446655440000","name":"Running","start":"2026-02-06 07:00:00 -0800","end":"2026-02-06 07:30:00 -0800","route":[{"latitude":1}]}]}}`, []string{"/data/workouts/0 HKWorkoutTypeIdentifier 0", "/data/workouts/0/route HKWorkoutRouteTypeIdentifier 0"}},
		"a blood pressure without a metric":  {`{"date":"2026-02-06 14:30:00 -0800","systolic":120,"diastolic":80,"units":"mmHg"}`, []string{"/systolic BloodPressureSystolic 120 mm[Hg]", "/diastolic BloodPressureDiastolic 80 mm[Hg]"}},
		"a blood pressure of nothing":        {metric("blood_pressure", "mmHg", `{`+date+`}`), []string{"/data/metrics/0/data/0/systolic rejected missing_field", "/data/metrics/0/data/0/diastolic rejected missing_field"}},
		"a point from when to when":          {`{"metric":"Step Count","start":788050814,"end":788050820,"unit":"count","qty":9}`, []string{" StepCount 9 {count}"}},
		"a point by other names of its time": {`{"metric":"Step Count","startDate":"2026-02-06 14:30:00 -0800","unit":"count","qty":9}`, []string{" StepCount 9 {count}"}},
		"a point that is null":               {metric("step_count", "count", `null`), []string{"/data/metrics/0/data/0 rejected wrong_type"}},
		"the other lists are kept":           {`{"data":{"metrics":[],"ecg":[{"start":"2026-02-06 07:00:00 -0800"}],"stateOfMind":[{"start":"2026-02-06T15:00:00Z"}],"symptoms":[{"name":"Headache"}],"version":2}}`, []string{"/data/ecg/0 HKDataTypeIdentifierElectrocardiogram 0", "/data/stateOfMind/0 HKDataTypeStateOfMind 0", "/data/symptoms/0 rejected missing_field", "/data/version skipped not_a_sample"}},
		"an archive counts from 2001":        {`{"metric":"Resting Heart Rate","date":788050800,"data":[{"unit":"count/min","start":788050814,"end":788137186,"qty":70}]}`, []string{"/data/0 RestingHeartRate 70 /min"}},
		"an archive's route":                 {`{"id":"0EEA1E9E-C117-4BF7-A170-5C0B942CB69A","locations":[{"time":788182029.022},{"time":788182030}]}`, []string{" HKWorkoutRouteTypeIdentifier 0"}},
		"one document a line":                {`{"metric":"Step Count","data":[]}` + "\n" + `{"metric":"Step Count","data":[{"start":788050814,"unit":"count","qty":1}]}`, []string{"/data/0 StepCount 1 {count}"}},
		"a route that is longer than a day":  {`{"data":{"metrics":[],"workouts":[{"name":"Running","start":"2026-02-06 07:00:00 -0800","end":"2026-02-06 07:30:00 -0800","route":[` + strings.TrimSuffix(strings.Repeat(`{"latitude":1},`, 5000), ",") + `]}]}}`, []string{"/data/workouts/0 HKWorkoutTypeIdentifier 0", "/data/workouts/0/route rejected too_large"}},
	} {
		t.Run(name, func(t *testing.T) {
			format, records := readAll(t, name, []byte(tc.file), formats.Options{})
			if format != formats.HealthAutoExport {
				t.Errorf("recognized as %s", format)
			}
			if diff := cmp.Diff(tc.want, lines(records)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			checkRoundTrip(t, records)
		})
	}
}

func TestHealthAutoExportKeepsWhatItCannotName(t *testing.T) {
	_, records := readAll(t, "x", []byte(`{"data":{"metrics":[{"name":"heart_rate","units":"bpm","data":[{"date":"2026-02-06 14:30:00 -0800","Min":65,"Avg":72,"Max":85,"source":"Anna's Apple Watch","context":{"a" : [1, 2]}}]}]}}`), formats.Options{DefaultZone: "America/Los_Angeles"})
	s := records[0].Sample
	if s.Metadata != `{"Max":85,"Min":65,"context":{"a":[1,2]}}` || s.Source.ProductType != "Watch" || s.Source.Name != "Anna's Apple Watch" || s.Zone != "America/Los_Angeles" {
		t.Errorf("got %+v", s)
	}
}

func TestPercentTravelsAsAFraction(t *testing.T) {
	_, records := readAll(t, "x", []byte(`{"data":{"metrics":[{"name":"blood_oxygen_saturation","units":"%","data":[{"date":"2026-02-06 14:30:00 -0800","qty":97}]}]}}`), formats.Options{})
	s := records[0].Sample
	if s.Value != 97 || s.OriginalValue != 0.97 {
		t.Errorf("value %v, original %v", s.Value, s.OriginalValue)
	}
	if element := formats.AppendUploadSample(nil, &s); !bytes.Contains(element, []byte(`"value":0.97,"unit":"%"`)) {
		t.Errorf("sent as %s", element)
	}
}

func TestFHIR(t *testing.T) {
	observation := func(rest string) string {
		return `{"resourceType":"Observation","status":"final","effectiveDateTime":"2026-02-15T14:59:21.5+01:00",` + rest + `}`
	}
	code := func(system, code string) string {
		return fmt.Sprintf(`"code":{"coding":[{"system":%q,"code":%q}]}`, system, code)
	}
	const loinc = "http://loinc.org"
	rate := observation(code(loinc, "8867-4") + `,"valueQuantity":{"value":87,"unit":"beats/minute","code":"/min"}`)
	panel := observation(code(loinc, "85354-9") + `,"component":[{` + code(loinc, "8480-6") + `,"valueQuantity":{"value":120,"code":"mm[Hg]"}},{` +
		code(loinc, "8462-4") + `,"valueQuantity":{"value":80,"code":"mm[Hg]"}},{` + code(loinc, "8478-0") + `,"valueQuantity":{"value":93,"code":"mm[Hg]"}}]`)
	for name, tc := range map[string]struct {
		file string
		want []string
	}{
		"a LOINC code":                       {rate, []string{" HeartRate 87 /min"}},
		"a HealthKit code goes before LOINC": {observation(`"code":{"coding":[{"system":"http://loinc.org","code":"8867-4"},{"system":"http://developer.apple.com/documentation/healthkit","code":"HKQuantityTypeIdentifierRestingHeartRate"}]},"valueQuantity":{"value":50,"code":"/min"}`), []string{" RestingHeartRate 50 /min"}},
		"another LOINC code of the same":     {observation(code(loinc, "2708-6") + `,"valueQuantity":{"value":97,"unit":"%","code":"%"}`), []string{" OxygenSaturation 97 %"}},
		"a unit without a code":              {observation(code(loinc, "29463-7") + `,"valueQuantity":{"value":1,"unit":"lbs"}`), []string{" BodyMass 0.45359237 kg"}},
		"a code that is not UCUM":            {observation(code(loinc, "8867-4") + `,"valueQuantity":{"value":60,"unit":"beats/minute","code":"{bpm}"}`), []string{" HeartRate 60 /min"}},
		"a period":                           {`{"resourceType":"Observation","effectivePeriod":{"start":"2026-02-15T14:00:00Z","end":"2026-02-15T15:00:00Z"},` + code(loinc, "55423-8") + `,"valueQuantity":{"value":321,"unit":"steps"}}`, []string{" StepCount 321 {count}"}},
		"a period without an end":            {`{"resourceType":"Observation","effectivePeriod":{"start":"2026-02-15T14:00:00Z"},` + code(loinc, "55423-8") + `,"valueQuantity":{"value":321,"unit":"steps"}}`, []string{" StepCount 321 {count}"}},
		"a panel is its components":          {panel, []string{"/component/0 BloodPressureSystolic 120 mm[Hg]", "/component/1 BloodPressureDiastolic 80 mm[Hg]", "/component/2 rejected unknown_record"}},
		"a bundle":                           {`{"entry":[{"resource":{"resourceType":"Patient"}},{"fullUrl":"x"},{"resource":` + rate + `}],"type":"collection","resourceType":"Bundle"}`, []string{"/entry/0/resource skipped not_a_sample", "/entry/1 skipped not_a_sample", "/entry/2/resource HeartRate 87 /min"}},
		"an array":                           {`[` + rate + `,` + rate + `,7]`, []string{"/0 HeartRate 87 /min", "/1 HeartRate 87 /min", "/2 rejected wrong_type"}},
		"one a line":                         {rate + "\n" + rate + "\n", []string{" HeartRate 87 /min", "/1 HeartRate 87 /min"}},
		"a stage of sleep by its name":       {observation(code("http://developer.apple.com/documentation/healthkit", "HKCategoryTypeIdentifierSleepAnalysis") + `,"valueString":"asleep core"`), []string{" SleepAnalysis 3"}},
		"a stage of sleep by a coding":       {observation(code("http://developer.apple.com/documentation/healthkit", "HKCategoryTypeIdentifierSleepAnalysis") + `,"valueCodeableConcept":{"coding":[{"code":"4"}]}`), []string{" SleepAnalysis 4"}},
		"an event is what it is":             {observation(code("http://developer.apple.com/documentation/healthkit", "HKCategoryTypeIdentifierMindfulSession")), []string{" MindfulSession 0"}},
		"a code of no type is kept":          {observation(code(loinc, "2093-3") + `,"valueQuantity":{"value":180,"code":"mg/dL"}`), []string{" http://loinc.org|2093-3 0"}},
		"an electrocardiogram is kept whole": {observation(code("http://developer.apple.com/documentation/healthkit", "HKElectrocardiogram") + `,"component":[{` + code(loinc, "8867-4") + `,"valueQuantity":{"value":60,"code":"/min"}}]`), []string{" HKElectrocardiogram 0"}},
		"a panel of nothing else":            {observation(code(loinc, "85354-9") + `,"component":[{` + code(loinc, "8480-6") + `,"valueQuantity":{"value":120,"code":"mm[Hg]"}}]`), []string{"/component/0 BloodPressureSystolic 120 mm[Hg]"}},
		"a panel of what nobody knows":       {observation(code(loinc, "2093-3") + `,"component":[{` + code(loinc, "8478-0") + `,"valueQuantity":{"value":93,"code":"mm[Hg]"}}]`), []string{" http://loinc.org|2093-3 0"}},
		"a panel with a value of its own":    {observation(code(loinc, "2093-3") + `,"valueQuantity":{"value":180,"code":"mg/dL"},"component":[{` + code(loinc, "8480-6") + `,"valueQuantity":{"value":120,"code":"mm[Hg]"}}]`), []string{" http://loinc.org|2093-3 0"}},
		"a bundle's other lists":             {`{"resourceType":"Bundle","link":[{"relation":"self","resource":` + rate + `}],"entry":[{"link":[{"relation":"self"}],"resource":` + rate + `}]}`, []string{"/entry/0/resource HeartRate 87 /min"}},
		"the first code that there is":       {observation(`"code":{"coding":[{"system":"http://example.org"},{"system":"http://example.com","code":"x"}]}`), []string{" http://example.com|x 0"}},
		"a name whose second word has an a":  {observation(code("http://developer.apple.com/documentation/healthkit", "HKCategoryTypeIdentifierMindfulSession") + `,"valueString":"not applicable"`), []string{" MindfulSession 0"}},
		"a name of odd capitals":             {observation(code("http://developer.apple.com/documentation/healthkit", "HKCategoryTypeIdentifierSleepAnalysis") + `,"valueString":"asleep rEM"`), []string{" SleepAnalysis 5"}},
		"a name with a word of one letter":   {observation(code("http://developer.apple.com/documentation/healthkit", "HKCategoryTypeIdentifierSleepAnalysis") + `,"valueString":"asleep x"`), []string{" rejected invalid_value"}},
		"entered in error":                   {strings.Replace(rate, "final", "entered-in-error", 1), []string{" skipped not_a_sample"}},
		"no measurement, with a reason":      {observation(code(loinc, "8867-4") + `,"dataAbsentReason":{"text":"unknown"}`), []string{" skipped not_a_sample"}},
		"no measurement":                     {observation(code(loinc, "8867-4")), []string{" rejected missing_field"}},
		"a bound":                            {observation(code(loinc, "8867-4") + `,"valueQuantity":{"value":40,"comparator":"<","code":"/min"}`), []string{" rejected invalid_value"}},
		"a day is no time":                   {`{"resourceType":"Observation","effectiveDateTime":"2026-02-15",` + code(loinc, "8867-4") + `,"valueQuantity":{"value":60,"code":"/min"}}`, []string{" rejected invalid_time"}},
		"no time":                            {`{"resourceType":"Observation",` + code(loinc, "8867-4") + `,"valueQuantity":{"value":60,"code":"/min"}}`, []string{" rejected missing_field"}},
		"no code":                            {observation(`"valueQuantity":{"value":60,"code":"/min"}`), []string{" rejected missing_field"}},
		"a unit of something else":           {observation(code(loinc, "8867-4") + `,"valueQuantity":{"value":60,"code":"kg"}`), []string{" rejected unknown_unit"}},
		"a value that no heart has":          {observation(code(loinc, "8867-4") + `,"valueQuantity":{"value":6000,"code":"/min"}`), []string{" rejected out_of_range"}},
		"a number beyond float64":            {observation(code(loinc, "8867-4") + `,"valueQuantity":{"value":1e400,"code":"/min"}`), []string{" rejected invalid_number"}},
		"a member of another type":           {observation(`"code":7`), []string{" rejected wrong_type"}},
	} {
		t.Run(name, func(t *testing.T) {
			format, records := readAll(t, name, []byte(tc.file), formats.Options{})
			if format != formats.FHIR {
				t.Errorf("recognized as %s", format)
			}
			if diff := cmp.Diff(tc.want, lines(records)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			checkRoundTrip(t, records)
		})
	}
}

func TestFHIRExtensionsOfHealthKitOnFHIR(t *testing.T) {
	const base = "https://bdh.stanford.edu/fhir/defs/"
	_, records := readAll(t, "x", []byte(`{"resourceType":"Observation","id":"BDAC71F6-3398-4BDD-A56C-7BD50988D87A","effectiveDateTime":"2026-08-07T16:03:37.797878384-07:00",
	"code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"valueQuantity":{"value":84,"code":"/min"},"extension":[
	{"url":"`+base+`sourceDevice","extension":[{"url":"`+base+`sourceDevice/hardwareVersion","valueString":"Watch7,12"}]},
	{"url":"`+base+`sourceRevision","extension":[{"url":"`+base+`sourceRevision/source","extension":[{"url":"`+base+`sourceRevision/source/name","valueString":"Anna's Apple Watch"},
	 {"url":"`+base+`sourceRevision/source/bundleIdentifier","valueString":"com.apple.health.B8"}]},{"url":"`+base+`sourceRevision/OSVersion","valueString":"26.5.0"}]},
	{"url":"`+base+`metadata","extension":[{"url":"`+base+`metadata/HKMetadataKeyHeartRateMotionContext","valueCoding":{"code":"1"}},
	 {"url":"`+base+`metadata/HKWasUserEntered","valueBoolean":true},{"url":"`+base+`metadata/b","valueDecimal":1.5},{"url":"`+base+`metadata/a","valueString":"x"}]},
	{"url":"`+base+`sampleUploadTimeZone","valueString":"America/Los_Angeles"}]}`), formats.Options{DefaultZone: "Asia/Tokyo"})
	s := records[0].Sample
	if s.UUID.String() != "bdac71f6-3398-4bdd-a56c-7bd50988d87a" || s.Zone != "America/Los_Angeles" || !s.UserEntered || s.Start.Time().Format("05.000") != "37.798" {
		t.Errorf("got %+v", s)
	}
	if s.Metadata != `{"HKMetadataKeyHeartRateMotionContext":1,"a":"x","b":1.5}` || s.Source.ProductType != "Watch7,12" || s.Source.BundleID != "com.apple.health.B8" || s.Source.OSVersion != "26.5.0" {
		t.Errorf("got %+v", s)
	}
	checkRoundTrip(t, records)
}

// Extensions are nested; what is nested deeper than Stanford's are is not looked for.
func TestFHIRExtensionsAreReadToADepth(t *testing.T) {
	for depth, want := range map[int]string{0: "App", 1: "App", 4: "App", 5: "", 9: ""} {
		extension := `{"url":"x/sourceRevision/source/name","valueString":"App"}`
		for range depth {
			extension = `{"url":"x","extension":[` + extension + `]}`
		}
		_, records := readAll(t, "x", []byte(`{"resourceType":"Observation","effectiveDateTime":"2026-08-07T16:03:37Z","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},`+
			`"valueQuantity":{"value":84,"code":"/min"},"extension":[`+extension+`,{"url":"x/metadata/a","valueQuantity":7}]}`), formats.Options{})
		if s := records[0].Sample; s.Source.Name != want || s.Metadata != `{"a":7}` {
			t.Errorf("%d deep: the source %q, the metadata %s", depth, s.Source.Name, s.Metadata)
		}
	}
}

func TestWhatRecordsAreRejectedFor(t *testing.T) {
	const rate = `{"resourceType":"Observation","effectiveDateTime":"2026-02-15T14:59:21Z","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]}`
	for name, tc := range map[string]struct{ file, want string }{
		"no quantity":           {rate + `}`, "the Observation has no valueQuantity"},
		"no unit":               {rate + `,"valueQuantity":{"value":60}}`, "a quantity has no unit"},
		"seconds of far future": {`{"metric":"Step Count","date":100000000000,"qty":1,"unit":"count"}`, "the time is outside 1900–2200"},
		"seconds beyond":        {`{"metric":"Step Count","date":100000000001,"qty":1,"unit":"count"}`, "a date is not yyyy-mm-dd hh:mm:ss ±hhmm"},
		"seconds long ago":      {`{"metric":"Step Count","date":-100000000000,"qty":1,"unit":"count"}`, "the time is outside 1900–2200"},
	} {
		t.Run(name, func(t *testing.T) {
			_, records := readAll(t, name, []byte(tc.file), formats.Options{})
			if len(records) != 1 || records[0].Verdict != formats.Rejected || records[0].Detail != tc.want {
				t.Errorf("got %+v", records)
			}
		})
	}
}

func TestSourcesOfHealthAutoExport(t *testing.T) {
	for name, tc := range map[string]struct {
		members string
		want    health.Source
	}{
		"none":            {``, health.Source{}},
		"one":             {`,"sources":[{"name":"Ring","identifier":"com.example.ring"}]`, health.Source{Name: "Ring", BundleID: "com.example.ring"}},
		"the first of":    {`,"sources":[{"name":"iPhone","identifier":"a"},{"name":"b","identifier":"c"}]`, health.Source{Name: "iPhone", BundleID: "a", ProductType: "iPhone"}},
		"an empty list":   {`,"source":"Ring","sources":[]`, health.Source{Name: "Ring"}},
		"no list":         {`,"source":"Ring","sources":"other"`, health.Source{Name: "Ring"}},
		"a list of names": {`,"source":"Ring","sources":["other"]`, health.Source{Name: "Ring"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, records := readAll(t, name, []byte(`{"metric":"Step Count","date":788050814,"qty":1,"unit":"count"`+tc.members+`}`), formats.Options{})
			if diff := cmp.Diff(tc.want, records[0].Sample.Source); diff != "" {
				t.Errorf("source (-want +got):\n%s", diff)
			}
		})
	}
}

// What is beside the data is no record, and each line is a payload.
func TestOpenWearablesReadsItsDataAlone(t *testing.T) {
	const entry = `{"records":[{"type":"HKQuantityTypeIdentifierStepCount","unit":"count","value":66,"startDate":"2026-02-23T23:10:00Z","endDate":"2026-02-24T00:00:00Z"}]}`
	_, records := readAll(t, "x", []byte(`{"provider":"x","other":`+entry+`,"data":`+entry+"}\n"+`{"data":`+entry+`}`), formats.Options{})
	want := []string{"/data/records/0 StepCount 66 {count}", "/data/records/0 StepCount 66 {count}"}
	if diff := cmp.Diff(want, lines(records)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestOpenWearables(t *testing.T) {
	payload := func(list, entry string) string {
		return `{"provider":"apple","data":{"` + list + `":[` + entry + `]}}`
	}
	const dates = `"startDate":"2026-02-23T23:10:00Z","endDate":"2026-02-24T00:00:00Z"`
	for name, tc := range map[string]struct{ file, want string }{
		"a record":                 {payload("records", `{"type":"HKQuantityTypeIdentifierStepCount","unit":"count","value":66,`+dates+`}`), "/data/records/0 StepCount 66 {count}"},
		"percent is HealthKit's":   {payload("records", `{"type":"HKQuantityTypeIdentifierOxygenSaturation","unit":"%","value":0.97,`+dates+`}`), "/data/records/0 OxygenSaturation 97 %"},
		"a stage":                  {payload("sleep", `{"stage":"light","zoneOffset":"+01:00",`+dates+`}`), "/data/sleep/0 SleepAnalysis 3"},
		"a workout":                {payload("workouts", `{"id":"AAAA0000-1111-2222-3333-444455556666","type":"cycling",`+dates+`,"values":null}`), "/data/workouts/0 HKWorkoutTypeIdentifier 0"},
		"another maker's type":     {payload("records", `{"type":"BLOOD_PRESSURE_SYSTOLIC","unit":"mmHg","value":122,`+dates+`}`), "/data/records/0 BLOOD_PRESSURE_SYSTOLIC 0"},
		"no dates":                 {payload("records", `{"type":"HKQuantityTypeIdentifierStepCount","unit":"count","value":66}`), "/data/records/0 rejected missing_field"},
		"a date without an offset": {payload("sleep", `{"stage":"light","startDate":"2026-02-23 23:10:00","endDate":"2026-02-24T00:00:00Z"}`), "/data/sleep/0 rejected invalid_time"},
		"a stage of nothing":       {payload("sleep", `{"stage":"flying",`+dates+`}`), "/data/sleep/0 rejected invalid_value"},
		"no value":                 {payload("records", `{"type":"HKQuantityTypeIdentifierStepCount","unit":"count",`+dates+`}`), "/data/records/0 rejected missing_field"},
		"no object":                {payload("records", `7`), "/data/records/0 rejected wrong_type"},
	} {
		t.Run(name, func(t *testing.T) {
			format, records := readAll(t, name, []byte(tc.file), formats.Options{})
			if format != formats.OpenWearables {
				t.Errorf("recognized as %s", format)
			}
			if diff := cmp.Diff([]string{tc.want}, lines(records)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			checkRoundTrip(t, records)
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		file string
		zone string
		want string
	}{
		"nothing":                    {"", "", formats.ErrUnknownFormat.Error()},
		"a letter":                   {"Dear Anna", "", formats.ErrUnknownFormat.Error()},
		"another JSON":               {`{"hello":{"world":[1,2]}}`, "", formats.ErrUnknownFormat.Error()},
		"an empty array":             {`[]`, "", formats.ErrUnknownFormat.Error()},
		"JSON that is cut":           {`{"hello":`, "", "ends inside a value"},
		"a default zone of no place": {`{"metric":"x"}`, "Mars/Olympus", "not an IANA time zone"},
		"levels without end":         {strings.Repeat(`{"a":`, 10_000), "", "nested deeper than 64"},
		"arrays without end":         {strings.Repeat(`[`, 10_000), "", "there is no '{'"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := formats.Open(strings.NewReader(tc.file), int64(len(tc.file)), "file", formats.Options{DefaultZone: tc.zone})
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), "open file: ") {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestDamagedJSONGivesTheRecordsBeforeAndAnError(t *testing.T) {
	const point = `{"date":"2026-02-06 14:30:00 -0800","qty":58}`
	whole := `{"data":{"metrics":[{"name":"step_count","units":"count","data":[` + point + `,` + point + `]}]}}`
	for name, tc := range map[string]struct {
		file, want string
	}{
		"bad UTF-8":           {strings.Replace(whole, "qty", "q\xffty", 1), "not UTF-8"},
		"NaN":                 {strings.Replace(whole, "58", "NaN", 1), "not valid JSON"},
		"a comma too many":    {strings.Replace(whole, "]}", ",]}", 1), "valid"},
		"no comma":            {strings.Replace(whole, "},{", "}{", 1), "no ','"},
		"a control character": {strings.Replace(whole, "-0800", "\x01", 1), "not valid JSON"},
		"cut":                 {whole[:len(whole)-30], "ends inside a value"},
	} {
		t.Run(name, func(t *testing.T) {
			for earlier, want := range map[string]int{"": 0, whole + "\n": 2} { // what a document holds is read when the document is known to be whole
				file := earlier + tc.file
				r, err := formats.Open(strings.NewReader(file), int64(len(file)), "file", formats.Options{})
				records := 0
				if err == nil {
					for _, e := range r.Records() {
						if err = errors.Join(err, e); e == nil {
							records++
						}
					}
				}
				if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "step_count") {
					t.Errorf("error %v, want %q", err, tc.want)
				}
				if records != want {
					t.Errorf("%d records before the error, want %d", records, want)
				}
			}
		})
	}
}
