package upload_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/reject"
	"github.com/clarity-loop/clarity/services/health/series"
	"github.com/clarity-loop/clarity/services/health/upload"
)

const (
	routeHead = `{"uuid":"6a1b3c5d-7e9f-4a0b-8c1d-2e3f4a5b6c7d","type":"HKWorkoutRouteTypeIdentifier","start":"2026-03-31T10:00:00Z","end":"2026-03-31T10:30:00Z"`
	beatsHead = `{"uuid":"6a1b3c5d-7e9f-4a0b-8c1d-2e3f4a5b6c7e","type":"HKDataTypeIdentifierHeartbeatSeries","start":"2026-03-31T10:00:00Z","end":"2026-03-31T10:01:00Z"`
	ecgHead   = `{"uuid":"6a1b3c5d-7e9f-4a0b-8c1d-2e3f4a5b6c7f","type":"HKDataTypeIdentifierElectrocardiogram","start":"2026-03-31T10:00:00Z","end":"2026-03-31T10:00:30Z"`
	located   = `{"time":"2026-03-31T10:00:01.250Z","latitude":52.5,"longitude":13.4}`
)

// seriesBody is an upload of series.
func seriesBody(entries ...string) []byte {
	return []byte(`{"series":[` + strings.Join(entries, ",") + `],"schema":"clarity.series/1","installationId":"i","timeZone":"Europe/Berlin"}`)
}

func electrocardiogram(more string) string {
	return ecgHead + `,"electrocardiogram":{"classification":"sinusRhythm","averageHeartRate":61.5,"samplingFrequency":512,"unit":"uV","symptomsStatus":"none",` +
		`"leads":[{"lead":"appleWatchSimilarToLeadI","voltages":[-31.25,0,null,12.0078125` + more + `]}]}}`
}

