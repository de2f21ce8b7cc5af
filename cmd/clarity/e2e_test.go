package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clarity-loop/clarity/cmd/internal/history"
	"github.com/clarity-loop/clarity/cmd/internal/phone"
	"github.com/clarity-loop/clarity/cmd/internal/phone/phonetest"
	"github.com/clarity-loop/clarity/internal/logtest"
	"github.com/clarity-loop/clarity/services/analysis"
)

const appleExport = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE HealthData [<!ELEMENT HealthData ANY>]>
<HealthData locale="en_DE">
 <ExportDate value="2026-02-05 10:00:00 +0100"/>
 <Me HKCharacteristicTypeIdentifierBloodType="HKBloodTypeNotSet"/>
 <Record type="HKQuantityTypeIdentifierHeartRate" sourceName="Watch" unit="count/min" startDate="2026-02-01 10:00:00 +0100" endDate="2026-02-01 10:00:00 +0100" value="61"/>
 <Record type="HKQuantityTypeIdentifierHeartRate" sourceName="Watch" unit="count/min" startDate="2026-02-01 10:05:00 +0100" endDate="2026-02-01 10:04:00 +0100" value="62"/>
 <Record type="HKQuantityTypeIdentifierStepCount" sourceName="Phone" unit="count" startDate="2026-02-01 11:00:00 +0100" endDate="2026-02-01 11:05:00 +0100" value="400"/>
