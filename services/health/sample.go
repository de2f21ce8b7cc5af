// Package health is the vocabulary of a phone's health data: samples, the
// sources that measured them and the local days they belong to. It reads no
// bytes and keeps no state: formats and upload decode into it, timeline merges
// what they decoded. The types and units of samples are in catalog, the order of
// their sources in sources, the reasons for not taking one in reject.
package health

import (
	"time"

	"github.com/clarity-loop/clarity/services/health/reject"
)

// An Instant is a point in time: milliseconds since 1970-01-01T00:00:00Z.
// HealthKit's sub-millisecond digits are rounded to the nearest millisecond.
type Instant int64

// InstantOf is the Instant of t, rounded to the nearest millisecond.
func InstantOf(t time.Time) Instant {
	return Instant(t.Add(500 * time.Microsecond).UnixMilli())
}

// Time is the instant in UTC.
func (i Instant) Time() time.Time { return time.UnixMilli(int64(i)).UTC() }

// A Sample is one measurement: a quantity, a category value, or, for a type
// the catalog does not know, the record as it was sent.
type Sample struct {
	// UUID is HealthKit's identity of the sample. Formats that carry none
	// derive it from the content (see DeriveUUID), so that a second import of
	// the same file adds nothing.
	UUID UUID
	// Type is the HealthKit identifier, e.g. "HKQuantityTypeIdentifierHeartRate".
	Type string
	// Start and End bound the sample, End exclusive; they are equal for an
	// instantaneous sample. End is never before Start.
	Start, End Instant
	// Zone names the time zone whose calendar decides the sample's day, as
	// LoadZone calls it. A decoder fills it from the sample's own metadata, else
	// from the upload.
	Zone string
	// Value is in Unit. For a category type it is the integer of HealthKit's
	// enumeration, and Unit is empty.
	Value float64
	// Unit is the type's canonical UCUM unit; for an unknown type, as sent.
	Unit string
	// OriginalValue and OriginalUnit are what the phone sent.
	OriginalValue float64
	OriginalUnit  string
	// Source is what measured or wrote the sample.
	Source Source
	// UserEntered is HKWasUserEntered: typed by a person, not measured.
	UserEntered bool
	// Metadata is what remains of the sample's metadata after the fields above
	// were taken: a JSON object with sorted keys, or "".
	Metadata string
	// Raw is the compact JSON of a sample of which something is unknown: its
	// type, its value in the type's enumeration, or a member; of a series it is
	// the Summary of its points (package series); else "".
	Raw string
}

// The bounds of one sample as it is uploaded, in bytes of JSON.
const (
	// MaxMetadata is the metadata's, up to its closing brace: all of it, the
	// zone and HKWasUserEntered too.
	MaxMetadata = 16 << 10
	// MaxUnknown is the whole sample's, where something of it is unknown.
	MaxUnknown = 64 << 10
)

// A Source names the app and device behind a sample.
type Source struct {
	BundleID    string // "com.apple.health.…"
	Name        string // "Anna's Apple Watch"; personal, never logged
	ProductType string // "Watch7,5", "iPhone16,1"
	OSVersion   string
}

// A Warning says what was not understood of samples that are taken all the same,
// counted by reason: like a Rejection it carries nothing of them.
type Warning struct {
	Code   reject.Warning `json:"code" doc:"what was not understood, in a stable word of docs/api/codes.md; others may come" example:"unknown_value"`
	Count  int            `json:"count" doc:"how many samples it is true of" minimum:"1"`
	First  int            `json:"first" doc:"position of the first of them in samples or series, from 0" minimum:"0"`
	Detail string         `json:"detail" doc:"what becomes of such a sample, for a person"`
}

// A Rejection says why one sample of a batch was not taken. It never carries
// the sample's value, text or uuid.
type Rejection struct {
	Index  int         `json:"index" doc:"position in samples (or in series or deleted, where in says so), from 0" minimum:"0"`
	In     string      `json:"in,omitempty" enum:"samples,series,deleted" doc:"the list that index counts in; samples if absent"`
	Code   reject.Code `json:"code" doc:"stable machine-readable reason"`
	Detail string      `json:"detail" doc:"what is wrong and in which field, for a person"`
}
