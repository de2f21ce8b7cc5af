// Package capability names what a stage may need of the platform. A process
// opens what its stages need and no more, so that it can be given few rights.
package capability

import "strings"

// A Set is some of the capabilities.
type Set uint16

// The capabilities.
const (
	Store Set = 1 << iota // documents; they are sealed, so that Keys go with it
	Blobs
	Queue
	Keys    // seal, open and name; they destroy nothing
	Erasure // ends what a person's key opens
	Identity
	Audit
	Writer
	Model
	Listener // the API's address
	Feed     // where phones listen by themselves, where there is such
	Push     // who wakes phones, where there is such
)

// names are in the order of the bits.
func names() []string {
	return []string{"store", "blobs", "queue", "keys", "erasure", "identity", "audit", "writer", "model", "listener", "feed", "push"}
}

// Has says whether all of want are in the set.
func (s Set) Has(want Set) bool { return s&want == want }

// HasAny says whether one of want is in the set.
func (s Set) HasAny(want Set) bool { return s&want != 0 }

// String lists the set's capabilities, separated by spaces.
func (s Set) String() string {
	var out []string
	for i, name := range names() {
		if s.Has(1 << i) {
			out = append(out, name)
		}
	}
	return strings.Join(out, " ")
}