</HealthData>
`

func envelopeJSON(t *testing.T) string {
	t.Helper()
	samples, deleted := phonetest.Load(1).Content(4)
	body, err := json.Marshal(map[string]any{"schema": "clarity.upload/1", "installationId": "x", "timeZone": "UTC", "samples": samples, "deleted": deleted, "stage": "daily"})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func gzipped(t *testing.T, s string) string {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	if _, err := zw.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.String()
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// uploadReport runs `upload --json --verdicts` and checks that every record has
// exactly one verdict.
func uploadReport(t *testing.T, dir, user, file string, flags ...string) fileReport {
	t.Helper()
	out := must(t, append([]string{"upload", "--data", dir, "--user", user, "--json", "--verdicts", file}, flags...)...)
	var r fileReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%s: %v\n%s", file, err, out)
	}
	counted := r.Accepted
	for _, n := range r.Rejected {
		counted += n
	}
	for _, n := range r.Skipped {
		counted += n
	}
	if counted != r.Records || len(r.Verdicts) != r.Records {
		t.Errorf("%s: %d records, %d counted, %d verdicts", file, r.Records, counted, len(r.Verdicts))
	}
	return r
}

func TestUploadOfEveryFormat(t *testing.T) {
	dir := t.TempDir()
	startPlatform(t, dir)
	fhir := `{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"effectiveDateTime":"2026-02-01T10:00:00+01:00","valueQuantity":{"value":61,"unit":"beats/minute","system":"http://unitsofmeasure.org","code":"/min"}}`
	hae := `{"data":{"metrics":[{"name":"heart_rate","units":"count/min","data":[{"date":"2026-02-01 10:00:00 +0100","Min":60,"Avg":61,"Max":62,"source":"Watch"}]}]}}`
	tests := map[string]struct {
		name, content               string
		records, accepted, rejected int
	}{
		"Apple's export.xml":        {"export.xml", appleExport, 3, 2, 1},
		"the same gzipped":          {"export.xml.gz", gzipped(t, appleExport), 3, 2, 1},
		"a FHIR Observation":        {"observation.json", fhir, 1, 1, 0},
		"Health Auto Export":        {"hae.json", hae, 1, 1, 0},
		"an upload as a phone does": {"upload.json", envelopeJSON(t), 42, 42, 0},
		"that gzipped":              {"upload.json.gz", gzipped(t, envelopeJSON(t)), 42, 42, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			file := write(t, tt.name, tt.content)
			user := strings.Map(func(r rune) rune {
				if r >= 'a' && r <= 'z' {
					return r
				}
				return -1
			}, name)
			r := uploadReport(t, dir, user, file, "--wait")
			rejected := 0
			for _, n := range r.Rejected {
				rejected += n
			}
			if r.Records < tt.records || r.Accepted != tt.accepted || rejected != tt.rejected || len(r.Uploads) != 1 {
				t.Errorf("%+v; want %d records or more, %d accepted, %d rejected, 1 upload", r, tt.records, tt.accepted, tt.rejected)
			}
			again := uploadReport(t, dir, user, file, "--wait")
			if again.Uploads[0] != r.Uploads[0] || again.Accepted != r.Accepted {
				t.Errorf("the second time: %+v", again)
			}
		})
	}
}

// Every file of the reference is taken, each record with a verdict.
func TestUploadOfTheReferenceFiles(t *testing.T) {
	root := reference(t, "health")
	dir := t.TempDir()
	startPlatform(t, dir)
	files := 0
	for _, folder := range []string{"apple-export", "health-auto-export", "fhir"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			switch filepath.Ext(path) {
			case ".xml", ".zip", ".json":
			default:
				return nil // licences, routes and a description
			}
			files++
			r := uploadReport(t, dir, "reference", path)
			t.Logf("%s: %d records, %d accepted, rejected %v, skipped %v", filepath.Base(path), r.Records, r.Accepted, r.Rejected, r.Skipped)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 20 {
		t.Errorf("only %d files", files)
	}
	must(t, "audit", "verify", "--data", dir)
}

// The four weeks of the history, played by the phone's code into a real
// platform: the last week's result is the truth.
func TestTheHistorysTruthComesOut(t *testing.T) {
	if testing.Short() {
		t.Skip("four weeks of uploads take their time")
	}
	dir := t.TempDir()
	p := startPlatform(t, dir, "--unlimited")
	token := strings.TrimSpace(must(t, "token", "--data", dir, "--user", "truth"))
	c := phone.New(p.url, token, time.Minute, nil)
	defer c.Close()
	if err := grantConsent(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	h, err := history.Generate(history.Default())
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, u := range h.Uploads {
		packed, err := phone.Pack(u.Body, u.Samples, u.Deleted)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Put(t.Context(), packed)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Rejected) != u.Rejected || r.Received != u.Samples+u.Deleted {
			t.Errorf("upload of %s: received %d, rejected %v", u.SentOn, r.Received, r.Rejected)
		}
		ids = append(ids, packed.ID)
	}
	u := &uploader{client: c}
	if _, err := u.waitUntilAnalysed(t.Context(), ids, nil); err != nil {
		t.Fatal(err)
	}
	var week struct{ Result analysis.Result }
	if err := c.Get(t.Context(), "/v1/weeks/"+history.Default().End.String(), &week); err != nil {
		t.Fatal(err)
	}
	compareNights(t, h, week.Result)
	for _, d := range week.Result.Days {
		truth := h.Days[len(h.Days)-1-int(week.Result.Window.End-d.Day)]
		if d.Steps == nil || math.Abs(*d.Steps-truth.Steps) > 0.01*truth.Steps {
			t.Errorf("%s: %v steps, the person walked %v", d.Day, deref(d.Steps), truth.Steps)
		}
	}
}

func compareNights(t *testing.T, h *history.History, r analysis.Result) {
	t.Helper()
	if len(r.Nights) != 7 {
		t.Fatalf("%d nights, want 7", len(r.Nights))
	}
	for _, n := range r.Nights {
		truth := h.Nights[len(h.Nights)-1-int(r.Window.End-n.Day)]
		onset, err := time.Parse(time.RFC3339, n.Onset)
		if err != nil {
			t.Fatal(err)
		}
		offset, err := time.Parse(time.RFC3339, n.Offset)
		if err != nil {
			t.Fatal(err)
		}
		if !onset.Equal(truth.Onset) || !offset.Equal(truth.Wake) {
			t.Errorf("night to %s: %s to %s, the person slept %s to %s", n.Day, n.Onset, n.Offset, truth.Onset, truth.Wake)
		}
		for what, pair := range map[string][2]float64{
			"asleep":     {n.TotalSleepMin, truth.Asleep.Minutes()},
			"awake":      {n.WakeAfterOnsetMin, truth.AwakeAfter.Minutes()},
			"in bed":     {n.TimeInBedMin, truth.Up.Sub(truth.Bed).Minutes()},
			"awakenings": {float64(n.Awakenings), float64(truth.Awakenings)},
		} {
			if math.Abs(pair[0]-pair[1]) > 0.01 {
				t.Errorf("night to %s, %s: %v, the truth is %v", n.Day, what, pair[0], pair[1])
			}
		}
	}
}

// A file analysed offline gives what the platform gives, byte for byte.
func TestAnalyzeAgreesWithThePlatform(t *testing.T) {
	dir := t.TempDir()
	p := startPlatform(t, dir)
	h, err := history.Generate(history.Default())
	if err != nil {
		t.Fatal(err)
	}
	daily := h.Uploads[len(h.Uploads)-2]
	file := write(t, "day.json", string(daily.Body))
	uploadReport(t, dir, "me", file, "--wait")
	c := phone.New(p.url, strings.TrimSpace(must(t, "token", "--data", dir, "--user", "me")), time.Minute, nil)
	defer c.Close()
	end := daily.SentOn.String()
	var week struct{ Result json.RawMessage }
	if err := c.Get(t.Context(), "/v1/weeks/"+end, &week); err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(must(t, "analyze", file, "--end", end, "--json"))); err != nil {
		t.Fatal(err)
	}
	if compact.String() != string(week.Result) {
		t.Errorf("offline:\n%s\nplatform:\n%s", compact.String(), week.Result)
	}
	svg := filepath.Join(t.TempDir(), "actogram.svg")
	must(t, "analyze", file, "--svg", svg)
	if data, err := os.ReadFile(svg); err != nil || !bytes.Contains(data, []byte("a proxy for counts")) {
		t.Errorf("the actogram does not say what it shows: %v", err)
	}
}

func TestUploadNeedsConsent(t *testing.T) {
	dir := t.TempDir()
	startPlatform(t, dir)
	file := write(t, "export.xml", appleExport)
	_, stderr, code := clarity(t, "upload", "--data", dir, "--consent=false", file)
	if code != 1 || !strings.Contains(stderr, "has not agreed") {
		t.Errorf("--consent=false: exit %d, %s", code, stderr)
	}
	own := strings.TrimSpace(must(t, "token", "--data", dir, "--user", "me"))
	if _, stderr, code = clarity(t, "upload", "--data", dir, "--token", own, "--consent", file); code != 1 || !strings.Contains(stderr, "where the token is made here") {
		t.Errorf("by a token: exit %d, %s", code, stderr)
	}
	_, stderr, code = clarity(t, "upload", "--data", dir, file)
	if code != 0 || !strings.Contains(stderr, "Agreeing to the processing") {
		t.Errorf("a new person: exit %d, %s", code, stderr)
	}
}

// Where there is no token for another's platform, no issuer is made whose tokens it would not know.
func TestNoIssuerIsMadeForAnothersPlatform(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mine")
	_, stderr, code := clarity(t, "upload", "--data", dir, "--server", "http://127.0.0.1:1", write(t, "export.xml", appleExport))
	if _, err := os.Stat(dir); code != 1 || !strings.Contains(stderr, "there is no token for http://127.0.0.1:1") || !os.IsNotExist(err) {
		t.Errorf("exit %d, %s; the directory: %v", code, stderr, err)
	}
}

// What a person uploads does not show in the log, wherever it is put.
func TestTheLogSaysNothingPersonal(t *testing.T) {
	dir := t.TempDir()
	p := startPlatform(t, dir, "--log", "json", "--log-level", "debug")
	user := "canary-person"
	canaries := []string{user, "4711.25", "CanaryWatch", "canary-note", "9e107d9d-372b-4826-9d4e-2f1b7c6a0e11", "canary-install", "canary-anchor"}
	sample := func(value, extra string) string {
		return fmt.Sprintf(`{"uuid":"9e107d9d-372b-4826-9d4e-2f1b7c6a0e11","type":"HKQuantityTypeIdentifierStepCount","start":"2026-02-01T10:00:00Z","end":"2026-02-01T10:10:00Z","value":%s,"unit":"count","source":{"name":"CanaryWatch"},"metadata":{"note":"canary-note"}%s}`, value, extra)
	}
	bodies := []string{
		`{"schema":"clarity.upload/1","installationId":"canary-install","timeZone":"UTC","cursor":{"HKQuantityTypeIdentifierStepCount":"canary-anchor"},"samples":[` + sample("4711.25", "") + `]}`,
		`{"schema":"clarity.upload/1","installationId":"canary-install","timeZone":"UTC","samples":[` + sample("4711.25", `,"x":"canary-note"`) + `]}`,
		`{"schema":"clarity.upload/1","installationId":"canary-install","timeZone":"UTC","samples":[` + sample("4711.25", ""), // cut
	}
	for i, body := range bodies {
		_, stderr, code := clarity(t, "upload", "--data", dir, "--user", user, "--wait", write(t, fmt.Sprintf("%d.json", i), body))
		if want := map[bool]int{true: 0, false: 1}[i < 2]; code != want {
			t.Errorf("body %d: exit %d, %s", i, code, stderr)
		}
	}
	token := strings.TrimSpace(must(t, "token", "--data", dir, "--user", user))
	c := phone.New(p.url, token, time.Second, nil)
	defer c.Close()
	for _, path := range []string{"/v1/weeks/2026-02-01", "/v1/days/2026-02-01", "/v1/uploads/canary-note", "/v1/nothing?canary-note", "/v1/exports"} {
		var p *phone.RefusalError
		if err := c.Get(t.Context(), path, nil); err != nil && !errors.As(err, &p) {
			t.Error(err)
		}
	}
	p.stop(t, syscall.SIGTERM)
	canaries = append(canaries, token, token[strings.LastIndex(token, ".")+1:])
	log := p.log.String()
	if !strings.Contains(log, "analysed") || !strings.Contains(log, `"route":"/v1/uploads/{uploadId}"`) {
		t.Fatalf("the log is not what it should be:\n%s", log)
	}
	for _, secret := range canaries {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("the demo takes ten seconds")
	}
	out := demoOutput(t) // which ends by itself
	for _, want := range []string{"Platform   http://127.0.0.1:", "Backfill   three weeks", "2025-11-09", "1 rejected (end_before_start)", "2 deleted", "40 sent twice",
		"total_sleep_time_minutes", "Insight (by template", "Result     p50", "entries, each verified"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// demoOutput is what the built demo prints, as who comes new to it sees it.
func demoOutput(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary(t), append([]string{"demo"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("demo %v: %v\n%s%s", args, err, out.String(), errs.String())
	}
	return out.String()
}

// A demo that is told to stop leaves what is left of it, and its data is gone.
func TestTheDemoStopsAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a demo first")
	}
	cmd, out, ended := exec.CommandContext(t.Context(), binary(t), "demo"), &logtest.Log{}, make(chan error, 1)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- cmd.Wait() }()
	for !strings.Contains(out.String(), "Backfill") {
		select {
		case err := <-ended:
			t.Fatalf("it ended before it began: %v\n%s", err, out)
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; cmd.ProcessState.ExitCode() != 1 || !strings.Contains(out.String(), "clarity: interrupted") {
		t.Errorf("ended with %v\n%s", err, out)
	}
	if strings.Contains(out.String(), "entries, each verified") {
		t.Errorf("it went on to its end:\n%s", out)
	}
	_, dir, _ := strings.Cut(out.String(), "data in ")
	dir, _, _ = strings.Cut(dir, "\n")
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the demo's data is still in %s: %v", dir, err)
	}
}
