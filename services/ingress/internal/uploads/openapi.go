package uploads

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/clarity-loop/clarity/services/ingress/internal/envelope"
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
| schema neither clarity.upload/1 nor clarity.series/1 | 422 | unsupported_schema |
| a member of the envelope missing or of a wrong kind | 422 | invalid_envelope |
| the id is not one | 422 | invalid_request |`

// describeUpload writes by hand what huma cannot read off put.
func describeUpload(op *huma.Operation, registry huma.Registry) {
	op.Parameters = []*huma.Param{
		{Name: "uploadId", In: "path", Required: true, Description: "made by the phone, once a batch; 8 to 64 characters", Example: "2026-11-20T07-00-00Z-0001",
			Schema: &huma.Schema{Type: huma.TypeString, Pattern: "^[A-Za-z0-9_-]{8,64}$", MinLength: ptr(8), MaxLength: ptr(64)}},
	}
	op.RequestBody = &huma.RequestBody{Required: true, Description: "a batch of samples, deletions, or both; compressed as Content-Encoding says: gzip, zstd, or identity if absent", Content: map[string]*huma.MediaType{
		"application/json": {Schema: envelope.Ref("Envelope"), Example: envelope.Example()},
	}}
	op.Responses["202"] = &huma.Response{Description: "Durable. What was taken, and what was not and why", Content: map[string]*huma.MediaType{
		"application/json": {Schema: registry.Schema(reflect.TypeFor[receipt](), true, "")},
	}}
	envelope.Name(registry.Map()) // the receipt has named Rejection
}

func ptr[T any](v T) *T { return &v }
