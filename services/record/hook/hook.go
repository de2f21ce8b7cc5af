// Package hook is what is kept of the servers that a tenant has told of what is new:
// where they are, and what was sent to them.
package hook

import (
	"slices"
	"time"

	"github.com/clarity-loop/clarity/services/flow"
)

// The bounds.
const (
	// Most is how many endpoints a tenant has at a time.
	Most = 10
	// Overlap is how long a secret that was replaced still signs.
	Overlap = 24 * time.Hour
	// Patience is how long it is tried to send an event.
	Patience = 24 * time.Hour
	// Kept is how long is kept that an event was not taken, since it was tried last.
	Kept = 7 * 24 * time.Hour
)

// An Endpoint is a server that is told.
type Endpoint struct {
	Tenant string `json:"tenant,omitempty"` // whose it is; "" is of who belongs to none
	URL    string `json:"url"`
	// Kinds are those of the events that it is told of; all where there is none.
	Kinds []flow.EventKind `json:"kinds,omitempty"`
	// Secrets are those that sign, the newest first: two at most.
	Secrets   []Secret  `json:"secrets"`
	CreatedAt time.Time `json:"createdAt"`
	// FailingSince is when the first of the requests was that failed in a row, by which the
	// endpoint is known to be away.
	FailingSince time.Time `json:"failingSince,omitzero"`
	// GoneAt is when the server said that it is gone for good: it is told nothing since.
	GoneAt time.Time `json:"goneAt,omitzero"`
}

// A Secret signs what is sent.
type Secret struct {
	HMAC  []byte    `json:"hmac"` // 32 bytes, of v1
	Seed  []byte    `json:"seed"` // 32 bytes, of the Ed25519 key of v1a
	Until time.Time `json:"until,omitzero"`
}

// Wants says whether the endpoint is told of such events.
func (e Endpoint) Wants(kind flow.EventKind) bool {
	return e.GoneAt.IsZero() && (len(e.Kinds) == 0 || slices.Contains(e.Kinds, kind))
}

// Live are the secrets that sign at that time.
func (e Endpoint) Live(now time.Time) []Secret {
	return slices.DeleteFunc(slices.Clone(e.Secrets), func(s Secret) bool { return !s.Until.IsZero() && !now.Before(s.Until) })
}

// A Missed is an event that an endpoint did not take. It is kept with the tenant's, under
// the endpoint's id, a dash and its own; the person has a Mark under the same key, so
// that an erasure finds it.
type Missed struct {
	// UID is whose event it is, and Number which of theirs.
	UID     string         `json:"uid"`
	Number  uint64         `json:"number"`
	Kind    flow.EventKind `json:"kind"`
	Ref     string         `json:"ref"`
	Version string         `json:"version"`
	At      time.Time      `json:"at"`

	State    State     `json:"state"`
	Attempts int       `json:"attempts"`
	Last     time.Time `json:"last"`             // when it was tried last
	Status   int       `json:"status,omitempty"` // what the server answered then; 0 where it did not
	Reason   string    `json:"reason,omitempty"` // why that was no success: a stable code
}

// A Mark is of an event of the person that somebody did not take. One of a tenant's own
// is of its endpoints: it changes with each that comes to be.
type Mark struct{}

// A State is how far an event has come that was missed once.
type State string

// The states.
const (
	Pending State = "pending" // it is tried again
	Failed  State = "failed"  // it is given up
)
