// Package record is what is kept of a person in documents: never samples, which
// are in blobs that a record refers to. It computes nothing; package store keeps
// each kind in a collection of its own.
package record

import (
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/analysis"
	"github.com/clarity-loop/clarity/services/health"
	"github.com/clarity-loop/clarity/services/record/exported"
	"github.com/clarity-loop/clarity/services/record/held"
	"github.com/clarity-loop/clarity/services/record/packed"
	"github.com/clarity-loop/clarity/services/record/points"
)

// The keys of the records that a person has one of.
const (
	AccountKey = "account"
	ProfileKey = "profile"
	// TombstonesKey is the key of a person's one Tombstones record.
	TombstonesKey = "all"
)

// UploadState is how far an upload has come.
type UploadState string

// The states of an upload, in order.
const (
	UploadReceived UploadState = "received" // durable; waits for the worker
	UploadMerged   UploadState = "merged"   // in the days' chunks
	UploadFailed   UploadState = "failed"   // could not be read; see Reason
	UploadHeld     UploadState = "held"     // consent was withdrawn before it was merged
)

// An Upload is the record of one body a phone put.
type Upload struct {
	Blob       string      `json:"blob,omitempty"` // where the body is, if it is not here
	BodySHA256 string      `json:"bodySha256"`     // of the body as received
	Encoding   string      `json:"encoding"`       // identity, gzip or zstd
	Bytes      int         `json:"bytes"`
	ReceivedAt time.Time   `json:"receivedAt"`
	Receipt    packed.Text `json:"receipt"` // the reply's JSON: the same id and body get the same reply
	State      UploadState `json:"state"`
	Reason     string      `json:"reason,omitempty"`
	MergedAt   time.Time   `json:"mergedAt,omitzero"`
	// What the merge found: samples that were there already, or a better version of
	// them, those that took the place of another version, and the days touched.
	Duplicates int          `json:"duplicates"`
	Added      int          `json:"added"`
	Replaced   int          `json:"replaced,omitempty"`
	Deleted    int          `json:"deleted"`
	Days       []health.Day `json:"days,omitempty"`
	// Historical says that it is of the past and merged behind what is of today.
	Historical bool `json:"historical,omitempty"`
	// Full are the days that had no room: nothing of them was taken.
	Full []health.Day `json:"full,omitempty"`
	// Body is that of a small upload, as received, until it is merged. From then on
	// Content stands for it: see content.Digest.
	Body    []byte `json:"body,omitempty"`
	Content string `json:"content,omitempty"`
	// Asked is how often its merge was asked for again, and HeldAt since when it is held.
	Asked  int       `json:"asked,omitempty"`
	HeldAt time.Time `json:"heldAt,omitzero"`
	// OverAt is when somebody found first that it had been held for as long as it may be.
	OverAt time.Time `json:"overAt,omitzero"`
}

// The times after which somebody looks at an upload.
const (
	unfinished = 5 * time.Minute     // received, and still in no day
	keptHeld   = 88 * 24 * time.Hour // held, and two days more until the second look: nobody's data is kept for ever for whom there is no leave
	keptDone   = 31 * 24 * time.Hour // merged or failed: for a replay, and a phone that asks for it
)

// Next is when somebody looks at an upload that has come to its state then: whether
// it is finished, has been held for as long as it may be, or has served its time.
func (u Upload) Next(then time.Time) time.Time {
	switch u.State {
	case UploadMerged, UploadFailed:
		return then.Add(keptDone)
	case UploadHeld:
		return then.Add(keptHeld)
	default:
		return then.Add(unfinished)
	}
}

// Came is when the upload came, as a list of them has it.
func (u Upload) Came() time.Time { return u.ReceivedAt.UTC().Truncate(time.Millisecond) }

// Done says whether nothing more is to be done for the upload.
func (u Upload) Done() bool { return u.State == UploadMerged || u.State == UploadFailed }

// A Day is the record of one local day; the samples are in its chunk.
type Day struct {
	Chunk   string                 `json:"chunk"`  // blob name
	Digest  string                 `json:"digest"` // SHA-256 of the chunk's plaintext
	Zone    string                 `json:"zone"`   // the zone most of its samples were recorded in
	Samples int                    `json:"samples"`
	Types   map[string]TypeSummary `json:"types"`
	Filter  []byte                 `json:"filter"` // Bloom filter over the uuids: which days a deletion must open
	// Measured tells of those samples that analyses measure; nil of a release before.
	Measured *held.Measured `json:"measured,omitempty"`
	// Series are those among the samples whose points lie in an object of their own,
	// by the order of the chunk.
	Series []points.Reference `json:"series,omitempty"`
}

