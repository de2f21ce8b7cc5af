package appleexport

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats/record"
	"github.com/clarity-loop/clarity/services/health/reject"
)

// dtd is what Apple puts before the data, in short.
const dtd = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE HealthData [
<!-- HealthKit Export Version: 14 -->
<!ELEMENT HealthData (ExportDate,Me,(Record|Correlation|Workout|ActivitySummary|ClinicalRecord)*)>
<!ATTLIST HealthData
  locale CDATA #REQUIRED
>
<!ATTLIST Record type CDATA #REQUIRED value CDATA "it's > <!ENTITY in a string">
]>
`

// watch is the device attribute of a watch.
const watch = `sourceName="Anna’s Apple Watch" device="&lt;&lt;HKDevice: 0x30&gt;, name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch7,5, software:12.1&gt;"`

const times = `startDate="2026-11-20 06:58:01 +0100" endDate="2026-11-20 06:59:01 +0100"`

func document(body string) string {
	return dtd + `<HealthData locale="en_DE">` + body + `</HealthData>`
}

// read reads a whole document and its fatal error.
func read(file string, o record.Options) (records []record.Record, err error) {
	for r, e := range XML(strings.NewReader(file), o) {
		if e != nil {
			return records, e
		}
		records = append(records, r)
	}
	return records, nil
}

// one reads a document of one record.
func one(t *testing.T, body string, o record.Options) record.Record {
	t.Helper()
	records, err := read(document(body), o)
	if err != nil || len(records) != 1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	return records[0]
}

func instant(t *testing.T, stamp string) health.Instant {
	t.Helper()
	at, _, ok := record.ParseStamp(stamp)
	if !ok {
		t.Fatal(stamp)
	}
	return at
}

func TestRecordBecomesASample(t *testing.T) {
	got := one(t, `<Record type="HKQuantityTypeIdentifierOxygenSaturation" `+watch+` unit="%" creationDate="2026-11-20 07:00:00 +0100" `+times+` value="0.97">
  <MetadataEntry key="HKTimeZone" value="Europe/Berlin"/>
  <MetadataEntry key="HKWasUserEntered" value="1"/>
  <MetadataEntry key="HKMetadataKeyBarometricPressure" value="101.2 kPa"/>
  <MetadataEntry key="HKVO2MaxTestType" value="2"/>
  <MetadataEntry key="App &quot;Id&quot;" value="0042"/>
 </Record>`, record.Options{DefaultZone: "Asia/Tokyo"})
	want := health.Sample{
		Type: "HKQuantityTypeIdentifierOxygenSaturation", Start: instant(t, "2026-11-20 06:58:01 +0100"), End: instant(t, "2026-11-20 06:59:01 +0100"),
		Zone: "Europe/Berlin", Value: 97, Unit: "%", OriginalValue: 0.97, OriginalUnit: "%", UserEntered: true,
		Source:   health.Source{Name: "Anna’s Apple Watch", ProductType: "Watch7,5", OSVersion: "12.1"},
		Metadata: `{"App \"Id\"":"0042","HKMetadataKeyBarometricPressure":"101.2 kPa","HKVO2MaxTestType":2}`,
	}
	want.UUID = health.DeriveUUID(&want)
	if diff := cmp.Diff(record.Record{Place: record.Place{Line: 10}, Verdict: record.Accepted, Sample: want}, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestVerdicts(t *testing.T) {
	const rate = `type="HKQuantityTypeIdentifierHeartRate" unit="count/min"`
	for name, tc := range map[string]struct {
		body    string
		verdict record.Verdict
		code    reject.Code
	}{
		"a heart rate":                        {`<Record ` + rate + ` ` + times + ` value="61"/>`, record.Accepted, ""},
		"single quotes and odd spaces":        {"<Record\n" + rate + "\t" + times + " value = '61' />", record.Accepted, ""},
		"a stage of sleep":                    {`<Record type="HKCategoryTypeIdentifierSleepAnalysis" ` + times + ` value="HKCategoryValueSleepAnalysisAsleepREM"/>`, record.Accepted, ""},
		"a stage by its number":               {`<Record type="HKCategoryTypeIdentifierSleepAnalysis" ` + times + ` value="4"/>`, record.Accepted, ""},
		"an event without a value":            {`<Record type="HKCategoryTypeIdentifierMindfulSession" ` + times + `/>`, record.Accepted, ""},
		"a type of the future":                {`<Record type="HKQuantityTypeIdentifierFuture" unit="q" ` + times + ` value="1"/>`, record.Accepted, ""},
		"a workout":                           {`<Workout workoutActivityType="HKWorkoutActivityTypeYoga" ` + times + `/>`, record.Accepted, ""},
		"an audiogram":                        {`<Audiogram type="HKDataTypeIdentifierAudiogram" ` + times + `><SensitivityPoint frequencyValue="250"/></Audiogram>`, record.Accepted, ""},
		"a clinical record":                   {`<ClinicalRecord type="HKClinicalTypeIdentifierLabResultRecord" receivedDate="2026-11-20 06:58:01 +0100"/>`, record.Accepted, ""},
		"a prescription":                      {`<VisionPrescription dateIssued="2026-11-20 06:58:01 +0100"/>`, record.Accepted, ""},
		"an activity summary":                 {`<ActivitySummary dateComponents="2026-11-20" activeEnergyBurned="1"/>`, record.Accepted, ""},
		"an element of the future with dates": {`<Dream ` + times + `/>`, record.Accepted, ""},
		"the person":                          {`<Me HKCharacteristicTypeIdentifierDateOfBirth="1990-05-20"/>`, record.Skipped, record.CodeNotASample},
		"the date of the export":              {`<ExportDate value="2026-11-20 06:58:01 +0100"/>`, record.Skipped, record.CodeNotASample},
		"an element nobody knows":             {`<Puzzle a="b"><c/></Puzzle>`, record.Skipped, record.CodeUnknown},
		"no type":                             {`<Record unit="m" ` + times + ` value="1"/>`, record.Rejected, reject.MissingField},
		"no value":                            {`<Record ` + rate + ` ` + times + `/>`, record.Rejected, reject.MissingField},
		"no unit":                             {`<Record type="HKQuantityTypeIdentifierHeartRate" ` + times + ` value="61"/>`, record.Rejected, reject.MissingField},
		"no start":                            {`<Record ` + rate + ` endDate="2026-11-20 06:59:01 +0100" value="61"/>`, record.Rejected, reject.MissingField},
		"no end":                              {`<Record ` + rate + ` startDate="2026-11-20 06:59:01 +0100" value="61"/>`, record.Rejected, reject.MissingField},
		"a date that does not exist":          {`<Record ` + rate + ` startDate="2026-02-30 06:58:01 +0100" endDate="2026-11-20 06:59:01 +0100" value="61"/>`, record.Rejected, reject.InvalidTime},
		"a date without an offset":            {`<Record ` + rate + ` startDate="2026-02-20 06:58:01" endDate="2026-11-20 06:59:01 +0100" value="61"/>`, record.Rejected, reject.InvalidTime},
		"a year before all":                   {`<Record ` + rate + ` startDate="0001-01-01 00:00:00 +0000" endDate="0001-01-01 00:00:00 +0000" value="61"/>`, record.Rejected, reject.InvalidTime},
		"an end before the start":             {`<Record ` + rate + ` startDate="2026-11-20 06:59:01 +0100" endDate="2026-11-20 06:58:01 +0100" value="61"/>`, record.Rejected, reject.EndBeforeStart},
		"the same instant in two offsets":     {`<Record ` + rate + ` startDate="2026-11-20 06:58:01 +0100" endDate="2026-11-20 05:58:01 +0000" value="61"/>`, record.Accepted, ""},
		"a week of heart rate":                {`<Record ` + rate + ` startDate="2026-11-10 06:58:01 +0100" endDate="2026-11-20 06:59:01 +0100" value="61"/>`, record.Rejected, reject.TooLong},
		"NaN":                                 {`<Record ` + rate + ` ` + times + ` value="NaN"/>`, record.Rejected, reject.InvalidNumber},
		"infinity":                            {`<Record ` + rate + ` ` + times + ` value="Inf"/>`, record.Rejected, reject.InvalidNumber},
		"a number beyond float64":             {`<Record ` + rate + ` ` + times + ` value="1e400"/>`, record.Rejected, reject.InvalidNumber},
		"a hexadecimal number":                {`<Record ` + rate + ` ` + times + ` value="0x10"/>`, record.Rejected, reject.InvalidNumber},
		"a heart beating a thousand times":    {`<Record ` + rate + ` ` + times + ` value="1000"/>`, record.Rejected, reject.OutOfRange},
		"a heart rate in kilograms":           {`<Record type="HKQuantityTypeIdentifierHeartRate" unit="kg" ` + times + ` value="61"/>`, record.Rejected, reject.UnknownUnit},
		"a stage that does not exist":         {`<Record type="HKCategoryTypeIdentifierSleepAnalysis" ` + times + ` value="HKCategoryValueSleepAnalysisNapping"/>`, record.Rejected, reject.InvalidValue},
		"a number of no stage":                {`<Record type="HKCategoryTypeIdentifierSleepAnalysis" ` + times + ` value="17"/>`, record.Rejected, reject.InvalidValue},
		"a source name that is not UTF-8":     {`<Record ` + rate + ` ` + times + " value=\"61\" sourceName=\"\xff\xfe\"/>", record.Rejected, reject.InvalidText},
		"a control character by reference":    {`<Record ` + rate + ` ` + times + ` value="61" sourceName="a&#7;"/>`, record.Rejected, reject.InvalidText},
		"metadata that is not UTF-8":          {`<Record ` + rate + ` ` + times + " value=\"61\"><MetadataEntry key=\"a\" value=\"\xff\"/></Record>", record.Rejected, reject.InvalidText},
		"metadata without end":                {`<Record ` + rate + ` ` + times + ` value="61">` + strings.Repeat(`<MetadataEntry key="a" value="`+strings.Repeat("x", 1000)+`"/>`, 20) + `</Record>`, record.Rejected, record.CodeTooLarge},
		"a workout without dates":             {`<Workout workoutActivityType="HKWorkoutActivityTypeYoga"/>`, record.Rejected, reject.MissingField},
		"a workout with too many laps":        {`<Workout ` + times + `>` + strings.Repeat(`<WorkoutEvent type="HKWorkoutEventTypeLap"/>`, 3000) + `</Workout>`, record.Rejected, record.CodeTooLarge},
		"a workout of a sample's type":        {`<Workout type="HKQuantityTypeIdentifierHeartRate" ` + times + `/>`, record.Rejected, reject.WrongType},
		"a summary of no day":                 {`<ActivitySummary dateComponents="2026-11-31"/>`, record.Rejected, reject.InvalidTime},
	} {
		t.Run(name, func(t *testing.T) {
			got := one(t, tc.body, record.Options{})
			if got.Verdict != tc.verdict || got.Code != tc.code || (got.Detail == "") != (tc.code == "") {
				t.Errorf("got %s %s (%s)", got.Verdict, got.Code, got.Detail)
			}
		})
	}
}

func TestWorkoutKeepsEverythingAndItsRouteIsItsOwn(t *testing.T) {
	records, err := read(document(`<Workout workoutActivityType="HKWorkoutActivityTypeRunning" `+watch+` `+times+`>
  <MetadataEntry key="HKTimeZone" value="Europe/Berlin"/>
  <MetadataEntry key="HKIndoorWorkout" value="0"/>
  <WorkoutEvent type="HKWorkoutEventTypePause"><MetadataEntry key="k" value="v"/></WorkoutEvent>
  <WorkoutStatistics type="HKQuantityTypeIdentifierDistanceWalkingRunning" sum="5" unit="km"/>
  <WorkoutRoute><FileReference path="/workout-routes/route.gpx"/></WorkoutRoute>
 </Workout>`), record.Options{})
	if err != nil || len(records) != 2 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	const source = `"source":{"name":"Anna’s Apple Watch","productType":"Watch7,5","osVersion":"12.1"}`
	route, workout := records[0].Sample, records[1].Sample
	if diff := cmp.Diff(`{"record":{"element":"WorkoutRoute","children":[{"element":"FileReference","path":"/workout-routes/route.gpx"}]},`+source+`}`, route.Raw); diff != "" {
		t.Errorf("the route (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(`{"metadata":{"HKIndoorWorkout":0},"record":{"element":"Workout","workoutActivityType":"HKWorkoutActivityTypeRunning",`+
		`"sourceName":"Anna’s Apple Watch","device":"<name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch7,5, software:12.1>",`+
		`"startDate":"2026-11-20 06:58:01 +0100","endDate":"2026-11-20 06:59:01 +0100","children":[`+
		`{"element":"WorkoutEvent","type":"HKWorkoutEventTypePause","children":[{"element":"MetadataEntry","key":"k","value":"v"}]},`+
		`{"element":"WorkoutStatistics","type":"HKQuantityTypeIdentifierDistanceWalkingRunning","sum":"5","unit":"km"}]},`+source+`}`, workout.Raw); diff != "" {
		t.Errorf("the workout (-want +got):\n%s", diff)
	}
	if route.Type != "HKWorkoutRouteTypeIdentifier" || route.Zone != "Europe/Berlin" || route.Start != workout.Start || route.End != workout.End || workout.Zone != "Europe/Berlin" {
		t.Errorf("the route %+v has not the workout's time", route)
	}
}

func TestRecordInsideACorrelationIsTheOneAtTheTop(t *testing.T) {
	const systolic = `<Record type="HKQuantityTypeIdentifierBloodPressureSystolic" unit="mmHg" ` + times + ` value="120"/>`
	records, err := read(document(systolic+`<Correlation type="HKCorrelationTypeIdentifierBloodPressure" `+times+`>`+systolic+`</Correlation>`), record.Options{})
	if err != nil || len(records) != 3 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	if records[0].Sample.UUID != records[1].Sample.UUID || records[2].Sample.Type != "HKCorrelationTypeIdentifierBloodPressure" {
		t.Errorf("the records are %+v", records)
	}
}

func TestHeartbeatsStayWithTheirVariability(t *testing.T) {
	got := one(t, `<Record type="HKQuantityTypeIdentifierHeartRateVariabilitySDNN" unit="ms" `+times+` value="42.5">
 <HeartRateVariabilityMetadataList><InstantaneousBeatsPerMinute bpm="61" time="7:47:41.86 AM"/><InstantaneousBeatsPerMinute bpm="62" time="7:47:42.81 AM"/></HeartRateVariabilityMetadataList></Record>`, record.Options{})
	want := `{"HeartRateVariabilityMetadataList":[{"element":"InstantaneousBeatsPerMinute","bpm":"61","time":"7:47:41.86 AM"},{"element":"InstantaneousBeatsPerMinute","bpm":"62","time":"7:47:42.81 AM"}]}`
	if got.Sample.Metadata != want {
		t.Errorf("metadata %s", got.Sample.Metadata)
	}
}

func TestZoneOfARecord(t *testing.T) {
	const rate = `<Record type="HKQuantityTypeIdentifierHeartRate" unit="count/min" value="61" `
	for name, tc := range map[string]struct{ body, fallback, want string }{
		"the record's own zone":                {rate + times + `><MetadataEntry key="HKTimeZone" value="America/Lima"/></Record>`, "Asia/Tokyo", "America/Lima"},
		"a zone that does not exist":           {rate + times + `><MetadataEntry key="HKTimeZone" value="Mars/Olympus"/></Record>`, "Asia/Tokyo", "Asia/Tokyo"},
		"a zone that is a path":                {rate + times + `><MetadataEntry key="HKTimeZone" value="../../etc/passwd"/></Record>`, "", "Etc/GMT-1"},
		"the default":                          {rate + times + `/>`, "Asia/Tokyo", "Asia/Tokyo"},
		"the offset, an hour east":             {rate + times + `/>`, "", "Etc/GMT-1"},
		"the offset, seven west":               {rate + strings.ReplaceAll(times, "+0100", "-0700") + `/>`, "", "Etc/GMT+7"},
		"no offset from UTC":                   {rate + strings.ReplaceAll(times, "+0100", "+0000") + `/>`, "", "Etc/UTC"},
		"half an hour, where people are":       {rate + strings.ReplaceAll(times, "+0100", "+0530") + `/>`, "", "Asia/Kolkata"},
		"an offset that nobody has":            {rate + strings.ReplaceAll(times, "+0100", "-0010") + `/>`, "", "Etc/GMT+1"},
		"a summary's day, in the export's":     {`<ActivitySummary dateComponents="2026-11-20"/>`, "", "Etc/UTC"},
		"a summary's day, in the default":      {`<ActivitySummary dateComponents="2026-11-20"/>`, "Europe/Berlin", "Europe/Berlin"},
		"a workout's own zone is in its Raw's": {`<Workout ` + times + `><MetadataEntry key="HKTimeZone" value="America/Lima"/></Workout>`, "", "America/Lima"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := one(t, tc.body, record.Options{DefaultZone: tc.fallback}); got.Sample.Zone != tc.want {
				t.Errorf("zone %s, want %s (%s)", got.Sample.Zone, tc.want, got.Detail)
			}
		})
	}
}

func TestSourceOfARecord(t *testing.T) {
	for name, tc := range map[string]struct {
		attributes string
		want       health.Source
	}{
		"a watch with its device":        {watch, health.Source{Name: "Anna’s Apple Watch", ProductType: "Watch7,5", OSVersion: "12.1"}},
		"a watch by its name alone":      {`sourceName="Annas Apple Watch" sourceVersion="10.2"`, health.Source{Name: "Annas Apple Watch", ProductType: "Watch", OSVersion: "10.2"}},
		"Apple's space that is no space": {"sourceName=\"Apple\u00a0Watch von Anna\"", health.Source{Name: "Apple\u00a0Watch von Anna", ProductType: "Watch"}},
		"an app":                         {`sourceName="Health Mate" sourceVersion="2160040"`, health.Source{Name: "Health Mate"}},
		"a bare product":                 {`device="&lt;Watch6,4&gt;"`, health.Source{ProductType: "Watch6,4"}},
		"nothing":                        {``, health.Source{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := one(t, `<Record type="HKQuantityTypeIdentifierHeartRate" unit="count/min" value="61" `+tc.attributes+` `+times+`/>`, record.Options{})
			if diff := cmp.Diff(tc.want, got.Sample.Source); diff != "" {
				t.Errorf("source (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnotherExportOfTheSameRecordHasTheSameIdentity(t *testing.T) {
	const body = `<Record type="HKQuantityTypeIdentifierHeartRate" unit="count/min" value="61" ` + watch + ` ` + times + `/>`
	first := one(t, body, record.Options{})
	// In summer the same export has other offsets, and the device another address.
	later := strings.NewReplacer("06:58:01 +0100", "07:58:01 +0200", "06:59:01 +0100", "07:59:01 +0200", "0x30", "0x99").Replace(body)
	if second := one(t, later, record.Options{DefaultZone: "Europe/Berlin"}); second.Sample.UUID != first.Sample.UUID {
		t.Error("another identity")
	}
}

func TestMalformedFiles(t *testing.T) {
	const record1 = `<Record type="HKQuantityTypeIdentifierHeartRate" unit="count/min" value="61" ` + times + `/>`
	for name, tc := range map[string]struct {
		file    string
		records int
		want    string
	}{
		"nothing":                                {"", 0, "the file is empty"},
		"white space":                            {" \n", 0, "the file is empty"},
		"no XML":                                 {"hello", 0, "text outside of the root element"},
		"UTF-16":                                 {"\xff\xfe<\x00H\x00", 0, "the encoding is not UTF-8"},
		"an encoding that is not UTF-8":          {`<?xml version="1.0" encoding="ISO-8859-1"?><HealthData/>`, 0, "the encoding is not UTF-8"},
		"another root":                           {`<ClinicalDocument/>`, 0, "the root element is not HealthData"},
		"cut between records":                    {`<HealthData>` + record1, 1, "the file ends inside <HealthData>"},
		"cut inside a record":                    {`<HealthData>` + record1 + record1[:40], 1, "the file ends inside <HealthData>"},
		"cut inside a comment":                   {`<HealthData><!-- `, 0, "the file ends inside a comment"},
		"cut inside the document type":           {`<!DOCTYPE HealthData [ <!ELEMENT`, 0, "the file ends inside the document type"},
		"an end tag of another":                  {`<HealthData>` + record1 + `</Health>`, 1, "closes another element"},
		"an end tag too many":                    {`<HealthData></HealthData></HealthData>`, 0, "closes another element"},
		"two roots":                              {`<HealthData/><HealthData/>`, 0, "second root"},
		"text behind the root":                   {`<HealthData/>hello`, 0, "text outside"},
		"an entity of its own":                   {`<!DOCTYPE HealthData [<!ENTITY lol "lol">]><HealthData/>`, 0, "declares an entity"},
		"a billion laughs":                       {`<!DOCTYPE HealthData [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><HealthData x="&b;"/>`, 0, "declares an entity"},
		"an entity as a parameter":               {`<!DOCTYPE HealthData [<!ENTITY % p SYSTEM "http://example.com/x">]><HealthData/>`, 0, "declares an entity"},
		"an external document type":              {`<!DOCTYPE HealthData SYSTEM "file:///etc/passwd"><HealthData/>`, 0, "outside of this one"},
		"a public document type":                 {`<!DOCTYPE HealthData PUBLIC "x" "http://example.com"><HealthData/>`, 0, "outside of this one"},
		"an entity that is not declared":         {`<HealthData a="&lol;"/>`, 0, "not one of XML's own"},
		"a reference to no character":            {`<HealthData a="&#0;"/>`, 0, "not one of XML's own"},
		"a reference to half a character":        {`<HealthData a="&#xD800;"/>`, 0, "not one of XML's own"},
		"an ampersand alone":                     {`<HealthData a="fish & chips"/>`, 0, "an '&' without an entity"},
		"a bracket in a value":                   {`<HealthData a="<"/>`, 0, "'<' in an attribute"},
		"an attribute twice":                     {`<HealthData a="1" a="2"/>`, 0, "attribute twice"},
		"an attribute without quotes":            {`<HealthData a=1/>`, 0, "no quotes"},
		"an attribute without a value":           {`<HealthData a/>`, 0, "no name or no value"},
		"attributes without a space":             {`<HealthData a="1"b="2"/>`, 0, "without a space"},
		"a tag without a name":                   {`<HealthData>< /></HealthData>`, 0, "a tag has no name"},
		"a huge attribute":                       {`<HealthData a="` + strings.Repeat("x", 300<<10) + `"/>`, 0, "longer than 262144 bytes"},
		"a huge name":                            {`<` + strings.Repeat("x", 300<<10), 0, "longer than 262144 bytes"},
		"a thousand attributes":                  {`<HealthData ` + manyAttributes(1000) + `/>`, 0, "more than 64 attributes"},
		"ten thousand levels":                    {`<HealthData>` + strings.Repeat("<a>", 10_000), 0, "nested deeper than 32"},
		"a document type of many megabytes":      {`<!DOCTYPE HealthData [` + strings.Repeat(" ", 2<<20), 0, "document type is longer"},
		"what comes before a fault still stands": {`<HealthData>` + strings.Repeat(record1, 5) + `<a`, 5, "the file ends inside"},
	} {
		t.Run(name, func(t *testing.T) {
			records, err := read(tc.file, record.Options{})
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "line ") {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if len(records) != tc.records {
				t.Errorf("%d records, want %d", len(records), tc.records)
			}
		})
	}
}

func manyAttributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `a%d="" `, i)
	}
	return b.String()
}

func TestWhatXMLAllowsIsSkipped(t *testing.T) {
	file := "\xef\xbb\xbf" + dtd + `<!-- <Record/> --><HealthData>text<![CDATA[<Record/>]]><?pi <Record/>?>` +
		`<Record type="HKQuantityTypeIdentifierStepCount" unit="count" value="&#49;&#x30;" ` + times + `>text</Record ></HealthData>` + "\n<!-- end -->\n"
	records, err := read(file, record.Options{})
	if err != nil || len(records) != 1 || records[0].Sample.Value != 10 {
		t.Errorf("%+v, %v", records, err)
	}
}

// archive makes a zip of names and contents.
func archive(t *testing.T, files ...[2]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		entry, err := w.Create(f[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readZipFile(file []byte) (records []record.Record, err error) {
	for r, e := range Zip(bytes.NewReader(file), int64(len(file)), record.Options{}) {
		if e != nil {
			return records, e
		}
		records = append(records, r)
	}
	return records, nil
}

func TestZip(t *testing.T) {
	const body = `<Record type="HKQuantityTypeIdentifierStepCount" unit="count" value="10" ` + times + `/>`
	for name, tc := range map[string]struct {
		files    [][2]string
		want     []string
		mistakes string
	}{
		"Apple's layout": {
			[][2]string{{"apple_health_export/", ""}, {"apple_health_export/export_cda.xml", "<ClinicalDocument/>"}, {"apple_health_export/export.xml", document(body)},
				{"apple_health_export/workout-routes/route_1.gpx", "<gpx/>"}, {"apple_health_export/electrocardiograms/ecg_1.csv", "x"}, {"__MACOSX/._export.xml", "x"}},
			[]string{"export.xml line 10 accepted ", "export_cda.xml skipped attachment", "route_1.gpx skipped attachment", "ecg_1.csv skipped attachment", "._export.xml skipped attachment"}, "",
		},
		"a localized name":         {[][2]string{{"apple_health_export/Exportación.xml", document(body)}}, []string{"Exportación.xml line 10 accepted "}, ""},
		"no export":                {[][2]string{{"letter.xml", "<letter/>"}, {"a.txt", "HealthData"}}, nil, "no file in it is an Apple Health export"},
		"nothing":                  {nil, nil, "no file in it is an Apple Health export"},
		"an export with a fault":   {[][2]string{{"export.xml", "<HealthData>"}}, nil, "the file ends inside <HealthData>"},
		"a bomb of spaces":         {[][2]string{{"export.xml", "<HealthData>" + strings.Repeat(" ", 8<<20) + "</HealthData>"}}, nil, "inflates more than 200-fold"},
		"a bomb in a comment":      {[][2]string{{"export.xml", "<HealthData><!--" + strings.Repeat("a", 8<<20)}}, nil, "inflates more than 200-fold"},
		"a name with a new line":   {[][2]string{{"export.xml", document("")}, {"a\nb\x1b[31m", "x"}}, []string{"a?b?[31m skipped attachment"}, ""},
		"a name that climbs":       {[][2]string{{"export.xml", document("")}, {"../../etc/passwd", "x"}}, []string{"passwd skipped attachment"}, ""},
		"an archive in an archive": {[][2]string{{"export.xml", "PK\x03\x04HealthData"}}, nil, "text outside of the root element"},
	} {
		t.Run(name, func(t *testing.T) {
			records, err := readZipFile(archive(t, tc.files...))
			var got []string
			for _, r := range records {
				got = append(got, fmt.Sprintf("%s %s %s", r.Place, r.Verdict, r.Code))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			if (err == nil) != (tc.mistakes == "") || err != nil && !strings.Contains(err.Error(), tc.mistakes) {
				t.Errorf("error %v, want %q", err, tc.mistakes)
			}
		})
	}
}

func TestDamagedZip(t *testing.T) {
	whole := archive(t, [2]string{"export.xml", document(strings.Repeat(`<Record type="HKQuantityTypeIdentifierStepCount" unit="count" value="10" `+times+`/>`, 100))})
	for cut := 1; cut < len(whole); cut += 7 {
		if _, err := readZipFile(whole[:cut]); err == nil {
			t.Fatalf("cut at %d of %d: no error", cut, len(whole))
		}
	}
	flipped := bytes.Clone(whole)
	flipped[60] ^= 0x40
	if _, err := readZipFile(flipped); err == nil {
		t.Error("a flipped bit in the compressed data: no error")
	}
}

func TestReadingStopsWhenTheCallerStops(t *testing.T) {
	file := document(strings.Repeat(`<Record type="HKQuantityTypeIdentifierStepCount" unit="count" value="10" `+times+`/>`, 10))
	n := 0
	for range XML(strings.NewReader(file), record.Options{}) {
		if n++; n == 3 {
			break
		}
	}
	zipped := archive(t, [2]string{"export.xml", file}, [2]string{"a", ""}, [2]string{"b", ""})
	for range Zip(bytes.NewReader(zipped), int64(len(zipped)), record.Options{}) {
		if n++; n == 14 {
			break
		}
	}
	if n != 14 {
		t.Errorf("%d records", n)
	}
}
