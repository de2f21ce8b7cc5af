package uploads

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

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
		"application/json": {Schema: envelopeSchema(), Example: envelopeExample()},
	}}
	op.Responses["202"] = &huma.Response{Description: "Durable. What was taken, and what was not and why", Content: map[string]*huma.MediaType{
		"application/json": {Schema: registry.Schema(reflect.TypeFor[receipt](), true, "")},
	}}
}

func ptr[T any](v T) *T { return &v }

// envelopeSchema describes what a whole body must be. The entries of samples
// and deleted are judged one by one, so the schema lets any entry be anything.
func envelopeSchema() *huma.Schema {
	text := func(detail string, most int) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Description: detail, MaxLength: ptr(most)}
	}
	return &huma.Schema{
		Type:     huma.TypeObject,
		Required: []string{"schema", "installationId", "timeZone"},
		Properties: map[string]*huma.Schema{
			"schema":         {Type: huma.TypeString, Enum: []any{upload.Schema}, Description: "version of the envelope"},
			"installationId": {Type: huma.TypeString, Description: "the app's own id of this installation; kept with the body as it was sent, and steers nothing", MinLength: ptr(1), MaxLength: ptr(upload.MaxTextBytes)},
			"timeZone":       {Type: huma.TypeString, Description: "IANA time zone, or a fixed offset such as GMT+0100: of samples that name none themselves, or none that can be read", Examples: []any{"Europe/Berlin"}, MaxLength: ptr(upload.MaxTextBytes)},
			"samples":        {Type: huma.TypeArray, MaxItems: ptr(upload.MaxSamples), Description: sampleDetail, Items: &huma.Schema{}},
			"deleted":        {Type: huma.TypeArray, MaxItems: ptr(upload.MaxSamples), Description: "each {\"uuid\", \"type\"}: samples that no longer exist, whether or not they were sent", Items: &huma.Schema{}},
			"cursor":         {Type: huma.TypeObject, Description: "the phone's own anchor a type, committed once the batch is merged", AdditionalProperties: text("opaque", upload.MaxTextBytes)},
			"stage":          {Type: huma.TypeString, Enum: []any{"daily", "historical"}, Description: "what the batch is part of; kept with the body as it was sent, and steers nothing: every batch is merged as it comes"},
			"final":          {Type: huma.TypeBoolean, Description: "the last batch of a historical import; kept with the body as it was sent, and steers nothing: no batch waits for it"},
		},
		AdditionalProperties: false,
	}
}

const sampleDetail = "each {\"uuid\", \"type\", \"start\", \"end\", \"value\", \"unit\", \"source\": {\"bundleId\", \"name\", \"productType\", \"osVersion\"}, \"metadata\"}: " +
	"times in RFC 3339 with an offset, the unit as HealthKit writes it, HKTimeZone in metadata before the envelope's zone. " +
	"Types and units: docs/api/types.md; a type that is not there is kept as it was sent. An entry that is something else is rejected by itself."

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
