package uploads

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/clarity-loop/clarity/services/health/reject"
	"github.com/clarity-loop/clarity/services/health/upload"
)

const putUploadDetail = `Acked means durable: body, record and message are on disk before the 202. The same id and body get the same reply, so
a phone that got none may simply send again; the same id with another body is a conflict.

At most 10,000 entries and 32 MiB, inflated at most 200 times. Entries are judged one by one: one bad sample never costs the
others. Only an unreadable envelope, or one over a limit, is refused as a whole:

| what | status | code |
|---|---|---|
| not JSON, truncated, trailing bytes, bad UTF-8, a member twice in the envelope | 400 | malformed_json |
| truncated or damaged gzip or zstd | 400 | malformed_encoding |
| no consent to processing | 403 | consent_required |
| the id was used for another body | 409 | upload_conflict |
| too many entries, too many bytes, inflates too far | 413 | too_large, with the limit |
| Content-Type not application/json | 415 | unsupported_media_type |
| Content-Encoding none of gzip, zstd, identity | 415 | unsupported_encoding |
| nested too deep | 422 | too_deep |
| schema not clarity.upload/1 | 422 | unsupported_schema |
| a member of the envelope missing or of a wrong kind | 422 | invalid_envelope |
| the id is not one | 422 | invalid_request |`

// describeUpload writes by hand what huma cannot read off put.
func describeUpload(op *huma.Operation, registry huma.Registry) {
	op.Parameters = []*huma.Param{
		{Name: "uploadId", In: "path", Required: true, Description: "made by the phone, once a batch; 8 to 64 characters", Example: "2026-11-20T07-00-00Z-0001",
			Schema: &huma.Schema{Type: huma.TypeString, Pattern: "^[A-Za-z0-9_-]{8,64}$", MinLength: ptr(8), MaxLength: ptr(64)}},
	}
	op.RequestBody = &huma.RequestBody{Required: true, Description: "a batch of samples, deletions, or both; compressed as Content-Encoding says: gzip, zstd, or identity if absent", Content: map[string]*huma.MediaType{
		"application/json": {Schema: ref("Envelope"), Example: envelopeExample()},
	}}
	op.Responses["202"] = &huma.Response{Description: "Durable. What was taken, and what was not and why", Content: map[string]*huma.MediaType{
		"application/json": {Schema: registry.Schema(reflect.TypeFor[receipt](), true, "")},
	}}
	nameSchemas(registry.Map()) // the receipt has named Rejection
}

func ptr[T any](v T) *T { return &v }

func ref(name string) *huma.Schema { return &huma.Schema{Ref: "#/components/schemas/" + name} }

// nameSchemas enters what a body is made of, so that clients have types for it. An
// entry that is something else is rejected by itself, and costs no other.
func nameSchemas(all map[string]*huma.Schema) {
	all["Envelope"] = envelopeSchema()
	all["Sample"] = sampleSchema()
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
	moment := func(detail string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Format: "date-time", Description: detail}
	}
	return &huma.Schema{
		Type: huma.TypeObject, Required: []string{"uuid", "type", "start", "end", "source"}, Description: "one sample",
		Properties: map[string]*huma.Schema{
			"uuid": uuidSchema(), "type": typeSchema(),
			"start": moment("RFC 3339 with an offset"), "end": moment("RFC 3339 with an offset; not before start"),
			"value":  {Type: huma.TypeNumber, Format: "double", Description: "a quantity, or the value of a category"},
			"unit":   text("as HealthKit writes it: docs/api/types.md; absent for a category", upload.MaxTextBytes),
			"source": ref("Source"),
			"metadata": {Type: huma.TypeObject, AdditionalProperties: true,
				Description: "as HealthKit has it; HKTimeZone goes before the envelope's timeZone"},
		},
	}
}

// envelopeSchema describes what a whole body must be.
func envelopeSchema() *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, Description: "a batch of samples, deletions, or both",
		Required: []string{"schema", "installationId", "timeZone"},
		Properties: map[string]*huma.Schema{
			"schema":         {Type: huma.TypeString, Enum: []any{upload.Schema}, Description: "version of the envelope"},
			"installationId": {Type: huma.TypeString, Description: "the app's own id of this installation; kept with the body as it was sent, and steers nothing", MinLength: ptr(1), MaxLength: ptr(upload.MaxTextBytes)},
			"timeZone":       {Type: huma.TypeString, Description: "IANA time zone, or a fixed offset such as GMT+0100: of samples that name none themselves, or none that can be read", Examples: []any{"Europe/Berlin"}},
			"samples":        {Type: huma.TypeArray, MaxItems: ptr(upload.MaxSamples), Description: "judged one by one: one bad sample never costs the others", Items: ref("Sample")},
			"deleted":        {Type: huma.TypeArray, MaxItems: ptr(upload.MaxSamples), Description: "judged one by one, too", Items: ref("Deletion")},
			"cursor":         {Type: huma.TypeObject, Description: "the phone's own anchor a type, committed once the batch is merged", AdditionalProperties: text("opaque", upload.MaxAnchorBytes)},
			"stage":          {Type: huma.TypeString, Enum: []any{"daily", "historical"}, Description: "what the batch is part of; a historical one, or one of more than 5,000 entries, is merged behind what is of today"},
			"final":          {Type: huma.TypeBoolean, Description: "the last batch of a historical import; kept with the body as it was sent, and steers nothing: no batch waits for it"},
		},
		AdditionalProperties: false,
	}
}

func envelopeExample() any {
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
