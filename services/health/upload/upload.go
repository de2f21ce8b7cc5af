// Package upload reads the body that a phone puts to /v1/uploads/{id}: one
// strict pass over the inflated JSON, straight to verdicts and samples. The
// ingress runs it for the verdicts of the ack, the worker runs it again for
// the samples: one reader, so that what was acked is what is merged.
package upload

import "github.com/clarity-loop/clarity/services/health"

// Schema is the version of the envelope of samples; that of series is series.Schema.
const Schema = "clarity.upload/1"

// The bounds of one upload.
const (
	MaxSamples   = 10_000   // in samples, series and deleted together
	MaxBodyBytes = 32 << 20 // inflated
	MaxRatio     = 200      // inflated to received
	MaxDepth     = 32       // nested arrays and objects
	MaxTextBytes = 1024     // in one string the contract names (uuid, type, unit, source, zone)
	maxMetaBytes = health.MaxMetadata
	maxRawBytes  = health.MaxUnknown
	maxAnchors   = 512 // in the cursor
)

// A Stage says whether the batch is news or history.
type Stage string

// The two stages of a phone's upload.
const (
	Daily      Stage = "daily"
	Historical Stage = "historical"
)

// An Envelope is everything of an upload but the samples themselves.
type Envelope struct {
	InstallationID string
	TimeZone       string
	Stage          Stage
	Final          bool
	// Cursor holds the phone's opaque HealthKit anchor a type.
	Cursor map[string]string
	// Deleted are the samples that the phone says are gone.
	Deleted []Deletion
	// Received counts the entries of samples and of deleted; Accepted those of
	// them without a Rejection.
	Received, Accepted int
	Rejected           []health.Rejection
	// Warnings are of accepted samples and series.
	Warnings []health.Warning
	// Series are the accepted series as they were sent, in compact JSON, by the
	// digest in their samples' Raw; empty without an emit.
	Series map[string][]byte
}

// A Deletion is a tombstone: the sample must not exist, before or after.
type Deletion struct {
	UUID health.UUID
	Type string
}

// An Error says why a body is no upload at all. Its text names the place and
// never quotes the body.
type Error struct {
	Code   ErrorCode
	Offset int    // byte in the inflated body
	Path   string // JSON Pointer of the member, as far as it was read
	Detail string
}

func (e *Error) Error() string { return e.Detail }

// An ErrorCode is a stable reason why a body is no upload.
type ErrorCode string

// The reasons for which a whole body is refused.
const (
	Malformed      ErrorCode = "malformed_json"     // not JSON, truncated, trailing bytes, invalid UTF-8, duplicate key in the envelope
	TooDeep        ErrorCode = "too_deep"           // nested deeper than MaxDepth
	TooManySamples ErrorCode = "too_many_samples"   // more than MaxSamples
	BadEnvelope    ErrorCode = "invalid_envelope"   // a member missing, unknown, of a wrong type or value
	BadSchema      ErrorCode = "unsupported_schema" // schema is neither Schema nor series.Schema

	UnknownEncoding ErrorCode = "unsupported_encoding" // neither gzip, zstd nor identity
	BadEncoding     ErrorCode = "invalid_encoding"     // damaged, truncated, or trailed by other bytes
	BadRatio        ErrorCode = "bad_ratio"            // inflates to more than MaxRatio times its size
	TooLarge        ErrorCode = "too_large"            // more than MaxBodyBytes inflated
)
