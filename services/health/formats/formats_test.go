package formats_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/formats"
	"github.com/clarity-loop/clarity/services/health/upload"
)

// testNow is after every sample of the tests.
var testNow = health.InstantOf(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC))

// readAll reads a file that must be readable to its end.
func readAll(t *testing.T, name string, file []byte, o formats.Options) (formats.Format, []formats.Record) {
	t.Helper()
	r, err := formats.Open(bytes.NewReader(file), int64(len(file)), name, o)
	if err != nil {
		t.Fatal(err)
	}
	var records []formats.Record
	for rec, err := range r.Records() {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rec)
	}
	return r.Format, records
}

// uploaded sends the accepted records through the upload contract and back.
func uploaded(t *testing.T, records []formats.Record) (want, got []health.Sample) {
	t.Helper()
	body := []byte(`{"schema":"clarity.upload/1","installationId":"6f9619ff-8b86-4d01-b42d-00cf4fc964ff","timeZone":"Europe/Berlin","samples":[`)
	for _, r := range records {
		if r.Verdict != formats.Accepted {
			continue
		}
		if len(want) > 0 {
			body = append(body, ',')
		}
		body = formats.AppendUploadSample(body, &r.Sample)
		want = append(want, r.Sample)
	}
	body = append(body, `]}`...)
	if !json.Valid(body) {
		t.Fatalf("not JSON: %s", body)
	}
	env, err := upload.Decode(body, testNow, func(s *health.Sample) { got = append(got, *s) })
	if err != nil {
		t.Fatal(err)
	}
	if len(env.Rejected) > 0 {
		t.Fatalf("the upload rejects %+v of %d", env.Rejected[0], len(want))
	}
	return want, got
}

// checkRoundTrip: what comes back is what was sent. Raw comes back as the
// whole element that was sent, so it is compared by sending it once more.
func checkRoundTrip(t *testing.T, records []formats.Record) {
	t.Helper()
	want, got := uploaded(t, records)
	if len(want) != len(got) {
		t.Fatalf("sent %d, came back %d", len(want), len(got))
	}
	for i := range want {
		again := formats.AppendUploadSample(nil, &got[i])
		first := formats.AppendUploadSample(nil, &want[i])
		if diff := cmp.Diff(string(first), string(again)); diff != "" {
			t.Errorf("sample %d sent again (-first +again):\n%s", i, diff)
		}
		if want[i].Raw != "" {
			want[i].Raw, got[i].Raw = "", ""
		}
		if diff := cmp.Diff(want[i], got[i]); diff != "" {
			t.Errorf("sample %d (-sent +came back):\n%s", i, diff)
		}
	}
}

// reference finds the files nobody here made.
func reference(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("CLARITY_REFERENCE"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		for _, candidate := range []string{filepath.Join(dir, "shared", "reference"), filepath.Join(dir, "..", "shared", "reference")} {
			if _, err := os.Stat(candidate); err == nil {
				return candidate
			}
		}
	}
	t.Skip("the reference files are not here: set CLARITY_REFERENCE to their folder")
	return ""
}

func TestEveryReferenceFileIsReadWithAVerdictForEachRecord(t *testing.T) {
	root := filepath.Join(reference(t), "health")
	var summary []string
	for _, folder := range []string{"apple-export", "health-auto-export", "fhir", "open-wearables"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			ext := filepath.Ext(path)
			if err != nil || d.IsDir() || ext != ".xml" && ext != ".zip" && ext != ".json" {
				return err
			}
			file, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, _ := filepath.Rel(root, path)
			t.Run(name, func(t *testing.T) {
				format, records := readAll(t, name, file, formats.Options{})
				counts := map[string]int{}
				for _, r := range records {
					counts[string(r.Verdict)+" "+string(r.Code)]++
					if r.Place.String() == "" && ext != ".json" {
						t.Error("a record has no place")
					}
					if (r.Verdict == formats.Accepted) == (r.Code != "") {
						t.Errorf("%s: %s with code %q", r.Place, r.Verdict, r.Code)
					}
				}
				checkRoundTrip(t, records)
				summary = append(summary, fmt.Sprintf("%s: %s %v", name, format, counts))
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Log("\n" + strings.Join(summary, "\n"))
}

// A file of another kind is told as what it is, and not as a damaged export.xml.
func TestForeignXMLIsNoExport(t *testing.T) {
	for text, root := range map[string]string{
		"<?xml version=\"1.0\"?>\n<gpx version=\"1.1\"><trk/></gpx>":             "gpx",
		"<!DOCTYPE html>\n<html></html>":                                         "html",
		"\xef\xbb\xbf<?xml version=\"1.0\"?><!-- made -->\n<ns:Training x='1'/>": "ns:Training",
	} {
		_, err := formats.Open(strings.NewReader(text), int64(len(text)), "x", formats.Options{})
		if !errors.Is(err, formats.ErrUnknownFormat) || !strings.Contains(err.Error(), "XML of <"+root+">: not Apple's export") {
			t.Errorf("%s: %v", root, err)
		}
	}
	for _, text := range []string{"<?xml version=\"1.0\"?>\n<!DOCTYPE HealthData [\n<!ELEMENT", "<HealthData locale=\"de\">", "<?xml " + strings.Repeat(" ", 600) + "?><gpx/>"} {
		if r, err := formats.Open(strings.NewReader(text), int64(len(text)), "x", formats.Options{}); err != nil || r.Format != formats.AppleExportXML {
			t.Errorf("%.20s: %v", text, err)
		}
	}
}