// Held is the record in a digest of the days. Of a day that has samples of types
// that are not counted nobody knows when it begins.
func (d Day) Held(day health.Day, version int64) held.Day {
	h := held.Day{Day: day, Version: version, Chunk: d.Chunk, Digest: d.Digest, Series: len(d.Series) > 0}
	if d.Measured != nil {
		h.Measured = *d.Measured
		return h
	}
	h.Measured = held.Measured{Zone: d.Zone, Samples: d.Samples, Begins: held.Never}
	counted := 0
	for _, t := range d.Types {
		counted += t.Count
		h.Begins = min(h.Begins, t.First)
	}
	if counted != d.Samples {
		h.Begins = held.Ever
	}
	return h
}

// A TypeSummary counts one type's samples of one day.
type TypeSummary struct {
	Count int            `json:"count"`
	First health.Instant `json:"first"` // earliest start
	Last  health.Instant `json:"last"`  // latest end
}

// Tombstones refers to the person's set of deleted uuids.
type Tombstones struct {
	Blob  string `json:"blob"`
	Count int    `json:"count"`
}

// A Result is the newest analysis of one window.
type Result struct {
	Result     analysis.Result `json:"result"`
	ComputedAt time.Time       `json:"computedAt"`
}

// An Insight is the newest text for one window.
type Insight struct {
	Insight   analysis.Insight `json:"insight"`
	WrittenAt time.Time        `json:"writtenAt"`
	// Written is the version of the record with which the text was, where it has been of
	// other Results since: 0 where it is the record's own.
	Written int64 `json:"written,omitempty"`
}

// An Embedding is what a model made of one window. It is for distances between
// a person's own weeks, and never leaves the platform.
type Embedding struct {
	Model  string    `json:"model"`  // digest of the version
	Digest string    `json:"digest"` // of the window it was made of
	Kind   string    `json:"kind"`   // what the epochs were
	Values []float32 `json:"values"`
}

// Cursors are how far each type is synchronised, by the type's name, and with that
// what is read of a person before any of their days.
type Cursors struct {
	Types map[string]Cursor `json:"types"`
	// Received is when the newest upload was received that changed a day.
	Received time.Time `json:"received,omitzero"`
	// Held is nil until it is made; store.Store.Holding has it.
	Held *held.Digest `json:"held,omitempty"`
}

// A Cursor is how far one type is synchronised.
type Cursor struct {
	Anchor   string         `json:"anchor"` // the phone's own, opaque
	LastSeen health.Instant `json:"lastSeen"`
	UploadID string         `json:"uploadId"` // that committed the anchor
	Received time.Time      `json:"received"`
}

// A Profile is what a person tells about themselves.
type Profile struct {
	BirthYear      int       `json:"birthYear,omitempty"`
	Sex            string    `json:"sex,omitempty"`
	TimeZone       string    `json:"timeZone,omitempty"`
	HeightM        float64   `json:"heightM,omitempty"`
	WeightKg       float64   `json:"weightKg,omitempty"`
	SourcePriority []string  `json:"sourcePriority,omitempty"` // product type prefixes, best first
	UpdatedAt      time.Time `json:"updatedAt"`
}

// Steers says whether Results under the one profile may differ from those under the
// other: whether a field differs that enters the digest of a Result's input.
func (p Profile) Steers(other Profile) bool {
	return !slices.Equal(p.SourcePriority, other.SourcePriority)
}

// A Consent is a person's yes or no to one purpose, with its history.
type Consent struct {
	Granted bool            `json:"granted"`
	Version string          `json:"version"` // of the text that was shown
	At      time.Time       `json:"at"`
	History []ConsentChange `json:"history"`
}

// A ConsentChange is one earlier answer.
type ConsentChange struct {
	Granted bool      `json:"granted"`
	Version string    `json:"version"`
	At      time.Time `json:"at"`
}

// PurposeProcessing is the consent without which nothing is stored or analysed.
const PurposeProcessing = "processing"

// PurposeNarrative is the consent to have facts put into words by a language model.
const PurposeNarrative = "narrative"

// An Export is a copy of everything the platform holds of a person, in parts.
type Export struct {
	State     exported.State `json:"state"`
	Reason    string         `json:"reason,omitempty"` // stable code of a failure
	CreatedAt time.Time      `json:"createdAt"`
	ReadyAt   time.Time      `json:"readyAt,omitzero"`
	// ExpiresAt is when it goes; zero while it is pending.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	// Slot is which of the person's it has, from 1. It is 0 of the releases
	// before, whose exports were tickets and copied nothing.
	Slot  int             `json:"slot,omitempty"`
	Parts []exported.Part `json:"parts,omitempty"`
	Bytes int             `json:"bytes,omitempty"` // of all parts, unpacked
	Lines map[string]int  `json:"lines,omitempty"` // by kind
	// Digest is the SHA-256 of all bytes, in hexadecimal, of one that is ready.
	Digest   string            `json:"digest,omitempty"`
	Progress exported.Progress `json:"progress,omitzero"`
}

// Over says whether the export's time is over: it goes, or has gone.
func (e Export) Over(now time.Time) bool { return !e.ExpiresAt.IsZero() && !now.Before(e.ExpiresAt) }