// What a phone reads off HealthKit is taken, and kept as it was sent but for white
// space; its day knows how many points there are and their digest.
func TestASeriesIsKeptAsItWasSent(t *testing.T) {
	const parent = "0B9D1C8E-6A3F-4F0E-8C2D-1E2F3A4B5C6D"
	tests := map[string]struct {
		sent   string
		points int
		parent string
		warn   reject.Warning
	}{
		"a route": {routeHead + `,"parent":"` + parent + `","source":{"name":"Watch"}, "locations":[` + located +
			`,{"time":"2026-03-31T10:00:02Z","latitude":-90,"longitude":180,"altitude":34.5,"horizontalAccuracy":-1,"verticalAccuracy":3,"speed":-1,"speedAccuracy":0.1,"course":359.9,"courseAccuracy":1e1}]}`,
			2, strings.ToLower(parent), ""},
		"a route without a point":           {routeHead + `,"locations":[]}`, 0, "", ""},
		"points that are not in turn":       {routeHead + `,"locations":[{"time":"2026-03-31T10:00:09Z","latitude":1,"longitude":1},` + located + `]}`, 2, "", ""},
		"beats":                             {beatsHead + `,"beats":[{"time":0,"precededByGap":false},{"time":0.8046875,"precededByGap":true}]}`, 2, "", ""},
		"an electrocardiogram":              {electrocardiogram(""), 4, "", ""},
		"a classification that may come":    {strings.Replace(electrocardiogram(""), "sinusRhythm", "sinusTachycardia", 1), 4, "", reject.UnknownValue},
		"a member of a point that may come": {routeHead + `,"locations":[{"floor":2,"time":"2026-03-31T10:00:01Z","latitude":52.5,"longitude":13.4}]}`, 1, "", reject.UnknownMember},
		"a type that may come":              {strings.Replace(beatsHead, "HeartbeatSeries", "GaitSeries", 1) + `,"steps":[{"a":1}]}`, 0, "", reject.UnknownMember},
		"words with escapes":                {strings.Replace(electrocardiogram(""), `"unit":"uV"`, `"\u0075nit":"\u0075V"`, 1), 4, "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []health.Sample
			e, err := upload.Decode(seriesBody(tt.sent), now, func(s *health.Sample) { got = append(got, *s) })
			if err != nil || e.Accepted != 1 || len(got) != 1 {
				t.Fatalf("%d of %d accepted, %+v; %v", e.Accepted, e.Received, e.Rejected, err)
			}
			compact := strings.ReplaceAll(tt.sent, " ", "")
			sum := sha256.Sum256([]byte(compact))
			want := series.Summary{Parent: tt.parent, Points: tt.points, Digest: hex.EncodeToString(sum[:])}
			summary, ok := series.Of(&got[0])
			if diff := cmp.Diff(want, summary); !ok || diff != "" {
				t.Errorf("summary (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(compact, string(e.Series[want.Digest])); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			if got[0].Start.Time().Hour() != 10 || got[0].Zone != "Europe/Berlin" || !strings.HasPrefix(got[0].UUID.String(), "6a1b3c5d") {
				t.Errorf("sample %+v", got[0])
			}
			if len(e.Warnings) != btoi(tt.warn != "") || len(e.Warnings) > 0 && e.Warnings[0].Code != tt.warn {
				t.Errorf("warnings %+v", e.Warnings)
			}
			if judged, err := upload.Decode(seriesBody(tt.sent), now, nil); err != nil || judged.Accepted != 1 || len(judged.Series) != 0 {
				t.Errorf("judged alone: %+v, %v", judged, err)
			}
		})
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// What can never be right is told, with its place, before the ack; the series
// beside it is taken.
func TestABadPointIsToldWithItsPlace(t *testing.T) {
	at := func(point string) string { return routeHead + `,"locations":[` + located + `,` + point + `]}` }
	beats := func(points string) string { return beatsHead + `,"beats":[` + points + `]}` }
	ecg := func(from, to string) string { return strings.Replace(electrocardiogram(""), from, to, 1) }
	tests := map[string]struct {
		sent, code, where string
	}{
		"no points":                    {routeHead + `}`, "missing_field", "locations"},
		"no list":                      {routeHead + `,"locations":{}}`, "wrong_type", "locations"},
		"locations twice":              {routeHead + `,"locations":[],"locations":[]}`, "duplicate_key", ""},
		"a point that is none":         {at(`7`), "wrong_type", "locations/1"},
		"a member twice":               {at(`{"time":"2026-03-31T10:00:01Z","latitude":1,"latitude":1,"longitude":1}`), "duplicate_key", "locations/1"},
		"an unknown member twice":      {at(`{"a":1,"a":1,"time":"2026-03-31T10:00:01Z","latitude":1,"longitude":1}`), "duplicate_key", "locations/1"},
		"no latitude":                  {at(`{"time":"2026-03-31T10:00:01Z","longitude":1}`), "missing_field", "locations/1/latitude"},
		"no time":                      {at(`{"latitude":1,"longitude":1}`), "missing_field", "locations/1/time"},
		"a latitude in words":          {at(`{"time":"2026-03-31T10:00:01Z","latitude":"1","longitude":1}`), "wrong_type", "locations/1/latitude"},
		"a latitude of nowhere":        {at(`{"time":"2026-03-31T10:00:01Z","latitude":90.01,"longitude":1}`), "out_of_range", "locations/1/latitude"},
		"faster than anybody":          {at(`{"time":"2026-03-31T10:00:01Z","latitude":1,"longitude":1,"speed":2000}`), "out_of_range", "locations/1/speed"},
		"beyond float64":               {at(`{"time":"2026-03-31T10:00:01Z","latitude":1,"longitude":1,"altitude":1e999}`), "invalid_number", "locations/1/altitude"},
		"a time that is none":          {at(`{"time":"10:00","latitude":1,"longitude":1}`), "invalid_time", "locations/1"},
		"a time before its route":      {at(`{"time":"2026-03-31T09:00:01Z","latitude":1,"longitude":1}`), "out_of_range", "locations/1/time"},
		"a time behind its route":      {at(`{"time":"2026-03-31T11:00:01Z","latitude":1,"longitude":1}`), "out_of_range", "locations/1/time"},
		"a parent that is none":        {routeHead + `,"parent":"x","locations":[]}`, "invalid_uuid", "parent"},
		"a parent twice":               {routeHead + `,"parent":"0b9d1c8e-6a3f-4f0e-8c2d-1e2f3a4b5c6d","parent":"x","locations":[]}`, "duplicate_key", ""},
		"no gap said":                  {beats(`{"time":0}`), "missing_field", "beats/0/precededByGap"},
		"a gap in numbers":             {beats(`{"time":0,"precededByGap":1}`), "wrong_type", "beats/0/precededByGap"},
		"a beat before the one before": {beats(`{"time":1,"precededByGap":false},{"time":1,"precededByGap":false}`), "out_of_range", "beats/1/time"},
		"a beat before all":            {beats(`{"time":-1,"precededByGap":false}`), "out_of_range", "beats/0/time"},
		"a beat in milliseconds":       {beats(`{"time":800,"precededByGap":false}`), "out_of_range", "beats"},
		"no classification":            {ecg(`"classification":"sinusRhythm",`, ``), "missing_field", "electrocardiogram/classification"},
		"another unit":                 {ecg(`"uV"`, `"kV"`), "unknown_unit", "electrocardiogram/unit"},
		"a voltage in another unit":    {ecg(`"uV"`, `"V"`), "out_of_range", "electrocardiogram/leads/0/voltages/0"},
		"a voltage in words":           {ecg(`-31.25`, `"x"`), "wrong_type", "electrocardiogram/leads/0/voltages/0"},
		"a heart that stands still":    {ecg(`61.5`, `0`), "out_of_range", "electrocardiogram/averageHeartRate"},
		"no lead":                      {ecghead(`[]`), "missing_field", "electrocardiogram/leads"},
		"a lead without a name":        {ecghead(`[{"voltages":[]}]`), "missing_field", "electrocardiogram/leads/0/lead"},
		"longer than its time":         {electrocardiogram(strings.Repeat(",1", 50_000)), "out_of_range", "samplingFrequency"},
		"too many points":              {electrocardiogram(strings.Repeat(",1", series.MaxPoints)), "too_many_points", "200000"},
		"an end before its start":      {strings.Replace(routeHead, "T10:30", "T09:30", 1) + `,"locations":[]}`, "end_before_start", "end"},
		"a start that is to come":      {strings.ReplaceAll(routeHead, "2026-03", "2026-12") + `,"locations":[]}`, "future_time", "start"},
		"a week long":                  {strings.Replace(routeHead, "03-31T10:00", "03-20T10:00", 1) + `,"locations":[]}`, "too_long", "four days"},
		"a type of samples":            {strings.Replace(routeHead, "HKWorkoutRouteTypeIdentifier", "HKQuantityTypeIdentifierHeartRate", 1) + `,"locations":[]}`, "invalid_value", "type"},
		"no uuid":                      {`{"type":"HKWorkoutRouteTypeIdentifier","start":"2026-03-31T10:00:00Z","end":"2026-03-31T10:30:00Z","locations":[]}`, "missing_field", "uuid"},
		"something else":               {`7`, "wrong_type", "object"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e, err := upload.Decode(seriesBody(tt.sent, electrocardiogram("")), now, func(*health.Sample) {})
			if err != nil || e.Received != 2 || e.Accepted != 1 || len(e.Rejected) != 1 {
				t.Fatalf("%+v, %v", e, err)
			}
			r := e.Rejected[0]
			if string(r.Code) != tt.code || !strings.Contains(r.Detail, tt.where) || r.In != "series" || r.Index != 0 {
				t.Errorf("rejected %+v, want %s at %s", r, tt.code, tt.where)
			}
		})
	}
}

func ecghead(leads string) string {
	return ecgHead + `,"electrocardiogram":{"classification":"notSet","samplingFrequency":512,"unit":"uV","leads":` + leads + `}}`
}

// A body is of samples or of series, whichever member its schema comes behind.
func TestSeriesAreAnUploadOfTheirOwn(t *testing.T) {
	samplesOf := func(schema, list string) string {
		return fmt.Sprintf(`{"%s":[],"schema":"%s","installationId":"i","timeZone":"Europe/Berlin"}`, list, schema)
	}
	for body, want := range map[string]upload.ErrorCode{
		samplesOf("clarity.upload/1", "samples"):  "",
		samplesOf("clarity.series/1", "series"):   "",
		samplesOf("clarity.series/1", "deleted"):  "",
		samplesOf("clarity.upload/1", "series"):   upload.BadEnvelope,
		samplesOf("clarity.series/1", "samples"):  upload.BadEnvelope,
		samplesOf("clarity.series/2", "series"):   upload.BadSchema,
		string(seriesBody(routeHead + `,"locat`)): upload.Malformed,
	} {
		var e *upload.Error
		_, err := upload.Decode([]byte(body), now, nil)
		if errors.As(err, &e); (err != nil) != (want != "") || e != nil && e.Code != want {
			t.Errorf("%.60s: %v, want %q", body, err, want)
		}
	}
	long := `{"schema":"clarity.upload/1","installationId":"i","timeZone":"Europe/Berlin","samples":[` + electrocardiogram(strings.Repeat(",123.25", 15_360)) + `]}`
	e, err := upload.Decode([]byte(long), now, nil)
	if err != nil || len(e.Rejected) != 1 || !strings.Contains(e.Rejected[0].Detail, "clarity.series/1") {
		t.Errorf("an electrocardiogram among the samples: %+v, %v", e, err)
	}
}

// A phone cannot send what a day would take for the Summary of a series.
func TestNoSampleIsTakenForASeries(t *testing.T) {
	summary := series.Summary{Points: 1, Digest: strings.Repeat("0", 64)}.Raw()
	if _, ok := series.Of(&health.Sample{Raw: summary}); !ok {
		t.Fatalf("%s is no summary", summary)
	}
	for _, raw := range []string{
		summary[:len(summary)-1] + `,"uuid":"6a1b3c5d-7e9f-4a0b-8c1d-2e3f4a5b6c7d"}`,
		strings.Replace(summary, `"points"`, `"uuid":"x","points"`, 1),
		strings.Replace(summary, `"points":1`, `"points":1e0`, 1),
		summary + " ", `{"series":`, `{"series":}`, "",
	} {
		if got, ok := series.Of(&health.Sample{Raw: raw}); ok {
			t.Errorf("%s is %+v", raw, got)
		}
	}
}

// What is kept of a heartbeat series gives its RR intervals, to the digit, and where
// none can be told.
func TestBeatsKeepTheirIntervals(t *testing.T) {
	sent := beatsHead + `,"beats":[{"time":0.00390625,"precededByGap":true},{"time":0.80859375,"precededByGap":false},{"time":1.642578125,"precededByGap":false}]}`
	e, err := upload.Decode(seriesBody(sent), now, func(*health.Sample) {})
	if err != nil || len(e.Series) != 1 {
		t.Fatalf("%+v, %v", e, err)
	}
	for _, content := range e.Series {
		var kept struct {
			Beats []struct {
				Time          float64
				PrecededByGap bool
			}
		}
		if err := json.Unmarshal(content, &kept); err != nil || len(kept.Beats) != 3 {
			t.Fatalf("%v: %s", err, content)
		}
		b := kept.Beats
		if !b[0].PrecededByGap || b[1].Time-b[0].Time != 0.8046875 || b[2].Time-b[1].Time != 0.833984375 {
			t.Errorf("intervals of %+v", b)
		}
	}
}
