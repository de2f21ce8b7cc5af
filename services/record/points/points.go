// Package points is where the points of a series lie.
package points

import "github.com/clarity-loop/clarity/services/health"

// A Reference is what the record of a day knows of one of its series, whose points
// lie in an object of their own.
type Reference struct {
	UUID   string         `json:"uuid"`
	Type   string         `json:"type"`
	Start  health.Instant `json:"start"`
	End    health.Instant `json:"end"`
	Zone   string         `json:"zone"`
	Parent string         `json:"parent,omitempty"` // uuid of the sample that it is of
	Points int            `json:"points"`
	Digest string         `json:"digest"` // SHA-256 of its JSON
	Blob   string         `json:"blob"`
}
