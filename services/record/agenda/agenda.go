// Package agenda is what is kept of what is unfinished.
package agenda

import "time"

// An Errand is something of a person's that is unfinished. The agenda holds it,
// with the time at which somebody looks whether it still is, until it is done.
type Errand struct {
	Kind  Kind      `json:"kind"`
	Ref   string    `json:"ref"`   // the upload id
	Since time.Time `json:"since"` // when it began to be unfinished
}

// A Kind says what is unfinished.
type Kind string

// Upload is an upload that is received and in no day yet.
const Upload Kind = "upload"

// Key is where the agenda holds it.
func (e Errand) Key() string { return string(e.Kind) + ":" + e.Ref }
