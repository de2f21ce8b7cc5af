package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/cmd/internal/history"
	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/services/actigraphy"
	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
)

// peculiar is an upload of what is kept as it was sent, and of deletions.
const peculiar = `{"schema":"clarity.upload/1","installationId":"i","timeZone":"Asia/Tokyo","samples":[
{"uuid":"00000000-0000-4000-8000-000000000001","type":"HKWorkoutTypeIdentifier","start":"2026-02-01T10:00:00.123+01:00","end":"2026-02-01T11:00:00+01:00","zeta":[1e3, 2.50],"alpha":{"b":1,"a":"<&>"},"source":{"bundleId":"b","name":"Ünï"},"metadata":{"z":1,"a":true}},
{"uuid":"00000000-0000-4000-8000-000000000002","type":"HKCategoryTypeIdentifierSleepAnalysis","start":"2026-02-01T10:00:00Z","end":"2026-02-01T11:00:00Z","value":7,"source":{"productType":"Watch7,5","osVersion":"12.1"}},
{"uuid":"00000000-0000-4000-8000-000000000003","type":"HKQuantityTypeIdentifierHeartRate","start":"2026-02-01T10:00:00Z","end":"2026-02-01T10:00:00Z","value":61,"unit":"count/min","novelty":{"q":1.0}},
{"uuid":"00000000-0000-4000-8000-000000000004","type":"HKQuantityTypeIdentifierHeartRate","start":"2026-02-01T22:30:00Z","end":"2026-02-01T22:30:00Z","value":62,"unit":"count/s","metadata":{"HKTimeZone":"GMT+0100","HKWasUserEntered":1,"x":"<b>\u2028"}},
{"uuid":"00000000-0000-4000-8000-000000000005","type":"HKQuantityTypeIdentifierHeartRate","start":"2026-02-01T22:30:00Z","end":"2026-02-01T22:30:00Z","value":63,"unit":"count/min","metadata":{"HKTimeZone":"Mars/Olympus","k":0}},
{"uuid":"00000000-0000-4000-8000-000000000006","type":"HKQuantityTypeIdentifierOxygenSaturation","start":"2026-02-01T23:30:00Z","end":"2026-02-01T23:30:00Z","value":0.97,"unit":"%"},
{"uuid":"00000000-0000-4000-8000-000000000007","type":"HKQuantityTypeIdentifierStepCount","start":"2026-02-01T08:00:00Z","end":"2026-02-01T08:10:00Z","value":100,"unit":"count"},
{"uuid":"00000000-0000-4000-8000-000000000007","type":"HKQuantityTypeIdentifierStepCount","start":"2026-02-01T08:00:00Z","end":"2026-02-01T08:10:00Z","value":100,"unit":"count","source":{"osVersion":"12.2"}}],
"deleted":[{"uuid":"00000000-0000-4000-8000-000000000006","type":"HKQuantityTypeIdentifierOxygenSaturation"},{"uuid":"00000000-0000-4000-8000-0000000000ff","type":"HKX"}]}`

// pointed is an upload of series: a route of the workout above, one with a zone of its
// own, and what a later version of the watch may measure.
const pointed = `{"schema":"clarity.series/1","installationId":"i","timeZone":"Asia/Tokyo","series":[
{"uuid":"00000000-0000-4000-8000-0000000000a1","type":"HKWorkoutRouteTypeIdentifier","start":"2026-02-01T10:00:00+01:00","end":"2026-02-01T11:00:00+01:00","parent":"00000000-0000-4000-8000-000000000001","locations":[{"time":"2026-02-01T10:00:00.5+01:00","latitude":52.50,"longitude":13.4,"speed":-1}]},
{"uuid":"00000000-0000-4000-8000-0000000000a2","type":"HKDataTypeIdentifierHeartbeatSeries","start":"2026-02-01T23:30:00Z","end":"2026-02-01T23:31:00Z","metadata":{"HKTimeZone":"America/New_York"},"beats":[{"time":0.123456,"precededByGap":false},{"time":1.10,"precededByGap":true}]},
{"uuid":"00000000-0000-4000-8000-0000000000a3","type":"HKFutureSeries","start":"2026-02-01T23:30:00Z","end":"2026-02-01T23:31:00Z","novelty":["<&>",1e3]}]}`

