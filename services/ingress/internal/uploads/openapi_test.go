package uploads

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/health/reject"
	"github.com/clarity-loop/clarity/services/health/series"
	"github.com/clarity-loop/clarity/services/health/upload"
	"github.com/clarity-loop/clarity/services/ingress/internal/envelope"
)

// at is what a JSON document holds at a path of names and indices.
func at(t *testing.T, document any, path string) any {
	t.Helper()
	for _, name := range strings.Split(path, " ") {
		switch d := document.(type) {
		case map[string]any:
			document = d[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(d) {
				t.Fatalf("%s: no %s", path, name)
			}
			document = d[i]
		default:
			t.Fatalf("%s: nothing at %s", path, name)
		}
	}
	return document
}

// What is written by hand says what the code does.
func TestHowAnUploadIsDescribed(t *testing.T) {
	op := &huma.Operation{Responses: map[string]*huma.Response{}}
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	describeUpload(op, registry)
	text, err := json.Marshal(map[string]any{"operation": op, "schemas": registry.Map()})
	if err != nil {
		t.Fatal(err)
	}
	var document any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	const schema = "schemas Envelope "
	for path, want := range map[string]any{
		"operation parameters 0 in": "path", "operation parameters 0 name": "uploadId", "operation parameters 0 required": true,
		"operation parameters 0 schema minLength": 8.0, "operation parameters 0 schema maxLength": 64.0, "operation parameters 0 schema type": "string",
		"operation requestBody required":                               true,
		schema + "type":                                                "object",
		schema + "additionalProperties":                                false,
		schema + "required":                                            []any{"schema", "installationId", "timeZone"},
		schema + "properties schema enum":                              []any{upload.Schema, series.Schema},
		schema + "properties installationId minLength":                 1.0,
		schema + "properties installationId maxLength":                 float64(upload.MaxTextBytes),
		schema + "properties samples maxItems":                         float64(upload.MaxSamples),
		schema + "properties deleted maxItems":                         float64(upload.MaxSamples),
		schema + "properties cursor additionalProperties maxLength":    float64(upload.MaxAnchorBytes),
		schema + "properties cursor additionalProperties type":         "string",
		schema + "properties stage enum":                               []any{"daily", "historical"},
		"operation requestBody content application/json schema $ref":   "#/components/schemas/Envelope",
		schema + "properties samples items $ref":                       "#/components/schemas/Sample",
		schema + "properties series items $ref":                        "#/components/schemas/SampleSeries",
		"schemas SampleSeries properties locations maxItems":           float64(series.MaxPoints),
		schema + "properties deleted items $ref":                       "#/components/schemas/Deletion",
		"schemas Sample properties source $ref":                        "#/components/schemas/Source",
		"schemas Sample required":                                      []any{"uuid", "type", "start", "end", "source"},
		"schemas Deletion required":                                    []any{"uuid", "type"},
		"schemas Rejection properties code type":                       "string",
		"schemas Rejection properties code examples 0":                 string(reject.MissingField),
		schema + "properties final type":                               "boolean",
		"operation responses 202 content application/json schema $ref": "#/components/schemas/Receipt",
	} {
		if diff := cmp.Diff(want, at(t, document, path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// The example of the documentation is an upload, and all of it is taken.
func TestTheExampleIsTaken(t *testing.T) {
	body, err := json.Marshal(envelope.Example())
	if err != nil {
		t.Fatal(err)
	}
	e, err := upload.Decode(body, health.InstantOf(time.Date(2026, 11, 20, 7, 0, 0, 0, time.UTC)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if e.Received != 2 || e.Accepted != 2 || len(e.Rejected) != 0 || e.Cursor["HKQuantityTypeIdentifierHeartRate"] != "opaque" {
		t.Errorf("%+v", e)
	}
	for _, part := range []string{`"value":61`, `"HKWasUserEntered":false`, `"final":false`} {
		if !strings.Contains(string(body), part) {
			t.Errorf("no %s in %s", part, body)
		}
	}
}

// A route's row in the table of the API.
func TestWhatTheRoutesAre(t *testing.T) {
	var got []string
	for _, r := range newRoom(t).Routes() {
		got = append(got, fmt.Sprintf("%s %s: access %d, body %d, status %d, stream %v, erased too %v", r.Method, r.Path, r.Access, r.Body, r.Status, r.Stream, r.ErasedToo))
	}
	want := []string{
		"PUT /v1/uploads/{uploadId}: access 0, body 2, status 202, stream false, erased too false",
		"GET /v1/uploads: access 0, body 0, status 0, stream false, erased too false",
		"GET /v1/uploads/{uploadId}: access 0, body 0, status 0, stream false, erased too false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}
