package appleexport

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats/record"
)

// checkFuzzed: whatever the file was, a record is either whole or has a reason.
func checkFuzzed(t *testing.T, r record.Record) {
	t.Helper()
	switch {
	case r.Verdict == record.Accepted && r.Code != "", r.Verdict != record.Accepted && (r.Code == "" || r.Detail == ""):
		t.Errorf("%s with code %q", r.Verdict, r.Code)
	case r.Verdict == record.Accepted:
		if code, _ := record.Check(&r.Sample); code != "" || r.Sample.UUID == (health.UUID{}) || r.Sample.Zone == "" {
			t.Errorf("accepted: %s %+v", code, r.Sample)
		}
		for _, text := range []string{r.Sample.Raw, r.Sample.Metadata} {
			if text != "" && !json.Valid([]byte(text)) {
				t.Errorf("not JSON: %s", text)
			}
		}
	}
}

func FuzzXML(f *testing.F) {
	f.Add([]byte(document(`<Record type="HKQuantityTypeIdentifierHeartRate" ` + watch + ` unit="count/min" ` + times + ` value="61"><MetadataEntry key="HKTimeZone" value="Europe/Berlin"/></Record>`)))
	f.Add([]byte(document(`<Workout ` + times + `><WorkoutRoute><Location a="&#65;"/></WorkoutRoute><WorkoutEvent/></Workout>`)))
	f.Add([]byte(`<HealthData><Correlation type="a" ` + times + `><Record type="b" value="c" ` + times + `/></Correlation><ActivitySummary dateComponents="2026-11-20"/></HealthData>`))
	f.Add([]byte(`<!DOCTYPE HealthData [<!ENTITY a "b">]><HealthData a="&a;"/>`))
	f.Add([]byte("\xef\xbb\xbf<?xml version='1.0'?><!-- --><HealthData><![CDATA[]]><a b='c'/></HealthData>"))
	f.Fuzz(func(t *testing.T, file []byte) {
		for r, err := range XML(bytes.NewReader(file), record.Options{}) {
			if err != nil {
				break
			}
			checkFuzzed(t, r)
		}
		// However the bytes arrive, the verdicts are the same.
		whole, wholeErr := read(string(file), record.Options{})
		n := 0
		for r, err := range XML(&dribble{strings.NewReader(string(file))}, record.Options{}) {
			if err != nil {
				if wholeErr == nil || wholeErr.Error() != err.Error() {
					t.Fatalf("in small pieces: %v; whole: %v", err, wholeErr)
				}
				break
			}
			if n == len(whole) || whole[n].Verdict != r.Verdict || whole[n].Place != r.Place || whole[n].Sample.UUID != r.Sample.UUID {
				t.Fatalf("record %d differs in small pieces", n)
			}
			n++
		}
		if n != len(whole) {
			t.Fatalf("%d records in small pieces, %d whole", n, len(whole))
		}
	})
}

// A dribble gives three bytes at a time.
type dribble struct{ r *strings.Reader }

func (d *dribble) Read(p []byte) (int, error) { return d.r.Read(p[:min(3, len(p))]) }

func FuzzZip(f *testing.F) {
	var t testing.T
	f.Add(archive(&t, [2]string{"export.xml", document(`<Record type="a" value="1" ` + times + `/>`)}))
	f.Add(archive(&t, [2]string{"apple_health_export/export.xml", "<HealthData/>"}, [2]string{"x.gpx", "x"}))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, file []byte) {
		for r, err := range Zip(bytes.NewReader(file), int64(len(file)), record.Options{}) {
			if err != nil {
				break
			}
			checkFuzzed(t, r)
		}
	})
}
