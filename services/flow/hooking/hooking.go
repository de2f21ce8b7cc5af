// Package hooking is what travels between the stages about servers that are told of
// what is new.
package hooking

import "time"

// The topic and its consumer.
const (
	Topic    = "webhooks" // Due: news → webhooks
	Consumer = "webhooks" // tells the servers of a tenant
)

// Due says that servers are to be told of events of a person: all of the person's tenant,
// or the one Endpoint, of one event. Its queue key is the uid, and for one endpoint a
// slash and that behind it.
type Due struct {
	UID string `json:"uid"`
	// First is the number of the first of the Events.
	First  uint64  `json:"first"`
	Events []Event `json:"events"`
	// Begun is since when it is tried to tell the Endpoint; Again says that it has missed it before.
	Endpoint string    `json:"endpoint,omitempty"`
	Begun    time.Time `json:"begun,omitzero"`
	Again    bool      `json:"again,omitempty"`
}

// An Event is one that the person's devices were told.
type Event struct {
	Kind    string    `json:"kind"`
	Ref     string    `json:"ref"`
	Version string    `json:"version"`
	At      time.Time `json:"at"`
}
