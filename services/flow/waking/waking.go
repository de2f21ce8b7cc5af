// Package waking is what travels between the stages about devices that are woken.
package waking

import "time"

// The topic and its consumer.
const (
	Topic    = "wakes" // Due: news → wakes
	Consumer = "wakes" // wakes a person's devices
)

// Due says that there is something new of which the person's devices may be asleep. Its
// queue key is the uid.
type Due struct {
	UID string `json:"uid"`
	// Kind is that of the last of the events that were told at once, Number the number of
	// it, and At when that was.
	Kind   string    `json:"kind"`
	Number uint64    `json:"number"`
	At     time.Time `json:"at"`
}
