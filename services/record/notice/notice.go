// Package notice is what is kept of what a person's devices were told.
package notice

import (
	"time"

	"github.com/clarity-loop/clarity/services/flow"
)

// A Page is what was told to a person's devices at once; its key is the sequence number
// of the first, and those of the others follow.
type Page struct {
	Event
	More []Event `json:"more,omitempty"`
	// Marks are digests of the events told last, these included, the oldest first: see
	// package news. The releases before had none.
	Marks []byte `json:"marks,omitempty"`
}

// All are the events, in order.
func (p Page) All() []Event { return append([]Event{p.Event}, p.More...) }

// An Event is one thing told to a person's devices.
type Event struct {
	Kind    flow.EventKind `json:"kind"`
	Ref     string         `json:"ref"`
	Version string         `json:"version"`
	At      time.Time      `json:"at"`
}
