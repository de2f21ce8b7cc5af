// Package agenda is what is kept of what is unfinished.
package agenda

import (
	"strconv"
	"time"

	"github.com/clarity-loop/clarity/services/health"
)

// An Errand is something of a person's that is unfinished. The agenda holds it,
// with the time at which somebody looks whether it still is, until it is done.
type Errand struct {
	Kind  Kind      `json:"kind"`
	Ref   string    `json:"ref"`   // the export's id, or an upload's, or a page's key; "" where a person has one of the kind
	Since time.Time `json:"since"` // when it began to be unfinished
	// Asked is how often somebody was asked to do it.
	Asked int `json:"asked,omitempty"`
	// Windows are those that are to be analysed, Gen is that of the newest of them,
	// and Waits since when some of them wait to be asked for. Life tells the entry from
	// the one before it, whose generations are other ones.
	Windows []Run     `json:"windows,omitempty"`
	Gen     int64     `json:"gen,omitempty"`
	Life    string    `json:"life,omitempty"`
	Waits   time.Time `json:"waits,omitzero"`
	// Traces are those whose doing it is, as far as they are told of: see trace.Join.
	Traces []string `json:"traces,omitempty"`
}

// A Run is the windows that end on the days from First to Last, which are to be
// analysed since the same generation.
type Run struct {
	First health.Day `json:"first"`
	Last  health.Day `json:"last"`
	Gen   int64      `json:"gen"`
}

// A Kind says what is unfinished.
type Kind string

// The kinds. Of all but exports, what was told and what was missed a person has one at most.
const (
	Upload  Kind = "upload"  // of the releases before, whose uploads had no time of their own
	Windows Kind = "windows" // windows that are to be analysed
	Resume  Kind = "resume"  // consent was given: what was held goes on
	Review  Kind = "review"  // something that every Result rests on is another
	Export  Kind = "export"  // an export to be written, told of, or removed
	Told    Kind = "told"    // what devices were told, to be handed on; Ref is the page's key
	Missed  Kind = "missed"  // what a tenant's endpoint did not take, to be removed; of the tenant's own, and Ref is its key
)

// Key is where the agenda holds it, an export's beside: see ExportKey.
func (e Errand) Key() string { return string(e.Kind) + ":" + e.Ref }

// ExportKey is where the agenda holds the export that has the slot: no more can be
// on it than there are slots.
func ExportKey(slot int) string { return string(Export) + ":" + strconv.Itoa(slot) }
