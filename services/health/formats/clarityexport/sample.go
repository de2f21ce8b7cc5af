// Package clarityexport is the platform's own export: NDJSON, a line a record,
// {"kind", "key", "value"}. It says how a sample is written, and reads one back as
// it was: what is exported can be uploaded, and gives an equal account.
package clarityexport

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/clarity-loop/clarity/services/health"
)

// The kinds of the lines that hold samples, or say that one is gone.
const (
	KindSample   = "sample"   // of a day
	KindSeries   = "series"   // of a day: a sample that is many points, as it was sent
	KindHeld     = "held"     // of an upload that is in no day yet, or a deletion of it
	KindDeletion = "deletion" // a uuid that is deleted
	KindProfile  = "profile"
	// KindUnreadable is of what is held and cannot be read: an Unreadable, by the key of
	// its record.
	KindUnreadable = "unreadable"
	KindEnd        = "end"
)

// An Unreadable stands for lines of a kind that cannot be written.
type Unreadable struct {
	Kind   string `json:"kind"`
	Reason string `json:"reason"` // damaged or gone
}

// A Sample is a sample as it is exported.
type Sample struct {
	UUID          string          `json:"uuid"`
	Type          string          `json:"type"`
	Start         string          `json:"start"`
	End           string          `json:"end"`
	TimeZone      string          `json:"timeZone"`
	Value         float64         `json:"value"`
	Unit          string          `json:"unit,omitempty"`
	OriginalValue float64         `json:"originalValue"`
	OriginalUnit  string          `json:"originalUnit,omitempty"`
	Source        Source          `json:"source"`
	UserEntered   bool            `json:"userEntered,omitempty"`
	Metadata      json.RawMessage `json:"metadata,omitempty"`
	Raw           json.RawMessage `json:"raw,omitempty"`
}

// A Source is what measured or wrote a sample.
type Source struct {
	BundleID    string `json:"bundleId,omitempty"`
	Name        string `json:"name,omitempty"`
	ProductType string `json:"productType,omitempty"`
	OSVersion   string `json:"osVersion,omitempty"`
}

// A Series is a sample that is many points, as it was sent, and the zone that decided
// its day.
type Series struct {
	TimeZone string          `json:"timeZone"`
	Series   json.RawMessage `json:"series"`
}

// A Deletion says that a sample is deleted. Its type is known of an upload's alone.
type Deletion struct {
	UUID string `json:"uuid"`
	Type string `json:"type,omitempty"`
}

// A Held is a sample, a series, or a deletion, of an upload that is in no day yet.
type Held struct {
	Sample  *Sample   `json:"sample,omitempty"`
	Series  *Series   `json:"series,omitempty"`
	Deleted *Deletion `json:"deleted,omitempty"`
}

// timeForm is RFC 3339 with three digits, as every time of the API.
const timeForm = "2006-01-02T15:04:05.000Z07:00"

// Of is the sample as it is exported.
func Of(s *health.Sample) Sample {
	return Sample{
		UUID: s.UUID.String(), Type: s.Type, Start: s.Start.Time().Format(timeForm), End: s.End.Time().Format(timeForm), TimeZone: s.Zone,
		Value: s.Value, Unit: s.Unit, OriginalValue: s.OriginalValue, OriginalUnit: s.OriginalUnit,
		Source: Source(s.Source), UserEntered: s.UserEntered, Metadata: rawJSON(s.Metadata), Raw: rawJSON(s.Raw),
	}
}

// rawJSON is the text as JSON, or absent.
func rawJSON(text string) json.RawMessage {
	if !json.Valid([]byte(text)) {
		return nil
	}
	return json.RawMessage(text)
}

// sample is what was exported.
func (s *Sample) sample() (out health.Sample, err error) {
	out = health.Sample{
		Type: s.Type, Zone: s.TimeZone, Value: s.Value, Unit: s.Unit, OriginalValue: s.OriginalValue, OriginalUnit: s.OriginalUnit,
		Source: health.Source(s.Source), UserEntered: s.UserEntered, Metadata: string(s.Metadata), Raw: string(s.Raw),
	}
	if out.UUID, err = health.ParseUUID(s.UUID); err != nil {
		return out, err
	}
	for _, at := range []struct {
		text string
		into *health.Instant
	}{{s.Start, &out.Start}, {s.End, &out.End}} {
		read, err := time.Parse(time.RFC3339, at.text)
		if err != nil {
			return out, fmt.Errorf("a time is RFC 3339: %w", err)
		}
		*at.into = health.InstantOf(read)
	}
	return out, nil
}
