// Package envelope describes what is uploaded: the schemas of a body and of what it is
// made of. It reads nothing.
package envelope

import (
	"github.com/danielgtaylor/huma/v2"

	"github.com/clarity-loop/clarity/services/health/reject"
	"github.com/clarity-loop/clarity/services/health/series"
	"github.com/clarity-loop/clarity/services/health/upload"
)

func ptr[T any](v T) *T { return &v }

// Ref refers to one of them.
func Ref(name string) *huma.Schema { return &huma.Schema{Ref: "#/components/schemas/" + name} }

// Name enters what a body is made of, so that clients have types for it. An entry that
// is something else is rejected by itself, and costs no other. The schemas know
// Rejection already.
func Name(all map[string]*huma.Schema) {
	all["Envelope"] = whole()
	all["Sample"] = sampleSchema()
	all["SampleSeries"] = seriesSchema()
	all["Source"] = &huma.Schema{
		Type: huma.TypeObject, Description: "what recorded a sample",
		Properties: map[string]*huma.Schema{
			"bundleId": text("of the app, or com.apple.health", upload.MaxTextBytes), "name": text("", upload.MaxTextBytes),
			"productType": text("Watch7,5", upload.MaxTextBytes), "osVersion": text("12.1", upload.MaxTextBytes),
		},
	}
	all["Deletion"] = &huma.Schema{
		Type: huma.TypeObject, Required: []string{"uuid", "type"}, Description: "a sample that no longer exists, whether or not it was sent",
		Properties: map[string]*huma.Schema{"uuid": uuidSchema(), "type": typeSchema()},
	}
	code := all["Rejection"].Properties["code"]
	code.Description = "why, in a stable word of docs/api/codes.md; others may come"
	for _, c := range reject.Codes() {
		code.Examples = append(code.Examples, string(c))
	}
}

func text(detail string, most int) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Description: detail, MaxLength: ptr(most)}
}

func uuidSchema() *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "uuid", Description: "HealthKit's own"}
}

func typeSchema() *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Description: "HealthKit's identifier: docs/api/types.md; another is kept as it was sent", MaxLength: ptr(upload.MaxTextBytes),
		Examples: []any{"HKQuantityTypeIdentifierHeartRate"}}
}

func sampleSchema() *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, Required: []string{"uuid", "type", "start", "end", "source"}, Description: "one sample",
		Properties: map[string]*huma.Schema{
			"uuid": uuidSchema(), "type": typeSchema(),
			"start": moment("RFC 3339 with an offset"), "end": moment("RFC 3339 with an offset; not before start"),
			"value":  {Type: huma.TypeNumber, Format: "double", Description: "a quantity, or the value of a category"},
			"unit":   text("as HealthKit writes it: docs/api/types.md; absent for a category", upload.MaxTextBytes),
			"source": Ref("Source"),
			"metadata": {Type: huma.TypeObject, AdditionalProperties: true,
				Description: "as HealthKit has it; HKTimeZone goes before the envelope's timeZone"},
		},
	}
}

// envelopeSchema describes what a whole body must be.
func whole() *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, Description: "a batch of samples or of series, deletions, or both",
		Required: []string{"schema", "installationId", "timeZone"},
		Properties: map[string]*huma.Schema{
			"schema":         {Type: huma.TypeString, Enum: []any{upload.Schema, series.Schema}, Description: "version of the envelope: the first is of samples, the second of series"},
			"installationId": {Type: huma.TypeString, Description: "the app's own id of this installation; kept with the body as it was sent, and steers nothing", MinLength: ptr(1), MaxLength: ptr(upload.MaxTextBytes)},
			"timeZone":       {Type: huma.TypeString, Description: "IANA time zone, or a fixed offset such as GMT+0100: of samples that name none themselves, or none that can be read", Examples: []any{"Europe/Berlin"}},
			"samples":        {Type: huma.TypeArray, MaxItems: ptr(upload.MaxSamples), Description: "judged one by one: one bad sample never costs the others", Items: Ref("Sample")},
			"series":         {Type: huma.TypeArray, MaxItems: ptr(upload.MaxSamples), Description: "in place of samples, where the schema is clarity.series/1: judged one by one, too, point for point", Items: Ref("SampleSeries")},
			"deleted":        {Type: huma.TypeArray, MaxItems: ptr(upload.MaxSamples), Description: "judged one by one, too", Items: Ref("Deletion")},
			"cursor":         {Type: huma.TypeObject, Description: "the phone's own anchor a type, committed once the batch is merged", AdditionalProperties: text("opaque", upload.MaxAnchorBytes)},
			"stage":          {Type: huma.TypeString, Enum: []any{"daily", "historical"}, Description: "what the batch is part of; a historical one, or one of more than 5,000 entries, is merged behind what is of today"},
			"final":          {Type: huma.TypeBoolean, Description: "the last batch of a historical import; kept with the body as it was sent, and steers nothing: no batch waits for it"},
		},
		AdditionalProperties: false,
	}
}

// Example is a body that is taken, all of it.
func Example() any {
	return map[string]any{
		"schema": upload.Schema, "installationId": "6d9f2c1e-3b1a-4c7d-9a51-0d6f7e8a9b10", "timeZone": "Europe/Berlin",
		"samples": []any{map[string]any{
			"uuid": "0b9d1c8e-6a3f-4f0e-8c2d-1e2f3a4b5c6d", "type": "HKQuantityTypeIdentifierHeartRate",
			"start": "2026-11-20T06:58:01+01:00", "end": "2026-11-20T06:58:01+01:00", "value": 61, "unit": "count/min",
			"source":   map[string]any{"bundleId": "com.apple.health", "productType": "Watch7,5", "osVersion": "12.1"},
			"metadata": map[string]any{"HKTimeZone": "Europe/Berlin", "HKWasUserEntered": false},
		}},
		"deleted": []any{map[string]any{"uuid": "5e1d7b90-2c44-4b0a-9a7e-7c1f0e2d3b4a", "type": "HKQuantityTypeIdentifierStepCount"}},
		"cursor":  map[string]any{"HKQuantityTypeIdentifierHeartRate": "opaque"},
		"stage":   "daily", "final": false,
	}
}