// exportOf asks for an export, waits for it and downloads it.
func exportOf(t *testing.T, url, token string) string {
	t.Helper()
	c := phone.New(url, token, time.Minute, nil)
	defer c.Close()
	var e struct{ ExportID, State, Reason, Download string }
	if err := c.Send(t.Context(), http.MethodPost, "/v1/exports", nil, &e); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(time.Minute); e.State == "pending"; time.Sleep(50 * time.Millisecond) {
		if err := c.Get(t.Context(), "/v1/exports/"+e.ExportID, &e); err != nil || time.Now().After(limit) {
			t.Fatalf("%+v, %v", e, err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+e.Download, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || e.State != "ready" {
		t.Fatalf("%+v: %d, %v", e, res.StatusCode, err)
	}
	return string(body)
}

// linesOf are an export's of some kinds, without what tells of when it was written.
func linesOf(t *testing.T, export string, kinds ...string) (lines []string) {
	t.Helper()
	for text := range strings.Lines(export) {
		var l struct {
			Kind  string
			Key   string
			Value json.RawMessage
		}
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(kinds, l.Kind) {
			continue
		}
		if l.Kind != "sample" && l.Kind != "series" { // whose bytes are compared
			var members map[string]any
			if err := json.Unmarshal(l.Value, &members); err != nil {
				t.Fatal(err)
			}
			for _, when := range []string{"updated", "updatedAt", "computedAt"} {
				delete(members, when)
			}
			if l.Kind == "result" {
				forgetWhenItWasMade(members["result"].(map[string]any))
			}
			value, err := json.Marshal(members)
			if err != nil {
				t.Fatal(err)
			}
			l.Value = value
		}
		lines = append(lines, fmt.Sprintf("%s %s %s", l.Kind, l.Key, l.Value))
	}
	return lines
}

// forgetWhenItWasMade leaves out of a Result how many samples there were by then, and
// the digests of all of them: what came later and is measured by nothing made no new one.
func forgetWhenItWasMade(result map[string]any) {
	delete(result["input"].(map[string]any), "samples")
	for _, c := range result["lineage"].(map[string]any)["chunks"].([]any) {
		if chunk := c.(map[string]any); chunk["measured"] != nil {
			delete(chunk, "digest")
		}
	}
}

// unanalysed are the last days of the weeks that an export's days are in, and
// whose results are not there or of those days as they were.
func unanalysed(t *testing.T, export string) (ends []string) {
	t.Helper()
	type line struct {
		Kind  string
		Value struct {
			Date, Digest, Measured string
			Result                 struct{ Lineage analysis.Lineage }
		}
	}
	held, weeks, results := map[health.Day]string{}, map[health.Day]bool{}, map[string]analysis.Lineage{}
	for text := range strings.Lines(export) {
		var l line
		if strings.HasPrefix(text, `{"kind":"sample"`) {
			continue
		}
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		switch l.Kind {
		case "day":
			day, err := health.ParseDay(l.Value.Date)
			if err != nil {
				t.Fatal(err)
			}
			held[day] = analysis.ChunkOrigin{Digest: l.Value.Digest, Measured: l.Value.Measured}.Basis()
			for end := day; end < day+actigraphy.WindowDays; end++ {
				weeks[end] = true
			}
		case "result":
			results[l.Value.Date] = l.Value.Result.Lineage
		}
	}
	for end := range weeks {
		lineage, there := results[end.String()]
		if !there || slices.ContainsFunc(lineage.Chunks, func(c analysis.ChunkOrigin) bool { return held[c.Day] != c.Basis() }) {
			ends = append(ends, end.String())
		}
	}
	return ends
}

// An export that is uploaded gives an equal account: the same days, byte for byte,
// the same deletions and profile, the same results.
func TestAnExportGivesAnEqualAccount(t *testing.T) {
	dir := t.TempDir()
	p := startPlatform(t, dir)
	h, err := history.Generate(history.Default())
	if err != nil {
		t.Fatal(err)
	}
	token := func(user string) string { return strings.TrimSpace(must(t, "token", "--data", dir, "--user", user)) }
	files := []string{write(t, "peculiar.json", peculiar), write(t, "pointed.json", pointed)}
	for i, u := range h.Uploads[len(h.Uploads)-6:] {
		files = append(files, write(t, fmt.Sprintf("%02d.json", i), string(u.Body)))
	}
	c := phone.New(p.url, token("anna"), time.Minute, nil)
	defer c.Close()
	if err := grantConsent(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if written, err := c.PutProfile(t.Context(), []byte(`{"birthYear":1980,"sourcePriority":["iPhone","Watch"]}`)); err != nil || !written {
		t.Fatal(written, err)
	}
	must(t, append([]string{"upload", "--data", dir, "--user", "anna", "--wait"}, files...)...)
	settled := func(user string) string {
		for limit := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
			now := exportOf(t, p.url, token(user))
			for _, e := range exportIDs(t, p.url, token(user)) {
				forget(t, p.url, token(user), e)
			}
			if waits := unanalysed(t, now); len(waits) == 0 {
				return now
			} else if time.Now().After(limit) {
				t.Fatalf("%s: the weeks to %v are not those of the days", user, waits)
			}
		}
	}
	first := settled("anna")
	r := uploadReport(t, dir, "ben", write(t, "export.ndjson", first), "--wait")
	if len(r.Rejected) > 0 || !r.Profile || r.Deleted < 2 {
		t.Errorf("%+v", fileReport{Records: r.Records, Rejected: r.Rejected, Profile: r.Profile, Deleted: r.Deleted})
	}
	second := settled("ben")
	for _, kind := range []string{"profile", "day", "sample", "series", "deletion", "result"} {
		want, got := linesOf(t, first, kind), linesOf(t, second, kind)
		if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
			t.Errorf("%d lines of kind %s (-exported +of the account that it was uploaded to):\n%.3000s", len(want), kind, diff)
		}
	}
	again := uploadReport(t, dir, "ben", write(t, "again.ndjson", second), "--wait")
	if !slices.Equal(again.Uploads, r.Uploads[:len(r.Uploads)-1]) || again.Profile { // the last brought the phone's anchors
		t.Errorf("uploaded again: %d uploads, other than the %d before", len(again.Uploads), len(r.Uploads))
	}
}

func exportIDs(t *testing.T, url, token string) (ids []string) {
	t.Helper()
	c := phone.New(url, token, time.Minute, nil)
	defer c.Close()
	var list struct{ Items []struct{ ExportID string } }
	if err := c.Get(t.Context(), "/v1/exports", &list); err != nil {
		t.Fatal(err)
	}
	for _, e := range list.Items {
		ids = append(ids, e.ExportID)
	}
	return ids
}

func forget(t *testing.T, url, token, id string) {
	t.Helper()
	c := phone.New(url, token, time.Minute, nil)
	defer c.Close()
	if err := c.Send(t.Context(), http.MethodDelete, "/v1/exports/"+id, nil, nil); err != nil {
		t.Fatal(err)
	}
}

// A file moves no phone: how far one has come is its own. An export brings that back
// to a person of whose type nothing is known.
func TestAFileLeavesAPhoneWhereItIs(t *testing.T) {
	dir := t.TempDir()
	p := startPlatform(t, dir)
	c := phone.New(p.url, strings.TrimSpace(must(t, "token", "--data", dir, "--user", "anna")), time.Minute, nil)
	defer c.Close()
	const heartRate, steps = "HKQuantityTypeIdentifierHeartRate", "HKQuantityTypeIdentifierStepCount"
	ofPhone := `{"schema":"clarity.upload/1","installationId":"i","timeZone":"UTC","samples":[],"cursor":{"` + heartRate + `":"of-the-phone"}}`
	export := `{"kind":"cursor","key":"` + heartRate + `","value":{"anchor":"older"}}
{"kind":"cursor","key":"` + steps + `","value":{"anchor":"of-the-export"}}
{"kind":"cursor","key":"HKQuantityTypeIdentifierBodyMass","value":{"anchor":"import-1"}}
{"kind":"end","lines":3}
`
	for i, file := range []string{write(t, "phone.json", ofPhone), write(t, "export.ndjson", export), write(t, "export.xml", appleExport)} {
		for _, id := range uploadReport(t, dir, "anna", file).Uploads {
			if s, err := c.Merged(t.Context(), id); err != nil || s.State != "merged" {
				t.Fatalf("file %d: %v %v", i, s.State, err)
			}
		}
	}
	var sync struct {
		Types []struct{ Type, Cursor string }
	}
	if err := c.Get(t.Context(), "/v1/sync", &sync); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range sync.Types {
		if s.Cursor != "" {
			got[s.Type] = s.Cursor
		}
	}
	if diff := cmp.Diff(map[string]string{heartRate: "of-the-phone", steps: "of-the-export"}, got); diff != "" {
		t.Errorf("anchors (-want +got):\n%s", diff)
	}
}
