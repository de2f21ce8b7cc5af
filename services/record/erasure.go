package record

import "time"

// An Erasure is how far the erasure of a person has come. It holds nothing of
// theirs.
type Erasure struct {
	ReceiptID string      `json:"receiptId"`
	Step      ErasureStep `json:"step"`
	// DestroyedAt is when the person's key was, and FinishedAt when nothing else
	// of theirs was left.
	DestroyedAt time.Time `json:"destroyedAt,omitzero"`
	FinishedAt  time.Time `json:"finishedAt,omitzero"`
	// Until is how long a process that is at work on it has it for itself.
	Until time.Time `json:"until,omitzero"`
}

// An ErasureStep is what was done last.
type ErasureStep string

// The steps, in order.
const (
	ErasureRequested ErasureStep = "requested" // nothing is destroyed yet
	ErasureDestroyed ErasureStep = "destroyed" // the key is
	ErasureRemoved   ErasureStep = "removed"   // what was left is gone, too; it is looked for again
	ErasureRepeated  ErasureStep = "repeated"  // it was looked for after an hour
	ErasureEnded     ErasureStep = "ended"     // and after a day
)

// Finished says whether nothing of the person is left.
func (e *Erasure) Finished() bool { return e != nil && !e.FinishedAt.IsZero() }
