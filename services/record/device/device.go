// Package device is what is kept of the devices of a person that are woken when there is
// something new.
package device

import (
	"maps"
	"time"
)

const (
	// Key is where a person's record lies, of which there is one.
	Key = "all"
	// Most is how many devices a person has woken.
	Most = 10
)

// Devices are a person's.
type Devices struct {
	All map[string]Device `json:"all"` // by the ids that the devices gave themselves
	// Next is when they are woken of what was new too soon after they were last; zero where
	// nothing waits.
	Next time.Time `json:"next,omitzero"`
}

// A Device is one.
type Device struct {
	// Token is where it is reached: whoever has it, and the project's credentials, wakes it.
	Token        string    `json:"token"`
	RegisteredAt time.Time `json:"registeredAt"`
	// Woken is when it was woken last, or somebody set about it.
	Woken time.Time `json:"woken,omitzero"`
}

// With is the devices and another, or the one of that id with another token. What wakes a
// device under the token of one that is registered anew is gone with that one.
func (d Devices) With(id string, one Device) Devices {
	all := maps.Clone(d.All)
	if all == nil {
		all = map[string]Device{}
	}
	maps.DeleteFunc(all, func(_ string, other Device) bool { return other.Token == one.Token })
	all[id] = one
	return Devices{All: all, Next: d.Next}
}

// Without is the devices but for one.
func (d Devices) Without(id string) Devices {
	all := maps.Clone(d.All)
	delete(all, id)
	return Devices{All: all, Next: d.Next}
}
